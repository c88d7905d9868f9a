"""Covariance of coefficients of several mixed models that share their groups: scores stacked by group."""

from dataclasses import dataclass, field

import numpy as np

from twostage.stats.mixed.design import group_rows
from twostage.stats.mixed.sums import group_sums


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
    labels : list, length N
        One label per group.
    contributions : ndarray, shape (N, p)
        In units of the coefficients; they add up to 0.
    """
    y, X = np.asarray(y, dtype=float), np.asarray(X, dtype=float)
    Z = np.ones((len(y), 1)) if Z is None else np.asarray(Z, dtype=float)
    rows = group_rows(groups, len(y))
    if rows.order is not None:
        y, X, Z = y[rows.order], X[rows.order], Z[rows.order]
    # A column after the other in memory: sums over a group then run along it.
    residual, p = y - X @ fit.coef, X.shape[1]
    columns = np.vstack([Z.T, X.T, residual])
    values, vectors = np.linalg.eigh(fit.cov_re)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))).T
    products = root @ np.stack([group_sums(z * columns, rows.starts, rows.sizes) for z in Z.T], axis=1)
    ZZ, ZX, Zr = np.split(products.transpose(2, 1, 0), [Z.shape[1], Z.shape[1] + p], axis=2)
    middle = fit.sigma2 * np.eye(Z.shape[1]) + ZZ @ root.T
    inner = Zr / middle if Z.shape[1] == 1 else np.linalg.solve(middle, Zr)
    scores = group_sums(X.T * residual, rows.starts, rows.sizes).T
    scores = (scores - np.einsum("nqp,nqo->np", ZX, inner)) / fit.sigma2
    order = np.arange(len(y)) if rows.order is None else rows.order
    return [groups[i] for i in order[rows.starts].tolist()], scores @ fit.cov_coef


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
    scaled = []
    for labels, contributions in parts:
        n, p = contributions.shape
        if len(set(labels)) != n:
            raise ValueError(f"{n} contributions for {len(set(labels))} different groups")
        if n <= p:
            raise ValueError(f"{n} groups for {p} coefficients: more groups than coefficients are needed")
        scaled.append(contributions * np.sqrt(n / (n - p)))
    position = {label: i for i, label in enumerate(dict.fromkeys(g for labels, _ in parts for g in labels))}
    stacked = np.zeros((len(position), sum(s.shape[1] for s in scaled)))
    at = 0
    for (labels, _), s in zip(parts, scaled, strict=True):
        stacked[[position[label] for label in labels], at : at + s.shape[1]] = s
        at += s.shape[1]
    common = set.intersection(*(set(labels) for labels, _ in parts))
    n_groups = tuple(len(labels) for labels, _ in parts)
    return StackedCovariance(stacked.T @ stacked, n_groups, len(position), len(common))
