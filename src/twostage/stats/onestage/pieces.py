"""Each study's own restricted likelihood and slopes as functions of its two variances, with derivatives.

With the residual variance ``exp(l)``, the random intercept's variance over it ``t``, and ``A(t) = C'(I + t Z Z')^-1 C`` of
C = [X y] (a sum over cells, see :mod:`twostage.stats.onestage.sums`), the study's own restricted deviance is::

    f(l, t) = sum log(1 + n_i t) + log|A_XX| + (n - p) (l + log 2 pi) + r(t) exp(-l),   r = y'y - y'X c in A,

its coefficients are ``c(t) = A_XX^-1 A_Xy`` and the slopes among them have the covariance ``S = exp(l) (A_XX^-1)_slopes``.
All studies are computed at once, their axis first.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from twostage.stats.base import NotEstimable
from twostage.stats.onestage.sums import StudySums


@dataclass(frozen=True, eq=False)
class Pieces:
    """The sums of k studies side by side; cells that a study does not have count no patients.

    Attributes
    ----------
    size, count : (k, c) arrays
    table : (k, c, P, P) array
        Cells' cross-products of [1 predictors y], the q slopes with random effects last among the predictors.
    within : (k, P, P) array
    q : int
    """

    size: np.ndarray
    count: np.ndarray
    table: np.ndarray
    within: np.ndarray
    q: int

    @classmethod
    def of(cls, studies: list[StudySums], q: int) -> "Pieces":
        """Of studies with the same columns in the same order."""
        k, most = len(studies), max(len(s.size) for s in studies)
        P = len(studies[0].names) + 1
        size, count = np.ones((k, most)), np.zeros((k, most))
        table, within = np.zeros((k, most, P, P)), np.zeros((k, P, P))
        for at, s in enumerate(studies):
            c = len(s.size)
            size[at, :c], count[at, :c], table[at, :c] = s.size, s.count, s.table()
            within[at, 1:, 1:] = s.within
        return cls(size, count, table, within, q)

    @cached_property
    def n(self) -> np.ndarray:
        """Rows of each study, (k,)."""
        return (self.size * self.count).sum(axis=1)

    @property
    def p(self) -> int:
        """Coefficients of each study."""
        return self.within.shape[1] - 1

    def products(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A and its first two derivatives at t (k,)."""
        g = 1.0 / (1.0 + self.size * t[:, None])
        weights = np.array([g, -self.size * g**2, 2.0 * self.size**2 * g**3])
        zero, one, two = np.einsum("wkc,kcij->wkij", weights, self.table)
        return self.within + zero, one, two

    def profile(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """log of determinants, and the residual sum of squares r, at t (k,): what a first look needs."""
        A = self.products(t)[0]
        coef = np.linalg.solve(A[:, :-1, :-1], A[:, :-1, -1:])[..., 0]
        r = A[:, -1, -1] - np.einsum("ki,ki->k", A[:, :-1, -1], coef)
        log_det = (self.count * np.log1p(self.size * t[:, None])).sum(axis=1)
        return log_det + np.linalg.slogdet(A[:, :-1, :-1])[1], r


@dataclass(frozen=True, eq=False)
class Own:
    """What each study says by itself at given variances; derivatives by (l, t).

    Attributes
    ----------
    value, gradient, hessian : (k,), (k, 2), (k, 2, 2) arrays
        Of f.
    slope, slope1, slope2 : (k, q) arrays
        The slopes and their derivatives by t; they do not depend on l.
    cov, cov1, cov2 : (k, q, q), (k, 2, q, q), (k, 2, 2, q, q) arrays
        S.
    """

    value: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray
    slope: np.ndarray
    slope1: np.ndarray
    slope2: np.ndarray
    cov: np.ndarray
    cov1: np.ndarray
    cov2: np.ndarray


def own(pieces: Pieces, l: np.ndarray, t: np.ndarray) -> Own:
    """Each study's own part at l and t, (k,) each.

    Raises
    ------
    NotEstimable
        No residual is left.
    """
    A, A1, A2 = pieces.products(t)
    P = np.linalg.inv(A[:, :-1, :-1])
    coef = np.einsum("kij,kj->ki", P, A[:, :-1, -1])
    turn = np.concatenate([-coef, np.ones((len(coef), 1))], axis=1)
    rest1, rest2 = (np.einsum("kij,kj->ki", B, turn) for B in (A1, A2))
    coef1 = np.einsum("kij,kj->ki", P, rest1[:, :-1])
    X1, X2 = A1[:, :-1, :-1], A2[:, :-1, :-1]
    coef2 = np.einsum("kij,kj->ki", P, rest2[:, :-1] - 2.0 * np.einsum("kij,kj->ki", X1, coef1))
    r = np.einsum("ki,kij,kj->k", turn, A, turn)
    r1 = np.einsum("ki,ki->k", turn, rest1)
    r2 = np.einsum("ki,ki->k", turn, rest2) - 2.0 * np.einsum("ki,ki->k", coef1, rest1[:, :-1])
    if not (r > 0).all():
        raise NotEstimable("the model reproduces the outcome of a study without error")
    PX1 = P @ X1
    log_det = np.linalg.slogdet(A[:, :-1, :-1])[1]
    log_det1 = np.einsum("kii->k", PX1)
    log_det2 = np.einsum("kij,kji->k", P, X2) - np.einsum("kij,kji->k", PX1, PX1)
    value, gradient, hessian = _deviance(pieces, l, t, (log_det, log_det1, log_det2), (r, r1, r2))
    slopes, sigma2 = slice(pieces.p - pieces.q, pieces.p), np.exp(l)[:, None, None]
    parts = (P, -PX1 @ P, 2.0 * PX1 @ PX1 @ P - P @ X2 @ P)
    S, S1, S2 = (sigma2 * M[:, slopes, slopes] for M in parts)
    cov2 = np.stack([np.stack([S, S1], axis=1), np.stack([S1, S2], axis=1)], axis=1)
    b, b1, b2 = (c[:, slopes] for c in (coef, coef1, coef2))
    return Own(value, gradient, hessian, b, b1, b2, S, np.stack([S, S1], axis=1), cov2)


def _deviance(pieces: Pieces, l, t, log_det, r) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """f and its derivatives by (l, t), from log|A_XX| and r and theirs by t."""
    g = pieces.size / (1.0 + pieces.size * t[:, None])
    nu, scale = pieces.n - pieces.p, np.exp(-l)
    of_rows = (pieces.count * np.log1p(pieces.size * t[:, None])).sum(axis=1)
    value = of_rows + log_det[0] + nu * (l + np.log(2.0 * np.pi)) + r[0] * scale
    by_t = (pieces.count * g).sum(axis=1) + log_det[1] + r[1] * scale
    by_tt = -(pieces.count * g**2).sum(axis=1) + log_det[2] + r[2] * scale
    hessian = np.empty((len(l), 2, 2))
    hessian[:, 0, 0], hessian[:, 1, 1] = r[0] * scale, by_tt
    hessian[:, 0, 1] = hessian[:, 1, 0] = -r[1] * scale
    return value, np.stack([nu - r[0] * scale, by_t], axis=1), hessian
