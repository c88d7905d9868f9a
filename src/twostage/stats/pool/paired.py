"""Difference of two pooled estimates from the same studies."""

from dataclasses import dataclass

import numpy as np

from twostage.stats.base import Inference, real_array, wald
from twostage.stats.pool.pool import pool, pool_many
from twostage.stats.pool.refit import all_but_one


@dataclass(frozen=True)
class PairedDifference(Inference[float]):
    """Pooled estimate of the second estimator less that of the first.

    Attributes
    ----------
    estimate, std_error, df, statistic, p_value, ci_low, ci_high : float
        NaN but for `estimate` where there are fewer than three studies.
    k : int
    level : float
    """

    estimate: float
    df: float
    k: int
    level: float


def paired_difference(y1, v1, y2, v2, *, method="REML", level=0.95) -> PairedDifference:
    """How far two estimators, applied to the same studies, differ after pooling.

    Parameters
    ----------
    y1, v1, y2, v2 : array_like, shape (k,)
        Estimates and sampling variances by the first and by the second estimator; row = study.
    method : str
        Estimator of tau2, see :func:`twostage.stats.pool.pool.pool`.
    level : float

    Returns
    -------
    PairedDifference

    Raises
    ------
    ValueError
        As :func:`twostage.stats.pool.pool.pool`; unequal numbers of studies.

    Notes
    -----
    Both estimators saw the same patients, so their errors are correlated and the two pooled standard errors say nothing of
    the difference D. Its standard error is the jackknife over studies, ``sqrt((k - 1)/k sum_i (D_(i) - D_(.))^2)`` with
    D_(i) the difference without study i (Efron & Stein 1981, doi:10.1214/aos/1176345462); t with k - 1 df. With equal
    variances and tau2 = 0 this is the paired t test. Checked by that identity, against metafor fits of all subsets of
    k - 1 studies, and by simulated coverage.
    """
    (y1, v1), (y2, v2) = ([real_array(a, "y and v") for a in pair] for pair in ((y1, v1), (y2, v2)))
    if not y1.shape == v1.shape == y2.shape == v2.shape:
        raise ValueError(
            f"the same studies twice are needed; got {y1.shape}, {v1.shape}, {y2.shape}, {v2.shape}"
        )
    first, second = (pool(y, v, method=method, level=level) for y, v in ((y1, v1), (y2, v2)))
    estimate, k = second.estimate - first.estimate, first.k
    error, df = np.nan, np.nan
    if k >= 3:
        index = all_but_one(k)
        without = [pool_many(y[index], v[index], method=method).estimate for y, v in ((y1, v1), (y2, v2))]
        left = without[1] - without[0]
        error, df = float(np.sqrt((k - 1) / k * np.sum((left - left.mean()) ** 2))), k - 1.0
    return PairedDifference(
        estimate=float(estimate),
        std_error=error,
        df=df,
        **{name: float(number) for name, number in wald(estimate, error, df, level).items()},
        k=k,
        level=level,
    )
