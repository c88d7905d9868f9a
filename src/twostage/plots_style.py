"""Colours, markers and helpers that all pictures share.

Readable in grey: what distinguishes two things is shape and line style first, colour (Okabe-Ito) second.
"""

import textwrap
import warnings

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.font_manager import fontManager

from twostage.collection import Collection
from twostage.display import p_value
from twostage.panel import Panel

#: Colour, marker and line style of the two directions.
LOOK = {"x_to_y": ("#0072B2", "o", "-"), "y_to_x": ("#D55E00", "s", "--")}
INK, GREY = "#222222", "#8a8a8a"


#: Fonts asked, in this order, for letters that the first does not have: those that systems come with.
FONTS = (
    "DejaVu Sans",
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Source Han Sans SC", "WenQuanYi Zen Hei"),
    *("PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic"),
    *("Noto Serif CJK SC", "Noto Serif CJK JP", "Arial Unicode MS", "Noto Sans", "Noto Sans Devanagari"),
    *("Noto Sans Thai", "Noto Emoji", "Segoe UI Symbol", "Symbola"),
)

#: What matplotlib says of a letter that no font has.
MISSING_LETTER = r"Glyph \d+ \(.*\) missing from font"


def use_style() -> None:
    """Set the look of all figures of the book.

    Texts in figures are texts: no dollar sign begins a formula. A letter that no installed font has is drawn as an
    empty box, and matplotlib's warning of it is dropped: the name is in the tables and in the figure's alternative
    text, and a collection of studies from Osaka must not need a font to be built.
    """
    sns.set_theme(context="notebook", style="ticks", font="DejaVu Sans")
    warnings.filterwarnings("ignore", message=MISSING_LETTER, category=UserWarning)
    installed = set(fontManager.get_font_names())
    plt.rcParams.update(
        {
            "font.family": [font for font in FONTS if font in installed],
            "text.parse_math": False,
            "figure.dpi": 110,
            "savefig.dpi": 160,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "svg.hashsalt": "twostage",
        }
    )


def in_legend(text: str) -> str:
    """A name for a legend, on several lines if it is long; matplotlib would leave out one that begins with ``_``."""
    name = folded(text, 40)
    return f" {name}" if name.startswith("_") else name


def folded(text: str, width: int = 56) -> str:
    """A long text on several lines."""
    return text if len(text) <= width else textwrap.fill(text, width)


def short(text: str, longest: int = 40) -> str:
    """A name that leaves a figure room for what it shows; tables and pages have all of it."""
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"


def pair(of: Collection | Panel) -> tuple[str, str]:
    """What figures call x and y."""
    return short(of.x.label, 28), short(of.y.label, 28)


def p_equals(p: float) -> str:
    """``= .034`` or ``< .001``."""
    text = p_value(p)
    return text if text.startswith("<") else f"= {text}"
