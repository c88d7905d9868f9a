"""Pictures of estimators side by side, and of how they fare where the truth is known."""

from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from twostage.collection import Collection
from twostage.display import rows_of
from twostage.pages.common.style import GREY, INK, LOOK, in_legend, pair
from twostage.pages.estimators.analysis import EstimatorComparison
from twostage.stage1 import Panel, StudyEstimates
from twostage.stats.base import NotEstimable
from twostage.terms import DIRECTIONS, arrow, estimator_words, term_label

#: Longest line of a label beside the axes, in letters.
LABEL_WIDTH = 27


def estimators(
    comparison: EstimatorComparison,
    direction: str,
    term: str,
    collection: Collection,
    truth: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Pooled coefficient by every estimator with confidence and prediction intervals.

    Parameters
    ----------
    comparison : EstimatorComparison
    direction, term : str
    collection : Collection
        For the names of the pair.
    truth : float, optional
        Generating value of synthetic data, drawn as a line.
    ax : matplotlib.axes.Axes, optional

    Raises
    ------
    NotEstimable
        If no study has the coefficient.
    """
    rows = comparison.pooled.table
    rows = rows[(rows["direction"] == direction) & (rows["term"] == term)].reset_index(drop=True)
    if rows.empty:
        raise NotEstimable("no study has this effect by any estimator")
    ax = ax or plt.subplots(figsize=(8, 0.5 * len(rows) + 1.4), layout="constrained")[1]
    at = np.arange(len(rows))[::-1]
    ax.axvline(0, color=GREY, lw=1, zorder=0)
    if truth is not None:
        ax.axvline(truth, color=INK, lw=1, ls=":", zorder=0, label="generating value (synthetic data)")
    colour, marker, _ = LOOK[direction]
    ends = rows[["estimate", "ci_low", "ci_high", "pi_low", "pi_high"]].astype(float)
    if ends["pi_low"].notna().any():
        ax.hlines(
            at, ends["pi_low"], ends["pi_high"], color=GREY, lw=1, zorder=1, label="prediction interval"
        )
    ax.hlines(at, ends["ci_low"], ends["ci_high"], color=colour, lw=3, zorder=2, label="confidence interval")
    ax.plot(ends["estimate"], at, ls="", marker=marker, color=INK, ms=6, zorder=3)
    ax.set_yticks(at, [_name(r.estimator, r.k) for r in rows_of(rows)], fontsize=10)
    ax.tick_params(axis="y", length=0)
    pooled = "pooled " * bool((rows["k"] > 1).any())
    ax.set_xlabel(f"{pooled}{term_label(direction, term, *pair(collection))}")
    ax.legend(frameon=False, fontsize=9, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def wrapped(text: str) -> str:
    return fill(text, LABEL_WIDTH, break_on_hyphens=False)


def _name(estimator: str, k: int) -> str:
    return wrapped(f"{estimator_words(estimator)} (k\u00a0=\u00a0{k})")


def study_estimators(estimates: StudyEstimates, panel: Panel, ax: Axes | None = None) -> Axes:
    """A study's cross-lagged effects of both directions by every estimator."""
    table = estimates.table
    ax = ax or plt.subplots(figsize=(8, 4.4), layout="constrained")[1]
    ax.axvline(0, color=GREY, lw=1, zorder=0)
    names = list(dict.fromkeys(table["estimator"]))
    heights = np.arange(len(names))[::-1]
    for shift, d in zip((0.12, -0.12), DIRECTIONS.values(), strict=True):
        rows = table[(table["direction"] == d.name) & (table["term"] == d.cross)].set_index("estimator")
        rows = rows[["estimate", "ci_low", "ci_high"]].reindex(names).astype(float)
        colour, marker, _ = LOOK[d.name]
        reach = [rows["estimate"] - rows["ci_low"], rows["ci_high"] - rows["estimate"]]
        label = in_legend(arrow(d.name, *pair(panel)))
        look: dict[str, Any] = {"color": colour, "marker": marker, "ls": "", "lw": 1.4, "label": label}
        ax.errorbar(rows["estimate"], heights + shift, xerr=np.array(reach), **look)
    ax.set_yticks(heights, [wrapped(estimator_words(name)) for name in names], fontsize=10)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("cross-lagged effect")
    ax.legend(frameon=False, fontsize=9, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    return ax
