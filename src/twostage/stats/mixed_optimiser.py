"""Minimise the profiled deviance over positive semidefinite T: scoring far away, Newton near, on the cone itself.

Each step minimises a quadratic model of the deviance over the cone, so a fit on the boundary (a variance at zero, a
correlation at one) is reached in as few evaluations as one inside. Far from the optimum the model uses the expected
information in (log sigma2, sigma2 T), exact in one step for balanced designs; near it the exact Hessian in T.
"""

from dataclasses import dataclass

import numpy as np

from twostage.stats.mixed_cone import ConePoint, congruence, minimise_quadratic, to_matrix, to_vector
from twostage.stats.mixed_criterion import Criterion, Evaluation
from twostage.stats.mixed_face import face_at, move_along

# A step whose predicted fall of the deviance is below this is the last: it moves the estimates by 1e-4.5
# standard errors, and being a Newton step leaves them wrong by about the square of that.
LAST_STEP = 1e-9

# Scoring steps converge linearly, so the last one must be smaller.
LAST_SCORING_STEP = 1e-13

# Below this predicted fall the deviance's own rounding hides the comparison, so a step is taken untested.
UNTESTED_STEP = 1e-8

# Newton's model is trusted when its smallest curvature is at least this share of the expected one.
TRUSTED_SHARE = 0.05

# Stiffness tried, in expected informations.
STIFFNESS = (10.0, 1000.0)

# Newton's step is taken where it promises a fall of the deviance below this; the scoring step has the longer reach.
NEAR = 1.0

MAX_ITERATIONS = 200
MAX_HALVINGS = 40


@dataclass(frozen=True)
class OptimiserRecord:
    """How the optimiser arrived.

    Attributes
    ----------
    evaluations : int
        Times the deviance and its derivatives were computed.
    iterations : int
        Accepted steps.
    gradient_norm : float
        Length of the deviance's gradient along the cone's face at the solution, for random effects scaled to unit
        mean square; divided by the number of groups.
    criterion : float
        The (restricted) deviance at the solution.
    message : str
        Why it stopped.
    """

    evaluations: int
    iterations: int
    gradient_norm: float
    criterion: float
    message: str


@dataclass(frozen=True)
class Optimum:
    """Where the optimiser stopped."""

    point: ConePoint
    at: Evaluation
    converged: bool
    record: OptimiserRecord


def minimise_deviance(criterion: Criterion, start: np.ndarray) -> Optimum:
    """Minimise the deviance over the positive semidefinite cone.

    Parameters
    ----------
    criterion : Criterion
    start : (q, q) array
        Positive definite starting value of T.
    """
    at, converged, iterations, message = criterion(start), False, 0, "no step lowers the deviance"
    point = ConePoint(start, np.linalg.cholesky(start))
    while iterations < MAX_ITERATIONS:
        candidate, predicted, newton = _propose(at, point)
        last = predicted <= (LAST_STEP if newton else LAST_SCORING_STEP)
        found = _search(criterion, at, candidate, predicted)
        if found is None:
            break
        point, at = found
        iterations += 1
        if last:
            converged, message = True, "predicted fall of the deviance below tolerance"
            break
    else:
        message = f"not converged after {MAX_ITERATIONS} iterations"
    size = face_gradient(point, at) / criterion.n_groups
    record = OptimiserRecord(criterion.evaluations, iterations, size, at.value, message)
    return Optimum(point, at, converged, record)


def _propose(at: Evaluation, point: ConePoint):
    """The next point, the fall of the deviance the model behind it predicts, and whether that model is Newton's."""
    for curvature in _newton_models(at, point):
        if not _is_trusted(curvature, at.information):
            continue
        candidate, move, predicted = _model_minimum(at, curvature)
        if predicted <= NEAR:
            return candidate, predicted, True
        break
    candidate, move, predicted = _model_minimum(at, _padded(at.information))
    if 0 < candidate.rank == point.rank < len(at.T) and predicted <= NEAR:
        along = _face_newton(at, point)
        if along is not None:
            return *along, True
    shrink = 1.0 - at.scale_share @ move
    return candidate.scaled(1.0 / max(shrink, 0.1)), predicted, False


def _face_newton(at: Evaluation, point: ConePoint):
    """Newton's step along the cone's face, where the cone's bend and not the Hessian makes the minimum."""
    face = face_at(point)
    gradient = face.coordinates @ at.gradient
    curvature = face.hessian(at.gradient, at.hessian)
    expected = face.hessian(at.gradient, at.information)
    if np.linalg.eigvalsh(curvature - TRUSTED_SHARE * expected)[0] <= 0:
        return None
    amounts = -np.linalg.solve(curvature, gradient)
    return move_along(point, face, amounts), -0.5 * float(gradient @ amounts)


def _model_minimum(at: Evaluation, curvature):
    candidate = minimise_quadratic(at.T, at.gradient, curvature, at.metric)
    move = to_vector(candidate.matrix - at.T)
    return candidate, move, -(at.gradient @ move + 0.5 * move @ curvature @ move)


def _newton_models(at: Evaluation, point: ConePoint):
    """The exact Hessian; then, on a face of the cone, stiffened against leaving the face at first order.

    Movements P E P, P the projection on T's null space, are where the Hessian may be indefinite at a boundary optimum;
    the gradient holds them at zero, so stiffness added there leaves the optimum and Newton's speed as they are.
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


def _search(criterion, at, candidate, predicted):
    """Step toward the candidate, halving until the deviance falls; None when it never does."""
    trial = criterion(candidate.matrix)
    if trial.value <= at.value or predicted <= UNTESTED_STEP:
        return candidate, trial
    direction, length = candidate.matrix - at.T, 1.0
    for _ in range(MAX_HALVINGS):
        length /= 2
        matrix = at.T + length * direction
        trial = criterion(matrix)
        if trial.value < at.value:
            values, vectors = np.linalg.eigh(matrix)
            kept = values > 1e-14 * values[-1]
            return ConePoint(matrix, vectors[:, kept] * np.sqrt(values[kept])), trial
    return None


def face_gradient(point: ConePoint, at: Evaluation) -> float:
    """Length of the gradient's part that a change of T along its face could use."""
    gradient = to_matrix(at.gradient, len(at.T))
    if point.rank == 0:
        return 0.0
    inside, _ = np.linalg.qr(point.factor)
    return float(np.linalg.norm(gradient @ inside))
