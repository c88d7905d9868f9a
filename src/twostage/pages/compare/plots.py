"""Pictures of two runs side by side: a comparison and an optional Axes in, the Axes out."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from twostage.pages.common.style import GREY, INK, in_legend, short
from twostage.pages.compare.analysis import Comparison
from twostage.pages.compare.tables import row_label
from twostage.stats.base import NotEstimable

#: Colour, marker and line style of the first and of the second run.
SIDES = {"a": ("#0072B2", "o", "-"), "b": ("#D55E00", "s", "--")}


#: How far the two runs' lines stand from each other, in rows.
APART = 0.16


def side_by_side(comparison: Comparison, ax: Axes | None = None) -> Axes:
    """Both runs' pooled estimates of each coefficient that answers the question.

    Parameters
    ----------
    comparison : Comparison
    ax : matplotlib.axes.Axes, optional
        Drawn on; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        Per coefficient two estimates with confidence intervals, the first run above the second; the thin line is
        the prediction interval.

    Raises
    ------
    NotEstimable
        If neither run has an estimate.
    """
    rows = comparison.headline()
    if rows.empty:
        raise NotEstimable("neither has an estimate")
    ax = ax or plt.subplots(figsize=(8, 0.62 * len(rows) + 1.3), layout="constrained")[1]
    at = np.arange(len(rows))[::-1]
    ax.axvline(0, color=GREY, lw=1, zorder=0)
    for end, shift in (("a", APART), ("b", -APART)):
        _lines(ax, rows, at + shift, end, getattr(comparison, end))
    labels = [
        row_label(row, short(comparison.x, 28), short(comparison.y, 28)) for row in rows.to_dict("records")
    ]
    ax.set_yticks(at, [_folded(label) for label in labels], fontsize=9)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.set_xlabel("pooled estimate; thick: confidence interval, thin: prediction interval", fontsize=9.5)
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.0 + 0.75 / len(rows)), ncols=2)
    return ax


def _lines(ax: Axes, rows: pd.DataFrame, at: np.ndarray, end: str, name: str) -> None:
    colour, marker, style = SIDES[end]
    low, high, thin_low, thin_high = (
        rows[f"{c}_{end}"].to_numpy(float) for c in ("ci_low", "ci_high", "pi_low", "pi_high")
    )
    ax.hlines(at, thin_low, thin_high, color=colour, lw=0.9, ls=style, zorder=1)
    ax.hlines(at, low, high, color=colour, lw=3, zorder=2)
    ax.plot(
        rows[f"estimate_{end}"],
        at,
        ls="",
        marker=marker,
        color=colour,
        mec=INK,
        mew=0.6,
        label=in_legend(short(name)),
    )


def _folded(label: str, width: int = 44) -> str:
    """A long label on two lines, broken at the blank nearest the middle."""
    if len(label) <= width:
        return label
    blanks = [i for i, letter in enumerate(label) if letter == " "]
    cut = min(blanks, key=lambda i: abs(i - len(label) / 2))
    return f"{label[:cut]}\n{label[cut + 1 :]}"


def alt(comparison: Comparison) -> str:
    """Text for those who cannot see the figure."""
    n = len(comparison.headline())
    return (
        f"Pooled estimates of {n} coefficients with confidence and prediction intervals, each in {comparison.a} and "
        f"below it in {comparison.b}; the values are in the table."
    )
