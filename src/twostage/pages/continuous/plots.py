"""A picture of effects over intervals."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from twostage.collection import Collection
from twostage.pages.common.style import GREY, LOOK, in_legend, pair
from twostage.pages.continuous.analysis import IntervalEffectsPooled
from twostage.terms import DIRECTIONS, arrow
from twostage.words import say


def over_intervals(found: IntervalEffectsPooled, collection: Collection, ax: Axes | None = None) -> Axes:
    """Both pooled cross-lagged effects over the interval, with confidence bands.

    The usual interval is dotted; where nine of ten intervals lie is shaded.
    """
    ax = ax or plt.subplots(figsize=(8, 4), layout="constrained")[1]
    ax.axvspan(*found.most, color="#eeeeee", lw=0, zorder=0)
    ax.axvline(found.usual, color=GREY, lw=1, ls=":", zorder=1)
    ax.axhline(0, color=GREY, lw=1, zorder=1)
    for d in DIRECTIONS.values():
        rows = found.table[(found.table["direction"] == d.name) & (found.table["term"] == d.cross)]
        colour, marker, line = LOOK[d.name]
        ax.fill_between(rows["interval"], rows["ci_low"], rows["ci_high"], color=colour, alpha=0.15, lw=0)
        label = in_legend(arrow(d.name, *pair(collection)))
        ax.plot(rows["interval"], rows["estimate"], color=colour, marker=marker, ls=line, label=label)
    ax.set_xlabel(say("days between two sessions"))
    ax.set_ylabel("pooled lagged effect")
    ax.legend(frameon=False, loc="best")
    return ax


ALT = (
    "Both pooled cross-lagged effects over intervals of different length with confidence bands; the values are in the "
    "tables below."
)
