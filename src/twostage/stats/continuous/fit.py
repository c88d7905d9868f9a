"""A bivariate Ornstein-Uhlenbeck process about random intercepts, by full-information maximum likelihood."""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import logm

from twostage.stats.base import (
    NotEstimable,
    Optimum,
    check_choice,
    check_level,
    check_panel,
    frozen,
    maximise,
    real_array,
)
from twostage.stats.continuous.likelihood import ContinuousLikelihood, Persons, group_persons
from twostage.stats.continuous.process import noise
from twostage.stats.continuous.results import ContinuousFit
from twostage.stats.riclpm import fit_riclpm

#: Diagonal elements of A per median interval at which the search ends: what is left of a deviation then, 5e-5, no
#: session can show.
FASTEST = -10.0


#: Sessions of a person that a random intercept, a process and, with one, an error need.
FEWEST_TIMES, FEWEST_WITH_ERROR = 3, 4


# Covariances whose least eigenvalue is below minus this are said to be no covariances; variables have unit variance.
_ROUNDING = 1e-8


# Autoregressions of a process that the search starts from.
_USUAL = (0.05, 0.9)


def fit_continuous(
    Y: ArrayLike,
    times: ArrayLike,
    *,
    means: Literal["sessions", "constant"] = "sessions",
    first: Literal["free", "settled"] = "free",
    error: bool = False,
    se: Literal["observed", "sandwich"] = "observed",
    level: float = 0.95,
    variables: tuple[str, str] = ("x", "y"),
) -> ContinuousFit:
    """Fit a lagged process in continuous time to sessions that are not equally far apart.

    ``y_i(t) = mu + r_i + w_i(t) + m_it`` with ``dw = A w dt + G dB``, ``G G' = Q``; random intercepts r ~ N(0, B), errors
    m ~ N(0, diag(E)). What an interval d carries over is ``e^(A d)``.

    Parameters
    ----------
    Y : (n, T, 2) array
        Persons, sessions, the two variables; NaN where missing (at random).
    times : (n, T) array
        When each session was, in any unit, increasing within persons; NaN where it is not known, which only a session
        without scores may have. Only differences within persons count.
    means : {"sessions", "constant"}
        A mean for each place in the row, the first session, the second and so on; or one for all.
    first : {"free", "settled"}
        The covariance of the process at a person's first time: its own; or P, in which the process stays.
    error : bool
        Whether each variable has an error variance, at least 0, in every score.
    se : {"observed", "sandwich"}
        Standard errors from the observed information, or the robust ones: information^-1 (sum of squared scores)
        information^-1.
    level : float
    variables : (str, str)

    Returns
    -------
    ContinuousFit

    Raises
    ------
    ValueError
        Wrong shape, infinite values, times that are missing or do not increase (named), an unknown option.
    NotEstimable
        Nobody has enough sessions; a variable that does not vary; fewer persons than parameters.

    Notes
    -----
    The model of ctsem (Driver, Oud & Voelkle 2017, doi:10.18637/jss.v077.i05) with two processes, random intercepts
    ("manifest traits") and no predictors, discretized exactly. With sessions equally far apart, ``first="free"`` and no
    error it is :func:`twostage.stats.riclpm.fit_riclpm` as long as that one's lag matrix has a real logarithm: the
    likelihoods are then the same, and the lag matrix is ``e^A``. The search starts there.

    Checked against an own solution in R (dense normal densities, Van Loan's integrals, ``optim``).

    Examples
    --------
    >>> import numpy as np
    >>> from twostage.stats.continuous import fit_continuous
    >>> rng = np.random.default_rng(5)
    >>> times = np.cumsum(rng.integers(4, 11, (400, 6)), axis=1).astype(float)
    >>> w = rng.normal(size=(400, 6, 2))
    >>> for t in range(1, 6):
    ...     kept = np.exp(-0.1 * (times[:, t] - times[:, t - 1]))[:, None]
    ...     w[:, t] = kept * w[:, t - 1] + np.sqrt(1 - kept**2) * w[:, t]
    >>> fit = fit_continuous(rng.normal(size=(400, 1, 2)) + w, times)
    >>> fit.effects([7.0]).tidy()[["term", "estimate", "std_error"]].round(2)
       term  estimate  std_error
    0  x->x      0.49       0.03
    1  y->x     -0.02       0.03
    2  x->y     -0.04       0.03
    3  y->y      0.50       0.03
    """
    level = check_level(level)
    for name, value, known in (
        ("means", means, ("sessions", "constant")),
        ("first", first, ("free", "settled")),
    ):
        check_choice(name, value, known)
    check_choice("se", se, ("observed", "sandwich"))
    scores, when = _checked(Y, times)
    kept = np.isfinite(scores).any(axis=(1, 2))
    unit, centre, spread = _scales(scores[kept], when[kept], FEWEST_WITH_ERROR if error else FEWEST_TIMES)
    scaled = (scores[kept] - centre) / spread
    persons = group_persons(scaled, when[kept], unit)
    likelihood = ContinuousLikelihood(persons, _design(persons, means), first == "free", error)
    n_parameters = likelihood.size + likelihood.design.shape[1]
    if kept.sum() <= n_parameters:
        raise NotEstimable(f"{int(kept.sum())} persons for {n_parameters} parameters")
    optimum = _search(likelihood, _starts(likelihood, scaled))
    asked = {"means_are": means, "first": first, "se": se, "level": level, "variables": tuple(variables)}
    counts = {"n_obs": int(kept.sum()), "n_dropped": int((~kept).sum()), "n_parameters": n_parameters}
    return _result(likelihood, optimum, unit, centre, spread, counts | asked)


def _checked(Y: ArrayLike, times: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Scores and times; times of sessions without scores count only where they are known."""
    Y, times = check_panel(Y), real_array(times, "times")
    if times.shape != Y.shape[:2]:
        raise ValueError(f"times must have shape {Y.shape[:2]}, got {times.shape}")
    seen = np.isfinite(Y).any(axis=2)
    wrong = np.isinf(times) | (seen & np.isnan(times))
    if wrong.any():
        person, session = np.argwhere(wrong)[0]
        found = times[person, session]
        raise ValueError(
            f"times must be finite where there is a score; person {person}, session {session}: {found}"
        )
    before = np.fmax.accumulate(np.where(np.isnan(times), -np.inf, times), axis=1)
    wrong = times[:, 1:] <= before[:, :-1]
    if wrong.any():
        person, session = np.argwhere(wrong)[0] + [0, 1]
        found = times[person, session]
        raise ValueError(f"times must increase within persons; person {person}, session {session}: {found}")
    return Y, times


def _scales(Y: np.ndarray, times: np.ndarray, fewest: int) -> tuple[float, np.ndarray, np.ndarray]:
    """Median interval, and each variable's mean and SD."""
    sessions = np.isfinite(Y).any(axis=2).sum(axis=1)
    if not len(Y) or sessions.max() < fewest:
        raise NotEstimable(f"nobody has {fewest} sessions or more")
    if not np.isfinite(Y).any(axis=(0, 1)).all():
        raise NotEstimable("a variable has no scores")
    centre, spread = np.nanmean(Y, axis=(0, 1)), np.nanstd(Y, axis=(0, 1))
    for name, deviation, level in zip(("x", "y"), spread, np.abs(centre), strict=True):
        if not deviation > 1e-12 * max(level, 1e-300):
            raise NotEstimable(f"{name} does not vary")
    filled = [row[np.isfinite(row)] for row in times]
    return float(np.median(np.concatenate([np.diff(row) for row in filled]))), centre, spread


def _design(persons: Persons, means: str) -> np.ndarray:
    """Which mean each place has (2T, q); places at which nobody was observed have none."""
    places: np.ndarray = persons.count @ persons.seen > 0
    columns = np.eye(len(places)) if means == "sessions" else np.tile(np.eye(2), (len(places) // 2, 1))
    return columns[:, (columns * places[:, None]).any(axis=0)]


def _starts(likelihood: ContinuousLikelihood, scaled: np.ndarray) -> list[np.ndarray]:
    """Where the search may start: the panel model of equally spaced sessions, and half of everything between persons."""
    half, rounds = np.array([0.5, 0.0, 0.5]), np.array([0.3, 0.0, 0.3])
    plain = _packed(likelihood, np.diag([-1.0, -1.0]), rounds, half, half)
    try:
        fit = fit_riclpm(scaled)
    except NotEstimable:
        return [plain]
    auto = np.clip(np.diag(fit.phi), *_USUAL)
    drift = np.diag(np.log(auto))
    values = np.linalg.eigvals(fit.phi)
    if (np.abs(values) < 1).all() and not ((values.imag == 0) & (values.real <= 1e-4)).any():
        drift = np.asarray(logm(fit.phi)).real
    parts = (_upper(m) for m in (fit.residual_cov, fit.first_cov, fit.intercept_cov))
    return [_packed(likelihood, drift, *parts), plain]


def _packed(likelihood, drift, residual, first, intercept) -> np.ndarray:
    """theta of these matrices; a tenth of the variance within persons is error where there is one."""
    parts = {"drift": drift.ravel(), "residual": residual, "first": first, "intercept": intercept}
    parts |= {"error": np.full(2, 0.1 * 0.5 * (residual[0] + residual[2]))}
    theta = np.zeros(likelihood.size)
    for name, place in likelihood.places.items():
        theta[place] = parts[name][: place.stop - place.start]
    return theta


def _upper(matrix: np.ndarray) -> np.ndarray:
    return matrix[[0, 0, 1], [0, 1, 1]]


def _lowest(likelihood: ContinuousLikelihood) -> np.ndarray:
    """Bounds of theta from below."""
    lower = np.full(likelihood.size, -np.inf)
    lower[[0, 3]] = FASTEST
    lower[likelihood.places["error"]] = 0.0
    return lower


def _search(likelihood: ContinuousLikelihood, starts: list[np.ndarray]) -> Optimum:
    """The first maximum that is admissible, or else the highest."""
    lower, upper = _lowest(likelihood), np.full(likelihood.size, np.inf)
    found: list[Optimum] = []
    for start in starts:
        if likelihood.criterion(np.clip(start, lower, upper)) is None:
            continue
        optimum = maximise(likelihood.criterion, start, lower, upper)
        if optimum.converged and not _problems(likelihood.matrices(optimum.theta)):
            return optimum
        found.append(optimum)
    if not found:
        raise NotEstimable("the covariance matrix is not positive definite at the starting values")
    return max(found, key=lambda one: (one.converged, one.value))


def _problems(m: dict[str, np.ndarray]) -> tuple[str, ...]:
    """What of these matrices is no process, or no covariance."""
    slowest = np.linalg.eigvals(m["drift"]).real.max()
    found = (
        [] if slowest < 0 else [f"the process does not settle (largest real eigenvalue of A {slowest:.3g})"]
    )
    words = {"noise's": noise(m["drift"], m["spread"]), "first": m["first"], "intercepts'": m["intercept"]}
    for name, matrix in words.items():
        least = np.linalg.eigvalsh(matrix)[0]
        if least < -_ROUNDING:
            found.append(
                f"the {name} covariance has a negative eigenvalue ({least:.3g} for standardized variables)"
            )
    return tuple(found)


def _result(
    likelihood: ContinuousLikelihood,
    optimum: Optimum,
    unit: float,
    centre: np.ndarray,
    spread: np.ndarray,
    facts: dict[str, Any],
) -> ContinuousFit:
    theta, persons = optimum.theta, likelihood.persons
    m, both = likelihood.matrices(theta), np.outer(spread, spread)
    held, factor, names = theta <= _lowest(likelihood), _factors(likelihood, unit, spread), _names(likelihood)
    cov = _covariance(likelihood, theta, ~held, facts["se"]) * np.outer(factor, factor)
    std_error = np.sqrt(np.diag(cov))
    scores = (persons.count @ persons.seen).reshape(-1, 2).sum(axis=0)
    loglik, k = optimum.value - float(scores @ np.log(spread)), facts["n_parameters"]
    problems = _problems(m)
    matrices: dict[str, Any] = {
        "drift": (theta * factor)[:4].reshape(2, 2),
        "drift_se": std_error[:4].reshape(2, 2),
        "diffusion": noise(m["drift"], m["spread"]) * both / unit,
        "within_cov": m["spread"] * both,
        "first_cov": m["first"] * both,
        "intercept_cov": m["intercept"] * both,
        "error_var": m["error"] * spread**2,
        "means": _means(likelihood, theta) * spread + centre,
    }
    matrices = dict(zip(matrices, frozen(*matrices.values()), strict=True))
    return ContinuousFit(
        **matrices,
        names=names,
        estimate=theta * factor,
        std_error=std_error,
        cov=cov,
        unit=unit,
        boundary=tuple(_bounded(name) for name, at in zip(names, held, strict=True) if at),
        least_information=optimum.curvature,
        loglik=loglik,
        aic=2.0 * k - 2.0 * loglik,
        bic=float(k * np.log(facts["n_obs"])) - 2.0 * loglik,
        converged=optimum.converged,
        admissible=not problems,
        problems=problems,
        n_patterns=len(persons.count),
        optimiser=optimum.record,
        **facts,
    )


def _names(likelihood: ContinuousLikelihood) -> tuple[str, ...]:
    pairs, v = ("xx", "xy", "yy"), ("x", "y")
    words = {"drift": [f"{a}<-{b}" for a in v for b in v], "error": v}
    return tuple(
        f"{name} {word}"
        for name, place in likelihood.places.items()
        for word in words.get(name, pairs)[: place.stop - place.start]
    )


def _factors(likelihood: ContinuousLikelihood, unit: float, spread: np.ndarray) -> np.ndarray:
    """What theta is multiplied by to be in the units of the scores and times."""
    scales = {"drift": (spread[:, None] / spread / unit).ravel(), "error": spread**2}
    pairs = _upper(np.outer(spread, spread))
    parts = [scales.get(name, pairs)[: p.stop - p.start] for name, p in likelihood.places.items()]
    return np.concatenate(parts)


def _means(likelihood: ContinuousLikelihood, theta: np.ndarray) -> np.ndarray:
    """Means (T, 2) of the scaled variables, NaN where nobody was observed."""
    mean = likelihood.means(np.linalg.inv(likelihood.covariances(theta)))[0]
    there = likelihood.persons.seen.any(axis=0)
    return np.where(there, likelihood.design @ mean, np.nan).reshape(-1, 2)


def _bounded(name: str) -> str:
    kind, which = name.split(" ")
    if kind == "error":
        return f"the error variance of {which} is estimated at its bound, 0"
    return f"nothing of {which[0]} is left after the usual interval: its drift is at the bound of the search"


def _covariance(likelihood, theta, free, se) -> np.ndarray:
    """Covariance matrix of theta; NaN for what is on its bound, and all where the information is not positive definite."""
    at = likelihood.value_and_gradient(theta)
    second = None if at is None else likelihood.second_derivatives(theta, at[1])
    cov, part = np.full((len(theta), len(theta)), np.nan), np.ix_(free, free)
    if second is None or np.linalg.eigvalsh(second[part])[0] <= 0:
        return cov
    bread = np.linalg.inv(second[part])
    if se == "sandwich":
        scores = likelihood.scores(theta)[:, free]
        bread = bread @ (scores.T @ scores) @ bread
    cov[part] = bread
    return cov
