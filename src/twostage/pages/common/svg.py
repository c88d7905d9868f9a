"""Figures as SVG: letters stay letters, and on a dark page the figure is dark."""

import colorsys
import io
import re
from weakref import WeakKeyDictionary

from matplotlib.figure import Figure

#: Without a date and a maker's name: the same results give the same bytes.
NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


#: Lightness of what is white on a light page.
DARKEST = 0.1


_COLOUR = re.compile(r"\b(fill|stroke): (#[0-9a-f]{6})\b")


_STYLE = '<style id="dark">'


_DRAWN: "WeakKeyDictionary[Figure, str]" = WeakKeyDictionary()


def as_svg(figure: Figure) -> str:
    """A figure as SVG for light and dark pages; one that was drawn already is not drawn again."""
    if figure not in _DRAWN:
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata=NO_METADATA, bbox_inches="tight")
        _DRAWN[figure] = in_both_lights(buffer.getvalue())
    return _DRAWN[figure]


def as_png(figure: Figure) -> bytes:
    """A figure as PNG, for where SVG cannot go."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    return buffer.getvalue()


def dark(colour: str) -> str:
    """The colour that stands on a dark page for one on a white page: its hue, as far from the ground.

    Examples
    --------
    >>> dark("#ffffff"), dark("#000000"), dark("#0072b2")
    ('#1a1a1a', '#ffffff', '#5fc5ff')
    """
    red, green, blue = (int(colour[i : i + 2], 16) / 255.0 for i in (1, 3, 5))
    hue, light, saturation = colorsys.rgb_to_hls(red, green, blue)
    inverted = colorsys.hls_to_rgb(hue, DARKEST + (1.0 - DARKEST) * (1.0 - light), saturation)
    return "#" + "".join(f"{round(255.0 * part):02x}" for part in inverted)


def in_both_lights(svg: str) -> str:
    """A picture of matplotlib's with rules for its colours on a dark page.

    The browser follows them where the page around the picture is dark; other programs show the light one.
    """
    start = svg.find("<defs>")
    if start < 0 or _STYLE in svg:
        return svg
    rules = [
        f'[style*="{what}: {colour}"]{{{what}:{dark(colour)}!important}}'
        for what, colour in sorted(set(_COLOUR.findall(svg)))
    ]
    rules.append(f'text:not([style*="fill:"]){{fill:{dark("#000000")}}}')
    style = f"{_STYLE}@media (prefers-color-scheme:dark){{{''.join(rules)}}}</style>\n"
    return f"{svg[:start]}{style}{svg[start:]}"
