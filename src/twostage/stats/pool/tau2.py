"""Estimators of residual heterogeneity tau2 given moderators, and its Q-profile interval.

The counterpart of :mod:`twostage.stats.pool.tau2_column` for ``y_i ~ N(x_i'beta, v_i + tau2)``: the last axis is the study,
all data sets of the leading axes are worked on together, the moderators are common to them.
"""

import numpy as np
from scipy.special import chdtri

from twostage.stats.pool.projection import project, traces
from twostage.stats.pool.tau2_column import MAX_ITERATIONS, STEP_TOLERANCE, Tau2Search
from twostage.stats.pool.tau2_likelihood import maximise_likelihood


def generalised_q(y, v, U, tau2):
    """Generalised Q statistic ``y'Py``, weights ``1 / (v + tau2)``: the residual QE at ``tau2 = 0``."""
    return project(y, 1.0 / (v + np.asarray(tau2)[..., None]), U).rss


def solve_q(y, v, U, target):
    """The tau2 >= 0 at which the generalised Q equals `target`; 0 where Q(0) is already below it.

    Parameters
    ----------
    y, v : ndarray, shape (..., k)
    U : ndarray, shape (k, p)
    target : float
        Positive.

    Returns
    -------
    tau2 : ndarray, shape (...)
    converged : ndarray of bool
    iterations : ndarray of int

    Notes
    -----
    1/Q is concave in tau2 with moderators too (Cauchy-Schwarz on ``y'Py``, ``y'PPy``, ``y'PPPy``), so Newton's
    method on ``1/Q`` from 0 climbs to the root without passing it, as in :func:`twostage.stats.pool.tau2_column.solve_q`.
    """
    floor = v.min(axis=-1)
    tau2 = np.zeros(y.shape[:-1])
    active = np.ones(tau2.shape, dtype=bool)
    iterations = np.zeros(tau2.shape, dtype=int)
    for _ in range(MAX_ITERATIONS):
        at = project(y, 1.0 / (v + tau2[..., None]), U)
        q, slope = at.rss, at.powers()[1]
        active &= q > target
        step = np.where(active, q * (q / target - 1.0) / np.where(active, slope, 1.0), 0.0)
        tau2 = tau2 + step
        iterations += active
        active &= step > STEP_TOLERANCE * (tau2 + floor)
        if not active.any():
            break
    return tau2, ~active, iterations


def _start(y0):
    return y0.var(axis=-1)


def _closed(y, v, U, method, y0):
    k, p = U.shape
    if method == "HE":
        at = project(y, np.ones_like(v), U)
        return (at.rss - (v * (1.0 - at.hat)).sum(axis=-1)) / (k - p)
    if method == "SJ":
        start = _start(y0)
        return start * generalised_q(y, v, U, start) / (k - p)
    at = project(y, 1.0 / v, U)
    return (at.rss - (k - p)) / at.trace() if method == "DL" else (at.rss - k) / at.w.sum(axis=-1)


def estimate_tau2(y, v, U, method, y0=None):
    """Estimate tau2.

    Parameters
    ----------
    y, v : ndarray, shape (..., k)
        Estimates (or what any regression on U leaves of them) and their sampling variances.
    U : ndarray, shape (k, p)
        Orthonormal columns spanning the moderators' space, k > p.
    method : {"FE", "DL", "PM", "REML", "ML", "EB", "SJ", "HS", "HE"}
        With ``QE = y'Py`` at weights ``w = 1/v`` and ``Q(t) = y'Py`` at weights ``1 / (v + t)``:

        - FE: 0 by assumption;
        - DL: ``(QE - (k-p)) / tr P``;
        - HE: ``(RSS - tr(P V)) / (k-p)``, RSS and P unweighted;
        - HS: ``(QE - k) / sum w``;
        - SJ: ``t0 Q(t0) / (k-p)`` with ``t0 = sum (y - mean(y))^2 / k``, moderators or not;
        - PM and EB: ``Q(t) = k - p``;
        - ML, REML: the global maximum, see :mod:`twostage.stats.pool.tau2_likelihood`.
    y0 : ndarray, shape (..., k), optional
        The estimates themselves, where `y` is not: SJ starts from their variance.

    Returns
    -------
    Tau2Search
        Estimates below 0 are set to 0.

    Notes
    -----
    Sources as in :func:`twostage.stats.pool.tau2_column.estimate_tau2`, in matrix form Viechtbauer et al. 2015,
    doi:10.1037/met0000023. Checked against metafor 3.8-1.
    """
    k, p = U.shape
    shape = y.shape[:-1]
    yes, no = np.ones(shape, dtype=bool), np.zeros(shape, dtype=bool)
    zero, one = np.zeros(shape, dtype=int), np.ones(shape, dtype=int)
    if method == "FE":
        return Tau2Search(np.zeros(shape), no, yes, zero, one, "none: tau2 is 0 by definition")
    if method in ("DL", "HE", "HS", "SJ"):
        raw = _closed(y, v, U, method, y if y0 is None else y0)
        return Tau2Search(np.maximum(raw, 0.0), raw <= 0.0, yes, zero, one, "closed form")
    if method in ("PM", "EB"):
        tau2, converged, iterations = solve_q(y, v, U, float(k - p))
        return Tau2Search(tau2, tau2 == 0.0, converged, iterations, one, "Newton on 1/Q")
    best = maximise_likelihood(y, v, U, reml=method == "REML")
    return Tau2Search(*best, "grid, then safeguarded Newton in every bracket")


def tau2_std_error(y0, v, U, tau2, method):
    """Large-sample standard error of the tau2 estimate, as metafor's ``se.tau2``.

    Parameters
    ----------
    y0, v : ndarray, shape (..., k)
        The estimates (SJ only) and their sampling variances.
    U : ndarray, shape (k, p)
    tau2 : ndarray, shape (...)
    method : str

    Returns
    -------
    ndarray, shape (...)
        Units of v; NaN for FE.

    Notes
    -----
    ML and REML: expected information, ``2 / sum w^2`` and ``2 / tr(PP)``. PM and EB: ``2 k^2 / ((k-p)
    (sum w)^2)``. Moment estimators ``c y'Ay + const``: the variance of a quadratic form of normals,
    ``c^2 (2 tr(AVAV) + 4 tau2 tr(AAV) + 2 tau2^2 tr(AA))``. Checked against metafor 3.8-1.
    """
    k, p = U.shape
    if method == "FE":
        return np.full(tau2.shape, np.nan)
    w = 1.0 / (v + tau2[..., None])
    if method == "ML":
        return np.sqrt(2.0 / (w**2).sum(axis=-1))
    if method == "REML":
        return np.sqrt(2.0 / traces(w, v, U)["pp"])
    if method in ("PM", "EB"):
        return np.sqrt(2.0 * k**2 / (k - p)) / w.sum(axis=-1)
    start = _start(y0)
    d = {"HE": np.ones_like(v), "SJ": 1.0 / (v + start[..., None])}.get(method, 1.0 / v)
    trace = traces(d, v, U)
    variance = 2.0 * trace["pvpv"] + 4.0 * tau2 * trace["ppv"] + 2.0 * tau2**2 * trace["pp"]
    scale = {
        "DL": trace["p"],
        "HE": k - p,
        "HS": d.sum(axis=-1),
        "SJ": (k - p) / np.where(start > 0, start, 1),
    }
    return np.where((method == "SJ") & (start == 0.0), 0.0, np.sqrt(variance) / scale[method])


def typical_variance(v, U):
    """The sampling variance of a typical study, ``(k-p) / tr(P)`` at ``tau2 = 0``."""
    k, p = U.shape
    return (k - p) / project(np.zeros_like(v), 1.0 / v, U).trace()


def q_profile(y, v, U, level):
    """Q-profile interval of residual tau2 (Viechtbauer 2007, doi:10.1002/sim.2514).

    Returns
    -------
    low, high : ndarray, shape (...)
        The tau2 at which the generalised Q equals the upper and the lower chi-square(k-p) quantile.
    empty : ndarray of bool
        Q(0) lies below the lower quantile: the interval is given as [0, 0], as metafor does.
    converged : ndarray of bool
    """
    df = U.shape[0] - U.shape[1]
    tail = (1.0 - level) / 2.0
    small, large = chdtri(df, 1.0 - tail), chdtri(df, tail)
    low, low_done, _ = solve_q(y, v, U, large)
    high, high_done, _ = solve_q(y, v, U, small)
    empty = generalised_q(y, v, U, np.zeros(y.shape[:-1])) < small
    return low, high, empty, low_done & high_done
