"""Drawings that stand within a page: their text is text, in the page's font and colours, light or dark."""

from xml.etree import ElementTree

from twostage.text import Markup, visible


class Drawing:
    """An SVG that grows downwards.

    Parameters
    ----------
    name : str
        Class of the drawing, by which the style sheet knows it.
    title : str
        For who cannot see it.
    width : float
    """

    def __init__(self, name: str, title: str, width: float):
        self._name, self._width = name, width
        self._svg = ElementTree.Element("svg", {"role": "img", "xmlns": "http://www.w3.org/2000/svg"})
        ElementTree.SubElement(self._svg, "title").text = visible(title)

    def add(self, tag: str, text: str | None = None, **attributes: object) -> None:
        """Draw something; numbers are in units of the drawing, ``_`` in a name stands for ``-``."""
        given = {
            name.rstrip("_").replace("_", "-"): f"{value:g}" if isinstance(value, int | float) else str(value)
            for name, value in attributes.items()
        }
        element = ElementTree.SubElement(self._svg, tag, given)
        element.text = None if text is None else visible(text)

    def markup(self, height: float) -> Markup:
        """The drawing as HTML."""
        self._svg.set("viewBox", f"0 0 {self._width:g} {height:g}")
        inner = ElementTree.tostring(self._svg, encoding="unicode")
        return Markup(f'<div class="{self._name}">{inner}</div>')
