"""Pictures of how the estimators did in the recovery study."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from twostage.collection import Collection
from twostage.pages.common.style import GREY, pair
from twostage.pages.estimators.plots import wrapped
from twostage.recovery.store import Recovery
from twostage.recovery.verdict import kinds
from twostage.terms import DIRECTIONS, ESTIMATORS, arrow, estimator_words
from twostage.words import say

#: Measures that can be drawn: axis label, and where a good estimator is.
MEASURES = {
    "bias": ("bias of the pooled effect", 0.0),
    "coverage": ("coverage of the interval", 0.95),
    "rejection": ("share of intervals without zero", None),
    "rmse": ("root mean square error of the pooled effect", None),
}


def recovery(
    study: Recovery,
    measure: str,
    direction: str,
    collection: Collection,
    *,
    null: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """A performance measure of the pooled cross-lagged effect, by condition and estimator.

    Parameters
    ----------
    study : Recovery
    measure : {"bias", "coverage", "rejection", "rmse"}
    direction : str
    collection : Collection
    null : bool
        Conditions without cross-lagged effects instead of those with.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
        One row per condition, one mark per estimator; whiskers reach two Monte Carlo standard errors to each side.
    """
    conditions = [pair[null] for pair in kinds()]
    ax = ax or plt.subplots(figsize=(8, 0.62 * len(conditions) + 1.9), layout="constrained")[1]
    label, target = MEASURES[measure]
    target = 0.05 if measure == "rejection" and null else target
    if target is not None:
        ax.axvline(target, color=GREY, lw=1, zorder=0)
    heights = np.arange(len(conditions))[::-1].astype(float)
    for shift, estimator in zip(np.linspace(0.3, -0.3, len(ESTIMATORS)), ESTIMATORS.values(), strict=True):
        rows = [study.row(c.name, estimator.name, direction, DIRECTIONS[direction].cross) for c in conditions]
        value = np.array([np.nan if r is None else r[measure] for r in rows])
        error = np.array([np.nan if r is None else 2 * r[f"{measure}_mcse"] for r in rows])
        look: dict[str, Any] = {
            "color": estimator.colour,
            "marker": estimator.marker,
            "ms": 5,
            "lw": 1.2,
            "ls": "",
        }
        ax.errorbar(value, heights + shift, xerr=error, label=estimator_words(estimator.name), **look)
    for height in heights[:-1]:
        ax.axhline(height - 0.5, color="#e6e6e6", lw=0.8, zorder=0)
    ax.set_yticks(heights, [wrapped(say(c.words)) for c in conditions], fontsize=10)
    ax.tick_params(axis="y", length=0)
    effect = arrow(direction, *pair(collection))
    ax.set_xlabel(f"{label}\n{effect}", fontsize=10)
    ax.legend(frameon=False, fontsize=9, ncols=2, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    return ax
