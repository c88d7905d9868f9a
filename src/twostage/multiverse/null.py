"""What all specifications would say together if there were no lagged effect: a parametric bootstrap of every study.

A study is drawn from its own random-intercept cross-lagged panel model with the cross-lagged effects taken out: its
autoregressions, its covariances between and within patients, its means of each session (so every common trend) and
exactly who was observed when stay as they are. If studies' effects differ, they differ in the draws too, around zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from twostage.multiverse.estimate import estimate_all, scaled
from twostage.multiverse.grid import Grid
from twostage.multiverse.pools import pool_all
from twostage.multiverse.specifications import Specifications, specify
from twostage.stats.base import NotEstimable
from twostage.stats.multiverse import joint_statistics
from twostage.stats.pool import pool
from twostage.stats.riclpm import fit_riclpm

#: Draws made, and written, at a time.
CHUNK = 25


#: Estimators that are too slow for hundreds of draws.
SLOW = ("jackknife", "riclpm_error")


#: Where the effect of each direction stands in phi[outcome, predictor].
_PLACES = ((1, 0), (0, 1))


@dataclass(frozen=True, eq=False)
class NullStudy:
    """One study as it is drawn, in standard deviations of its scores.

    Attributes
    ----------
    study : str
    observed : ndarray of bool, shape (n, T, 2)
    means : ndarray, shape (T, 2)
    levels, first, innovations : ndarray, shape (2, 2)
        Covariances between patients, within at the first session, and of what is new at each later one.
    autoregressions : ndarray, shape (2,)
    borrowed : str
        Why the model could not be fitted to this study, which then has the other studies' mean; empty where it could.
    about : dict
        Its reliabilities, as estimators are told them.
    """

    study: str
    observed: np.ndarray
    means: np.ndarray
    levels: np.ndarray
    first: np.ndarray
    innovations: np.ndarray
    autoregressions: np.ndarray
    borrowed: str
    about: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Null:
    """A collection without lagged effects.

    Attributes
    ----------
    studies : tuple of NullStudy
    first_session : int
    tau : ndarray, shape (2,)
        Standard deviation of the studies' effects around zero, by direction.
    """

    studies: tuple[NullStudy, ...]
    first_session: int
    tau: np.ndarray


def thinned(grid: Grid) -> Specifications:
    """The part of a grid that is drawn under the null hypothesis: what moves the answer, without what is slow."""
    keep = {
        "window": grid.values["window"][:2],
        "min_sessions": grid.values["min_sessions"][:1],
        "standardize": grid.values["standardize"][:1],
        "detrend": tuple(v for i, v in enumerate(grid.values["detrend"]) if i == 0 or v != "patient"),
        "estimator": tuple(v for i, v in enumerate(grid.values["estimator"]) if i == 0 or v not in SLOW),
        "stage1_errors": grid.values["stage1_errors"][:1],
        "tau2_method": grid.values["tau2_method"][:2],
        "studies": grid.values["studies"][:1],
    }
    sets = {words: grid.sets[words] for words in keep["studies"]}
    return specify(replace(grid, values={**grid.values, **keep}, sets=sets))


def fit_null(
    panels: Sequence[np.ndarray], studies: Sequence[str], first_session: int, about: Sequence[dict[str, Any]]
) -> Null:
    """Fit the model from which a collection without lagged effects is drawn.

    Parameters
    ----------
    panels : sequence of arrays, shape (n, T, 2)
        Scores of each study in its widest window, as of :func:`twostage.multiverse.estimate.estimate_all`.
    studies : sequence of str
    first_session : int
    about : sequence of dict

    Raises
    ------
    NotEstimable
        The model cannot be fitted to two studies at least.
    """
    fits, why = [], []
    for panel in panels:
        try:
            fit = fit_riclpm(scaled(panel, "total"))
            why.append("" if fit.converged else "the panel model did not converge")
        except (NotEstimable, ValueError) as error:
            fit = None
            why.append(str(error))
        fits.append(fit)
    good = [fit for fit, reason in zip(fits, why, strict=True) if fit is not None and not reason]
    if len(good) < 2:
        raise NotEstimable(
            f"the panel model could be fitted to {len(good)} of {len(panels)} studies: {why[0]}"
        )
    parts = [_parts(fit) for fit in good]
    mean = {name: np.mean([part[name] for part in parts], axis=0) for name in parts[0]}
    own = iter(parts)
    made = tuple(
        NullStudy(study, np.isfinite(panel), **(mean if reason else next(own)), borrowed=reason, about=told)
        for study, panel, reason, told in zip(studies, panels, why, about, strict=True)
    )
    y, se = (
        np.array([[getattr(fit, name)[at] for at in _PLACES] for fit in good]) for name in ("phi", "phi_se")
    )
    tau2 = [pool(y[:, d], se[:, d] ** 2).tau2 for d in (0, 1)]
    return Null(made, first_session, np.sqrt(tau2))


def _parts(fit) -> dict[str, np.ndarray]:
    """What is drawn from a fitted model; its covariance matrices, which need be none, the nearest that are."""
    return {
        "means": np.nan_to_num(fit.means),
        "levels": _nearest(fit.intercept_cov),
        "first": _nearest(fit.first_cov),
        "innovations": _nearest(fit.residual_cov),
        "autoregressions": np.diagonal(fit.phi).copy(),
    }


def _nearest(matrix: np.ndarray) -> np.ndarray:
    """The nearest matrix without a negative eigenvalue."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 0.0)) @ vectors.T


def draw(rng: np.random.Generator, study: NullStudy, tau: np.ndarray, draws: int) -> np.ndarray:
    """Draw a study without a lagged effect on average, shape (draws, n, T, 2); NaN where it was not observed."""
    n, sessions = study.observed.shape[:2]
    phi = np.zeros((draws, 2, 2))
    phi[:, (0, 1), (0, 1)] = study.autoregressions
    for d, at in enumerate(_PLACES):
        phi[:, at[0], at[1]] = tau[d] * rng.standard_normal(draws)
    within = _normal(rng, study.first, (draws, n))
    scores = np.empty((draws, n, sessions, 2))
    scores[...] = _normal(rng, study.levels, (draws, n))[:, :, None] + study.means
    for s in range(sessions):
        scores[:, :, s] += within
        within = within @ phi.swapaxes(1, 2) + _normal(rng, study.innovations, (draws, n))
    return np.where(study.observed, scores, np.nan)


def _normal(rng: np.random.Generator, cov: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    values, vectors = np.linalg.eigh(cov)
    return rng.standard_normal((*size, 2)) @ (vectors * np.sqrt(np.maximum(values, 0.0))).T


def null_statistics(
    null: Null, specs: Specifications, seed: int, chunk: int, draws: int = CHUNK
) -> np.ndarray:
    """The joint statistics of some draws, shape (draws, 2 directions, 3).

    Parameters
    ----------
    null : Null
    specs : Specifications
    seed, chunk : int
        Of the random numbers: each chunk has its own, whoever makes it when.
    draws : int
    """
    found = []
    for i, study in enumerate(null.studies):
        rng = np.random.default_rng(np.random.SeedSequence([seed, chunk, i]))
        panels = list(draw(rng, study, null.tau, draws))
        found.append(estimate_all(panels, null.first_session, specs.stage1, **study.about))
    y, se = (np.stack([getattr(e, name) for e in found]) for name in ("estimate", "std_error"))
    pools = pool_all(y, se, specs, [study.study for study in null.studies])
    ends = (pools.estimate, pools.ci_low, pools.ci_high)
    return joint_statistics(*(np.moveaxis(a, 1, 2) for a in ends))
