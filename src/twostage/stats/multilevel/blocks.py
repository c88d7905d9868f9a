"""Data of a multilevel or multivariate meta-analysis, cut into independent blocks of equal size."""

from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import block_diag
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from twostage.stats.base import raise_problems, real_array
from twostage.stats.multilevel.structure import level_pairs
from twostage.stats.multilevel.terms import InnerOuter, Nested


@dataclass(frozen=True, eq=False)
class Batch:
    """b independent blocks of m estimates each.

    Attributes
    ----------
    rows : ndarray of int, shape (b, m)
        Positions in the data.
    y : ndarray, shape (b, m)
        Residuals of an ordinary least-squares fit: the same likelihood, fewer digits lost.
    X : ndarray, shape (b, m, p)
        Orthonormal basis of the model matrix's columns.
    V : ndarray, shape (b, m, m)
    K : ndarray, shape (c, b, m, m)
        What each entry of the random effects' covariance multiplies.
    """

    rows: np.ndarray
    y: np.ndarray
    X: np.ndarray
    V: np.ndarray
    K: np.ndarray


@dataclass(frozen=True, eq=False)
class Blocks:
    """The whole data set.

    Attributes
    ----------
    batches : tuple of Batch
    R : ndarray, shape (p, p)
        ``X = Q R``.
    start : ndarray, shape (p,)
        Ordinary least-squares coefficients, removed from y.
    n, p : int
    """

    batches: tuple[Batch, ...]
    R: np.ndarray = field(repr=False)
    start: np.ndarray = field(repr=False)
    n: int
    p: int


def full_covariance(V, n):
    """Sampling covariance matrix (n, n) from variances (n,), a matrix, or a sequence of square blocks."""
    if isinstance(V, list | tuple) and len(V) and all(np.ndim(b) == 2 for b in V):
        V = block_diag(*[real_array(b, "V") for b in V])
    V = real_array(V, "V")
    V = np.diag(V) if V.shape == (n,) else V
    if V.shape != (n, n):
        raise ValueError(f"V must be (n,), (n, n) or square blocks that add up to n = {n}; got {V.shape}")
    return V


def check_numbers(y, V, X, labels):
    """Raise one error that names every row that cannot be used."""
    variances = np.diag(V)
    problems = [f"{labels[i]}: estimate {y[i]} is not finite" for i in np.nonzero(~np.isfinite(y))[0]]
    problems += [
        f"{labels[i]}: variance {variances[i]} is not finite and positive"
        for i in np.nonzero(~(np.isfinite(variances) & (variances > 0.0)))[0]
    ]
    odd = ~np.isfinite(V) | (np.abs(V - V.T) > 1e-10 * np.sqrt(np.abs(np.outer(variances, variances))))
    np.fill_diagonal(odd, False)
    problems += [
        f"{labels[i]}: its covariances are not finite and symmetric" for i in np.nonzero(odd.any(1))[0]
    ]
    problems += [f"{labels[i]}: a moderator is not finite" for i in np.nonzero(~np.isfinite(X).all(1))[0]]
    raise_problems(problems)


def independent_blocks(V, terms):
    """Block of each row: rows joined by a sampling covariance or a shared random effect, shape (n,)."""
    n = len(V)
    i, j = np.nonzero(V)
    edges = [(i, j)]
    for term in terms:
        group = term.codes[0] if isinstance(term, Nested) else term.outer
        first = np.unique(group, return_index=True)[1]
        edges.append((np.arange(n), first[group]))
    i, j = (np.concatenate(side) for side in zip(*edges, strict=True))
    return connected_components(coo_array((np.ones(len(i)), (i, j)), shape=(n, n)), directed=False)[1]


def multipliers(term, struct):
    """The matrices K_c (c, n, n) of a term, in the order of its structure's entries."""
    if isinstance(term, Nested):
        return [codes[:, None] == codes[None, :] for codes in term.codes]
    outer = term.outer[:, None] == term.outer[None, :]
    if struct == "CS":
        same = term.inner[:, None] == term.inner[None, :]
        return [outer & same, outer & ~same]
    pairs = level_pairs(len(term.levels))
    one = [term.inner == j for j in range(len(term.levels))]
    products = [(j, k, one[j][:, None] & one[k][None, :]) for j, k in pairs if j == k or struct != "DIAG"]
    return [outer & (p if j == k else p | p.T) for j, k, p in products]


def cut(y, V, X, terms, struct):
    """Blocks of checked data.

    Parameters
    ----------
    y : ndarray, shape (n,)
    V : ndarray, shape (n, n)
    X : ndarray, shape (n, p)
        Full column rank.
    terms : tuple of Nested or InnerOuter
    struct : str

    Returns
    -------
    Blocks

    Raises
    ------
    ValueError
        A sampling covariance block that is not positive definite.
    """
    Q, R = np.linalg.qr(X)
    start = np.linalg.solve(R, Q.T @ y)
    residual = y - X @ start
    K = [k for term in terms for k in multipliers(term, struct if isinstance(term, InnerOuter) else None)]
    block = independent_blocks(V, terms)
    order = np.argsort(block, kind="stable")
    sizes = np.bincount(block)
    members = np.split(order, np.cumsum(sizes)[:-1])
    batches = []
    for size in np.unique(sizes):
        rows = np.stack([m for m in members if len(m) == size])
        at = rows[:, :, None], rows[:, None, :]
        entries = np.array([k[at] for k in K], dtype=float).reshape(len(K), *rows.shape, size)
        batches.append(Batch(rows, residual[rows], Q[rows], V[at], entries))
    _check_definite(batches)
    return Blocks(tuple(batches), R, start, *X.shape)


def _check_definite(batches):
    for batch in batches:
        scale = 1.0 / np.sqrt(np.diagonal(batch.V, axis1=1, axis2=2))
        smallest = np.linalg.eigvalsh(batch.V * scale[:, :, None] * scale[:, None, :])[:, 0]
        bad = np.nonzero(smallest <= batch.V.shape[1] * np.finfo(float).eps)[0]
        if bad.size:
            rows = ", ".join(str(r) for r in batch.rows[bad[0]])
            raise ValueError(f"the sampling covariance matrix of rows {rows} is not positive definite")
