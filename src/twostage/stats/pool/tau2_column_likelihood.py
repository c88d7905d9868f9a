"""The (restricted) likelihood of tau2 and its global maximum, for many meta-analyses at once.

The likelihood of tau2 can have several local maxima, and iterations from one starting value (Fisher
scoring, say) may end in the lower one. Here the whole half-line is searched: all stationary points lie
below a bound that follows from the data, the bracket is cut so finely that no weight changes by more
than a fifth in a cell, and every cell in which the slope turns from + to - is refined. The highest
maximum, or the boundary tau2 = 0, is reported.
"""

import numpy as np

LOG_2PI = float(np.log(2.0 * np.pi))


CELL = 0.2  # width of a grid cell in log(tau2 + min v): an upper limit for the change of any log weight


# Width of a bracket, or Newton step, relative to tau2 + min(v), at which a refinement ends.
STEP_TOLERANCE = 1e-13


DOMINATED = 0.9  # sum w^2 / (sum w)^2 from which on the traces' short formulas lose digits


NEWTON_ITERATIONS, MAX_ITERATIONS = 20, 100  # then bisection: 2^-80 of a cell is beyond double precision


def log_likelihood(y, v, tau2, *, reml):
    """Profile log-likelihood of tau2, the pooled effect replaced by its weighted mean.

    Parameters
    ----------
    y, v : ndarray, shape (..., k)
    tau2 : ndarray, shape (...)
    reml : bool
        Restricted likelihood, with the constant ``log(k) / 2`` that metafor includes.

    Returns
    -------
    ndarray, shape (...)

    Notes
    -----
    ML: ``-(k log 2 pi + sum log(v + tau2) + Q(tau2)) / 2``. REML: ``-((k-1) log 2 pi - log k +
    sum log(v + tau2) + log sum w + Q(tau2)) / 2``. Checked against metafor 3.8-1's ``logLik``.
    """
    k = y.shape[-1]
    total = v + tau2[..., None]
    w = 1.0 / total
    sum_w = w.sum(axis=-1)
    r = y - ((w * y).sum(axis=-1) / sum_w)[..., None]
    deviance = np.log(total).sum(axis=-1) + (w * r**2).sum(axis=-1)
    if reml:
        return -0.5 * ((k - 1) * LOG_2PI - np.log(k) + np.log(sum_w) + deviance)
    return -0.5 * (k * LOG_2PI + deviance)


def dominated(squares, total):
    """Whether in some meta-analysis one weight is nearly the sum, from the sum of their squares and their sum."""
    return bool((squares > DOMINATED * total**2).any())


def sum_of_others(d):
    """For each study the sum over the others, by adding only."""
    before, after = np.zeros_like(d), np.zeros_like(d)
    before[..., 1:] = np.cumsum(d, axis=-1)[..., :-1]
    after[..., :-1] = np.cumsum(d[..., ::-1], axis=-1)[..., ::-1][..., 1:]
    return before + after


def traces_of_positive_terms(w, w2, sum_w):
    """tr(P) and tr(PP) of ``P = W - W11'W / 1'W1`` without a difference: exact where one weight dominates."""
    total = sum_w[..., None]
    rest = sum_of_others(w) / total
    return (w * rest).sum(axis=-1), (w2 * (rest**2 + sum_of_others(w2) / total**2)).sum(axis=-1)


def score(y, v, tau2, *, reml):
    """Twice the first and second derivative of :func:`log_likelihood` in tau2.

    Returns
    -------
    slope, curvature : ndarray, shape (...)

    Notes
    -----
    With ``P = W - W11'W / 1'W1``: slope ``y'PPy - tr(P)``, curvature ``tr(PP) - 2 y'PPPy`` for REML; ML has W
    in place of P inside the traces.
    """
    w = 1.0 / (v + tau2[..., None])
    sum_w = w.sum(axis=-1)
    py = w * (y - ((w * y).sum(axis=-1) / sum_w)[..., None])
    w_py = w * py
    cubic = (w_py * py).sum(axis=-1) - w_py.sum(axis=-1) ** 2 / sum_w
    w2 = w * w
    sum_w2 = w2.sum(axis=-1)
    trace, trace2 = sum_w, sum_w2
    if reml:
        if dominated(sum_w2, sum_w):
            trace, trace2 = traces_of_positive_terms(w, w2, sum_w)
        else:
            share = sum_w2 / sum_w
            trace, trace2 = sum_w - share, sum_w2 - 2.0 * (w2 * w).sum(axis=-1) / sum_w + share**2
    return (py**2).sum(axis=-1) - trace, trace2 - 2.0 * cubic


def search_bound(y, v):
    """A tau2 above which the likelihood and the restricted likelihood only fall.

    Notes
    -----
    With ``u = tau2 + min v`` and ``R = max v - min v``: ``y'PPy <= SS / u^2`` (SS the sum of squares about
    the mean) and ``tr(P) >= (k-1) / (u + R)``, so the slope is negative once ``u^2 > s (u + R)``,
    ``s = SS / (k-1)``. The quadratic's root is enlarged by a tenth so that rounding cannot leave a
    maximum on the edge.
    """
    low, high = v.min(axis=-1), v.max(axis=-1)
    s = y.var(axis=-1, ddof=1)
    u = 0.5 * (s + np.sqrt(s**2 + 4.0 * s * (high - low)))
    return 1.1 * np.maximum(u, low) - low


def maximise_likelihood(y, v, *, reml):
    """Global maximum of the (restricted) likelihood over tau2 >= 0.

    Parameters
    ----------
    y, v : ndarray, shape (..., k)
        At least two studies.
    reml : bool

    Returns
    -------
    tau2 : ndarray, shape (...)
    boundary, converged : ndarray of bool
    iterations, n_maxima : ndarray of int

    Notes
    -----
    Checked against metafor 3.8-1 and against brute-force evaluation on dense grids.
    """
    shape, k = y.shape[:-1], y.shape[-1]
    y, v = np.broadcast_arrays(y.reshape(-1, k), v.reshape(-1, k))
    grid, slopes = _slopes_on_grid(y, v, reml)
    row, cell = np.nonzero((slopes[:, :-1] > 0.0) & (slopes[:, 1:] <= 0.0))
    inner, done, steps = _refine(y[row], v[row], grid[row, cell], grid[row, cell + 1], reml)
    height = log_likelihood(y[row], v[row], inner, reml=reml)

    at_zero = slopes[:, 0] <= 0.0
    zero = np.zeros(len(y))
    best = np.where(at_zero, log_likelihood(y, v, zero, reml=reml), -np.inf)
    tau2, converged = np.where(at_zero, 0.0, np.nan), at_zero.copy()
    order = np.argsort(height, kind="stable")  # later assignments win: the highest maximum of each row
    order = order[height[order] > best[row[order]]]
    tau2[row[order]], converged[row[order]] = inner[order], done[order]

    iterations = np.zeros(len(y), dtype=int)
    np.maximum.at(iterations, row, steps)
    n_maxima = np.bincount(row, minlength=len(y)) + at_zero
    return tuple(a.reshape(shape) for a in (tau2, tau2 == 0.0, converged, iterations, n_maxima))


def _slopes_on_grid(y, v, reml):
    low = v.min(axis=-1)
    span = np.log1p(search_bound(y, v) / low)
    cells = int(np.ceil(span.max() / CELL)) + 1
    grid = low[:, None] * np.expm1(span[:, None] * np.linspace(0.0, 1.0, cells + 1))
    # One grid column at a time: the memory stays that of the data, however many meta-analyses there are.
    slopes = [score(y, v, column, reml=reml)[0] for column in grid.T]
    return grid, np.stack(slopes, axis=1)


def _refine(y, v, low, high, reml):
    """Zero of the slope between `low` (slope > 0) and `high` (slope <= 0): Newton, guarded by bisection."""
    floor = v.min(axis=-1) if len(v) else np.zeros(0)
    tau2 = 0.5 * (low + high)
    active = np.ones(tau2.shape, dtype=bool)
    iterations = np.zeros(tau2.shape, dtype=int)
    for iteration in range(MAX_ITERATIONS):
        if not active.any():
            break
        slope, curvature = score(y, v, tau2, reml=reml)
        low, high = np.where(slope > 0.0, tau2, low), np.where(slope > 0.0, high, tau2)
        newton = tau2 - slope / np.where(curvature < 0.0, curvature, -1.0)
        usable = (curvature < 0.0) & (newton >= low) & (newton <= high) & (iteration < NEWTON_ITERATIONS)
        new = np.where(active, np.where(usable, newton, 0.5 * (low + high)), tau2)
        iterations += active
        active &= np.abs(new - tau2) > STEP_TOLERANCE * (tau2 + floor)
        tau2 = new
    return tau2, ~active, iterations
