"""Likelihood of the step-function selection model with its exact first and second derivatives.

A study with p-value in interval j is published with relative probability d_j (d_1 = 1). Its published
estimate then has density ``d_j f(y) / A``, f the normal density with mean mu and variance v + tau2, and A the
probability of publication, ``A = sum_j d_j B_j``, B_j the probability of a p-value in interval j.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr, ndtri

from twostage.stats.base import OptimiserRecord
from twostage.stats.base import maximise as ascend

FAR = 20.0  # log weights beyond, where no maximum was reached, are on their way to infinity


FARTHEST = 200.0  # log weights beyond are no estimates; their exponentials must stay finite and positive


# Weights above 1 too: few significant results can mean that they were not sought, and such a maximum, with a large tau2,
# is out of reach from the others.
START_WEIGHTS = (1.0, 0.2, 0.03, 25.0)


START_TAU2 = (1.0, 0.1)  # times the ordinary estimate, or, if that is 0, the smallest sampling variance


SAME = 1e-6  # log-likelihoods and log weights closer than this belong to the same maximum


@dataclass(frozen=True, eq=False)
class Maximum:
    """A maximum: parameters, log-likelihood, whether reached and how, how many different ones were seen.

    `endless`: where weights grow or shrink without end the likelihood is higher than at any maximum.
    """

    mu: float
    tau2: float
    delta: np.ndarray
    loglik: float
    converged: bool
    optimiser: OptimiserRecord
    n_maxima: int = 1
    endless: bool = False


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
    starts = (0.0,) if fixed else (*(scale * f for f in START_TAU2), float(data.y.var()))
    found = []
    for t in starts:
        for d in START_WEIGHTS:
            delta = np.append(1.0, np.full(data.n_intervals - 1, d))
            for centre in (mu, 0.0):
                found.append(climb(data, centre, t, delta, fixed=fixed))
    best = max(found, key=lambda m: (m.converged, m.loglik))
    others = {round(m.loglik / SAME) for m in found if m.converged and m.loglik < best.loglik - SAME}
    endless = any(m.loglik > best.loglik + SAME and np.abs(np.log(m.delta)).max() > FAR for m in found)
    return replace(best, n_maxima=1 + len(others), endless=endless)


def climb(data, mu, tau2, delta, *, fixed):
    """Newton's method in ``(mu, tau2, log d_2, ..., log d_J)`` with tau2 >= 0, from one starting value."""
    start = np.concatenate([[mu, tau2], np.log(delta[1:])])
    upper = np.concatenate([[np.inf, 0.0 if fixed else np.inf], np.full(len(delta) - 1, FARTHEST)])
    lower = np.concatenate([[-np.inf, 0.0], -upper[2:]])
    end = ascend(lambda x: _value(data, x), start, lower, upper)
    weights = end.theta[2:]
    converged = end.converged and bool(np.abs(weights).max() < FARTHEST)
    delta = np.append(1.0, np.exp(weights))
    return Maximum(float(end.theta[0]), float(end.theta[1]), delta, end.value, converged, end.record)


def _value(data, x):
    """Log-likelihood and its derivatives in the logarithm of the weights."""
    delta = np.append(1.0, np.exp(x[2:]))
    value, gradient, hessian = log_likelihood(data, x[0], x[1], delta, derivatives=True)
    scale = np.append([1.0, 1.0], delta[1:])
    hessian = hessian * np.outer(scale, scale)
    hessian[2:, 2:] += np.diag(gradient[2:] * delta[1:])
    # The expected information has no closed form; the observed one is as good a unit.
    return value, gradient * scale, hessian, np.diag(np.abs(np.diag(hessian)))


LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True, eq=False)
class Data:
    """Studies and steps.

    Attributes
    ----------
    y, v : ndarray, shape (k,)
        Estimates, signed so that large ones are the significant ones (one-sided).
    cut : ndarray, shape (k, J - 1)
        Estimate at which p equals each step; its absolute value if two-sided.
    interval : ndarray of int, shape (k,)
        Interval of the study's p-value, from 0.
    two_sided : bool
    """

    y: np.ndarray
    v: np.ndarray
    cut: np.ndarray
    interval: np.ndarray
    two_sided: bool

    @property
    def n_intervals(self):
        """Intervals of p values, each with its own relative weight."""
        return self.cut.shape[1] + 1


def prepare(y, v, steps, alternative):
    """p-values, their intervals and the cut points.

    Parameters
    ----------
    y, v : ndarray, shape (k,)
    steps : ndarray, shape (J - 1,)
        Increasing, in (0, 1).
    alternative : {"greater", "less", "two-sided"}

    Returns
    -------
    Data
    p_values : ndarray, shape (k,)
    """
    two_sided = alternative == "two-sided"
    y = -y if alternative == "less" else y
    z = y / np.sqrt(v)
    p = 2.0 * ndtr(-np.abs(z)) if two_sided else ndtr(-z)
    cut = -ndtri(steps / 2.0 if two_sided else steps) * np.sqrt(v)[:, None]
    return Data(y, v, cut, np.searchsorted(steps, p, side="left"), two_sided), p


def log_likelihood(data, mu, tau2, delta, *, derivatives=False):
    """Log-likelihood; on request its gradient and Hessian in ``(mu, tau2, d_2, ..., d_J)``.

    Parameters
    ----------
    data : Data
    mu, tau2 : float
    delta : ndarray, shape (J,)
        Selection weights, the first of them 1.
    derivatives : bool

    Returns
    -------
    value : float
    gradient : ndarray, shape (J + 1,)
    hessian : ndarray, shape (J + 1, J + 1)
        Both only with `derivatives`.
    """
    total = data.v + tau2
    r = data.y - mu
    inside = _probabilities(data, mu, total)
    chance = inside @ delta
    parts = np.log(delta[data.interval]) - 0.5 * (LOG_2PI + np.log(total) + r**2 / total) - np.log(chance)
    if not derivatives:
        return parts.sum()
    gradient, hessian = _normal_part(r, total, len(delta) + 1)
    counts = np.bincount(data.interval, minlength=len(delta))[1:]
    gradient[2:] += counts / delta[1:]
    hessian[2:, 2:] -= np.diag(counts / delta[1:] ** 2)

    # A = d_J + sum_j (d_j - d_(j+1)) S_j, S_j the probability that p <= step j; dA / dd_j = B_j.
    first, second = _survival_derivatives(data, mu, total)
    step_down = delta[:-1] - delta[1:]
    slope = np.column_stack([*(first @ step_down), inside[:, 1:]]) / chance[:, None]
    gradient -= slope.sum(axis=0)
    hessian += slope.T @ slope
    curve = (second @ step_down / chance).sum(axis=1)
    hessian[0, 0] -= curve[0]
    hessian[1, 1] -= curve[2]
    cross = np.diff(first, axis=2, append=0.0) / chance[:, None]
    mixed = cross.sum(axis=1)
    hessian[0, 1] -= curve[1]
    hessian[1, 0] = hessian[0, 1]
    hessian[:2, 2:] -= mixed
    hessian[2:, :2] = hessian[:2, 2:].T
    return parts.sum(), gradient, hessian


def _normal_part(r, total, size):
    """Derivatives in mu and tau2 of the normal log-density."""
    gradient, hessian = np.zeros(size), np.zeros((size, size))
    gradient[:2] = (r / total).sum(), 0.5 * ((r / total) ** 2 - 1.0 / total).sum()
    hessian[0, 0] = -(1.0 / total).sum()
    hessian[0, 1] = hessian[1, 0] = -(r / total**2).sum()
    hessian[1, 1] = (0.5 / total**2 - r**2 / total**3).sum()
    return gradient, hessian


def _probabilities(data, mu, total):
    """Probability of an estimate in each interval of p, shape (k, J); small ones keep their digits."""
    s = np.sqrt(total)[:, None]
    edge = np.full((len(s), 1), np.inf)
    lowest = np.zeros_like(edge) if data.two_sided else -edge
    upper, lower = np.hstack([edge, data.cut]), np.hstack([data.cut, lowest])
    chance = _between((lower - mu) / s, (upper - mu) / s)
    if data.two_sided:
        chance = chance + _between((-upper - mu) / s, (-lower - mu) / s)
    return chance


def _between(low, high):
    """Normal probability between two quantiles, differences taken in the tail where they lie."""
    right = low > 0.0
    return np.where(right, ndtr(-low), ndtr(high)) - np.where(right, ndtr(-high), ndtr(low))


def _survival_derivatives(data, mu, total):
    """Derivatives of S (k, J-1) in (mu, tau2) and second ones (mu mu, mu tau2, tau2 tau2).

    ``S = Phi(a)``, ``a = (mu - cut) / s``, plus, two-sided, ``Phi(b)``, ``b = (-cut - mu) / s``.
    """
    s = np.sqrt(total)[:, None]
    tails = [((mu - data.cut) / s, 1.0)] + [((-data.cut - mu) / s, -1.0)] * data.two_sided
    first, second = 0.0, 0.0
    for a, sign in tails:
        density = np.exp(-0.5 * a**2) / np.sqrt(2.0 * np.pi)
        a_mu, a_t = sign / s, -0.5 * a / s**2
        first = first + np.stack([density * a_mu, density * a_t])
        second = second + density * np.stack(
            [-a * a_mu**2, -0.5 * sign / s**3 - a * a_mu * a_t, 0.75 * a / s**4 - a * a_t**2]
        )
    return first, second
