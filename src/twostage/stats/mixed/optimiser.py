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
from twostage.stats.mixed.criterion import (
    Criterion,
    Evaluation,
    congruence,
    flat_basis,
    symmetric_basis,
    to_matrix,
    to_vector,
)

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


# The quadratic is solved when a further step would move the matrix by less than this, relative to its size.
STEP_TOLERANCE = 1e-12


# Below this gap Newton's steps are taken whole: they converge quadratically and the envelope is all rounding.
LOCAL = 1e-5


# Semismooth Newton needs three to eight steps; a hundred means it is cycling at the rounding level.
MAX_STEPS = 100


# Armijo's constant of the line search on the forward-backward envelope.
SUFFICIENT = 1e-4


@dataclass(frozen=True)
class Face:
    """Directions along the face at a point.

    Attributes
    ----------
    moves : (k, q, q) array
        A basis of the directions E.
    factors : (k, q, r) array
        The A of each.
    coordinates : (k, m) array
        `moves` in the coordinates of `symmetric_basis`.
    """

    moves: np.ndarray
    factors: np.ndarray
    coordinates: np.ndarray

    def hessian(self, gradient: np.ndarray, hessian: np.ndarray) -> np.ndarray:
        """Second derivatives along the face (k, k) from the gradient (m,) and Hessian (m, m) in T."""
        flat = self.coordinates @ hessian @ self.coordinates.T
        if self.factors.shape[1] == self.factors.shape[2] or not len(flat):
            return flat
        Y = to_matrix(gradient, self.moves.shape[1])
        bend = 2.0 * np.einsum("aji,jk,bki->ab", self.factors, Y, self.factors)
        return flat + 0.5 * (bend + bend.T)


@dataclass(frozen=True)
class ConePoint:
    """A positive semidefinite matrix known by its factor.

    Attributes
    ----------
    matrix : (q, q) array
    factor : (q, r) array
        `matrix` = factor @ factor.T, r its rank: exact zeros are left out, not approximated.
    """

    matrix: np.ndarray
    factor: np.ndarray

    @property
    def rank(self) -> int:
        """Rank of `matrix`."""
        return self.factor.shape[1]

    @property
    def least(self) -> float:
        """Square root of the smallest eigenvalue of `matrix`."""
        q, r = self.factor.shape
        if r < q:
            return 0.0
        return float(self.factor[0, 0] if q == 1 else np.linalg.svd(self.factor, compute_uv=False)[-1])

    def scaled(self, by: float) -> "ConePoint":
        """The point times a positive number."""
        return ConePoint(self.matrix * by, self.factor * np.sqrt(by))


def face_at(point: ConePoint) -> Face:
    """The face of the cone at a point of rank r: k = r (r + 1) / 2 + r (q - r) directions."""
    U = point.factor
    q, r = U.shape
    if r == 0:
        return Face(np.empty((0, q, q)), np.empty((0, q, 0)), np.empty((0, q * (q + 1) // 2)))
    factors = 0.5 * (U @ symmetric_basis(r))
    if r < q:
        outside = np.linalg.qr(U, mode="complete")[0][:, r:]
        scale = np.sqrt(np.trace(point.matrix) / r)
        across = scale * np.einsum("ia,bj->abij", outside, np.eye(r)).reshape(-1, q, r)
        factors = np.concatenate([factors, across])
    half = factors @ U.T
    moves = half + half.transpose(0, 2, 1)
    return Face(moves, factors, moves.reshape(len(moves), -1) @ flat_basis(q).T)


def move_along(point: ConePoint, face: Face, amounts: np.ndarray) -> ConePoint:
    """The point U + sum of amounts times A, of the same rank."""
    factor = point.factor + np.tensordot(amounts, face.factors, 1)
    return ConePoint(factor @ factor.T, factor)


def minimise_quadratic(centre, gradient, curvature, metric) -> ConePoint:
    """Minimise ``g'(x - c) + (x - c)'H(x - c) / 2`` over positive semidefinite matrices x.

    Parameters
    ----------
    centre : (q, q) array
        c, positive semidefinite.
    gradient : (m,) array
        g, in the coordinates of `symmetric_basis`.
    curvature : (m, m) array
        H, positive definite.
    metric : (q, q) array
        Positive definite; the problem is solved for K x K' with K'K = metric, where H is nearly round.

    Returns
    -------
    ConePoint
        The unique minimiser.

    Notes
    -----
    Solves x = P(x - t (g + H(x - c))), P the projection that drops negative eigenvalues, by semismooth
    Newton steps made globally convergent by a line search on the forward-backward envelope (Stella,
    Themelis & Patrinos 2017, doi:10.1007/s10589-017-9912-y). The projection leaves eigenvalues that are
    exactly zero.
    """
    if len(gradient) == 1:
        value = max(0.0, float(centre[0, 0] - gradient[0] / curvature[0, 0]))
        return ConePoint(np.array([[value]]), np.array([[value**0.5]])[:, : int(value > 0)])
    q = len(centre)
    K = np.linalg.cholesky(metric).T
    back = np.linalg.inv(K)
    to_old = congruence(back)
    H = to_old.T @ curvature @ to_old
    g = to_old.T @ gradient
    c = to_vector(K @ centre @ K.T)
    free = c - np.linalg.solve(H, g)
    values, vectors = np.linalg.eigh(to_matrix(free, q))
    if values[0] <= 0:
        values, vectors = _semismooth_newton(c, g, H, q, _Projection(free, q).vector)
    kept = values > 0
    factor = back @ (vectors[:, kept] * np.sqrt(values[kept]))
    return ConePoint(factor @ factor.T, factor)


class _Projection:
    """Nearest positive semidefinite matrix, with its generalized derivative."""

    def __init__(self, point: np.ndarray, q: int):
        self.values, self.vectors = np.linalg.eigh(to_matrix(point, q))
        self.positive = np.maximum(self.values, 0.0)
        self.vector = to_vector((self.vectors * self.positive) @ self.vectors.T)

    def derivative(self) -> np.ndarray:
        """An element of the generalized Jacobian, (m, m)."""
        q = len(self.values)
        size = np.abs(self.values)
        total = size[:, None] + size
        share = np.divide(
            self.positive[:, None] + self.positive, total, out=np.zeros((q, q)), where=total > 0
        )
        turn = congruence(self.vectors)
        rows, cols = np.tril_indices(q)
        return turn @ (share[rows, cols][:, None] * turn.T)


def _semismooth_newton(c, g, H, q, start):
    """Eigenvalues and vectors whose positive part is the minimiser."""
    step = 0.95 / np.linalg.eigvalsh(H)[-1]
    shrink = np.eye(len(c)) - step * H
    identity = np.eye(len(c))

    def envelope(x):
        """Value of the forward-backward envelope at x, the projection it needs and how far that is from x."""
        move = H @ (x - c)
        slope = g + move
        forward = _Projection(x - step * slope, q)
        gap = forward.vector - x
        value = (g + 0.5 * move) @ (x - c) + slope @ gap + gap @ gap / (2 * step)
        return value, forward, gap

    x = start
    value, forward, gap = envelope(x)
    for _ in range(MAX_STEPS):
        if np.linalg.norm(gap) <= STEP_TOLERANCE * (1.0 + np.linalg.norm(x)):
            break
        direction = np.linalg.solve(identity - forward.derivative() @ shrink, gap)
        slope = -(shrink @ gap) @ direction / step
        length = 1.0
        trial = envelope(x + direction)
        far = np.linalg.norm(gap) > LOCAL
        while far and length > 1e-10 and trial[0] > value + SUFFICIENT * length * slope:
            length /= 2
            trial = envelope(x + length * direction)
        x = x + length * direction
        value, forward, gap = trial
    return forward.values, forward.vectors


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
