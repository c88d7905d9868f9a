"""Sphinx extension: what pages have besides their text: live pictures' scripts, the imprint, title and description.

A book is opened from a folder, where browsers load no ES modules: those of ``book/assets/`` become one classic script for
each kind of picture, and its data (:mod:`twostage.pipeline.book.forest`, :mod:`twostage.pages.multiverse.live`) a second.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docutils import nodes
from markupsafe import escape
from sphinx.application import Sphinx

from twostage.files import write_text
from twostage.pipeline.book.footer import CITE_PAGE, PLACE


@dataclass(frozen=True)
class Live:
    """A kind of picture that readers can change.

    Attributes
    ----------
    css : str
        What an element that the script fills says of itself.
    modules : tuple of str
        In the order in which they need each other.
    script, data : str
        Files: the script made of them, and that with the data.
    variable : str
        Property of the window with the data.
    """

    css: str
    modules: tuple[str, ...]
    script: str
    data: str
    variable: str


FOREST = Live(
    "live-forest", ("pool.mjs", "forest.mjs"), "live-forest.js", "live-forest-data.js", "twostageForest"
)


MULTIVERSE = Live(
    "live-curve", ("multiverse.mjs",), "live-curve.js", "live-curve-data.js", "twostageMultiverse"
)


#: The picture beside a link to a page, as :mod:`twostage.pipeline.book.card` draws it.
CARD = "card.png"


#: Where the pages lie that have the title of a page of the manuscript.
_COMPUTATION = "notebooks/pooled/"


#: What a formula is in a page, and where MathJax is among its scripts.
_FORMULA, _OF_MATHJAX = re.compile(r'class="math\b'), re.compile(r"mathjax/|window\.MathJax")


#: Letters of a page's description.
_DESCRIPTION = 155


def write_scripts(assets: Path, target: Path, data: dict[str, Any], live: Live = FOREST) -> None:
    """Write the script of a live picture and that with its data; nothing where the manuscript has no such modules.

    Parameters
    ----------
    assets : Path
        Folder with the modules.
    target : Path
        Folder from which pages load.
    data : dict
        Of :func:`twostage.pipeline.book.forest.forest_data`, or what else the picture shows.
    live : Live
    """
    if not all((assets / name).is_file() for name in live.modules):
        return
    write_text(target / live.script, bundled(assets, live))
    # ASCII, so that no character ends a line of the script or depends on how it is read.
    write_text(target / live.data, f"window.{live.variable} = {json.dumps(data, separators=(',', ':'))};\n")


def bundled(assets: Path, live: Live = FOREST) -> str:
    """The modules as one classic script that starts when the page is read."""
    texts = [(assets / name).read_text(encoding="utf-8") for name in live.modules]
    plain = [re.sub(r"^import .*?;\n|^export (?=function|const)", "", text, flags=re.M) for text in texts]
    return "\n".join(["(() => {", '"use strict";', *plain, f"start(window.{live.variable});", "})();\n"])


def _load(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    for live in (FOREST, MULTIVERSE):
        if f'class="{live.css}"' in context.get("body", ""):
            for script in (live.data, live.script):
                app.add_js_file(script, loading_method="defer")


def _note_data(app: Sphinx, tree: nodes.document) -> None:
    """Pages name what they load with its checksum: one with a live picture is another where the picture's data are."""
    texts = [part.astext() for part in tree.findall(nodes.raw)]
    for live in (FOREST, MULTIVERSE):
        if any(f'class="{live.css}"' in text for text in texts):
            app.env.note_dependency(f"assets/{live.data}")


def _formulas_only(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """No MathJax, two megabytes, on pages without a formula; Sphinx loads it where any page below has one."""
    if _FORMULA.search(context.get("body", "")):
        return
    scripts = context.get("script_files", [])
    context["script_files"] = [
        script for script in scripts if not any(_OF_MATHJAX.search(part) for part in _parts(script))
    ]


def _parts(script: Any) -> tuple[str, str]:
    return str(getattr(script, "filename", script)), str(getattr(script, "attributes", {}).get("body", ""))


def computation(title: str) -> str:
    """What the page of a pooled notebook is called: that which quotes it may have the same title."""
    return f"{title}: computation"


def _say_what_it_is(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """The place of the imprint, a title that no other page has, and a description for those who find the page."""
    if page.startswith(_COMPUTATION) and "title" in context:
        context["title"] = computation(context["title"])
    if CITE_PAGE in app.env.all_docs:
        context["theme_extra_footer"] = PLACE
    # What the theme found there has the tags of the parts that are HTML.
    about = " ".join(re.sub(r"<[^>]*>", " ", str(context.get("page_description", ""))).split())
    if about:
        shown = escape(about if len(about) <= _DESCRIPTION else about[:_DESCRIPTION].rsplit(" ", 1)[0] + " …")
        title = escape(context.get("pagetitle", ""))
        tags = f'<meta name="description" content="{shown}"/><meta property="og:title" content="{title}"/>'
        more = (
            f'<meta property="og:description" content="{shown}"/><meta property="og:type" content="article"/>'
        )
        if (Path(app.srcdir) / "assets" / CARD).is_file():
            more += f'<meta property="og:image" content="{context["pathto"](f"_static/{CARD}", 1)}"/>'
        context["metatags"] = f"{context.get('metatags', '')}{tags}{more}"


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("doctree-read", _note_data)
    app.connect("html-page-context", _load)
    # After Sphinx' own extension, which adds it.
    app.connect("html-page-context", _formulas_only, priority=700)
    # After the theme, which finds the description, and before text.py, which escapes it.
    app.connect("html-page-context", _say_what_it_is, priority=800)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
