"""Sphinx extension: tables in HTML with a caption and a number, as figures have them, and files where they stand.

``{results-table} caption`` with a ``name`` numbers what is in it among the tables of the book; ``{numref}`` refers to it.
"""

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from twostage.pages.common.svg import readable_width

#: The directive.
TABLE = "results-table"


#: A figure with its picture, up to where its caption ends.
_FIGURE = re.compile(
    r'<figure [^>]*id="fig-[^>]*>.*?<img [^>]*?src="(?P<file>[^"]*\.svg)".*?</figcaption>', re.S
)


#: What leads to a table, as the theme has it beside headings.
_LINK = '<a class="headerlink" href="#{}" title="Link to this table">#</a>'


#: A picture of the book.
_PICTURE = re.compile(r'<img(?P<rest>(?![^>]* style=)[^>]* src="[^"]*_images/(?P<file>[^"/]*\.svg)")')


#: What scrolls where it is wider than the page.
_SCROLLS = re.compile(r'<div class="(?:wide-table[^"]*|output text_html)"')


#: Where the files of a figure are offered.
_OFFERED = re.compile(r'<div class="legend">\s*<p>')


class results_table(nodes.General, nodes.Element):
    """A caption and what it is of."""


class ResultsTable(SphinxDirective):
    """A table in HTML below its caption."""

    has_content = True
    required_arguments = 1
    final_argument_whitespace = True
    option_spec = {"name": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Make the node."""
        node = results_table()
        text, messages = self.parse_inline(self.arguments[0])
        node += nodes.caption(self.arguments[0], "", *text)
        node += self.parse_content_to_nodes()
        self.add_name(node)
        node[0] += nodes.raw("", _LINK.format(node["ids"][0]), format="html")
        return [node, *messages]


def _begin(self: Any, node: results_table) -> None:
    self.body.append(self.starttag(node, "figure", CLASS=TABLE))


def _end(self: Any, node: results_table) -> None:
    self.body.append("</figure>\n")


def _caption_of(node: results_table) -> str:
    return node[0].astext()


def _files(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Beside a figure's PNG its SVG, which is the picture itself; what scrolls is reached by keyboard."""
    if "body" in context:
        context["body"] = _SCROLLS.sub(r'\g<0> tabindex="0"', _FIGURE.sub(_with_svg, context["body"]))


def _readable(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Each figure says how wide it must be for its letters to be read on a phone."""
    files = {name: source for source, (_, name) in app.env.images.items() if name.endswith(".svg")}

    def wide(image: re.Match[str]) -> str:
        source = files.get(image["file"])
        width = readable_width((Path(app.srcdir) / source).read_text(encoding="utf-8")) if source else 0
        return f'<img style="--readable: {width}px"{image["rest"]}' if width else image[0]

    if "body" in context:
        context["body"] = _PICTURE.sub(wide, context["body"])


def _with_svg(figure: re.Match[str]) -> str:
    link = f'<a download href="{figure["file"]}">SVG</a> · '
    return _OFFERED.sub(lambda place: place[0] + link, figure[0], count=1)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive(TABLE, ResultsTable)
    app.add_enumerable_node(results_table, "table", _caption_of, html=(_begin, _end))
    app.connect("html-page-context", _files)
    app.connect("html-page-context", _readable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
