"""A mixed model fitted to rows that come in pieces: sums that are added to, merged, and fitted at the end.

What the likelihood needs of the data is a sum over groups (sums.py), so rows may come in any number of pieces as long
as a group is whole in one of them, and pieces may be summed in different places. `MixedSums` keeps

- with a random intercept: per number of rows that a group can have the groups' count, mean and scatter of their means
  of [X y], and W, the cross-product about the groups' own means: a size that does not grow with the data;
- with further random effects: the triangle `R` and the rotated `b` of every group, q (q + P) numbers each.

Counts, means and scatters are merged without cancellation (:class:`twostage.stats.base.Moments`), of numbers less a
reference near the data's middle, so that the order of pieces changes rounding only.
A constant among Z's columns takes any shift of X and y out of W; that is why the shift may be chosen at the end.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from twostage.stats.base import Moments, NotEstimable
from twostage.stats.mixed.design import SAMPLE_ROWS, Design, check_columns, check_size, is_well_conditioned
from twostage.stats.mixed.fit import MixedFit, Working, fit_working, mean_gram, refuse_no_spread
from twostage.stats.mixed.sums import CollapsedGroups, CrossProducts, StackedGroups, cross_products, gram_of

# A column whose spread is below this share of its size is constant (`design.orthogonalise`).
CONSTANT = 1e-12


@dataclass(frozen=True)
class MixedSums:
    """Sums of a linear mixed model over groups, to be added to, merged and fitted.

    ``MixedSums(names).add(y, X, groups)`` returns the sums with these rows; ``a + b`` those of two sets of groups;
    ``sums.fit()`` is ``fit_mixed`` of all rows together, to rounding.

    Attributes
    ----------
    names : tuple of str
        The p fixed effects.
    effects : int
        Random effects q. The first is the intercept: the first column of Z is one throughout.
    n, n_groups : int
        Rows and groups so far.
    within : (P, P) array
        W, see :mod:`twostage.stats.mixed.sums`.
    reference : (q + P,) array or None
        Subtracted from the columns [Z X y] before anything else; 0 for the intercept.
    classes : dict of int to Moments
        Random intercept: of the groups' means of [X y], by the groups' number of rows.
    factors : tuple of (q, q + P, N) arrays
        Further random effects: `R` and `b` of every group.

    Examples
    --------
    Two halves of the patients, summed apart:

    >>> import numpy as np
    >>> from twostage.stats.mixed import MixedSums, fit_mixed
    >>> rng = np.random.default_rng(1)
    >>> patient, X = np.repeat(np.arange(40), 5), np.column_stack([np.ones(200), rng.normal(size=200)])
    >>> y = rng.normal(size=40)[patient] + X @ [1.0, 0.5] + rng.normal(size=200)
    >>> halves = [MixedSums(("intercept", "x")).add(y[i], X[i], patient[i]) for i in (patient < 20, patient >= 20)]
    >>> fit = (halves[0] + halves[1]).fit()
    >>> bool(np.allclose(fit.coef, fit_mixed(y, X, patient).coef, rtol=1e-12))
    True
    """

    names: tuple[str, ...]
    effects: int = 1
    n: int = 0
    n_groups: int = 0
    within: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)), repr=False)
    reference: np.ndarray | None = field(default=None, repr=False)
    classes: dict[int, Moments] = field(default_factory=dict, repr=False)
    factors: tuple[np.ndarray, ...] = field(default=(), repr=False)

    def add(
        self,
        y: ArrayLike,
        X: ArrayLike,
        groups: Sequence[Hashable] | np.ndarray,
        Z: ArrayLike | None = None,
    ) -> "MixedSums":
        """These sums with more rows; no group may have rows in two calls.

        Parameters
        ----------
        y, X, groups, Z
            As of :func:`~twostage.stats.mixed.fit.fit_mixed`.

        Raises
        ------
        ValueError
            As there for wrong shapes and numbers; other columns than those announced; Z without a first column of ones.
        """
        if not len(y):
            return self
        design = check_columns(y, X, groups, Z, self.names)
        if design.q != self.effects:
            raise ValueError(f"Z has {design.q} columns; the sums are of {self.effects} random effects")
        if design.Z is not None and not (design.Z[:, 0] == 1.0).all():
            raise ValueError("the first column of Z must be one in every row: the random intercept")
        return self + _sums_of(self, design)

    def __add__(self, other: "MixedSums") -> "MixedSums":
        if (self.names, self.effects) != (other.names, other.effects):
            raise ValueError(
                f"sums of different models: {self.names} with {self.effects} random effects and "
                f"{other.names} with {other.effects}"
            )
        if not self.n or not other.n:
            return self if self.n else other
        shift = other.reference - self.reference
        classes = dict(self.classes)
        for size, one in other.classes.items():
            moved = one.moved(shift[self.effects :])
            classes[size] = classes[size] + moved if size in classes else moved
        return replace(
            self,
            n=self.n + other.n,
            n_groups=self.n_groups + other.n_groups,
            within=self.within + other.within,
            classes=classes,
            factors=self.factors + tuple(_moved(part, shift) for part in other.factors),
        )

    def turned(self, A: np.ndarray) -> "MixedSums":
        """The sums of ``X A`` in place of X; A (p, p) leaves the constant column of X as it is."""
        whole = np.eye(len(self.names) + 1)
        whole[:-1, :-1] = A
        q = self.effects
        factors = tuple(
            np.concatenate([part[:, :q], np.einsum("kpn,pr->krn", part[:, q:], whole)], axis=1)
            for part in self.factors
        )
        return replace(
            self,
            within=whole.T @ self.within @ whole,
            reference=np.r_[self.reference[:q], self.reference[q:] @ whole],
            classes={size: one.turned(whole) for size, one in self.classes.items()},
            factors=factors,
        )

    def fit(self, *, reml: bool = True) -> MixedFit:
        """Fit the model to all rows that were added.

        Raises
        ------
        NotEstimable
            As :func:`~twostage.stats.mixed.fit.fit_mixed`; also where columns of X are so nearly collinear that
            cross-products do not have the digits for them (a look at the rows themselves would be needed).
        """
        check_size(self.n, len(self.names), self.effects, self.n_groups)
        return fit_working(_working(self), self.names, bool(reml))

    def leaves_residual(self, tolerance: float) -> bool:
        """Whether X and the groups' own levels leave more than this share of y'y to a residual, or are too many to tell.

        Of a model with a random intercept.
        """
        size = np.sqrt(np.diagonal(self.within))
        scaled = self.within / np.outer(np.where(size > 0, size, 1.0), np.where(size > 0, size, 1.0))
        values, vectors = np.linalg.eigh(scaled[:-1, :-1])
        kept = values > CONSTANT * max(values[-1], 1.0)
        if self.n - self.n_groups - kept.sum() < 1:
            return True
        along = (vectors[:, kept].T @ scaled[:-1, -1]) ** 2 / values[kept]
        return bool(self.within[-1, -1] * (scaled[-1, -1] - along.sum()) > tolerance * self._of_y())

    def _of_y(self) -> float:
        """y'y."""
        means = sum(
            size * (c.scatter[-1, -1] + c.count * (c.mean[-1] + self.reference[-1]) ** 2)
            for size, c in self.classes.items()
        )
        return float(self.within[-1, -1] + means)


def _sums_of(like: MixedSums, design: Design) -> MixedSums:
    """The sums of one piece."""
    grouping, q = design.grouping, design.q
    columns = [design.X, design.y[:, None]] if q == 1 else [design.Z[:, 1:], design.X, design.y[:, None]]
    reference = np.r_[0.0, np.concatenate([_reference(c) for c in columns])]

    def write(at, out):
        """The columns but the constant one, less their references."""
        begin = 0
        for c in columns:
            end = begin + c.shape[1]
            np.subtract(c[at].T, reference[1 + begin : 1 + end, None], out=out[begin:end])
            begin = end

    products = cross_products(write, q, design.X.shape[1] + 1, True, grouping)
    piece = replace(
        like,
        n=len(design.y),
        n_groups=len(grouping.sizes),
        within=products.within,
        reference=reference,
        classes={},
        factors=(),
    )
    if q == 1:
        return replace(piece, classes=_classes(products.rotated[0], grouping.sizes))
    return replace(piece, factors=(products.factors,))


def _reference(rows: np.ndarray) -> np.ndarray:
    """A number near the middle of each column; of a constant one the very constant."""
    sample = rows[:: max(1, len(rows) // SAMPLE_ROWS)]
    return np.where(np.ptp(sample, axis=0) == 0.0, rows[0], sample.mean(axis=0))


def _classes(b: np.ndarray, sizes: np.ndarray) -> dict[int, Moments]:
    """Groups by size from b = sqrt(size) times their means, (P, N)."""
    found = {}
    for size in np.flatnonzero(np.bincount(sizes)).tolist():
        means = b[:, sizes == size] / np.sqrt(size)
        middle = means.mean(axis=1)
        apart = means - middle[:, None]
        found[size] = Moments(float(means.shape[1]), middle, apart @ apart.T)
    return found


def _moved(factors: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """`R` and `b` of columns to which `shift` was added: only the intercept's row changes."""
    moved = factors.copy()
    moved[0, 1:] += moved[0, 0] * shift[1:, None]
    return moved


def _working(sums: MixedSums) -> Working:
    """The model in columns about their means, as :func:`twostage.stats.mixed.fit.prepare` makes it of rows."""
    q, p = sums.effects, len(sums.names)
    middle, spread = (_of_classes if q == 1 else _of_factors)(sums)
    raw = middle + sums.reference
    constant = np.sqrt(spread[q:-1] / sums.n) <= CONSTANT * np.abs(raw[q:-1])
    x_turn, offset, shift = np.eye(p), np.zeros(p), raw.copy()
    shift[0] = 0.0
    if constant.any():
        at = int(np.argmax(constant))
        value, shift[q + at] = raw[q + at], 0.0
        x_turn[at] -= shift[q:-1] / value
        offset[at] = shift[-1] / value
    else:
        shift[q:] = 0.0
    if q == 1:
        made, total, gram = _collapsed(sums, shift)
        z_turn = np.eye(1)
    else:
        made, total, gram, z_turn = _stacked(sums, shift, np.sqrt(spread[1:q] / sums.n))
    if not is_well_conditioned(total):
        raise NotEstimable(
            "columns of X are collinear, or so nearly that sums over pieces do not have the digits to tell them apart"
        )
    refuse_no_spread(sums.within, total)
    return Working(made, gram, sums.n, sums.n_groups, x_turn, offset, z_turn, 0.0)


def _of_classes(sums: MixedSums):
    """Means of the columns less their references, and their sums of squares about these; random intercept."""
    weight = {size: size * c.count for size, c in sums.classes.items()}
    middle = sum(weight[size] * c.mean for size, c in sums.classes.items()) / sums.n
    spread = np.diagonal(sums.within).copy()
    for size, c in sums.classes.items():
        spread += size * np.diagonal(c.scatter) + weight[size] * (c.mean - middle) ** 2
    return np.r_[1.0, middle], np.r_[0.0, spread]


def _of_factors(sums: MixedSums):
    """The same from every group's `R` and `b`."""
    q = sums.effects
    middle = sum(part[0] @ part[0, 0] for part in sums.factors) / sums.n
    spread = np.r_[np.zeros(q), np.diagonal(sums.within)]
    for part in sums.factors:
        spread += (part[1:] ** 2).sum(axis=(0, 2))
        spread += ((part[0] - part[0, 0] * middle[:, None]) ** 2).sum(axis=1)
    return middle, spread


def _collapsed(sums: MixedSums, shift: np.ndarray):
    """Sums by size about `shift`; C'C; mean size."""
    sizes = sorted(sums.classes)
    table = []
    for size in sizes:
        c = sums.classes[size]
        mean = c.mean + (sums.reference - shift)[1:]
        table.append(size * (c.scatter + c.count * np.outer(mean, mean)))
    count = np.array([sums.classes[size].count for size in sizes])
    flat = np.array(table).reshape(len(sizes), -1)
    made = CollapsedGroups(np.array(sizes, dtype=float), count, flat, sums.within)
    return made, sums.within + sum(table), np.array([[sums.n / sums.n_groups]])


def _stacked(sums: MixedSums, shift: np.ndarray, spread: np.ndarray):
    """Every group's factors about `shift`, slopes in units of `spread`; C'C; mean of Z'Z; the way back for T."""
    q = sums.effects
    raw = np.abs(shift[1:q])
    if (empty := spread <= CONSTANT * raw).any():
        raise NotEstimable(
            f"random-effect column {1 + int(np.argmax(empty))} is zero or repeats the constant: its variance is not defined"
        )
    factors = _moved(np.concatenate(sums.factors, axis=2), sums.reference - shift)
    factors[:, 1:q] /= spread[:, None]
    turn = np.diag(np.r_[1.0, 1.0 / spread])
    turn[0, 1:] = -shift[1:q] / spread
    products = CrossProducts(factors, sums.within, False)
    return StackedGroups(products), products.total(), mean_gram(products), turn


@dataclass(frozen=True)
class StackedSums:
    """What the joint covariance of several models' coefficients needs of some groups, to be merged.

    Attributes
    ----------
    outer : (P, P) array
        Sum over groups of the products of their contributions to all coefficients.
    n_groups : (m,) array
        Groups of each model.
    n_any, n_all : int
        Groups in at least one model; in all of them.
    """

    outer: np.ndarray
    n_groups: np.ndarray
    n_any: int
    n_all: int

    @classmethod
    def of(cls, parts: Sequence[tuple[Sequence[int], np.ndarray]], n: int) -> "StackedSums":
        """Of what :func:`~twostage.stats.mixed.stacked.influence` returns for each model; labels are 0 .. n - 1."""
        width = [contributions.shape[1] for _, contributions in parts]
        stacked, times = np.zeros((sum(width), n)), np.zeros(n, dtype=int)
        at = 0
        for (labels, contributions), p in zip(parts, width, strict=True):
            places = np.asarray(labels, dtype=int)
            stacked[at : at + p, places] = contributions.T
            times[places] += 1
            at += p
        counts = np.array([len(labels) for labels, _ in parts])
        return cls(gram_of(stacked), counts, int((times > 0).sum()), int((times == len(parts)).sum()))

    def __add__(self, other: "StackedSums") -> "StackedSums":
        counts = self.n_groups + other.n_groups
        return StackedSums(
            self.outer + other.outer, counts, self.n_any + other.n_any, self.n_all + other.n_all
        )

    def covariance(self, widths: Sequence[int]) -> np.ndarray:
        """The matrix of :func:`~twostage.stats.mixed.stacked.stacked_covariance`; `widths` are the models' coefficients."""
        scale = np.repeat(np.sqrt(self.n_groups / (self.n_groups - np.array(widths))), widths)
        return self.outer * np.outer(scale, scale)
