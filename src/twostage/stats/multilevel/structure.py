"""Covariance structures: from the parameters searched over to the entries of the covariance matrix.

The marginal covariance is linear in its entries g: ``M(g) = V + sum_c g_c K_c`` with known K_c. A structure
writes its entries as a smooth function of parameters with simple bounds, so that every boundary (a variance of
0, a correlation of 1 or -1) is an ordinary point, and gives first and second derivatives.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

# A search in T that starts on the cone's edge would stay there: on the edge the slope in T is 0.
OFF_EDGE = 1e-6


@dataclass(frozen=True)
class Linear:
    """Entries ``g = A theta + b`` with bounds on theta.

    Attributes
    ----------
    A : ndarray, shape (c, r)
    lower, upper : ndarray, shape (r,)
    b : ndarray, shape (c,)
    """

    A: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    b: np.ndarray

    def expand(self, theta):
        """Entries (c,), Jacobian (c, r) and second derivatives (c, r, r)."""
        c, r = self.A.shape
        return self.A @ theta + self.b, self.A, np.zeros((c, r, r))

    def encode(self, g):
        """The parameters of these entries, or of entries close by."""
        theta = np.linalg.lstsq(self.A, g - self.b, rcond=None)[0]
        return np.clip(theta, self.lower, self.upper)


@dataclass(frozen=True)
class Scaled:
    """Standard deviations and one correlation: ``g_jj = s_j^2``, ``g_jk = rho s_j s_k`` (HCS).

    Attributes
    ----------
    pairs : ndarray of int, shape (c, 2)
        Row and column of each entry.
    lower, upper : ndarray, shape (q + 1,)
        Bounds of ``(s_1, ..., s_q, rho)``.
    """

    pairs: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def expand(self, theta):
        """Entries (c,), Jacobian (c, r) and second derivatives (c, r, r)."""
        c, r = len(self.pairs), len(theta)
        g, J, H = np.zeros(c), np.zeros((c, r)), np.zeros((c, r, r))
        rho, last = theta[-1], r - 1
        for e, (j, k) in enumerate(self.pairs):
            if j == k:
                g[e], J[e, j], H[e, j, j] = theta[j] ** 2, 2.0 * theta[j], 2.0
                continue
            g[e] = rho * theta[j] * theta[k]
            J[e, [j, k, last]] = rho * theta[k], rho * theta[j], theta[j] * theta[k]
            for a, b, value in ((j, k, rho), (j, last, theta[k]), (k, last, theta[j])):
                H[e, a, b] = H[e, b, a] = value
        return g, J, H

    def encode(self, g):
        """The parameters of these entries, or of entries close by."""
        G = square(g, self.pairs)
        s = np.sqrt(np.diag(G))
        rho = [G[j, k] / (s[j] * s[k]) for j, k in self.pairs if j != k and s[j] * s[k] > 0.0]
        return np.clip(np.append(s, np.mean(rho) if rho else 0.0), self.lower, self.upper)


@dataclass(frozen=True)
class Factored:
    """Entries of ``G = T T'``, T linear in the parameters (UN): every positive semidefinite G, singular or not.

    Attributes
    ----------
    pairs : ndarray of int, shape (c, 2)
    T0 : ndarray, shape (q, q)
    E : ndarray, shape (r, q, q)
        ``T = T0 + sum_i theta_i E_i``.
    lower, upper : ndarray, shape (r,)
    order : tuple of int
        Levels in the order in which T is lower triangular.
    held : dict
        What is fixed of the first levels in this order, as given to :func:`unstructured`.
    """

    pairs: np.ndarray
    T0: np.ndarray
    E: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    order: tuple[int, ...]
    held: dict[str, float]

    def expand(self, theta):
        """Entries (c,), Jacobian (c, r) and second derivatives (c, r, r)."""
        row, column = self.pairs.T
        T = self.T0 + np.einsum("i,iab->ab", theta, self.E)
        first = np.einsum("iam,bm->iab", self.E, T)
        second = np.einsum("iam,jbm->ijab", self.E, self.E)
        first = first + first.transpose(0, 2, 1)
        second = second + second.transpose(0, 1, 3, 2)
        return (T @ T.T)[row, column], first[:, row, column].T, np.moveaxis(second[:, :, row, column], 2, 0)

    def encode(self, g):
        """The parameters of these entries, or of entries close by."""
        G = square(g, self.pairs)
        order = list(self.order)
        s = np.sqrt(np.maximum(np.diag(G)[order], OFF_EDGE * max(G.max(), np.finfo(float).tiny)))
        R = G[np.ix_(order, order)] / np.outer(s, s)
        if "rho" in self.held:  # another correlation's factor has no part along the one that is held
            R[0, 1] = R[1, 0] = self.held["rho"]
        values, vectors = np.linalg.eigh(R)
        root = s[:, None] * vectors * np.sqrt(np.maximum(values, OFF_EDGE))
        L = np.linalg.qr(root.T, mode="r").T
        L = L * np.where(np.diag(L) < 0.0, -1.0, 1.0)
        T = np.empty_like(L)
        T[order] = L
        flat = self.E.reshape(len(self.E), -1)
        theta = np.linalg.lstsq(flat.T, (T - self.T0).ravel(), rcond=None)[0]
        return np.clip(theta, self.lower, self.upper)

    def pivoted(self, g):
        """The same structure with the levels ordered anew: next comes the one least explained by those before.

        A level that those before it explain leaves the later columns of T almost free to turn, a curved ridge
        that Newton's method follows slowly; at the end of the order it turns nothing.
        """
        G = square(g, self.pairs)
        s = np.sqrt(np.maximum(np.diag(G), np.finfo(float).tiny))
        rest = G / np.outer(s, s)
        order = list(self.order[: {"tau2": 1, "rho": 2}.get(next(iter(self.held), ""), 0)])
        for step in range(len(G)):
            if step == len(order):
                order.append(max(set(range(len(G))) - set(order), key=lambda j: rest[j, j]))
            j = order[step]
            if rest[j, j] > OFF_EDGE:
                rest = rest - np.outer(rest[j], rest[j]) / rest[j, j]
        return unstructured(len(G), order, **self.held)


def square(g, pairs):
    """The symmetric matrix of these entries."""
    q = pairs.max() + 1
    G = np.zeros((q, q))
    G[pairs[:, 0], pairs[:, 1]] = G[pairs[:, 1], pairs[:, 0]] = g
    return G


def level_pairs(q):
    """The q variances, then the q (q - 1) / 2 covariances, each as (row, column)."""
    return np.array([(j, j) for j in range(q)] + list(combinations(range(q), 2)), dtype=int)


def independent(c):
    """c variances, each at least 0."""
    return Linear(np.eye(c), np.zeros(c), np.full(c, np.inf), np.zeros(c))


def compound(together):
    """CS: entries (variance, covariance), parameters the two eigenvalues of a group of `together` levels.

    ``tau2 (1 - rho)`` and ``tau2 (1 + (together - 1) rho)`` are both at least 0: the largest group's covariance
    matrix is positive semidefinite.
    """
    A = np.array([[1.0 - 1.0 / together, 1.0 / together], [-1.0 / together, 1.0 / together]])
    return Linear(A, np.zeros(2), np.full(2, np.inf), np.zeros(2))


def compound_with(together, *, tau2=None, rho=None):
    """CS with the variance fixed (parameter: rho) or the correlation fixed (parameter: tau2)."""
    low = -1.0 / (together - 1.0)
    if rho is None:
        return Linear(np.array([[0.0], [tau2]]), np.array([low]), np.ones(1), np.array([tau2, 0.0]))
    return Linear(np.array([[1.0], [rho]]), np.zeros(1), np.array([np.inf]), np.zeros(2))


def heteroscedastic(q, together):
    """HCS: q standard deviations of at least 0, one correlation between ``-1 / (together - 1)`` and 1."""
    lower = np.append(np.zeros(q), -1.0 / (together - 1.0))
    return Scaled(level_pairs(q), lower, np.append(np.full(q, np.inf), 1.0))


def unstructured(q, order=None, *, tau2=None, rho=None):
    """UN: ``G = T T'``, T lower triangular with the levels in `order`.

    Parameters
    ----------
    q : int
    order : sequence of int, optional
    tau2 : float, optional
        Variance of the first level in `order`, fixed.
    rho : float, optional
        Correlation of the first two levels in `order`, fixed.
    """
    order = list(range(q)) if order is None else list(order)
    T0, E, lower = np.zeros((q, q)), [], []
    cells = [(i, j) for i in range(q) for j in range(i + 1)]
    if tau2 is not None:
        T0[order[0], 0] = np.sqrt(tau2)
        cells.remove((0, 0))
    if rho is not None:
        cells.remove((1, 1))
    for i, j in cells:
        unit = np.zeros((q, q))
        unit[order[i], j] = 1.0
        fixed = rho is not None and i < 2  # a standard deviation: its sign would turn the correlation's
        if fixed and i == 1:
            unit[order[1], :2] = rho, np.sqrt(1.0 - rho**2)
        E.append(unit)
        lower.append(0.0 if fixed else -np.inf)
    E, lower = np.array(E).reshape(-1, q, q), np.array(lower)
    held = {name: value for name, value in (("tau2", tau2), ("rho", rho)) if value is not None}
    return Factored(level_pairs(q), T0, E, lower, np.full(len(lower), np.inf), tuple(order), held)
