"""Pictures of small-study effects: a result and an optional Axes in, the Axes out."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from twostage.pages.common.style import GREY, INK, MARKED, MOST_NAMED, PLAIN, folded, name_points, short
from twostage.stats.small_study import Funnel, Radial, TrimFill

#: Regions of a contour-enhanced funnel, from the innermost outward.
SHADES = ("#ffffff", "#ececec", "#d3d3d3", "#b4b4b4", "#989898")


ARC_TICKS = 5


def funnel(
    found: Funnel, filled: TrimFill | None = None, ax: Axes | None = None, effect: str = "effect"
) -> Axes:
    """Funnel plot with contours of significance, precise studies on top.

    Parameters
    ----------
    found : Funnel
        The darker the region, the smaller the p-value of a study in it.
    filled : TrimFill, optional
        Its filled studies are added as open squares, the effect with them as a dashed line.
    ax : matplotlib.axes.Axes, optional
    effect : str
        Name of the horizontal axis.
    """
    ax = ax or plt.subplots(figsize=(6.5, 5.4), layout="constrained")[1]
    extra = filled.studies()[filled.is_filled] if filled is not None else None
    top = _funnel_limits(ax, found, extra)
    heights = np.linspace(0.0, top, found.grid.size)
    scale = heights / found.grid[-1] if found.grid[-1] > 0.0 else heights
    reach = np.abs(found.high[:, -1] - found.reference)[:, None] * scale
    ax.set_facecolor(SHADES[found.levels.size])
    for i in reversed(range(found.levels.size)):
        ends = found.reference - reach[i], found.reference + reach[i]
        ax.fill_betweenx(heights, *ends, color=SHADES[i], lw=0, zorder=0)
    ax.plot(found.y, found.std_error, "o", color=PLAIN, mec="white", ms=7.5, zorder=4, label="study")
    ax.axvline(found.estimate, color=INK, lw=1.2, zorder=2, label="pooled")
    if filled is not None and extra is not None and filled.k0:
        ax.plot(extra["estimate"], extra["std_error"], "s", mfc="white", color=MARKED, ms=7, mew=1.6, zorder=3,
                label="filled")  # fmt: skip
        ax.axvline(filled.filled.estimate, color=MARKED, lw=1.4, ls="--", zorder=2, label="pooled, filled")
    ax.set_xlabel(short(effect, 60))
    ax.set_ylabel("standard error")
    _legend(ax, found)
    return ax


def _funnel_limits(ax: Axes, found: Funnel, extra) -> float:
    y, se = found.y, found.std_error
    if extra is not None:
        y, se = np.append(y, extra["estimate"]), np.append(se, extra["std_error"])
    top = 1.08 * float(se.max())
    ends = np.append(y, [found.reference, found.estimate])
    spare = max(0.12 * float(np.ptp(ends)), 1.7 * float(se.max()))
    ax.set_xlim(ends.min() - spare, ends.max() + spare)
    ax.set_ylim(top, 0.0)
    return top


def _p(level: float) -> str:
    p = 1.0 - level
    return f"{p:.{2 if p > 0.0095 else 3}f}".removeprefix("0")


def _region(levels: np.ndarray, i: int) -> str:
    """``p > .10`` for the innermost region, ``.05 < p < .10`` further out, ``p < .01`` beyond all."""
    if i == 0:
        return f"p > {_p(levels[0])}"
    return f"p < {_p(levels[-1])}" if i == levels.size else f"{_p(levels[i])} < p < {_p(levels[i - 1])}"


def _legend(ax: Axes, found: Funnel) -> None:
    handles, labels = ax.get_legend_handles_labels()
    for i in range(found.levels.size + 1):
        handles.append(plt.Rectangle((0, 0), 1, 1, fc=SHADES[i], ec=GREY, lw=0.6))
        labels.append(_region(found.levels, i))
    ax.legend(
        handles, labels, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=4, fontsize=9.5, frameon=False
    )


def radial(found: Radial, ax: Axes | None = None, effect: str = "effect") -> Axes:
    """Radial (Galbraith) plot: the slope from the origin to a study is its estimate.

    Parameters
    ----------
    found : Radial
        The pooled line with its band; studies beyond it are filled squares with their names.
    ax : matplotlib.axes.Axes, optional
    effect : str
        Name of the scale on the right, on which slopes are read.
    """
    ax = ax or plt.subplots(figsize=(6.5, 4.8), layout="constrained")[1]
    x, z, out = found.precision, found.statistic, found.outside
    right = 1.12 * float(x.max())
    ends = np.array([0.0, right])
    line = found.slope * ends
    ax.fill_between(ends, line - found.half_width, line + found.half_width, color="#e3e3e3", lw=0, zorder=0)
    ax.plot(ends, line, color=INK, lw=1.2, zorder=1)
    ax.axhline(0.0, color=GREY, lw=0.8, zorder=0)
    ax.plot(x[~out], z[~out], "o", mfc="white", color=PLAIN, ms=6.5, mew=1.5, zorder=3)
    ax.plot(x[out], z[out], "s", color=MARKED, ms=7, zorder=3)
    low = min(float(z.min()), float((line - found.half_width).min()))
    high = max(float(z.max()), float((line + found.half_width).max()))
    ax.set_xlim(0.0, right)
    ax.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    _slopes(ax, found, right, effect)
    far = np.argsort(-np.abs(found.distance), kind="stable")
    name_points(ax, x, z, found.labels, [i for i in far if out[i]][:MOST_NAMED])
    ax.set_xlabel("precision, 1 / √(v + τ²)" if found.fit.method != "FE" else "precision, 1 / √v")
    ax.set_ylabel("estimate × precision")
    return ax


def _slopes(ax: Axes, found: Radial, right: float, effect: str) -> None:
    """A scale of effects on the right border: where a line from the origin with that slope ends."""
    low, high = ax.get_ylim()
    scale = ax.secondary_yaxis(
        "right", functions=(lambda z: np.asarray(z) / right, lambda b: np.asarray(b) * right)
    )
    scale.set_ylabel(folded(short(effect, 60), 40))
    ticks = plt.MaxNLocator(ARC_TICKS).tick_values(low / right, high / right)
    scale.set_yticks(ticks)
    scale.tick_params(labelsize=9)
    ax.spines["right"].set_visible(True)
