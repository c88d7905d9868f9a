"""Pictures of pooled results: a result and an optional Axes in, the Axes out.

Readable in grey: what distinguishes two things is shape and line style first, colour (Okabe-Ito) second.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from twostage.collection import Collection
from twostage.display import count, inference, interval, number, p_value
from twostage.stage2 import PooledTable, as_correlations
from twostage.terms import DIRECTIONS, arrow, term_label

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


def forest(
    pooled: PooledTable,
    direction: str,
    term: str,
    collection: Collection,
    variant: str = "main",
    ax: Axes | None = None,
) -> Axes:
    """Forest plot of one coefficient.

    Parameters
    ----------
    pooled : PooledTable
    direction, term, variant : str
        Which coefficient; term `partial_r_z` is drawn as correlations.
    collection : Collection
        For the names of the pair.
    ax : matplotlib.axes.Axes, optional
        Drawn on; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        Studies with their intervals, the area of a square growing with its weight; below them the pooled
        diamond, the prediction interval as a bar; above them the heterogeneity in words.
    """
    studies, total = pooled.studies(direction, term, variant), pooled.row(direction, term, variant)
    if term == "partial_r_z":
        studies = as_correlations(studies)
        total = as_correlations(total.to_frame().T).iloc[0]
    k = len(studies)
    ax = ax or plt.subplots(figsize=(4.4, 0.32 * k + 2.2))[1]
    rows = np.arange(k, 0, -1) + 1.0
    ax.axvline(0, color=GREY, lw=1, zorder=0)
    ax.axvline(total["estimate"], color=INK, lw=0.8, ls=":", zorder=0)
    ax.hlines(rows, studies["ci_low"], studies["ci_high"], color=INK, lw=1.2)
    area = 14 + 110 * studies["weight"] / studies["weight"].max()
    ax.scatter(studies["estimate"], rows, s=area, marker="s", color=INK, zorder=3)
    _diamond(ax, total)
    _forest_text(ax, studies, rows, total, transitions=term != "partial_r_z")
    ax.set_xlabel(_effect_label(direction, term, collection), fontsize=9.5)
    ax.tick_params(axis="x", labelsize=9)
    _heterogeneity_note(ax, pooled.row(direction, term, variant), pooled)
    return ax


def _diamond(ax: Axes, total: pd.Series) -> None:
    low, mid, high = (float(total[c]) for c in ("ci_low", "estimate", "ci_high"))
    ax.fill([low, mid, high, mid], [1, 1.32, 1, 0.68], color="#0072B2", ec=INK, lw=0.8, zorder=3)
    if np.isfinite(float(total["pi_low"])):
        ax.hlines(0.3, total["pi_low"], total["pi_high"], color="#D55E00", lw=5, zorder=2)


def _forest_text(
    ax: Axes, studies: pd.DataFrame, rows: np.ndarray, total: pd.Series, transitions: bool
) -> None:
    k = len(studies)
    ax.set_ylim(-0.3, k + 2.6)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    across = ax.get_yaxis_transform()
    heads = [("study", -0.86, "left"), ("patients", -0.28, "right"), ("weight", 1.18, "right")]
    heads.append(("estimate [CI]", 1.68, "right"))
    if transitions:
        heads.append(("transitions", -0.02, "right"))
    cells = [[s.label, count(s.n_patients), f"{number(s.weight, 1)} %"] for s in studies.itertuples()]
    for cell, s in zip(cells, studies.itertuples(), strict=True):
        cell.append(f"{number(s.estimate)} {interval(s.ci_low, s.ci_high)}")
        cell.append(count(s.n_transitions))
    whole = [f"pooled (k = {k})", count(studies["n_patients"].sum()), "100.0 %"]
    whole += [f"{number(total['estimate'])} {interval(total['ci_low'], total['ci_high'])}"]
    whole.append(count(studies["n_transitions"].sum()))
    lines = [(k + 1.95, [h[0] for h in heads], "bold")]
    lines += [(row, cell, "normal") for row, cell in zip(rows, cells, strict=True)] + [(1.0, whole, "bold")]
    for height, texts, weight in lines:
        for text, (_, at, side) in zip(texts, heads, strict=False):
            ax.text(at, height, text, transform=across, ha=side, va="center", fontsize=9, weight=weight)
    if np.isfinite(float(total["pi_low"])):
        _prediction_text(ax, total, across)


def _prediction_text(ax: Axes, total: pd.Series, across) -> None:
    ax.text(-0.86, 0.3, "prediction interval", transform=across, va="center", fontsize=9)
    ends = interval(float(total["pi_low"]), float(total["pi_high"]))
    ax.text(1.68, 0.3, ends, transform=across, ha="right", va="center", fontsize=9)


def _effect_label(direction: str, term: str, collection: Collection) -> str:
    if term == "partial_r_z":
        return f"partial correlation of early {collection.x.label} with the outcome, given intake"
    return term_label(direction, term, collection.x.label, collection.y.label)


def _heterogeneity_note(ax: Axes, total: pd.Series, pooled: PooledTable) -> None:
    scale = " (Fisher z)" if total["term"] == "partial_r_z" else ""
    note = (
        f"Heterogeneity{scale}: Q({int(total['k']) - 1}) = {number(total['q'])}, "
        f"p {_equals(total['q_p_value'])}, I² = {number(total['i2'], 1)} %, "
        f"τ = {number(np.sqrt(total['tau2']), 3)}; "
        f"τ² by {pooled.method}, {inference(pooled.ci)} inference, {100 * pooled.level:g} % intervals\n"
        f"prediction interval: {total['pi_rule']}"
    )
    ax.set_title(note, fontsize=9, loc="left", x=-0.86, pad=8)


def _equals(p: float) -> str:
    text = p_value(p)
    return text if text.startswith("<") else f"= {text}"


def by_transition(pooled: PooledTable, collection: Collection, ax: Axes | None = None) -> Axes:
    """Pooled cross-lagged effect of each transition, both directions."""
    ax = ax or plt.subplots(figsize=(8, 4), layout="constrained")[1]
    names = list(dict.fromkeys(pooled.table["variant"]))
    for shift, d in zip((-0.08, 0.08), DIRECTIONS.values(), strict=True):
        rows = pooled.table[(pooled.table["direction"] == d.name) & (pooled.table["term"] == d.cross)]
        rows = rows.set_index("variant").reindex(names)
        label = arrow(d.name, collection.x.label, collection.y.label)
        _whiskers(ax, np.arange(len(names)) + shift, rows, d.name, label, line=True)
    ax.axhline(0, color=GREY, lw=1, zorder=0)
    ax.set_xticks(range(len(names)), names)
    ax.set_xlabel("transition (session to session)")
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
    """Pooled cross-lagged effect of one direction under every variant of the analysis."""
    d = DIRECTIONS[direction]
    rows = pooled.table[(pooled.table["direction"] == direction) & (pooled.table["term"] == d.cross)]
    ax = ax or plt.subplots(figsize=(8, 0.42 * len(rows) + 1.4))[1]
    chosen = rows[rows["variant"] == "as chosen"]
    if len(chosen):
        ax.axvline(chosen["estimate"].iloc[0], color=INK, lw=0.8, ls=":", zorder=0)
    _horizontal(ax, rows, [f"{r.variant} (k = {r.k})" for r in rows.itertuples()], direction)
    ax.set_xlabel(f"pooled {arrow(direction, collection.x.label, collection.y.label)}")
    return ax


def left_out(table: pd.DataFrame, total: pd.Series, collection: Collection, ax: Axes | None = None) -> Axes:
    """Leave-one-out estimates; all studies' pooled estimate is dotted, its interval shaded."""
    ax = ax or plt.subplots(figsize=(8, 0.3 * len(table) + 1.4))[1]
    ax.axvspan(total["ci_low"], total["ci_high"], color="#dddddd", lw=0, zorder=0)
    ax.axvline(total["estimate"], color=INK, lw=0.8, ls=":", zorder=0)
    _horizontal(ax, table, [f"without {label}" for label in table["label"]], total["direction"])
    ax.set_xlabel(f"pooled {arrow(total['direction'], collection.x.label, collection.y.label)}")
    return ax


def _horizontal(ax: Axes, rows: pd.DataFrame, labels: list[str], direction: str) -> None:
    colour, marker, _ = LOOK[direction]
    at = np.arange(len(rows))[::-1]
    ax.axvline(0, color=GREY, lw=1, zorder=0)
    ax.hlines(at, rows["ci_low"], rows["ci_high"], color=colour, lw=1.4)
    ax.plot(rows["estimate"], at, ls="", marker=marker, color=colour)
    ax.set_yticks(at, labels)
    ax.tick_params(axis="y", length=0)
