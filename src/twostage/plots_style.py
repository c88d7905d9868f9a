"""Colours, markers and helpers that all pictures share.

Readable in grey: what distinguishes two things is shape and line style first, colour (Okabe-Ito) second.
"""

import matplotlib.pyplot as plt
import seaborn as sns

from twostage.display import p_value

#: Colour, marker and line style of the two directions.
LOOK = {"x_to_y": ("#0072B2", "o", "-"), "y_to_x": ("#D55E00", "s", "--")}
INK, GREY = "#222222", "#8a8a8a"


def use_style() -> None:
    """Set the look of all figures of the book."""
    sns.set_theme(context="notebook", style="ticks", font="DejaVu Sans")
    plt.rcParams.update(
        {
            "figure.dpi": 110,
            "savefig.dpi": 160,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "svg.hashsalt": "twostage",
        }
    )


def p_equals(p: float) -> str:
    """``= .034`` or ``< .001``."""
    text = p_value(p)
    return text if text.startswith("<") else f"= {text}"
