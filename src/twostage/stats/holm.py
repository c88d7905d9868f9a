"""Holm's adjustment of p-values for multiple testing."""

import numpy as np

from twostage.stats.checks import real_array


def holm(p):
    """Adjusted p-values of m tests (Holm 1979, Scandinavian Journal of Statistics 6, 65-70).

    Parameters
    ----------
    p : array_like, shape (m,)
        p-values; NaN for a test that could not be made, which does not count.

    Returns
    -------
    ndarray, shape (m,)
        ``max over j <= i of min(1, (m - j + 1) p_(j))`` in the order of p. Rejecting where it is at most alpha keeps the
        probability of any false rejection below alpha, however the tests depend on each other.

    Raises
    ------
    ValueError
        A value outside 0 to 1.

    Notes
    -----
    Checked against R's ``p.adjust(method = "holm")``.
    """
    p = real_array(p, "p")
    known = np.flatnonzero(~np.isnan(p))
    if ((p[known] < 0.0) | (p[known] > 1.0)).any():
        raise ValueError("p-values must lie between 0 and 1")
    order = known[np.argsort(p[known], kind="stable")]
    steps = np.arange(len(order), 0, -1) * p[order]
    adjusted = np.full(p.shape, np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else steps
    return adjusted
