"""Stacks of small symmetric matrices, some of which may not be positive definite."""

import numpy as np

# A matrix of unit diagonal whose smallest eigenvalue is below this is singular but for rounding.
_SINGULAR = 1e-13


_UNDETERMINED = (
    1e-9  # least eigenvalue of an information matrix with unit diagonal: below it two parameters are one
)


def positive_definite(matrices):
    """Which matrices of a stack (b, m, m) have a Cholesky factor, (b,) bool."""
    found = np.isfinite(matrices).all(axis=(1, 2))
    try:
        np.linalg.cholesky(matrices[found])
    except np.linalg.LinAlgError:
        found[found] = [_has_factor(one) for one in matrices[found]]
    return found


def _has_factor(matrix):
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True


def scaled(matrices):
    """The matrices with unit diagonal, and the roots of their diagonals (1 where it is not positive)."""
    diagonal = np.einsum("bkk->bk", matrices)
    root = np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    return matrices / (root[:, :, None] * root[:, None, :]), root


def solve_positive(matrices, vectors):
    """``matrices^-1 vectors`` (b, m) and which matrices are positive definite; NaN for the others."""
    unit, root = scaled(matrices)
    good = positive_definite(unit - _SINGULAR * np.eye(unit.shape[1]))
    unit[~good] = np.eye(matrices.shape[1])
    found = np.linalg.solve(unit, (vectors / root)[:, :, None])[:, :, 0] / root
    found[~good] = np.nan
    return found, good


def inverse_positive(matrices):
    """Inverses of a stack; NaN where a matrix is not positive definite."""
    unit, root = scaled(matrices)
    good = positive_definite(unit - _SINGULAR * np.eye(unit.shape[1]))
    unit[~good] = np.eye(matrices.shape[1])
    inverse = np.linalg.inv(unit) / (root[:, :, None] * root[:, None, :])
    inverse[~good] = np.nan
    return inverse


def well_determined(information):
    """Whether no combination of parameters (each in units of its own standard error) is without information, (b,) bool."""
    finite = np.isfinite(information).all(axis=(1, 2))
    unit = scaled(np.where(finite[:, None, None], information, 0.0))[0]
    return finite & positive_definite(unit - _UNDETERMINED * np.eye(unit.shape[1]))
