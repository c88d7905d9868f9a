"""Satterthwaite's degrees of freedom, with the curvature of the cone at a boundary solution."""

import numpy as np

from twostage.stats.mixed_cone import ConePoint
from twostage.stats.mixed_criterion import Evaluation
from twostage.stats.mixed_face import Face, face_at

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
    ``df = 2 v^2 / (g' A g)`` with v = l'C l, C = sigma2 (X'V^-1 X)^-1, g its gradient in the variance
    parameters and A twice the inverse Hessian of the deviance in them (Fai & Cornelius 1996,
    doi:10.1080/00949659608811740; Kuznetsova, Brockhoff & Christensen 2017, doi:10.18637/jss.v082.i13).
    The variance parameters are log(sigma2) and the movements E of T that keep its rank, with the bend
    of the cone's boundary (`mixed_face`). lmerTest differentiates numerically in the Cholesky factor of
    T, which gives the same number whenever that factor moves over all matrices of T's rank.
    """
    face = face_at(point)
    curvature = _joint_curvature(face, at, p)
    half = contrasts @ at.inverse_root[:p, :p].T
    variance = (half**2).sum(axis=1)
    along = np.einsum("ci,aij,cj->ac", half, at.spread[:, :p, :p], half)
    gradient = np.concatenate([variance[None], face.coordinates @ along])
    values, vectors = np.linalg.eigh(curvature)
    kept = values > FLAT * values[-1]
    turned = vectors[:, kept].T @ gradient
    return variance**2 / ((turned**2) / values[kept][:, None]).sum(axis=0)


def _joint_curvature(face: Face, at: Evaluation, p: int) -> np.ndarray:
    """Second derivatives of the unprofiled deviance in (log sigma2, moves of T)."""
    fit = face.coordinates @ at.spread[:, p, p]
    curvature = np.empty((len(fit) + 1, len(fit) + 1))
    curvature[0, 0] = at.nu
    curvature[0, 1:] = curvature[1:, 0] = at.nu * fit
    curvature[1:, 1:] = face.hessian(at.gradient, at.hessian) + at.nu * np.outer(fit, fit)
    return curvature
