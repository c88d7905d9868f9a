"""The profiled (restricted) deviance of a linear mixed model with its exact derivatives in T.

With ``V_i = I + Z_i T Z_i'`` and nu = n - p (REML) or n (ML) (Bates et al. 2015,
doi:10.18637/jss.v067.i01)::

    D(T) = sum log|V_i| + [REML] log|X'V^-1 X| + nu (1 + log(2 pi r2 / nu)),
    r2 = min_b (y - Xb)'V^-1(y - Xb).

Write ``G_i = Z_i'V_i^-1 Z_i``, ``h_i = Z_i'V_i^-1 X R^-1`` with ``R'R = X'V^-1 X`` and
``e_i = Z_i'V_i^-1 (y - X b) / sqrt(r2)``. For symmetric directions E and F::

    D'[E]     = sum tr E (G_i - [REML] h_i h_i' - nu e_i e_i')
    D''[E, F] = sum tr G_i E (2 [REML] h_i h_i' + 2 nu e_i e_i' - G_i) F - [REML] tr P(E)P(F)
                - 2 nu p(E)'p(F) - nu s(E) s(F),

P(E) = sum h_i'E h_i, p(E) = sum h_i'E e_i, s(E) = sum e_i'E e_i. Everything is a sum over groups, so a
group never costs more than a q x q solve, and arrays keep the group axis last so that NumPy works on all
groups at once. (A batch of data sets would add one more leading axis.)
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.linalg.lapack import dpotrf, dtrtri

from twostage.stats.base import NotEstimable


@lru_cache
def symmetric_basis(q: int) -> np.ndarray:
    """Orthonormal basis of the symmetric q x q matrices, (m, q, q) with m = q (q + 1) / 2."""
    rows, cols = np.tril_indices(q)
    basis = np.zeros((len(rows), q, q))
    index = np.arange(len(rows))
    basis[index, rows, cols] = np.where(rows == cols, 1.0, np.sqrt(0.5))
    basis[index, cols, rows] = basis[index, rows, cols]
    basis.flags.writeable = False
    return basis


@lru_cache
def flat_basis(q: int) -> np.ndarray:
    """`symmetric_basis` with each matrix laid out as a row, (m, q q)."""
    return symmetric_basis(q).reshape(-1, q * q)


def to_vector(matrix: np.ndarray) -> np.ndarray:
    """Coordinates of a symmetric matrix in `symmetric_basis`; lengths and inner products are kept."""
    return flat_basis(len(matrix)) @ matrix.ravel()


def to_matrix(vector: np.ndarray, q: int) -> np.ndarray:
    """The symmetric matrix with these coordinates."""
    return (vector @ flat_basis(q)).reshape(q, q)


def congruence(K: np.ndarray) -> np.ndarray:
    """The m x m matrix that takes the coordinates of E to those of K E K'."""
    q = len(K)
    flat = flat_basis(q)
    return flat @ (K @ symmetric_basis(q) @ K.T).reshape(flat.shape).T


@dataclass(frozen=True)
class Evaluation:
    """The criterion and its derivatives at one T.

    Attributes
    ----------
    T : (q, q) array
        Relative covariance of the random effects.
    value : float
        D(T), the deviance.
    sigma2 : float
        r2 / nu.
    nu : int
        n - p (REML) or n (ML).
    gradient : (m,) array
        D' in the coordinates of `symmetric_basis`.
    hessian : (m, m) array
        D''.
    information : (m, m) array
        Expectation of D'' under the model at T.
    scale_share : (m,) array
        Expected change of log(residual variance) for a change of T, sign reversed, in the joint scoring step.
    metric : (q, q) array
        sum G_i / N.
    root : (P, P) array
        Lower Cholesky factor of C'V^-1 C; its last diagonal element is sqrt(r2).
    inverse_root : (P, P) array
        Its inverse.
    spread : (m, P, P) array
        sum [h e]_i' E_a [h e]_i for each basis matrix: P, p and s above side by side.
    """

    T: np.ndarray
    value: float
    sigma2: float
    nu: int
    gradient: np.ndarray
    hessian: np.ndarray
    information: np.ndarray
    scale_share: np.ndarray
    metric: np.ndarray
    root: np.ndarray
    inverse_root: np.ndarray
    spread: np.ndarray


class Criterion:
    """The profiled deviance as a function of T.

    Parameters
    ----------
    sums : callable
        ``sums(T)`` returns `GroupSums`.
    n, p, n_groups : int
        Rows, fixed effects, groups.
    reml : bool
        Restricted likelihood (True) or likelihood (False).
    log_det_design : float
        log of the squared determinant that takes the working fixed effects' basis to the caller's.
    """

    def __init__(self, sums, n: int, p: int, n_groups: int, reml: bool, log_det_design: float = 0.0):
        self.sums = sums
        self.p = p
        self.n_groups = n_groups
        self.reml = reml
        self.nu = n - p if reml else n
        self.log_det_design = log_det_design if reml else 0.0
        self.evaluations = 0

    def __call__(self, T: np.ndarray) -> Evaluation:
        """Evaluate D and its derivatives at T (q, q)."""
        self.evaluations += 1
        sums = self.sums(T)
        p, nu = self.p, self.nu
        root, failed = dpotrf(sums.weighted, lower=True)
        if failed:
            raise NotEstimable(
                "the model reproduces y or a column of X without error: no residual variance is left"
            )
        inverse, _ = dtrtri(root, lower=True)
        sigma2 = root[p, p] ** 2 / nu
        value = sums.log_det + nu * (1.0 + np.log(2 * np.pi * sigma2)) + self.log_det_design
        if self.reml:
            value += 2.0 * np.log(np.diagonal(root)[:p]).sum()
        spread = _spread(sums.outer, inverse)
        derivatives = self._scalar_derivatives if len(T) == 1 else self._derivatives
        parts = derivatives(sums, inverse, spread)
        return Evaluation(
            T, float(value), float(sigma2), nu, *parts, sums.gram / self.n_groups, root, inverse, spread
        )

    def _scalar_derivatives(self, sums, inverse, spread):
        """The same for one random effect, without the bookkeeping of matrices."""
        p, nu = self.p, self.nu
        h, e = inverse[:p], inverse[p]
        fixed, cross, fit = spread[0, :p, :p], spread[0, :p, p], spread[0, p, p]
        log_det, grams = sums.gram[0, 0], sums.gram_pairs[0, 0, 0, 0]
        hessian = 2.0 * nu * (sums.mixed_pairs(np.outer(e, e))[0, 0, 0, 0] - cross @ cross) - nu * fit * fit
        if self.reml:
            log_det -= fixed.trace()
            grams += np.vdot(fixed, fixed) - 2.0 * sums.mixed_pairs(h.T @ h)[0, 0, 0, 0]
        expected = grams - log_det * log_det / nu
        one = np.array([log_det - nu * fit, hessian - grams, expected, log_det / nu])
        return one[:1], one[1:2, None], one[2:3, None], one[3:]

    def _derivatives(self, sums, inverse, spread):
        """Gradient, Hessian, information and the scale's share, in basis coordinates."""
        p, nu = self.p, self.nu
        h, e = inverse[:p], inverse[p:]
        fixed, cross, fit = spread[:, :p, :p], spread[:, :p, p], spread[:, p, p]
        log_det = to_vector(sums.gram)
        grams = _in_basis(sums.gram_pairs)
        hessian = 2.0 * nu * _in_basis(sums.mixed_pairs(e.T @ e)) - grams
        if self.reml:
            log_det -= np.trace(fixed, axis1=1, axis2=2)
            flat = fixed.reshape(len(fit), -1)
            shared = 2.0 * _in_basis(sums.mixed_pairs(h.T @ h)) - flat @ flat.T
            hessian += shared
            grams = grams - shared
        hessian -= 2.0 * nu * cross @ cross.T + nu * fit[:, None] * fit
        expected = grams - log_det[:, None] * log_det / nu
        return log_det - nu * fit, hessian, expected, log_det / nu


def _spread(outer, inverse):
    """sum [h e]'E[h e] over groups, for each basis matrix E."""
    q, P = outer.shape[:2]
    raw = flat_basis(q) @ outer.transpose(0, 2, 1, 3).reshape(q * q, P * P)
    return inverse @ raw.reshape(-1, P, P) @ inverse.T


def _in_basis(pairs):
    """tr(A E_a B E_b) summed, from sum A (x) B; symmetric part."""
    q = len(pairs)
    if q == 1:
        return pairs[0, 0]
    flat = flat_basis(q)
    table = flat @ pairs.transpose(1, 2, 3, 0).reshape(q * q, q * q) @ flat.T
    return 0.5 * (table + table.T)
