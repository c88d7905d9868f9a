"""Newton's method for a smooth criterion with simple bounds, used on likelihoods of variance components."""

from dataclasses import dataclass, field

import numpy as np

MAX_ITERATIONS = 200
# Gain in log-likelihood a full Newton step still promises: below, one last step is below rounding.
GAIN = 1e-13
# Share of the promised gain that a step must bring (Armijo).
SUFFICIENT = 1e-4
# Smallest eigenvalue of the scaled curvature that is taken as it is; flat or wrongly bent directions get this.
FLOOR = 1e-7
# A direction at a stationary point in which the scaled criterion is bent upward by more: a saddle.
SADDLE = 1e-6
HALVINGS = 40


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where the search ended.

    Attributes
    ----------
    theta : ndarray, shape (r,)
    value : float
    converged : bool
        The gain still promised is below rounding and no direction leads upward.
    iterations : int
    curvature : float
        Smallest eigenvalue of the scaled observed information of the parameters off their bounds; near 0 the
        data do not determine some of them. 1 where there are none.
    """

    theta: np.ndarray
    value: float
    converged: bool
    iterations: int
    curvature: float = field(default=1.0)


def maximise(criterion, start, lower, upper):
    """Maximise a criterion over a box.

    Parameters
    ----------
    criterion : callable
        Point (r,) to (value, gradient (r,), Hessian (r, r), expected information (r, r)), or None where it is
        not defined.
    start, lower, upper : ndarray, shape (r,)

    Returns
    -------
    Optimum

    Raises
    ------
    ValueError
        The criterion is not defined at the start.
    """
    theta = np.clip(start, lower, upper)
    state = criterion(theta)
    if state is None:
        raise ValueError("the criterion is not defined at the start")
    for iteration in range(1, MAX_ITERATIONS + 1):
        step, gain = newton_step(theta, *state[1:], lower, upper)
        if gain < GAIN * max(1.0, abs(state[0])):
            saddle = _saddle_step(theta, state, lower, upper)
            moved = None if saddle is None else _search(criterion, theta, state, saddle, 0.0, lower, upper)
            if moved is None:
                return _finish(criterion, theta, state, step, lower, upper, iteration)
        else:
            moved = _search(criterion, theta, state, step, gain, lower, upper)
            if moved is None:  # rounding: no point along the step is higher
                converged = gain < 1e4 * GAIN * max(1.0, abs(state[0]))
                return Optimum(theta, state[0], converged, iteration, _curvature(theta, state, lower, upper))
        theta, state = moved
    return Optimum(theta, state[0], False, MAX_ITERATIONS, _curvature(theta, state, lower, upper))


def free_parameters(theta, gradient, lower, upper):
    """Parameters that are off their bounds or led inward by the gradient."""
    held = ((theta <= lower) & (gradient <= 0.0)) | ((theta >= upper) & (gradient >= 0.0))
    return ~held


def newton_step(theta, gradient, hessian, information, lower, upper):
    """Newton step (r,) and the gain it promises; parameters that it would push out of the box stay."""
    free = free_parameters(theta, gradient, lower, upper)
    while True:
        step = np.zeros_like(theta)
        if not free.any():
            return step, 0.0
        step[free] = _solve(gradient[free], hessian[np.ix_(free, free)], information[np.ix_(free, free)])
        outward = free & (((theta <= lower) & (step < 0.0)) | ((theta >= upper) & (step > 0.0)))
        if not outward.any():
            return step, 0.5 * float(gradient @ step)
        free &= ~outward


def _solve(gradient, hessian, information):
    """Ascent direction: Newton's where the criterion is concave, else by expected information, else scaled."""
    for curvature in (-hessian, information):
        scaled, scale = _scaled(curvature)
        values, vectors = np.linalg.eigh(scaled)
        if values[0] > FLOOR:
            break
    values = np.maximum(values, FLOOR)
    return scale * (vectors @ ((vectors.T @ (scale * gradient)) / values))


def _scaled(curvature):
    diagonal = np.abs(np.diag(curvature))
    tiny = np.finfo(float).tiny
    scale = 1.0 / np.sqrt(np.where(diagonal > tiny, diagonal, max(diagonal.max(), 1.0)))
    return curvature * np.outer(scale, scale), scale


def _search(criterion, theta, state, step, gain, lower, upper):
    """The first point along the step, bent along the bounds, that is high enough; None if there is none."""
    value, gradient = state[:2]
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(
            step > 0.0, (upper - theta) / step, np.where(step < 0.0, (lower - theta) / step, np.inf)
        )
    limit = min(1.0, float(np.min(room)))
    lengths = [1.0] if limit < 1.0 else []  # the whole step, clipped to the box, then within the box
    lengths += [limit * 0.5**i for i in range(HALVINGS)]
    for length in lengths:
        new = np.clip(theta + length * step, lower, upper)
        at = criterion(new)
        if at is None or not np.isfinite(at[0]):
            continue
        promised = max(float(gradient @ (new - theta)), 0.0)
        if at[0] > value + SUFFICIENT * promised and at[0] > value:
            return new, at
    return None


def _saddle_step(theta, state, lower, upper):
    """A step upward from a stationary point that is no maximum, None where it is one."""
    _, gradient, hessian, information = state
    strict = ((theta <= lower) & (gradient < -GAIN)) | ((theta >= upper) & (gradient > GAIN))
    free = ~strict
    if not free.any():
        return None
    diagonal = np.abs(np.diag(hessian))[free]
    scale = 1.0 / np.sqrt(np.maximum(diagonal, max(diagonal.max() * 1e-12, np.finfo(float).tiny)))
    values, vectors = np.linalg.eigh(-hessian[np.ix_(free, free)] * np.outer(scale, scale))
    if values[0] > -SADDLE:
        return None
    step = np.zeros_like(theta)
    step[free] = scale * vectors[:, 0]
    blocked = ((theta <= lower) & (step < 0.0)) | ((theta >= upper) & (step > 0.0))
    return -step if blocked.any() else step


def _finish(criterion, theta, state, step, lower, upper, iteration):
    """One last full step, below rounding in the criterion but not in the parameters."""
    new = np.clip(theta + step, lower, upper)
    at = criterion(new)
    if at is not None and at[0] >= state[0] - 1e-14 * max(1.0, abs(state[0])):
        theta, state = new, at
    return Optimum(theta, state[0], True, iteration, _curvature(theta, state, lower, upper))


def _curvature(theta, state, lower, upper):
    free = free_parameters(theta, state[1], lower, upper)
    if not free.any():
        return 1.0
    return float(np.linalg.eigvalsh(_scaled(-state[2][np.ix_(free, free)])[0])[0])
