"""Solving dynamic panel models: from checked panels to estimates in the data's own units."""

from dataclasses import dataclass

import numpy as np

from twostage.stats.dpm_model import DpmStructure, starting_values
from twostage.stats.fiml import maximise
from twostage.stats.fiml_likelihood import score_products
from twostage.stats.fiml_linalg import inverse_positive
from twostage.stats.fiml_patterns import group_patterns


@dataclass(frozen=True)
class DpmSolved:
    """One direction of b data sets.

    Attributes
    ----------
    estimate, std_error : (b, r) arrays
        The parameters `DpmStructure.reported`.
    cov : (b, r, r) array
    loglik, converged, iterations, n_obs : (b,) arrays
    least : (b,) array
        Least eigenvalue of the correlation-like matrix of unit effect, covariates, predictors and first outcome.
    n_parameters : (b,) int array
        Means included.
    messages : tuple of str
    """

    estimate: np.ndarray
    std_error: np.ndarray
    cov: np.ndarray
    loglik: np.ndarray
    converged: np.ndarray
    iterations: np.ndarray
    n_obs: np.ndarray
    least: np.ndarray
    n_parameters: np.ndarray
    messages: tuple[str, ...]


def solve(structure: DpmStructure, panels, outcome: int, se: str) -> DpmSolved:
    """Fit one direction's model to checked panels (:class:`~twostage.stats.dpm_input.DpmPanel`) at once."""
    rows, spread = zip(*(panel.direction(outcome) for panel in panels), strict=True)
    patterns = group_patterns(rows)
    order = [1 - outcome, outcome]
    scores = [p.scores.reshape(len(p.rows), -1, 2)[:, :, order].reshape(len(p.rows), -1) for p in panels]
    optimum = maximise(structure.base, patterns, starting_values(structure, group_patterns(scores)))
    information = inverse_positive(optimum.information)
    if se == "sandwich":
        information = information @ score_products(structure.base, patterns, optimum.point) @ information
    units = structure.scales(np.array(spread))
    cov = information * units[:, :, None] * units[:, None, :]
    estimate, cov = structure.reported(optimum.point.theta * units, cov)
    lost = np.array([(~np.isnan(r) * np.log(s)).sum() for r, s in zip(rows, spread, strict=True)])
    return DpmSolved(
        estimate=estimate,
        std_error=np.sqrt(np.einsum("bkk->bk", cov)),
        cov=cov,
        loglik=-optimum.point.value - lost,
        converged=optimum.converged,
        iterations=optimum.iterations,
        n_obs=patterns.n_obs,
        least=np.linalg.eigvalsh(structure.unit_effects(optimum.point.theta))[:, 0],
        n_parameters=structure.n_parameters + (patterns.column_counts() > 0).sum(axis=1),
        messages=tuple(optimum.message(b) for b in range(len(panels))),
    )


def faults(structure: DpmStructure, estimate, least, names) -> tuple[str, ...]:
    """What is not admissible in one direction, in words with numbers: `estimate` (r,), `least` its eigenvalue."""
    first = structure.covariates + 2
    variances = zip(names[first:], estimate[first:], strict=True)
    found = [f"{name} is negative ({value:.4g})" for name, value in variances if value < 0.0]
    if not found and least < 0.0:
        outcome = names[first].removeprefix("var(unit_effect_").removesuffix(")")
        found = [f"the unit effect on {outcome} is correlated beyond 1 with predictors and first outcome"]
    return tuple(found)
