"""The (restricted) likelihood of residual heterogeneity tau2 given moderators, and its global maximum.

The counterpart of :mod:`twostage.stats.pool.tau2_column_likelihood` for any number of coefficients: the whole half-line is
searched, so that the highest of several maxima is found.
"""

import numpy as np

from twostage.stats.pool.projection import project
from twostage.stats.pool.tau2_column_likelihood import (
    CELL,
    LOG_2PI,
    MAX_ITERATIONS,
    NEWTON_ITERATIONS,
    STEP_TOLERANCE,
)


def log_likelihood(y, v, U, tau2, *, reml):
    """Profile log-likelihood of tau2, the coefficients replaced by their weighted least squares estimates.

    Parameters
    ----------
    y, v : ndarray, shape (..., k)
    U : ndarray, shape (k, p)
        Orthonormal columns spanning the moderators' space.
    tau2 : ndarray, shape (...)
        Or (..., k), one for each study.
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
    k, p = U.shape
    total = v + (tau2[..., None] if np.ndim(tau2) < y.ndim else tau2)
    at = project(y, 1.0 / total, U)
    deviance = np.log(total).sum(axis=-1) + at.rss
    if reml:
        return -0.5 * ((k - p) * LOG_2PI + at.log_det + deviance)
    return -0.5 * (k * LOG_2PI + deviance)


def score(y, v, U, tau2, *, reml):
    """Twice the first and second derivative of :func:`log_likelihood` in tau2.

    Returns
    -------
    slope, curvature : ndarray, shape (...)

    Notes
    -----
    Slope ``y'PPy - tr(P)``, curvature ``tr(PP) - 2 y'PPPy`` for REML; ML has W in place of P inside the traces.
    """
    at = project(y, 1.0 / (v + tau2[..., None]), U)
    _, quadratic, cubic = at.powers()
    if reml:
        return quadratic - at.trace(), at.trace_product(at.w, at.w) - 2.0 * cubic
    return quadratic - at.w.sum(axis=-1), (at.w**2).sum(axis=-1) - 2.0 * cubic


def search_bound(y, v, U):
    """A tau2 above which the likelihood and the restricted likelihood only fall.

    Notes
    -----
    With ``u = tau2 + min v`` and ``R = max v - min v``: the k - p nonzero eigenvalues of P lie between
    ``1 / (u + R)`` and ``1 / u``, so ``y'PPy <= SS / u^2`` (SS the unweighted residual sum of squares) and
    ``tr(P) >= (k-p) / (u + R)``; the slope is negative once ``u^2 > s (u + R)``, ``s = SS / (k-p)``. The
    quadratic's root is enlarged by a tenth so that rounding cannot leave a maximum on the edge.
    """
    k, p = U.shape
    low, high = v.min(axis=-1), v.max(axis=-1)
    s = project(y, np.ones_like(v), U).rss / (k - p)
    u = 0.5 * (s + np.sqrt(s**2 + 4.0 * s * (high - low)))
    return 1.1 * np.maximum(u, low) - low


def maximise_likelihood(y, v, U, *, reml):
    """Global maximum of the (restricted) likelihood over tau2 >= 0.

    Parameters
    ----------
    y, v : ndarray, shape (..., k)
        More studies than columns of U.
    U : ndarray, shape (k, p)
        Orthonormal columns.
    reml : bool

    Returns
    -------
    tau2 : ndarray, shape (...)
    boundary, converged : ndarray of bool
    iterations, n_maxima : ndarray of int

    Notes
    -----
    Checked against metafor 3.8-1, against brute-force evaluation on dense grids and, for an intercept alone,
    against :func:`twostage.stats.pool.tau2_column_likelihood.maximise_likelihood`.
    """
    shape, k = y.shape[:-1], y.shape[-1]
    y, v = np.broadcast_arrays(y.reshape(-1, k), v.reshape(-1, k))
    grid, slopes = _slopes_on_grid(y, v, U, reml)
    row, cell = np.nonzero((slopes[:, :-1] > 0.0) & (slopes[:, 1:] <= 0.0))
    inner, done, steps = _refine(y[row], v[row], U, grid[row, cell], grid[row, cell + 1], reml)
    height = log_likelihood(y[row], v[row], U, inner, reml=reml)

    at_zero = slopes[:, 0] <= 0.0
    zero = np.zeros(len(y))
    best = np.where(at_zero, log_likelihood(y, v, U, zero, reml=reml), -np.inf)
    tau2, converged = np.where(at_zero, 0.0, np.nan), at_zero.copy()
    order = np.argsort(height, kind="stable")  # later assignments win: the highest maximum of each row
    order = order[height[order] > best[row[order]]]
    tau2[row[order]], converged[row[order]] = inner[order], done[order]

    iterations = np.zeros(len(y), dtype=int)
    np.maximum.at(iterations, row, steps)
    n_maxima = np.bincount(row, minlength=len(y)) + at_zero
    return tuple(a.reshape(shape) for a in (tau2, tau2 == 0.0, converged, iterations, n_maxima))


def _slopes_on_grid(y, v, U, reml):
    low = v.min(axis=-1)
    span = np.log1p(search_bound(y, v, U) / low)
    cells = int(np.ceil(span.max() / CELL)) + 1
    grid = low[:, None] * np.expm1(span[:, None] * np.linspace(0.0, 1.0, cells + 1))
    slopes = [score(y, v, U, column, reml=reml)[0] for column in grid.T]
    return grid, np.stack(slopes, axis=1)


def _refine(y, v, U, low, high, reml):
    """Zero of the slope between `low` (slope > 0) and `high` (slope <= 0): Newton, guarded by bisection."""
    floor = v.min(axis=-1) if len(v) else np.zeros(0)
    tau2 = 0.5 * (low + high)
    active = np.ones(tau2.shape, dtype=bool)
    iterations = np.zeros(tau2.shape, dtype=int)
    for iteration in range(MAX_ITERATIONS):
        if not active.any():
            break
        slope, curvature = score(y, v, U, tau2, reml=reml)
        low, high = np.where(slope > 0.0, tau2, low), np.where(slope > 0.0, high, tau2)
        newton = tau2 - slope / np.where(curvature < 0.0, curvature, -1.0)
        usable = (curvature < 0.0) & (newton >= low) & (newton <= high) & (iteration < NEWTON_ITERATIONS)
        new = np.where(active, np.where(usable, newton, 0.5 * (low + high)), tau2)
        iterations += active
        active &= np.abs(new - tau2) > STEP_TOLERANCE * (tau2 + floor)
        tau2 = new
    return tau2, ~active, iterations
