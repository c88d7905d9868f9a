"""Which choices turn a conclusion: from one combination by single steps, and over the whole grid as a tree."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from twostage.stats.base import frame, html


@dataclass(frozen=True)
class Branch:
    """A part of the grid: the combinations that have one of some values in each of some choices.

    Attributes
    ----------
    path : tuple of (int, tuple of int)
        Choice and the values that it may have here, from the root on.
    n : int
        Combinations in it.
    share : float
        Of those, how many have another conclusion.
    leaf : bool
        Whether it is not divided further.
    """

    path: tuple[tuple[int, tuple[int, ...]], ...]
    n: int
    share: float
    leaf: bool


@dataclass(frozen=True)
class Flips:
    """What turns the conclusion of one combination.

    Attributes
    ----------
    names : tuple of str
        The choices.
    alone : tuple of (int, int, int)
        Single steps that turn it: choice, its other value, the combination reached.
    tried : int
        Single steps that the grid has.
    fewest : int
        Choices that must be changed at least; 0 where no combination has another conclusion.
    share : float
        Of all combinations, how many have another conclusion.
    tree : tuple of Branch
    """

    names: tuple[str, ...]
    alone: tuple[tuple[int, int, int], ...]
    tried: int
    fewest: int
    share: float
    tree: tuple[Branch, ...]

    def tidy(self):
        """One row per single step that turns the conclusion: choice, value, combination."""
        rows = [{"choice": self.names[f], "value": value, "combination": at} for f, value, at in self.alone]
        return frame({name: [row[name] for row in rows] for name in ("choice", "value", "combination")})

    def glance(self):
        """One row: share of other conclusions, fewest choices to change, single steps tried and turning."""
        row = {"share": self.share, "fewest": self.fewest, "tried": self.tried, "turning": len(self.alone)}
        return frame([row])

    def _repr_html_(self) -> str:
        return html(f"{len(self.alone)} of {self.tried} single changes turn the conclusion", self.tidy())


def find_flips(
    levels: ArrayLike, conclusion: ArrayLike, chosen: int, names: Sequence[str], *, depth: int = 3
) -> Flips:
    """Find the choices that turn the conclusion of the chosen combination.

    Parameters
    ----------
    levels : array_like of int, shape (N, F)
        Which value of each choice a combination has.
    conclusion : array_like of int, shape (N,)
        Any code for what is concluded.
    chosen : int
        The combination from which steps are counted.
    names : sequence of str
    depth : int
        Of the tree (:func:`flip_tree`).

    Examples
    --------
    >>> from twostage.stats.multiverse import find_flips
    >>> levels = [(a, b) for a in range(2) for b in range(2)]
    >>> find_flips(levels, [0, 0, 1, 1], 0, ["a", "b"]).alone
    ((0, 1, 2),)
    """
    places, found = np.asarray(levels), np.asarray(conclusion)
    other = found != found[chosen]
    steps = (places != places[chosen]).sum(axis=1)
    single = np.flatnonzero(steps == 1)
    changed = [int(np.flatnonzero(places[at] != places[chosen])[0]) for at in single]
    alone = tuple(
        (f, int(places[at, f]), int(at)) for f, at in zip(changed, single, strict=True) if other[at]
    )
    fewest = int(steps[other].min()) if other.any() else 0
    tree = flip_tree(places, other, depth=depth)
    return Flips(tuple(names), alone, len(single), fewest, float(other.mean()), tree)


def flip_tree(
    levels: ArrayLike, turned: ArrayLike, *, depth: int = 3, gain: float = 0.01
) -> tuple[Branch, ...]:
    """Divide a grid by the choices that tell best which combinations are turned.

    A part is divided in two by the values of one choice so that Gini's impurity falls most; of a choice with many
    values the best division is one of those that keep them in the order of their shares (Breiman et al. 1984, theorem
    4.5).

    Parameters
    ----------
    levels : array_like of int, shape (N, F)
    turned : array_like of bool, shape (N,)
    depth : int
        Divisions from the root to a leaf at most.
    gain : float
        A division takes away at least this share of the root's impurity.

    Returns
    -------
    tuple of Branch
        Each part before its own parts, the one with fewer turned combinations first.
    """
    places, hits = np.asarray(levels), np.asarray(turned, dtype=float)
    least = gain * _impurity(hits)
    found: list[Branch] = []

    def grow(rows: np.ndarray, path: tuple, left: int) -> None:
        """Note the part that a path leads to, and divide it once more while that tells the turned ones apart."""
        best = max(
            (_division(places[rows, f], hits[rows], f) for f in range(places.shape[1])), default=(0.0,)
        )
        split = left > 0 and best[0] > max(least, 0.0)
        found.append(Branch(path, len(rows), float(hits[rows].mean()), not split))
        for values in best[2:] if split else ():
            inside = np.isin(places[rows, best[1]], values)
            grow(rows[inside], (*path, (best[1], values)), left - 1)

    grow(np.arange(len(hits)), (), depth)
    return tuple(found)


def _impurity(hits: np.ndarray) -> float:
    """Gini's, times the combinations."""
    share = hits.mean()
    return float(len(hits) * share * (1.0 - share))


def _division(codes: np.ndarray, hits: np.ndarray, choice: int) -> tuple:
    """How much the best division by one choice takes away, the choice, and its values on either side."""
    values, inverse = np.unique(codes, return_inverse=True)
    counts, sums = np.bincount(inverse), np.bincount(inverse, hits)
    order = np.argsort(sums / counts, kind="stable")
    n, s = np.cumsum(counts[order])[:-1], np.cumsum(sums[order])[:-1]
    if not len(n):
        return (0.0, choice, (), ())
    rest, more = len(hits) - n, hits.sum() - s
    left = s * (1.0 - s / n) + more * (1.0 - more / rest)
    at = int(np.argmin(left))
    sides = (
        tuple(int(v) for v in sorted(values[order[part]])) for part in (slice(at + 1), slice(at + 1, None))
    )
    return (_impurity(hits) - float(left[at]), choice, *sides)
