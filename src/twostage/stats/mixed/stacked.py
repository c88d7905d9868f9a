"""Covariance of coefficients of several mixed models that share their groups: scores stacked by group."""

from dataclasses import dataclass, field

import numpy as np

from twostage.stats.mixed.design import group_rows
from twostage.stats.mixed.sums import chunks, group_sums


@dataclass(frozen=True, eq=False)
class StackedCovariance:
    """Cluster-robust covariance of the coefficients of all models together.

    Attributes
    ----------
    matrix : ndarray, shape (P, P)
        Coefficients of the first model, then of the second, and so on.
    n_groups : tuple of int
        Groups of each model.
    n_any, n_all : int
        Groups in at least one model; in all of them.
    """

    matrix: np.ndarray = field(repr=False)
    n_groups: tuple[int, ...]
    n_any: int
    n_all: int


def influence(fit, y, X, groups, Z=None):
    """What each group adds to a model's coefficients, ``B X_i' V_i^-1 (y_i - X_i b)``.

    Parameters
    ----------
    fit : MixedFit
        ``V_i = sigma2 I + Z_i cov_re Z_i'`` and ``B = (sum_i X_i' V_i^-1 X_i)^-1`` at its estimates.
    y : array_like, shape (n,)
    X : array_like, shape (n, p)
    groups : (n,) sequence of hashable labels
    Z : array_like, shape (n, q), optional
        As they were fitted; Z is a column of ones by default.

    Returns
    -------
    labels : list or ndarray, length N
        One label per group; an array if `groups` is one.
    contributions : ndarray, shape (N, p)
        In units of the coefficients; they add up to 0.
    """
    y, X = np.asarray(y, dtype=float), np.asarray(X, dtype=float)
    Z = np.ones((len(y), 1)) if Z is None else np.asarray(Z, dtype=float)
    rows = group_rows(groups, len(y))
    scores = np.empty((len(rows.sizes), X.shape[1]))
    for first, last in chunks(rows.starts, rows.sizes):
        begin, end = rows.starts[first], rows.starts[last - 1] + rows.sizes[last - 1]
        at = slice(begin, end) if rows.order is None else rows.order[begin:end]
        part = rows.starts[first:last] - begin, rows.sizes[first:last]
        scores[first:last] = _scores(fit, y[at], X[at], Z[at], *part)
    first = rows.starts if rows.order is None else rows.order[rows.starts]
    labels = groups[first] if isinstance(groups, np.ndarray) else [groups[i] for i in first.tolist()]
    return labels, scores @ fit.cov_coef


def _scores(fit, y, X, Z, starts, sizes):
    """``X_i' V_i^-1 (y_i - X_i b)`` of each group, shape (N, p)."""
    # A column after the other in memory: sums over a group then run along it.
    residual, p = y - X @ fit.coef, X.shape[1]
    columns = np.vstack([Z.T, X.T, residual])
    values, vectors = np.linalg.eigh(fit.cov_re)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))).T
    products = root @ np.stack([group_sums(z * columns, starts, sizes) for z in Z.T], axis=1)
    ZZ, ZX, Zr = np.split(products.transpose(2, 1, 0), [Z.shape[1], Z.shape[1] + p], axis=2)
    middle = fit.sigma2 * np.eye(Z.shape[1]) + ZZ @ root.T
    inner = Zr / middle if Z.shape[1] == 1 else np.linalg.solve(middle, Zr)
    scores = group_sums(X.T * residual, starts, sizes).T
    return (scores - np.einsum("nqp,nqo->np", ZX, inner)) / fit.sigma2


def stacked_covariance(parts):
    """Covariance of the coefficients of several models of the same groups.

    Parameters
    ----------
    parts : sequence of (labels, contributions)
        What :func:`influence` returns, one per model. A group that a model does not have contributes nothing to
        its coefficients.

    Returns
    -------
    StackedCovariance

    Raises
    ------
    ValueError
        No model, a group named twice, or a model with no more groups than coefficients.

    Notes
    -----
    With model e's contributions a_ei, groups N_e and coefficients p_e::

        cov(b_e, b_f) = c_e c_f sum_i a_ei a_fi',   c_e^2 = N_e / (N_e - p_e)

    the sandwich for stacked estimating equations (Liang & Zeger 1986, doi:10.1093/biomet/73.1.13). Fitting p_e
    coefficients shrinks the residuals; c_e restores the expectation exactly where all groups have the same
    design and the working model holds, as CR1 (J - p) of :mod:`twostage.stats.multilevel.robust` does, and keeps the whole
    matrix positive semidefinite. Diagonal blocks checked against clubSandwich 0.5.8 (``vcovCR``, type CR1p) on
    lme4 fits, all of it against the formula in plain R.
    """
    if not parts:
        raise ValueError("no model was given")
    places, n_any = _places([labels for labels, _ in parts])
    scaled = []
    for own, (_, contributions) in zip(places, parts, strict=True):
        n, p = contributions.shape
        different = np.count_nonzero(np.bincount(own))
        if different != n:
            raise ValueError(f"{n} contributions for {different} different groups")
        if n <= p:
            raise ValueError(f"{n} groups for {p} coefficients: more groups than coefficients are needed")
        scaled.append(contributions * np.sqrt(n / (n - p)))
    stacked = np.zeros((n_any, sum(s.shape[1] for s in scaled)))
    at = 0
    for own, s in zip(places, scaled, strict=True):
        stacked[own, at : at + s.shape[1]] = s
        at += s.shape[1]
    n_all = int((np.bincount(np.concatenate(places)) == len(parts)).sum())
    return StackedCovariance(stacked.T @ stacked, tuple(map(len, places)), n_any, n_all)


def _places(labels) -> tuple[list[np.ndarray], int]:
    """For each model's labels their rows in a table of all groups, and how many groups there are."""
    if all(isinstance(own, np.ndarray) and own.dtype.kind in "iu" for own in labels):
        groups, found = np.unique(np.concatenate(labels), return_inverse=True)
        return np.split(found, np.cumsum([len(own) for own in labels])[:-1]), len(groups)
    position = {label: i for i, label in enumerate(dict.fromkeys(g for own in labels for g in own))}
    return [np.array([position[label] for label in own], dtype=int) for own in labels], len(position)
