"""Rounding a record so that its numbers still fit each other."""

import math
from typing import Any

import pydantic
from scipy.stats import norm, t

from twostage.problems import Problem
from twostage.records import Estimate, Record
from twostage.sharing.layout import RECORD_MEMBERS, DisclosureError


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

    Raises
    ------
    DisclosureError
        If a rounded matrix is no covariance matrix any more.
    """
    content = to_digits(record.model_dump(exclude={"parameters"}), digits)
    content |= {"parameters": record.parameters.model_dump()}
    variances = {
        (c["variant"], c["direction"], term): c["matrix"][i][i]
        for c in content["covariances"]
        for i, term in enumerate(c["terms"])
    }
    level = record.parameters.level
    content["estimates"] = [_recomputed(row, variances, level) for row in content["estimates"]]
    try:
        return Record.model_validate(content)
    except pydantic.ValidationError as error:
        expected = f"more significant digits: {error.errors()[0]['msg']}"
        problem = Problem(RECORD_MEMBERS[record.analysis], None, "digits", digits, expected)
        raise DisclosureError([problem]) from None


def _recomputed(row: dict[str, Any], variances: dict, level: float) -> dict[str, Any]:
    variance = variances.get((row["variant"], row["direction"], row["term"]))
    se = math.sqrt(variance) if variance else row["std_error"]
    law = norm() if row["df"] is None else t(row["df"])
    statistic, half = row["estimate"] / se, float(law.ppf(0.5 + level / 2)) * se
    ends = {"ci_low": row["estimate"] - half, "ci_high": row["estimate"] + half}
    computed = {"std_error": se, "statistic": statistic, "p_value": float(2 * law.sf(abs(statistic)))}
    return Estimate.model_validate(row | computed | ends).model_dump()
