"""What every inference rests on: critical values, two-sided p values, the Wald test, Holm's adjustment."""

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, fdtrc, ndtr, ndtri, stdtr, stdtrit

from twostage.stats.base.checks import real_array
from twostage.stats.base.tables import frame, html

# Smallest eigenvalue of a correlation matrix of coefficients at or below which it is singular up to rounding.
SINGULAR = 4.0 * np.finfo(float).eps


def ratio(numerator, denominator):
    """Elementwise quotient; where the denominator is 0, signed infinity, or NaN if both are."""
    numerator, denominator = np.broadcast_arrays(
        np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)
    )
    empty = denominator == 0.0
    limit = np.where(numerator == 0.0, np.nan, np.copysign(np.inf, numerator))
    return np.where(empty, limit, numerator / np.where(empty, 1.0, denominator))


INTERVALS = ("wald", "hartung-knapp", "hartung-knapp-adhoc")


PREDICTIONS = {
    "k-2": "t with k - 2 degrees of freedom",
    "k-1": "t with k - 1 degrees of freedom",
    "normal": "normal",
}


NO_PREDICTION = "none"


def variance_factor(q, df, ci):
    """Factor on the variance of an effect: 1 (wald), Hartung & Knapp's ``Q(tau2) / df``, or that, at least 1 (ad hoc)."""
    if ci == "wald":
        return np.ones_like(q)
    # As metafor: a weighted sum of squares below the rounding error of doubles is exact agreement.
    factor = np.where(q <= np.finfo(float).eps, 0.0, q) / df
    return np.maximum(factor, 1.0) if ci == "hartung-knapp-adhoc" else factor


def critical_value(df, level):
    """Two-sided critical value of t; normal for infinite df; NaN for df below 1. `df` may be an array."""
    p = 0.5 + level / 2.0
    if np.ndim(df):
        return np.array([critical_value(d, level) for d in df])
    if np.isinf(df):
        return float(ndtri(p))
    return float(stdtrit(df, p)) if df >= 1 else float("nan")


def two_sided_p(statistic, df):
    """Two-sided p-value of a t (normal for infinite df) statistic. `df` may be an array, one for each statistic."""
    if np.ndim(df):
        return np.array([two_sided_p(s, d) for s, d in zip(statistic, df, strict=True)])
    return 2.0 * (ndtr(-np.abs(statistic)) if np.isinf(df) else stdtr(df, -np.abs(statistic)))


def wald(estimate, std_error, df=np.inf, level=0.95):
    """Test and interval of estimates from their standard errors: statistic, p_value, ci_low, ci_high, as a dict."""
    statistic, half = ratio(estimate, std_error), critical_value(df, level) * std_error
    p_value = two_sided_p(statistic, df)
    return {"statistic": statistic, "p_value": p_value, "ci_low": estimate - half, "ci_high": estimate + half}


@dataclass(frozen=True)
class WaldTest:
    """Test that several coefficients are all zero.

    Attributes
    ----------
    statistic : float
        Chi-square or F; NaN where the data do not allow the test.
    df1 : int
        How many coefficients.
    df2 : float
        Denominator degrees of freedom of F; infinite for chi-square.
    p_value : float
    names : tuple of str
        The coefficients tested, where they have names.
    """

    statistic: float
    df1: int
    df2: float
    p_value: float
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, coef, cov, df2, names=()):
        """The test of coefficients (m,) with covariance (m, m): chi-square for infinite `df2`, else F on m and `df2`."""
        m, quadratic = len(coef), quadratic_form(coef, cov)
        statistic = quadratic if np.isinf(df2) else quadratic / m
        return cls(statistic, m, float(df2), float(omnibus_p(statistic, m, df2)), names)

    def tidy(self):
        """One row: names, statistic, df1, df2, p_value."""
        return frame([{"names": ", ".join(self.names)} | self.numbers()])

    def numbers(self, prefix=""):
        """statistic, df1, df2 and p_value, as a dict; their names begin with the prefix."""
        return {prefix + c: getattr(self, c) for c in ("statistic", "df1", "df2", "p_value")}

    def _repr_html_(self):
        return html("Wald test", self.tidy(), [])


def quadratic_form(b, cov):
    """``b' C^-1 b``, coefficients in units of their standard errors; infinite where C is 0, NaN where it is singular."""
    size = np.sqrt(np.diag(cov))
    if (size == 0.0).all():
        return float("inf")
    if not (size > 0.0).all():
        return float("nan")
    correlation, z = cov / np.outer(size, size), b / size
    if np.linalg.eigvalsh(correlation)[0] <= SINGULAR:
        return float("nan")
    return float(z @ np.linalg.solve(correlation, z))


def omnibus_p(statistic, m, df):
    """p-value of an omnibus statistic: chi-square with m df for infinite `df`, else F with m and `df`."""
    return chdtrc(m, statistic) if np.isinf(df) else fdtrc(m, df, statistic)


def holm(p):
    """Adjusted p-values of m tests (Holm 1979, Scandinavian Journal of Statistics 6, 65-70).

    Parameters
    ----------
    p : array_like, shape (m,)
        p-values; NaN for a test that could not be made, which does not count.

    Returns
    -------
    ndarray, shape (m,)
        ``max over j <= i of min(1, (m - j + 1) p_(j))`` in the order of p. Rejecting where it is at most alpha keeps the
        probability of any false rejection below alpha, however the tests depend on each other.

    Raises
    ------
    ValueError
        A value outside 0 to 1.

    Notes
    -----
    Checked against R's ``p.adjust(method = "holm")``.
    """
    p = real_array(p, "p")
    known = np.flatnonzero(~np.isnan(p))
    if ((p[known] < 0.0) | (p[known] > 1.0)).any():
        raise ValueError("p-values must lie between 0 and 1")
    order = known[np.argsort(p[known], kind="stable")]
    steps = np.arange(len(order), 0, -1) * p[order]
    adjusted = np.full(p.shape, np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else steps
    return adjusted
