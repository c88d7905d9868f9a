"""What analyses of a pooled result share: the fit they start from, many refits of it, tables."""

from html import escape

import numpy as np

from twostage.stats.errors import NotEstimable
from twostage.stats.pool import pool, pool_many
from twostage.stats.pool_fit import PooledFit

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
        Of :func:`twostage.stats.pool.pool`.

    Returns
    -------
    PooledFit

    Raises
    ------
    TypeError
        A fit together with `v` or options (they are the fit's), or estimates without `v`.
    ValueError
        As :func:`twostage.stats.pool.pool`.
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


def ratio(numerator, denominator):
    """Elementwise quotient; where the denominator is 0, signed infinity, or NaN if both are."""
    numerator, denominator = np.broadcast_arrays(
        np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)
    )
    empty = denominator == 0.0
    limit = np.where(numerator == 0.0, np.nan, np.copysign(np.inf, numerator))
    return np.where(empty, limit, numerator / np.where(empty, 1.0, denominator))


def frozen(*arrays):
    """The arrays as read-only copies."""
    copies = [np.array(a) for a in arrays]
    for copy in copies:
        copy.flags.writeable = False
    return copies


def frame(rows):
    """A DataFrame (pandas is needed for tables only, not for the numbers)."""
    import pandas as pd

    return pd.DataFrame(rows)


def html_table(caption, columns, note=""):
    """A table of named columns (dict of sequences) with a caption, numbers in 4 significant digits."""
    head = "".join(f"<th scope='col'>{escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(_text(x))}</td>" for x in row) + "</tr>"
        for row in zip(*columns.values(), strict=True)
    )
    caption = escape(caption + (f" ({note})" if note else ""))
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(x):
    return f"{x:.4g}" if isinstance(x, float | np.floating) else str(x)
