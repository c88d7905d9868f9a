"""Where a new study's estimate is expected, its own sampling error included."""

from dataclasses import dataclass

import numpy as np

from twostage.stats.base import critical_value, one_row, ratio, two_sided_p, variance_factor
from twostage.stats.pool.design import project
from twostage.stats.pool.results import PooledFit


@dataclass(frozen=True)
class Newcomer:
    """A new estimate held against a pool that it is not part of.

    Attributes
    ----------
    estimate, std_error : float
        The new study's.
    low, high : float
        Where an estimate with this sampling error is expected; NaN where the pool holds a single study.
    residual : float
        The deleted residual: distance from the pooled effect in standard errors.
    df : float
        Of its t distribution; infinite for a normal one.
    p_value : float
        Two-sided.
    level : float
    """

    estimate: float
    std_error: float
    low: float
    high: float
    residual: float
    df: float
    p_value: float
    level: float

    @property
    def inside(self) -> bool | None:
        """Whether the estimate lies where it is expected; None where nothing can be expected."""
        return bool(self.low <= self.estimate <= self.high) if np.isfinite(self.low) else None

    def tidy(self):
        """One row: the numbers and whether it lies inside."""
        names = ("estimate", "std_error", "low", "high", "residual", "df", "p_value", "level", "inside")
        return one_row(self, names)

    def _repr_html_(self) -> str:
        return self.tidy().to_html(index=False)


def newcomer(fit: PooledFit, estimate: float, variance: float) -> Newcomer:
    """Judge a new study's estimate by the pool of others.

    Parameters
    ----------
    fit : PooledFit
        Of the k others.
    estimate, variance : float
        The new study's estimate and its sampling variance.

    Returns
    -------
    Newcomer

    Raises
    ------
    ValueError
        A variance that is not positive and finite, or an estimate that is not finite.

    Notes
    -----
    With ``w_j = 1 / (v_j + tau2)`` of the others, their pooled effect theta and
    ``s = sum_j w_j (y_j - theta)^2 / (k - 1)``::

        theta -+ t_(k-1) sqrt(s (v + tau2 + 1 / sum_j w_j))

    the externally standardized (deleted) residual (Viechtbauer & Cheung 2010, doi:10.1002/jrsm.11) with Hartung & Knapp's
    factor s, whatever interval the pool itself has. The prediction interval of the pool is for the *true* effect of a
    new study: it leaves out v, so that an estimate lies outside of it more often than the level says, nearly always
    where studies are alike. Where all variances agree, this is the t interval for one more draw of a normal distribution
    and exact; where they do not, 4.9 to 5.3 % of estimates drawn from one process lay outside, with 4 to 17 studies and
    tau from 0 to several sampling errors (of the smaller half of the studies 4.1 to 5.1, of the larger 4.8 to 6.4);
    with tau2 taken as known and normal quantiles it was 4 to 20 %. A fixed-effect pool takes its assumption at its
    word: ``s = 1``, normal quantiles. Checked against metafor's ``rstudent``.

    Examples
    --------
    >>> import twostage as ts
    >>> from twostage.stats.pool import newcomer
    >>> others = ts.pool([0.21, 0.08, 0.30, 0.15], [0.010, 0.014, 0.020, 0.010])
    >>> round(newcomer(others, 0.62, 0.01).p_value, 3)
    0.013
    """
    if not (np.isfinite(estimate) and np.isfinite(variance) and variance > 0):
        raise ValueError(f"expected a finite estimate and a positive variance; got {estimate} and {variance}")
    error, df, reach, residual = float("nan"), float("nan"), float("nan"), float("nan")
    if fit.k > 1:
        spread, df = expected_error(fit.y, fit.v, fit.estimate, fit.tau2, variance, fixed=fit.method == "FE")
        error = float(spread)
        reach, residual = critical_value(df, fit.level) * error, float(ratio(estimate - fit.estimate, error))
    return Newcomer(
        estimate=float(estimate),
        std_error=float(np.sqrt(variance)),
        low=fit.estimate - reach,
        high=fit.estimate + reach,
        residual=residual,
        df=df,
        p_value=float(two_sided_p(residual, df)) if fit.k > 1 else float("nan"),
        level=fit.level,
    )


def expected_error(y, v, estimate, tau2, variance, *, fixed=False):
    """Standard error of a new estimate about the pooled one, and its df; along the last axis, many pools at once.

    Parameters
    ----------
    y, v : ndarray, shape (..., k)
        The pools' studies.
    estimate, tau2, variance : ndarray, shape (...)
        Pooled effect and heterogeneity; the new estimate's sampling variance.
    fixed : bool
        Fixed-effect pools.

    Returns
    -------
    error : ndarray, shape (...)
    df : float
    """
    tau2, k = np.asarray(tau2, dtype=float), y.shape[-1]
    at = project(y - np.asarray(estimate)[..., None], 1.0 / (v + tau2[..., None]))
    factor = 1.0 if fixed else variance_factor(at.rss, k - 1.0, "hartung-knapp")
    return np.sqrt(factor * (variance + tau2 + 1.0 / at.total)), np.inf if fixed else k - 1.0
