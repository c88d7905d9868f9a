"""Pictures of pooled results: a result and an optional Axes in, the Axes out."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from twostage.collection import Collection
from twostage.display import rows_of
from twostage.pages.common.forest import forest
from twostage.pages.common.style import GREY, INK, LOOK, in_legend, pair, short, use_style
from twostage.stage2 import PooledTable
from twostage.stats.base import NotEstimable
from twostage.terms import DIRECTIONS, arrow
from twostage.words import say

__all__ = ["GREY", "INK", "LOOK", "by_transition", "forest", "left_out", "use_style", "variants"]


def by_transition(pooled: PooledTable, collection: Collection, ax: Axes | None = None) -> Axes:
    """Pooled cross-lagged effect of each transition, both directions.

    Raises
    ------
    NotEstimable
        If no study has one.
    """
    names = list(dict.fromkeys(pooled.table["variant"]))
    if not names:
        raise NotEstimable("no study has an effect of any transition")
    ax = ax or plt.subplots(figsize=(8, 4), layout="constrained")[1]
    for shift, d in zip((-0.08, 0.08), DIRECTIONS.values(), strict=True):
        rows = pooled.table[(pooled.table["direction"] == d.name) & (pooled.table["term"] == d.cross)]
        rows = rows.set_index("variant").reindex(names)
        label = in_legend(arrow(d.name, *pair(collection)))
        _whiskers(ax, np.arange(len(names)) + shift, rows, d.name, label, line=True)
    ax.axhline(0, color=GREY, lw=1, zorder=0)
    ax.set_xticks(range(len(names)), names)
    ax.set_xlabel(say("transition (session to session)"))
    ax.set_ylabel("pooled lagged effect")
    ax.legend(frameon=False, loc="best")
    return ax


def _whiskers(
    ax: Axes, at: np.ndarray, rows: pd.DataFrame, direction: str, label: str, line: bool = False
) -> None:
    colour, marker, style = LOOK[direction]
    estimate = rows["estimate"].to_numpy(float)
    reach = [estimate - rows["ci_low"].to_numpy(float), rows["ci_high"].to_numpy(float) - estimate]
    ax.errorbar(
        at,
        estimate,
        yerr=reach,
        color=colour,
        marker=marker,
        ls=style if line else "",
        lw=1.2,
        capsize=3,
        label=label,
    )


def variants(pooled: PooledTable, collection: Collection, direction: str, ax: Axes | None = None) -> Axes:
    """Pooled cross-lagged effect of one direction under every variant of the analysis.

    Raises
    ------
    NotEstimable
        If no study has one.
    """
    d = DIRECTIONS[direction]
    rows = pooled.table[(pooled.table["direction"] == direction) & (pooled.table["term"] == d.cross)]
    if rows.empty:
        raise NotEstimable("no study has this effect")
    ax = ax or plt.subplots(figsize=(8, 0.42 * len(rows) + 1.4))[1]
    chosen = rows[rows["variant"] == "as chosen"]
    if len(chosen):
        ax.axvline(chosen["estimate"].iloc[0], color=INK, lw=0.8, ls=":", zorder=0)
    _horizontal(ax, rows, [f"{say(r.variant)} (k = {r.k})" for r in rows_of(rows)], direction)
    ax.set_xlabel(f"pooled {arrow(direction, *pair(collection))}")
    return ax


def left_out(table: pd.DataFrame, total: pd.Series, collection: Collection, ax: Axes | None = None) -> Axes:
    """Leave-one-out estimates; all studies' pooled estimate is dotted, its interval shaded."""
    ax = ax or plt.subplots(figsize=(8, 0.3 * len(table) + 1.4))[1]
    ax.axvspan(total["ci_low"], total["ci_high"], color="#dddddd", lw=0, zorder=0)
    ax.axvline(total["estimate"], color=INK, lw=0.8, ls=":", zorder=0)
    _horizontal(ax, table, [f"without {short(label)}" for label in table["label"]], total["direction"])
    ax.set_xlabel(f"pooled {arrow(total['direction'], *pair(collection))}")
    return ax


def _horizontal(ax: Axes, rows: pd.DataFrame, labels: list[str], direction: str) -> None:
    colour, marker, _ = LOOK[direction]
    at = np.arange(len(rows))[::-1]
    ax.axvline(0, color=GREY, lw=1, zorder=0)
    ax.hlines(at, rows["ci_low"], rows["ci_high"], color=colour, lw=1.4)
    ax.plot(rows["estimate"], at, ls="", marker=marker, color=colour)
    ax.set_yticks(at, labels)
    ax.tick_params(axis="y", length=0)
