"""Which combinations of choices are specifications, and why the others are none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from twostage.multiverse.grid import CHOICES, STAGE1, STAGE2, Grid, told
from twostage.params import Parameters
from twostage.stage1 import FEWEST_SESSIONS
from twostage.terms import ESTIMATORS

#: Estimators made of the eligible patients' transitions as they are: only those take a trend that is removed before.
_PLAIN = ("centred", "centred_occasions")


@dataclass(frozen=True)
class Stage1:
    """One combination of the choices of stage 1.

    Attributes
    ----------
    window : (int, int)
        First and last session.
    lag, min_sessions : int
    standardize, detrend, estimator, stage1_errors : str
    """

    window: tuple[int, int]
    lag: int
    min_sessions: int
    standardize: str
    detrend: str
    estimator: str
    stage1_errors: str

    @property
    def sessions(self) -> int:
        """How many sessions the window holds."""
        return self.window[1] - self.window[0] + 1

    def parameters(self, base: Parameters) -> Parameters:
        """The parameters with which a run makes the same estimates."""
        first, last = self.window
        change = {name: getattr(self, name) for name in STAGE1 if name in Parameters.model_fields}
        return base.model_copy(update=change | {"first_session": first, "last_session": last})


@dataclass(frozen=True, eq=False)
class Specifications:
    """Every combination of choices that is computed.

    Attributes
    ----------
    grid : Grid
    stage1 : tuple of Stage1
    stage2 : tuple of (str, str)
        Estimator of the between-study variance, and interval.
    dropped : tuple of (str, int)
        Why combinations are none, and how many specifications they would be.

    Notes
    -----
    Specifications are all of `stage1` with all of `stage2` with all sets of studies, the last one fastest.
    """

    grid: Grid
    stage1: tuple[Stage1, ...]
    stage2: tuple[tuple[str, str], ...]
    dropped: tuple[tuple[str, int], ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Combinations of stage 1, of stage 2, and sets of studies."""
        return len(self.stage1), len(self.stage2), len(self.grid.sets)

    def __len__(self) -> int:
        return int(np.prod(self.shape))

    @property
    def chosen(self) -> int:
        """The specification of the main analysis."""
        rows = self.levels()
        return int(np.flatnonzero((rows == 0).all(axis=1))[0])

    def levels(self) -> np.ndarray:
        """Which value of each choice of :data:`~twostage.multiverse.grid.CHOICES` a specification has, (N, 10)."""
        values = self.grid.values
        first = np.array([[values[name].index(getattr(one, name)) for name in STAGE1] for one in self.stage1])
        second = np.array(
            [[values[name].index(v) for name, v in zip(STAGE2, one, strict=False)] for one in self.stage2]
        )
        s1, s2, sets = np.indices(self.shape).reshape(3, -1)
        return np.column_stack([first[s1], second[s2], sets])

    def table(self) -> pd.DataFrame:
        """One row per specification: its number and choices."""
        rows = self.levels()
        columns = {
            name: [told(self.grid.values[name][i]) for i in rows[:, f]] for f, name in enumerate(CHOICES)
        }
        return pd.DataFrame({"specification": np.arange(len(rows))} | columns)


def specify(grid: Grid) -> Specifications:
    """Every combination of a grid's choices, those left out that are impossible or the same as another one."""
    values = grid.values
    every1 = [Stage1(*combination) for combination in product(*(values[name] for name in STAGE1))]
    reasons1 = [_first_reason(one, grid) for one in every1]
    every2 = list(product(values["tau2_method"], values["ci_method"]))
    reasons2 = [_pooled_reason(*one) for one in every2]
    stage1 = tuple(one for one, reason in zip(every1, reasons1, strict=True) if not reason)
    stage2 = tuple(one for one, reason in zip(every2, reasons2, strict=True) if not reason)
    sets = len(grid.sets)
    counts: dict[str, int] = {}
    for reason in filter(None, reasons1):
        counts[reason] = counts.get(reason, 0) + len(every2) * sets
    for reason in filter(None, reasons2):
        counts[reason] = counts.get(reason, 0) + len(stage1) * sets
    return Specifications(grid, stage1, stage2, tuple(counts.items()))


def _first_reason(one: Stage1, grid: Grid) -> str:
    """The first reason why a combination is no specification; empty where there is none."""
    return next((reason for is_so, reason in _REASONS if is_so(one, grid)), "")


def _pooled_reason(tau2_method: str, ci_method: str) -> str:
    wrong = tau2_method == "FE" and ci_method != "wald"
    return "Hartung-Knapp's interval is not meant for a common effect (FE)" if wrong else ""


def _rows(one: Stage1) -> str:
    return ESTIMATORS[one.estimator].rows


def _models_sessions(one: Stage1) -> bool:
    return _rows(one) == "everyone"


def _repeats(choice: str, of: Callable[[Stage1], bool]) -> Callable[[Stage1, Grid], bool]:
    """Whether a choice that has no consequence for an estimator has another value than the main analysis."""
    return lambda one, grid: of(one) and getattr(one, choice) != grid.values[choice][0]


def _errors(one: Stage1, value: str) -> str:
    """What a kind of standard errors is for an estimator."""
    if _models_sessions(one):
        return "robust" if value == "robust" else "model"
    return ("model" if value == "model" else "patients") if one.estimator in (*_PLAIN, "detrended") else ""


def _same_errors(one: Stage1, values: Sequence[str]) -> bool:
    """Whether an earlier kind of standard errors is the same for the estimator."""
    earlier = values[: values.index(one.stage1_errors)]
    return _errors(one, one.stage1_errors) in (_errors(one, value) for value in earlier)


#: What a combination of stage 1 must not be, and why; the first that holds is the reason.
_REASONS: tuple[tuple[Callable[[Stage1, Grid], bool], str], ...] = (
    (
        lambda one, grid: one.sessions < one.lag + 1,
        "impossible: the window is no longer than the lag",
    ),
    (
        lambda one, grid: one.sessions < one.min_sessions,
        "impossible: nobody has so many sessions in the window",
    ),
    (
        lambda one, grid: _models_sessions(one) and (one.lag != 1 or one.sessions < FEWEST_SESSIONS),
        f"impossible: the panel models are for lag 1 and at least {FEWEST_SESSIONS} sessions",
    ),
    (
        _repeats("min_sessions", _models_sessions),
        "the same: the panel models take everyone, however few their sessions",
    ),
    (
        lambda one, grid: _same_errors(one, grid.values["stage1_errors"]),
        "the same: the centred estimators have errors of patients or of the model, the panel models of the model or robust "
        "ones, the jackknife one kind",
    ),
    (
        lambda one, grid: one.estimator == "detrended" and one.detrend != "none",
        "the same: the detrended estimator removes each patient's line, whatever was removed before",
    ),
    (
        lambda one, grid: (
            one.estimator == "centred"
            and one.detrend == "patient"
            and "detrended" in grid.values["estimator"]
            and "none" in grid.values["detrend"]
        ),
        "the same: the centred estimator after each patient's line is the detrended estimator",
    ),
    (
        lambda one, grid: _models_sessions(one) and one.detrend == "session",
        "the same: the panel models have a mean for each session, which takes up a common trend",
    ),
    (
        lambda one, grid: one.estimator not in _PLAIN and one.detrend == "patient",
        "not reasonable: once each patient's own line is removed, the scores have no longer the covariances that the "
        "panel models and the jackknife rest on",
    ),
)
