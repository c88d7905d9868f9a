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
_SINGULAR = 1e-9  # least eigenvalue of the information with unit diagonal: below it two parameters are one
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
            return (
                "the observed information is not positive definite: no maximum, or parameters not identified"
            )
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
    search.climb(_expected, NEAR)
    search.climb(_observed_or_expected, tolerance)
    decrement = np.where(_well_determined(search.information), search.decrement, np.inf)
    converged = np.isfinite(search.point.value) & (decrement <= tolerance)
    return Optimum(
        search.point, search.information, converged, search.iterations, search.evaluations, decrement
    )


class _Search:
    """All data sets on their way to the maximum."""

    def __init__(self, structure, patterns, start, limit):
        self.structure, self.patterns, self.limit = structure, patterns, limit
        self.point = evaluate(structure, patterns, start)
        self.information = np.full((*start.shape, start.shape[1]), np.nan)
        self.decrement = np.full(len(start), np.inf)
        self.iterations = np.zeros(len(start), dtype=int)
        self.evaluations = np.ones(len(start), dtype=int)

    def climb(self, information, until):
        """Step every data set until its decrement under `information` is at most `until`."""
        sets, patterns, point = np.arange(self.patterns.n_sets), self.patterns, self.point
        busy, damping = np.isfinite(point.value), np.zeros(len(sets))
        while True:
            H, exact = information(self.structure, patterns, point)
            decrement = _decrement(H, point.gradient)
            self.information[sets[busy]] = H[busy]
            self.decrement[sets[busy]] = np.where(exact, decrement, np.inf)[busy]
            busy &= ~(decrement <= until) & (damping < _MOST_DAMPING)
            busy &= self.iterations[sets] < self.limit
            if busy.mean() < _CROWDED:
                self.point = _put(self.point, point, sets, self.patterns, patterns)
                sets, damping, H, point = sets[busy], damping[busy], H[busy], _pick(point, busy, patterns)
                patterns, busy = patterns.select(busy), np.ones(len(sets), dtype=bool)
            if not busy.any():
                return
            self.iterations[sets[busy]] += 1
            self.evaluations[sets[busy]] += 1
            step, good = _step(H, point.gradient, damping, busy)
            trial = evaluate(self.structure, patterns, point.theta + step)
            better = good & (trial.value <= point.value + _ROUNDING * np.abs(point.value))
            point = trial if better.all() else _merged(trial, point, better, patterns)
            damping = _next_damping(damping, better)


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
    fields = {}
    for name, of in _rows(better, patterns):
        a, b = getattr(new, name), getattr(old, name)
        fields[name] = np.where(of.reshape(-1, *[1] * (a.ndim - 1)), a, b)
    return Point(**fields)


def _pick(point, sets, patterns):
    """The point of the data sets marked in `sets`."""
    return Point(**{name: getattr(point, name)[of] for name, of in _rows(sets, patterns)})


def _put(whole, part, sets, patterns, own):
    """`whole` with the data sets at the positions `sets` replaced by `part`."""
    if own is patterns:
        return part
    marked = np.zeros(patterns.n_sets, dtype=bool)
    marked[sets] = True
    for name, of in _rows(marked, patterns):
        getattr(whole, name)[of] = getattr(part, name)
    return whole


def _rows(sets, patterns):
    """Each array of a point by name, with the marks of its rows that belong to the data sets marked in `sets`."""
    owner = {"whiten": patterns.leaf_owner, "scatter": patterns.owner, "shift": patterns.owner}
    return [(name, sets[owner[name]] if name in owner else sets) for name in Point.__dataclass_fields__]


def _expected(structure, patterns, point):
    return expected_information(structure, patterns, point), np.True_


def _observed_or_expected(structure, patterns, point):
    """Observed information; the expected one where that is not positive definite; and whether it is the observed one."""
    H = observed_information(structure, patterns, point)
    good = positive_definite(scaled(H)[0])
    if not good.all():
        H[~good] = expected_information(structure, patterns, point)[~good]
    return H, good


def _well_determined(H):
    """Whether no combination of parameters (each in units of its own standard error) is without information."""
    finite = np.isfinite(H).all(axis=(1, 2))
    unit = scaled(np.where(finite[:, None, None], H, 0.0))[0]
    return finite & (np.linalg.eigvalsh(unit)[:, 0] > _SINGULAR)
