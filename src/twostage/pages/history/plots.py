"""The answer over time as a picture."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from twostage.display import with_interval
from twostage.pages.common.style import GREY, INK, LOOK, in_legend
from twostage.stats.base import NotEstimable
from twostage.terms import DIRECTIONS, arrow


def answer_over_time(versions: pd.DataFrame, x: str, y: str) -> np.ndarray:
    """Both cross-lagged effects in each release.

    Parameters
    ----------
    versions : pandas.DataFrame
        As of :func:`twostage.interchange.releases.read_versions`.
    x, y : str
        The pair in words.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        One for each direction: estimate with confidence interval (thick) and prediction interval (thin) by release.

    Raises
    ------
    NotEstimable
        If no release has either effect.
    """
    rows = {d.name: _of(versions, d.name, d.cross) for d in DIRECTIONS.values()}
    if not any(len(part) for part in rows.values()):
        raise NotEstimable("no release has an estimate")
    axes = plt.subplots(2, 1, sharex=True, figsize=(8, 5.2), layout="constrained")[1]
    days = versions.drop_duplicates("release").set_index("release")
    for ax, (direction, part) in zip(axes, rows.items(), strict=True):
        _draw(ax, part, direction, arrow(direction, x, y))
    labels = [f"{number}\n{row['date']}\nk = {row['studies']}" for number, row in days.iterrows()]
    axes[-1].set_xticks(days.index, labels, fontsize=9)
    axes[-1].set_xlim(days.index.min() - 0.6, days.index.max() + 0.6)
    axes[-1].set_xlabel("release")
    return axes


def _of(versions: pd.DataFrame, direction: str, term: str) -> pd.DataFrame:
    main = versions["analysis"] == "lagged"
    return versions[main & (versions["direction"] == direction) & (versions["term"] == term)]


def _draw(ax: Axes, part: pd.DataFrame, direction: str, label: str) -> None:
    colour, marker, style = LOOK[direction]
    at = part["release"].to_numpy(float)
    ax.axhline(0, color=GREY, lw=1, zorder=0)
    ax.vlines(at, part["pi_low"], part["pi_high"], color=colour, lw=0.9, ls=style)
    ax.vlines(at, part["ci_low"], part["ci_high"], color=colour, lw=3)
    ax.plot(
        at,
        part["estimate"],
        ls=style,
        lw=0.8,
        marker=marker,
        color=colour,
        mec=INK,
        mew=0.6,
        label=in_legend(label),
    )
    ax.set_ylabel("pooled effect")
    ax.legend(frameon=False, loc="best", fontsize=9)


def alt(versions: pd.DataFrame, x: str, y: str) -> str:
    """Text for those who cannot see the picture."""
    parts = []
    for d in DIRECTIONS.values():
        said = [
            f"release {r['release']} {with_interval(r['estimate'], r['ci_low'], r['ci_high'], 3)}"
            for r in _of(versions, d.name, d.cross).to_dict("records")
        ]
        parts.append(f"{arrow(d.name, x, y)}: {', '.join(said) or 'no estimate'}")
    return "Pooled effects by release, with confidence and prediction intervals. " + "; ".join(parts) + "."
