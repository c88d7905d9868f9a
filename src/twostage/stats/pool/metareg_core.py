"""Coefficients of a meta-regression, their inference and heterogeneity, for one data set or many at once."""

import numpy as np
from scipy.special import chdtrc

from twostage.stats.pool.core import variance_factor
from twostage.stats.pool.projection import project
from twostage.stats.pool.tau2 import estimate_tau2, generalised_q, tau2_std_error, typical_variance
from twostage.stats.pool.tau2_likelihood import log_likelihood


def coefficients(y, v, tau2, design, ci):
    """Weighted least squares at given variances.

    Parameters
    ----------
    y, v : ndarray, shape (..., k)
    tau2 : ndarray, shape (...) or (..., k)
    design : Design
    ci : str
        Inference, see :func:`twostage.stats.pool.metareg.metareg`.

    Returns
    -------
    dict of ndarray
        ``coef``, ``std_error``, ``statistic`` (..., p), ``cov_coef`` (..., p, p), ``variance_factor`` (...),
        ``qm`` (...): the omnibus statistic, chi-square or (Hartung-Knapp) F.

    Notes
    -----
    With ``W^(1/2) X = Q M``, M upper triangular: ``coef = M^-1 c``, covariance ``s M^-1 M^-T`` with ``c = Q'W^(1/2)
    y`` and s the variance factor. As the intercept is the first column, the test of all others is the sum of
    squares of c without its first element, over s.
    """
    k, p = design.U.shape
    offset = y @ design.U  # unweighted fit: taken out first, so that estimates far from 0 cost no digits
    total = v + (tau2[..., None] if np.ndim(tau2) < y.ndim else tau2)
    at = project(y - offset @ design.U.T, 1.0 / total, design.U)
    M_inverse = np.linalg.inv(at.R @ design.T)
    coef = _times(np.linalg.inv(design.T), _times(np.linalg.inv(at.R), at.c) + offset)
    # k - p in place of pool's k - 1 in the divisor: the function divides by (argument - 1).
    factor = variance_factor(at.rss, k - p + 1, ci)
    cov = factor[..., None, None] * (M_inverse @ np.swapaxes(M_inverse, -1, -2))
    std_error = np.sqrt(np.diagonal(cov, axis1=-2, axis2=-1))
    tested = (at.c + _times(at.R, offset))[..., design.tested :]
    m = tested.shape[-1] if ci != "wald" else 1
    return {
        "coef": coef,
        "std_error": std_error,
        "statistic": ratio(coef, std_error),
        "cov_coef": cov,
        "variance_factor": factor,
        "qm": ratio((tested**2).sum(axis=-1), factor * m),
    }


def regress(y, v, design, method, ci):
    """tau2 and coefficients, all that permutations need.

    Returns
    -------
    numbers : dict of ndarray
        As of :func:`coefficients`, and ``tau2``.
    search : Tau2Search
    """
    residual = y - (y @ design.U) @ design.U.T
    search = estimate_tau2(residual, v, design.U, method, y)
    return coefficients(y, v, search.tau2, design, ci) | {"tau2": search.tau2}, search


def heterogeneity(y, v, design, tau2, method):
    """Residual heterogeneity: tau2's standard error, QE and its test, I2, H2, log-likelihood.

    Returns
    -------
    dict of ndarray, shape (...)

    Notes
    -----
    I2 is ``100 tau2 / (tau2 + s)`` and H2 ``1 + tau2 / s`` with ``s = (k-p) / tr(P)`` at tau2 = 0; for FE they
    come from QE: ``max(0, 100 (QE - df) / QE)`` and ``QE / df``.
    """
    k, p = design.U.shape
    residual = y - (y @ design.U) @ design.U.T
    qe = generalised_q(residual, v, design.U, np.zeros(y.shape[:-1]))
    if method == "FE":
        i2, h2 = 100.0 * np.maximum(qe - (k - p), 0.0) / np.where(qe > 0.0, qe, 1.0), qe / (k - p)
    else:
        typical = typical_variance(v, design.U)
        i2, h2 = 100.0 * tau2 / (tau2 + typical), 1.0 + tau2 / typical
    return {
        "tau2_se": tau2_std_error(y, v, design.U, tau2, method),
        "qe": qe,
        "qe_p_value": chdtrc(k - p, qe),
        "i2": i2,
        "h2": h2,
        "loglik": log_likelihood(residual, v, design.U, tau2, reml=method == "REML"),
    }


def ratio(number, divisor):
    """number / divisor; with a divisor of 0, signed infinity (NaN for 0 / 0)."""
    number, divisor = np.broadcast_arrays(number, divisor)
    exact = np.where(number == 0.0, np.nan, np.copysign(np.inf, number))
    return np.where(divisor > 0.0, number / np.where(divisor > 0.0, divisor, 1.0), exact)


def _times(matrix, c):
    return (matrix @ c[..., None])[..., 0]
