"""The restricted deviance of all studies together, with exact derivatives.

Study s has its own coefficients but for the slopes with random effects, ``b_s ~ N(beta, Sigma)``. Its rows enter through
its own restricted deviance f_s and its own slopes (:mod:`twostage.stats.onestage.pieces`), without approximation: the
study's likelihood is a normal density of its slopes with covariance S_s times ``exp(-f_s / 2)``, and the integral over
``b_s`` and, for the restricted likelihood, over beta is that of a multivariate meta-analysis. With ``T_s = Sigma + S_s``::

    D = sum f_s + sum log|T_s| + sum (b_s - beta)'T_s^-1 (b_s - beta) + log|H| + q (k - 1) log 2 pi,   H = sum T_s^-1.

A two-stage analysis minimises the f_s first and the rest afterwards; the one-stage model minimises their sum.

log|H| and beta couple all studies. Since ``log|H| = min_K tr(K H) - log|K| - q``, the deviance is the minimum over beta
and K of sums of one study's terms, ``h_s = f_s + log|T_s| + tr T_s^-1 (K + e_s e_s')`` with ``e_s = b_s - beta``, and
Newton's method needs one small block per study and a border (:mod:`twostage.stats.onestage.search`).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from twostage.stats.onestage.pieces import Own, Pieces, own


@lru_cache
def lower_entries(q: int) -> np.ndarray:
    """One matrix per entry of a lower triangle, 1 there; (q (q + 1) / 2, q, q)."""
    rows, cols = np.tril_indices(q)
    E = np.zeros((len(rows), q, q))
    E[np.arange(len(rows)), rows, cols] = 1.0
    E.flags.writeable = False
    return E


@dataclass(frozen=True, eq=False)
class State:
    """The deviance at one point.

    Attributes
    ----------
    l, t : (k,) arrays
        Log residual variances and relative intercept variances.
    L : (q, q) array
        Lower triangular, Sigma = L L'.
    own : Own
    W : (k, q, q) array
        T_s^-1.
    beta, K : (q,), (q, q) arrays
        The mean slopes and H^-1.
    value : float
    """

    l: np.ndarray
    t: np.ndarray
    L: np.ndarray
    own: Own
    W: np.ndarray
    beta: np.ndarray
    K: np.ndarray
    value: float

    @property
    def apart(self) -> np.ndarray:
        """e_s, (k, q)."""
        return self.own.slope - self.beta

    def by_sigma(self) -> np.ndarray:
        """Derivative of D by Sigma, (q, q): at the minimum it leads nowhere downward."""
        e = self.apart
        R = self.K + np.einsum("ki,kj->kij", e, e)
        return (self.W - self.W @ R @ self.W).sum(axis=0)


def evaluate(pieces: Pieces, l: np.ndarray, t: np.ndarray, L: np.ndarray) -> State:
    """The deviance at a point."""
    part = own(pieces, l, t)
    k, q = part.slope.shape
    T = L @ L.T + part.cov
    W = np.linalg.inv(T)
    W = 0.5 * (W + W.transpose(0, 2, 1))
    H = W.sum(axis=0)
    K = np.linalg.inv(H)
    beta = K @ np.einsum("kij,kj->i", W, part.slope)
    e = part.slope - beta
    value = part.value.sum() + np.linalg.slogdet(T)[1].sum() + np.linalg.slogdet(H)[1]
    value += np.einsum("ki,kij,kj->", e, W, e) + q * (k - 1) * np.log(2.0 * np.pi)
    return State(l, t, L, part, W, beta, K, float(value))


@dataclass(frozen=True, eq=False)
class Derivatives:
    """First and second derivatives of the studies' terms h_s.

    Attributes
    ----------
    gradient, hessian : (k, m), (k, m, m) arrays
        By (l, t, L's lower triangle, beta, K's lower triangle); the term -log|K| is not in them.
    coupling : (m, m) array
        Second derivatives of -log|K|.
    """

    gradient: np.ndarray
    hessian: np.ndarray
    coupling: np.ndarray


@dataclass(frozen=True, eq=False)
class _Directions:
    """First and second derivatives of T_s (`T1`, `T2`) and of K + e_s e_s' (`R1`, `R2`) along all variables.

    Shapes (k, m, q, q) and (k, m, m, q, q); `at_k` are K's places among the m, `basis` its directions.
    """

    T1: np.ndarray
    T2: np.ndarray
    R1: np.ndarray
    R2: np.ndarray
    at_k: slice
    basis: np.ndarray


def _directions(state: State) -> _Directions:
    part, e = state.own, state.apart
    (k, q), E = part.slope.shape, lower_entries(state.L.shape[0])
    r = len(E)
    m = 2 + 2 * r + q
    at_l, at_b, at_k = slice(2, 2 + r), slice(2 + r, 2 + r + q), slice(2 + r + q, m)
    T1, T2, R1, R2 = (np.zeros((k, *shape, q, q)) for shape in ((m,), (m, m), (m,), (m, m)))
    T1[:, :2], T2[:, :2, :2] = part.cov1, part.cov2
    T1[:, at_l] = E @ state.L.T + state.L @ E.transpose(0, 2, 1)
    T2[:, at_l, at_l] = np.einsum("aij,blj->abil", E, E) + np.einsum("bij,alj->abil", E, E)
    unit = np.broadcast_to(np.eye(q), (k, q, q))
    R1[:, 1], R1[:, at_b] = _pair(part.slope1, e), -_pair(unit, e[:, None])
    R1[:, at_k] = basis = 0.5 * (E + E.transpose(0, 2, 1))
    R2[:, 1, 1] = _pair(part.slope2, e) + _pair(part.slope1, part.slope1)
    R2[:, 1, at_b] = R2[:, at_b, 1] = -_pair(unit, part.slope1[:, None])
    R2[:, at_b, at_b] = _pair(np.eye(q)[:, None], np.eye(q)[None])
    return _Directions(T1, T2, R1, R2, at_k, basis)


def derivatives(state: State) -> Derivatives:
    """The derivatives at a point.

    With ``A = W - W R W``, R = K + e e', a term's first derivative is ``tr A T_a + tr W R_a`` and its second::

        tr A T_ab + tr W R_ab - tr W T_a W T_b + 2 tr W T_b W T_a W R - tr W R_a W T_b - tr W T_a W R_b
    """
    d, W, e = _directions(state), state.W, state.apart
    k, m, q, _ = d.T1.shape
    R = state.K + np.einsum("ki,kj->kij", e, e)
    A, WR = W - W @ R @ W, W @ R
    WT, W1 = W[:, None] @ d.T1, W[:, None] @ d.R1
    gradient = np.einsum("kij,kaji->ka", A, d.T1) + np.einsum("kaii->ka", W1)
    gradient[:, :2] += state.own.gradient
    flat = WT.reshape(k, m, q * q)
    turned = WT.transpose(0, 1, 3, 2).reshape(k, m, q * q).swapaxes(1, 2)
    thrice = (WR[:, None] @ WT).transpose(0, 1, 3, 2).reshape(k, m, q * q).swapaxes(1, 2)
    mixed = W1.reshape(k, m, q * q) @ turned
    hessian = np.einsum("kij,kabji->kab", A, d.T2) + np.einsum("kij,kabji->kab", W, d.R2)
    hessian += flat @ (2.0 * thrice - turned) - mixed - mixed.swapaxes(1, 2)
    hessian[:, :2, :2] += state.own.hessian
    coupling = np.zeros((m, m))
    of_k = np.linalg.inv(state.K) @ d.basis
    coupling[d.at_k, d.at_k] = np.einsum("aij,bji->ab", of_k, of_k)
    return Derivatives(gradient, hessian, coupling)


def _pair(a, b):
    """a b' + b a' of vectors along the last axis."""
    outer = np.einsum("...i,...j->...ij", a, b)
    return outer + np.swapaxes(outer, -1, -2)
