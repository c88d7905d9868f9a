"""Estimators of the between-study variance tau2, for one meta-analysis or many at once.

Model: ``y_i ~ N(theta, v_i + tau2)``, the sampling variances ``v_i`` known. Every function takes arrays
whose last axis is the study and works on all meta-analyses of the leading axes together; nothing loops
over meta-analyses.
"""

from dataclasses import dataclass

import numpy as np

from twostage.stats.pool.tau2_column_likelihood import dominated, maximise_likelihood, sum_of_others

METHODS = ("FE", "DL", "PM", "REML", "ML", "EB", "SJ", "HS", "HE")


# The Newton steps of `solve_q` shrink quadratically: once a step is below this fraction of
# tau2 + min(v), the next one would be below the spacing of doubles.
STEP_TOLERANCE = 1e-13


# Far from reached: 14 steps were the most in 120,000 random data sets, variances over up to 12 orders of
# magnitude and outliers included.
MAX_ITERATIONS = 200


@dataclass(frozen=True, eq=False)
class Tau2Search:
    """How tau2 was found.

    Attributes
    ----------
    tau2 : ndarray, shape (...)
        The estimate, truncated at 0.
    boundary : ndarray of bool
        The untruncated estimate is 0 or below (always False for FE, which assumes 0).
    converged : ndarray of bool
    iterations : ndarray of int
        Newton steps; 0 for closed forms.
    n_maxima : ndarray of int
        Local maxima of the likelihood over tau2 >= 0 (REML, ML); the highest is reported. 1 otherwise.
    algorithm : str
    """

    tau2: np.ndarray
    boundary: np.ndarray
    converged: np.ndarray
    iterations: np.ndarray
    n_maxima: np.ndarray
    algorithm: str


def weighted(y, v, tau2):
    """Weights ``1 / (v + tau2)``, their sum, the weighted mean and the deviations from it."""
    w = 1.0 / (v + np.asarray(tau2)[..., None])
    total = w.sum(axis=-1)
    mean = (w * y).sum(axis=-1) / total
    return w, total, mean, y - mean[..., None]


def generalised_q(y, v, tau2):
    """Generalised Q statistic ``sum (y - mean)^2 / (v + tau2)``; Cochran's Q at ``tau2 = 0``.

    Parameters
    ----------
    y, v : ndarray, shape (..., k)
    tau2 : ndarray, shape (...)

    Returns
    -------
    ndarray, shape (...)
    """
    w, _, _, r = weighted(y, v, tau2)
    return (w * r**2).sum(axis=-1)


def solve_q(y, v, target):
    """The tau2 >= 0 at which the generalised Q equals `target`; 0 where Q(0) is already below it.

    Parameters
    ----------
    y, v : ndarray, shape (..., k)
    target : float or ndarray, shape (...)
        Positive.

    Returns
    -------
    tau2 : ndarray, shape (...)
    converged : ndarray of bool
    iterations : ndarray of int

    Notes
    -----
    Q falls in tau2, and 1/Q is concave (Cauchy-Schwarz on ``y'Py``, ``y'PPy``, ``y'PPPy``), so Newton's
    method on ``1/Q = 1/target`` from tau2 = 0 climbs to the root without ever passing it: no bracket, no
    upper limit, no safeguard. It is the Paule-Mandel iteration (DerSimonian & Kacker 2007,
    doi:10.1016/j.cct.2006.04.004) on the reciprocal scale, where it needs far fewer steps.
    """
    floor = v.min(axis=-1)
    tau2 = np.zeros(y.shape[:-1])
    active = np.ones(tau2.shape, dtype=bool)
    iterations = np.zeros(tau2.shape, dtype=int)
    for _ in range(MAX_ITERATIONS):
        w, _, _, r = weighted(y, v, tau2)
        wr = w * r
        q, slope = (wr * r).sum(axis=-1), (wr**2).sum(axis=-1)
        active &= q > target
        step = np.where(active, q * (q / target - 1.0) / np.where(active, slope, 1.0), 0.0)
        tau2 = tau2 + step
        iterations += active
        active &= step > STEP_TOLERANCE * (tau2 + floor)
        if not active.any():
            break
    return tau2, ~active, iterations


def projection_trace(d):
    """Trace of ``P = D - D11'D / 1'D1`` for weights d (..., k), the diagonal of D: ``sum d - sum d^2 / sum d``.

    Where one weight dominates it is ``sum d_i (sum of the others) / sum d``, which has nothing to cancel.
    """
    total, squares = d.sum(axis=-1), (d * d).sum(axis=-1)
    if dominated(squares, total):
        return (d * sum_of_others(d)).sum(axis=-1) / total
    return total - squares / total


def projection_traces(d, v):
    """Traces of ``P = D - D11'D / 1'D1`` and its products with ``V = diag(v)``.

    Parameters
    ----------
    d, v : ndarray, shape (..., k)
        Weights (the diagonal of D) and sampling variances.

    Returns
    -------
    dict of ndarray, shape (...)
        tr(P), tr(PV), tr(PP), tr(PPV), tr(PVPV), named ``p``, ``pv``, ``pp``, ``ppv``, ``pvpv``.
    """
    s1, s2 = d.sum(axis=-1), (d * d).sum(axis=-1)
    if dominated(s2, s1):
        return _traces_of_positive_terms(d, v)
    d2, dv = d * d, d * v
    share, s3 = s2 / s1, (d2 * d).sum(axis=-1)
    first, second, third = dv.sum(axis=-1), (d * dv).sum(axis=-1), (d2 * dv).sum(axis=-1)
    squares, cubes = (dv * dv).sum(axis=-1), (d * dv * dv).sum(axis=-1)
    return {
        "p": s1 - share,
        "pv": first - second / s1,
        "pp": s2 - 2.0 * s3 / s1 + share**2,
        "ppv": second - 2.0 * third / s1 + share * second / s1,
        "pvpv": squares - 2.0 * cubes / s1 + (second / s1) ** 2,
    }


def _traces_of_positive_terms(d, v):
    """The same without a difference: from the diagonals of P and PP, and the squares of the rest of P's rows against V."""
    total = d.sum(axis=-1, keepdims=True)
    d2, rest = d * d, sum_of_others(d) / total
    p = d * rest
    pp = d2 * (rest**2 + sum_of_others(d2) / total**2)
    beside = d2 * v * sum_of_others(d2 * v) / total**2
    return {
        "p": p.sum(axis=-1),
        "pv": (p * v).sum(axis=-1),
        "pp": pp.sum(axis=-1),
        "ppv": (pp * v).sum(axis=-1),
        "pvpv": ((p * v) ** 2 + beside).sum(axis=-1),
    }


def _dersimonian_laird(y, v):
    k = y.shape[-1]
    return (generalised_q(y, v, np.zeros(y.shape[:-1])) - (k - 1)) / projection_trace(1.0 / v)


def _hunter_schmidt(y, v):
    return (generalised_q(y, v, np.zeros(y.shape[:-1])) - y.shape[-1]) / (1.0 / v).sum(axis=-1)


def _hedges(y, v):
    return y.var(axis=-1, ddof=1) - v.mean(axis=-1)


def _sidik_jonkman(y, v):
    start = y.var(axis=-1)
    return start * generalised_q(y, v, start) / (y.shape[-1] - 1)


_CLOSED = {"DL": _dersimonian_laird, "HS": _hunter_schmidt, "HE": _hedges, "SJ": _sidik_jonkman}


def estimate_tau2(y, v, method="REML"):
    """Estimate tau2.

    Parameters
    ----------
    y, v : ndarray, shape (..., k)
        Estimates and their sampling variances (squared units of y), finite, v > 0.
    method : {"FE", "DL", "PM", "REML", "ML", "EB", "SJ", "HS", "HE"}
        With ``Q`` Cochran's Q, ``w = 1/v`` and ``Q(t)`` the generalised Q:

        - FE: 0 by assumption;
        - DL (DerSimonian & Laird 1986, doi:10.1016/0197-2456(86)90046-2):
          ``(Q - (k-1)) / (sum w - sum w^2 / sum w)``;
        - HE (Hedges & Olkin 1985): ``var(y) - mean(v)``, the variance with divisor k - 1;
        - HS (Hunter & Schmidt 1990): ``(Q - k) / sum w``;
        - SJ (Sidik & Jonkman 2005, doi:10.1111/j.1467-9876.2005.00489.x): ``t0 Q(t0) / (k-1)`` with
          ``t0 = sum (y - mean(y))^2 / k``; never negative;
        - PM (Paule & Mandel 1982, doi:10.6028/jres.087.022) and EB (Morris 1983,
          doi:10.1080/01621459.1983.10477920): ``Q(t) = k - 1``, the same equation;
        - ML, REML (Viechtbauer 2005, doi:10.3102/10769986030003261): the global maximum of the (restricted)
          likelihood, see :mod:`twostage.stats.pool.tau2_column_likelihood`.

    Returns
    -------
    Tau2Search
        Estimates below 0 are set to 0. With one study tau2 is 0, whatever the method.

    Notes
    -----
    Checked against metafor 3.8-1: closed forms to 1e-10 relative, the others to 1e-6.
    """
    shape, k = y.shape[:-1], y.shape[-1]
    yes, no = np.ones(shape, dtype=bool), np.zeros(shape, dtype=bool)
    zero, one = np.zeros(shape, dtype=int), np.ones(shape, dtype=int)
    if method == "FE" or k == 1:
        return Tau2Search(np.zeros(shape), no, yes, zero, one, "none: tau2 is 0 by definition")
    y = y - y.mean(axis=-1, keepdims=True)
    if method in _CLOSED:
        raw = _CLOSED[method](y, v)
        return Tau2Search(np.maximum(raw, 0.0), raw <= 0.0, yes, zero, one, "closed form")
    if method in ("PM", "EB"):
        tau2, converged, iterations = solve_q(y, v, float(k - 1))
        return Tau2Search(tau2, tau2 == 0.0, converged, iterations, one, "Newton on 1/Q")
    best = maximise_likelihood(y, v, reml=method == "REML")
    return Tau2Search(*best, "grid, then safeguarded Newton in every bracket")


def tau2_std_error(y, v, tau2, method):
    """Large-sample standard error of the tau2 estimate, as metafor's ``se.tau2``.

    Parameters
    ----------
    y, v : ndarray, shape (..., k)
    tau2 : ndarray, shape (...)
        The estimate by `method`.
    method : str

    Returns
    -------
    ndarray, shape (...)
        Units of v. NaN for FE and for one study, where nothing is estimated.

    Notes
    -----
    ML and REML: expected information, ``2 / sum w^2`` and ``2 / tr(PP)``. PM and EB: ``2 k^2 / ((k-1)
    (sum w)^2)``. Moment estimators ``c y'Ay + const``: the variance of a quadratic form of normals,
    ``c^2 (2 tr(AVAV) + 4 tau2 tr(AAV) + 2 tau2^2 tr(AA))``. Checked against metafor 3.8-1.
    """
    k = y.shape[-1]
    if method == "FE" or k == 1:
        return np.full(y.shape[:-1], np.nan)
    w = 1.0 / (v + tau2[..., None])
    if method == "ML":
        return np.sqrt(2.0 / (w**2).sum(axis=-1))
    if method == "REML":
        return np.sqrt(2.0 / projection_traces(w, v)["pp"])
    if method in ("PM", "EB"):
        return np.sqrt(2.0 * k**2 / (k - 1)) / w.sum(axis=-1)
    return _moment_std_error(y, v, tau2, method)


def _moment_std_error(y, v, tau2, method):
    k = y.shape[-1]
    start = y.var(axis=-1)
    if method == "SJ":
        # Identical estimates: the starting value, hence the estimator and its variance, is exactly 0.
        start = np.where(start > 0.0, start, 0.0)
        d = 1.0 / (v + start[..., None])
    else:
        d = np.ones_like(v) if method == "HE" else 1.0 / v
    trace = projection_traces(d, v)
    variance = 2.0 * trace["pvpv"] + 4.0 * tau2 * trace["ppv"] + 2.0 * tau2**2 * trace["pp"]
    scale = {"DL": trace["p"], "HE": k - 1.0, "HS": d.sum(axis=-1)}
    factor = start / (k - 1) if method == "SJ" else 1.0 / scale[method]
    return factor * np.sqrt(variance)
