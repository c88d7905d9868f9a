"""Damped Newton's method for a smooth criterion with simple bounds, used on likelihoods of variance components."""

from dataclasses import dataclass

import numpy as np

from twostage.stats.base.checks import NotEstimable

MAX_ITERATIONS = 200


# Gain in log-likelihood a full Newton step still promises, relative to the log-likelihood: below, one last step
# is below rounding.
GAIN = 1e-13


# The same where no point along the step is higher: rounding hides gains that are still this large.
HIDDEN = 1e-9


# Share of the promised gain that a step must bring.
SUFFICIENT = 1e-4


# Least curvature, relative to the expected one, that a direction is given; wrong signs are turned.
FLOOR = 1e-7


# Share of the observed curvature that takes the place of an expected one of (nearly) 0.
TURNED = 1e-3


# A direction at a stationary point in which the scaled criterion is bent upward by more: a saddle.
SADDLE = 1e-6


# Damping added to the scaled curvature when a step fails, its factor, and where the search gives up.
FIRST_DAMPING, FACTOR, MAX_DAMPING = 1e-2, 6.0, 1e14


@dataclass(frozen=True)
class OptimiserRecord:
    """How an optimum was found; kept with every fit that was searched for.

    Attributes
    ----------
    iterations : int
        Steps taken.
    evaluations : int
        Times the criterion and its derivatives were computed.
    gradient_norm : float
        Length of the gradient at the end, off the bounds, in standard errors: the root of Newton's decrement, which is
        twice the gain still promised. (Mixed models: of the deviance along the cone's face, per group.)
    message : str
        Why the search stopped.
    """

    iterations: int
    evaluations: int
    gradient_norm: float
    message: str


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where the search ended.

    Attributes
    ----------
    theta : ndarray, shape (r,)
    value : float
    converged : bool
        The gain still promised is below rounding and no direction leads upward.
    record : OptimiserRecord
    curvature : float
        Smallest eigenvalue of the scaled observed information of the parameters off their bounds; near 0 the
        data do not determine some of them. 1 where there are none.
    """

    theta: np.ndarray
    value: float
    converged: bool
    record: OptimiserRecord
    curvature: float = 1.0


def maximise(criterion, start, lower, upper, limit=MAX_ITERATIONS):
    """Maximise a criterion over a box.

    Parameters
    ----------
    criterion : callable
        Point (r,) to (value, gradient (r,), Hessian (r, r), expected information (r, r)), or None where it is
        not defined.
    start, lower, upper : ndarray, shape (r,)
    limit : int
        Most iterations.

    Returns
    -------
    Optimum

    Raises
    ------
    NotEstimable
        The criterion is not defined at the start.
    """
    theta, counted = np.clip(start, lower, upper), _Counted(criterion)
    state = counted(theta)
    if state is None:
        raise NotEstimable("the criterion is not defined at the start of the search")
    damping, iterations = 0.0, 0
    while iterations < limit:
        iterations += 1
        step, gain = newton_step(theta, *state[1:], lower, upper)
        size = max(1.0, abs(state[0]))
        moved = None
        if gain >= GAIN * size:
            moved, damping = _climb(counted, theta, state, damping, lower, upper)
        if moved is None:
            moved = _leave_saddle(counted, theta, state, lower, upper)
        if moved is None:
            if gain < GAIN * size:
                theta, state = _last_step(counted, theta, state, step, lower, upper)
            break
        theta, state = moved
    else:
        gain = np.inf
    converged = bool(gain < HIDDEN * max(1.0, abs(state[0])))
    left = 2.0 * newton_step(theta, *state[1:], lower, upper)[1]
    message = "the gain still promised is below rounding" if converged else "no step leads to a higher point"
    if np.isinf(gain):
        message = f"{limit} iterations did not suffice"
    record = OptimiserRecord(iterations, counted.times, float(np.sqrt(max(left, 0.0))), message)
    return Optimum(theta, float(state[0]), converged, record, _curvature(theta, state, lower, upper))


class _Counted:
    """A criterion that counts how often it is computed."""

    def __init__(self, criterion):
        self.criterion, self.times = criterion, 0

    def __call__(self, theta):
        self.times += 1
        return self.criterion(theta)


def free_parameters(theta, gradient, lower, upper):
    """Parameters that are off their bounds or led inward by the gradient."""
    held = ((theta <= lower) & (gradient <= 0.0)) | ((theta >= upper) & (gradient >= 0.0))
    return ~held


def newton_step(theta, gradient, hessian, information, lower, upper, damping=0.0):
    """Newton step (r,) and the gain it promises; parameters that it would push out of the box stay."""
    free = free_parameters(theta, gradient, lower, upper)
    while True:
        step = np.zeros_like(theta)
        if not free.any():
            return step, 0.0
        part = np.ix_(free, free)
        values, vectors, scale = _spectrum(hessian[part], information[part])
        values = np.maximum(np.abs(values), FLOOR) + damping
        step[free] = scale * (vectors @ ((vectors.T @ (scale * gradient[free])) / values))
        outward = free & (((theta <= lower) & (step < 0.0)) | ((theta >= upper) & (step > 0.0)))
        if not outward.any():
            return step, 0.5 * float(gradient @ step)
        free &= ~outward


def _spectrum(hessian, information):
    """Eigenvalues and vectors of the negative Hessian in units of the expected information, and these units."""
    diagonal = np.maximum(np.diag(information), TURNED * np.abs(np.diag(hessian)))
    diagonal = np.maximum(diagonal, 1e-14 * diagonal.max())
    scale = 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    return *np.linalg.eigh(-hessian * np.outer(scale, scale)), scale


def _climb(criterion, theta, state, damping, lower, upper):
    """The first point, with more and more damping, that is high enough (None if there is none); the damping."""
    while damping <= MAX_DAMPING:
        step = newton_step(theta, *state[1:], lower, upper, damping)[0]
        new = np.clip(theta + step, lower, upper)
        at = criterion(new)
        if at is not None and at[0] > state[0]:
            promised = float(state[1] @ (new - theta))
            if at[0] - state[0] >= SUFFICIENT * promised:
                return (new, at), (damping / FACTOR if damping > FIRST_DAMPING else 0.0)
        damping = max(FACTOR * damping, FIRST_DAMPING)
    return None, 0.0


def _leave_saddle(criterion, theta, state, lower, upper):
    """A higher point near a stationary one that is no maximum; None where it is one."""
    _, gradient, hessian, information = state
    held = ((theta <= lower) & (gradient < -GAIN)) | ((theta >= upper) & (gradient > GAIN)) | (lower == upper)
    free = ~held
    if not free.any():
        return None
    values, vectors, scale = _spectrum(hessian[np.ix_(free, free)], information[np.ix_(free, free)])
    if values[0] > -SADDLE:
        return None
    step = np.zeros_like(theta)
    step[free] = scale * vectors[:, 0]
    for length in (1.0, 0.1, 0.01, 0.001):
        for sign in (1.0, -1.0):
            new = np.clip(theta + sign * length * step, lower, upper)
            at = criterion(new)
            if at is not None and at[0] > state[0] + GAIN * max(1.0, abs(state[0])):
                return new, at
    return None


def _last_step(criterion, theta, state, step, lower, upper):
    """One full step, below rounding in the criterion but not in the parameters."""
    new = np.clip(theta + step, lower, upper)
    at = criterion(new)
    if at is not None and at[0] >= state[0] - GAIN * max(1.0, abs(state[0])):
        return new, at
    return theta, state


def _curvature(theta, state, lower, upper):
    free = free_parameters(theta, state[1], lower, upper)
    if not free.any():
        return 1.0
    part = np.ix_(free, free)
    return float(_spectrum(state[2][part], state[3][part])[0][0])
