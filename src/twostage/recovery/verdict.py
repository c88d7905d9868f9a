"""Which estimator to believe: from performance measures to a table in words."""

import numpy as np
import pandas as pd

from twostage.recovery.conditions import CONDITIONS, REALISTIC, Condition
from twostage.recovery.store import Recovery
from twostage.terms import DIRECTIONS, ESTIMATORS, HEADLINE

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
        type_1, for the case that none passes `nearest` (whose numbers these then are), and those of the main analysis:
        headline_rmse, headline_coverage, headline_type_1 (NaN where it was never pooled).

    Notes
    -----
    An estimator passes where, for both directions, coverage (with effects) is not below its nominal value and type I error
    (without) not above it by more than :data:`SLACK` and :data:`Z` Monte Carlo standard errors. Among those that pass, the
    one with the smallest root mean square error over both directions is believed.
    """
    rows = []
    for present, _ in kinds():
        found = _found(recovery, present, level)
        if not found:
            continue
        passing = sorted((e for e in found if found[e]["passes"]), key=lambda e: found[e]["rmse"])
        nearest = best_calibrated(recovery, present, level)
        row = {"condition": present.name, "words": present.words, "estimator": passing[0] if passing else ""}
        row |= {"runners_up": tuple(passing[1:]), "nearest": nearest}
        for start, of in (("", nearest), ("headline_", HEADLINE)):
            numbers = found.get(of, {})
            row |= {f"{start}{name}": numbers.get(name, np.nan) for name in ("rmse", "coverage", "type_1")}
        rows.append(row)
    return pd.DataFrame(rows)


def _found(recovery: Recovery, kind: Condition, level: float) -> dict[str, dict]:
    """What the study found of each estimator that was pooled, with effects and without."""
    found = {e: _both(recovery, kind.name, f"{kind.name}_null", e, level) for e in ESTIMATORS}
    return {e: f for e, f in found.items() if f is not None}


def best_calibrated(recovery: Recovery, kind: Condition, level: float = 0.95) -> str:
    """The estimator that :func:`best_estimators` believes; where none passes, the one that misses the levels least.

    By how much it misses is the larger of what coverage lacks and what type I error has too much, in the worse direction.
    """
    found = _found(recovery, kind, level)
    return min(
        found, key=lambda e: (not found[e]["passes"], found[e]["rmse" if found[e]["passes"] else "miss"])
    )


def is_calibrated(recovery: Recovery, kind: Condition, estimator: str, level: float = 0.95) -> bool:
    """Whether an estimator passes."""
    return bool(_found(recovery, kind, level)[estimator]["passes"])


def nearest_kind(recovery: Recovery, name: str) -> Condition | None:
    """The kind of data of this name; where the stored study lacks it, the one most like data that it has."""
    stored = [c for c, _ in kinds() if HEADLINE in _found(recovery, c, 0.95)]
    names = [c.name for c in stored]
    wanted = next((n for n in (name, REALISTIC, "everything") if n in names), None)
    return CONDITIONS[wanted] if wanted else stored[-1] if stored else None


def _both(recovery: Recovery, present: str, absent: str, estimator: str, level: float) -> dict | None:
    """The worse of both directions' coverage and type I error; their joint root mean square error."""
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
        "miss": max(
            *(level - p["coverage"] for p, _ in pairs), *(a["rejection"] - (1 - level) for _, a in pairs)
        ),
        "rmse": float(np.sqrt(np.mean([p["rmse"] ** 2 for p, _ in pairs]))),
        "coverage": min(p["coverage"] for p, _ in pairs),
        "type_1": max(a["rejection"] for _, a in pairs),
    }
