"""The picture of a study against the others."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twostage.display import number
from twostage.pages.addition.analysis import Addition
from twostage.pages.common.style import GREY, INK, short
from twostage.terms import term_label

#: What the rows of a panel show, from above: column's beginning, marker, colour, in words.
ROWS = (
    ("study", "s", "#D55E00", "this study"),
    ("before", "o", "#0072B2", "the others"),
    ("after", "D", INK, "all"),
)


def addition_figure(result: Addition, x: str, y: str) -> Figure:
    """A panel per coefficient: the study, where the others let one expect it, the pool without it and with it.

    Parameters
    ----------
    result : Addition
        With at least one row.
    x, y : str
        The pair in words.

    Returns
    -------
    matplotlib.figure.Figure
        Partial correlations are drawn as such.
    """
    n = len(result.table)
    figure = Figure(figsize=(8, 1.25 * n + 0.6), layout="constrained")
    axes = figure.subplots(n, 1, squeeze=False)[:, 0]
    for ax, row in zip(axes, result.table.to_dict("records"), strict=True):
        draw_coefficient(ax, row, x, y)
    axes[-1].set_xlabel(
        f"estimate with {100 * result.level:g} % confidence interval; wide bar: where the others let one expect it",
        fontsize=9,
    )
    return figure


def draw_coefficient(ax: Axes, row: dict, x: str, y: str) -> Axes:
    """One coefficient on an Axes; `row` is one of :attr:`twostage.pages.addition.analysis.Addition.table`."""
    back = np.tanh if row["term"] == "partial_r_z" else np.asarray
    ax.axvline(0, color=GREY, lw=1, zorder=0)
    if np.isfinite(row["expected_low"]):
        ends = back([row["expected_low"], row["expected_high"]])
        ax.fill_betweenx([-0.45, 2.45], *ends, color="#0072B2", alpha=0.13, lw=0, zorder=0)
        # On the study's own row: the range is for an estimate with its sampling error, not for the pool.
        ax.hlines(2, *ends, color="#0072B2", lw=5, alpha=0.35, zorder=1)
    labels = []
    for at, (name, marker, colour, words) in zip((2, 1, 0), ROWS, strict=True):
        low, mid, high = (float(back(row[f"{name}_{c}"])) for c in ("ci_low", "estimate", "ci_high"))
        ax.hlines(at, low, high, color=colour, lw=1.4)
        ax.plot(mid, at, marker=marker, color=colour, ls="")
        k = "" if name == "study" else f" (k = {row[f'{name}_k']})"
        labels.append(f"{words}{k}  {number(mid)}")
    ax.set_yticks([2, 1, 0], labels, fontsize=9)
    ax.set_ylim(-0.5, 2.5)
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=9)
    title = term_label(row["direction"], row["term"], short(x), short(y)).replace("Fisher z", "partial r")
    ax.set_title(title, fontsize=9.5, loc="left")
    return ax
