"""The profiled deviance of many random-intercept models at once, each at its own T; exact derivatives.

The formulas of `mixed_criterion` for one random effect, with the axis of data sets last: a loop over the few
columns replaces one over the many data sets. Where a data set's cross-products are not positive definite its
entries are NaN; the others are not disturbed.
"""

from dataclasses import dataclass, replace

import numpy as np

from twostage.stats.mixed.batch_sums import BatchProducts, packing
from twostage.stats.mixed.optimiser import (
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


@dataclass(frozen=True)
class BatchEvaluation:
    """The criterion of B models, P = p + 1; attributes as in `mixed_criterion.Evaluation`.

    Attributes
    ----------
    value, sigma2, gradient, hessian, information, scale_share : (B,) arrays
    root : (P, P, B) array
        Lower Cholesky factors of C'V^-1 C.
    spread : (P, P, B) array
        sum [h e]_i'[h e]_i.
    """

    value: np.ndarray
    sigma2: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray
    information: np.ndarray
    scale_share: np.ndarray
    root: np.ndarray
    spread: np.ndarray


class BatchCriterion:
    """The profiled deviance as a function of T, (B,), for B data sets.

    Parameters
    ----------
    products : BatchProducts
    reml : bool
        Restricted likelihood (True) or likelihood (False).
    """

    def __init__(self, products: BatchProducts, reml: bool):
        self.products = products
        self.reml = reml
        self.P = len(products.shift)
        self.nu = products.n - (self.P - 1) if reml else products.n

    def take(self, which) -> "BatchCriterion":
        """The criterion of some of the data sets."""
        return BatchCriterion(self.products.take(which), self.reml)

    def start(self) -> np.ndarray:
        """Starting T: between-group spread as large as the residual's."""
        return self.products.n_groups / self.products.n

    def __call__(self, T: np.ndarray) -> BatchEvaluation:
        """Evaluate every data set's criterion at its own T."""
        d, p, nu = self.products, self.P - 1, self.nu
        inflation = 1.0 + d.sizes[:, None] * T
        g = d.sizes[:, None] / inflation
        unpack = packing(self.P)[2]
        weights = np.array([1.0 / inflation, g / inflation, g * g / inflation])
        between, outer, graded = np.einsum("wkb,kmb->wmb", weights, d.table)
        root = cholesky((d.within + between)[unpack])
        sides = np.stack([outer, graded], axis=1)[unpack]
        half = forward(root, sides)
        spread, graded = forward(root, half.swapaxes(0, 1)).transpose(2, 0, 1, 3)
        diagonal = np.einsum("iib->ib", root)
        sigma2 = diagonal[p] ** 2 / nu
        value = (d.count * np.log(inflation)).sum(axis=0) + nu * (1.0 + np.log(2 * np.pi * sigma2))
        if self.reml:
            value += 2.0 * np.log(diagonal[:p]).sum(axis=0)
        sums = (d.count * g).sum(axis=0), (d.count * g * g).sum(axis=0)
        return BatchEvaluation(value, sigma2, *self._derivatives(*sums, spread, graded), root, spread)

    def _derivatives(self, log_det, grams, spread, graded):
        """Gradient, Hessian, information and the scale's share."""
        p, nu = self.P - 1, self.nu
        cross, fit = spread[:p, p], spread[p, p]
        hessian = 2.0 * nu * (graded[p, p] - (cross**2).sum(axis=0)) - nu * fit**2
        if self.reml:
            fixed = spread[:p, :p]
            log_det = log_det - np.einsum("iib->b", fixed)
            grams = grams + (fixed**2).sum(axis=(0, 1)) - 2.0 * np.einsum("iib->b", graded[:p, :p])
        return log_det - nu * fit, hessian - grams, grams - log_det**2 / nu, log_det / nu


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


def cholesky(A: np.ndarray) -> np.ndarray:
    """Lower factors of symmetric matrices (P, P, B); NaN from the first pivot that is not positive."""
    L = np.zeros_like(A)
    for j in range(len(A)):
        column = A[j:, j].copy()
        for k in range(j):
            column -= L[j:, k] * L[j, k]
        pivot = np.sqrt(np.where(column[0] > 0, column[0], np.nan))
        L[j, j] = pivot
        L[j + 1 :, j] = column[1:] / pivot
    return L


def forward(L: np.ndarray, A: np.ndarray) -> np.ndarray:
    """L^-1 A for factors (P, P, B) and right-hand sides (P, ..., B)."""
    out = A.copy()
    for i in range(len(L)):
        for j in range(i):
            out[i] -= L[i, j] * out[j]
        out[i] /= L[i, i]
    return out
