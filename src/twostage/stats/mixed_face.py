"""The cone's face at a singular matrix: the directions that keep its rank, and how the cone bends along them.

A matrix ``T = U U'`` of rank r moves within its rank as ``U -> U + A``: to first order by
``E = U A' + A U'``, to second by ``A A'``. A function D of T with gradient Y at a minimum over the cone
(``Y U = 0``) therefore has second derivative

    D''[E, E] + 2 tr(Y E T^+ E)

along the face. The second term is the bend of the cone; it is absent when T is positive definite and can be
all that makes a boundary minimum a minimum.
"""

from dataclasses import dataclass

import numpy as np

from twostage.stats.mixed_cone import ConePoint, flat_basis, symmetric_basis, to_matrix


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
