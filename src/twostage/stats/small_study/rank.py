"""Rank correlation test of funnel asymmetry (Begg & Mazumdar)."""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtr

from twostage.stats.base import frame, html
from twostage.stats.pool import PooledFit, pooled


@dataclass(frozen=True)
class RankTest:
    """Kendall's tau-b between standardized deviates and sampling variances.

    Attributes
    ----------
    tau, p_value : float
        NaN where a side is constant.
    exact : bool
        The p-value is exact; otherwise normal, with the variance corrected for ties.
    k : int
    labels : tuple of str
    fit : PooledFit
    note : str
    """

    tau: float
    p_value: float
    exact: bool
    k: int
    labels: tuple[str, ...] = field(repr=False)
    fit: PooledFit = field(repr=False)
    note: str = ""

    def tidy(self):
        """One row: term, estimate, p_value."""
        return frame([{"term": "kendall_tau", "estimate": self.tau, "p_value": self.p_value}])

    def glance(self):
        """One row: k, exact, note."""
        return frame([{"k": self.k, "exact": self.exact, "note": self.note}])

    def _repr_html_(self):
        kind = "exact" if self.exact else "normal"
        columns = {"tau": [self.tau], f"p ({kind})": [self.p_value]}
        return html("Rank correlation test of funnel asymmetry", columns, note=self.note)


def rank_test(y, v=None, *, exact=True, **options):
    """Rank correlation test of funnel asymmetry.

    Parameters
    ----------
    y : PooledFit or array_like, shape (k,)
        At least two studies.
    v : array_like, shape (k,), optional
    exact : bool
        Exact p-value where there are no ties; False: normal in any case.
    **options
        Of :func:`twostage.stats.pool.pool.pool`; only with an array `y`. The test does not depend on the method.

    Returns
    -------
    RankTest

    Raises
    ------
    TypeError, ValueError
        As :func:`twostage.stats.pool.refit.pooled`.

    Notes
    -----
    Begg & Mazumdar (1994), doi:10.2307/2533446: Kendall's tau-b between ``v`` and
    ``(y - m) / sqrt(v - 1 / sum w)``, ``w = 1/v``, m the fixed-effect mean. The exact distribution counts
    permutations by their inversions. Checked against ``ranktest`` of metafor 3.8-1 and R's ``cor.test``.
    """
    fit = pooled(y, v, purpose="the rank correlation test", **options)
    y, v = fit.y - np.median(fit.y), fit.v
    w = 1.0 / v
    deviate = (y - w @ y / w.sum()) / np.sqrt(v - 1.0 / w.sum())
    if not y.any():
        deviate = np.zeros_like(y)  # identical estimates: rounding must not order them
    score, ties = kendall(deviate, v)
    pairs = fit.k * (fit.k - 1) / 2
    usable = [pairs - sum(t * (t - 1) / 2 for t in side) for side in ties]
    if min(usable) == 0.0:
        note = "estimates or sampling variances are all equal: there is nothing to rank"
        return RankTest(float("nan"), float("nan"), False, fit.k, fit.labels, fit, note)
    tied = min(usable) < pairs
    exact = exact and not tied
    p_value = exact_p(score, fit.k) if exact else normal_p(score, fit.k, ties)
    note = "ties: the p-value is normal, not exact" if tied else ""
    return RankTest(
        float(score / np.sqrt(usable[0] * usable[1])), p_value, exact, fit.k, fit.labels, fit, note
    )


def kendall(a, b):
    """Concordant less discordant pairs, and the sizes of the groups of ties on each side."""
    upper = np.triu_indices(len(a), 1)
    score = int((np.sign(a[upper[0]] - a[upper[1]]) * np.sign(b[upper[0]] - b[upper[1]])).sum())
    return score, [np.unique(side, return_counts=True)[1] for side in (a, b)]


def exact_p(score, k):
    """Two-sided p-value of the score without ties: the number of inversions of a random permutation.

    The inversions of a permutation of k are a sum of independent uniform numbers on 0..j-1, j = 1..k.
    """
    inversions = np.ones(1)
    for j in range(2, k + 1):
        inversions = np.convolve(inversions, np.full(j, 1.0 / j))
    at_most = round((k * (k - 1) / 2 - abs(score)) / 2)
    return float(min(1.0, 2.0 * inversions[: at_most + 1].sum()))


def normal_p(score, k, ties):
    """Two-sided normal p-value, variance corrected for ties (Kendall 1970), no continuity correction."""
    first, second = ([float((t * (t - 1) * f).sum()) for f in (2 * t + 5, 1, t - 2)] for t in ties)
    variance = (k * (k - 1) * (2 * k + 5) - first[0] - second[0]) / 18.0
    variance += first[1] * second[1] / (2.0 * k * (k - 1))
    if k > 2:
        variance += first[2] * second[2] / (9.0 * k * (k - 1) * (k - 2))
    return float(2.0 * ndtr(-abs(score) / np.sqrt(variance)))
