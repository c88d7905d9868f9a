"""A picture of one stage and two."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from twostage.collection import Collection
from twostage.pages.common.style import GREY, LOOK, in_legend, pair
from twostage.pages.onestage.analysis import OneStageComparison
from twostage.pages.onestage.tables import APPROXIMATE
from twostage.stage2 import Attempt
from twostage.stats.base import NotEstimable
from twostage.terms import DIRECTIONS, arrow


def stages(found: dict[str, Attempt], collection: Collection, ax: Axes | None = None) -> Axes:
    """Both cross-lagged effects by every way with their confidence intervals.

    Raises
    ------
    NotEstimable
        If neither direction could be compared.
    """
    results: list[OneStageComparison] = [one.result for one in found.values() if one]
    if not results:
        raise NotEstimable("in neither direction do two studies have what the model needs")
    ways = list(results[0].table["way"].unique())
    ax = ax or plt.subplots(figsize=(8, 0.55 * len(ways) + 1.6), layout="constrained")[1]
    ax.axvline(0, color=GREY, lw=1, zorder=0)
    for i, result in enumerate(results):
        own = (
            result.table[result.table["term"] == DIRECTIONS[result.direction].cross]
            .set_index("way")
            .loc[ways]
        )
        at = np.arange(len(ways))[::-1] + 0.12 * (1 - 2 * i)
        colour, marker, line = LOOK[result.direction]
        ax.hlines(at, own["ci_low"], own["ci_high"], color=colour, lw=2, ls=line)
        name = in_legend(arrow(result.direction, *pair(collection)))
        ax.plot(own["estimate"], at, marker, color=colour, label=name)
    exact = pd.concat([result.table for result in results]).groupby("way")["exact"].all()
    ax.set_yticks(np.arange(len(ways))[::-1], [w if exact[w] else f"{w}{APPROXIMATE}" for w in ways])
    ax.set_xlabel("cross-lagged effect with its confidence interval")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.3), ncols=1, frameon=False)
    return ax


ALT = "Both cross-lagged effects with confidence intervals, in two stages and in one; the values are in the table."
