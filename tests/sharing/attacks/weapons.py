"""What somebody who has a bundle, and no data, can compute from it; None where the numbers for it are withheld."""

import numpy as np
import pandas as pd
from clinic import MOST

from twostage.records.record import Record


def one_below_the_ceiling(row: dict, scale: float | None) -> float | None:
    """The lowest score of a session at which all others have the highest possible one, from n and SD."""
    n, sd = row["n_x"], row["x_sd"]
    return None if None in (n, sd, scale) else MOST - sd * scale * np.sqrt(n)


def typical_deviator(row: dict, scale: float | None) -> float | None:
    """The score of those few who differ from the ceiling: squares of the deviations by their sum."""
    n, mean, sd = row["n_x"], row["x_mean"], row["x_sd"]
    if None in (n, mean, sd, scale):
        return None
    total = n * (MOST - mean * scale)
    squares = (n - 1) * (sd * scale) ** 2 + total**2 / n
    return MOST - squares / total


def outlier(row: dict, scale: float | None) -> float | None:
    """How far the one patient who makes up a session's SD is from the mean."""
    n, sd = row["n_x"], row["x_sd"]
    return None if None in (n, sd, scale) else float(np.sqrt((n - 1) * n / (n - 1)) * sd * scale)


def withheld_session(record: Record, session: int, n: int) -> float | None:
    """The lowest score of a withheld session at the ceiling, from the other sessions: their unit is the SD of all.

    In that unit the squares about the grand mean add up to N - 1. Other withheld sessions are taken to be like the
    average of those that are shown.
    """
    scale, rows = record.summary["scale_x"], {int(r["session"]): r for r in record.sessions}
    known = [r for t, r in rows.items() if t != session and None not in (r["n_x"], r["x_mean"], r["x_sd"])]
    if scale is None or len(known) < 2:
        return None
    typical = {name: float(np.mean([r[name] for r in known])) for name in ("n_x", "x_mean", "x_sd")}
    others = known + [typical] * (len(rows) - 1 - len(known))
    sizes = np.array([r["n_x"] for r in others] + [n])
    top = MOST / scale
    misses = []
    drops = np.linspace(0, (MOST - 1) / scale, 601)
    for d in drops:
        means = np.array([r["x_mean"] for r in others] + [top - d / n])
        within = sum((r["n_x"] - 1) * r["x_sd"] ** 2 for r in others) + d**2 * (1 - 1 / n)
        grand = sizes @ means / sizes.sum()
        misses.append(abs(within + sizes @ (means - grand) ** 2 - (sizes.sum() - 1)))
    return MOST - float(drops[int(np.argmin(misses))]) * scale


def cross_products(record: Record, direction: str, variant: str = "main") -> pd.DataFrame | None:
    """X'X of an equation without variance between patients: residual variance by covariance matrix.

    Where the intercept's covariances are withheld: of the predictors less their means.
    """
    fit = next((f for f in record.fits if (f.variant, f.direction) == (variant, direction)), None)
    if fit is None:
        return None
    matrix = record.covariance(direction, variant)
    if matrix["intercept"].isna().any():
        matrix = matrix.drop("intercept").drop(columns="intercept")
    if matrix.isna().any(axis=None):
        return None
    return pd.DataFrame(fit.sigma2 * np.linalg.inv(matrix), matrix.index, matrix.columns)


def squares_of(record: Record, variant: str, direction: str, term: str) -> float | None:
    """Sum of squares of a predictor: from the whole matrix, or from its variance, then beside the others."""
    fit = next((f for f in record.fits if (f.variant, f.direction) == (variant, direction)), None)
    if fit is None:
        return None
    whole = cross_products(record, direction, variant)
    partial = fit.sigma2 / float(record.covariance(direction, variant).loc[term, term])
    return partial if whole is None else float(whole.loc[term, term])


def subtracted(first: Record, second: Record, term: str = "_mean") -> dict[str, float] | None:
    """How far from the others' mean the one patient is whose rows the first bundle has more than the second.

    Adding n rows with the deviation d from the mean of N rows to a sum of squares adds ``n N / (n + N) d^2``. For a term
    that varies within patients only, d is the patient's own deviation if they have one row.
    """
    more, fewer = (cross_products(record, "x_to_y") for record in (first, second))
    if more is None or fewer is None:
        return None
    total, N = (next(f.n_transitions for f in r.fits if f.direction == "x_to_y") for r in (first, second))
    squares = np.diag(more - fewer) * total / ((total - N) * N)
    found = pd.Series(np.sqrt(np.maximum(squares, 0.0)), more.index)
    return {v: float(found[f"{v}{term}"]) for v in ("x", "y")}


def last_session_total(record: Record, first_mean: float | None, n: int) -> float | None:
    """Sum of y at the last session of a study without gaps: that of sessions 2 to T, less 1 to T - 1, plus the first."""
    XX = cross_products(record, "x_to_y")
    if XX is None or "intercept" not in XX or first_mean is None:
        return None
    b = pd.Series({e.term: e.estimate for e in record.estimates if e.direction == "x_to_y"})
    sums = XX.loc["intercept"]
    return float(sums @ b[XX.columns] - sums["y_within"] - sums["y_mean"] + n * first_mean)
