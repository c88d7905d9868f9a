"""Pictures of a multiverse: the specification curve above the choices, and the variance shares."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from twostage.multiverse.grid import CHOICES
from twostage.multiverse.store import Multiverse
from twostage.pages.common.style import GREY, INK, short
from twostage.pages.multiverse.analysis import View
from twostage.pages.multiverse.tables import choice_words, value_words
from twostage.terms import ESTIMATORS, estimator_words
from twostage.words import say

#: Columns into which the specifications' ranks are put below the curve: as fine as a printed page shows.
BINS = 160


def curve(m: Multiverse, view: View, name: str) -> Axes:
    """Estimates and intervals in rising order, and below them which values of the choices they have.

    Parameters
    ----------
    m : Multiverse
    view : View
    name : str
        The direction in words.

    Returns
    -------
    matplotlib.axes.Axes
        Of the curve.
    """
    rows = [
        (f, v) for f in map(CHOICES.index, view.varied) for v in range(len(m.about["values"][CHOICES[f]]))
    ]
    height = 0.2 * (len(rows) + len(view.varied))
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(9, 3.6 + height), height_ratios=(3.4, height), sharex=True, layout="constrained"
    )
    order = np.argsort(view.table["estimate"].to_numpy(), kind="stable")
    _curve(top, m, view, order)
    _choices(bottom, m, view, order, rows)
    top.set_ylabel(f"pooled effect\n{short(name, 60)}", fontsize=10)
    bottom.set_xlabel(f"{len(order):,} specifications in the order of their estimates")
    return top


def _curve(ax: Axes, m: Multiverse, view: View, order: np.ndarray) -> None:
    t = view.table.iloc[order]
    colours = t["estimator"].map({e.name: e.colour for e in ESTIMATORS.values()})
    x = np.arange(len(t))
    ends = [((i, low), (i, high)) for i, low, high in zip(x, t["ci_low"], t["ci_high"], strict=True)]
    # Thousands of lines are a picture, not a drawing.
    ax.add_collection(LineCollection(ends, colors=colours, alpha=0.12, lw=0.6, rasterized=True))
    for name in view.by_estimator:
        own = (t["estimator"] == name).to_numpy()
        ax.plot(x[own], t["estimate"].to_numpy()[own], ls="", marker=".", ms=2.5, rasterized=True,
                color=ESTIMATORS[name].colour, label=say(estimator_words(name)))  # fmt: skip
    ax.axhline(0, color=INK, lw=1)
    for end in (-m.about["least"], m.about["least"]):
        if end and t["ci_low"].min() < end < max(t["ci_high"].max(), 0.0):
            ax.axhline(end, color=GREY, lw=0.8, ls=":")
    main = int(np.flatnonzero(order == 0)[0])
    ax.plot(
        main,
        t["estimate"].iloc[main],
        marker="D",
        ms=8,
        mfc="none",
        mec=INK,
        mew=1.8,
        ls="",
        label="main analysis",
    )
    ax.set_xlim(-len(t) * 0.01, len(t) * 1.01)
    ax.set_ylim(*_reach(t))
    legend = ax.legend(frameon=False, fontsize=8, ncols=2, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    for handle in legend.legend_handles[:-1]:
        plt.setp(handle, markersize=8)


def _reach(t: pd.DataFrame) -> tuple[float, float]:
    """Ends of the axis: all estimates and zero, and all but the widest hundredth of the intervals, which are cut."""
    low = min(t["ci_low"].quantile(0.01), t["estimate"].min(), 0.0)
    high = max(t["ci_high"].quantile(0.99), t["estimate"].max(), 0.0)
    return low - 0.04 * (high - low), high + 0.04 * (high - low)


#: How light the marks of the choices are, 0 to 1.
GREY_LEVEL = 0.45


def _choices(ax: Axes, m: Multiverse, view: View, order: np.ndarray, rows: list[tuple[int, int]]) -> None:
    """A line for each value of each choice: the darker, the more of the specifications above have it."""
    bins = np.minimum(np.arange(len(order)) * BINS // len(order), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    ticks, labels, y = [], [], 0.0
    width = len(order) / BINS
    for place, (f, v) in enumerate(rows):
        if place and rows[place - 1][0] != f:
            y += 1.0
        has = np.bincount(bins, view.levels[order, f] == v, minlength=BINS) / np.maximum(counts, 1)
        # A grey that stands out from white and from black paper, and nothing where no specification is.
        shade = np.stack([*np.full((3, BINS), GREY_LEVEL), has], axis=-1)[None]
        ends = (0, width * BINS, y + 0.4, y - 0.4)
        ax.imshow(shade, extent=ends, aspect="auto", interpolation="nearest")
        name = CHOICES[f]
        ticks.append(y)
        first = place == 0 or rows[place - 1][0] != f
        lead = f"{choice_words(name)}: " if first else ""
        labels.append(f"{lead}{short(value_words(name, m.about['values'][name][v]), 44)}")
        y += 1.0
    ax.set_yticks(ticks, labels, fontsize=8)
    ax.set_ylim(y - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)


def shares(view: View) -> Axes:
    """Each choice's share of the variance of all estimates: with its interactions, and alone."""
    s = view.shares
    order = np.argsort(s.total)
    ax = plt.subplots(figsize=(8, 0.38 * len(order) + 1.2), layout="constrained")[1]
    at = np.arange(len(order))
    ax.barh(at, 100 * s.total[order], height=0.34, color="#0072B2", label="when all else stays as it is")
    ax.barh(
        at - 0.36,
        100 * s.first[order],
        height=0.34,
        color="#E69F00",
        hatch="//",
        label="on average over all else",
    )
    ax.set_yticks(at - 0.18, [choice_words(s.names[f]) for f in order])
    ax.set_xlabel("share of the variance of the estimates (%)")
    ax.legend(frameon=False, loc="lower right")
    return ax
