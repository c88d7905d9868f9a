"""Checked input of a meta-regression, and an orthonormal basis of its moderators."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from twostage.stats.base import NotEstimable, at, raise_problems, real_array

INTERCEPT = "intercept"


# R's own tolerance for a column that depends on earlier ones (`lm`).
DEPENDENT = 1e-7


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
