"""Symmetric matrices as vectors, and a quadratic minimised over the positive semidefinite cone."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class Face:
    """Directions along the face at a point.

    Attributes
    ----------
    moves : (k, q, q) array
        A basis of the directions E.
    factors : (k, q, r) array
        The A of each.
    coordinates : (k, m) array
        `moves` in the coordinates of `symmetric_basis`.
    """

    moves: np.ndarray
    factors: np.ndarray
    coordinates: np.ndarray

    def hessian(self, gradient: np.ndarray, hessian: np.ndarray) -> np.ndarray:
        """Second derivatives along the face (k, k) from the gradient (m,) and Hessian (m, m) in T."""
        flat = self.coordinates @ hessian @ self.coordinates.T
        if self.factors.shape[1] == self.factors.shape[2] or not len(flat):
            return flat
        Y = to_matrix(gradient, self.moves.shape[1])
        bend = 2.0 * np.einsum("aji,jk,bki->ab", self.factors, Y, self.factors)
        return flat + 0.5 * (bend + bend.T)


@dataclass(frozen=True)
class ConePoint:
    """A positive semidefinite matrix known by its factor.

    Attributes
    ----------
    matrix : (q, q) array
    factor : (q, r) array
        `matrix` = factor @ factor.T, r its rank: exact zeros are left out, not approximated.
    """

    matrix: np.ndarray
    factor: np.ndarray

    @property
    def rank(self) -> int:
        """Rank of `matrix`."""
        return self.factor.shape[1]

    @property
    def least(self) -> float:
        """Square root of the smallest eigenvalue of `matrix`."""
        q, r = self.factor.shape
        if r < q:
            return 0.0
        return float(self.factor[0, 0] if q == 1 else np.linalg.svd(self.factor, compute_uv=False)[-1])

    def scaled(self, by: float) -> "ConePoint":
        """The point times a positive number."""
        return ConePoint(self.matrix * by, self.factor * np.sqrt(by))


def face_at(point: ConePoint) -> Face:
    """The face of the cone at a point of rank r: k = r (r + 1) / 2 + r (q - r) directions."""
    U = point.factor
    q, r = U.shape
    if r == 0:
        return Face(np.empty((0, q, q)), np.empty((0, q, 0)), np.empty((0, q * (q + 1) // 2)))
    factors = 0.5 * (U @ symmetric_basis(r))
    if r < q:
        outside = np.linalg.qr(U, mode="complete")[0][:, r:]
        scale = np.sqrt(np.trace(point.matrix) / r)
        across = scale * np.einsum("ia,bj->abij", outside, np.eye(r)).reshape(-1, q, r)
        factors = np.concatenate([factors, across])
    half = factors @ U.T
    moves = half + half.transpose(0, 2, 1)
    return Face(moves, factors, moves.reshape(len(moves), -1) @ flat_basis(q).T)


def move_along(point: ConePoint, face: Face, amounts: np.ndarray) -> ConePoint:
    """The point U + sum of amounts times A, of the same rank."""
    factor = point.factor + np.tensordot(amounts, face.factors, 1)
    return ConePoint(factor @ factor.T, factor)


# The quadratic is solved when a further step would move the matrix by less than this, relative to its size.
STEP_TOLERANCE = 1e-12


# Below this gap Newton's steps are taken whole: they converge quadratically and the envelope is all rounding.
LOCAL = 1e-5


# Semismooth Newton needs three to eight steps; a hundred means it is cycling at the rounding level.
MAX_STEPS = 100


# Armijo's constant of the line search on the forward-backward envelope.
SUFFICIENT = 1e-4


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


def minimise_quadratic(centre, gradient, curvature, metric) -> ConePoint:
    """Minimise ``g'(x - c) + (x - c)'H(x - c) / 2`` over positive semidefinite matrices x.

    Parameters
    ----------
    centre : (q, q) array
        c, positive semidefinite.
    gradient : (m,) array
        g, in the coordinates of `symmetric_basis`.
    curvature : (m, m) array
        H, positive definite.
    metric : (q, q) array
        Positive definite; the problem is solved for K x K' with K'K = metric, where H is nearly round.

    Returns
    -------
    ConePoint
        The unique minimiser.

    Notes
    -----
    Solves x = P(x - t (g + H(x - c))), P the projection that drops negative eigenvalues, by semismooth
    Newton steps made globally convergent by a line search on the forward-backward envelope (Stella,
    Themelis & Patrinos 2017, doi:10.1007/s10589-017-9912-y). The projection leaves eigenvalues that are
    exactly zero.
    """
    if len(gradient) == 1:
        value = max(0.0, float(centre[0, 0] - gradient[0] / curvature[0, 0]))
        return ConePoint(np.array([[value]]), np.array([[value**0.5]])[:, : int(value > 0)])
    q = len(centre)
    K = np.linalg.cholesky(metric).T
    back = np.linalg.inv(K)
    to_old = congruence(back)
    H = to_old.T @ curvature @ to_old
    g = to_old.T @ gradient
    c = to_vector(K @ centre @ K.T)
    free = c - np.linalg.solve(H, g)
    values, vectors = np.linalg.eigh(to_matrix(free, q))
    if values[0] <= 0:
        values, vectors = _semismooth_newton(c, g, H, q, _Projection(free, q).vector)
    kept = values > 0
    factor = back @ (vectors[:, kept] * np.sqrt(values[kept]))
    return ConePoint(factor @ factor.T, factor)


class _Projection:
    """Nearest positive semidefinite matrix, with its generalized derivative."""

    def __init__(self, point: np.ndarray, q: int):
        self.values, self.vectors = np.linalg.eigh(to_matrix(point, q))
        self.positive = np.maximum(self.values, 0.0)
        self.vector = to_vector((self.vectors * self.positive) @ self.vectors.T)

    def derivative(self) -> np.ndarray:
        """An element of the generalized Jacobian, (m, m)."""
        q = len(self.values)
        size = np.abs(self.values)
        total = size[:, None] + size
        share = np.divide(
            self.positive[:, None] + self.positive, total, out=np.zeros((q, q)), where=total > 0
        )
        turn = congruence(self.vectors)
        rows, cols = np.tril_indices(q)
        return turn @ (share[rows, cols][:, None] * turn.T)


def _semismooth_newton(c, g, H, q, start):
    """Eigenvalues and vectors whose positive part is the minimiser."""
    step = 0.95 / np.linalg.eigvalsh(H)[-1]
    shrink = np.eye(len(c)) - step * H
    identity = np.eye(len(c))

    def envelope(x):
        """Value of the forward-backward envelope at x, the projection it needs and how far that is from x."""
        move = H @ (x - c)
        slope = g + move
        forward = _Projection(x - step * slope, q)
        gap = forward.vector - x
        value = (g + 0.5 * move) @ (x - c) + slope @ gap + gap @ gap / (2 * step)
        return value, forward, gap

    x = start
    value, forward, gap = envelope(x)
    for _ in range(MAX_STEPS):
        if np.linalg.norm(gap) <= STEP_TOLERANCE * (1.0 + np.linalg.norm(x)):
            break
        direction = np.linalg.solve(identity - forward.derivative() @ shrink, gap)
        slope = -(shrink @ gap) @ direction / step
        length = 1.0
        trial = envelope(x + direction)
        far = np.linalg.norm(gap) > LOCAL
        while far and length > 1e-10 and trial[0] > value + SUFFICIENT * length * slope:
            length /= 2
            trial = envelope(x + length * direction)
        x = x + length * direction
        value, forward, gap = trial
    return forward.values, forward.vectors
