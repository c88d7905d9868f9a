"""Which numbers an estimate may consist of to be handed on and pooled with others."""

from collections.abc import Mapping
from typing import Any

#: Largest estimate and standard error, and the least standard error. Estimates are pooled by weights 1 / std_error^2 and
#: by squared differences over them; doubles carry 16 digits. Within these limits a standard error is more than 1e-15 of
#: any difference between two studies' estimates, so that rounding adds less than 0.1 to Cochran's Q
#: (:data:`twostage.stats.base.checks.MOST_APART`), and a page can print every number. Standardized effects are near 1.
LARGEST, LEAST_ERROR = 1e6, 1e-8


#: Degrees of freedom; below, a quantile of t at 99.9 % has more than 33 digits.
LEAST_DF, LARGEST_DF = 0.1, 1e12


#: Largest covariance, the square of the largest standard error, and the least variance of one that is known.
LARGEST_COVARIANCE, LEAST_VARIANCE = LARGEST**2, 1e-20


#: Ends of an interval: an estimate, and the largest quantile times the largest standard error.
LARGEST_END = 1e40


#: Largest count, and largest of the other numbers that only describe.
LARGEST_COUNT, LARGEST_OTHER = 10**12, 1e12


WHY = "outside this range, double precision cannot weigh it against other studies"


def estimate(value: float) -> float:
    """An estimate, or ValueError saying why it cannot be pooled."""
    if not abs(value) <= LARGEST:
        raise ValueError(f"an estimate from {-LARGEST:g} to {LARGEST:g}: {WHY}")
    return value


def std_error(value: float) -> float:
    """A standard error, or ValueError saying why it cannot be pooled."""
    if not LEAST_ERROR <= value <= LARGEST:
        raise ValueError(f"a standard error from {LEAST_ERROR:g} to {LARGEST:g}: {WHY}")
    return value


def df(value: float | None) -> float | None:
    """Degrees of freedom, None or infinity for normal inference, or ValueError."""
    if value is not None and value != float("inf") and not LEAST_DF <= value <= LARGEST_DF:
        raise ValueError(
            f"degrees of freedom from {LEAST_DF:g} to {LARGEST_DF:g}, or none for normal inference"
        )
    return value


def why_not(row: Mapping[str, Any]) -> str | None:
    """Which of a row's estimate, std_error and df is out of bounds, in words; None where none is."""
    for name, check in (("estimate", estimate), ("std_error", std_error), ("df", df)):
        try:
            check(row[name])
        except ValueError as error:
            return f"{name} {row[name]:g}; expected {error}"
    return None
