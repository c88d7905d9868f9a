"""Figures as SVG: letters stay letters, and on a dark page the figure is dark."""

import colorsys
import io
import math
import re
from typing import Any
from weakref import WeakKeyDictionary

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

#: Without a date and a maker's name: the same results give the same bytes.
NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


#: Lightness of what is white on a light page.
DARKEST = 0.1


_COLOUR = re.compile(r"\b(fill|stroke): (#[0-9a-f]{6})\b")


_STYLE = '<style id="dark">'


#: Digits of a point that nobody sees: a hundredth is enough.
_TAG, _DIGITS = re.compile(r"<[^>]+>"), re.compile(r"(\.\d\d)\d+")


#: What a mark's contrast is at least (WCAG 2.1, 1.4.11), and steps of lightness in which it is sought.
CONTRAST, STEP = 3.0, 0.02


#: Width of a picture, and sizes of its letters, both in its own units; pixels that letters have on a phone.
_ACROSS, _LETTERS = (
    re.compile(r'<svg [^>]*?width="([\d.]+)pt"'),
    re.compile(r"font(?:-size)?: [^;\"]*?([\d.]+)px"),
)


LETTER = 9


#: Colours of a PNG.
COLOURS = 128


_DRAWN: "WeakKeyDictionary[Figure, str]" = WeakKeyDictionary()


def whole_figure(ax: Axes) -> Figure:
    """The figure that axes are part of.

    Raises
    ------
    ValueError
        They were taken out of it.
    """
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("these axes are part of no figure")
    return figure


def as_svg(figure: Figure) -> str:
    """A figure as SVG for light and dark pages; one that was drawn already is not drawn again."""
    if figure not in _DRAWN:
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata=NO_METADATA, bbox_inches="tight")
        _DRAWN[figure] = in_both_lights(buffer.getvalue())
    return _DRAWN[figure]


def as_png(figure: Figure, tight: bool = True) -> bytes:
    """A figure as PNG, for where SVG cannot go; not `tight`: with its own size in its own dots."""
    buffer = io.BytesIO()
    options: dict[str, Any] = {"bbox_inches": "tight"} if tight else {"dpi": "figure"}
    figure.savefig(buffer, format="png", **options)
    few = Image.open(buffer).convert("RGB").quantize(COLOURS)
    small = io.BytesIO()
    few.save(small, "PNG", dpi=(figure.dpi, figure.dpi))
    return small.getvalue()


def dark(colour: str) -> str:
    """The colour that stands on a dark page for one on a white page: its hue, as far from the ground.

    Examples
    --------
    >>> dark("#ffffff"), dark("#000000"), dark("#0072b2")
    ('#1a1a1a', '#ffffff', '#5fc5ff')
    """
    hue, light, saturation = colorsys.rgb_to_hls(*_parts(colour))
    inverted = DARKEST + (1.0 - DARKEST) * (1.0 - light)
    # Equal steps of lightness are not equal to the eye: what could be told from white is told from the ground.
    while contrast(colour, WHITE) >= CONTRAST > contrast(_hex(hue, inverted, saturation), GROUND):
        inverted += STEP
    return _hex(hue, inverted, saturation)


def _parts(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[i : i + 2], 16) / 255.0 for i in (1, 3, 5))
    return red, green, blue


def _hex(hue: float, light: float, saturation: float) -> str:
    parts = colorsys.hls_to_rgb(hue, light, saturation)
    return "#" + "".join(f"{round(255.0 * part):02x}" for part in parts)


def _luminance(colour: str) -> float:
    linear = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in _parts(colour))
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """Contrast of two colours as WCAG 2 defines it, 1 to 21.

    Examples
    --------
    >>> contrast("#000000", "#ffffff"), contrast("#777777", "#777777")
    (21.0, 1.0)
    """
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


WHITE = "#ffffff"


GROUND = _hex(0.0, DARKEST, 0.0)


def readable_width(svg: str) -> int:
    """Pixels across at which the smallest letters of a picture of matplotlib's are :data:`LETTER` high; 0 without letters.

    Examples
    --------
    >>> readable_width('<svg width="720pt"><text style="font: 12px sans-serif">a</text></svg>')
    540
    """
    across, sizes = _ACROSS.search(svg), _LETTERS.findall(svg)
    return math.ceil(LETTER * float(across[1]) / min(map(float, sizes))) if across and sizes else 0


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
    return svg[:start] + style + _TAG.sub(lambda tag: _DIGITS.sub(r"\1", tag[0]), svg[start:])
