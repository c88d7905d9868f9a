"""Whether both variables change over the sessions for everyone, and what the effects are with an effect of each session."""

from collections.abc import Sequence

import numpy as np

from twostage.collection import Collection
from twostage.display import with_interval
from twostage.pages.common.tables import effect
from twostage.records import Record
from twostage.stage2 import PooledTable
from twostage.stats.pool import PooledFit, pool
from twostage.terms import DIRECTIONS, arrow
from twostage.words import say

#: The estimator that a common trend does not touch.
OCCASIONS = "centred_occasions"


def common_trends(records: Sequence[Record], **how) -> dict[str, PooledFit]:
    """The change of the session means per session, of x and of y, pooled over the studies that have two sessions.

    Parameters
    ----------
    records : sequence of Record
        Of the analysis `data`.
    **how
        method, ci and level.

    Returns
    -------
    dict
        ``x`` or ``y`` -> fit; without a variable of which no study has two means.

    Notes
    -----
    A study's slope is that of least squares through its session means, weighted by n / SD^2. Its variance takes sessions
    as independent: as they are of the same patients the true one is smaller, so that a trend is found too rarely, not too
    often.
    """
    found = {}
    for v in "xy":
        slopes = [slope for record in records if (slope := _slope(record, v)) is not None]
        if slopes:
            estimate, variance = np.array(slopes).T
            found[v] = pool(estimate, variance, **how)
    return found


def _slope(record: Record, v: str) -> tuple[float, float] | None:
    names = ("session", f"{v}_mean", f"{v}_sd", f"n_{v}")
    # What a site withholds is None, which becomes NaN here.
    rows = np.array([[row.get(name) for name in names] for row in record.sessions], dtype=float)
    rows = rows[np.isfinite(rows).all(axis=1)] if len(rows) else rows.reshape(0, 4)
    if len(rows) < 2:
        return None
    session, mean, sd, n = rows.T
    weight = n / sd**2
    time = session - np.average(session, weights=weight)
    square = float(weight @ time**2)
    return float((weight * time) @ mean) / square, 1 / square


def trend_sentences(trends: dict[str, PooledFit], pooled: PooledTable, collection: Collection) -> str:
    """The effects with an effect of each session, after a warning where both variables change.

    Parameters
    ----------
    trends : dict
        Of :func:`common_trends`.
    pooled : PooledTable
        Of the estimators.
    collection : Collection
    """
    said = []
    if len(trends) == 2 and all(fit.ci_low > 0 or fit.ci_high < 0 for fit in trends.values()):
        change = " and ".join(
            f"{getattr(collection, v).label} by {with_interval(fit.estimate, fit.ci_low, fit.ci_high, 3)}"
            for v, fit in trends.items()
        )
        said.append(
            f"{say('Warning: both change over the sessions for everyone (per session')} {change}), which the main analysis "
            "takes for effects of one on the other."
        )
    rows = [(d, pooled.row(d.name, d.cross, OCCASIONS)) for d in DIRECTIONS.values() if _has(pooled, d)]
    if rows:
        labels = (collection.x.label, collection.y.label)
        effects = "; ".join(f"{arrow(d.name, *labels)} {effect(row, pooled.level).text}" for d, row in rows)
        said.append(
            f"With an effect of each session, which takes out what moves all patients alike: {effects}."
        )
    return say(" ".join(said))


def _has(pooled: PooledTable, d) -> bool:
    return pooled.has(d.name, d.cross, OCCASIONS)
