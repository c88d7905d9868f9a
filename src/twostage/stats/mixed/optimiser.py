"""Minimise the profiled deviance over positive semidefinite T: scoring far away, Newton near.

Each step minimises a quadratic model of the deviance over the cone, so a fit on the boundary (a variance at
zero, a correlation at one) is reached in as few evaluations as one inside. Far from the optimum the model
uses the expected information in (log sigma2, sigma2 T), exact in one step for balanced designs; near it the
exact Hessian in T.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from twostage.stats.base import NotEstimable, OptimiserRecord
from twostage.stats.mixed.cone import (
    ConePoint,
    congruence,
    face_at,
    minimise_quadratic,
    move_along,
    to_matrix,
    to_vector,
)
from twostage.stats.mixed.criterion import Criterion, Evaluation

# A step whose predicted fall of the deviance is below this is the last: it moves the estimates by 1e-4.5
# standard errors, and being a Newton step leaves them wrong by about the square of that.
LAST_STEP = 1e-9


# Scoring steps converge linearly, so the last one must be smaller.
LAST_SCORING_STEP = 1e-13


# Below this predicted fall the deviance's own rounding hides the comparison, so a step is taken untested.
UNTESTED_STEP = 1e-8


# Newton's model is trusted when its smallest curvature is at least this share of the expected one.
TRUSTED_SHARE = 0.05


# Convexity of the model that replaces Newton's where the Hessian is indefinite.
SHIFTED_SHARE = 0.1


# Stiffness tried, in expected informations.
STIFFNESS = (10.0, 1000.0)


# Newton's step is taken where it promises a fall of the deviance below this; the scoring step has the
# longer reach.
NEAR = 1.0


# A scoring step is carried over to T by dividing by the residual variance it implies, at least this share
# of before.
LEAST_SHRINK = 0.1


# Information about the scale of T, per group, at or below this is rounding (it is of order one otherwise).
NO_INFORMATION = 1e-10


MAX_ITERATIONS = 1000


NEWTON_HALVINGS = 2


SCORING_HALVINGS = 40


# The deviance had a second, lower minimum in 6 of 5,900 random data sets with two or three random effects, all with
# few groups; every one was reached from one of these multiples of the starting value.
FEW_GROUPS = 200


START_SIZES = (1.0, 0.01, 30.0)


SAME_MINIMUM = 1e-9


@dataclass(frozen=True)
class Optimum:
    """Where the optimiser stopped."""

    point: ConePoint
    at: Evaluation
    converged: bool
    record: OptimiserRecord


@dataclass(frozen=True)
class Step:
    """A way forward: a path from the present point (0) to the minimiser of a model (1)."""

    path: Callable[[float], ConePoint]
    predicted: float
    newton: bool
    halvings: int


def minimise_deviance(criterion: Criterion, start: np.ndarray) -> Optimum:
    """Minimise the deviance over the positive semidefinite cone.

    Parameters
    ----------
    criterion : Criterion
    start : (q, q) array
        Positive definite starting value of T.

    Raises
    ------
    NotEstimable
        If the data say nothing about T.

    Notes
    -----
    With several random effects and few groups the deviance can have several minima: it is then descended
    from smaller and larger starting values too, and the lowest end is kept.
    """
    several = len(start) > 1 and criterion.n_groups <= FEW_GROUPS
    ends = [_descend(criterion, start * size) for size in (START_SIZES if several else START_SIZES[:1])]
    # An end that is lower by rounding only is no other minimum: the first, converged one is kept.
    best = min(end.at.value for end in ends) + SAME_MINIMUM
    near = [end for end in ends if end.at.value <= best]
    return max(near, key=lambda end: end.converged)


def _descend(criterion: Criterion, start: np.ndarray) -> Optimum:
    """Minimise from one starting value."""
    point, at = ConePoint(start, np.linalg.cholesky(start)), criterion(start)
    size = to_vector(start)
    if size @ at.information @ size <= NO_INFORMATION * criterion.n_groups:
        raise NotEstimable(
            "the fixed effects leave no variation between groups: "
            "the random effects' variance is not determined"
        )
    iterations, converged = 0, False
    while not converged and iterations < MAX_ITERATIONS:
        moved = _advance(criterion, at, point)
        if moved is None:
            message = "no step lowers the deviance"
            break
        point, at, converged = moved
        iterations += 1
    else:
        message = (
            "predicted fall below tolerance" if converged else f"{MAX_ITERATIONS} iterations did not suffice"
        )
    size = _face_gradient(point, at) / criterion.n_groups
    record = OptimiserRecord(iterations, criterion.evaluations, size, message)
    return Optimum(point, at, converged, record)


def _advance(criterion, at, point):
    """Take the first step that lowers the deviance; also whether it was small enough to be the last."""
    for step in _steps(at, point):
        length = 1.0
        for _ in range(step.halvings + 1):
            candidate = step.path(length)
            trial = criterion(candidate.matrix)
            if trial.value <= at.value or step.predicted <= UNTESTED_STEP:
                limit = LAST_STEP if step.newton else LAST_SCORING_STEP
                last = bool(length == 1.0 and step.predicted <= limit)
                return candidate, trial, last
            length /= 2
    return None


def _steps(at: Evaluation, point: ConePoint):
    """Ways forward, best first: Newton on the cone, Newton along its face, scoring."""
    for curvature in _newton_models(at, point):
        if _is_trusted(curvature, at.information):
            candidate, move, predicted = _model_minimum(at, curvature)
            if predicted <= NEAR:
                yield Step(_chord(point, candidate), predicted, True, NEWTON_HALVINGS)
            break
    candidate, move, predicted = _model_minimum(at, _padded(at.information))
    if 0 < candidate.rank == point.rank < len(at.T) and predicted <= NEAR:
        yield from _face_newton(at, point)
    elif predicted <= NEAR:
        yield from _shifted_newton(at, point)
    reached = candidate.scaled(1.0 / max(1.0 - at.scale_share @ move, LEAST_SHRINK))
    yield Step(lambda length: reached, predicted, False, 0)
    yield Step(_chord(point, candidate), predicted, False, SCORING_HALVINGS)


def _chord(point: ConePoint, candidate: ConePoint):
    """The straight path between two points of the cone."""

    def path(length):
        """The point at this share of the way."""
        if length == 1.0:
            return candidate
        matrix = point.matrix + length * (candidate.matrix - point.matrix)
        values, vectors = np.linalg.eigh(matrix)
        kept = values > 1e-14 * values[-1]
        return ConePoint(matrix, vectors[:, kept] * np.sqrt(values[kept]))

    return path


def _face_newton(at: Evaluation, point: ConePoint):
    """Newton's step along the cone's face, where the cone's bend and not the Hessian makes the minimum."""
    face = face_at(point)
    gradient = face.coordinates @ at.gradient
    curvature = face.hessian(at.gradient, at.hessian)
    expected = face.hessian(at.gradient, at.information)
    if np.linalg.eigvalsh(curvature - TRUSTED_SHARE * expected)[0] > 0:
        amounts = -np.linalg.solve(curvature, gradient)
        predicted = -0.5 * float(gradient @ amounts)
        yield Step(lambda length: move_along(point, face, length * amounts), predicted, True, NEWTON_HALVINGS)


def _shifted_newton(at: Evaluation, point: ConePoint):
    """Newton's step with as much of the information added as makes the model convex: longer than a
    scoring step where the deviance is a ridge."""
    root = np.linalg.cholesky(_padded(at.information))
    half = np.linalg.solve(root, at.hessian)
    share = np.linalg.eigvalsh(np.linalg.solve(root, half.T))[0]
    if share < SHIFTED_SHARE:
        curvature = at.hessian + (SHIFTED_SHARE - share) * _padded(at.information)
        candidate, _, predicted = _model_minimum(at, curvature)
        yield Step(_chord(point, candidate), predicted, False, NEWTON_HALVINGS)


def _model_minimum(at: Evaluation, curvature):
    """The minimiser of the quadratic model over the cone, the way there, and the fall it predicts."""
    candidate = minimise_quadratic(at.T, at.gradient, curvature, at.metric)
    move = to_vector(candidate.matrix - at.T)
    return candidate, move, -(at.gradient @ move + 0.5 * move @ curvature @ move)


def _newton_models(at: Evaluation, point: ConePoint):
    """The exact Hessian; then, on a face of the cone, stiffened against leaving the face at first order.

    Movements P E P, P the projection on T's null space, are where the Hessian may be indefinite at a
    boundary optimum; the gradient holds them at zero, so stiffness added there leaves the optimum and
    Newton's speed as they are.
    """
    yield at.hessian
    q = len(at.T)
    if 0 < point.rank < q:
        inside, _ = np.linalg.qr(point.factor)
        normal = congruence(np.eye(q) - inside @ inside.T)
        stiff = normal @ at.information @ normal
        for weight in STIFFNESS:
            yield at.hessian + weight * stiff


def _is_trusted(curvature, information) -> bool:
    """Whether the curvature is nowhere below a share of the expected one."""
    if len(curvature) == 1:
        return curvature[0, 0] > TRUSTED_SHARE * information[0, 0]
    return bool(np.linalg.eigvalsh(curvature - TRUSTED_SHARE * information)[0] > 0)


def _padded(information):
    """The information with directions the data say nothing about held in place."""
    return information + 1e-10 * np.trace(information) * np.eye(len(information))


def _face_gradient(point: ConePoint, at: Evaluation) -> float:
    """Length of the gradient's part that a change of T along its face could use."""
    gradient = to_matrix(at.gradient, len(at.T))
    if point.rank < len(gradient):
        inside, _ = np.linalg.qr(point.factor)
        gradient = gradient @ inside
    return float(np.linalg.norm(gradient))
