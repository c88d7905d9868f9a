"""One data set fitted many times, its groups taken with other weights: the bootstrap of groups."""

from dataclasses import dataclass, replace

import numpy as np

from twostage.stats.mixed import MixedFit, fit_mixed
from twostage.stats.mixed_batch import MixedBatch
from twostage.stats.mixed_batch_products import BatchProducts, Stack, join, reduce_weighted, stack_rows
from twostage.stats.mixed_many import as_codes, checked, constant_level, fit_products


def fit_mixed_weighted(y, X, groups, weights, *, reml=True, names=None) -> MixedBatch:
    """Fit a random-intercept model to one data set whose groups are taken with whole-number weights.

    The bootstrap of groups: ``weights[b, i]`` is how often replicate b drew group i, every draw being a
    group of its own. A replicate costs its share of a matrix product and of the common optimisation.

    Parameters
    ----------
    y, X : (n,), (n, p) arrays
    groups : (n,) sequence
        Group of each row; the N distinct labels in rising order are the columns of `weights`.
    weights : (B, N) int array
        Not negative.
    reml, names
        As in :func:`twostage.stats.mixed_many.fit_mixed_many`.

    Returns
    -------
    MixedBatch

    Raises
    ------
    ValueError
        If an array has the wrong shape or type, a value is not finite, or a weight is negative.

    Notes
    -----
    Checked against :func:`twostage.stats.mixed.fit_mixed` on the drawn rows written out.
    """
    return fit_mixed_weighted_many([(y, X, groups, weights)], reml=reml, names=[names])[0]


def fit_mixed_weighted_many(designs, *, reml=True, names=None) -> list[MixedBatch]:
    """Several data sets with weights, each as :func:`fit_mixed_weighted`, in one optimisation.

    Parameters
    ----------
    designs : sequence of (y, X, groups, weights)
        As of :func:`fit_mixed_weighted`; X with the same number of columns. Their replicates are optimised
        together, which saves time where each has few of them.
    reml : bool
        As in :func:`twostage.stats.mixed_many.fit_mixed_many`.
    names : sequence, optional
        For each design, the names of X's columns or None.

    Returns
    -------
    list of MixedBatch
        One per design.

    Raises
    ------
    ValueError
        As :func:`fit_mixed_weighted`; if constant columns of X differ in place or value.
    """
    names = [None] * len(designs) if names is None else names
    weighed = [_Weighted.of(*one, own) for one, own in zip(designs, names, strict=True)]
    levels = {(one.X.shape[1], *one.level) for one in weighed}
    if len(levels) != 1:
        raise ValueError(
            "designs must have as many columns, constant ones at the same place and of the same value"
        )
    ends = np.cumsum([len(one.weights) for one in weighed])

    def alone(k: int) -> MixedFit:
        """Replicate k of all, by itself."""
        at = int(np.searchsorted(ends, k, side="right"))
        return weighed[at].fit(k - int(ends[at]) + len(weighed[at].weights), reml)

    products = join([one.products for one in weighed])
    broken = np.zeros(ends[-1], dtype=bool)
    whole = fit_products(products, weighed[0].level, weighed[0].names, bool(reml), alone, broken)
    return [
        replace(whole.take(slice(end - len(one.weights), end)), names=one.names)
        for one, end in zip(weighed, ends, strict=True)
    ]


@dataclass(frozen=True)
class _Weighted:
    """One checked design and its sums."""

    y: np.ndarray
    X: np.ndarray
    stack: Stack
    weights: np.ndarray
    names: tuple[str, ...]

    @classmethod
    def of(cls, y, X, groups, weights, names) -> "_Weighted":
        """The caller's arrays, checked."""
        y, X, names = checked(y, X, names)
        if not len(y) or not (np.isfinite(X).all() and np.isfinite(y).all()):
            raise ValueError("y and X must hold finite numbers, at least one row of them")
        stack = stack_rows(as_codes(groups, len(y), "groups"), np.zeros(len(y), dtype=int), 1)
        weights = np.asarray(weights)
        if weights.ndim != 2 or weights.shape[1] != len(stack.sizes) or weights.dtype.kind not in "iu":
            raise ValueError(
                f"weights must be whole numbers, one column for each of {len(stack.sizes)} groups"
            )
        if (weights < 0).any():
            raise ValueError("weights must not be negative")
        return cls(y, X, stack, weights, names)

    @property
    def level(self) -> tuple[int | None, float]:
        """Place and value of the constant column."""
        return constant_level(self.X)

    @property
    def products(self) -> BatchProducts:
        """What the criterion needs of every replicate."""
        return reduce_weighted(self.X, self.y, self.stack, self.weights.astype(float))

    def fit(self, k: int, reml: bool) -> MixedFit:
        """Replicate k alone, its rows written out."""
        rows, copies = self._written_out(self.weights[k])
        return fit_mixed(self.y[rows], self.X[rows], copies, reml=reml, names=self.names)

    def _written_out(self, weights):
        """Rows of a replicate and the number of the draw each belongs to."""
        stack = self.stack
        drawn = np.repeat(np.arange(len(weights)), weights)
        sizes = stack.sizes[drawn]
        copies = np.repeat(np.arange(len(drawn)), sizes)
        within = np.arange(len(copies)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        rows = stack.starts[drawn][copies] + within
        return (rows if stack.order is None else stack.order[rows]), copies
