"""Bubble plot of a meta-regression."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from twostage.pages.common.style import GREY, INK, LOOK
from twostage.stats.pool import MetaRegression

#: Points of the fitted line; largest area of a bubble [points squared].
POINTS, LARGEST = 101, 260.0


def bubble(
    found: MetaRegression,
    name: str | None = None,
    *,
    xlabel: str | None = None,
    ylabel: str = "effect",
    prediction: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Bubble plot of a meta-regression: estimates against one numeric moderator.

    Parameters
    ----------
    found : MetaRegression
    name : str, optional
        The moderator, a coefficient's name; default: the first after the intercept. Others are held at their means.
    xlabel, ylabel : str, optional
    prediction : bool
        Whether to draw the prediction band.
    ax : matplotlib.axes.Axes, optional
        Drawn on; a new figure otherwise.

    Returns
    -------
    matplotlib.axes.Axes
        A circle per study, its area growing with its weight 1 / (v + tau2); the fitted line, its confidence band
        (shaded), and between dashed lines the prediction band for the true effect of a new study.

    Raises
    ------
    ValueError
        No such moderator.
    """
    first = int(found.design.intercept)
    name = found.names[first] if name is None and len(found.names) > first else name
    if name not in found.names[first:]:
        raise ValueError(f"moderators are {', '.join(found.names[first:]) or 'none'}; got {name!r}")
    at = found.names.index(name)
    ax = ax or plt.subplots(figsize=(6.2, 4.2), layout="constrained")[1]
    x, weight = found.design.X[:, at], 1.0 / (found.v + found.tau2)
    grid = np.linspace(x.min(), x.max(), POINTS)
    settings = np.tile(found.design.X.mean(axis=0), (POINTS, 1))
    settings[:, at] = grid
    line = found.predict(settings[:, int(found.design.added) :])
    colour = LOOK["x_to_y"][0]
    ax.axhline(0, color=GREY, lw=1, zorder=0)
    ax.fill_between(grid, line.ci_low, line.ci_high, color=colour, alpha=0.18, lw=0, label="confidence band")
    ax.plot(grid, line.estimate, color=colour, lw=1.8, label="fitted")
    if prediction and np.isfinite(line.pi_low).all():
        for ends, label in ((line.pi_low, "prediction band"), (line.pi_high, None)):
            ax.plot(grid, ends, color=LOOK["y_to_x"][0], lw=1.1, ls="--", label=label)
    area = LARGEST * weight / weight.max()
    ax.scatter(x, found.y, s=area, facecolor="#ffffff99", edgecolor=INK, lw=1.1, zorder=3)
    ax.set_xlabel(name if xlabel is None else xlabel)
    ax.set_ylabel(ylabel)
    ax.legend(frameon=False, fontsize=9, loc="best")
    return ax
