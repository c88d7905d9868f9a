"""Pictures of effects pooled jointly."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from twostage.collection import Collection
from twostage.pages.common.style import GREY, INK, pair
from twostage.pages.joint.analysis import JointPool
from twostage.pages.joint.dynamics import DynamicsPool
from twostage.terms import arrow
from twostage.words import say

REGION, PREDICTION = "#0072B2", "#D55E00"


#: Room around what is drawn, as a share of its extent.
MARGIN = 0.08


#: A region more than so many times as wide as the studies' spread leaves the picture.
LARGEST = 4.0


def joint_region(result: JointPool, ax: Axes | None = None, collection: Collection | None = None) -> Axes:
    """Studies, pooled pair and joint regions in the plane of both effects.

    Parameters
    ----------
    result : JointPool
    ax : matplotlib.axes.Axes, optional
        Drawn on; a new figure otherwise.
    collection : Collection, optional
        For the names of the pair; x and y otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        A circle per study, its area growing with its precision; marks on the left and lower edge for studies
        with one effect only; the pooled pair as a diamond with its confidence region (solid) and the region of a
        new study's true effects (dashed); the line of equal effects (dotted). Regions that do not exist are left
        out; those that would dwarf the studies run out of the picture.
    """
    ax = ax or plt.subplots(figsize=(6.4, 6.0), layout="constrained")[1]
    names = pair(collection) if collection else ("x", "y")
    _studies(ax, result)
    _pooled(ax, result)
    low, high = _limits(result)
    ax.set_xlim(low[0], high[0])
    ax.set_ylim(low[1], high[1])
    ends = [min(low), max(high)]
    ax.plot(ends, ends, color=INK, lw=1, ls=":", zorder=1, label="equal effects")
    ax.axhline(0, color=GREY, lw=0.8, zorder=0)
    ax.axvline(0, color=GREY, lw=0.8, zorder=0)
    ax.set_xlabel(_label(result, 0, names))
    ax.set_ylabel(_label(result, 1, names))
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.0, -0.14), ncols=2, fontsize=9)
    return ax


def _label(result, j, names):
    direction, term = result.pair[j]
    return arrow(direction, *names) + ("" if term.endswith("_within") else f" ({term})")


def _studies(ax, result):
    studies = result.studies
    both = studies.dropna(subset=["first", "second"])
    precision = 1.0 / (both["first_se"] * both["second_se"])
    if len(both):
        size = 20 + 160 * precision / precision.max()
        ax.scatter(
            both["first"], both["second"], s=size, fc="none", ec=GREY, lw=1.2, zorder=2, label="studies"
        )
    for column, other, place in (("first", "second", {"ymax": 0.03}), ("second", "first", {"xmax": 0.03})):
        draw = ax.axvline if column == "first" else ax.axhline
        for value in studies.loc[studies[other].isna(), column]:
            draw(value, color=INK, lw=1.6, zorder=2, **place)
    single = studies[["first", "second"]].isna().any(axis=1)
    if single.any():
        ax.plot([], [], color=INK, lw=1.6, label="studies with one effect (at the edge)")


def _pooled(ax, result):
    looks = {"confidence": (REGION, "-", 2.0), "prediction": (PREDICTION, "--", 1.6)}
    for kind, (colour, style, width) in looks.items():
        found = result.region(kind)
        if found is not None:
            what = "pooled effects" if kind == "confidence" else "a new study's true effects"
            name = f"{100 * result.level:g} % region of {what}"
            ax.plot(*found.points.T, color=colour, ls=style, lw=width, zorder=3, label=name)
            if kind == "confidence":
                ax.fill(*found.points.T, color=colour, alpha=0.15, lw=0, zorder=1)
    ax.plot(*result.fit.estimate, marker="D", ms=7, color=INK, ls="", zorder=4, label="pooled")


def _limits(result):
    """Lower and upper limits (2,) that hold zero, the studies, and each region that does not dwarf them."""
    points = np.vstack([result.studies[["first", "second"]], result.fit.estimate, np.zeros(2)]).astype(float)
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    ends = low, high
    for found in map(result.region, ("confidence", "prediction")):
        if found is not None and (np.ptp(found.points, axis=0) <= LARGEST * (ends[1] - ends[0])).all():
            low, high = np.minimum(low, found.points.min(axis=0)), np.maximum(high, found.points.max(axis=0))
    room = np.where(high > low, high - low, 1.0) * MARGIN
    return low - room, high + room


def responses(result: DynamicsPool, ax: Axes | None = None, collection: Collection | None = None) -> Axes:
    """Both cross-lagged responses over the next occasions, with their intervals.

    Parameters
    ----------
    result : DynamicsPool
    ax : matplotlib.axes.Axes, optional
        Drawn on; a new figure otherwise.
    collection : Collection, optional
        For the names of the pair; x and y otherwise.
    """
    ax = ax or plt.subplots(figsize=(6.4, 4.0), layout="constrained")[1]
    names = pair(collection) if collection else ("x", "y")
    table = result.tidy()
    table = table[table["occasion"] != "all later"]
    looks = (("x", "y", REGION, "o", -0.06), ("y", "x", PREDICTION, "s", 0.06))
    for impulse, variable, colour, marker, shift in looks:
        rows = table[(table["impulse"] == impulse) & (table["variable"] == variable)]
        at = rows["occasion"].astype(int).to_numpy() + shift
        ends = np.abs(rows[["ci_low", "ci_high"]].to_numpy().T - rows["estimate"].to_numpy())
        label = arrow(f"{impulse}_to_{variable}", *names)
        ax.errorbar(
            at, rows["estimate"], yerr=ends, color=colour, marker=marker, ms=6, lw=1.4, capsize=3, label=label
        )
    ax.axhline(0, color=GREY, lw=0.8, zorder=0)
    ax.set_xticks(range(1, len(result.responses.response) + 1))
    ax.set_xlabel(say("sessions later"))
    ax.set_ylabel("response to one unit more")
    ax.legend(frameon=False, loc="best", fontsize=9)
    return ax
