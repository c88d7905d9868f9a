"""Sphinx extension: texts of a collection arrive in the built book as they are.

What MyST is given is escaped already (:mod:`twostage.text.escape`). Behind it Sphinx still puts typographic quotes and
dashes into every text, its theme writes the title and the authors into pages as HTML, and its search page does the same
with the headings in its index.
"""

import re
from typing import Any

from docutils import nodes
from markupsafe import escape
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

#: Name of the setting with the texts that keep their quotes, dashes and dots.
SETTING = "twostage_texts"


#: What Sphinx' typographic quotes change: quotes, dashes, dots, and what stands for a character in them.
_CHANGED = re.compile(r"['\"`\\]|--|\.\s?\.\s?\.|&#")


#: What the theme puts into pages unescaped. A text so marked is not escaped again where it is.
_UNESCAPED = ("docstitle", "shorttitle", "root_title", "pagetitle", "page_description", "author", "project")


def kept_texts(texts: list[str]) -> list[str]:
    """Those of some texts that would change, longest first."""
    return sorted({text for text in texts if _CHANGED.search(text)}, key=lambda text: (-len(text), text))


class KeepTexts(SphinxTransform):
    """Takes a collection's texts out of what gets typographic quotes."""

    default_priority = 740  # before Sphinx' own, 750

    def apply(self, **kwargs: Any) -> None:
        """Make each of the texts a node of its own."""
        texts = [re.escape(text) for text in self.config[SETTING]]
        if not texts:
            return
        wanted = re.compile(f"({'|'.join(texts)})")
        for node in list(self.document.findall(nodes.Text)):
            parts = wanted.split(str(node))
            if len(parts) > 1:
                found = [nodes.Text(part) for part in parts]
                for part in found[1::2]:
                    part.support_smartquotes = False
                node.parent.replace(node, [part for part in found if part])


def _escape_context(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    for name in _UNESCAPED:
        if isinstance(context.get(name), str):
            context[name] = escape(context[name])


def _escape_headings(app: Sphinx) -> list:
    """Escape the headings in the search index, which :file:`searchtools.js` writes into the page as HTML."""
    headings = app.builder.indexer._all_titles  # type: ignore[attr-defined]
    for page, found in headings.items():
        headings[page] = [(str(escape(title)), place) for title, place in found]
    return []


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_config_value(SETTING, [], "env")
    app.add_transform(KeepTexts)
    # After the theme, which adds the authors.
    app.connect("html-page-context", _escape_context, priority=900)
    app.connect("html-collect-pages", _escape_headings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
