"""How much of the variance of estimates over a grid of choices goes with each choice."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from twostage.stats.base import frame, html, numbers

#: A variance below this share of the estimates' mean square is rounding: the estimates are all the same.
ROUNDING = 1e-24


@dataclass(frozen=True, eq=False)
class Decomposition:
    """Shares of the variance of y over a grid of F choices.

    Attributes
    ----------
    names : tuple of str
        The choices.
    first, total : ndarray, shape (F,)
        ``Var E(y | choice) / Var y`` and ``E Var(y | all other choices) / Var y``; NaN where y does not vary.
    levels : ndarray of int, shape (F,)
        How many values of each choice are in the grid.
    variance : float
    n, n_missing : int
        Combinations in the grid; combinations of the same values that it lacks.
    """

    names: tuple[str, ...]
    first: np.ndarray
    total: np.ndarray
    levels: np.ndarray
    variance: float
    n: int
    n_missing: int

    @property
    def balanced(self) -> bool:
        """Whether the grid has all combinations; only then do the shares add up."""
        return self.n_missing == 0

    @property
    def interactions(self) -> float:
        """Share that no choice has by itself; NaN in a grid that lacks combinations, where it has no meaning."""
        return float(1.0 - self.first.sum()) if self.balanced else float("nan")

    def tidy(self):
        """One row per choice: choice, levels, first, total."""
        return frame({"choice": self.names, "levels": self.levels, "first": self.first, "total": self.total})

    def glance(self):
        """One row: variance, sizes, interactions."""
        own = {
            name: getattr(self, name) for name in ("variance", "n", "n_missing", "balanced", "interactions")
        }
        return frame([own])

    def _repr_html_(self) -> str:
        lacks = (
            "" if self.balanced else f"The grid lacks {self.n_missing} combinations: shares do not add up."
        )
        return html(f"Variance over {self.n} combinations of choices", self.tidy(), note=lacks)


def decompose(levels: ArrayLike, y: ArrayLike, names: Sequence[str]) -> Decomposition:
    """Decompose the variance of y over a grid of choices, each of its combinations with the same weight.

    Parameters
    ----------
    levels : array_like of int, shape (N, F)
        Which value of each choice a combination has; no combination twice.
    y : array_like, shape (N,)
        One finite number for each.
    names : sequence of str

    Returns
    -------
    Decomposition

    Raises
    ------
    ValueError
        Arrays that do not fit each other, a number that is not finite, a combination that is there twice.

    Notes
    -----
    Sobol's first-order and total indices (Saltelli et al. 2010, doi:10.1016/j.cpc.2009.09.018), summed over the whole grid
    instead of sampled. With all combinations present they are sums of squares of an analysis of variance over the total
    one: `first` of a main effect, `total` of it and of all interactions that it takes part in, ``sum first <= 1 <= sum
    total``. In a grid that lacks combinations the choices depend on each other, and no decomposition is the only one
    (Kucherenko, Tarantola & Annoni 2012, doi:10.1016/j.cpc.2011.12.020): the two are then the same conditional moments
    over the combinations that are there, where `first` also has what goes with a choice because other choices do, and
    neither sum has a bound. Checked against R's `aov` and `tapply`.

    Examples
    --------
    >>> from twostage.stats.multiverse import decompose
    >>> levels = [(a, b) for a in range(2) for b in range(2)]
    >>> decompose(levels, [0.0, 1.0, 2.0, 3.0], ["a", "b"]).first.round(2)
    array([0.8, 0.2])
    """
    places, y = np.asarray(levels), numbers(y, "y", 1)
    if places.shape != (len(y), len(names)) or places.dtype.kind not in "iu" or not places.size:
        raise ValueError(f"levels must hold whole numbers, {len(y)} rows of {len(names)}; got {places.shape}")
    if not np.isfinite(y).all():
        raise ValueError("y must hold finite numbers")
    coded = [np.unique(column, return_inverse=True) for column in places.T]
    codes, sizes = np.stack([inverse for _, inverse in coded]), np.array([len(found) for found, _ in coded])
    if len(np.unique(codes, axis=1).T) != len(y):
        raise ValueError("a combination of choices is there twice")
    deviation = y - y.mean()
    variance = float(np.mean(deviation**2))
    scale = variance if variance > ROUNDING * float(np.mean(y**2)) else np.nan
    every = np.arange(len(names))
    first = np.array([_between(deviation, _cells(codes[[f]])) for f in every]) / scale
    others = np.array([_between(deviation, _cells(codes[every != f])) for f in every])
    total = np.maximum(variance - others, 0.0) / scale
    missing = int(np.prod(sizes)) - len(y)
    return Decomposition(tuple(names), first, total, sizes, variance, len(y), missing)


def _cells(codes: np.ndarray) -> np.ndarray:
    """A number for each combination of some choices; one for all where there are none."""
    if not len(codes):
        return np.zeros(codes.shape[1], int)
    return np.unique(codes, axis=1, return_inverse=True)[1].ravel()


def _between(deviation: np.ndarray, cell: np.ndarray) -> float:
    """Variance of the cells' means, each weighted by its combinations."""
    counts, sums = np.bincount(cell), np.bincount(cell, deviation)
    return float(np.sum(sums**2 / counts) / len(deviation))
