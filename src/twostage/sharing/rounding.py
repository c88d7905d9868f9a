"""Rounding a record so that its numbers still fit each other."""

import math
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from twostage.records import Estimate, Record


def to_digits(value: Any, digits: int) -> Any:
    """Every float of nested lists and mappings, to a number of significant digits; counts and all else as they are."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else value
    if isinstance(value, dict):
        return {
            k: v if k.startswith("n_") or k == "session" else to_digits(v, digits) for k, v in value.items()
        }
    return [to_digits(v, digits) for v in value] if isinstance(value, list | tuple) else value


def rounded(record: Record, digits: int) -> Record:
    """A record with its numbers rounded.

    Coefficients and covariance matrices are rounded; standard errors, statistics, p values and intervals are
    computed anew from them, since the old ones would tell the digits that were taken away.

    Parameters
    ----------
    record : Record
    digits : int
        Significant digits.

    Notes
    -----
    Covariances that rounding makes impossible are drawn toward 0 as far as they must, by the rounded numbers alone.
    """
    # Parameters are no results, what only describes has its own few digits, and sums are exact or nothing.
    whole = ("parameters", "summary", "sessions", "aggregates")
    content = record.model_dump()
    content |= to_digits({n: v for n, v in content.items() if n not in whole}, digits)
    for c in (*content["covariances"], *content["joint_covariances"]):
        c["matrix"] = _possible(c["matrix"])
    variances = {
        (c["variant"], c["direction"], term): c["matrix"][i][i]
        for c in content["covariances"]
        for i, term in enumerate(c["terms"])
    }
    level = record.parameters.level
    content["estimates"] = [
        _recomputed(row, e.estimate, variances, level)
        for row, e in zip(content["estimates"], record.estimates, strict=True)
    ]
    return Record.model_validate(content)


def _possible(matrix: list[list[float | None]]) -> list[list[float | None]]:
    """A symmetric matrix with the same variances that is a covariance matrix; what is withheld stays so."""
    known = np.array([[0.0 if v is None else v for v in row] for row in matrix], dtype=float)
    scale = np.sqrt(np.diag(known))
    scale = np.where(scale > 0, scale, 1.0)
    lowest = np.linalg.eigvalsh(known / np.outer(scale, scale)).min()
    if lowest >= 0:
        return matrix
    drawn = known / (1 - lowest)
    np.fill_diagonal(drawn, np.diag(known))
    return [
        [None if v is None else float(new) for v, new in zip(row, drawn[i], strict=True)]
        for i, row in enumerate(matrix)
    ]


def _recomputed(row: dict[str, Any], exact: float, variances: dict, level: float) -> dict[str, Any]:
    variance = variances.get((row["variant"], row["direction"], row["term"]))
    se = math.sqrt(variance) if variance else row["std_error"]
    estimate = _to_error(exact, row["estimate"], se)
    statistic, df, p = estimate / se, row["df"], 0.5 + level / 2
    half = float(ndtri(p) if df is None else stdtrit(df, p)) * se
    beyond = float(ndtr(-abs(statistic)) if df is None else stdtr(df, -abs(statistic)))
    computed = {"estimate": estimate, "std_error": se, "statistic": statistic}
    computed |= {"p_value": 2 * beyond}
    ends = {"ci_low": estimate - half, "ci_high": estimate + half}
    return Estimate.model_validate(row | computed | ends).model_dump()


def _to_error(exact: float, rounded_: float, se: float) -> float:
    """A coefficient with the significant digits asked for, or to a tenth of its standard error's first digit.

    One that is far larger than its standard error would otherwise lose what its study knows of it.
    """
    decimals = 1 - math.floor(math.log10(se))
    finer = abs(rounded_ - exact) > 0.5 * 10.0**-decimals
    return round(exact, decimals) if finer else rounded_
