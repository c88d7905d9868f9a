"""What every inference rests on: critical values, two-sided p values, the Wald test, Holm's adjustment."""

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, fdtrc, ndtr, ndtri, stdtr, stdtrit

from twostage.stats.base.arrays import real_array
from twostage.stats.base.tables import frame, html


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


def critical_value(df, level):
    """Two-sided critical value of t; normal for infinite df; NaN for df below 1."""
    p = 0.5 + level / 2.0
    if np.isinf(df):
        return float(ndtri(p))
    return float(stdtrit(df, p)) if df >= 1 else float("nan")


def two_sided_p(statistic, df):
    """Two-sided p-value of a t (normal for infinite df) statistic."""
    return 2.0 * (ndtr(-np.abs(statistic)) if np.isinf(df) else stdtr(df, -np.abs(statistic)))


@dataclass(frozen=True)
class WaldTest:
    """Test that several coefficients are all zero.

    Attributes
    ----------
    names : tuple of str
        The coefficients tested.
    statistic : float
        Chi-square or F.
    df : int
        How many coefficients.
    df2 : float
        Denominator degrees of freedom of F; infinite for chi-square.
    p_value : float
    """

    names: tuple[str, ...]
    statistic: float
    df: int
    df2: float
    p_value: float

    def tidy(self):
        """One row: names, statistic, df, df2, p_value."""
        return frame(
            [
                {"names": ", ".join(self.names)}
                | {c: getattr(self, c) for c in ("statistic", "df", "df2", "p_value")}
            ]
        )

    def _repr_html_(self):
        return html("Wald test", self.tidy(), [])


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
