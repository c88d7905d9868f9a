"""Solving random-intercept cross-lagged panel models: from checked panels to estimates in the data's own units."""

from dataclasses import dataclass

import numpy as np

from twostage.stats.fiml import maximise
from twostage.stats.fiml_likelihood import score_products
from twostage.stats.fiml_linalg import inverse_positive
from twostage.stats.fiml_patterns import group_rows
from twostage.stats.riclpm_model import starting_values


@dataclass(frozen=True)
class Solved:
    """Estimates of b data sets: theta (b, K), its covariance (b, K, K), means (b, T, 2), log-likelihoods (b,), ..."""

    theta: np.ndarray
    cov: np.ndarray
    std_error: np.ndarray
    means: np.ndarray
    loglik: np.ndarray
    converged: np.ndarray
    admissible: np.ndarray
    iterations: np.ndarray
    evaluations: np.ndarray
    decrement: np.ndarray
    n_obs: np.ndarray
    n_patterns: np.ndarray
    messages: tuple[str, ...]


def solve(structure, panels, se) -> Solved:
    """Fit `structure` to checked panels (:class:`~twostage.stats.riclpm_input.Panels`) at once."""
    patterns = group_rows(panels.rows, panels.set_of, len(panels.kept))
    core = structure.core
    optimum = maximise(core, patterns, starting_values(structure, patterns))
    cov = inverse_positive(optimum.information)
    if se == "sandwich":
        cov = cov @ score_products(core, patterns, optimum.point) @ cov
    spread = panels.spread
    units = structure.scales(spread)
    cov = cov * units[:, :, None] * units[:, None, :]
    theta = optimum.point.theta * units
    means = np.where(patterns.column_counts() > 0.0, optimum.point.means + patterns.centre, np.nan)
    lost = (np.log(spread) * panels.n_values).sum(axis=1)
    return Solved(
        theta=theta,
        cov=cov,
        std_error=np.sqrt(np.einsum("bkk->bk", cov)),
        means=means.reshape(len(spread), -1, 2) * spread[:, None, :],
        loglik=-optimum.point.value - lost,
        converged=optimum.converged,
        admissible=_admissible(structure, theta),
        iterations=optimum.iterations,
        evaluations=optimum.evaluations,
        decrement=optimum.decrement,
        n_obs=patterns.n_obs,
        n_patterns=np.bincount(patterns.owner),
        messages=tuple(optimum.message(b) for b in range(len(spread))),
    )


def _admissible(structure, theta):
    """Whether all covariance matrices among the parameters are positive semidefinite, (b,)."""
    parts = (structure.intercepts(theta), structure.first_within(theta), structure.innovations(theta))
    return np.all([_least(part).reshape(len(theta), -1).min(axis=1) >= 0.0 for part in parts], axis=0)


def _least(matrices):
    """Least eigenvalues of symmetric 2 x 2 matrices."""
    a, b, c = matrices[..., 0, 0], matrices[..., 1, 0], matrices[..., 1, 1]
    return (a + c) / 2 - np.hypot((a - c) / 2, b)


def problems(structure, theta, variables):
    """What is not admissible at one theta (K,), in words with numbers."""
    residual = structure.innovations(theta)
    named = [
        ("random intercepts", structure.intercepts(theta)),
        ("first occasion", structure.first_within(theta)),
    ]
    if residual.ndim == 2:
        named += [("residuals", residual)]
    else:
        named += [(f"residuals of occasion {t + 2}", one) for t, one in enumerate(residual)]
    return tuple(text for where, matrix in named for text in _faults(where, matrix, variables))


def _faults(where, matrix, variables):
    (x, y), (a, b, c) = variables, (matrix[0, 0], matrix[1, 0], matrix[1, 1])
    found = [f"{where}: variance of {v} is negative ({s:.4g})" for v, s in ((x, a), (y, c)) if s < 0.0]
    if not found and _least(matrix) < 0.0:
        found = [f"{where}: correlation of {x} and {y} is beyond 1 ({b / np.sqrt(a * c):.4g})"]
    return found
