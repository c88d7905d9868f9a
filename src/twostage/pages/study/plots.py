"""Pictures of one study: a panel or its estimates and an optional Axes in, the Axes out."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from twostage.display import rows_of
from twostage.pages.common.style import GREY, INK, LOOK, folded, in_legend, pair
from twostage.stage1 import Description, Panel, StudyEstimates, outcome_rows
from twostage.stats.base import NotEstimable
from twostage.terms import DIRECTIONS, arrow, term_label
from twostage.words import say

#: Lines or points of single patients shown at most, so that a picture of 1,500 stays legible.
MOST_LINES, MOST_POINTS = 40, 3000


#: Points beyond which they are pixels within the picture: a thousand of them are smaller than a thousand marks.
MOST_MARKS = 300


#: Fewest points of a plot with a line.
FEWEST = 3


def trajectories(panel: Panel, variable: str, ax: Axes | None = None) -> Axes:
    """Mean of x or y per session with its 95 % interval, over some single patients' lines.

    Parameters
    ----------
    panel : Panel
    variable : str
        ``x`` or ``y``.
    ax : matplotlib.axes.Axes, optional
    """
    ax = ax or plt.subplots(figsize=(6, 4), layout="constrained")[1]
    scores = panel.everyone.dropna(subset=[variable])
    patients = scores["patient"].drop_duplicates()
    # Every n-th patient in the file's order: a sample without a seed to explain.
    chosen = set(patients.iloc[:: max(1, len(patients) // MOST_LINES)])
    for _, line in scores[scores["patient"].isin(chosen)].groupby("patient"):
        ax.plot(line["session"], line[variable], color=GREY, lw=0.6, alpha=0.5)
    means = scores.groupby("session")[variable].agg(["mean", "sem"]).reset_index()
    colour, marker, _ = LOOK["x_to_y" if variable == "x" else "y_to_x"]
    reach = 1.96 * means["sem"].fillna(0)
    ax.errorbar(means["session"], means["mean"], yerr=reach, color=colour, marker=marker, lw=2, capsize=3)
    ax.set_xlabel(say("session"))
    ax.set_ylabel(f"{getattr(panel, variable).label} ({unit(panel)})")
    return ax


def unit(panel: Panel) -> str:
    """The unit of the panel's scores, in words."""
    return {"total": "total SDs", "within": say("within-patient SDs"), "none": "scale points"}[
        panel.parameters.standardize
    ]


def missingness(description: Description, ax: Axes | None = None) -> Axes:
    """Share of the study's patients observed on both variables at each session."""
    ax = ax or plt.subplots(figsize=(6, 3), layout="constrained")[1]
    table = description.sessions
    bars = ax.bar(table["session"].astype(str), 100 * table["share_both"], color="#9ecae1", edgecolor=INK)
    ax.bar_label(bars, [f"{n:,}" for n in table["n_both"]], fontsize=9)
    ax.set_ylim(0, 110)
    ax.set_xlabel(say("session"))
    ax.set_ylabel(say("patients with both (%)"))
    return ax


def between(panel: Panel, ax: Axes | None = None) -> Axes:
    """Person means of y against those of x, with the least-squares line."""
    persons = panel.sessions.drop_duplicates("patient")
    ax = _scatter(persons, "x_mean", "y_mean", ax)
    ax.set_xlabel(f"mean {pair(panel)[0]} of the {say('patient')}")
    ax.set_ylabel(f"mean {pair(panel)[1]} of the {say('patient')}")
    return ax


def within(panel: Panel, ax: Axes | None = None) -> Axes:
    """Same-session deviations from the person means, with the least-squares line."""
    ax = _scatter(panel.sessions, "x_within", "y_within", ax)
    ax.set_xlabel(f"{pair(panel)[0]}, deviation from own mean")
    ax.set_ylabel(f"{pair(panel)[1]}, deviation from own mean")
    return ax


def _scatter(rows: pd.DataFrame, x: str, y: str, ax: Axes | None) -> Axes:
    ax = ax or plt.subplots(figsize=(5, 4), layout="constrained")[1]
    rows = rows.dropna(subset=[x, y])
    shown = rows.iloc[:: max(1, len(rows) // MOST_POINTS)]
    ax.scatter(shown[x], shown[y], s=9, color=GREY, alpha=0.5, lw=0, rasterized=len(shown) > MOST_MARKS)
    if len(rows) > 2 and rows[x].nunique() > 1:
        slope, start = np.polyfit(rows[x], rows[y], 1)
        ends = np.array([rows[x].min(), rows[x].max()])
        ax.plot(ends, start + slope * ends, color=INK, lw=2)
    return ax


def coefficients(estimates: StudyEstimates, panel: Panel, ax: Axes | None = None) -> Axes:
    """Within-patient coefficients of a study with their intervals, both directions."""
    table = estimates.table
    table = table[table["term"].str.contains("_within")]
    ax = ax or plt.subplots(figsize=(8.5, 0.45 * len(table) + 1.2))[1]
    at = np.arange(len(table))[::-1]
    names = pair(panel)
    for height, row in zip(at, rows_of(table), strict=True):
        colour, marker, style = LOOK[row.direction]
        ax.hlines(height, row.ci_low, row.ci_high, color=colour, ls=style)
        ax.plot(row.estimate, height, marker=marker, color=colour)
    ax.axvline(0, color=GREY, lw=1, zorder=0)
    ax.set_yticks(at, [folded(term_label(r.direction, r.term, *names)) for r in rows_of(table)], fontsize=9)
    ax.set_ylim(-0.6, len(table) - 0.4)
    ax.set_xlabel(f"coefficient ({unit(panel)})")
    return ax


def transitions(estimates: StudyEstimates, panel: Panel, ax: Axes | None = None) -> Axes:
    """Cross-lagged effect at each transition of one study."""
    ax = ax or plt.subplots(figsize=(7, 3.5), layout="constrained")[1]
    for shift, d in zip((-0.08, 0.08), DIRECTIONS.values(), strict=True):
        table = estimates.table
        rows = table[(table["direction"] == d.name) & (table["term"] == d.cross)]
        starts = rows["variant"].str.split(" ").str[0].astype(int)
        colour, marker, style = LOOK[d.name]
        reach = [rows["estimate"] - rows["ci_low"], rows["ci_high"] - rows["estimate"]]
        label = in_legend(arrow(d.name, *pair(panel)))
        ax.errorbar(
            starts + shift,
            rows["estimate"],
            yerr=reach,
            color=colour,
            marker=marker,
            ls=style,
            capsize=3,
            label=label,
        )
    ax.axhline(0, color=GREY, lw=1, zorder=0)
    ax.set_xticks(sorted({int(v.split(" ")[0]) for v in estimates.table["variant"]}))
    ax.set_xlabel(say("from session"))
    ax.set_ylabel("lagged effect")
    ax.legend(frameon=False)
    return ax


def simple_slopes(
    estimates: StudyEstimates, panel: Panel, direction: str, mean: str, ax: Axes | None = None
) -> Axes:
    """Cross-lagged effect along a person mean, with the pointwise interval at the analysis' level.

    Parameters
    ----------
    estimates : StudyEstimates
        Of :func:`twostage.stage1.equations.crosslevel`.
    panel : Panel
    direction : str
    mean : str
        ``x_mean`` or ``y_mean``, the moderator.
    """
    from scipy.stats import norm

    ax = ax or plt.subplots(figsize=(5, 3.8), layout="constrained")[1]
    d = DIRECTIONS[direction]
    if ("main", direction) not in estimates.covariances:
        ax.set_axis_off()
        ax.text(0.5, 0.5, f"{arrow(direction, *pair(panel))}: not estimated", ha="center", va="center")
        return ax
    rows = estimates.table[estimates.table["direction"] == direction].set_index("term")["estimate"]
    covariance = estimates.covariances["main", direction]
    product = f"{d.cross}:{mean}"
    persons = panel.sessions.drop_duplicates("patient")[mean]
    sd = persons.std(ddof=1)
    at = np.linspace(-2 * sd, 2 * sd, 61)
    line = rows[d.cross] + rows[product] * at
    c = covariance.loc[[d.cross, product], [d.cross, product]].to_numpy()
    half = norm.ppf(0.5 + panel.parameters.level / 2) * np.sqrt(c[0, 0] + 2 * at * c[0, 1] + at**2 * c[1, 1])
    colour, _, style = LOOK[direction]
    ax.fill_between(at / sd, line - half, line + half, color=colour, alpha=0.2, lw=0)
    ax.plot(at / sd, line, color=colour, ls=style, lw=2)
    ax.axhline(0, color=GREY, lw=1, zorder=0)
    ax.set_xlabel(f"{say('patient')}'s mean {getattr(panel, mean[0]).label} (SDs from the average)")
    ax.set_ylabel(arrow(direction, *pair(panel)))
    return ax


def _enough(rows: pd.DataFrame, panel: Panel) -> None:
    """Raise, and say what is missing, where there is no line to draw."""
    patients = panel.patients if panel.patients is not None else pd.DataFrame()
    known = {c: c in patients and bool(patients[c].notna().any()) for c in ("pre", "post")}
    without = [name for c, name in (("pre", "intake"), ("post", "outcome")) if not known[c]]
    if without:
        raise NotEstimable(f"the study has no {' and no '.join(without)} scores")
    if len(rows) < FEWEST or rows["pre"].nunique() < 2:
        raise NotEstimable(
            f"{len(rows)} patients with early x, intake and outcome, or intakes all alike, draw no line"
        )


def added_variable(panel: Panel, ax: Axes | None = None) -> Axes:
    """Outcome against early x, both after taking out intake: the picture of the partial correlation.

    Raises
    ------
    NotEstimable
        If the study has no intake or outcome scores, or too few.
    """
    rows = outcome_rows(panel)
    _enough(rows, panel)
    resid = {}
    for name in ("x_early", "post"):
        slope, start = np.polyfit(rows["pre"], rows[name], 1)
        resid[name] = rows[name] - start - slope * rows["pre"]
    ax = _scatter(pd.DataFrame(resid), "x_early", "post", ax)
    ax.set_xlabel(f"early {pair(panel)[0]}, given {say('intake')}")
    ax.set_ylabel(f"{say('outcome')} ({pair(panel)[1]}), given {say('intake')}")
    sns.despine(ax=ax)
    return ax
