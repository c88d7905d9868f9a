"""Pooling many subsets of the same k studies at once.

A subset is a column of 0s and 1s, so every sum over its studies is a matrix product: for all subsets
together one call of BLAS. Moment estimators need nothing else. For REML and ML the slope of the likelihood
is tabulated in the same way on a grid of tau2 common to all subsets, then every bracket is refined with the
subset's own residuals. Subsets share the sampling variances, which makes this about ten times faster than
pooling them as unrelated meta-analyses.

Throughout: `member` (k, n) of 0 and 1, a column for each subset; `y` centred near 0, `v` (k,); results (n,).
"""

import numpy as np

from twostage.stats.pool import CELL, LOG_2PI, MAX_ITERATIONS, STEP_TOLERANCE, refine, search_bound

# A sum of squares about the mean, taken as a difference of two sums, loses as many digits as it is smaller
# than these. Below this ratio it is computed anew from the residuals; above, 1e-12 of it is certain.
CANCELLATION = 1e-4


def column(a):
    """One row per entry, to combine with a matrix."""
    return a[:, None]


def sum_of_squares(member, y, w):
    """Weighted sum, weighted mean and sum of squares about it, weights `w` (k,)."""
    sums, first, second = np.stack([w, w * y, w * y * y]) @ member
    mean = first / sums
    squares = second - first * mean
    doubtful = np.flatnonzero(squares < CANCELLATION * second)
    part = member[:, doubtful]
    squares[doubtful] = (part * column(w) * (column(y) - mean[doubtful]) ** 2).sum(axis=0)
    return sums, mean, np.where(member.sum(axis=0) > 1.0, squares, 0.0)


def weighted(member, y, v, tau2):
    """Weights (k, n), their sum, the weighted mean, deviations from it (k, n)."""
    w = member / (column(v) + tau2)
    total = w.sum(axis=0)
    mean = (w * column(y)).sum(axis=0) / total
    return w, total, mean, column(y) - mean


def weighted_mean(member, y, v, tau2):
    """The pooled effect alone."""
    w = column(v) + tau2
    np.divide(member, w, out=w)
    return (y @ w) / w.sum(axis=0)


def generalised_q(member, y, v, tau2):
    """Sum of ``(y - mean)^2 / (v + tau2)``."""
    w, _, _, r = weighted(member, y, v, tau2)
    return (w * r * r).sum(axis=0)


def moments(member, y, v):
    """Size, ``sum w``, Cochran's Q, fixed-effect mean and ``tr(P)`` of each subset, w = 1/v."""
    size, squared = np.stack([np.ones_like(v), v**-2.0]) @ member
    sums, mean, q = sum_of_squares(member, y, 1.0 / v)
    return size, sums, q, mean, np.where(size > 1.0, sums - squared / sums, 1.0)


def estimate_tau2(member, y, v, method, known):
    """tau2 of each subset; 0 for single studies.

    Parameters
    ----------
    member : ndarray, shape (k, n)
    y, v : ndarray, shape (k,)
    method : str
        Of :data:`twostage.stats.pool.tau2.METHODS`.
    known : tuple
        Of :func:`moments`.

    Returns
    -------
    tau2, converged : ndarray, shape (n,)

    Notes
    -----
    The equations of :func:`twostage.stats.pool.tau2.estimate_tau2`, checked against it subset by subset and
    against metafor 3.8-1.
    """
    size, sums, q, _, trace = known
    df = np.maximum(size - 1.0, 1.0)
    done = np.ones(size.shape, dtype=bool)
    if method == "FE":
        return np.zeros(size.shape), done
    if method == "DL":
        raw = (q - df) / trace
    elif method == "HS":
        raw = (q - size) / sums
    elif method == "HE":
        raw = sum_of_squares(member, y, np.ones_like(v))[2] / df - v @ member / size
    elif method == "SJ":
        start = sum_of_squares(member, y, np.ones_like(v))[2] / size
        raw = start * generalised_q(member, y, v, start) / df
    elif method in ("PM", "EB"):
        raw, done = solve_q(member, y, v, df)
    else:
        raw, done = maximise_likelihood(member, y, v, reml=method == "REML")
    return np.where(size > 1.0, np.maximum(raw, 0.0), 0.0), done | (size == 1.0)


def solve_q(member, y, v, target):
    """The tau2 at which the generalised Q equals `target`, by Newton's method on 1/Q from 0."""
    floor = v.min()
    tau2 = np.zeros(member.shape[1])
    active = np.arange(member.shape[1])
    for _ in range(MAX_ITERATIONS):
        w, _, _, r = weighted(member, y, v, tau2[active])
        wr = w * r
        q, slope = (wr * r).sum(axis=0), (wr * wr).sum(axis=0)
        above = q > target[active]
        step = q * (q / target[active] - 1.0) / np.where(above, slope, 1.0)
        tau2[active] += np.where(above, step, 0.0)
        keep = above & (step > STEP_TOLERANCE * (tau2[active] + floor))
        active, member = active[keep], member[:, keep]
        if not active.size:
            break
    converged = np.ones(tau2.shape, dtype=bool)
    converged[active] = False
    return tau2, converged


def maximise_likelihood(member, y, v, *, reml):
    """Global maximum of the (restricted) likelihood over tau2 >= 0.

    Notes
    -----
    As :func:`twostage.stats.pool.tau2.maximise_likelihood`: cells in which no weight changes by more
    than a fifth, up to a bound beyond which the slope is negative for every subset (the largest variance of
    a subset is that of the two most distant estimates).
    """
    extremes = np.array([y.min(), y.max()]), np.array([v.min(), v.max()])
    span = np.log1p(search_bound(*extremes) / v.min())
    grid = v.min() * np.expm1(np.linspace(0.0, span, int(np.ceil(span / CELL)) + 2))
    up = np.stack([grid_slope(member, y, v, t, reml) > 0.0 for t in grid])
    cell, where = np.nonzero(up[:-1] & ~up[1:])
    mine = np.asfortranarray(
        member[:, where]
    )  # a subset's studies lie together, so that some are cheap to take
    inner, done, _ = refine(
        lambda t, at: slope_and_curvature(mine[:, at] if at.size < cell.size else mine, y, v, t, reml),
        *(grid[cell], grid[cell + 1], np.full(cell.size, v.min())),
    )

    tau2, converged = np.zeros(member.shape[1]), np.ones(member.shape[1], dtype=bool)
    tau2[where], converged[where] = inner, done
    several = np.bincount(where, minlength=tau2.size) + ~up[0] > 1
    contested = several[where]
    rows, inner, done = where[contested], inner[contested], done[contested]
    best = np.where(up[0], -np.inf, log_likelihood(member, y, v, np.zeros_like(tau2), reml))
    tau2[several] = 0.0
    height = log_likelihood(member[:, rows], y, v, inner, reml)
    order = np.argsort(height, kind="stable")  # later assignments win: the highest maximum of each subset
    order = order[height[order] > best[rows[order]]]
    tau2[rows[order]], converged[rows[order]] = inner[order], done[order]
    return tau2, converged


def grid_slope(member, y, v, t, reml):
    """Twice the slope of the log-likelihood at one tau2 for every subset: ``y'PPy - tr(P)``."""
    w = 1.0 / (v + t)
    sums, first, squared, mixed, second = np.stack([w, w * y, w * w, w * w * y, (w * y) ** 2]) @ member
    mean = first / sums
    trace = sums - squared / sums if reml else sums
    return second + mean * (mean * squared - 2.0 * mixed) - trace


def slope_and_curvature(member, y, v, tau2, reml):
    """Twice the first and second derivative of the log-likelihood, a tau2 for each subset."""
    w, total, _, r = weighted(member, y, v, tau2)
    py = w * r
    w_py, w2 = w * py, w * w
    cubic = (w_py * py).sum(axis=0) - w_py.sum(axis=0) ** 2 / total
    trace, trace2 = total, w2.sum(axis=0)
    if reml:
        share = trace2 / total
        trace, trace2 = total - share, trace2 - 2.0 * (w2 * w).sum(axis=0) / total + share**2
    return (py * py).sum(axis=0) - trace, trace2 - 2.0 * cubic


def log_likelihood(member, y, v, tau2, reml):
    """Profile log-likelihood, as :func:`twostage.stats.pool.tau2.log_likelihood`."""
    w, total, _, r = weighted(member, y, v, tau2)
    size = member.sum(axis=0)
    deviance = (member * np.log(column(v) + tau2)).sum(axis=0) + (w * r * r).sum(axis=0)
    if reml:
        return -0.5 * ((size - 1.0) * LOG_2PI - np.log(size) + np.log(total) + deviance)
    return -0.5 * (size * LOG_2PI + deviance)
