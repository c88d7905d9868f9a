"""Colours, markers and helpers that all pictures share.

Readable in grey: what distinguishes two things is shape and line style first, colour (Okabe-Ito) second.
"""

import textwrap
import warnings

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from IPython import get_ipython
from matplotlib.axes import Axes
from matplotlib.font_manager import fontManager

from twostage.collection import Collection
from twostage.display import p_value
from twostage.pages.common.svg import NO_METADATA, whole_figure
from twostage.stage1 import Panel

#: Colour, marker and line style of the two directions.
LOOK = {"x_to_y": ("#0072B2", "o", "-"), "y_to_x": ("#D55E00", "s", "--")}


PLAIN, MARKED = LOOK["x_to_y"][0], LOOK["y_to_x"][0]


#: Studies named in a scatter at most, and only those beyond a share of the largest value.
MOST_NAMED, PROMINENT = 5, 0.2


#: Size of a name, its height, width of a letter, half the size of a marker; shifts tried [points].
NAME_SIZE, NAME_HEIGHT, LETTER, POINT = 9.5, 12.0, 5.9, 4.0


SHIFTS = (0.0, 9.0, -9.0, 16.0, -16.0, 26.0, -26.0)


def name_points(ax: Axes, x: np.ndarray, y: np.ndarray, labels, which) -> None:
    """Write names beside chosen points where they cover no point and no other name; limits must be set."""
    labels = [short(label) for label in labels]
    whole_figure(ax).draw_without_rendering()  # a layout that is not done yet would move the points
    scale = 72.0 / ax.figure.dpi
    points = ax.transData.transform(np.column_stack([x, y])) * scale
    frame = ax.get_window_extent().get_points() * scale
    points = points[np.isfinite(points).all(axis=1)]
    taken = [np.vstack([p - POINT, p + POINT]) for p in points]
    for i in which:
        at = ax.transData.transform((x[i], y[i])) * scale
        if not np.isfinite(at).all():
            continue
        size = np.array([LETTER * len(labels[i]), NAME_HEIGHT])
        boxes = [_box(at, size, side, shift) for shift in SHIFTS for side in (1.0, -1.0)]
        costs = [_cost(box, taken, frame) for box in boxes]
        best = int(np.argmin(costs))
        taken.append(boxes[best])
        middle = boxes[best].mean(axis=0) - at
        arrow = {"arrowstyle": "-", "color": GREY, "lw": 0.6, "shrinkB": 3} if best > 1 else None
        ax.annotate(labels[i], (x[i], y[i]), middle, textcoords="offset points", ha="center", va="center",
                    fontsize=NAME_SIZE, color=INK, arrowprops=arrow)  # fmt: skip


def _box(at: np.ndarray, size: np.ndarray, side: float, shift: float) -> np.ndarray:
    """Corners of a name to the right (side 1) or left of a point, shifted up or down [points]."""
    middle = at + [side * (2.0 * POINT + size[0] / 2.0), shift]
    return np.vstack([middle - size / 2.0, middle + size / 2.0])


def _cost(box: np.ndarray, taken: list[np.ndarray], frame: np.ndarray) -> float:
    """Area of what a name would cover, and of what of it would leave the picture."""
    overlap = [
        np.prod(np.clip(np.minimum(box[1], o[1]) - np.maximum(box[0], o[0]), 0.0, None)) for o in taken
    ]
    inside = np.prod(np.clip(np.minimum(box[1], frame[1]) - np.maximum(box[0], frame[0]), 0.0, None))
    return float(sum(overlap) + 4.0 * (np.prod(box[1] - box[0]) - inside))


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

    Texts in figures are texts: they stay letters in SVG, and no dollar sign begins a formula. A letter that no installed
    font has is drawn as an empty box, and matplotlib's warning of it is dropped: the name is in the tables and in the
    figure's alternative text, and a collection of studies from Osaka must not need a font to be built.
    """
    sns.set_theme(context="notebook", style="ticks", font="DejaVu Sans")
    warnings.filterwarnings("ignore", message=MISSING_LETTER, category=UserWarning)
    installed = set(fontManager.get_font_names())
    if get_ipython() is not None:
        # It finds the shell when it is first imported, and a warm process imports before there is one.
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg", metadata=NO_METADATA)
    plt.rcParams.update(
        {
            # The last one is for readers whose machine has none of the others.
            "font.family": [*(font for font in FONTS if font in installed), "sans-serif"],
            "font.sans-serif": ["DejaVu Sans"],
            "svg.fonttype": "none",
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
