"""Satterthwaite's degrees of freedom, with the curvature of the cone at a boundary solution."""

import numpy as np

from twostage.stats.mixed_cone import ConePoint, symmetric_basis, to_matrix
from twostage.stats.mixed_criterion import Evaluation

# Curvature eigenvalues below this share of the largest belong to directions the data say nothing about.
FLAT = 1e-11


def satterthwaite(point: ConePoint, at: Evaluation, p: int, contrasts: np.ndarray) -> np.ndarray:
    """Degrees of freedom of linear functions of the fixed effects.

    Parameters
    ----------
    point : ConePoint
        The estimate of T.
    at : Evaluation
        The deviance's derivatives there.
    p : int
        Number of fixed effects.
    contrasts : (c, p) array
        One linear function per row, in the working basis of the fixed effects.

    Returns
    -------
    (c,) array

    Notes
    -----
    ``df = 2 v^2 / (g' A g)`` with v = l'C l, C = sigma2 (X'V^-1 X)^-1, g its gradient in the variance parameters and A
    twice the inverse Hessian of the deviance in them (Fai & Cornelius 1996, doi:10.1080/00949659608811740; Kuznetsova,
    Brockhoff & Christensen 2017, doi:10.18637/jss.v082.i13). The variance parameters are log(sigma2) and the movements
    E of T that keep its rank; for these the deviance's second derivative is

        D''[E, E] + 2 tr(Y E T^+ E),    Y = D' as a matrix:

    the second term is the bend of the cone's boundary, absent when T is positive definite. lmerTest differentiates
    numerically in the Cholesky factor of T, which gives the same number whenever that factor moves over all
    matrices of T's rank.
    """
    moves = _moves(point)
    basis = symmetric_basis(len(at.T)).reshape(len(at.gradient), -1)
    coordinates = moves.reshape(len(moves), basis.shape[1]) @ basis.T
    curvature = _joint_curvature(point, at, p, moves, coordinates)
    half = contrasts @ at.inverse_root[:p, :p].T
    variance = (half**2).sum(axis=1)
    slopes = np.tensordot(coordinates, at.spread[:, :p, :p], 1)
    gradient = np.vstack([variance, np.einsum("ci,kij,cj->kc", half, slopes, half)])
    values, vectors = np.linalg.eigh(curvature)
    kept = values > FLAT * values[-1]
    turned = vectors[:, kept].T @ gradient
    return variance**2 / ((turned**2) / values[kept][:, None]).sum(axis=0)


def _moves(point: ConePoint) -> np.ndarray:
    """A basis of the directions in which T can move without changing rank, (k, q, q)."""
    factor = point.factor
    q, r = factor.shape
    if r == 0:
        return np.empty((0, q, q))
    inside, outside = _split(factor)
    within = inside @ symmetric_basis(r) @ inside.T if r else np.empty((0, q, q))
    across = [np.outer(a, b) + np.outer(b, a) for a in outside.T for b in inside.T]
    return np.concatenate([within, np.reshape(across, (len(across), q, q))])


def _split(factor):
    """Scaled bases of T's range (columns of its factor) and an orthonormal one of its null space."""
    q, r = factor.shape
    full, _ = np.linalg.qr(factor, mode="complete")
    return factor, full[:, r:]


def _joint_curvature(point, at, p, moves, coordinates):
    """Second derivatives of the unprofiled deviance in (log sigma2, moves of T)."""
    fit = coordinates @ at.spread[:, p, p]
    profiled = coordinates @ at.hessian @ coordinates.T + at.nu * np.outer(fit, fit)
    gradient = to_matrix(at.gradient, len(at.T))
    pseudo = np.linalg.pinv(point.factor)
    bend = 2.0 * np.einsum("ij,ajk,kl,bli->ab", gradient, moves, pseudo.T @ pseudo, moves) if len(moves) else 0.0
    curvature = np.empty((len(moves) + 1, len(moves) + 1))
    curvature[0, 0] = at.nu
    curvature[0, 1:] = curvature[1:, 0] = at.nu * fit
    curvature[1:, 1:] = profiled + (bend + bend.T) / 2 if len(moves) else profiled
    return curvature
