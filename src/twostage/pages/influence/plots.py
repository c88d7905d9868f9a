"""Pictures of what single studies do to a pooled result: a result and an optional Axes in, the Axes out."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from scipy.ndimage import gaussian_filter

from twostage.display import number
from twostage.pages.common.style import (
    GREY,
    INK,
    MARKED,
    MOST_NAMED,
    PLAIN,
    PROMINENT,
    name_points,
    short,
)
from twostage.stats.influence import Baujat, Cumulative, Gosh, Influence

MEDIAN_CHI2_1 = 0.454936423119572


#: Cells of the GOSH picture, smoothing of its outlines [cells], shares of the subsets within an outline.
CELLS, SMOOTHING, SHARES = (70, 50), 2.0, (0.5, 0.95)


#: Up to so many subsets are drawn one by one.
FEW_SUBSETS = 2000


#: The scale of I2 reaches at least this far [percent].
LEAST_I2 = 10.0


_PANELS = {
    "rstudent": "studentized residual",
    "dffits": "DFFITS",
    "cook_d": "Cook's distance",
    "cov_ratio": "COVRATIO",
    "tau2_del": "τ² without the study",
    "q_del": "Q without the study",
    "hat": "hat value",
    "weight": "weight (%)",
}


#: Of more studies, only those that stand out are named below the casewise diagnostics: a page is only so wide.
NAMED_BELOW = 25


def influence_panel(found: Influence, axes: np.ndarray | None = None) -> np.ndarray:
    """Casewise diagnostics, a panel each, studies in the order of the collection.

    Parameters
    ----------
    found : Influence
        Studies it flags are filled squares, the others open circles; of more than :data:`NAMED_BELOW` studies only the
        flagged ones are named. Dotted: where a diagnostic begins to be
        remarkable (residual, DFFITS, Cook's distance, hat value), or its value for all studies.
    axes : ndarray of matplotlib.axes.Axes, shape (4, 2), optional
        Drawn on; a new figure otherwise.

    Returns
    -------
    ndarray of matplotlib.axes.Axes, shape (4, 2)
    """
    k = found.fit.k
    if axes is None:
        size = (max(7.0, 0.36 * min(k, NAMED_BELOW) + 1.5), 9.0)
        axes = plt.subplots(4, 2, figsize=size, sharex=True, layout="constrained")[1]
    at, flagged = np.arange(k), found.is_influential
    named = at if k <= NAMED_BELOW else at[flagged]
    lines = _reference_lines(found)
    for ax, (name, title) in zip(axes.flat, _PANELS.items(), strict=True):
        values = getattr(found, name)
        ax.plot(at, values, color=GREY, lw=0.8, zorder=1)
        ax.plot(at[~flagged], values[~flagged], "o", mfc="white", color=PLAIN, ms=5.5, zorder=2)
        ax.plot(at[flagged], values[flagged], "s", color=MARKED, ms=6.5, zorder=3)
        for line in lines[name]:
            ax.axhline(line, color=INK, lw=0.9, ls=":", zorder=0)
        ax.set_title(title, fontsize=10, loc="left")
        ax.tick_params(axis="y", labelsize=9)
        ax.margins(x=0.04, y=0.12)
        ax.set_xticks(named, [short(found.labels[i]) for i in named], rotation=90, fontsize=9)
    for ax in axes[:-1].flat:
        ax.tick_params(axis="x", labelbottom=False)
    return axes


def _reference_lines(found: Influence) -> dict[str, list[float]]:
    k, fit = found.fit.k, found.fit
    far = 3.0 * np.sqrt(1.0 / (k - 1))
    lines = {"rstudent": [-1.96, 1.96], "dffits": [-far, far], "cook_d": [MEDIAN_CHI2_1], "cov_ratio": [1.0]}
    lines |= {"tau2_del": [fit.tau2], "q_del": [fit.q], "hat": [1.0 / k], "weight": [100.0 / k]}
    if 3 / k < 1:
        lines["hat"].append(3.0 / k)
    return lines


def baujat(found: Baujat, ax: Axes | None = None) -> Axes:
    """Each study's contribution to the heterogeneity against its influence; the foremost are named.

    Parameters
    ----------
    found : Baujat
    ax : matplotlib.axes.Axes, optional
    """
    ax = ax or plt.subplots(figsize=(6.5, 4.5), layout="constrained")[1]
    x, y = found.heterogeneity, found.influence
    ax.plot(x, y, "o", color=PLAIN, mec="white", ms=7.5)
    ax.set_xlim(-0.04 * _top(x), 1.08 * _top(x))
    ax.set_ylim(-0.06 * _top(y), 1.12 * _top(y))
    prominence = np.maximum(x / _top(x), y / _top(y))
    foremost = np.argsort(-prominence, kind="stable")[:MOST_NAMED]
    name_points(ax, x, y, found.labels, foremost[prominence[foremost] > PROMINENT])
    ax.set_xlabel("contribution to the heterogeneity (squared Pearson residual)")
    ax.set_ylabel("influence on the pooled effect")
    return ax


def _top(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if finite.size and finite.max() > 0.0 else 1.0


def gosh(
    found: Gosh, study: int | None = None, ax: Axes | None = None, effect: str = "pooled effect"
) -> Axes:
    """Density of pooled effect and I2 over subsets of the studies.

    Parameters
    ----------
    found : Gosh
    study : int, optional
        Position of a study: outlines hold 50 and 95 percent of the subsets with it (dashed) and without it
        (solid); few subsets are points, filled squares with it and open circles without it.
    ax : matplotlib.axes.Axes, optional
    effect : str
        Name of the horizontal axis.

    Returns
    -------
    matplotlib.axes.Axes
        The darker a cell, the more subsets (logarithmic); up to 2,000 subsets are points.
    """
    ax = ax or plt.subplots(figsize=(6.5, 4.8), layout="constrained")[1]
    several = found.size > 1  # a single study has an I2 of 0 by definition
    groups = {"": several}
    if study is not None:
        inside, name = found.includes(study), short(found.labels[study], 28)
        groups = {f"without {name}": several & ~inside, f"with {name}": several & inside}
    (_points if several.sum() <= FEW_SUBSETS else _density)(ax, found, groups)
    if study is not None:
        ax.legend(frameon=False, fontsize=9.5, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    top = max(LEAST_I2, found.i2.max())
    ax.axvline(found.fit.estimate, color=INK, lw=0.9, ls=":")
    ax.set_ylim(-0.04 * top, 1.04 * top)
    ax.set_xlabel(short(effect, 60))
    ax.set_ylabel("I² (%)")
    return ax


def _points(ax: Axes, found: Gosh, groups: dict[str, np.ndarray]) -> None:
    """Every subset as a point."""
    looks = ((PLAIN, "o", "none", 6.0), (MARKED, "s", MARKED, 4.0))
    for (word, rows), (colour, marker, fill, size) in zip(groups.items(), looks, strict=False):
        ax.plot(
            found.estimate[rows], found.i2[rows], marker, ls="", color=colour, mfc=fill, ms=size, label=word
        )


def _density(ax: Axes, found: Gosh, groups: dict[str, np.ndarray]) -> None:
    """Counts of all subsets in grey, outlines of each group."""
    several = found.size > 1
    top = max(LEAST_I2, found.i2.max())
    edges = _edges(found.estimate[several]), np.linspace(0.0, top, CELLS[1] + 1)
    counts = np.histogram2d(found.estimate[several], found.i2[several], edges)[0]
    shown = np.ma.log10(np.ma.masked_less(counts.T, 1.0))
    ax.pcolormesh(*edges, shown, cmap="Greys", vmin=-0.8, rasterized=True, zorder=0)
    for (word, rows), (colour, style) in zip(groups.items(), ((PLAIN, "-"), (MARKED, "--")), strict=False):
        if word:
            _outline(ax, found, rows, edges, colour, style)
            ax.plot([], [], color=colour, ls=style, lw=2.2, label=word)


def _edges(values: np.ndarray) -> np.ndarray:
    """Cell edges around the middle 99.8 percent, so that one far study does not squeeze the rest."""
    low, high = np.quantile(values, [0.001, 0.999]) if values.size > 1000 else (values.min(), values.max())
    spare = 0.03 * (high - low) or max(abs(low), 1.0) * 1e-3
    return np.linspace(low - spare, high + spare, CELLS[0] + 1)


def _outline(ax: Axes, found: Gosh, rows: np.ndarray, edges, colour: str, style: str) -> None:
    """Lines around the densest cells that hold the SHARES of the chosen subsets."""
    counts = np.histogram2d(found.estimate[rows], found.i2[rows], edges)[0]
    if not counts.any():
        return
    smooth = np.pad(gaussian_filter(counts, SMOOTHING, mode="nearest"), 1)
    falling = np.sort(smooth.ravel())[::-1]
    total = np.cumsum(falling)
    levels = sorted({float(falling[np.searchsorted(total, s * total[-1])]) for s in SHARES})
    middles = []
    for e in edges:
        width = e[1] - e[0]
        middles.append(np.concatenate([[e[0] - width / 2], (e[:-1] + e[1:]) / 2, [e[-1] + width / 2]]))
    ax.contour(*middles, smooth.T, levels, colors=colour, linestyles=style, linewidths=1.8)


def cumulative(found: Cumulative, ax: Axes | None = None, effect: str = "pooled effect") -> Axes:
    """The pooled effect after each study added, from top to bottom; the last row is the pool of all.

    Parameters
    ----------
    found : Cumulative
    ax : matplotlib.axes.Axes, optional
    effect : str
        Name of the horizontal axis.
    """
    k = found.fit.k
    ax = ax or plt.subplots(figsize=(7.0, 0.3 * k + 1.5), layout="constrained")[1]
    at = np.arange(k)[::-1]
    ax.axvline(0.0, color=GREY, lw=1, zorder=0)
    ax.axvline(found.fit.estimate, color=INK, lw=0.8, ls=":", zorder=0)
    ax.hlines(at, found.ci_low, found.ci_high, color=PLAIN, lw=1.4)
    ax.plot(found.estimate[:-1], at[:-1], "o", color=PLAIN, ms=5.5)
    ax.plot(found.estimate[-1:], at[-1:], "D", color=MARKED, mec=INK, ms=8)
    _limits_of_most(ax, found)
    ax.set_yticks(
        at, [f"{'+ ' * (i > 0)}{short(label)}" for i, label in enumerate(found.labels)], fontsize=9.5
    )
    ax.tick_params(axis="y", length=0, pad=9)
    ax.set_ylim(-0.7, k - 0.3)
    ax.set_xlabel(f"{short(effect, 60)}, studies added by {found.by}")
    _beyond(ax, found, at)
    return ax


def _limits_of_most(ax: Axes, found: Cumulative) -> None:
    """Two studies with Hartung-Knapp have an interval of 12 standard errors: it must not squeeze the others."""
    later = slice(2, None) if found.fit.k > 3 else slice(None)
    ends = np.concatenate([found.ci_low[later], found.ci_high[later], found.estimate, [0.0]])
    spare = 0.06 * np.ptp(ends) or 1.0
    ax.set_xlim(ends.min() - spare, ends.max() + spare)


def _beyond(ax: Axes, found: Cumulative, at: np.ndarray) -> None:
    """Arrowheads where an interval leaves the picture, and its end in numbers."""
    low, high = ax.get_xlim()
    for height, a, b in zip(at, found.ci_low, found.ci_high, strict=True):
        if a < low:
            ax.plot(low, height, "<", color=PLAIN, ms=6, clip_on=False)
            ax.annotate(number(a), (low, height), (3, 5), textcoords="offset points", fontsize=8)
        if b > high:
            ax.plot(high, height, ">", color=PLAIN, ms=6, clip_on=False)
            ax.annotate(
                number(b), (high, height), (-3, 5), textcoords="offset points", ha="right", fontsize=8
            )
