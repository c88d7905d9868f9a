"""Sphinx extension: the script of the live forest, on the pages that have one.

A book is opened from a folder, where browsers load no ES modules: those of ``book/assets/`` become one classic script, and
the data (:mod:`twostage.pipeline.book.forest`) a second one.
"""

import json
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from twostage.files import write_text

#: Modules in the order in which they need each other.
MODULES = ("pool.mjs", "forest.mjs")


#: The script made of them, and that with the data.
SCRIPT, DATA = "live-forest.js", "live-forest-data.js"


#: What an element that the script fills says of itself.
CLASS = "live-forest"


def write_scripts(assets: Path, target: Path, data: dict[str, Any]) -> None:
    """Write the script of the live forest and that with its data; nothing where the manuscript has no such modules.

    Parameters
    ----------
    assets : Path
        Folder with the modules.
    target : Path
        Folder from which pages load.
    data : dict
        Of :func:`twostage.pipeline.book.forest.forest_data`.
    """
    if not all((assets / name).is_file() for name in MODULES):
        return
    write_text(target / SCRIPT, bundled(assets))
    # ASCII, so that no character ends a line of the script or depends on how it is read.
    write_text(target / DATA, f"window.twostageForest = {json.dumps(data, separators=(',', ':'))};\n")


def bundled(assets: Path) -> str:
    """The modules as one classic script that starts when the page is read."""
    texts = [(assets / name).read_text(encoding="utf-8") for name in MODULES]
    plain = [re.sub(r"^import .*?;\n|^export (?=function|const)", "", text, flags=re.M) for text in texts]
    return "\n".join(["(() => {", '"use strict";', *plain, "start(window.twostageForest);", "})();\n"])


def _load(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    if f'class="{CLASS}"' in context.get("body", ""):
        for script in (DATA, SCRIPT):
            app.add_js_file(script, loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("html-page-context", _load)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
