"""Heterogeneity tau2: its estimators, its likelihood, tests and shares of it, for many data sets at once.

Model: ``y_i ~ N(x_i'beta, v_i + tau2)``, the sampling variances ``v_i`` known. Every function takes arrays whose last
axis is the study and works on all data sets of the leading axes together. The moderators are common to them, given as
orthonormal columns U (k, p); without U there is an intercept alone, for which sums in closed form take the place of
matrices.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, chdtri

from twostage.stats.pool.design import project, residual, summed

METHODS = ("FE", "DL", "PM", "REML", "ML", "EB", "SJ", "HS", "HE")


LOG_2PI = float(np.log(2.0 * np.pi))


# The Newton steps of a search shrink quadratically: once a step (or a bracket) is below this fraction of
# tau2 + min(v), the next one would be below the spacing of doubles.
STEP_TOLERANCE = 1e-13


# The same of a Newton step between bounds: what is left after it is of the order of its square.
NEWTON_TOLERANCE = 1e-9


# Far from reached by `solve_q`: 14 steps were the most in 120,000 random data sets, variances over up to 12 orders of
# magnitude and outliers included. After the Newton iterations of a bracket comes bisection: 2^-80 of a cell is beyond
# double precision.
NEWTON_ITERATIONS, MAX_ITERATIONS = 20, 100


CELL = 0.2  # width of a grid cell in log(tau2 + min v): an upper limit for the change of any log weight


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


def estimate_tau2(y, v, method="REML", U=None):
    """Estimate tau2.

    Parameters
    ----------
    y, v : ndarray, shape (..., k)
        Estimates and their sampling variances (squared units of y), finite, v > 0.
    method : {"FE", "DL", "PM", "REML", "ML", "EB", "SJ", "HS", "HE"}
        With ``QE = y'Py`` at weights ``w = 1/v`` (Cochran's Q where p = 1) and ``Q(t) = y'Py`` at ``1 / (v + t)``:

        - FE: 0 by assumption;
        - DL (DerSimonian & Laird 1986, doi:10.1016/0197-2456(86)90046-2): ``(QE - (k-p)) / tr P``;
        - HE (Hedges & Olkin 1985): ``(RSS - tr(P V)) / (k-p)``, RSS and P unweighted;
        - HS (Hunter & Schmidt 1990): ``(QE - k) / sum w``;
        - SJ (Sidik & Jonkman 2005, doi:10.1111/j.1467-9876.2005.00489.x): ``t0 Q(t0) / (k-p)`` with
          ``t0 = sum (y - mean(y))^2 / k``, moderators or not; never negative;
        - PM (Paule & Mandel 1982, doi:10.6028/jres.087.022) and EB (Morris 1983,
          doi:10.1080/01621459.1983.10477920): ``Q(t) = k - p``, the same equation;
        - ML, REML (Viechtbauer 2005, doi:10.3102/10769986030003261): the global maximum of the (restricted)
          likelihood, see :func:`maximise_likelihood`.
    U : ndarray, shape (k, p), optional

    Returns
    -------
    Tau2Search
        Estimates below 0 are set to 0. With as many coefficients as studies (one study) tau2 is 0, whatever the method.

    Notes
    -----
    In matrix form Viechtbauer et al. 2015, doi:10.1037/met0000023. Checked against metafor 3.8-1: closed forms to
    1e-10 relative, the others to 1e-6.
    """
    shape, df = y.shape[:-1], _df(y, U)
    yes, no = np.ones(shape, dtype=bool), np.zeros(shape, dtype=bool)
    zero, one = np.zeros(shape, dtype=int), np.ones(shape, dtype=int)
    if method == "FE" or df == 0:
        return Tau2Search(np.zeros(shape), no, yes, zero, one, "none: tau2 is 0 by definition")
    rest = residual(y, U)
    if method in ("DL", "HE", "HS", "SJ"):
        raw = _closed_form(rest, v, method, y, U)
        return Tau2Search(np.maximum(raw, 0.0), raw <= 0.0, yes, zero, one, "closed form")
    if method in ("PM", "EB"):
        tau2, converged, iterations = solve_q(rest, v, float(df), U)
        return Tau2Search(tau2, tau2 == 0.0, converged, iterations, one, "Newton on 1/Q")
    best = maximise_likelihood(rest, v, U, reml=method == "REML")
    return Tau2Search(*best, "grid, then safeguarded Newton in every bracket")


def _df(y, U):
    return y.shape[-1] - (1 if U is None else U.shape[1])


def _closed_form(rest, v, method, y, U):
    k, df = y.shape[-1], _df(y, U)
    if method == "HE":
        at = project(rest, np.ones_like(v), U)
        return (at.rss - (v * (1.0 - at.hat)).sum(axis=-1)) / df
    if method == "SJ":
        start = y.var(axis=-1)
        return start * generalised_q(rest, v, start, U) / df
    at = project(rest, 1.0 / v, U)
    return (at.rss - df) / at.trace if method == "DL" else (at.rss - k) / at.w.sum(axis=-1)


def generalised_q(y, v, tau2, U=None):
    """Generalised Q statistic ``y'Py``, weights ``1 / (v + tau2)``; Cochran's Q, or the residual QE, at ``tau2 = 0``."""
    return project(y, 1.0 / (v + np.asarray(tau2)[..., None]), U).rss


def solve_q(y, v, target, U=None):
    """The tau2 >= 0 at which the generalised Q equals `target`; 0 where Q(0) is already below it.

    Parameters
    ----------
    y, v : ndarray, shape (..., k)
    target : float or ndarray, shape (...)
        Positive.
    U : ndarray, shape (k, p), optional

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
        at = project(y, 1.0 / (v + tau2[..., None]), U)
        q, slope = at.rss, (at.py**2).sum(axis=-1)
        active &= q > target
        step = np.where(active, q * (q / target - 1.0) / np.where(active, slope, 1.0), 0.0)
        tau2 = tau2 + step
        iterations += active
        active &= step > STEP_TOLERANCE * (tau2 + floor)
        if not active.any():
            break
    return tau2, ~active, iterations


def _std_error(y, v, tau2, method, at, plain, U):
    """Large-sample standard error of the tau2 estimate, as metafor's ``se.tau2``, shape (...), units of v.

    `y` are the estimates themselves, not residuals (SJ starts from their variance); `at` and `plain` are their projections
    with weights ``1 / (v + tau2)`` and ``1 / v``. NaN for FE and for one study, where nothing is estimated.

    Notes
    -----
    ML and REML: expected information, ``2 / sum w^2`` and ``2 / tr(PP)``. PM and EB: ``2 k^2 / ((k-p)
    (sum w)^2)``. Moment estimators ``c y'Ay + const``: the variance of a quadratic form of normals,
    ``c^2 (2 tr(AVAV) + 4 tau2 tr(AAV) + 2 tau2^2 tr(AA))``. Checked against metafor 3.8-1.
    """
    k, df, w = y.shape[-1], _df(y, U), at.w
    if method == "FE" or df == 0:
        return np.full(tau2.shape, np.nan)
    if method == "ML":
        return np.sqrt(2.0 / (w**2).sum(axis=-1))
    if method == "REML":
        return np.sqrt(2.0 / at.trace_product(w, w))
    if method in ("PM", "EB"):
        return np.sqrt(2.0 * k**2 / df) / w.sum(axis=-1)
    if method == "HE":
        plain = project(y, np.ones_like(v), U)
    elif method == "SJ":
        start = y.var(axis=-1)
        plain = project(y, 1.0 / (v + start[..., None]), U)
    d, dv = plain.w, plain.w * v
    variance = 2.0 * plain.trace_product(dv, dv) + 4.0 * tau2 * plain.trace_product(d, dv)
    variance += 2.0 * tau2**2 * plain.trace_product(d, d)
    if method == "SJ":  # identical estimates: the start, hence the estimator and its variance, is exactly 0
        return start / df * np.sqrt(variance)
    return np.sqrt(variance) / (df if method == "HE" else plain.trace if method == "DL" else d.sum(axis=-1))


def log_likelihood(y, v, tau2, U=None, *, reml):
    """Profile log-likelihood of tau2, the coefficients replaced by their weighted least squares estimates.

    Parameters
    ----------
    y, v : ndarray, shape (..., k)
    tau2 : ndarray, shape (...)
        Or (..., k), one for each study.
    U : ndarray, shape (k, p), optional
    reml : bool
        Restricted likelihood, with the constant ``log det(X'X) / 2`` that metafor includes; with it the
        likelihood does not depend on the moderators' units.

    Returns
    -------
    ndarray, shape (...)

    Notes
    -----
    ML: ``-(k log 2 pi + sum log(v + tau2) + y'Py) / 2``. REML: ``-((k-p) log 2 pi + sum log(v + tau2) +
    log det U'WU + y'Py) / 2``. Checked against metafor 3.8-1's ``logLik``.
    """
    total = v + (tau2[..., None] if np.ndim(tau2) < y.ndim else tau2)
    return _log_likelihood(project(y, 1.0 / total, U), total, _df(y, U), reml)


def _log_likelihood(at, total, df, reml):
    deviance = np.log(total).sum(axis=-1) + at.rss
    if reml:
        return -0.5 * (df * LOG_2PI + at.log_det + deviance)
    return -0.5 * (total.shape[-1] * LOG_2PI + deviance)


def score(y, v, tau2, U=None, *, reml):
    """Twice the first and second derivative of :func:`log_likelihood` in tau2.

    Returns
    -------
    slope, curvature : ndarray, shape (...)

    Notes
    -----
    Slope ``y'PPy - tr(P)``, curvature ``tr(PP) - 2 y'PPPy`` for REML; ML has W in place of P inside the traces.
    """
    at = project(y, 1.0 / (v + tau2[..., None]), U)
    trace2 = at.trace_product(at.w, at.w) if reml else (at.w**2).sum(axis=-1)
    return _slope(at, reml), trace2 - 2.0 * at.cubic


def _slope(at, reml):
    py = at.py
    return summed(py, py) - (at.trace if reml else at.w.sum(axis=-1))


def search_bound(y, v, U=None):
    """A tau2 above which the likelihood and the restricted likelihood only fall.

    Notes
    -----
    With ``u = tau2 + min v`` and ``R = max v - min v``: the k - p nonzero eigenvalues of P lie between
    ``1 / (u + R)`` and ``1 / u``, so ``y'PPy <= SS / u^2`` (SS the unweighted residual sum of squares) and
    ``tr(P) >= (k-p) / (u + R)``; the slope is negative once ``u^2 > s (u + R)``, ``s = SS / (k-p)``. The
    quadratic's root is enlarged by a tenth so that rounding cannot leave a maximum on the edge.
    """
    low, high = v.min(axis=-1), v.max(axis=-1)
    s = project(y, np.ones_like(v), U).rss / _df(y, U)
    u = 0.5 * (s + np.sqrt(s**2 + 4.0 * s * (high - low)))
    return 1.1 * np.maximum(u, low) - low


def maximise_likelihood(y, v, U=None, *, reml):
    """Global maximum of the (restricted) likelihood over tau2 >= 0.

    Parameters
    ----------
    y, v : ndarray, shape (..., k)
        More studies than coefficients.
    U : ndarray, shape (k, p), optional
    reml : bool

    Returns
    -------
    tau2 : ndarray, shape (...)
    boundary, converged : ndarray of bool
    iterations, n_maxima : ndarray of int

    Notes
    -----
    The likelihood of tau2 can have several local maxima, and iterations from one starting value (Fisher scoring, say)
    may end in the lower one. Here the whole half-line is searched: all stationary points lie below a bound that
    follows from the data, the bracket is cut so finely that no weight changes by more than a fifth in a cell, and
    every cell in which the slope turns from + to - is refined. The highest maximum, or the boundary tau2 = 0, is
    reported. Checked against metafor 3.8-1 and against brute-force evaluation on dense grids.
    """
    shape, k = y.shape[:-1], y.shape[-1]
    y, v = np.broadcast_arrays(y.reshape(-1, k), v.reshape(-1, k))
    grid, slopes = _slopes_on_grid(y, v, U, reml)
    row, cell = np.nonzero((slopes[:, :-1] > 0.0) & (slopes[:, 1:] <= 0.0))
    low, high, rise, fall = grid[row, cell], grid[row, cell + 1], slopes[row, cell], slopes[row, cell + 1]
    inner, done, steps = refine(
        lambda tau2, at: score(_rows(y, row[at]), _rows(v, row[at]), tau2, U, reml=reml),
        *(low, high, v.min(axis=-1)[row], low + (high - low) * (rise / (rise - fall))),
    )
    height = log_likelihood(_rows(y, row), _rows(v, row), inner, U, reml=reml)

    at_zero = slopes[:, 0] <= 0.0
    zero = np.zeros(len(y))
    best = np.where(at_zero, log_likelihood(y, v, zero, U, reml=reml), -np.inf)
    tau2, converged = np.where(at_zero, 0.0, np.nan), at_zero.copy()
    order = np.argsort(height, kind="stable")  # later assignments win: the highest maximum of each row
    order = order[height[order] > best[row[order]]]
    tau2[row[order]], converged[row[order]] = inner[order], done[order]

    iterations = np.zeros(len(y), dtype=int)
    np.maximum.at(iterations, row, steps)
    n_maxima = np.bincount(row, minlength=len(y)) + at_zero
    return tuple(a.reshape(shape) for a in (tau2, tau2 == 0.0, converged, iterations, n_maxima))


def _slopes_on_grid(y, v, U, reml):
    """Grids (n, cells + 1) of tau2 and the slopes there; beyond a data set's bound it only falls, which -1 says."""
    low = v.min(axis=-1)
    span = np.log1p(search_bound(y, v, U) / low)
    cells = np.ceil(span / CELL).astype(int) + 1
    # Those with the most cells first, so that at each point the data sets that still have one are the first ones.
    order = np.argsort(-cells, kind="stable")
    y, v, low, span = (_rows(a, order) for a in (y, v, low, span))
    left = cells[order]
    grid = np.empty((left[0] + 1, len(y)))
    slopes = np.full(grid.shape, -1.0)
    # One point at a time: the memory stays that of the data, however many data sets there are.
    for point in range(left[0] + 1):
        n = int(np.searchsorted(-left, -point, side="right"))
        grid[point] = low * np.expm1(span * np.minimum(point / left, 1.0))
        slopes[point, :n] = _slope(project(y[:n], 1.0 / (v[:n] + grid[point, :n, None]), U), reml)
    back = np.argsort(order)
    return grid.T[back], slopes.T[back]


def _rows(a, order):
    """Some rows of an array; the numbers of a column still side by side, as :func:`pool_blocks` lays them out."""
    return a[order] if a.ndim == 1 else a.T[:, order].T


def refine(score, low, high, floor, start=None):
    """Zero of a slope in each bracket (n,): Newton's method, guarded by bisection.

    Parameters
    ----------
    score : callable
        tau2 (m,) and the places (m,) of these brackets among all, to the slope and its derivative (m,).
    low, high : ndarray, shape (n,)
        The slope is positive at `low` and at most 0 at `high`.
    floor : ndarray, shape (n,)
        Smallest sampling variances, against which steps are measured.
    start : ndarray, shape (n,), optional
        Between `low` and `high`; default: halfway.

    Returns
    -------
    tau2, converged, iterations : ndarray, shape (n,)
    """
    tau2 = 0.5 * (low + high) if start is None else start.copy()
    active = np.arange(len(low))
    iterations = np.zeros(len(low), dtype=int)
    for iteration in range(MAX_ITERATIONS):
        if not active.size:
            break
        now = tau2[active]
        slope, curvature = score(now, active)
        low, high = np.where(slope > 0.0, now, low), np.where(slope > 0.0, high, now)
        newton = now - slope / np.where(curvature < 0.0, curvature, -1.0)
        usable = (curvature < 0.0) & (newton >= low) & (newton <= high) & (iteration < NEWTON_ITERATIONS)
        new = np.where(usable, newton, 0.5 * (low + high))
        tau2[active] = new
        iterations[active] += 1
        tolerance = np.where(usable, NEWTON_TOLERANCE, STEP_TOLERANCE)
        keep = np.abs(new - now) > tolerance * (new + floor[active])
        active, low, high = active[keep], low[keep], high[keep]
    converged = np.ones(len(tau2), dtype=bool)
    converged[active] = False
    return tau2, converged, iterations


def typical_variance(v, U=None):
    """The sampling variance of a typical study, Higgins & Thompson (2002): ``(k-p) / tr(P)`` at ``tau2 = 0``.

    Parameters
    ----------
    v : ndarray, shape (..., k)
    U : ndarray, shape (k, p), optional

    Returns
    -------
    ndarray, shape (...)
        NaN for one study.
    """
    if _df(v, U) == 0:
        return np.full(v.shape[:-1], np.nan)
    return _df(v, U) / project(v, 1.0 / v, U).trace


def share_and_ratio(tau2, typical):
    """I2 in percent, ``100 tau2 / (tau2 + typical)``, and H2, ``1 + tau2 / typical``."""
    return 100.0 * tau2 / (tau2 + typical), 1.0 + tau2 / typical


def heterogeneity(y, v, tau2, method, U=None, at=None):
    """All that is reported of (residual) heterogeneity.

    Parameters
    ----------
    y, v : ndarray, shape (..., k)
    tau2 : ndarray, shape (...)
    method : str
        How tau2 was estimated.
    U : ndarray, shape (k, p), optional
    at : Projection or MeanProjection, optional
        What a regression with weights ``1 / (v + tau2)`` leaves of y, where it is known already.

    Returns
    -------
    dict of ndarray, shape (...)
        ``tau2_se``; ``loglik``, restricted for REML; ``q`` = y'Py with weights 1/v (Cochran's Q, or QE); ``q_df`` =
        k - p; ``q_p_value`` from chi-square; ``i2`` (0-100) and ``h2`` from tau2 and the typical sampling variance
        (doi:10.1002/sim.1186), except FE, where they come from Q: ``max(0, 100 (Q - df) / Q)`` and ``Q / df``. One
        study: Q 0 with p = 1, I2 0 and H2 1.

    Notes
    -----
    Checked against metafor 3.8-1 to 1e-10 relative.
    """
    shape, df, rest, total = y.shape[:-1], _df(y, U), residual(y, U), v + tau2[..., None]
    at = project(rest, 1.0 / total, U) if at is None else at
    plain = project(rest, 1.0 / v, U)
    loglik = _log_likelihood(at, total, df, method == "REML")
    found = {
        "tau2_se": _std_error(y, v, tau2, method, at, plain, U),
        "loglik": loglik,
        "q_df": np.full(shape, df),
    }
    if df == 0:
        zero, one = np.zeros(shape), np.ones(shape)
        return found | {"q": zero, "q_p_value": one, "i2": zero, "h2": one}
    q = plain.rss
    if method == "FE":
        i2, h2 = 100.0 * np.maximum(q - df, 0.0) / np.where(q > 0.0, q, 1.0), q / df
    else:
        i2, h2 = share_and_ratio(tau2, df / plain.trace)
    return found | {"q": q, "q_p_value": chdtrc(df, q), "i2": i2, "h2": h2}


def q_profile(y, v, level, U=None):
    """Q-profile interval of tau2 (Viechtbauer 2007, doi:10.1002/sim.2514).

    Parameters
    ----------
    y, v : ndarray, shape (..., k)
        More studies than coefficients.
    level : float
    U : ndarray, shape (k, p), optional

    Returns
    -------
    low, high : ndarray, shape (...)
        The tau2 at which the generalised Q equals the upper and the lower chi-square(k-p) quantile.
    empty : ndarray of bool
        Q(0) lies below the lower quantile: no tau2 >= 0 fits, the estimates agree better than their sampling
        variances allow. The interval is then given as [0, 0], as metafor does.
    converged : ndarray of bool

    Notes
    -----
    Unlike metafor's, the search has no upper limit (there 100 by default). Checked against ``confint`` of
    metafor 3.8-1 to 1e-6.
    """
    df, y = _df(y, U), residual(y, U)
    tail = (1.0 - level) / 2.0
    small, large = chdtri(df, 1.0 - tail), chdtri(df, tail)
    low, low_done, _ = solve_q(y, v, large, U)
    high, high_done, _ = solve_q(y, v, small, U)
    empty = generalised_q(y, v, np.zeros(y.shape[:-1]), U) < small
    return low, high, empty, low_done & high_done
