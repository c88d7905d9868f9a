"""Minimise many profiled deviances over T >= 0 at once: the steps of `mixed_optimiser` for one random effect."""

from dataclasses import dataclass, replace

import numpy as np

from twostage.stats.mixed_batch_criterion import BatchCriterion, BatchEvaluation
from twostage.stats.mixed_optimiser import (
    LAST_SCORING_STEP,
    LAST_STEP,
    LEAST_SHRINK,
    NEAR,
    NO_INFORMATION,
    TRUSTED_SHARE,
    UNTESTED_STEP,
)

# Eight evaluations are usual; a data set that needs more than this is left to the optimiser for single fits.
MAX_ROUNDS = 60

# Data sets taken together: the working arrays of a few columns stay in the processor's cache.
CHUNK_SETS = 512


def minimise_deviances(criterion: BatchCriterion) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Minimise each data set's deviance.

    Returns
    -------
    T, converged, evaluations : (B,) arrays
        `converged` is False where the data say nothing about T, the cross-products are not positive
        definite, or MAX_ROUNDS did not suffice: such data sets need a closer look one by one.
    """
    parts = [_minimise(criterion.take(part)) for part in chunks(np.arange(len(criterion.nu)))]
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def chunks(data_sets: np.ndarray) -> list[np.ndarray]:
    """CHUNK_SETS data sets at a time; one empty chunk when there are none."""
    return np.split(data_sets, range(CHUNK_SETS, len(data_sets), CHUNK_SETS))


def _minimise(criterion: BatchCriterion):
    T = criterion.start()
    converged, evaluations = np.zeros(len(T), dtype=bool), np.ones(len(T), dtype=int)
    at = criterion(T)
    informed = T**2 * at.information > NO_INFORMATION * criterion.products.n_groups
    walk = _Walk(np.arange(len(T)), T, at.value, np.ones(len(T)), *_steps(at, T)).only(informed)
    criterion = criterion.take(walk.data_set)
    for _ in range(MAX_ROUNDS):
        # The last step is too small to be tested: the deviance's own rounding would hide its fall.
        last = walk.final & (walk.length == 1.0)
        T[walk.data_set[last]] = walk.target[last]
        converged[walk.data_set[last]] = True
        if last.any():
            walk, criterion = walk.only(~last), criterion.take(np.flatnonzero(~last))
        if not len(walk.data_set):
            break
        evaluations[walk.data_set] += 1
        walk = _advance(walk, criterion)
    return T, converged, evaluations


@dataclass(frozen=True)
class _Walk:
    """Data sets on their way: where each is, its deviance there, and the next step; one entry per data set.

    `length` is the share of the step to be tried, `predicted` the fall promised by the whole step, `final`
    whether it may be the last.
    """

    data_set: np.ndarray
    T: np.ndarray
    value: np.ndarray
    length: np.ndarray
    target: np.ndarray
    predicted: np.ndarray
    final: np.ndarray

    def only(self, which) -> "_Walk":
        """The data sets chosen."""
        return _Walk(*(values[which] for values in vars(self).values()))


def _advance(walk: _Walk, criterion: BatchCriterion) -> _Walk:
    """Try every data set's step: take it where the deviance falls, else halve it."""
    there = walk.T + walk.length * (walk.target - walk.T)
    trial = criterion(there)
    taken = (trial.value <= walk.value) | (walk.predicted <= UNTESTED_STEP)
    ahead = _Walk(walk.data_set, there, trial.value, np.ones(len(there)), *_steps(trial, there))
    halved = replace(walk, length=walk.length / 2)
    return _Walk(
        *(np.where(taken, *pair) for pair in zip(vars(ahead).values(), vars(halved).values(), strict=True))
    )


def _steps(at: BatchEvaluation, T: np.ndarray):
    """Newton's step where its model is convex enough and near; else scoring in (log sigma2, sigma2 T).

    Returns where each T should go, the fall promised there, and whether the step may be the last.
    """
    trusted = at.hessian > TRUSTED_SHARE * at.information
    curvature = np.where(trusted, at.hessian, at.information)
    target, predicted = _model_minimum(at.gradient, curvature, T)
    newton = trusted & (predicted <= NEAR)
    scored, promised = _model_minimum(at.gradient, at.information, T)
    scored /= np.maximum(1.0 - at.scale_share * (scored - T), LEAST_SHRINK)
    predicted = np.where(newton, predicted, promised)
    final = predicted <= np.where(newton, LAST_STEP, LAST_SCORING_STEP)
    return np.where(newton, target, scored), predicted, final


def _model_minimum(gradient, curvature, T):
    """The minimiser over T >= 0 of the quadratic model, and the fall it predicts."""
    step = np.divide(gradient, curvature, out=np.full_like(T, np.nan), where=curvature > 0)
    target = np.maximum(0.0, T - step)
    move = target - T
    return target, -(gradient * move + 0.5 * curvature * move**2)
