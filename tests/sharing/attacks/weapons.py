"""What somebody who has a bundle, and no data, can compute from it; None where the numbers for it are withheld."""

import itertools

import numpy as np
import pandas as pd
from clinic import MOST
from scipy.optimize import root

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


def deviation_of_one(
    first: tuple[Record, Record], second: tuple[Record, Record], model, term: str
) -> float | None:
    """How far a predictor of the one patient whose rows the first bundle has more is from what the others would say.

    Each bundle's record that has the residual variance of the direction, and the one that has the standard error of the
    model (variant, direction). From variances alone: the one by the other is the predictor's sum of squares that the
    other predictors leave, and rows add to it the squares of what they leave of these rows.
    """
    squares = []
    for fitted, told in (first, second):
        variances = [
            f.sigma2 for f in fitted.fits if f.direction == model[1] and f.variant in ("main", model[0])
        ]
        errors = [e.std_error for e in told.estimates if (e.variant, e.direction, e.term) == (*model, term)]
        if not variances or not errors:
            return None
        squares.append(variances[0] / errors[0] ** 2)
    return float(np.sqrt(max(squares[0] - squares[1], 0.0)))


def row_of_one(record: Record) -> pd.Series | None:
    """How far the predictors of the one row that only y -> x has are from the mean of the others, without signs."""
    more, fewer = (cross_products(record, direction) for direction in ("y_to_x", "x_to_y"))
    if more is None or fewer is None:
        return None
    n = next(f.n_transitions for f in record.fits if f.direction == "x_to_y")
    squares = np.diag(more - fewer.loc[more.index, more.columns]) * (n + 1) / n
    return pd.Series(np.sqrt(np.maximum(squares, 0.0)), more.index)


def last_of_few(records: dict[str, Record], known: float) -> float | None:
    """The score of a session that remains to somebody who knows those of all others there, whose sum is `known`."""
    row = records["data"].sessions[0]
    return None if None in (row["n_y"], row["y_mean"]) else row["n_y"] * row["y_mean"] - known


def few_patients(record: Record, least: int) -> set[int]:
    """Every count of fewer patients that is told, or is the difference of two that are."""
    told = [record.n_enrolled, *(e.n_patients for e in record.exclusions)]
    told += [record.summary.get(name) for name in ("n_patients", "n_pre")]
    told += [row[name] for row in record.sessions for name in ("n_x", "n_y")]
    counts = [0, *(int(n) for n in told if n is not None)]
    return {abs(a - b) for a in counts for b in counts} & set(range(1, least))


def correlations(record: Record, sign: int) -> np.ndarray | None:
    """The correlations of early x, intake and outcome; `sign` of that of the first two is not told."""
    rows = [e for e in record.estimates if (e.variant, e.term) == ("main", "x_early_standardized")]
    if not rows or record.fits[0].sigma2 is None:
        return None
    (row,), sigma2, n = rows, record.fits[0].sigma2, record.fits[0].n_patients
    left = sigma2 / ((n - 1) * row.std_error**2)
    explained = 1 - sigma2 * (n - 3) / (n - 1)
    x_pre = sign * np.sqrt(max(1 - left, 0.0))
    pre_post = np.sqrt(max(explained - row.estimate**2 * left, 0.0))
    return np.array([x_pre, row.estimate * left + pre_post * x_pre, pre_post])


def outcome_of_one(first: Record, second: Record) -> list[np.ndarray]:
    """Early x, intake and outcome of the one patient whom the first bundle has more, in SDs of the others.

    Three correlations with the patient less three without are three equations. All their solutions, each up to its sign.
    """
    found: list[np.ndarray] = []
    for sign in (1, -1):
        after, before = (correlations(record, sign) for record in (first, second))
        if after is None or before is None:
            return []
        n = second.fits[0].n_patients

        def misses(z, before=before, after=after, n=n):
            more = n / (n + 1)
            lengths = np.sqrt(n - 1 + more * z**2)
            pairs = ((0, 1), (0, 2), (1, 2))
            return [
                (before[k] * (n - 1) + more * z[i] * z[j]) / (lengths[i] * lengths[j]) - after[k]
                for k, (i, j) in enumerate(pairs)
            ]

        for start in itertools.product((0.3, 1.5), (-1.5, -0.3, 0.3, 1.5), (-1.5, -0.3, 0.3, 1.5)):
            solved = root(misses, start, options={"xtol": 1e-13})
            if solved.success and not any(np.allclose(np.abs(solved.x), np.abs(z), atol=1e-4) for z in found):
                found.append(solved.x)
    return found


def score_of_one(first: Record, second: Record, variant: str, sd: float) -> float | None:
    """How far the only score of a patient is from the mean of its session: a normal density that the likelihood grew by."""
    logs = [
        f.loglik
        for record in (first, second)
        for f in record.fits
        if (f.variant, f.direction) == (variant, "x_to_y")
    ]
    if len(logs) < 2 or None in logs:
        return None
    return float(sd * np.sqrt(max(-2 * (logs[0] - logs[1]) - np.log(2 * np.pi * sd**2), 0.0)))
