"""How much estimates differ beyond sampling error: Q, I2, H2 and Q-profile intervals of tau2."""

import numpy as np
from scipy.special import chdtrc, chdtri

from twostage.stats.pool.tau2_column import generalised_q, projection_trace, solve_q


def typical_variance(v):
    """The sampling variance of a typical study, Higgins & Thompson (2002): ``(k-1) / tr(P)`` at tau2 = 0.

    Parameters
    ----------
    v : ndarray, shape (..., k)

    Returns
    -------
    ndarray, shape (...)
        NaN for one study.
    """
    k = v.shape[-1]
    if k == 1:
        return np.full(v.shape[:-1], np.nan)
    return (k - 1) / projection_trace(1.0 / v)


def share_and_ratio(tau2, typical):
    """I2 in percent, ``100 tau2 / (tau2 + typical)``, and H2, ``1 + tau2 / typical``."""
    return 100.0 * tau2 / (tau2 + typical), 1.0 + tau2 / typical


def heterogeneity(y, v, tau2, method):
    """Cochran's Q with its test, I2 and H2.

    Parameters
    ----------
    y, v : ndarray, shape (..., k)
    tau2 : ndarray, shape (...)
    method : str
        How tau2 was estimated.

    Returns
    -------
    dict of ndarray, shape (...)
        ``q`` = sum w (y - mean_w)^2 with w = 1/v; ``q_df`` = k - 1; ``q_p_value`` from chi-square; ``i2``
        (0-100) and ``h2`` from tau2 and the typical sampling variance (doi:10.1002/sim.1186), except FE,
        where they come from Q: ``max(0, 100 (Q - df) / Q)`` and ``Q / df``. One study: 0, 0, 1, 0, 1.

    Notes
    -----
    Checked against metafor 3.8-1 to 1e-10 relative.
    """
    shape, df = y.shape[:-1], y.shape[-1] - 1
    if df == 0:
        zero, one = np.zeros(shape), np.ones(shape)
        return {"q": zero, "q_df": np.zeros(shape, dtype=int), "q_p_value": one, "i2": zero, "h2": one}
    q = generalised_q(y - y.mean(axis=-1, keepdims=True), v, np.zeros(shape))
    if method == "FE":
        excess = np.maximum(q - df, 0.0)
        i2, h2 = 100.0 * excess / np.where(q > 0.0, q, 1.0), q / df
    else:
        i2, h2 = share_and_ratio(tau2, typical_variance(v))
    return {"q": q, "q_df": np.full(shape, df), "q_p_value": chdtrc(df, q), "i2": i2, "h2": h2}


def q_profile(y, v, level):
    """Q-profile interval of tau2 (Viechtbauer 2007, doi:10.1002/sim.2514).

    Parameters
    ----------
    y, v : ndarray, shape (..., k)
        At least two studies.
    level : float

    Returns
    -------
    low, high : ndarray, shape (...)
        The tau2 at which the generalised Q equals the upper and the lower chi-square(k-1) quantile.
    empty : ndarray of bool
        Q(0) lies below the lower quantile: no tau2 >= 0 fits, the estimates agree better than their sampling
        variances allow. The interval is then given as [0, 0], as metafor does.
    converged : ndarray of bool

    Notes
    -----
    Unlike metafor's, the search has no upper limit (there 100 by default). Checked against ``confint`` of
    metafor 3.8-1 to 1e-6.
    """
    df = y.shape[-1] - 1
    y = y - y.mean(axis=-1, keepdims=True)
    tail = (1.0 - level) / 2.0
    small, large = chdtri(df, 1.0 - tail), chdtri(df, tail)
    low, low_done, _ = solve_q(y, v, large)
    high, high_done, _ = solve_q(y, v, small)
    empty = generalised_q(y, v, np.zeros(y.shape[:-1])) < small
    return low, high, empty, low_done & high_done
