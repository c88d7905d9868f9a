"""Maximum of the selection model's likelihood: Newton's method from several starting values."""

from dataclasses import dataclass

import numpy as np

from twostage.stats.selection_likelihood import log_likelihood

MAX_ITERATIONS = 200
HALVINGS = 40
# Newton decrement (twice the log-likelihood still to gain) at which the climb ends: below the rounding error
# of the log-likelihood itself.
DECREMENT = 1e-18
# Where rounding stops the climb earlier, it is at the top if less than this was to be gained.
NEGLIGIBLE = 1e-9
POLISHING = 3
LARGEST_STEP = 2.0  # in log weights: a factor of 7
FARTHEST = 200.0  # log weights beyond are no estimates; their exponentials must stay finite and positive
START_WEIGHTS = (1.0, 0.2, 0.03)
START_TAU2 = (1.0, 0.1)  # times the ordinary estimate, or, if that is 0, the smallest sampling variance
NO_CURVATURE = 1e-100  # keeps the scaling finite where the likelihood is flat in a parameter
SAME = 1e-6  # log-likelihoods and log weights closer than this belong to the same maximum


@dataclass(frozen=True, eq=False)
class Maximum:
    """A maximum: parameters, log-likelihood, whether reached, how many different ones were seen."""

    mu: float
    tau2: float
    delta: np.ndarray
    loglik: float
    converged: bool
    n_maxima: int = 1


def maximise(data, mu, tau2, fixed):
    """The highest of the maxima reached from all starting values.

    Parameters
    ----------
    data : Data
    mu, tau2 : float
        Of the model without selection.
    fixed : bool
        Keep tau2 at 0.

    Returns
    -------
    Maximum
    """
    scale = tau2 if tau2 > 0.0 else float(data.v.min())
    starts = (0.0,) if fixed else tuple(scale * f for f in START_TAU2)
    found = []
    for t in starts:
        for d in START_WEIGHTS:
            delta = np.append(1.0, np.full(data.n_intervals - 1, d))
            for centre in (mu, 0.0):
                found.append(climb(data, centre, t, delta, fixed=fixed))
    best = max(found, key=lambda m: (m.converged, m.loglik))
    best = _polish(data, best, fixed)
    others = {round(m.loglik / SAME) for m in found if m.converged and m.loglik < best.loglik - SAME}
    return Maximum(best.mu, best.tau2, best.delta, best.loglik, best.converged, 1 + len(others))


def climb(data, mu, tau2, delta, *, fixed):
    """Newton's method in ``(mu, tau2, log d_2, ..., log d_J)`` with tau2 >= 0, from one starting value."""
    x = np.concatenate([[mu, tau2], np.log(delta[1:])])
    value, gradient, hessian = _value(data, x)
    for _ in range(MAX_ITERATIONS):
        free = np.ones(x.size, dtype=bool)
        free[1] = not fixed and (x[1] > 0.0 or gradient[1] > 0.0)
        step = _step(gradient, hessian, free)
        decrement = float(gradient @ step)
        if decrement <= DECREMENT:
            return _maximum(x, value, True)
        new = _longest_rise(data, x, step, value)
        if new is None:
            return _maximum(x, value, decrement < NEGLIGIBLE)
        x = new
        value, gradient, hessian = _value(data, x)
    return _maximum(x, value, False)


def _polish(data, top, fixed):
    """A few full Newton steps: the log-likelihood is flat to rounding before its slope is."""
    x = np.concatenate([[top.mu, top.tau2], np.log(top.delta[1:])])
    for _ in range(POLISHING if top.converged else 0):
        _, gradient, hessian = _value(data, x)
        free = np.ones(x.size, dtype=bool)
        free[1] = not fixed and x[1] > 0.0
        x = x + _step(gradient, hessian, free)
        x[1] = max(0.0, x[1])
    return _maximum(x, log_likelihood(data, x[0], x[1], np.append(1.0, np.exp(x[2:]))), top.converged)


def _value(data, x):
    """Log-likelihood and its derivatives in the logarithm of the weights."""
    delta = np.append(1.0, np.exp(x[2:]))
    value, gradient, hessian = log_likelihood(data, x[0], x[1], delta, derivatives=True)
    scale = np.append([1.0, 1.0], delta[1:])
    hessian = hessian * np.outer(scale, scale)
    hessian[2:, 2:] += np.diag(gradient[2:] * delta[1:])
    return value, gradient * scale, hessian


def _step(gradient, hessian, free):
    """Newton step uphill: negative curvature is mirrored, log weights move by at most LARGEST_STEP."""
    step = np.zeros_like(gradient)
    part = -hessian[np.ix_(free, free)]
    scale = 1.0 / np.sqrt(np.maximum(np.abs(np.diag(part)), NO_CURVATURE))
    values, vectors = np.linalg.eigh(part * np.outer(scale, scale))
    values = np.maximum(np.abs(values), 1e-8)
    step[free] = scale * (vectors @ ((vectors.T @ (scale * gradient[free])) / values))
    longest = np.abs(step[2:]).max()
    return step * min(1.0, LARGEST_STEP / longest) if longest > 0.0 else step


def _longest_rise(data, x, step, value):
    """The longest halved step that raises the log-likelihood, tau2 kept at or above 0."""
    for halving in range(HALVINGS):
        new = x + step * 0.5**halving
        new[1] = max(0.0, new[1])
        delta = np.append(1.0, np.exp(np.clip(new[2:], -FARTHEST, FARTHEST)))
        if np.abs(new[2:]).max() < FARTHEST and log_likelihood(data, new[0], new[1], delta) > value:
            return new
    return None


def _maximum(x, value, converged):
    return Maximum(float(x[0]), float(x[1]), np.append(1.0, np.exp(x[2:])), float(value), converged)
