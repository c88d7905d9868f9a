"""What the one-stage model needs of a study: sums by the number of rows a patient has.

The random intercept weighs a patient's mean by the number of rows behind it and nothing else, so that patients with
equally many rows share one weight. Their number, the mean of their means and the scatter of these, and for all patients
together the cross-products about their own means, are sufficient (:mod:`twostage.stats.mixed.sums`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twostage.stats.base import NotEstimable, frozen
from twostage.stats.mixed import MixedSums

# Least eigenvalue of the correlation matrix of predictors that sums can tell apart.
TOLD_APART = 1e-11


# Share of a column's sum of squares that is rounding of its patients' means.
ROUNDING = 1e-24


# Share of y's sum of squares that is more residual than rounding in sums could be.
CLEAR = 1e-10


@dataclass(frozen=True, eq=False)
class StudySums:
    """Sums of one study for a model with an intercept.

    Attributes
    ----------
    names : tuple of str
        The m columns: predictors without the intercept, the outcome last.
    size : (c,) array
        Rows per patient in each cell; in a cell that was joined, their mean.
    count : (c,) array
        Patients of each cell.
    mean : (c, m) array
        Mean of all rows of each cell.
    scatter : (c, m, m) array
        Of the patients' means about it, weighted by their rows, divided by `size`.
    within : (m, m) array
        Cross-products about the patients' own means, all patients together.
    joined : (c,) bool array
        Cells of patients with different numbers of rows.

    Examples
    --------
    >>> import numpy as np
    >>> from twostage.stats.mixed import MixedSums
    >>> rng = np.random.default_rng(1)
    >>> patient, x = np.repeat(np.arange(40), 5), rng.normal(size=200)
    >>> y = rng.normal(size=40)[patient] + 0.5 * x + rng.normal(size=200)
    >>> rows = MixedSums(("intercept", "x")).add(y, np.column_stack([np.ones(200), x]), patient)
    >>> sums = StudySums.of(rows)
    >>> sums.n, sums.n_groups, sums.size.tolist()
    (200, 40, [5.0])
    """

    names: tuple[str, ...]
    size: np.ndarray
    count: np.ndarray
    mean: np.ndarray
    scatter: np.ndarray
    within: np.ndarray
    joined: np.ndarray

    @classmethod
    def of(cls, sums: MixedSums, outcome: str = "outcome") -> "StudySums":
        """Of the sums of a random-intercept model whose first fixed effect is the intercept."""
        if sums.effects != 1:
            raise ValueError(f"sums of {sums.effects} random effects; those of a random intercept are needed")
        sizes, m = sorted(sums.classes), len(sums.names)
        reference = np.zeros(m + 1) if sums.reference is None else sums.reference[1:]
        cells = [sums.classes[size] for size in sizes]
        mean = np.array([c.mean + reference for c in cells]).reshape(-1, m + 1)
        scatter = np.array([c.scatter for c in cells]).reshape(-1, m + 1, m + 1)
        within = sums.within.copy() if sums.n else np.zeros((m + 1, m + 1))
        # What is the same in all rows of a patient, such as their mean, has rounding there.
        between = sum(size * np.diagonal(c.scatter) for size, c in sums.classes.items())
        same = np.diagonal(within) <= ROUNDING * (np.diagonal(within) + between)
        within[same] = within[:, same] = 0.0
        arrays = frozen(
            np.array(sizes, dtype=float),
            np.array([c.count for c in cells], dtype=float),
            mean[:, 1:],
            scatter[:, 1:, 1:],
            within[1:, 1:],
            np.zeros(len(sizes), dtype=bool),
        )
        return cls((*sums.names[1:], outcome), *arrays)

    @property
    def n(self) -> int:
        """Rows."""
        return round(float(self.size @ self.count))

    @property
    def n_groups(self) -> int:
        """Patients."""
        return round(float(self.count.sum()))

    def columns(self, names: tuple[str, ...]) -> "StudySums":
        """The sums of some columns, in this order."""
        at = [self.names.index(name) for name in names]
        return StudySums(
            names,
            self.size,
            self.count,
            self.mean[:, at],
            self.scatter[:, at][:, :, at],
            self.within[np.ix_(at, at)],
            self.joined,
        )

    def table(self) -> np.ndarray:
        """Each cell's share of C'V^-1 C at no random intercept, about the study's mean, C = [1 columns]; (c, m+1, m+1)."""
        weight = self.size * self.count
        mean = self.mean - weight @ self.mean / weight.sum()
        c, m = mean.shape
        whole = np.zeros((c, m + 1, m + 1))
        whole[:, 0, 0] = weight
        whole[:, 0, 1:] = whole[:, 1:, 0] = weight[:, None] * mean
        whole[:, 1:, 1:] = self.size[:, None, None] * self.scatter + weight[:, None, None] * np.einsum(
            "ci,cj->cij", mean, mean
        )
        return whole

    def check(self, label: str = "") -> None:
        """Whether a model of its own can be fitted.

        Raises
        ------
        NotEstimable
            Too few rows or patients, collinear predictors, no residual.
        """
        p, label = len(self.names), f"{label}: " if label else ""
        if self.n <= p + 1 or self.n_groups < 2:
            text = f"{self.n} rows of {self.n_groups} patients are too few for {p} coefficients"
            raise NotEstimable(f"{label}{text}")
        total = self.table()[:, 1:, 1:].sum(axis=0) + self.within
        size = np.sqrt(np.diagonal(total))
        if not (size > 0).all():
            raise NotEstimable(f"{label}a column does not vary")
        if np.linalg.eigvalsh(total / np.outer(size, size))[0] < TOLD_APART:
            raise NotEstimable(f"{label}the predictors reproduce each other or the outcome")
        if self.within[-1, -1] <= CLEAR * total[-1, -1]:
            raise NotEstimable(f"{label}the outcome does not vary within patients")


def joined_cells(sums: StudySums, least: int | Sequence[int]) -> StudySums:
    """The sums with cells joined with their neighbours, until each has enough patients, or as told.

    A joined cell counts its patients as having their mean number of rows: its share of the likelihood is exact where the
    variance of the random intercept is 0, and otherwise as near as these numbers are to each other.

    Parameters
    ----------
    sums : StudySums
    least : int or sequence of int
        Fewest patients of a cell: cells are taken from the longest to the shortest, and what is left at the end goes to
        the last one. Or the lower ends of the intervals of numbers of rows that are joined.

    Returns
    -------
    StudySums
        Without cells if all patients together are fewer than `least`.
    """
    groups = _enough(sums, least) if isinstance(least, int) else _between(sums, least)
    joined = [_joined(sums, which) for which in groups]
    m = len(sums.names)
    size, count, mean, scatter, several = zip(*joined, strict=True) if joined else ((),) * 5
    arrays = frozen(
        np.array(size, dtype=float),
        np.array(count, dtype=float),
        np.array(mean, dtype=float).reshape(-1, m),
        np.array(scatter, dtype=float).reshape(-1, m, m),
        sums.within,
        np.array(several, dtype=bool),
    )
    return StudySums(sums.names, *arrays)


def _enough(sums: StudySums, least: int) -> list[list[int]]:
    """Cells taken together, each group in order, from the shortest to the longest."""
    groups: list[list[int]] = []
    for at in np.argsort(-sums.size).tolist():
        if groups and sums.count[groups[-1]].sum() < least:
            groups[-1].append(at)
        else:
            groups.append([at])
    if groups and sums.count[groups[-1]].sum() < least:
        last = groups.pop()
        groups = [*groups[:-1], groups[-1] + last] if groups else []
    return [sorted(which) for which in reversed(groups)]


def _between(sums: StudySums, lower: Sequence[int]) -> list[list[int]]:
    place = np.searchsorted(np.asarray(lower), sums.size, side="right")
    return [np.flatnonzero(place == at).tolist() for at in np.unique(place)]


def _joined(sums: StudySums, which: list[int]):
    """size, count, mean, scatter and whether several of some cells taken together."""
    if len(which) == 1:
        (at,) = which
        return sums.size[at], sums.count[at], sums.mean[at], sums.scatter[at], bool(sums.joined[at])
    rows = sums.size[which] * sums.count[which]
    count = sums.count[which].sum()
    size, mean = rows.sum() / count, rows @ sums.mean[which] / rows.sum()
    apart = sums.mean[which] - mean
    scatter = np.einsum("c,cij->ij", sums.size[which], sums.scatter[which])
    scatter = (scatter + np.einsum("c,ci,cj->ij", rows, apart, apart)) / size
    return size, count, mean, scatter, True
