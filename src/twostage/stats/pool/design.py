"""Moderators of a meta-regression: checked, in an orthonormal basis, and what a weighted regression on them leaves."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import solve_triangular

from twostage.stats.base import NotEstimable, at, raise_problems, real_array

INTERCEPT = "intercept"


# R's own tolerance for a column that depends on earlier ones (`lm`).
DEPENDENT = 1e-7


# Sum of squared weights over the squared sum from which on short formulas of traces lose digits.
DOMINATED = 0.9


# Share of a column's length that rounding leaves of a constant one after centring.
CONSTANT = 1e-12


@dataclass(frozen=True, eq=False)
class Design:
    """Moderators of k studies.

    Attributes
    ----------
    X : ndarray, shape (k, p)
        Design, the intercept (if any) first.
    names : tuple of str
        Of its columns.
    intercept : bool
        The first column is a column of ones.
    added : bool
        That column was added, it is not among the moderators as given.
    U : ndarray, shape (k, p)
    T : ndarray, shape (p, p)
        ``X = U T``, U orthonormal, T upper triangular.
    """

    X: np.ndarray
    names: tuple[str, ...]
    intercept: bool
    added: bool
    U: np.ndarray
    T: np.ndarray

    @property
    def tested(self):
        """Number of coefficients in front of those the omnibus test concerns: the intercept, unless alone."""
        return int(self.intercept and self.X.shape[1] > 1)


def make_design(X, k, *, names, intercept, labels, what="moderator"):
    """Check moderators and orthonormalise them.

    Parameters
    ----------
    X : array_like, shape (k, q) or (k,), or None
        None: the intercept alone.
    k : int
    names : sequence of str or None
        Default: the columns' own names (of a data frame), else x1, x2, ... (z1, ... for scale moderators).
    intercept : bool
        Add a column of ones. Where it is not added and X has one, that column is the intercept; it is put first.
    labels : sequence of str or None
    what : str
        What messages call a column.

    Returns
    -------
    Design

    Raises
    ------
    ValueError
        Shapes, names, values that are not finite (study and column are named).
    NotEstimable
        No more studies than columns; a constant column beside the intercept, or collinear columns (named).
    """
    X, names = _columns(X, k, names, what)
    bad = np.argwhere(~np.isfinite(X))
    raise_problems([f"{at(i, labels)}: {what} {names[j]} is {X[i, j]}" for i, j in bad])
    ones = np.flatnonzero((X == 1.0).all(axis=0))
    if not intercept and ones.size:
        order = [ones[0], *(j for j in range(X.shape[1]) if j != ones[0])]
        X, names = X[:, order], tuple(names[j] for j in order)
    moderators = X if intercept or not ones.size else X[:, 1:]
    has_one = intercept or bool(ones.size)
    if intercept:
        X, names = np.column_stack([np.ones(k), X]), (INTERCEPT, *names)
    if X.shape[1] == 0:
        raise ValueError(f"no {what}s and no intercept: there is nothing to estimate")
    if k <= X.shape[1]:
        raise NotEstimable(f"{k} studies cannot determine {X.shape[1]} coefficients and heterogeneity")
    U, T = _basis(moderators, names[int(has_one) :], has_one, what)
    for array in (X, U, T):
        array.flags.writeable = False
    return Design(X, names, has_one, intercept, U, T)


def _columns(X, k, names, what):
    given = getattr(X, "columns", None) if names is None else names
    X = np.zeros((k, 0)) if X is None else real_array(X, f"{what}s", booleans=True)
    X = X[:, None] if X.ndim == 1 else X
    if X.ndim != 2 or X.shape[0] != k:
        raise ValueError(f"{what}s must have shape ({k}, q), a row for each estimate; got {X.shape}")
    letter = "z" if what.startswith("scale") else "x"
    names = tuple(
        str(n) for n in ([f"{letter}{j + 1}" for j in range(X.shape[1])] if given is None else given)
    )
    if len(names) != X.shape[1]:
        raise ValueError(f"{len(names)} names for {X.shape[1]} {what}s")
    if len(set(names)) < len(names):
        raise ValueError(
            f"{what}s of the same name: {', '.join(sorted({n for n in names if names.count(n) > 1}))}"
        )
    return X, names


def _basis(columns, names, intercept, what):
    """Orthonormal basis of the columns (after a constant one, if `intercept`), and the triangle."""
    k, q = columns.shape
    mean = columns.mean(axis=0) if intercept else np.zeros(q)
    centred = columns - mean
    size, raw = np.sqrt((centred**2).sum(axis=0)), np.sqrt((columns**2).sum(axis=0))
    _refuse_dependent(centred, size, size <= CONSTANT * raw, names, intercept, what)
    Q, R = np.linalg.qr(centred / size)
    if not intercept:
        return Q, R * size
    T = np.zeros((q + 1, q + 1))
    T[0, 0], T[0, 1:], T[1:, 1:] = np.sqrt(k), np.sqrt(k) * mean, R * size
    return np.column_stack([np.full(k, 1.0 / np.sqrt(k)), Q]), T


def _refuse_dependent(centred, size, constant, names, intercept, what):
    """Raise one error naming every constant and every collinear column."""
    with_intercept = "constant: it cannot be told from the intercept"
    problems = [
        f"{what} {names[j]} is {with_intercept if intercept else 'zero for every study'}"
        for j in np.flatnonzero(constant)
    ]
    kept = []
    for j in np.flatnonzero(~constant):
        column = centred[:, j] / size[j]
        Q, R = np.linalg.qr(centred[:, kept] / size[kept])
        weights = Q.T @ column
        if np.linalg.norm(column - Q @ weights) > DEPENDENT:
            kept.append(j)
            continue
        parts = np.abs(solve_triangular(R, weights)) > np.sqrt(DEPENDENT)
        of = [names[i] for i, used in zip(kept, parts, strict=True) if used] + ["the intercept"] * intercept
        problems.append(f"{what}s are collinear: {names[j]} is a linear combination of {', '.join(of)}")
    if problems:
        raise NotEstimable("; ".join(problems))


@dataclass(frozen=True, eq=False)
class Projection:
    """A weighted regression of y on U.

    With weights w, the diagonal of W, ``P = W - W U (U'WU)^-1 U'W``. Everything goes through an orthonormal basis Q of
    ``W^(1/2) U``, for which ``P = W^(1/2) (I - QQ') W^(1/2)``: no inverse of a cross-product, which would lose twice
    the digits, is ever formed.

    Attributes
    ----------
    w, root : ndarray, shape (..., k)
        Weights and their square roots.
    Q : ndarray, shape (..., k, p)
    R : ndarray, shape (..., p, p)
        ``W^(1/2) U = QR``, R upper triangular.
    c : ndarray, shape (..., p)
        ``Q' W^(1/2) y``.
    r : ndarray, shape (..., k)
        Weighted residuals ``(I - QQ') W^(1/2) y``: ``y'Py`` is their sum of squares.
    """

    w: np.ndarray
    root: np.ndarray
    Q: np.ndarray
    R: np.ndarray
    c: np.ndarray
    r: np.ndarray

    @property
    def rss(self):
        """``y'Py``, shape (...): the generalised Q statistic."""
        return (self.r**2).sum(axis=-1)

    @property
    def hat(self):
        """Leverages, shape (..., k): the diagonal of ``U (U'WU)^-1 U'W``."""
        return (self.Q**2).sum(axis=-1)

    @property
    def log_det(self):
        """``log det U'WU``, shape (...)."""
        return 2.0 * np.log(np.abs(np.diagonal(self.R, axis1=-2, axis2=-1))).sum(axis=-1)

    @property
    def py(self):
        """``Py``, shape (..., k)."""
        return self.root * self.r

    @property
    def cubic(self):
        """``y'PPPy``, shape (...)."""
        z = self.root * self.py
        return ((z - times(self.Q, _into(self.Q, z))) ** 2).sum(axis=-1)

    @property
    def trace(self):
        """``tr P``, shape (...)."""
        return (self.w * (1.0 - self.hat)).sum(axis=-1)

    def trace_product(self, a, b):
        """``tr((I-QQ') A (I-QQ') B)`` for diagonal A and B, given as arrays of shape (..., k)."""
        both = a * b
        inner = _gram(self.Q, a) * np.swapaxes(_gram(self.Q, b), -1, -2)
        return (both * (1.0 - 2.0 * self.hat)).sum(axis=-1) + inner.sum(axis=(-2, -1))


@dataclass(frozen=True, eq=False)
class MeanProjection:
    """A weighted mean of y: the regression on one constant column, in closed form, which is several times faster.

    Attributes
    ----------
    w : ndarray, shape (..., k)
    total : ndarray, shape (...)
        Sum of the weights.
    mean : ndarray, shape (...)
    deviation : ndarray, shape (..., k)
        Unweighted: ``y - mean``.

    The properties are those of :class:`Projection`, U being ``1 / sqrt(k)``.
    """

    w: np.ndarray
    total: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray

    @property
    def rss(self):
        """``y'Py``, shape (...)."""
        return summed(self.w * self.deviation, self.deviation)

    @property
    def hat(self):
        """Leverages, shape (..., k)."""
        return self.w / self.total[..., None]

    @property
    def log_det(self):
        """``log det U'WU``, shape (...)."""
        return np.log(self.total) - np.log(self.w.shape[-1])

    @property
    def py(self):
        """``Py``, shape (..., k)."""
        return self.w * self.deviation

    @property
    def cubic(self):
        """``y'PPPy``, shape (...)."""
        py = self.py
        w_py = self.w * py
        return summed(w_py, py) - summed(self.w, py) ** 2 / self.total

    @cached_property
    def trace(self):
        """``tr P``, shape (...)."""
        if self._dominated:
            return (self.w * sum_of_others(self.w)).sum(axis=-1) / self.total
        return self.total - self._squares / self.total

    def trace_product(self, a, b):
        """As :meth:`Projection.trace_product`."""
        both = a * b
        if self._dominated:
            # The squares of the elements of I - QQ': positive terms, of which none is a difference.
            rest, hat = sum_of_others(self.w) / self.total[..., None], self.hat
            return (rest**2 * both).sum(axis=-1) + (hat * b * sum_of_others(hat * a)).sum(axis=-1)
        first = summed(self.w, a) / self.total
        second = first if a is b else summed(self.w, b) / self.total
        return summed(a, b) - 2.0 * summed(self.w, both) / self.total + first * second

    @cached_property
    def _squares(self):
        return summed(self.w, self.w)

    @cached_property
    def _dominated(self):
        """Whether one weight is so large beside the others that differences of sums lose digits."""
        return (self._squares > DOMINATED * self.total**2).any()


def summed(a, b):
    """Sum of a b over studies: without an array of the products, and quick for short rows."""
    return np.einsum("...k,...k->...", a, b)


def sum_of_others(d):
    """For each study the sum over the others, shape (..., k), by adding only."""
    before, after = np.zeros_like(d), np.zeros_like(d)
    before[..., 1:] = np.cumsum(d, axis=-1)[..., :-1]
    after[..., :-1] = np.cumsum(d[..., ::-1], axis=-1)[..., ::-1][..., 1:]
    return before + after


def project(y, w, U=None):
    """Regress y on U with weights w.

    Parameters
    ----------
    y, w : ndarray, shape (..., k)
    U : ndarray, shape (k, p), optional
        Full column rank. Default: one constant column.

    Returns
    -------
    Projection or MeanProjection
    """
    if U is None:
        total = np.einsum("...k->...", w)
        mean = summed(w, y) / total
        return MeanProjection(w, total, mean, y - mean[..., None])
    root = np.sqrt(w)
    Q, R = np.linalg.qr(root[..., None] * U)
    z = root * y
    c = _into(Q, z)
    return Projection(w, root, Q, R, c, z - times(Q, c))


def residual(y, U=None):
    """What an unweighted regression on orthonormal columns U (k, p) leaves of y (..., k); default: on a constant."""
    return y - y.mean(axis=-1, keepdims=True) if U is None else y - (y @ U) @ U.T


def _into(Q, z):
    return (Q * z[..., None]).sum(axis=-2)


def times(Q, c):
    """Matrix (..., m, p) times vector (..., p)."""
    return (Q @ c[..., None])[..., 0]


def _gram(Q, d):
    return np.swapaxes(Q, -1, -2) @ (d[..., None] * Q)
