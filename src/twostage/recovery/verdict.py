"""Which estimator to believe: from performance measures to a table in words."""

import numpy as np
import pandas as pd

from twostage.recovery.conditions import CONDITIONS, Condition
from twostage.recovery.store import Recovery
from twostage.terms import DIRECTIONS, ESTIMATORS

#: How far from its nominal value coverage or type I error may be, beyond what Monte Carlo error explains.
SLACK = 0.025


#: Monte Carlo standard errors that explain a deviation.
Z = 2.0


def kinds() -> list[tuple[Condition, Condition]]:
    """Every kind of data: its condition with cross-lagged effects and the one without."""
    return [(c, CONDITIONS[f"{name}_null"]) for name, c in CONDITIONS.items() if not c.null]


def best_estimators(recovery: Recovery, level: float = 0.95) -> pd.DataFrame:
    """Which estimator of the cross-lagged effects to believe under which condition.

    Parameters
    ----------
    recovery : Recovery
    level : float
        Nominal coverage.

    Returns
    -------
    pandas.DataFrame
        condition, words, estimator (the one believed, or an empty text), runners_up (others that pass), rmse, coverage,
        type_1, and for the case that none passes `least_biased`.

    Notes
    -----
    An estimator passes where, for both directions, coverage (with effects) is not below its nominal value and type I error
    (without) not above it by more than :data:`SLACK` and :data:`Z` Monte Carlo standard errors. Among those that pass, the
    one with the smallest root mean square error over both directions is believed.
    """
    rows = []
    for present, absent in kinds():
        found = {e: _both(recovery, present.name, absent.name, e, level) for e in ESTIMATORS}
        found = {e: f for e, f in found.items() if f is not None}
        if not found:
            continue
        passing = sorted((e for e in found if found[e]["passes"]), key=lambda e: found[e]["rmse"])
        least = min(found, key=lambda e: found[e]["bias"])
        best = passing[0] if passing else None
        numbers = found[best or least]
        rows.append(
            {
                "condition": present.name,
                "words": present.words,
                "estimator": best or "",
                "runners_up": tuple(passing[1:]),
                "rmse": numbers["rmse"],
                "coverage": numbers["coverage"],
                "type_1": numbers["type_1"],
                "least_biased": least,
            }
        )
    return pd.DataFrame(rows)


def _both(recovery: Recovery, present: str, absent: str, estimator: str, level: float) -> dict | None:
    """The worse of both directions' coverage, type I error and bias; their joint root mean square error."""
    pairs = [
        tuple(recovery.row(c, estimator, d.name, d.cross) for c in (present, absent))
        for d in DIRECTIONS.values()
    ]
    if any(row is None or row["n_replicates"] == 0 for pair in pairs for row in pair):
        return None
    covers = [p["coverage"] >= level - SLACK - Z * p["coverage_mcse"] for p, _ in pairs]
    quiet = [a["rejection"] <= 1 - level + SLACK + Z * a["rejection_mcse"] for _, a in pairs]
    return {
        "passes": all(covers) and all(quiet),
        "rmse": float(np.sqrt(np.mean([p["rmse"] ** 2 for p, _ in pairs]))),
        "bias": max(abs(p["bias"]) for p, _ in pairs),
        "coverage": min(p["coverage"] for p, _ in pairs),
        "type_1": max(a["rejection"] for _, a in pairs),
    }
