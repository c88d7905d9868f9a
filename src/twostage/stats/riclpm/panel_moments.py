"""What a panel whose persons came in pieces must be like, from its moments by missingness pattern."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from twostage.stats.fiml import PatternSums
from twostage.stats.riclpm.model import FEWEST_OCCASIONS, SAME


@dataclass(frozen=True)
class PanelMoments:
    """Second moments of a panel; columns x_1, y_1, x_2, ... See :func:`twostage.stats.riclpm.model.check_panels`.

    Attributes
    ----------
    sums : PatternSums
    """

    sums: PatternSums

    @cached_property
    def _parts(self):
        """Per pattern: observed columns, persons, mean, second moments about it."""
        masks, keys = self.sums.masks(), sorted(self.sums.patterns)
        return [
            (np.flatnonzero(mask), self.sums.patterns[key]) for mask, key in zip(masks, keys, strict=True)
        ]

    @cached_property
    def counts(self) -> np.ndarray:
        """Persons with each column, (p,)."""
        counts = np.zeros(self.sums.n_columns)
        for at, moments in self._parts:
            counts[at] += moments.count
        return counts

    @cached_property
    def centre(self) -> np.ndarray:
        """Column means, (p,)."""
        total = np.zeros(self.sums.n_columns)
        for at, moments in self._parts:
            total[at] += moments.count * moments.mean
        return total / np.maximum(self.counts, 1.0)

    @cached_property
    def pairs(self) -> np.ndarray:
        """Sums over the persons with both columns of the products of deviations from the column means, (p, p)."""
        total = np.zeros((self.sums.n_columns,) * 2)
        for at, moments in self._parts:
            apart = moments.mean - self.centre[at]
            total[np.ix_(at, at)] += moments.scatter + moments.count * np.outer(apart, apart)
        return total

    @cached_property
    def n_values(self) -> np.ndarray:
        """Observed values of each variable, (2,)."""
        return self.counts.reshape(-1, 2).sum(axis=0)

    @cached_property
    def spread(self) -> np.ndarray:
        """Pooled standard deviations about the occasions' means, (2,)."""
        squares = np.diagonal(self.pairs).reshape(-1, 2).sum(axis=0)
        return np.sqrt(squares / np.maximum(self.n_values, 1.0))

    @cached_property
    def size(self) -> np.ndarray:
        """Root mean square of each variable's greatest column, (2,)."""
        mean_square = np.diagonal(self.pairs) / np.maximum(self.counts, 1.0) + self.centre**2
        return np.sqrt(mean_square.reshape(-1, 2).max(axis=0))

    @cached_property
    def inside(self) -> np.ndarray:
        """Pooled standard deviations about the persons' own means, (2,)."""
        middle = (self.counts * self.centre).reshape(-1, 2).sum(axis=0) / np.maximum(self.n_values, 1.0)
        total = np.zeros(2)
        for at, moments in self._parts:
            for v in range(2):
                own = np.flatnonzero(at % 2 == v)
                if len(own):
                    apart = moments.mean[own] - middle[v]
                    A = moments.scatter[np.ix_(own, own)] + moments.count * np.outer(apart, apart)
                    total[v] += A.trace() - A.sum() / len(own)
        return np.sqrt(np.maximum(total, 0.0) / np.maximum(self.n_values, 1.0))

    def fault(self, variables, n_parameters: int) -> str:
        """Why a model of so many parameters besides the means cannot be fitted; empty if it can."""
        if self.sums.n_columns < 2 * FEWEST_OCCASIONS:
            return f"the model needs at least {FEWEST_OCCASIONS} occasions, got {self.sums.n_columns // 2}"
        if self.sums.n <= n_parameters:
            return (
                f"{self.sums.n} persons with an observation for {n_parameters} parameters besides the means"
            )
        for v in np.flatnonzero(self.spread <= SAME * self.size):
            return f"{variables[v]} never varies between persons at any occasion"
        for v in np.flatnonzero(self.inside <= SAME * np.maximum(self.spread, self.size)):
            return f"{variables[v]} never varies within persons: there is nothing to lag"
        masks = self.sums.masks()
        for i, j in np.ndindex(2, 2):
            if not (masks[:, 2 + i :: 2] & masks[:, j:-2:2]).any():
                return f"nobody has {variables[j]} at an occasion and {variables[i]} at the next"
        return self._one_variable(variables)

    def _one_variable(self, variables) -> str:
        xy = xx = yy = 0.0
        for at, moments in self._parts:
            both = [t for t in range(self.sums.n_columns // 2) if {2 * t, 2 * t + 1} <= set(at.tolist())]
            apart = moments.mean - self.centre[at]
            A = moments.scatter + moments.count * np.outer(apart, apart)
            x, y = np.searchsorted(at, [2 * t for t in both]), np.searchsorted(at, [2 * t + 1 for t in both])
            xy, xx, yy = xy + A[x, y].sum(), xx + A[x, x].sum(), yy + A[y, y].sum()
        if xx * yy > 0.0 and xy**2 >= (1.0 - SAME) * xx * yy:
            return f"{' and '.join(variables)} are the same variable in other units"
        return ""
