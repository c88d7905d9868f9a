"""Every estimator of the lagged effects on wide panels, many of them at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from twostage.stats.base import NotEstimable
from twostage.stats.centred import centred_transitions, enough_sessions, fit_jackknife
from twostage.stats.dpm import fit_dpm_many
from twostage.stats.mixed import (
    FITTED_EXACTLY,
    MixedBatch,
    WorkingModels,
    cluster_sums,
    fit_mixed_many,
    too_few,
)
from twostage.stats.riclpm import fit_riclpm_many, fit_starts_many
from twostage.terms import DIRECTIONS, ESTIMATORS

#: (direction, term) of the coefficients, in the order of the last axis of :class:`EffectBatch`.
COEFFICIENTS = tuple((d.name, term) for d in DIRECTIONS.values() for term in (d.cross, d.auto))


#: The same as places in ``phi[outcome, predictor]`` (0: x, 1: y).
PLACES = ((1, 0), (1, 1), (0, 1), (0, 0))


#: Fewest sessions of the covariance-structure models.
FEWEST_SESSIONS = 3


#: Scores of a patient from which on a lag is more than what their own line leaves of any scores.
FEWEST_ON_A_LINE = 4


#: Where the lagged effects stand among the coefficients of a centred equation.
LAGS = [1, 2]


_FLOATS = ("estimate", "std_error", "df", "loglik")


@dataclass(frozen=True)
class EffectBatch:
    """Lagged effects of B panels by one estimator; NaN where there is none.

    Attributes
    ----------
    estimate, std_error, df, loglik : ndarray, shape (B, 4)
        Per coefficient, in the order of :data:`COEFFICIENTS`; infinite df for normal inference; `loglik` is the
        equation's, NaN for an estimator without one.
    converged, singular : ndarray of bool, shape (B, 4)
    n_patients, n_transitions, evaluations : ndarray of int, shape (B, 4)
    reasons : ndarray of str, shape (B, 4)
        Why there is no estimate; empty where there is one.
    """

    estimate: np.ndarray
    std_error: np.ndarray
    df: np.ndarray
    loglik: np.ndarray
    converged: np.ndarray
    singular: np.ndarray
    n_patients: np.ndarray
    n_transitions: np.ndarray
    evaluations: np.ndarray
    reasons: np.ndarray

    @property
    def usable(self) -> np.ndarray:
        """Where there is a converged estimate with a standard error, shape (B, 4)."""
        return self.converged & np.isfinite(self.estimate) & (self.std_error > 0)


def empty_columns(B: int) -> dict[str, np.ndarray]:
    """The arrays of an :class:`EffectBatch` of B panels without any estimate."""
    shape = (B, len(COEFFICIENTS))
    columns = {name: np.full(shape, np.nan) for name in _FLOATS}
    columns |= {name: np.zeros(shape, bool) for name in ("converged", "singular")}
    columns |= {name: np.zeros(shape, int) for name in ("n_patients", "n_transitions", "evaluations")}
    return columns | {"reasons": np.full(shape, "", dtype=object)}


def estimate_batch(
    estimator: str,
    panels: Sequence[np.ndarray],
    *,
    lag: int = 1,
    min_sessions: int = 3,
    bootstraps: int = 1000,
    seed=0,
    reliability=None,
    reliability_kind: Literal["within", "total"] = "within",
    errors: Literal["patients", "model", "robust"] = "patients",
) -> EffectBatch:
    """Estimate both directions' lagged effects of many panels.

    Parameters
    ----------
    estimator : str
        One of :data:`twostage.terms.ESTIMATORS`.
    panels : sequence of B arrays, shape (n_b, T, 2)
        x and y of n_b patients on a grid of T sessions, NaN where missing.
    lag, min_sessions : int
        The centred estimators and the jackknife take patients with `min_sessions` sessions on which both variables were
        observed; the covariance-structure models take all who have a score, and lag 1 only.
    bootstraps : int
        Replicates behind the jackknife's standard error.
    seed : int or SeedSequence
        Of these.
    reliability : array_like, shape (B, 2) or (2,), optional
        Of session scores of x and y, for the model with measurement error; NaN, or nothing, where it is not known and the
        error variance is estimated.
    reliability_kind : {"within", "total"}
        What it is a share of: of the variance within patients, or of all.
    errors : {"patients", "model", "robust"}
        Standard errors of the centred estimators: the model's, or else with patients as clusters. Robust: those of the
        covariance-structure models are sandwich errors, too, instead of those from the observed information.

    Returns
    -------
    EffectBatch
        A panel that cannot be estimated has a reason and disturbs no other.

    Notes
    -----
    Satterthwaite's df for the centred ones, normal inference for the others.
    """
    if ESTIMATORS[estimator].rows != "everyone":
        panels = [panel[enough_sessions(panel, min_sessions)] for panel in panels]
    return _WAYS[estimator](panels, lag, bootstraps, seed, reliability, reliability_kind, errors)


def _centred(
    panels: Sequence[np.ndarray],
    lag: int,
    *given: Any,
    own_lines: bool = False,
    occasions: bool = False,
) -> EffectBatch:
    scores = np.concatenate(panels)
    panel_of = np.repeat(np.arange(len(panels)), [len(panel) for panel in panels])
    rows = centred_transitions(without_own_lines(scores) if own_lines else scores, lag)
    columns = empty_columns(len(panels))
    for where, outcome in ((slice(0, 2), 1), (slice(2, 4), 0)):
        y, X, patient, names = rows.regression(outcome)
        which = panel_of[patient]
        session = rows.session[~np.isnan(rows.following[:, outcome])]
        for alike in _alike(which, session, len(panels)) if occasions else [None]:
            inside = slice(None) if alike is None else np.isin(which, alike)
            numbers = alike if alike is not None else np.arange(len(panels))
            design, labels = _with_occasions(X[inside], session[inside], names, alike is not None)
            index = np.searchsorted(numbers, which[inside])
            fit = fit_mixed_many(
                y[inside], design, patient[inside], index, n_data_sets=len(numbers), names=labels
            )
            if given[-1] != "model":
                fit = _with_patients(fit, y[inside], design, patient[inside], index)
            _fill(columns, fit, np.ix_(numbers, np.arange(4)[where]))
        if own_lines:
            deny(columns, _spent(scores[..., outcome], panel_of, len(panels)), where)
    return EffectBatch(**columns)


def _with_patients(fit: MixedBatch, y, X, patient: np.ndarray, index: np.ndarray) -> MixedBatch:
    """The lags' standard errors and df with patients as clusters; rows lie patient by patient, panel by panel."""
    starts = np.flatnonzero(np.r_[True, np.diff(patient) != 0]) if len(patient) else np.zeros(0, int)
    sizes, of = np.diff(np.append(starts, len(patient))), index[starts]
    known = fit.estimable
    models = WorkingModels(fit.coef, fit.cov_coef, fit.re_variance[:, None, None], fit.sigma2)
    rows, groups = known[index], known[of]
    place = np.cumsum(known) - 1
    models = WorkingModels(*(getattr(models, name)[known] for name in vars(models)))
    Z = np.ones((int(rows.sum()), 1))
    sums = cluster_sums(models, y[rows], X[rows], Z, sizes[groups], place[of[groups]], np.array(LAGS))
    error, df = fit.std_error.copy(), fit.df.copy()
    error[np.ix_(known, LAGS)] = np.sqrt(np.diagonal(sums.meat, axis1=1, axis2=2)[:, LAGS])
    df[np.ix_(known, LAGS)] = sums.degrees_of_freedom()
    reasons = list(fit.reasons)
    few = fit.n_groups <= X.shape[1]
    for b in np.flatnonzero(known & (few | ~np.isfinite(df[:, LAGS]).all(axis=1))):
        reasons[b] = too_few(int(fit.n_groups[b]), X.shape[1]) if few[b] else FITTED_EXACTLY
        error[b] = df[b] = np.nan
    return replace(fit, std_error=error, df=df, reasons=tuple(reasons))


def _spent(scores: np.ndarray, panel_of: np.ndarray, B: int) -> np.ndarray:
    """Panels in which nobody has enough scores: three about their line are always 1, -2, 1 times a number."""
    most = np.zeros(B, int)
    np.maximum.at(most, panel_of, np.isfinite(scores).sum(axis=1))
    return most < FEWEST_ON_A_LINE


def deny(columns: dict, panels: np.ndarray, where: slice) -> None:
    """Take the estimates of the equation in `where` from the panels marked, with the reason."""
    for name in _FLOATS:
        columns[name][panels, where] = np.nan
    columns["converged"][panels, where] = False
    text = (
        f"no patient has {FEWEST_ON_A_LINE} scores; with fewer, nothing is left to estimate a lag from once each "
        "patient's line is removed"
    )
    columns["reasons"][panels, where] = text


def _alike(which: np.ndarray, session: np.ndarray, B: int) -> list[np.ndarray]:
    """Panels with the same sessions, together: only they have the same columns."""
    held = np.zeros((B, session.max(initial=0) + 1), bool)
    held[which, session] = True
    _, pattern = np.unique(held, axis=0, return_inverse=True)
    return [np.flatnonzero(pattern.ravel() == p) for p in range(pattern.max(initial=-1) + 1)]


def _with_occasions(X: np.ndarray, session: np.ndarray, names, wanted: bool):
    """X with a column for each session of the predictors but the first; the intercept is that one's level."""
    sessions = np.unique(session)[1:] if wanted else ()
    dummies = [(session == s).astype(float) for s in sessions]
    return np.column_stack([X, *dummies]), (*names, *(f"session_{s}" for s in sessions))


def _fill(columns: dict, fit, where) -> None:
    wide = np.zeros((1, len(where[1].ravel())))
    for name in ("estimate", "std_error", "df"):
        columns[name][where] = getattr(fit, "coef" if name == "estimate" else name)[:, 1:3]
    for name in ("loglik", "converged", "singular", "evaluations"):
        columns[name][where] = getattr(fit, name)[:, None] + wide
    columns["n_patients"][where] = fit.n_groups[:, None] + wide
    columns["n_transitions"][where] = fit.n_obs[:, None] + wide
    columns["reasons"][where] = np.array([[reason] * wide.size for reason in fit.reasons], dtype=object)


def without_own_lines(Y: np.ndarray) -> np.ndarray:
    """Scores less each patient's own straight line, the patient's mean kept; shape (n, T, 2).

    As :mod:`twostage.stage1.panel` with ``detrend="patient"``: a line through fewer than two scores has no slope.
    """
    seen = np.isfinite(Y)
    count = np.maximum(seen.sum(axis=1, keepdims=True), 1)
    time = np.where(seen, np.arange(Y.shape[1], dtype=float)[:, None], 0.0)
    time = np.where(seen, time - time.sum(axis=1, keepdims=True) / count, 0.0)
    cross = (time * np.where(seen, Y, 0.0)).sum(axis=1, keepdims=True)
    square = (time**2).sum(axis=1, keepdims=True)
    return Y - time * np.divide(cross, square, out=np.zeros_like(cross), where=square > 0)


def _jackknife(panels, lag, bootstraps, seed, *_) -> EffectBatch:
    columns = empty_columns(len(panels))
    root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    for b, (panel, own) in enumerate(zip(panels, root.spawn(len(panels)), strict=True)):
        try:
            fit = fit_jackknife(panel, lag=lag, replicates=bootstraps, seed=own)
        except NotEstimable as error:
            columns["reasons"][b] = str(error)
            continue
        for j, (outcome, predictor) in enumerate(PLACES):
            columns["estimate"][b, j] = fit.phi[outcome, predictor]
            columns["std_error"][b, j] = fit.phi_se[outcome, predictor]
            columns["n_patients"][b, j] = fit.n_patients[outcome]
            columns["n_transitions"][b, j] = fit.n_transitions[outcome]
        columns["df"][b], columns["evaluations"][b] = np.inf, 2 * len(fit.parts)
        columns["converged"][b], columns["singular"][b] = fit.converged, fit.singular
    return EffectBatch(**columns)


def _structural(fit_many: Callable, panels: Sequence[np.ndarray], lag: int, *given: Any) -> EffectBatch:
    sessions = panels[0].shape[1]
    if lag != 1 or sessions < FEWEST_SESSIONS:
        return wrong_window(len(panels), lag, sessions)
    counts = []
    for panel in panels:
        seen = np.isfinite(panel)
        transitions = seen[:, :-1].all(axis=2) & seen[:, 1:].any(axis=2)
        counts.append((seen.any(axis=(1, 2)).sum(), transitions.sum()))
    return from_structural(fit_many(panels, se="sandwich" if given[-1] == "robust" else "observed"), counts)


def wrong_window(B: int, lag: int, sessions: int) -> EffectBatch:
    """That a covariance-structure model is not for such a lag or so few sessions."""
    columns = empty_columns(B)
    wrong = f"lag {lag}" if lag != 1 else f"{sessions} sessions"
    columns["reasons"][:] = f"the model is for lag 1 and {FEWEST_SESSIONS} sessions or more, not for {wrong}"
    return EffectBatch(**columns)


def from_structural(fit, counts) -> EffectBatch:
    """The effects of a batch of fitted panel models; `counts` are each panel's patients and transitions."""
    columns = empty_columns(len(counts))
    for j, (outcome, predictor) in enumerate(PLACES):
        columns["estimate"][:, j] = fit.phi[:, outcome, predictor]
        columns["std_error"][:, j] = fit.phi_se[:, outcome, predictor]
        for name in ("loglik", "converged", "admissible", "iterations"):
            # One model for both directions, or one for each outcome.
            values = getattr(fit, name)
            values = values if values.ndim == 1 else values[:, outcome]
            target = {"admissible": "singular", "iterations": "evaluations"}.get(name, name)
            columns[target][:, j] = ~values if name == "admissible" else values
    columns["df"][:] = np.inf
    columns["n_patients"][:], columns["n_transitions"][:] = (
        np.array(c)[:, None] for c in zip(*counts, strict=True)
    )
    failed = ~(np.isfinite(columns["estimate"]) & np.isfinite(columns["std_error"]))
    messages = np.array([[message] * 4 for message in fit.messages], dtype=object)
    columns["reasons"][failed] = messages[failed]
    return EffectBatch(**columns)


def _with_error(panels, lag, _bootstraps, _seed, reliability, kind, errors) -> EffectBatch:
    known = np.broadcast_to(np.nan if reliability is None else reliability, (len(panels), 2))

    def fit_many(panels, se):
        fit = fit_starts_many(panels, error=known, kind=kind, se=se)
        # A search along a ridge that rises for ever has numbers, but they are no estimates.
        phi = np.where(fit.converged[:, None, None], fit.phi, np.nan)
        return replace(fit, phi=phi, admissible=fit.admissible & ~fit.boundary.any(axis=1))

    return _structural(fit_many, panels, lag, errors)


#: Estimator -> what estimates it, called with the panels, the lag, replicates and seed of a bootstrap, reliabilities and
#: their kind, and the kind of errors.
_WAYS: dict[str, Callable[..., EffectBatch]] = {
    "centred": _centred,
    "centred_occasions": partial(_centred, occasions=True),
    "detrended": partial(_centred, own_lines=True),
    "jackknife": _jackknife,
    "riclpm": partial(_structural, fit_riclpm_many),
    "dpm": partial(_structural, fit_dpm_many),
    "riclpm_error": _with_error,
}
