"""Covariance structures of linear structural equation models, with exact derivatives, for many parameter vectors."""

from dataclasses import dataclass, field

import numpy as np

STEP = 1e-100  # complex step: no subtraction, so it can be as small as one likes


@dataclass(frozen=True)
class LinearStructure:
    """``Sigma(theta) = L (I - B)^-1 S (I - B)^-T L'``, every parameter standing at fixed places of B or of S.

    Attributes
    ----------
    select : (p, m) array
        L: observed columns from the m variables of the model.
    paths : dict of int to sequence of (int, int)
        Parameter -> places (i, j) in B: the effect of variable j on variable i.
    covariances : dict of int to sequence of (int, int)
        Parameter -> places (i, j), i >= j, in the symmetric S.
    n_parameters : int
        Parameters are numbered 0 .. n_parameters - 1; each occurs in `paths` or in `covariances`.

    Notes
    -----
    All methods take theta of shape (..., K), real or complex.
    """

    select: np.ndarray
    paths: dict
    covariances: dict
    n_parameters: int
    _places: tuple = field(init=False, repr=False, compare=False)
    _owners: tuple = field(init=False, repr=False, compare=False)
    _last: dict = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self):
        missing = set(range(self.n_parameters)) - set(self.paths) - set(self.covariances)
        if missing:
            raise ValueError(f"parameters {sorted(missing)} stand nowhere")
        places = (_flat(self.paths), _flat(self.covariances))
        object.__setattr__(self, "_places", places)
        owners = tuple((at[0][:, None] == np.arange(self.n_parameters)).astype(float) for at in places)
        object.__setattr__(self, "_owners", owners)

    @property
    def curved(self) -> tuple[int, ...]:
        """Parameters in which Sigma is not linear when the others are held."""
        return tuple(sorted(self.paths))

    def sigma(self, theta):
        """Implied covariance matrix, (..., p, p)."""
        return self._parts(theta).X @ self.select.T

    def latent(self, theta):
        """Covariance matrix of the m variables of the model, (..., m, m)."""
        parts = self._parts(theta)
        return parts.E @ parts.S @ np.swapaxes(parts.E, -1, -2)

    def jacobian(self, theta):
        """Derivatives of Sigma in each parameter, (..., K, p, p)."""
        parts = self._parts(theta)
        half = np.zeros((*np.shape(theta), *self.select.shape[:1] * 2), dtype=parts.U.dtype)
        for (k, i, j), other in zip(self._places, (parts.X, parts.U), strict=True):
            weight = np.where(i == j, 0.5, 1.0) if other is parts.U else 1.0
            U, R = parts.U[..., i] * weight, np.swapaxes(other[..., j], -1, -2)
            starts = np.flatnonzero(np.diff(k, prepend=-1))
            for at, end in zip(starts, [*starts[1:], len(k)], strict=True):
                half[..., k[at], :, :] = U[..., at:end] @ R[..., at:end, :]
        return half + np.swapaxes(half, -1, -2)

    def pullback(self, theta, G):
        """Inner products of the derivatives of Sigma with symmetric matrices G (..., p, p): (..., K)."""
        parts = self._parts(theta)
        pulled = np.swapaxes(parts.U, -1, -2) @ G
        D, by_path = pulled @ parts.U, pulled @ parts.X
        (_, i, j), (_, r, c) = self._places
        in_paths, in_covariances = self._owners
        return (2.0 * by_path[..., i, j]) @ in_paths + (
            np.where(r == c, 1.0, 2.0) * D[..., r, c]
        ) @ in_covariances

    def curvature(self, theta, G):
        """Inner products of the second derivatives of Sigma with symmetric matrices G (..., p, p): (..., K, K)."""
        parts = self._parts(theta)
        E, Et, Ut = parts.E, np.swapaxes(parts.E, -1, -2), np.swapaxes(parts.U, -1, -2)
        V, D = E @ parts.S @ Et, Ut @ G @ parts.U
        M = V @ self.select.T @ G @ parts.U
        (_, i, j), (_, r, c) = self._places
        in_paths, in_covariances = self._owners
        chained = E[..., j[:, None], i] * M[..., j, i[:, None]]
        twice = chained + np.swapaxes(chained, -1, -2) + V[..., j[:, None], j] * D[..., i[:, None], i]
        mixed = E[..., j[:, None], r] * D[..., i[:, None], c]
        mixed = mixed + (r != c) * E[..., j[:, None], c] * D[..., i[:, None], r]
        mixed = in_paths.T @ (2.0 * mixed) @ in_covariances
        return in_paths.T @ (2.0 * twice) @ in_paths + mixed + np.swapaxes(mixed, -1, -2)

    def _parts(self, theta):
        theta = np.asarray(theta)
        key = (theta.shape, theta.dtype.char, theta.tobytes())
        parts = self._last.get(
            key
        )  # value, gradient and information ask for the same theta one after the other
        if parts is None:
            parts = self._make_parts(theta)
            self._last.clear()
            self._last[key] = parts
        return parts

    def _make_parts(self, theta):
        m = self.select.shape[1]
        (k, i, j), (l, r, c) = self._places
        B = np.zeros((*theta.shape[:-1], m, m), dtype=theta.dtype)
        S = np.zeros_like(B)
        B[..., i, j] = theta[..., k]
        S[..., r, c] = theta[..., l]
        S[..., c, r] = theta[..., l]
        E = np.linalg.inv(np.eye(m) - B)
        U = self.select @ E
        return _Parts(E, U, S, U @ S @ np.swapaxes(E, -1, -2))


@dataclass(frozen=True)
class _Parts:
    E: np.ndarray
    U: np.ndarray
    S: np.ndarray
    X: np.ndarray


def _flat(places):
    """Parameter, row and column of every place, (3, number of places)."""
    rows = [(k, i, j) for k, at in sorted(places.items()) for i, j in at]
    return np.array(rows, dtype=int).reshape(-1, 3).T


def curvature(structure, theta, G):
    """Inner products of the second derivatives of Sigma with symmetric matrices G: (..., K, K).

    By formula for a :class:`LinearStructure`. Otherwise ``pullback`` is differentiated by complex step in the directions
    in which Sigma is not linear; second derivatives between two other parameters are zero.
    """
    if isinstance(structure, LinearStructure):
        return structure.curvature(theta, G)
    theta = np.asarray(theta, dtype=float)
    curved = list(structure.curved)
    moved = np.repeat(theta[..., None, :], len(curved), axis=-2).astype(complex)
    moved[..., np.arange(len(curved)), curved] += 1j * STEP
    rows = structure.pullback(moved, G[..., None, :, :]).imag / STEP
    out = np.zeros((*theta.shape, theta.shape[-1]))
    out[..., curved, :] = rows
    out[..., :, curved] = np.swapaxes(rows, -1, -2)
    return out
