"""Full-information maximum likelihood of covariance structures: many data sets in one vectorised optimisation."""

from dataclasses import dataclass

import numpy as np

from twostage.stats.fiml_likelihood import Point, evaluate, expected_information, observed_information
from twostage.stats.fiml_linalg import positive_definite, scaled, solve_positive

# Newton's decrement g'H^-1 g is about twice what the log-likelihood can still gain; its root is the distance to the
# maximum in standard errors. Fisher scoring brings it below NEAR, Newton steps below the tolerance.
NEAR = 0.1
TOLERANCE = 1e-12
MAX_ITERATIONS = 200
_DAMPING = 1e-3  # first damping after a step that did not help, relative to the information's diagonal
_FACTOR = 10.0
_MOST_DAMPING = 1e8
_ROUNDING = (
    64 * np.finfo(float).eps
)  # of the log-likelihood, relative: a step that loses less than this is no loss
_CROWDED = (
    0.7  # data sets that are done are dropped from the arrays when fewer than this share are still busy
)


@dataclass(frozen=True)
class Optimum:
    """Maxima found, one per data set.

    Attributes
    ----------
    point : Point
        The likelihood there.
    information : (b, K, K) array
        Observed information of theta, means profiled out.
    converged : (b,) array of bool
        Whether Newton's decrement fell below the tolerance at a maximum (information positive definite).
    iterations, evaluations : (b,) arrays of int
        Steps tried; likelihoods computed.
    decrement : (b,) array
        Newton's decrement at the end.
    """

    point: Point
    information: np.ndarray
    converged: np.ndarray
    iterations: np.ndarray
    evaluations: np.ndarray
    decrement: np.ndarray

    def message(self, b: int) -> str:
        """How data set `b` ended, in words."""
        if self.converged[b]:
            return f"converged: at most {self.decrement[b]:.1e} of log-likelihood left to gain"
        if not np.isfinite(self.point.value[b]):
            return "the covariance matrix is not positive definite at the starting values"
        if not np.isfinite(self.decrement[b]):
            return "the information is not positive definite: no maximum was found"
        return f"no maximum within {self.iterations[b]} steps: Newton's decrement is still {self.decrement[b]:.1e}"


def maximise(structure, patterns, start, *, tolerance=TOLERANCE, max_iterations=MAX_ITERATIONS) -> Optimum:
    """Maximise the Gaussian likelihood of incomplete data over theta, per data set; means are free.

    Fisher scoring until the decrement is below 0.1, then Newton steps with exact second derivatives; a step that
    does not raise the likelihood is shortened and turned towards the gradient (Levenberg, Marquardt).

    Parameters
    ----------
    structure : object
        See :mod:`twostage.stats.fiml_likelihood`.
    patterns : Patterns
        From :func:`twostage.stats.fiml_patterns.group_patterns`.
    start : (b, K) array
        Starting values with positive definite Sigma.
    tolerance : float
        Newton's decrement at which a maximum counts as reached.
    max_iterations : int

    Returns
    -------
    Optimum
    """
    search = _Search(structure, patterns, np.array(start, dtype=float), max_iterations)
    search.climb(expected_information, NEAR)
    search.climb(_observed_or_expected, tolerance)
    point = evaluate(structure, patterns, search.theta)
    information = observed_information(structure, patterns, point)
    decrement = _decrement(information, point.gradient)
    converged = np.isfinite(point.value) & (decrement <= tolerance)
    return Optimum(point, information, converged, search.iterations, search.evaluations, decrement)


class _Search:
    """The parameters of all data sets on their way to the maximum."""

    def __init__(self, structure, patterns, start, limit):
        self.structure, self.patterns, self.theta, self.limit = structure, patterns, start, limit
        self.iterations = np.zeros(len(start), dtype=int)
        self.evaluations = np.ones(len(start), dtype=int)  # the one at the end

    def climb(self, information, until):
        """Step every data set until its decrement under `information` is at most `until`."""
        sets, patterns = np.arange(self.patterns.n_sets), self.patterns
        point = self._at(patterns, sets)
        busy, damping = np.isfinite(point.value), np.zeros(len(sets))
        while True:
            H = information(self.structure, patterns, point)
            busy &= ~(_decrement(H, point.gradient) <= until) & (damping < _MOST_DAMPING)
            busy &= self.iterations[sets] < self.limit
            if not busy.any():
                return
            if busy.mean() < _CROWDED:
                sets, damping, H, patterns = sets[busy], damping[busy], H[busy], patterns.select(busy)
                point, busy = self._at(patterns, sets), np.ones(len(sets), dtype=bool)
            self.iterations[sets[busy]] += 1
            step, good = _step(H, point.gradient, damping, busy)
            trial = evaluate(self.structure, patterns, point.theta + step)
            self.evaluations[sets[busy]] += 1
            better = good & (trial.value <= point.value + _ROUNDING * np.abs(point.value))
            point = trial if better.all() else _merged(trial, point, better, patterns)
            self.theta[sets] = point.theta
            damping = _next_damping(damping, better)

    def _at(self, patterns, sets):
        self.evaluations[sets] += 1
        return evaluate(self.structure, patterns, self.theta[sets])


def _decrement(H, gradient):
    """Newton's decrement ``g'H^-1 g``; infinity where H is not positive definite."""
    step, good = solve_positive(H, gradient)
    return np.where(good, np.einsum("bk,bk->b", gradient, step), np.inf)


def _step(H, gradient, damping, busy):
    """Damped step of the busy data sets where the damped information is positive definite, and which these are."""
    size = np.abs(np.einsum("bkk->bk", H))
    damped = H + (damping[:, None] * np.where(size > 0.0, size, 1.0))[:, :, None] * np.eye(H.shape[1])
    step, good = solve_positive(damped, gradient)
    good &= busy
    return np.where(good[:, None], -step, 0.0), good


def _next_damping(damping, better):
    eased = np.where(damping > _DAMPING, damping / _FACTOR, 0.0)
    return np.where(better, eased, np.maximum(_FACTOR * damping, _DAMPING))


def _merged(new, old, better, patterns):
    """`new` for the data sets with `better`, `old` for the others."""
    owner = {"whiten": patterns.leaf_owner, "scatter": patterns.owner, "shift": patterns.owner}
    fields = {}
    for name in Point.__dataclass_fields__:
        a, b = getattr(new, name), getattr(old, name)
        keep = better[owner[name]] if name in owner else better
        fields[name] = np.where(keep.reshape(-1, *[1] * (a.ndim - 1)), a, b)
    return Point(**fields)


def _observed_or_expected(structure, patterns, point):
    """Observed information; the expected one where that is not positive definite."""
    H = observed_information(structure, patterns, point)
    bad = ~positive_definite(scaled(H)[0])
    if bad.any():
        H[bad] = expected_information(structure, patterns, point)[bad]
    return H
