"""Fixed effects that depend on each other: found and named; those that nearly do: made orthogonal."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from twostage.stats.errors import NotEstimable
from twostage.stats.mixed_design import Design, WorkingBasis

# Cross-products lose twice the digits the columns themselves would. A column that keeps less than this
# share of its length beyond the others is therefore looked at again by an orthogonal factorisation of the
# data.
NEAR = 1e-2

# R's own tolerance for a column that depends on earlier ones (`lm`, `lme4`).
DEPENDENT = 1e-7


@dataclass(frozen=True)
class Orthogonal:
    """A well-conditioned stand-in for nearly collinear fixed effects.

    Attributes
    ----------
    design : Design
        X replaced by an orthonormal basis, y by its least-squares residual.
    triangle : (p, p) array
        Centred X = basis @ triangle.
    coefficients : (p,) array
        Least-squares coefficients taken out of y, of the centred X.
    """

    design: Design
    triangle: np.ndarray
    coefficients: np.ndarray


def is_well_conditioned(total: np.ndarray) -> bool:
    """Whether the cross-product (P, P) of [X y] can be worked with as it stands."""
    size = np.sqrt(np.diagonal(total))
    if not (size > 0).all():
        return False
    correlation = total / np.outer(size, size)
    return bool(np.linalg.eigvalsh(correlation)[0] > NEAR**2 * len(total))


def orthogonalise(design: Design, basis: WorkingBasis) -> Orthogonal:
    """Replace X by an orthonormal basis of its centred columns.

    Raises
    ------
    ValueError
        If a column is a linear combination of earlier ones (named), or y one of X.
    """
    centred = design.X - basis.x_shift
    size = np.sqrt((centred**2).sum(axis=0))
    raw = np.sqrt((design.X**2).sum(axis=0))
    scale = np.where(size > 0, size, 1.0)
    Q, triangle = np.linalg.qr(centred / scale)
    kept = np.abs(np.diagonal(triangle))
    dependent = (kept <= DEPENDENT) | (size <= 1e-12 * raw) | (size == 0)
    if dependent.any():
        raise NotEstimable(
            _name_dependence(triangle, int(np.argmax(dependent)), design.names, size <= 1e-12 * raw)
        )
    response = design.y - basis.y_shift
    working = Q.T @ response
    residual = response - Q @ working
    extra = Q.T @ residual
    residual, working = residual - Q @ extra, working + extra
    if np.linalg.norm(residual) <= 1e-13 * np.linalg.norm(design.y):
        raise NotEstimable("the fixed effects reproduce y exactly: no residual variance is left to estimate")
    replaced = Design(residual, Q, design.Z, design.grouping, design.names)
    return Orthogonal(replaced, triangle * scale, solve_triangular(triangle, working) / scale)


def _name_dependence(triangle, column, names, vanished) -> str:
    """Which earlier columns the dependent one is made of."""
    if vanished[column]:
        return f"column {names[column]} of X is constant or zero: it depends on the other columns of X"
    weights = solve_triangular(triangle[:column, :column], triangle[:column, column])
    parts = [names[j] for j in range(column) if abs(weights[j]) > 1e-6]
    return f"columns of X are collinear: {names[column]} is a linear combination of {', '.join(parts)}"
