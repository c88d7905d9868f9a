"""Full-information maximum likelihood of covariance structures: many data sets in one vectorised optimisation."""

from dataclasses import dataclass, replace

import numpy as np

from twostage.stats.fiml.likelihood import (
    Point,
    evaluate,
    expected_information,
    observed_information,
    positive_definite,
    reached_message,
    scaled,
    solve_positive,
    well_determined,
)

# Newton's decrement g'H^-1 g is about twice what the log-likelihood can still gain; its root is the distance to the
# maximum in standard errors. From NEAR one more step of Fisher scoring, then Newton steps below the tolerance.
NEAR = 1.0


TOLERANCE = 1e-14


MAX_ITERATIONS = 200


# Of a search by shortened steps, which is for likelihoods that the usual one does not climb.
MORE_ITERATIONS = 300


_DAMPING = 1e-3  # first damping after a step that did not help, relative to the information's diagonal


_FACTOR = 10.0


_MOST_DAMPING = 1e8


_ROUNDING = (
    64 * np.finfo(float).eps
)  # of the log-likelihood, relative: a step that loses less than this is no loss


_QUICK = 0.05  # the decrement shrinks by this factor at least: the information need not be taken anew


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
            return reached_message(self.decrement[b])
        if not np.isfinite(self.point.value[b]):
            return "the covariance matrix is not positive definite at the starting values"
        if not np.isfinite(self.decrement[b]):
            return (
                "the observed information is not positive definite: no maximum, or parameters not identified"
            )
        return f"no maximum within {self.iterations[b]} steps: Newton's decrement is still {self.decrement[b]:.1e}"


def maximise(
    structure, patterns, start, *, tolerance=TOLERANCE, max_iterations=MAX_ITERATIONS, shorten=False
) -> Optimum:
    """Maximise the Gaussian likelihood of incomplete data over theta, per data set; means are free.

    Fisher scoring until the decrement is below 1, then Newton steps with exact second derivatives; a step that
    does not raise the likelihood is shortened and turned towards the gradient (Levenberg, Marquardt).

    Parameters
    ----------
    structure : object
        See :mod:`twostage.stats.fiml.likelihood`.
    patterns : Patterns
        From :func:`twostage.stats.fiml.likelihood.group_patterns`.
    start : (b, K) array
        Starting values with positive definite Sigma.
    tolerance : float
        Newton's decrement at which a maximum counts as reached.
    max_iterations : int
    shorten : bool
        A step that does not raise the likelihood is only shortened, not turned. Turned steps depend on the parameters'
        units and creep where covariance matrices are nearly singular (scores that are nearly one another's copies);
        shortened ones do not, but end more easily at a lower one of several maxima.

    Returns
    -------
    Optimum
    """
    search = _Search(structure, patterns, np.array(start, dtype=float), max_iterations, shorten)
    search.scores()
    search.newton(tolerance)
    decrement = np.where(well_determined(search.information), search.decrement, np.inf)
    converged = np.isfinite(search.point.value) & (decrement <= tolerance)
    # The step proposed there is taken without another likelihood: it gains half the decrement, and leaves the distance to
    # the maximum of the order of the decrement itself.
    last, gain = (np.where(converged, m.T, 0.0).T for m in (search.proposal, 0.5 * search.decrement))
    point = replace(search.point, theta=search.point.theta - last, value=search.point.value - gain)
    return Optimum(point, search.information, converged, search.iterations, search.evaluations, decrement)


def maximise_again(structure, patterns, first: Optimum, start, again, *, shorten=False) -> Optimum:
    """The better of the maxima found first and of those found from other starting values.

    Parameters
    ----------
    structure, patterns
        As of :func:`maximise`.
    first : Optimum
    start : (b, K) array
    again : (b,) array of bool
        Data sets to search again.
    shorten : bool
        As of :func:`maximise`, with more steps.
    """
    if not again.any():
        return first
    start = np.where(again[:, None], start, first.point.theta)
    limit = MORE_ITERATIONS if shorten else MAX_ITERATIONS
    second = maximise(structure, patterns, start, max_iterations=limit, shorten=shorten)
    better = again & second.converged & (~first.converged | (second.point.value < first.point.value))
    if not better.any():
        return first
    fields = {
        name: np.where(better.reshape(-1, *[1] * (getattr(first, name).ndim - 1)), getattr(second, name), old)
        for name, old in vars(first).items()
        if name != "point"
    }
    return Optimum(_merged(second.point, first.point, better, patterns), **fields)


def maximise_lost(structure, patterns, first: Optimum, starts) -> Optimum:
    """Where no maximum was found, that found by shortened steps from the first of `starts`, (b, K) arrays, to find one."""
    for start in starts:
        first = maximise_again(structure, patterns, first, start, ~first.converged, shorten=True)
    return first


class _Search:
    """All data sets on their way to the maximum."""

    def __init__(self, structure, patterns, start, limit, shorten):
        self.structure, self.patterns, self.limit, self.shorten = structure, patterns, limit, shorten
        self.point = evaluate(structure, patterns, start)
        self.information = np.full((*start.shape, start.shape[1]), np.nan)
        self.proposal = np.zeros(start.shape)
        self.decrement = np.full(len(start), np.inf)
        self.iterations = np.zeros(len(start), dtype=int)
        self.evaluations = np.ones(len(start), dtype=int)

    def scores(self):
        """Fisher scoring, until a step has been taken from where the decrement was at most NEAR."""
        work = _Work(self)
        while work.busy.any():
            work.inform(_expected)
            arrived = work.step() & (work.decrement <= NEAR)
            work.busy &= ~arrived & self._may_go_on(work)
            work.drop_idle()
        work.give_back()

    def newton(self, tolerance):
        """Newton steps until the decrement is at most `tolerance`.

        While steps bring every data set much nearer the information is that of an earlier point; it is taken anew
        before a data set is said to have arrived.
        """
        work = _Work(self)
        while work.busy.any():
            if not work.inform_again(tolerance):
                work.inform(_observed_or_expected)
                work.busy &= ~(work.decrement <= tolerance) & self._may_go_on(work)
                work.drop_idle()
            work.step()
        work.give_back()

    def _may_go_on(self, work):
        return (work.damping < _MOST_DAMPING) & (self.iterations[work.sets] < self.limit)


class _Work:
    """The data sets that are still busy: their patterns, points, information and damping."""

    def __init__(self, search):
        self.search = search
        self.sets = np.arange(search.patterns.n_sets)
        self.patterns, self.point = search.patterns, search.point
        self.busy = np.isfinite(self.point.value)
        self.damping = np.zeros(len(self.sets))
        self.H = self.exact = self.decrement = self.before = None

    def inform(self, information):
        """Information at the present point and the step it proposes."""
        self.H, self.exact = information(self.search.structure, self.patterns, self.point)
        self._propose()
        self.before = None
        at = self.sets[self.busy]
        self.search.information[at] = self.H[self.busy]
        self.search.proposal[at] = self.proposal[self.busy]
        self.search.decrement[at] = np.where(self.exact, self.decrement, np.inf)[self.busy]

    def inform_again(self, tolerance):
        """Whether the old information still serves: the last step cut every decrement, some are above the tolerance."""
        if self.before is None or self.damping.any():
            return False
        self._propose()
        quick, far = self.decrement < _QUICK * self.before, self.decrement > tolerance
        return bool(quick[self.busy].all() and far[self.busy].any())

    def _propose(self):
        self.proposal, good = solve_positive(self.H, self.point.gradient)
        self.decrement = np.where(good, np.einsum("bk,bk->b", self.point.gradient, self.proposal), np.inf)

    def step(self):
        """Take the step where it is no loss; which data sets took it."""
        if not self.busy.any():
            return self.busy
        search, at = self.search, self.sets[self.busy]
        search.iterations[at] += 1
        search.evaluations[at] += 1
        step, good = self._damped()
        trial = evaluate(search.structure, self.patterns, self.point.theta - step)
        better = good & (trial.value <= self.point.value + _ROUNDING * np.abs(self.point.value))
        self.point = trial if better.all() else _merged(trial, self.point, better, self.patterns)
        eased = np.where(self.damping > _DAMPING, self.damping / _FACTOR, 0.0)
        self.damping = np.where(better, eased, np.maximum(_FACTOR * self.damping, _DAMPING))
        self.before = self.decrement
        return better

    def _damped(self):
        """The step of the busy data sets where the damped information is positive definite, and which these are."""
        plain = np.isfinite(self.decrement) & (self.search.shorten | (self.damping == 0.0))
        # The first damping halves a step that is only shortened.
        shortened = self.proposal / (1.0 + self.damping / _DAMPING)[:, None]
        if plain.all():
            step, good = shortened, plain
        else:
            size = np.abs(np.einsum("bkk->bk", self.H))
            ridge = self.damping[:, None] * np.where(size > 0.0, size, 1.0)
            step, good = solve_positive(
                self.H + ridge[:, :, None] * np.eye(size.shape[1]), self.point.gradient
            )
            if self.search.shorten:
                step, good = np.where(plain[:, None], shortened, step), plain | good
        good = good & self.busy
        return np.where(good[:, None], step, 0.0), good

    def drop_idle(self):
        """Go on with the busy data sets alone when they have become few."""
        busy = self.busy
        if not busy.any() or busy.mean() >= _CROWDED:
            return
        self.give_back()
        self.sets, self.damping, self.H = self.sets[busy], self.damping[busy], self.H[busy]
        self.decrement, self.proposal = self.decrement[busy], self.proposal[busy]
        self.before = None if self.before is None else self.before[busy]
        self.point = _pick(self.point, busy, self.patterns)
        self.patterns, self.busy = self.patterns.select(busy), busy[busy]

    def give_back(self):
        """Enter the points reached into the search."""
        if self.patterns is self.search.patterns:
            self.search.point = self.point
        else:
            _put(self.search.point, self.point, self.sets, self.search.patterns)


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


def _put(whole, part, sets, patterns):
    """Replace the data sets at the positions `sets` in `whole` by `part`."""
    marked = np.zeros(patterns.n_sets, dtype=bool)
    marked[sets] = True
    for name, of in _rows(marked, patterns):
        getattr(whole, name)[of] = getattr(part, name)


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
