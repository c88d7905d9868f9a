"""The equations of :mod:`twostage.stage1.equations` for a study in pieces: sums over pieces, then the same fit.

Each analysis goes over the pieces once for its sums and, where patients are to be clusters, once more for what each adds
to the coefficients. The fitted numbers are those of the whole study in memory, to rounding.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit

from twostage.collection import LargeStudy, Piece
from twostage.params import Parameters
from twostage.stage1.aggregates import StudyAggregates, aggregates, onestage
from twostage.stage1.each_transition import transition
from twostage.stage1.equations import (
    NO_RESIDUAL,
    SAME_OUTCOMES,
    crosslevel,
    fisher_z,
    lagged,
    outcome,
    summary,
    too_few_outcomes,
)
from twostage.stage1.estimates import (
    Equation,
    Equations,
    JointCovariance,
    StudyEstimates,
    collect,
    counted,
    require,
)
from twostage.stage1.large.panel import LargePanel, Treatment
from twostage.stage1.panel import ROUNDING, make_panel
from twostage.stage1.sensitivity import sensitivity, stacked_variants
from twostage.stage1.vocabulary import (
    GROUPS,
    LOST_OUTCOME,
    OUTCOME_CONTROLS,
    lost_lagged,
    transitions,
    variants,
)
from twostage.stats.base import Attempt, LeastSquares, Moments, Spread, attempt, least_squares
from twostage.stats.centred import CentredTransitions, centred_transitions
from twostage.stats.mixed import (
    ClusterSums,
    MixedFit,
    MixedSums,
    StackedSums,
    clustered,
    influence,
    with_clustered_errors,
)
from twostage.terms import DIRECTIONS, Direction

#: Patients up to whom random slopes are fitted: they need some 30 numbers of each patient in memory, twice.
MOST_SLOPES = 2_000_000


#: Why a study in pieces has no effects of each transition.
NO_FREE_LAGS = (
    "the panel model with lags of each transition is fitted in memory only; this study is read in pieces"
)


@dataclass(frozen=True)
class Rows:
    """The equation of one direction: which columns the rows of a piece have.

    Attributes
    ----------
    treatment : Treatment
    direction : Direction
    products : bool
        Whether the cross-lagged predictor is multiplied with both person means.
    occasions : tuple of int
        Sessions of the outcome that have an effect of their own.
    slopes : bool
    centre : (2,) array
        What the person means are centred on.
    """

    treatment: Treatment
    direction: Direction
    products: bool = False
    occasions: tuple[int, ...] = ()
    slopes: bool = False
    centre: np.ndarray | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The coefficients."""
        own = self.direction.crosslevel if self.products else self.direction.lagged
        return (*own, *(f"session_{t}" for t in self.occasions))

    def of(self, rows: CentredTransitions) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
        """y, X, patients and Z of a piece's transitions."""
        outcome = "xy".index(self.direction.outcome)
        seen, p = ~np.isnan(rows.following[:, outcome]), self.treatment.parameters
        seen = slice(None) if seen.all() else np.flatnonzero(seen)
        session = p.first_session + rows.session[seen] + p.lag
        # One column after the other in memory, as they are worked on.
        X = np.empty((len(self.names), len(session)))
        X[0] = 1.0
        X[1], X[2] = rows.within[seen, 1 - outcome], rows.within[seen, outcome]
        X[3:5] = rows.mean[seen].T
        if self.centre is not None:
            X[3:5] -= self.centre[:, None]
        if self.products:
            np.multiply(X[1], X[3:5], out=X[5:7])
        for at, t in enumerate(self.occasions):
            X[5 + at] = session == t
        Z = X[:3].T if self.slopes else None
        return rows.following[seen, outcome], X.T, rows.patient[seen], Z


@dataclass(frozen=True)
class RowSums:
    """One equation's sums: the model's, and what is asked of the rows beforehand.

    Attributes
    ----------
    model : MixedSums
    within : Spread
        Of the deviations of x and y.
    persons : Moments
        Of the patients' means.
    largest : (2,) array
        Greatest mean of a patient in size.
    """

    model: MixedSums
    within: Spread
    persons: Moments
    largest: np.ndarray

    def __add__(self, other: "RowSums") -> "RowSums":
        return RowSums(
            self.model + other.model,
            self.within + other.within,
            self.persons + other.persons,
            np.maximum(self.largest, other.largest),
        )


@dataclass(frozen=True)
class SumUp:
    """A piece's sums of some equations of one treatment."""

    treatment: Treatment
    equations: tuple[Rows, ...]

    def __call__(self, piece: Piece) -> tuple[RowSums, ...]:
        transitions = centred_transitions(self.treatment.eligible(piece), self.treatment.parameters.lag)
        return tuple(_row_sums(equation, transitions) for equation in self.equations)


def _row_sums(equation: Rows, transitions: CentredTransitions) -> RowSums:
    y, X, patient, Z = equation.of(transitions)
    new = np.r_[True, patient[1:] != patient[:-1]] if len(patient) else np.zeros(0, bool)
    variables = [1, 2] if equation.direction.predictor == "x" else [2, 1]
    means = X[new][:, 3:5]
    return RowSums(
        MixedSums(equation.names, 3 if equation.slopes else 1).add(y, X, patient, Z),
        Spread.of(X.T[variables].T),
        Moments.of(means),
        np.abs(means).max(axis=0, initial=0.0),
    )


@dataclass(frozen=True)
class Influence:
    """What a piece's patients add to the coefficients of fitted equations, as sums of products."""

    treatment: Treatment
    equations: tuple[Rows, ...]
    fits: tuple[MixedFit, ...]

    def __call__(self, piece: Piece) -> StackedSums:
        scores = self.treatment.eligible(piece)
        transitions = centred_transitions(scores, self.treatment.parameters.lag)
        parts = []
        for equation, fit in zip(self.equations, self.fits, strict=True):
            y, X, patient, Z = equation.of(transitions)
            parts.append(influence(fit, y, X, patient, Z) if len(y) else ([], np.zeros((0, X.shape[1]))))
        return StackedSums.of(parts, len(scores))


@dataclass(frozen=True)
class Clusters:
    """What a piece's patients add to the covariances of fitted equations, patients as clusters."""

    treatment: Treatment
    equations: tuple[Rows, ...]
    fits: tuple[MixedFit, ...]

    def __call__(self, piece: Piece) -> tuple[ClusterSums, ...]:
        transitions = centred_transitions(self.treatment.eligible(piece), self.treatment.parameters.lag)
        pairs = zip(self.equations, self.fits, strict=True)
        return tuple(clustered(fit, *equation.of(transitions)) for equation, fit in pairs)


def with_patients(panel: LargePanel, equations: list[Rows], fits: list[Attempt]) -> list[Attempt]:
    """The fits with patients as clusters, which takes a pass of its own; as they are if the model's errors are wanted."""
    done = [at for at, fit in enumerate(fits) if fit]
    if panel.parameters.stage1_errors == "model" or not done:
        return fits
    chosen = tuple(equations[at] for at in done), tuple(fits[at].result for at in done)
    sums = panel.over(Clusters(equations[done[0]].treatment, *chosen))
    robust = dict(zip(done, sums, strict=True))
    return [
        attempt(with_clustered_errors, fit.result, robust[at]) if at in robust else fit
        for at, fit in enumerate(fits)
    ]


def fit_rows(sums: RowSums) -> MixedFit:
    """Fit one equation; as the same in memory, with the same reasons where it cannot be fitted."""
    model, p = sums.model, len(sums.model.names)
    require(model.n > p + 1, f"{model.n} transitions are too few for {p} coefficients")
    for name, varies in zip("xy", sums.within.varies(ROUNDING, sums.largest), strict=True):
        require(bool(varies), f"{name} does not vary within patients")
    require(model.leaves_residual(ROUNDING), NO_RESIDUAL)
    return model.fit()


def _equation(fit: MixedFit, level: float) -> Equation:
    table = fit.tidy(level).assign(converged=fit.converged, singular=fit.singular)
    covariance = pd.DataFrame(fit.cov_coef, index=list(fit.names), columns=list(fit.names))
    return Equation(counted(table, fit.n_groups, fit.n_obs), covariance, summary(fit))


def _both_directions(panel: LargePanel, analysis: str, *, joint: bool = True, **options) -> StudyEstimates:
    p, treatment = panel.parameters, panel.treatment
    lost = lost_lagged(p)
    if p.random_slopes and panel.n_patients > MOST_SLOPES:
        text = (
            f"random slopes need some numbers of every patient in memory; this study of {panel.n_patients:,} patients "
            f"is read in pieces, and they are fitted to at most {MOST_SLOPES:,}"
        )
        return collect(panel, analysis, {("main", d): Attempt(None, text) for d in DIRECTIONS}, lost)
    equations = [Rows(treatment, d, slopes=p.random_slopes, **options) for d in DIRECTIONS.values()]
    fits = []
    for at, found in enumerate(_sums(panel, equations)):
        if equations[at].products and found.model.n:
            equations[at], found = _about_the_mean(equations[at], found)
        fits.append(attempt(fit_rows, found))
    robust = with_patients(panel, equations, fits)
    results: Equations = {
        ("main", e.direction.name): attempt(_equation, fit, p.level)
        for e, fit in zip(equations, robust, strict=True)
    }
    result = collect(panel, analysis, results, lost)
    there = set(result.table["direction"])
    fitted = [(e, fit.result) for e, fit in zip(equations, fits, strict=True) if e.direction.name in there]
    kept = [(e, fit) for e, fit in fitted if fit.n_groups > len(fit.coef)]
    if not joint or not kept:
        return result
    return replace(result, joint_covariances={"main": _joint(panel, kept)})


def _sums(panel: LargePanel, equations: list[Rows]) -> list[RowSums]:
    """The sums of the equations; where each patient is kept, one equation at a time."""
    groups = [[e] for e in equations] if panel.parameters.random_slopes else [equations]
    return [one for group in groups for one in panel.over(SumUp(panel.treatment, tuple(group)))]


def _about_the_mean(equation: Rows, sums: RowSums) -> tuple[Rows, RowSums]:
    """The equation with person means about their mean over its patients, which only the sums tell."""
    c = sums.persons.mean
    A = np.eye(len(equation.names))
    A[0, 3:5] = -c
    A[1, 5:7] = -c
    return replace(equation, centre=c), replace(sums, model=sums.model.turned(A))


def _joint(panel: LargePanel, kept: list[tuple[Rows, MixedFit]]) -> JointCovariance:
    equations, fits = zip(*kept, strict=True)
    found = panel.over(Influence(panel.treatment, equations, fits))
    axis = pd.MultiIndex.from_tuples(
        [(e.direction.name, term) for e in equations for term in e.names], names=["direction", "term"]
    )
    matrix = found.covariance([len(e.names) for e in equations])
    return JointCovariance(pd.DataFrame(matrix, index=axis, columns=axis), found.n_any, found.n_all)


def outcome_sessions(panel: LargePanel) -> tuple[int, ...]:
    """Sessions of an outcome that have an effect of their own: all at which some transition ends but the first."""
    ends = panel.over(partial(_ends, panel.treatment))
    p = panel.parameters
    return tuple(int(t) + p.first_session + p.lag for t in np.flatnonzero(ends)[1:])


def _ends(treatment: Treatment, piece: Piece) -> np.ndarray:
    rows = centred_transitions(treatment.eligible(piece), treatment.parameters.lag)
    return np.bincount(rows.session, minlength=len(treatment.sessions))


@lagged.register
def _lagged(panel: LargePanel, *, occasions: bool = False) -> StudyEstimates:
    if not occasions:
        return _both_directions(panel, "lagged")
    result = _both_directions(panel, "lagged", occasions=outcome_sessions(panel))
    return replace(result, table=result.table.assign(estimator="centred_occasions"))


@onestage.register
def _onestage(panel: LargePanel) -> StudyAggregates:
    equations = [Rows(panel.treatment, d, products=p) for p in (False, True) for d in DIRECTIONS.values()]
    found = panel.over(SumUp(panel.treatment, tuple(equations)))
    sums = [
        _with_centred_products(one) if e.products else one.model
        for e, one in zip(equations, found, strict=True)
    ]
    lagged, wider = dict(zip(DIRECTIONS, sums[:2], strict=True)), dict(zip(DIRECTIONS, sums[2:], strict=True))
    return aggregates(panel, lagged, wider)  # type: ignore[arg-type]


def _with_centred_products(sums: RowSums) -> MixedSums:
    """The cross-level columns with person means about their mean in the products only."""
    A = np.eye(len(sums.model.names))
    A[1, 5:7] = -sums.persons.mean
    return sums.model.turned(A) if sums.model.n else sums.model


@crosslevel.register
def _crosslevel(panel: LargePanel) -> StudyEstimates:
    return _both_directions(panel, "crosslevel", products=True)


@sensitivity.register
def _sensitivity(study: LargeStudy, parameters: Parameters) -> StudyEstimates:
    runs = {}
    for name, change in variants(parameters).items():
        # Who treated whom is not among what is read of a study in pieces.
        if name == GROUPS:
            continue
        panel = make_panel(study, parameters.model_copy(update=change))
        runs[name] = _both_directions(panel, "lagged", joint=False)
    return stacked_variants(study.id, runs)


@transition.register
def _transition(panel: LargePanel) -> StudyEstimates:
    none = Attempt(None, NO_FREE_LAGS)
    every = ((name, d) for name in transitions(panel.parameters) for d in DIRECTIONS)
    return collect(panel, "transition", dict.fromkeys(every, none))


def _ols_table(fit: LeastSquares, names: list[str], level: float) -> pd.DataFrame:
    error = np.sqrt(np.diagonal(fit.cov))
    t, half = fit.coef / error, stdtrit(fit.df, 0.5 + level / 2) * error
    columns = {"term": names, "estimate": fit.coef, "std_error": error, "df": fit.df, "statistic": t}
    columns |= {
        "p_value": 2 * stdtr(fit.df, -np.abs(t)),
        "ci_low": fit.coef - half,
        "ci_high": fit.coef + half,
    }
    return pd.DataFrame(columns).assign(converged=True, singular=False)


def _ols_summary(fit: LeastSquares) -> dict:
    known = {"loglik": fit.loglik, "sigma2": fit.sigma2, "re_variance": None}
    return known | {"converged": True, "singular": False, "evaluations": 1}


@outcome.register
def _outcome(panel: LargePanel) -> StudyEstimates:
    sums = None
    if {"pre", "post"} <= set(panel.source.has_patients):
        sums = panel.over(partial(_outcome_sums, panel.treatment))
    results: Equations = {}
    for variant, controls in OUTCOME_CONTROLS.items():
        own = None if sums is None else sums[variant]
        results[variant, "x_to_y"] = attempt(_fit_outcome, own, controls, panel.parameters.level)
        if not results[variant, "x_to_y"]:
            break
    return collect(panel, "outcome", results, LOST_OUTCOME)


def _outcome_sums(treatment: Treatment, piece: Piece) -> dict[str, tuple[Moments, Spread]]:
    """Of each variant, the moments of early x, its controls and the outcome."""
    there = ~np.isnan(piece.scores).all(axis=(1, 2))
    scores = treatment.everyone(piece)
    early = scores[:, treatment.sessions <= treatment.parameters.early_last_session]
    seen = ~np.isnan(early)
    mean = np.where(seen, early, 0.0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    mean = np.where(seen.any(axis=1), mean, np.nan)
    columns = dict(zip(("x_early", "y_early"), mean.T, strict=True))
    columns |= dict(zip(("pre", "post"), treatment.outcome(piece)[there].T, strict=True))
    enough = (~np.isnan(scores).any(axis=2)).sum(axis=1) >= treatment.parameters.min_sessions
    found = {}
    for variant, controls in OUTCOME_CONTROLS.items():
        rows = np.column_stack([columns[name] for name in ("x_early", *controls, "post")])
        rows = rows[enough & ~np.isnan(rows).any(axis=1)]
        found[variant] = Moments.of(rows), Spread.of(rows)
    return found


def _fit_outcome(sums: tuple[Moments, Spread] | None, controls: tuple[str, ...], level: float) -> Equation:
    n, names = int(sums[0].count) if sums else 0, ("x_early", *controls)
    require(n > len(names) + 2, too_few_outcomes(n, controls))
    moments, spread = sums
    for name, varies in zip((*names, "post"), spread.varies(ROUNDING), strict=True):
        require(bool(varies), f"{name} does not vary")
    sd = np.sqrt(np.diagonal(moments.scatter) / (n - 1))
    standardized = Moments(n, np.zeros(len(sd)), moments.scatter / np.outer(sd, sd))
    predictors = standardized.scatter[:-1, :-1] / (n - 1)
    require(bool(np.linalg.eigvalsh(predictors)[0] > ROUNDING), SAME_OUTCOMES[len(controls) > 1])
    fit = least_squares(standardized)
    require(fit.residual > ROUNDING * fit.total, NO_RESIDUAL)
    beta = _ols_table(fit, ["const", "x_early_standardized", *controls], level).iloc[[1]]
    t = float(beta["statistic"].iloc[0])
    table = pd.concat(
        [fisher_z(t / np.sqrt(t**2 + fit.df), n - len(controls), level), beta], ignore_index=True
    )
    terms = list(table["term"])
    covariance = pd.DataFrame(np.diag(table["std_error"] ** 2), index=terms, columns=terms)
    covariance.iloc[0, 1] = covariance.iloc[1, 0] = np.nan
    return Equation(counted(table, n, 0), covariance, _ols_summary(fit))
