"""Dynamic panel models of two variables by full-information maximum likelihood, one model per direction: the panels that
they can be fitted to, the covariance structure of a direction, and both directions' fits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from twostage.stats.base import NotEstimable, check_choice, check_level, observed_span, real_array
from twostage.stats.dpm.results import DpmBatch, DpmFit
from twostage.stats.fiml import (
    LinearStructure,
    PatternSums,
    group_patterns,
    inverse_positive,
    maximise,
    maximise_again,
    maximise_lost,
    score_products,
)
from twostage.stats.riclpm import (
    FEWEST_OCCASIONS,
    SAME,
    FitIndices,
    PanelMoments,
    RiclpmStructure,
    check_panels,
    check_variables,
    common_occasions,
    indices_of,
)
from twostage.stats.riclpm import starting_values as riclpm_starting_values


@dataclass(frozen=True)
class DpmPanel:
    """A checked panel with covariates and further predictors.

    Attributes
    ----------
    rows : (n, k + 2T) array
        Persons with a score; columns z_1 .. z_k, x_1, y_1, x_2, ..., each variable in units of its spread.
    further : (n, T, m) array
        The further predictors w, in units of their spread.
    spread : (k + 2 + m,) array
        Of z_1 .. z_k, x, y, w_1 .. w_m.
    covariates : int
        k.
    dropped : int
        Persons without any score.
    """

    rows: np.ndarray
    further: np.ndarray
    spread: np.ndarray
    covariates: int
    dropped: int

    @property
    def scores(self) -> np.ndarray:
        """The rows without covariates, (n, 2T)."""
        return self.rows[:, self.covariates :]

    def direction(self, outcome: int):
        """The columns of one direction, predictors before outcome, without the predictors' last; and their spreads.

        Parameters
        ----------
        outcome : int
            0: x is the outcome; 1: y.
        """
        k, (n, T, m) = self.covariates, self.further.shape
        order = [1 - outcome, *range(2, 2 + m), outcome]
        both = np.concatenate([self.scores.reshape(n, T, 2), self.further], axis=2)[:, :, order].reshape(
            n, -1
        )
        kept = np.r_[: (T - 1) * (m + 2), both.shape[1] - 1]
        spread = np.tile(self.spread[k:][order], T)[kept]
        return np.hstack([self.rows[:, :k], both[:, kept]]), np.concatenate([self.spread[:k], spread])


def check_dpm(Y, covariates, variables, names, n_parameters: int, further=None, further_names=()) -> DpmPanel:
    """Check a panel Y (n, T, 2), its covariates (n, k) and further predictors (n, T, m) for models of `n_parameters`
    besides the means.

    Raises
    ------
    ValueError
        Wrong shapes, fewer than three occasions, infinite values (their places are named).
    NotEstimable
        As :func:`twostage.stats.riclpm.model.check_panels`; an occasion at which nobody has one of the variables or
        it does not vary (its covariances are all free); the same of a further predictor; a covariate that never varies.
    """
    if not len(Y):
        raise NotEstimable("there are no persons")
    panel = check_panels([Y], variables, n_parameters)
    if panel.refused:
        raise panel.refused[0]
    _columns_vary(panel.rows, variables)
    kept = ~np.isnan(np.asarray(Y, dtype=float)).all(axis=(1, 2))
    z = covariates[kept]
    spread = _covariate_spread(z, names)
    rows = np.hstack([z / spread, panel.rows])
    w = np.empty((*np.shape(Y)[:2], 0))[kept] if further is None else further[kept]
    # Of the last occasion nothing is used.
    _columns_vary(w[:, :-1].reshape(len(w), -1), further_names)
    scale = np.nanstd(w[:, :-1], axis=(0, 1))
    spreads = np.concatenate([spread, panel.spread[0], scale])
    return DpmPanel(rows, w / scale, spreads, z.shape[1], int(panel.dropped[0]))


def with_scores(Y):
    """Y from the first occasion with a score to the last, and these two, counted from 1.

    Raises
    ------
    NotEstimable
        If occasions were left out and fewer than three remain.
    """
    Y = real_array(Y, "Y")
    if Y.ndim != 3:
        return Y, (1, 0)
    first, last = observed_span(Y)
    if last - first < min(FEWEST_OCCASIONS, Y.shape[1]):
        raise NotEstimable(
            f"there are scores at {last - first} occasions only: {FEWEST_OCCASIONS} are needed"
        )
    return Y[:, first:last], (first + 1, last)


def _columns_vary(rows, variables) -> None:
    seen = ~np.isnan(rows)
    for column, present in enumerate(seen.T):
        name, occasion = variables[column % len(variables)], column // len(variables) + 1
        if not present.any():
            raise NotEstimable(f"nobody has {name} at occasion {occasion}")
        values = rows[present, column]
        if np.ptp(values) <= SAME * np.abs(values).max():
            raise NotEstimable(f"{name} does not vary at occasion {occasion}")


def check_covariates(covariates, names, n: int):
    """Covariates as an (n, k) array, k = 0 without, and their names."""
    z = np.empty((n, 0)) if covariates is None else real_array(covariates, "covariates", booleans=True)
    z = z[:, None] if z.ndim == 1 else z
    if z.ndim != 2 or len(z) != n:
        raise ValueError(f"covariates must be ({n}, k), one row per person, got {np.shape(covariates)}")
    return z, _finite_and_named(z, "covariates", "z", names)


def check_predictors(predictors, predetermined, names, shape):
    """Further predictors as an (n, T, m) array, m = 0 without, m marks and m names; `shape` is that of Y."""
    n, T = shape[:2]
    w = np.empty((n, T, 0)) if predictors is None else real_array(predictors, "predictors", booleans=True)
    w = w[:, :, None] if w.ndim == 2 else w
    if w.ndim != 3 or w.shape[:2] != (n, T):
        raise ValueError(
            f"predictors must be ({n}, {T}, m), persons and occasions as Y's, got {np.shape(predictors)}"
        )
    names = _finite_and_named(w, "predictors", "w", names)
    marks = (predetermined,) * len(names) if isinstance(predetermined, bool) else tuple(predetermined)
    if len(marks) != len(names) or not all(isinstance(mark, (bool, np.bool_)) for mark in marks):
        raise ValueError(
            f"predetermined must be True or False, or that for each of {len(names)} predictors, got {predetermined}"
        )
    return w, tuple(map(bool, marks)), names


def _finite_and_named(values, what: str, letter: str, names) -> tuple[str, ...]:
    """Names of the columns (last axis) of values that are finite or missing."""
    if np.isinf(values).any():
        person, *between, column = np.argwhere(np.isinf(values))[0]
        where = "".join(f", occasion {t + 1}" for t in between)
        raise ValueError(
            f"{what} must be finite, or NaN where missing: person {person}{where}, column {column}"
        )
    count = values.shape[-1]
    names = tuple(f"{letter}{j + 1}" for j in range(count)) if names is None else tuple(map(str, names))
    if len(names) != count or len(set(names)) != count:
        raise ValueError(f"{count} different names of {what} are needed, got {names}")
    return names


def _covariate_spread(z, names) -> np.ndarray:
    spread = np.empty(z.shape[1])
    for j, name in enumerate(names):
        seen = z[~np.isnan(z[:, j]), j]
        spread[j] = seen.std() if len(seen) else 0.0
        if not spread[j] > SAME * np.abs(seen).max(initial=0.0):
            raise NotEstimable(f"covariate {name} never varies")
    return spread


@dataclass(frozen=True)
class DpmSolved:
    """One direction of b data sets.

    Attributes
    ----------
    estimate, std_error : (b, r) arrays
        The parameters `DpmStructure.reported`.
    cov : (b, r, r) array
    loglik, converged, iterations, n_obs : (b,) arrays
    least : (b,) array
        Least eigenvalue of the correlation-like matrix of unit effect, covariates, predictors and first outcome.
    n_parameters : (b,) int array
        Means included.
    messages : tuple of str
    """

    estimate: np.ndarray
    std_error: np.ndarray
    cov: np.ndarray
    loglik: np.ndarray
    converged: np.ndarray
    iterations: np.ndarray
    n_obs: np.ndarray
    least: np.ndarray
    n_parameters: np.ndarray
    messages: tuple[str, ...]


@dataclass(frozen=True)
class DpmStructure:
    """``y_t = b1 x_{t-1} + b2 y_{t-1} + d'w_{t-1} + c'z + u_t``, ``u_t = alpha + e_t``, t = 2 .. T.

    Observed columns are z_1 .. z_k, then x_1, w_1, y_1, x_2, w_2, y_2, ..., y_{T-1}, y_T. The unit effect alpha
    shows in the covariances of the u: with one another (its variance A), with y_1 and with each x_s and w_s of the past
    (its covariances G); it is uncorrelated with z. Where x_s, or a predetermined w_s, comes after e_t their covariance
    is free; with other w all covariances of u are G. So every covariance is one parameter, and theta is: b1, b2, d, c,
    A, V (variance of u_t, A and that of e_t; per occasion if `residuals` are free), G with y_1, x_1 .. x_{T-1} and each
    w_1 .. w_{T-1}, the covariances of z, x, w and y_1, and those of u_t with later x and w.

    Attributes
    ----------
    occasions, covariates : int
        T and k.
    predetermined : tuple of bool
        Of each further predictor w, whether e_t may correlate with later ones (False: it is strictly exogenous).
    residuals : {"equal", "free"}
        Variance of e_t.
    simultaneous : bool
        Whether e_t may correlate with x_t of its own occasion.
    """

    occasions: int
    covariates: int
    residuals: str
    simultaneous: bool
    predetermined: tuple[bool, ...] = ()
    base: LinearStructure = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        object.__setattr__(self, "base", _linear(self))

    @property
    def n_parameters(self) -> int:
        """Length of theta."""
        return self.base.n_parameters

    @property
    def n_predictors(self) -> int:
        """x and the further ones."""
        return 1 + len(self.predetermined)

    @property
    def n_paths(self) -> int:
        """Coefficients: b1, b2, d, c."""
        return 1 + self.n_predictors + self.covariates

    @property
    def n_columns(self) -> int:
        """Observed columns."""
        return self.y(self.occasions) + 1

    @property
    def curved(self) -> tuple[int, ...]:
        """Parameters in which Sigma is not linear when the others are held: b1, b2, d, c."""
        return self.base.curved

    @property
    def n_residuals(self) -> int:
        """Residual variances: one, or T - 1."""
        return self.occasions - 1 if self.residuals == "free" else 1

    def sigma(self, theta):
        """Implied covariance matrix, (..., p, p)."""
        return self.base.sigma(theta)

    def jacobian(self, theta):
        """Its derivatives, (..., K, p, p)."""
        return self.base.jacobian(theta)

    def pullback(self, theta, G):
        """Inner products of the derivatives with symmetric matrices G, (..., K)."""
        return self.base.pullback(theta, G)

    def x(self, t: int, j: int = 0) -> int:
        """Column of x_t, or of further predictor j = 1, 2, ..., t = 1 .. T - 1."""
        return self.covariates + (self.n_predictors + 1) * (t - 1) + j

    def y(self, t: int) -> int:
        """Column of y_t."""
        return self.x(t, self.n_predictors if t < self.occasions else 0)

    def freed(self, t: int, s: int, j: int) -> bool:
        """Whether e_t may correlate with x_s, or with further predictor j = 1, 2, ... at s."""
        return (j == 0 or self.predetermined[j - 1]) and s >= (t if self.simultaneous else t + 1)

    def reported(self, theta, cov):
        """b1, b2, d, c, A and the variances of e: values (b, r) and their covariances (b, r, r)."""
        first = self.n_paths
        turn = np.eye(first + 1 + self.n_residuals, self.n_parameters)
        turn[first + 1 :, first] = -1.0
        return theta @ turn.T, turn @ cov @ turn.T

    def unit_effects(self, theta):
        """Covariance matrix of alpha, z, x_1 .. x_{T-1}, w and y_1, (b, .., ..), from theta (b, K)."""
        first = self.n_paths
        shared = first + 1 + self.n_residuals
        past = self.n_predictors * (self.occasions - 1) + 1
        exogenous = self.covariates + past
        rows, cols = np.tril_indices(exogenous)
        out = np.zeros((len(theta), exogenous + 1, exogenous + 1))
        at = shared + past
        out[:, rows + 1, cols + 1] = out[:, cols + 1, rows + 1] = theta[:, at : at + len(rows)]
        out[:, 0, 0] = theta[:, first]
        places = [*range(self.covariates + 1, exogenous), exogenous]
        with_x, with_y = theta[:, shared + 1 : at], theta[:, shared]
        out[:, 0, places] = out[:, places, 0] = np.column_stack([with_x, with_y])
        return out

    def names(self, predictor: str, outcome: str, others) -> tuple[str, ...]:
        """Names of the `reported` parameters; `others` are those of further predictors, then covariates."""
        arrows = [f"{name}->{outcome}" for name in (predictor, outcome, *others)]
        residual = f"var(residual_{outcome})"
        free = [f"{residual}[{t}]" for t in range(2, self.occasions + 1)]
        return (*arrows, f"var(unit_effect_{outcome})", *(free if self.residuals == "free" else [residual]))

    def scales(self, spread):
        """Units of theta for columns in units of `spread` (..., p): theta of the raw data over the scaled data's."""
        out = np.empty((*spread.shape[:-1], self.n_parameters))
        for k, ((i, j), *_) in self.base.paths.items():
            out[..., k] = spread[..., i] / spread[..., j]
        for k, ((i, j), *_) in self.base.covariances.items():
            out[..., k] = spread[..., i] * spread[..., j]
        return out


def solve(structure: DpmStructure, panels, outcome: int, se: str) -> DpmSolved:
    """Fit one direction's model to checked panels (:class:`~twostage.stats.dpm.fit.DpmPanel`) at once."""
    rows, spread = zip(*(panel.direction(outcome) for panel in panels), strict=True)
    order = [1 - outcome, outcome]
    scores = [p.scores.reshape(len(p.rows), -1, 2)[:, :, order].reshape(len(p.rows), -1) for p in panels]
    return _solve_patterns(structure, group_patterns(rows), group_patterns(scores), np.array(spread), se)


def _solve_patterns(structure: DpmStructure, patterns, whole, spread, se: str) -> DpmSolved:
    """The same of data sets by pattern; `whole` has all columns of the scores, `spread` (b, p) the columns' units."""
    usual, persistent = (starting_values(structure, whole, persistent=last) for last in (False, True))
    optimum = maximise(structure.base, patterns, usual)
    optimum = maximise_again(structure.base, patterns, optimum, persistent, ~optimum.converged)
    if not optimum.converged.all():
        loose = (unrelated(structure, patterns, lag) for lag in _OWN_LAGS)
        optimum = maximise_lost(structure.base, patterns, optimum, (usual, persistent, *loose))
    information = inverse_positive(optimum.information)
    if se == "sandwich":
        information = information @ score_products(structure.base, patterns, optimum.point) @ information
    units = structure.scales(spread)
    cov = information * units[:, :, None] * units[:, None, :]
    estimate, cov = structure.reported(optimum.point.theta * units, cov)
    lost = (patterns.column_counts() * np.log(spread)).sum(axis=1)
    return DpmSolved(
        estimate=estimate,
        std_error=np.sqrt(np.einsum("bkk->bk", cov)),
        cov=cov,
        loglik=-optimum.point.value - lost,
        converged=optimum.converged,
        iterations=optimum.iterations,
        n_obs=patterns.n_obs,
        least=np.linalg.eigvalsh(structure.unit_effects(optimum.point.theta))[:, 0],
        n_parameters=structure.n_parameters + (patterns.column_counts() > 0).sum(axis=1),
        messages=tuple(optimum.message(b) for b in range(len(spread))),
    )


def faults(structure: DpmStructure, estimate, least, names) -> tuple[str, ...]:
    """What is not admissible in one direction, in words with numbers: `estimate` (r,), `least` its eigenvalue."""
    first = structure.n_paths
    variances = zip(names[first:], estimate[first:], strict=True)
    found = [f"{name} is negative ({value:.4g})" for name, value in variances if value < 0.0]
    if not found and least < 0.0:
        outcome = names[first].removeprefix("var(unit_effect_").removesuffix(")")
        found = [f"the unit effect on {outcome} is correlated beyond 1 with predictors and first outcome"]
    return tuple(found)


def _linear(model: DpmStructure) -> LinearStructure:
    """Places of the parameters among the columns; y_t's place in S is u_t's."""
    T, k = model.occasions, model.covariates
    later, past = range(2, T + 1), range(1, T)
    x, y, predictors, freed = model.x, model.y, range(model.n_predictors), model.freed
    paths = [[(y(t), x(t - 1)) for t in later], [(y(t), y(t - 1)) for t in later]]
    paths += [[(y(t), x(t - 1, j)) for t in later] for j in predictors[1:]]
    paths += [[(y(t), z) for t in later] for z in range(k)]
    own = [[(y(t), y(t))] for t in later]
    groups = [[(y(t), y(s)) for t in later for s in later if s < t]]
    groups += own if model.residuals == "free" else [[place for one in own for place in one]]
    groups += [[(y(t), y(1)) for t in later]]
    groups += [[(y(t), x(s, j)) for t in later if not freed(t, s, j)] for j in predictors for s in past]
    exogenous = [*range(k), *(x(s, j) for j in predictors for s in past), y(1)]
    groups += [[(a, b)] for at, a in enumerate(exogenous) for b in exogenous[: at + 1]]
    groups += [[(y(t), x(s, j))] for j in predictors for t in later for s in past if freed(t, s, j)]
    covariances = [[(max(place), min(place)) for place in group] for group in groups]
    numbered = dict(enumerate(covariances, start=len(paths)))
    return LinearStructure(
        np.eye(model.n_columns), dict(enumerate(paths)), numbered, len(paths) + len(covariances)
    )


def starting_values(model: DpmStructure, panels, *, persistent=False):
    """Starting values (b, K): a random-intercept cross-lagged panel model's, which is a special case.

    Parameters
    ----------
    panels : Patterns
        Of the whole panels, columns x_1, y_1, ..., x_T, y_T of unit variance.
    persistent : bool
        As of :func:`twostage.stats.riclpm.model.starting_values`.
    """
    special = RiclpmStructure(model.occasions, "equal", "equal", "free")
    theta = riclpm_starting_values(special, panels, persistent=persistent)
    if not model.simultaneous:
        theta[:, -2] = 0.0
    whole = special.sigma(theta)
    kept = [*range(2 * model.occasions - 2), 2 * model.occasions - 1]
    p, T = model.n_columns, model.occasions
    sigma = np.broadcast_to(np.eye(p), (len(theta), p, p)).copy()
    places = np.array([*(column for t in range(1, T) for column in (model.x(t), model.y(t))), model.y(T)])
    sigma[:, places[:, None], places] = whole[:, kept][:, :, kept]
    out = np.zeros((len(theta), model.n_parameters))
    out[:, :2] = special.phi(theta)[:, 1]
    B = np.zeros_like(sigma)
    for c in range(2):
        i, j = np.transpose(model.base.paths[c])
        B[:, i, j] = out[:, c, None]
    left = np.eye(p) - B
    S = left @ sigma @ np.swapaxes(left, 1, 2)
    for c, places in model.base.covariances.items():
        i, j = np.transpose(places)
        out[:, c] = S[:, i, j].mean(axis=1)
    return out


# Own lags of y to start from where nothing else led to a maximum, and the share of the errors that is the unit effect's.
_OWN_LAGS, _LASTING = (0.0, 0.9), 0.05


def unrelated(model: DpmStructure, patterns, lag: float):
    """Starting values (b, K) with an own lag of y and no other relation, for `patterns` of the model's columns."""
    variance = np.einsum("bpp->bp", patterns.pairwise_covariance()[0])
    out = np.zeros((patterns.n_sets, model.n_parameters))
    out[:, 1] = lag
    errors = range(model.n_paths + 1, model.n_paths + 1 + model.n_residuals)
    for c, places in model.base.covariances.items():
        i, j = np.transpose(places)
        if (i == j).all():
            out[:, c] = variance[:, i].mean(axis=1) * (1.0 - lag**2 if c in errors else 1.0)
    out[:, model.n_paths] = _LASTING * out[:, errors].min(axis=1)
    return out


_ALLOWED = {"residuals": ("equal", "free"), "se": ("observed", "sandwich")}


# Data sets whose arrays are held at once: the derivatives of one take a megabyte.
_AT_ONCE = 25


def fit_dpm(
    Y: ArrayLike,
    *,
    covariates: ArrayLike | None = None,
    predictors: ArrayLike | None = None,
    predetermined: bool | Sequence[bool] = True,
    residuals: Literal["equal", "free"] = "equal",
    simultaneous: bool = True,
    se: Literal["observed", "sandwich"] = "observed",
    level: float = 0.95,
    variables: tuple[str, str] = ("x", "y"),
    covariate_names: Sequence[str] | None = None,
    predictor_names: Sequence[str] | None = None,
) -> DpmFit:
    """Fit dynamic panel models of x on y and of y on x by maximum likelihood on all available data.

    ``y_it = mu_t + b1 x_i,t-1 + b2 y_i,t-1 + d'w_i,t-1 + c'z_i + alpha_i + e_it``, t = 2 .. T, and the same with the
    roles exchanged. The unit effect alpha correlates freely with y_1 and with every x and w; x is predetermined: e_t is
    uncorrelated with x and y of the past, free to correlate with x of its own occasion (`simultaneous`) and later.

    Parameters
    ----------
    Y : (n, T, 2) array
        Persons, occasions (3 or more, equally spaced), the two variables; NaN where missing (at random). Occasions
        before the first and after the last score of anybody are left out.
    covariates : (n, k) array, optional
        Time-invariant predictors z, uncorrelated with alpha; NaN where missing. Persons without any score are left
        out whatever their covariates.
    predictors : (n, T, m) array, optional
        Further time-varying predictors w, each with an effect on the next occasion's y; NaN where missing. For an
        effect at its own occasion, give the predictor one occasion earlier.
    predetermined : bool, or one for each further predictor
        True: what was said of x. False: strictly exogenous, e_t is uncorrelated with w of all occasions.
    residuals : {"equal", "free"}
        Variance of e_t the same at all occasions, or one per occasion.
    simultaneous : bool
        False: e_t is uncorrelated with x_t too, as the R package dpm has it. That is wrong where shocks hit both
        variables at once.
    se : {"observed", "sandwich"}
        Standard errors from the observed information, or the robust ones.
    level : float
        Coverage of confidence intervals.
    variables : (str, str)
        Names of the two variables.
    covariate_names, predictor_names : sequence of str, optional
        Default z1, z2, ... and w1, w2, ...

    Returns
    -------
    DpmFit

    Raises
    ------
    ValueError
        Wrong shapes, fewer than three occasions, infinite values (named), an unknown option.
    NotEstimable
        No more persons than parameters besides the means (54 with seven occasions), a variable that never varies,
        two variables that are one, nobody with a variable at an occasion and a variable at the next, an occasion
        between others at which nobody has one of the variables or it does not vary.

    Notes
    -----
    Allison, Williams & Moral-Benito (2017), doi:10.1177/2378023117710578; the likelihood of all available data
    (Arbuckle 1996). Means are free and profiled: occasion effects cost nothing. The unit effect enters as the
    common part of the errors alpha + e_t, so no variance is constrained: one that comes out negative is reported
    and the fit is not `admissible`. The last x of a direction has no role in it. The random-intercept
    cross-lagged panel model is a special case. Three occasions barely identify the model: look at `converged` and
    the errors. Checked against lavaan on complete and incomplete panels, on panels near a unit root, and on the
    published model of weeks worked (Allison et al. 2017, table 3), with a predetermined and an exogenous predictor.

    Examples
    --------
    >>> import twostage as ts
    >>> panel = ts.make_panel(ts.read_collection("data").study("S02"))
    >>> fit = ts.fit_dpm(panel.wide()[0])
    >>> fit.phi.round(3)
    array([[ 0.523,  0.035],
           [-0.231,  0.454]])
    """
    rules = _rules(residuals, simultaneous, se, level, variables)
    z, z_names = check_covariates(covariates, covariate_names, len(Y))
    w, marks, w_names = check_predictors(predictors, predetermined, predictor_names, np.shape(Y))
    named = (*rules["variables"], *w_names, *z_names)
    if len(set(named)) < len(named):
        raise ValueError(f"variables, predictors and covariates need different names, got {named}")
    Y, occasions = with_scores(Y)
    w = w[:, occasions[0] - 1 : occasions[1]]
    structure = replace(_structure([Y], z.shape[1], rules), predetermined=marks)
    panel = check_dpm(Y, z, rules["variables"], z_names, structure.n_parameters, w, w_names)
    pair = [solve(structure, [panel], k, se) for k in (0, 1)]
    names = _names(structure, rules, named[2:])
    found = [faults(structure, one.estimate[0], one.least[0], names[k]) for k, one in enumerate(pair)]
    arrays = ("estimate", "std_error", "cov", "loglik", "n_parameters", "converged", "n_obs", "iterations")
    both = {name: np.array([getattr(one, name)[0] for one in pair]) for name in arrays}
    return DpmFit(
        phi=_phi(both["estimate"]),
        phi_se=_phi(both["std_error"]),
        names=names,
        admissible=np.array([not texts for texts in found]),
        problems=tuple(text for texts in found for text in texts),
        occasions=occasions,
        n_dropped=panel.dropped,
        messages=tuple(one.messages[0] for one in pair),
        **both,
        **rules,
    )


def dpm_indices(Y, fit: DpmFit, *, covariates=None, predictors=None) -> tuple[FitIndices, FitIndices]:
    """Goodness of fit of both directions' models, of x and of y.

    Parameters
    ----------
    Y, covariates, predictors
        As given to :func:`fit_dpm`, which made `fit`.

    Returns
    -------
    tuple of two :class:`~twostage.stats.riclpm.fit_indices.FitIndices`

    Raises
    ------
    NotEstimable
        A direction, or the model without restrictions, did not converge.

    Examples
    --------
    >>> import twostage as ts
    >>> from twostage.stats.dpm import dpm_indices
    >>> scores, _ = ts.make_panel(ts.read_collection("data").study("S02")).wide()
    >>> of_x, of_y = dpm_indices(scores, ts.fit_dpm(scores))
    >>> of_y.df
    37
    """
    if not fit.converged.all():
        raise NotEstimable("the panel model did not converge")
    z, _ = check_covariates(covariates, None, len(Y))
    w, _, _ = check_predictors(predictors, True, None, np.shape(Y))
    Y, (first, last) = with_scores(Y)
    scored = ~np.isnan(Y).all(axis=(1, 2))
    spread = np.ones(z.shape[1] + 2 + w.shape[2])
    rows = np.hstack([z, Y.reshape(len(Y), -1)])[scored]
    panel = DpmPanel(rows, w[scored, first - 1 : last], spread, z.shape[1], fit.n_dropped)
    of_x, of_y = (
        indices_of(panel.direction(k)[0], float(fit.loglik[k]), int(fit.n_parameters[k])) for k in (0, 1)
    )
    return of_x, of_y


def fit_dpm_many(
    sets, *, residuals="equal", simultaneous=True, se="observed", level=0.95, variables=("x", "y")
) -> DpmBatch:
    """Fit the models, without covariates, to many data sets of the same number of occasions at once.

    Parameters
    ----------
    sets : sequence of (n_b, T, 2) arrays, or an array (B, n, T, 2)
        Data sets: simulation replicates, bootstrap samples, studies. Persons and missingness may differ.
    residuals, simultaneous, se, level, variables
        As of :func:`fit_dpm`.

    Returns
    -------
    DpmBatch
        Entry b holds the numbers of ``fit_dpm(sets[b], ...)``. A data set that cannot be fitted has NaN, is not
        converged, and its message is the error that :func:`fit_dpm` raises; the others are not touched by it.

    Raises
    ------
    ValueError
        No data set, an unknown option, or data sets that differ in the number of occasions.
    """
    rules = _rules(residuals, simultaneous, se, level, variables)
    full = _structure(sets, 0, rules)
    names = _names(full, rules, ())
    whole = _empty(len(sets), len(names[0]))
    by_span, messages = _checked(sets, full, rules)
    for structure, panels in by_span.items():
        kept = list(panels)
        for part in (kept[start : start + _AT_ONCE] for start in range(0, len(kept), _AT_ONCE)):
            pair = [solve(structure, [panels[b] for b in part], k, se) for k in (0, 1)]
            _write(whole, part, pair, structure, names)
            messages |= {b: _message([one.messages[at] for one in pair], names) for at, b in enumerate(part)}
    phi, phi_se = _phi(whole["estimate"]), _phi(whole["std_error"])
    messages = tuple(messages[b] for b in range(len(sets)))
    return DpmBatch(phi=phi, phi_se=phi_se, names=names, messages=messages, **whole, **rules)


def fit_dpm_sums(sums: PatternSums, *, level=0.95, variables=("x", "y")) -> DpmBatch:
    """Fit the models, without covariates and with equal residuals, to a panel whose rows came in pieces.

    Parameters
    ----------
    sums : PatternSums
        Of the columns x_1, y_1, x_2, ...
    level, variables
        As of :func:`fit_dpm`.

    Returns
    -------
    DpmBatch
        Of one data set: the numbers of :func:`fit_dpm_many`.
    """
    rules = _rules("equal", True, "observed", level, variables)
    names = _names(DpmStructure(sums.n_columns // 2, 0, "equal", True), rules, ())
    whole = _empty(1, len(names[0]))
    try:
        pair, structure = _solve_sums(sums, rules["variables"])
        _write(whole, [0], pair, structure, names)
        message = _message([one.messages[0] for one in pair], names)
    except NotEstimable as error:
        message = str(error)
    phi, phi_se = _phi(whole["estimate"]), _phi(whole["std_error"])
    return DpmBatch(phi=phi, phi_se=phi_se, names=names, messages=(message,), **whole, **rules)


def _solve_sums(sums: PatternSums, variables) -> tuple[list[DpmSolved], DpmStructure]:
    """Both directions' models with equal residual variances; columns x_1, y_1, x_2, ...

    Raises
    ------
    NotEstimable
        As :func:`twostage.stats.dpm.input.check_dpm`.
    """
    sums = _sums_with_scores(sums)
    structure = DpmStructure(sums.n_columns // 2, 0, "equal", True)
    found = PanelMoments(sums)
    if fault := found.fault(variables, structure.n_parameters):
        raise NotEstimable(fault)
    _sums_vary(found, variables)
    spread = np.tile(found.spread, structure.occasions)
    scaled, pair = sums.scaled(spread), []
    for outcome in (0, 1):
        order = np.arange(sums.n_columns).reshape(-1, 2)[:, [1 - outcome, outcome]].ravel()
        kept = np.delete(order, -2)
        patterns, whole = scaled.columns(kept).grouped(), scaled.columns(order).grouped()
        pair.append(_solve_patterns(structure, patterns, whole, spread[kept][None], "observed"))
    return pair, structure


def _sums_with_scores(sums: PatternSums) -> PatternSums:
    """From the first occasion with a score to the last."""
    there = np.flatnonzero(sums.masks().reshape(-1, sums.n_columns // 2, 2).any(axis=(0, 2)))
    if not len(there):
        raise NotEstimable("there are no persons")
    first, last = there[0], there[-1] + 1
    if last - first < min(FEWEST_OCCASIONS, sums.n_columns // 2):
        raise NotEstimable(
            f"there are scores at {last - first} occasions only: {FEWEST_OCCASIONS} are needed"
        )
    return sums.columns(np.arange(2 * first, 2 * last))


def _sums_vary(found: PanelMoments, variables) -> None:
    for column, (count, square) in enumerate(zip(found.counts, np.diagonal(found.pairs), strict=True)):
        name, occasion = variables[column % 2], column // 2 + 1
        if not count:
            raise NotEstimable(f"nobody has {name} at occasion {occasion}")
        if np.sqrt(square / count) <= SAME * found.size[column % 2]:
            raise NotEstimable(f"{name} does not vary at occasion {occasion}")


def _checked(sets, full: DpmStructure, rules):
    """Panels that can be fitted, by the structure for their occasions with scores; and why others cannot."""
    by_span, messages = {}, {}
    for b, Y in enumerate(sets):
        try:
            one, (first, last) = with_scores(Y)
            if last - first + 1 < full.occasions and rules["residuals"] == "free":
                raise NotEstimable("residual variances are free, and at some occasion nobody has a score")
            structure = _structure([one], 0, rules)
            panel = check_dpm(one, np.empty((len(one), 0)), rules["variables"], (), structure.n_parameters)
            by_span.setdefault(structure, {})[b] = panel
        except ValueError as error:
            messages[b] = str(error)
    return by_span, messages


def _write(whole: dict, part, pair, structure, names) -> None:
    """Both directions of some data sets into their places."""
    for k, one in enumerate(pair):
        for name in ("estimate", "std_error", "loglik", "converged", "n_obs", "iterations"):
            whole[name][part, k] = getattr(one, name)
        rows = zip(one.estimate, one.least, strict=True)
        whole["admissible"][part, k] = [not faults(structure, *row, names[k]) for row in rows]


def _rules(residuals, simultaneous, se, level, variables):
    for name, value in (("residuals", residuals), ("se", se)):
        check_choice(name, value, _ALLOWED[name])
    rules = {"residuals": residuals, "simultaneous": bool(simultaneous), "se": se}
    return rules | {"level": check_level(level), "variables": check_variables(variables)}


def _structure(sets, covariates, rules) -> DpmStructure:
    """The model for the data sets' number of occasions."""
    return DpmStructure(common_occasions(sets), covariates, rules["residuals"], rules["simultaneous"])


def _names(structure, rules, others):
    """Names of the reported parameters of the equations of x and of y."""
    x, y = rules["variables"]
    return structure.names(y, x, others), structure.names(x, y, others)


def _phi(reported):
    """The lag coefficients (..., 2, 2) from both equations' parameters (..., 2, r): cross-lag, own lag, ..."""
    phi = np.empty((*reported.shape[:-2], 2, 2))
    phi[..., [0, 1], [1, 0]] = reported[..., 0]
    phi[..., [0, 1], [0, 1]] = reported[..., 1]
    return phi


def _empty(B: int, r: int) -> dict:
    whole = {name: np.full((B, 2, r), np.nan) for name in ("estimate", "std_error")}
    whole |= {"loglik": np.full((B, 2), np.nan)}
    whole |= {name: np.zeros((B, 2), dtype=bool) for name in ("converged", "admissible")}
    return whole | {name: np.zeros((B, 2), dtype=int) for name in ("n_obs", "iterations")}


def _message(both, names) -> str:
    """How both directions ended, said once where it is the same."""
    arrows = [of_direction[0] for of_direction in names]
    return "; ".join(f"{arrow}: {text}" for arrow, text in zip(arrows, both, strict=True))
