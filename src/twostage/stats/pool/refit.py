"""What analyses of a pooled result share: the fit they start from, many refits of it, tables."""

import numpy as np

from twostage.stats.base import NotEstimable
from twostage.stats.pool.pool import pool, pool_many
from twostage.stats.pool.results import PooledFit

# As metafor: a residual below 100 rounding units is 0 (estimates that agree exactly leave rounding behind).
ZERO_RESIDUAL = 100.0 * np.finfo(float).eps


def pooled(y, v=None, *, fewest=2, purpose="this analysis", **options):
    """The fit to be examined: `y` itself if it is one, otherwise ``pool(y, v, **options)``.

    Parameters
    ----------
    y : PooledFit or array_like, shape (k,)
    v : array_like, shape (k,), optional
        Sampling variances; only with an array `y`.
    fewest : int
        Least number of studies.
    purpose : str
        What needs so many, for the message.
    **options
        Of :func:`twostage.stats.pool.pool.pool`.

    Returns
    -------
    PooledFit

    Raises
    ------
    TypeError
        A fit together with `v` or options (they are the fit's), or estimates without `v`.
    ValueError
        As :func:`twostage.stats.pool.pool.pool`.
    NotEstimable
        Fewer than `fewest` studies (a ValueError too).
    """
    if isinstance(y, PooledFit):
        if v is not None or options:
            raise TypeError("a fit brings its variances and options: give either a fit, or y, v and options")
        fit = y
    elif v is None:
        raise TypeError("y is not a fit: its sampling variances v are missing")
    else:
        fit = pool(y, v, **options)
    if fit.k < fewest:
        raise NotEstimable(f"{purpose} needs at least {fewest} studies, got {fit.k}")
    return fit


def refit(fit, index):
    """Pool the studies of each row of `index` by the same method, interval and level as `fit`.

    Parameters
    ----------
    fit : PooledFit
    index : ndarray of int, shape (n, m)

    Returns
    -------
    PooledBatch
        n fits of m studies each.
    """
    return pool_many(fit.y[index], fit.v[index], method=fit.method, ci=fit.ci, level=fit.level)


def all_but_one(k):
    """Index matrix (k, k - 1): row i holds all studies but i."""
    index = np.tile(np.arange(k), (k, 1))
    return index[~np.eye(k, dtype=bool)].reshape(k, k - 1)
