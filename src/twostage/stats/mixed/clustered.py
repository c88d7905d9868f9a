"""Cluster-robust inference for the fixed effects of a mixed model, its groups as clusters: CR2, Satterthwaite's df."""

from dataclasses import dataclass, fields

import numpy as np
from scipy.sparse import csr_array

from twostage.stats.base import NotEstimable, ratio
from twostage.stats.mixed.design import group_rows
from twostage.stats.mixed.fit import MixedFit

# Share of its working variance that a direction of a group's residuals keeps; below, the group is fitted exactly there: its
# residual is 0 whatever the data are, and the inverse root is a generalised one (as in clubSandwich).
NULL = 1e-10


# Share of a coefficient's working variance that residuals show; the rest is of groups that are fitted exactly. Below, most
# of what is known of the coefficient comes from a group whose residuals are 0 whatever the data are.
SEEN = 0.5


FITTED_EXACTLY = "most of what is known of it comes from patients who are fitted exactly"


# Trace of ``H_i'H_i`` up to which the inverse root of ``I - H_i'H_i`` is summed as the series of ``(1 - t)^(-1/2)``: what
# its terms up to the fifth leave, some ``0.23 trace^6``, is below the rounding of doubles. Beyond, by eigenvalues.
SMALL = 1e-3


SERIES = (63 / 256, 35 / 128, 5 / 16, 3 / 8, 1 / 2, 1.0)


# Groups worked on together: arrays of a few megabytes.
CHUNK_GROUPS = 8192


@dataclass(frozen=True, eq=False)
class ClusterSums:
    """What groups add to the robust covariances of B models with p coefficients, c of which get degrees of freedom.

    Attributes
    ----------
    meat : ndarray, shape (B, p, p)
        Cross-products of the groups' scores.
    trace, squares, crossed : ndarray, shape (B, c)
        Sums over groups of the working variance of a score less what the other groups know of it; of squares; of products.
    through : ndarray, shape (B, c, p, p)
    part : ndarray, shape (B, c)
        A coefficient's variance by the model; `trace` is the same but for groups that are fitted exactly.
    n_groups : ndarray, shape (B,)
    """

    meat: np.ndarray
    trace: np.ndarray
    squares: np.ndarray
    crossed: np.ndarray
    through: np.ndarray
    part: np.ndarray
    n_groups: np.ndarray

    def __add__(self, other: "ClusterSums") -> "ClusterSums":
        """Of both's groups."""
        return ClusterSums(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def degrees_of_freedom(self) -> np.ndarray:
        """Satterthwaite's, (B, c); NaN where a coefficient rests on groups that it fits exactly."""
        spread = self.squares - 2.0 * self.crossed + (self.through**2).sum(axis=(-2, -1))
        return np.where(self.trace < SEEN * self.part, np.nan, ratio(self.trace**2, spread))


@dataclass(frozen=True, eq=False)
class WorkingModels:
    """B fitted models whose covariance matrices are what CR2 is unbiased under.

    Attributes
    ----------
    coef, cov_coef : ndarray, shape (B, p) and (B, p, p)
        Estimates and their covariance by the model, ``(sum_i X_i' V_i^-1 X_i)^-1``.
    cov_re, sigma2 : ndarray, shape (B, q, q) and (B,)
        ``V_i = sigma2 I + Z_i cov_re Z_i'``.
    """

    coef: np.ndarray
    cov_coef: np.ndarray
    cov_re: np.ndarray
    sigma2: np.ndarray

    @classmethod
    def of(cls, fit: MixedFit) -> "WorkingModels":
        """One fit."""
        return cls(fit.coef[None], fit.cov_coef[None], fit.cov_re[None], np.array([fit.sigma2]))

    def roots(self) -> tuple[np.ndarray, np.ndarray]:
        """C with ``cov_coef = C C'``, and R with ``cov_re / sigma2 = R' R``."""
        values, vectors = np.linalg.eigh(self.cov_re / self.sigma2[:, None, None])
        root = vectors * np.sqrt(np.maximum(values, 0.0))[:, None]
        return np.linalg.cholesky(self.cov_coef), root.swapaxes(1, 2)


def clustered(fit, y, X, groups, Z=None) -> ClusterSums:
    """The sums of one fit over its groups.

    Parameters
    ----------
    fit : MixedFit
    y : array_like, shape (n,)
    X : array_like, shape (n, p)
    groups : (n,) sequence of hashable labels
    Z : array_like, shape (n, q), optional
        As they were fitted, or a part of whole groups of them; Z is a column of ones by default.

    Returns
    -------
    ClusterSums
        With degrees of freedom of all coefficients.
    """
    y, X = np.asarray(y, dtype=float), np.asarray(X, dtype=float)
    Z = np.ones((len(y), 1)) if Z is None else np.asarray(Z, dtype=float)
    if not len(y):
        none = np.zeros(0, dtype=int)
        return cluster_sums(WorkingModels.of(fit), y, X, Z, none, none, np.arange(X.shape[1]))
    rows = group_rows(groups, len(y))
    if rows.order is not None:
        y, X, Z = y[rows.order], X[rows.order], Z[rows.order]
    of = np.zeros(len(rows.sizes), dtype=int)
    return cluster_sums(WorkingModels.of(fit), y, X, Z, rows.sizes, of, np.arange(X.shape[1]))


def with_clustered_errors(fit: MixedFit, sums: ClusterSums) -> MixedFit:
    """A fit with cluster-robust errors in the place of the model's.

    Parameters
    ----------
    fit : MixedFit
    sums : ClusterSums
        Of :func:`clustered`, over all of its groups.

    Returns
    -------
    MixedFit
        `std_error`, `df` and `cov_coef` are the robust ones; all else is as it was.

    Raises
    ------
    NotEstimable
        No more groups than coefficients, or a coefficient that rests on groups it fits exactly (it is named): how it varies
        between groups cannot be seen.

    Notes
    -----
    With the groups' rows whitened by the model, ``V_i = L_i L_i'``, ``H_i = L_i^-1 X_i``,
    ``e_i = L_i^-1 (y_i - X_i b)`` and ``B = (sum_i H_i' H_i)^-1``::

        cov = B (sum_i H_i' A_i e_i e_i' A_i' H_i) B,   A_i = (I - H_i B H_i')^(-1/2)

    Bell & McCaffrey's adjustment (2002, Survey Methodology 28, 169-181), exactly unbiased where the model's covariances
    hold and consistent where they do not; the df of a coefficient are ``2 E(v)^2 / Var(v)`` of its variance estimate v
    under the model (Pustejovsky & Tipton 2018, doi:10.1080/07350015.2016.1247004). Everything comes from H_i'H_i and
    H_i'e_i, so that a group costs the same however many rows it has. Checked against clubSandwich 0.5.8 (``vcovCR``,
    ``coef_test``) on the whitened rows. Its CR2 of the mixed model itself takes the symmetric root in other
    coordinates: the same number where the variance of the random intercept is 0, as it usually is here, and within
    1 % of the standard error in the reference panel where it is not.
    """
    n, p = int(sums.n_groups[0]), len(fit.coef)
    if n <= p:
        raise NotEstimable(too_few(n, p))
    df = sums.degrees_of_freedom()[0]
    if np.isnan(df).any():
        name = fit.names[int(np.argmax(np.isnan(df)))]
        raise NotEstimable(f"{name}: {FITTED_EXACTLY}")
    values = {name: getattr(fit, name) for name in (f.name for f in fields(fit))}
    cov = sums.meat[0]
    return MixedFit(**values | {"std_error": np.sqrt(np.diagonal(cov)), "df": df, "cov_coef": cov})


def too_few(n: int, p: int) -> str:
    """Why n groups have no robust errors of p coefficients."""
    return f"{n} patients for {p} coefficients: errors with patients as clusters need more patients than coefficients"


def cluster_sums(models: WorkingModels, y, X, Z, sizes, of, which) -> ClusterSums:
    """Sums over groups of many models at once.

    Parameters
    ----------
    models : WorkingModels
    y, X, Z : ndarray, shape (n,), (n, p) and (n, q)
        Rows of one group after the other, groups of one model after the other.
    sizes, of : ndarray of int, shape (N,)
        Rows of each group, and its model.
    which : ndarray of int, shape (c,)
        Coefficients whose degrees of freedom are wanted.

    Returns
    -------
    ClusterSums
    """
    B, p = models.coef.shape
    c = len(which)
    C, R = models.roots()
    ends = np.concatenate(([0], np.cumsum(sizes)))
    out = [np.zeros(shape) for shape in [(B, p, p), *[(B, c)] * 3, (B, c, p, p), (B, c), (B,)]]
    for first in range(0, len(sizes), CHUNK_GROUPS):
        part = slice(first, min(first + CHUNK_GROUPS, len(sizes)))
        rows = slice(ends[part.start], ends[part.stop])
        model = np.repeat(of[part], sizes[part])
        residual = y[rows] - (X[rows] * models.coef[model]).sum(axis=1)
        white = np.einsum("np,npk->nk", X[rows], C[model]) if B > 1 else X[rows] @ C[0]
        columns = np.column_stack([white, residual]) / np.sqrt(models.sigma2[model])[:, None]
        H, g = _whitened(columns, Z[rows], ends[part.start : part.stop] - ends[part.start], R[of[part]])
        _add(out, of[part], *_of_groups(H, g, C[of[part]], which))
    return ClusterSums(*out)


def _whitened(columns, Z, starts, R):
    """``H_i'H_i`` (N, p, p) and ``H_i'e_i`` (N, p) of groups, from their rows in units of the residual spread."""
    p, q = columns.shape[1] - 1, Z.shape[1]
    white = columns[:, :p]
    n, groups = len(Z), len(starts)
    # Several times faster than `np.add.reduceat`, in the same order.
    of_rows = csr_array((np.ones(n), np.arange(n), np.append(starts, n)), shape=(groups, n))

    def summed(left, right):
        products = left[:, :, None] * right[:, None, :]
        return (of_rows @ products.reshape(n, -1)).reshape(groups, *products.shape[1:])

    gram = summed(white, columns)
    ZC = R @ summed(Z, np.concatenate([Z, columns], axis=1))
    middle = np.eye(q) + ZC[:, :, :q] @ R.swapaxes(1, 2)
    inner = ZC[:, :, q:] / middle if q == 1 else np.linalg.solve(middle, ZC[:, :, q:])
    gram = gram - np.einsum("nqp,nqk->npk", ZC[:, :, q : q + p], inner)
    return gram[:, :, :p], gram[:, :, p]


def _of_groups(H, g, C, which):
    """Each group's part of the sums, and its scores."""
    small = np.trace(H, axis1=1, axis2=2) <= SMALL
    ways = [(way, at) for way, at in ((_by_series, small), (_by_eigenvalues, ~small)) if at.any()]
    parts = [way(H[at], g[at], C[at], which) for way, at in ways]
    whole = [np.empty((len(H), *part.shape[1:])) for part in parts[0]]
    for (_, at), part in zip(ways, parts, strict=True):
        for values, some in zip(whole, part, strict=True):
            values[at] = some
    return whole


def _by_series(H, g, C, which):
    """The parts of groups that say little beside all others."""
    adjusted = SERIES[0] * C
    for term in SERIES[1:]:
        adjusted = adjusted @ H + term * C
    score, c = np.einsum("nij,nj->ni", adjusted, g), C[:, which]
    adjusted = adjusted[:, which]
    through = adjusted @ H
    information = ((c @ H) * c).sum(axis=2)
    return score, (adjusted * through).sum(axis=2), (through**2).sum(axis=2), through, information


def _by_eigenvalues(H, g, C, which):
    """The parts of any groups."""
    values, vectors = np.linalg.eigh(H)
    left = 1.0 - values
    root = np.where(left > NULL, 1.0 / np.sqrt(np.where(left > NULL, left, 1.0)), 0.0)
    score = np.einsum("nij,nj->ni", C @ vectors, root * np.einsum("nji,nj->ni", vectors, g))
    turned = C[:, which] @ vectors
    own = (turned**2 * (root**2 * values)[:, None]).sum(axis=2)
    known = (turned**2 * (root * values)[:, None] ** 2).sum(axis=2)
    through = (turned * (root * values)[:, None]) @ vectors.swapaxes(1, 2)
    information = (turned**2 * values[:, None]).sum(axis=2)
    return score, own, known, through, information


def _add(out, of, score, own, known, through, information) -> None:
    """Add a chunk's groups to the sums of their models; models' groups lie together."""
    first, last = int(of[0]), int(of[-1]) + 1
    here, n = slice(first, last), len(of)
    if last - first == 1:
        # Of one model, by matrix products: the outer products of all groups would be many times the data.
        outer = through.transpose(1, 2, 0) @ through.transpose(1, 0, 2)
        squares = [part.sum(axis=0) for part in (own - known, own**2, own * known)]
        for total, part in zip(
            out, [score.T @ score, *squares, outer, information.sum(axis=0), n], strict=True
        ):
            total[first] += part
        return
    sum_up = csr_array((np.ones(n), (of - first, np.arange(n))), shape=(last - first, n))
    outer = through[:, :, :, None] * through[:, :, None, :]
    parts = [score[:, :, None] * score[:, None], own - known, own**2, own * known, outer, information]
    for total, part in zip(out, parts, strict=False):
        total[here] += (sum_up @ part.reshape(n, -1)).reshape(last - first, *part.shape[1:])
    out[-1][here] += np.bincount(of - first, minlength=last - first)
