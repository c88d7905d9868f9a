"""The forest plot: studies, subgroups, the pooled effect and the prediction interval, with the numbers beside them."""

import textwrap
from dataclasses import dataclass, field

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from twostage.collection import Collection
from twostage.display import count, inference, interval, number, with_interval
from twostage.pages.common.style import GREY, INK, LOOK, p_equals, pair, short
from twostage.stage2 import PooledTable, as_correlations
from twostage.stats.pool import SubgroupFit
from twostage.terms import term_label
from twostage.words import say

#: How studies can be ordered: column of the studies' table and whether the largest come first.
SORTS = {"collection": None, "estimate": "estimate", "precision": "std_error", "year": "year"}


#: Letter size [points]; width of the plot, between columns, at the sides, height of a line [inches].
SIZE, PLOT, GAP, MARGIN, LINE = 9.5, 2.3, 0.16, 0.08, 0.25


#: Inches above the first and below the last line.
ABOVE, BELOW = 0.75, 0.6


#: Columns left and right of the plot.
LEFT, RIGHT = ("patients", "transitions"), ("weight", "estimate [CI]")


@dataclass
class _Line:
    """One line of the table: its height above the lowest one and its cells by column."""

    height: float
    cells: dict[str, str]
    bold: bool = False
    rows: pd.DataFrame | None = field(default=None, repr=False)


def forest(
    pooled: PooledTable,
    direction: str,
    term: str,
    collection: Collection,
    variant: str = "main",
    ax: Axes | None = None,
    *,
    sort: str = "collection",
    subgroups: SubgroupFit | None = None,
    columns: pd.DataFrame | None = None,
    prediction: bool = True,
) -> Axes:
    """Forest plot of one coefficient.

    Parameters
    ----------
    pooled : PooledTable
    direction, term, variant : str
        Which coefficient; term `partial_r_z` is drawn as correlations.
    collection : Collection
        For the names of the pair and the studies' years.
    ax : matplotlib.axes.Axes, optional
        Drawn on; a new figure otherwise.
    sort : {"collection", "estimate", "precision", "year"}
        Order of the studies: as in the collection, smallest estimate first, most precise first, earliest first.
    subgroups : SubgroupFit, optional
        Of the same studies in the order of ``pooled.studies(...)``: the studies are drawn group by group, each
        followed by its own diamond, and the test between groups stands in the note.
    columns : DataFrame, optional
        Index: study ids; its columns are shown as text beside the studies' names.
    prediction : bool
        Whether to draw the prediction interval.

    Returns
    -------
    matplotlib.axes.Axes
        Studies with their intervals, the area of a square growing with its weight; below them the pooled
        diamond, the prediction interval as a bar; above them the heterogeneity in words. One study stands alone.

    Raises
    ------
    ValueError
        An unknown order, subgroups of other studies.
    NotEstimable
        No study has the coefficient.
    """
    studies, total = _numbers(pooled, direction, term, variant, collection, subgroups)
    several = len(studies) > 1
    prediction = prediction and np.isfinite(float(total["pi_low"]))
    studies = _sorted(studies, sort)
    extra = pd.DataFrame(index=studies["study"]) if columns is None else columns.astype(str)
    lines = _lines(studies, total, extra, subgroups, term, prediction)
    names = ["study", *extra.columns, *LEFT, *RIGHT]
    if term == "partial_r_z":
        names.remove("transitions")
    ax, places = _canvas(ax, lines, names)
    _draw_studies(ax, lines, total)
    if several:
        _diamond(ax, total, lines[-1 - prediction].height, LOOK["x_to_y"][0])
    for line in lines[:-1]:
        if line.bold and line.rows is not None:
            _diamond(ax, line.rows.iloc[0], line.height, GREY)
    if prediction:
        ax.hlines(
            lines[-1].height, total["pi_low"], total["pi_high"], color=LOOK["y_to_x"][0], lw=5, zorder=2
        )
    _write(ax, lines, places)
    ax.set_xlabel(_effect_label(direction, term, collection), fontsize=SIZE)
    note = _note(pooled.row(direction, term, variant), pooled, subgroups, prediction) if several else []
    _title(ax, note, places)
    return ax


def _numbers(pooled, direction, term, variant, collection, subgroups):
    """Studies (with year and group) and the pooled row, correlations where Fisher's z was pooled."""
    studies, total = pooled.studies(direction, term, variant), pooled.row(direction, term, variant)
    if subgroups is not None and len(subgroups.membership) != len(studies):
        raise ValueError(f"subgroups of {len(subgroups.membership)} studies; expected {len(studies)}")
    years = collection.studies.set_index("study")["year"]
    groups = [""] * len(studies) if subgroups is None else list(subgroups.membership)
    studies = studies.assign(year=studies["study"].map(years), group=groups)
    if term == "partial_r_z":
        errors = studies["std_error"]
        studies = as_correlations(studies).assign(std_error=errors)
        total = as_correlations(total.to_frame().T).iloc[0]
    return studies, total


def _sorted(studies: pd.DataFrame, sort: str) -> pd.DataFrame:
    if sort not in SORTS:
        raise ValueError(f"sort must be one of {', '.join(SORTS)}; got {sort!r}")
    column = SORTS[sort]
    return studies if column is None else studies.sort_values(column, kind="stable")


def _lines(studies, total, extra, subgroups, term, prediction) -> list[_Line]:
    """The table from top to bottom; heights are set last."""
    heads = {name: name for name in ("study", *extra.columns)} | {name: say(name) for name in LEFT + RIGHT}
    lines = [_Line(0.0, heads, bold=True)]
    groups = [""] if subgroups is None else list(subgroups.groups)
    for group in groups:
        members = studies[studies["group"] == group]
        if group:
            lines.append(_Line(0.0, {"study": short(group)}, bold=True))
        for _, row in members.iterrows():
            cells = extra.loc[row["study"]] if row["study"] in extra.index else pd.Series()
            more = {str(column): short(str(cell)) for column, cell in cells.items()}
            lines.append(
                _Line(0.0, {"study": short(row["label"])} | more | _cells(row), rows=row.to_frame().T)
            )
        if group:
            pooled = _group_row(subgroups, group, members, term)
            name = {"study": f"pooled (k = {len(members)})"}
            lines.append(_Line(0.0, name | _cells(pooled), bold=True, rows=pooled.to_frame().T))
    whole = total.copy()
    whole["weight"] = 100.0
    words = f"pooled (k = {len(studies)})" if subgroups is None else f"all studies (k = {len(studies)})"
    if len(studies) > 1:
        lines.append(_Line(0.0, {"study": words} | _cells(whole), bold=True))
    if prediction:
        ends = interval(float(total["pi_low"]), float(total["pi_high"]))
        lines.append(_Line(0.0, {"study": "prediction interval", "estimate [CI]": ends}))
    for i, line in enumerate(lines):
        line.height = float(len(lines) - 1 - i)
    return lines


def _cells(row: pd.Series) -> dict[str, str]:
    return {
        "patients": count(row["n_patients"]),
        "transitions": count(row["n_transitions"]),
        "weight": f"{number(float(row['weight']), 1)} %",
        "estimate [CI]": with_interval(float(row["estimate"]), float(row["ci_low"]), float(row["ci_high"])),
    }


def _group_row(subgroups: SubgroupFit, group: str, members: pd.DataFrame, term: str) -> pd.Series:
    i = subgroups.groups.index(group)
    back = np.tanh if term == "partial_r_z" else float
    numbers = {c: float(back(getattr(subgroups, c)[i])) for c in ("estimate", "ci_low", "ci_high")}
    sums = {c: members[c].sum() for c in ("n_patients", "n_transitions", "weight")}
    return pd.Series(numbers | sums)


def _width(text: str, bold: bool) -> float:
    """Width of a text in inches."""
    font = FontProperties(family=plt.rcParams["font.family"], weight="bold" if bold else "normal")
    return TextPath((0, 0), text, size=SIZE, prop=font).get_extents().width / 72.0 if text else 0.0


def _canvas(
    ax: Axes | None, lines: list[_Line], names: list[str]
) -> tuple[Axes, dict[str, tuple[float, str]]]:
    """The axes, and for every column its place (in widths of the axes) and alignment."""
    wide = {c: max(_width(line.cells.get(c, ""), line.bold) for line in lines) for c in names}
    left = [c for c in names if c not in RIGHT]
    left_width = sum(wide[c] + GAP for c in left)
    right_width = sum(wide[c] + GAP for c in RIGHT)
    width = MARGIN + left_width + PLOT + right_width + MARGIN
    height = ABOVE + LINE * (len(lines) + 0.4) + BELOW
    if ax is None:
        figure = plt.figure(figsize=(width, height))
        box = ((MARGIN + left_width) / width, BELOW / height, PLOT / width, 1 - (ABOVE + BELOW) / height)
        ax = figure.add_axes(box)
    ax.set_ylim(-0.7, len(lines) - 0.3)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="x", labelsize=SIZE)
    places, at = {}, -left_width
    for c in left:
        counted = c in LEFT
        places[c] = ((at + (wide[c] if counted else 0.0)) / PLOT, "right" if counted else "left")
        at += wide[c] + GAP
    at = PLOT
    for c in RIGHT:
        at += GAP + wide[c]
        places[c] = (at / PLOT, "right")
    return ax, places


def _draw_studies(ax: Axes, lines: list[_Line], total: pd.Series) -> None:
    drawn = [line for line in lines if line.rows is not None and not line.bold]
    heights = np.array([line.height for line in drawn])
    rows = pd.concat([line.rows for line in drawn])
    low, mid, high, weight = (rows[c].to_numpy(float) for c in ("ci_low", "estimate", "ci_high", "weight"))
    ax.axvline(0, color=GREY, lw=1, zorder=0)
    ax.axvline(float(total["estimate"]), color=INK, lw=0.8, ls=":", zorder=0)
    ax.hlines(heights, low, high, color=INK, lw=1.2)
    ax.scatter(mid, heights, s=14 + 110 * weight / weight.max(), marker="s", color=INK, zorder=3)


def _diamond(ax: Axes, row: pd.Series, height: float, colour: str) -> None:
    low, mid, high = (float(row[c]) for c in ("ci_low", "estimate", "ci_high"))
    corners = [height, height + 0.32, height, height - 0.32]
    ax.fill([low, mid, high, mid], corners, color=colour, ec=INK, lw=0.8, zorder=3)


def _write(ax: Axes, lines: list[_Line], places: dict[str, tuple[float, str]]) -> None:
    across = ax.get_yaxis_transform()
    for line in lines:
        for column, (at, side) in places.items():
            if line.cells.get(column):
                weight = "bold" if line.bold else "normal"
                text = line.cells[column]
                ax.text(
                    at,
                    line.height,
                    text,
                    transform=across,
                    ha=side,
                    va="center",
                    fontsize=SIZE,
                    weight=weight,
                )


def _effect_label(direction: str, term: str, collection: Collection) -> str:
    if term == "partial_r_z":
        text = f"partial correlation of early {pair(collection)[0]} with the {say('outcome, given intake')}"
    else:
        text = term_label(direction, term, *pair(collection))
    return textwrap.fill(text, 44, break_on_hyphens=False)


def _note(
    total: pd.Series, pooled: PooledTable, subgroups: SubgroupFit | None, prediction: bool
) -> list[str]:
    scale = " (Fisher z)" if total["term"] == "partial_r_z" else ""
    lines = [
        f"Heterogeneity{scale}: Q({int(total['k']) - 1}) = {number(total['q'])}, "
        f"p {p_equals(total['q_p_value'])}, I² = {number(total['i2'], 1)}\u00a0%, "
        f"τ = {number(np.sqrt(total['tau2']), 3)}; "
        f"τ² by {pooled.method}, {inference(pooled.ci)} inference, {100 * pooled.level:g}\u00a0% intervals"
    ]
    if prediction:
        lines.append(f"Prediction interval: {total['pi_rule']}")
    if subgroups is not None:
        df2 = subgroups.qm_df2
        test = f"F({subgroups.qm_df}, {df2:g})" if np.isfinite(df2) else f"χ²({subgroups.qm_df})"
        lines.append(
            f"Between subgroups: {test} = {number(subgroups.qm)}, p {p_equals(subgroups.qm_p_value)}; "
            f"{subgroups.tau2_rule} τ²"
        )
    return lines


def _title(ax: Axes, note: list[str], places: dict[str, tuple[float, str]]) -> None:
    """The note above the table, broken where the table ends."""
    width = (max(at for at, _ in places.values()) - places["study"][0]) * PLOT
    letters = int(width / (0.0075 * SIZE))
    text = "\n".join(textwrap.fill(line, letters) for line in note)
    ax.set_title(text, fontsize=SIZE, loc="left", x=places["study"][0], pad=6)
