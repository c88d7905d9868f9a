"""Every estimator of the lagged effects that sums over pieces can give."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from twostage.collection import Piece
from twostage.stage1.estimates import StudyEstimates
from twostage.stage1.estimator_batch import (
    FEWEST_ON_A_LINE,
    FEWEST_SESSIONS,
    EffectBatch,
    deny,
    empty_columns,
    from_structural,
    without_own_lines,
    wrong_window,
)
from twostage.stage1.estimators import estimators, failures_of, fit_rows_of, table_rows, within_bounds
from twostage.stage1.large.equations import Rows, SumUp, fit_rows, outcome_sessions, with_patients
from twostage.stage1.large.panel import LargePanel, Treatment
from twostage.stage1.panel import ROUNDING
from twostage.stats.base import Spread, attempt
from twostage.stats.dpm import fit_dpm_sums
from twostage.stats.fiml import PatternSums
from twostage.stats.riclpm import fit_riclpm_sums
from twostage.terms import COLUMNS, DIRECTIONS, ESTIMATORS

#: Why a study in pieces has no jackknife.
NO_JACKKNIFE = (
    "its standard error draws the patients again and again, for which all must be in memory; "
    "this study is read in pieces"
)


#: Why it has no robust errors of panel models.
NO_SANDWICH = "robust errors of panel models add up patients in memory; this study is read in pieces"


#: Why it has no model with measurement error.
NO_ERROR = (
    "the model with measurement error is fitted to patients in memory only; this study is read in pieces"
)


@estimators.register
def _estimators(panel: LargePanel, *, bootstraps: int = 0) -> StudyEstimates:
    seen: Seen = panel.over(partial(_look, panel.treatment))
    constant = seen.constant()
    tables, fits, failures = [], [], []
    for name in ESTIMATORS:
        if constant:
            failures += [{"variant": name, "direction": d, "reason": constant} for d in DIRECTIONS]
            continue
        batch = within_bounds(_WAYS[name](panel, seen))
        tables.append(table_rows(panel, name, batch))
        fits += fit_rows_of(name, batch)
        failures += failures_of(name, batch)
    return StudyEstimates(
        study=panel.study,
        analysis="estimators",
        table=pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS),
        fits=pd.DataFrame(fits),
        exclusions=panel.exclusions,
        failures=pd.DataFrame(failures, columns=["variant", "direction", "reason"]),
    )


@dataclass(frozen=True)
class Seen:
    """What all estimators need of everyone's scores.

    Attributes
    ----------
    patterns : PatternSums
        Of the columns x_1, y_1, x_2, ...
    within, scores : Spread
        Of deviations from the patients' means, and of scores, by variable.
    n_transitions : int
        Sessions with both variables that a session with any follows.
    most : ndarray, shape (2,)
        Most scores of an eligible patient.
    """

    patterns: PatternSums
    within: Spread
    scores: Spread
    n_transitions: int
    most: np.ndarray

    def __add__(self, other: "Seen") -> "Seen":
        return Seen(
            self.patterns + other.patterns,
            self.within + other.within,
            self.scores + other.scores,
            self.n_transitions + other.n_transitions,
            np.maximum(self.most, other.most),
        )

    def constant(self) -> str:
        """Why nothing can be estimated, if so."""
        size = np.maximum(np.abs(self.scores.low), np.abs(self.scores.high))
        for name, varies in zip("xy", self.within.varies(ROUNDING, size), strict=True):
            if not varies:
                return f"{name} does not vary within patients"
        return ""


def _look(treatment: Treatment, piece: Piece) -> Seen:
    scores = treatment.everyone(piece)
    seen = ~np.isnan(scores)
    mean = np.where(seen, scores, 0.0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    enough = seen.all(axis=2).sum(axis=1) >= treatment.parameters.min_sessions
    return Seen(
        patterns=PatternSums.of(scores.reshape(len(scores), -1)),
        within=Spread.of(scores - mean[:, None]).over(0),
        scores=Spread.of(scores).over(0),
        n_transitions=int((seen[:, :-1].all(axis=2) & seen[:, 1:].any(axis=2)).sum()),
        most=seen[enough].sum(axis=1).max(axis=0, initial=0),
    )


@dataclass(frozen=True)
class OwnLines(Treatment):
    """A treatment that removes each eligible patient's own line besides."""

    def eligible(self, piece: Piece) -> np.ndarray:
        """The eligible patients' scores without their lines."""
        return without_own_lines(super().eligible(piece))


def _centred(
    panel: LargePanel, seen: Seen, *, own_lines: bool = False, occasions: bool = False
) -> EffectBatch:
    treatment = OwnLines(**vars(panel.treatment)) if own_lines else panel.treatment
    sessions = outcome_sessions(panel) if occasions else ()
    equations = tuple(Rows(treatment, d, occasions=sessions) for d in DIRECTIONS.values())
    columns = empty_columns(1)
    fits = [attempt(fit_rows, sums) for sums in panel.over(SumUp(treatment, equations))]
    robust = with_patients(panel, list(equations), fits)
    for at, (equation, done) in enumerate(zip(equations, robust, strict=True)):
        where = slice(2 * at, 2 * at + 2)
        if not done:
            columns["reasons"][0, where] = done.reason
            continue
        fit = done.result
        for name, values in (("estimate", fit.coef), ("std_error", fit.std_error), ("df", fit.df)):
            columns[name][0, where] = values[1:3]
        columns["loglik"][0, where], columns["converged"][0, where] = fit.loglik, fit.converged
        columns["singular"][0, where], columns["evaluations"][0, where] = (
            fit.singular,
            fit.optimiser.evaluations,
        )
        columns["n_patients"][0, where], columns["n_transitions"][0, where] = fit.n_groups, fit.n_obs
        if own_lines:
            spent = seen.most["xy".index(equation.direction.outcome)] < FEWEST_ON_A_LINE
            deny(columns, np.array([spent]), where)
    return EffectBatch(**columns)


def _not_in_pieces(reason: str, panel: LargePanel, seen: Seen) -> EffectBatch:
    columns = empty_columns(1)
    columns["reasons"][:] = reason
    return EffectBatch(**columns)


def _structural(fit: Callable, panel: LargePanel, seen: Seen) -> EffectBatch:
    lag, sessions = panel.parameters.lag, len(panel.treatment.sessions)
    if lag != 1 or sessions < FEWEST_SESSIONS:
        return wrong_window(1, lag, sessions)
    if panel.parameters.stage1_errors == "robust":
        return _not_in_pieces(NO_SANDWICH, panel, seen)
    return from_structural(fit(seen.patterns), [(seen.patterns.n, seen.n_transitions)])


#: Estimator -> what estimates it from a panel and what was seen of it.
_WAYS: dict[str, Callable[[LargePanel, Seen], EffectBatch]] = {
    "centred": _centred,
    "centred_occasions": partial(_centred, occasions=True),
    "detrended": partial(_centred, own_lines=True),
    "jackknife": partial(_not_in_pieces, NO_JACKKNIFE),
    "riclpm": partial(_structural, fit_riclpm_sums),
    "dpm": partial(_structural, fit_dpm_sums),
    "riclpm_error": partial(_not_in_pieces, NO_ERROR),
}
