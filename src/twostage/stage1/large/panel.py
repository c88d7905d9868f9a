"""The panel of a study that is read in pieces: how every piece is treated, and what the whole study decides of that.

The path is that of :func:`twostage.stage1.panel.make_panel`: window, orientation, standardization, trend, eligibility.
What it needs of the whole study (spreads, a common trend, numbers of patients) are sums of one look at all pieces.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from twostage.collection import LargeStudy, Piece
from twostage.params import Parameters
from twostage.stage1.estimator_batch import without_own_lines
from twostage.stage1.panel import (
    ROUNDING,
    Panel,
    count_at_ends,
    disaggregated,
    ends_of,
    make_panel,
    reliabilities,
    resolved,
    shares_at_ends,
)
from twostage.stage1.vocabulary import exclusions
from twostage.stats.base import Spread
from twostage.stats.centred import enough_sessions

#: Patients whose scores the pictures show.
SHOWN = 1_000


@dataclass(frozen=True)
class Treatment:
    """What is done to the scores of each piece.

    Attributes
    ----------
    parameters : Parameters
    reflect : (2,) array
        Lowest plus highest score of a variable that is scored the other way, NaN for one that is not.
    scale : (2,) array
        What x and y are divided by.
    slope : (2,) array
        A common trend to remove: per session, after scaling.
    middle : float
        Mean session.
    """

    parameters: Parameters
    reflect: np.ndarray
    scale: np.ndarray = field(default_factory=lambda: np.ones(2))
    slope: np.ndarray = field(default_factory=lambda: np.zeros(2))
    middle: float = 0.0

    @property
    def sessions(self) -> np.ndarray:
        """The window's sessions."""
        return np.arange(self.parameters.first_session, self.parameters.last_session + 1)

    def everyone(self, piece: Piece) -> np.ndarray:
        """The scores of a piece's patients with any in the window, (n, T, 2)."""
        scores = _of(piece.scores, ~np.isnan(piece.scores).all(axis=(1, 2)))
        scores = np.where(np.isnan(self.reflect), scores, self.reflect - scores) / self.scale
        if self.parameters.detrend == "session":
            return scores - (self.sessions - self.middle)[:, None] * self.slope
        return without_own_lines(scores) if self.parameters.detrend == "patient" else scores

    def eligible(self, piece: Piece) -> np.ndarray:
        """The scores of its eligible patients."""
        scores = self.everyone(piece)
        return _of(scores, enough_sessions(scores, self.parameters.min_sessions))

    def outcome(self, piece: Piece) -> np.ndarray:
        """Intake and posttreatment scores of all patients of a piece, oriented like y, (n, 2)."""
        return piece.outcome if np.isnan(self.reflect[1]) else self.reflect[1] - piece.outcome


def _of(scores: np.ndarray, which: np.ndarray) -> np.ndarray:
    """The scores of some patients, these still last in memory."""
    return scores if which.all() else np.compress(which, scores.transpose(1, 2, 0), axis=2).transpose(2, 0, 1)


@dataclass(frozen=True, kw_only=True)
class LargePanel(Panel):
    """A study in pieces, ready for stage 1.

    `sessions`, `everyone` and `patients` hold some :data:`SHOWN` patients, spread over the study, for pictures; every
    number is of all patients.

    Attributes
    ----------
    source : LargeStudy
    treatment : Treatment
    n_eligible : int
        Patients in the panel.
    """

    source: LargeStudy
    treatment: Treatment
    n_eligible: int

    @property
    def n_patients(self) -> int:
        """Patients in the panel."""
        return self.n_eligible

    @property
    def shown(self) -> int:
        """Patients that the pictures show."""
        return self.everyone["patient"].nunique()

    def wide(self) -> Any:
        """Refused: the scores of all patients are never together."""
        return self.source.sessions

    def over(self, work: Any) -> Any:
        """What ``work(piece)`` returns for all pieces, merged."""
        return self.source.over(work, self.parameters.first_session, self.parameters.last_session)


@make_panel.register
def _make_large_panel(study: LargeStudy, parameters: Parameters | None = None, **values: Any) -> LargePanel:
    parameters = resolved(parameters, values)
    ends = [(v, getattr(study, f"{v}_direction")) for v in ("x", "y")]
    sums = {v: float(study.info[f"{v}_min"]) + float(study.info[f"{v}_max"]) for v, _ in ends}
    reflect = np.array([np.nan if direction == 1 else sums[v] for v, direction in ends])
    treatment = Treatment(parameters, reflect)
    # Scale and trend are still those of scores as they are.
    plain = replace(treatment, parameters=parameters.model_copy(update={"detrend": "none"}))
    first, last = parameters.first_session, parameters.last_session
    seen = study.over(FirstLook(plain, ends_of(study.info)), first, last)
    scale = _scale(seen, parameters.standardize)
    treatment = replace(treatment, scale=scale, slope=seen.slope() / scale, middle=seen.middle())
    some = study.over(Sample(treatment, study.n_pieces), first, last)
    lost = (study.n_enrolled - seen.n_window, seen.n_window - seen.n_eligible)
    everyone, sessions = some.frames(treatment)
    return LargePanel(
        study=study.id,
        label=str(study.info["label"]),
        x=study.x,
        y=study.y,
        parameters=parameters,
        sessions=sessions,
        everyone=everyone,
        patients=some.patients(study.has_patients),
        scale={"x": float(scale[0]), "y": float(scale[1])},
        exclusions=pd.DataFrame({"reason": exclusions(parameters), "n_patients": lost}),
        n_enrolled=study.n_enrolled,
        checksum=study.checksum,
        **reliabilities(study.info),
        at_ends=shares_at_ends(seen.at_ends, seen.scores.over(0).count),
        source=study,
        treatment=treatment,
        n_eligible=seen.n_eligible,
    )


@dataclass(frozen=True)
class Look:
    """What a first look at a study gives: sums over its patients, merged by ``+``.

    Attributes
    ----------
    scores, within : Spread
        Of scores by session and variable; of their deviations from the patients' means, by variable.
    persons : (2,) array
        Patients with a score of a variable.
    cross, square : (2,) arrays
        Sums of products of sessions (about the patient's mean session) with scores, and with themselves.
    n_rows, of_sessions : float
        Patients' sessions with a score, and the sum of their numbers.
    n_window, n_eligible : int
    at_ends : (2, 2) array
        Scores at floor and ceiling (rows), by variable.
    """

    scores: Spread
    within: Spread
    persons: np.ndarray
    cross: np.ndarray
    square: np.ndarray
    n_rows: float
    of_sessions: float
    n_window: int
    n_eligible: int
    at_ends: np.ndarray

    def __add__(self, other: "Look") -> "Look":
        return Look(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def slope(self) -> np.ndarray:
        """The common slope within patients; 0 where nobody has two scores."""
        return np.divide(self.cross, self.square, out=np.zeros(2), where=self.square > 0)

    def middle(self) -> float:
        """Mean session of the rows."""
        return self.of_sessions / self.n_rows if self.n_rows else 0.0


@dataclass(frozen=True)
class FirstLook:
    """A piece's :class:`Look`; `ends` (2, 2) are the lowest and highest possible scores (rows), by variable."""

    treatment: Treatment
    ends: np.ndarray

    def __call__(self, piece: Piece) -> Look:
        scores = self.treatment.everyone(piece)
        seen = ~np.isnan(scores)
        count = np.maximum(seen.sum(axis=1), 1)
        filled = np.where(seen, scores, 0.0)
        deviations = scores - (filled.sum(axis=1) / count)[:, None]
        sessions = self.treatment.sessions[:, None]
        time = np.where(seen, sessions - (np.where(seen, sessions, 0).sum(axis=1) / count)[:, None], 0.0)
        rows = seen.any(axis=2)
        enough = enough_sessions(scores, self.treatment.parameters.min_sessions)
        return Look(
            scores=Spread.of(scores),
            within=Spread.of(deviations).over(0),
            persons=seen.any(axis=1).sum(axis=0),
            cross=(time * filled).sum(axis=(0, 1)),
            square=(time**2).sum(axis=(0, 1)),
            n_rows=float(rows.sum()),
            of_sessions=float((rows @ self.treatment.sessions).sum()),
            n_window=len(scores),
            n_eligible=int(enough.sum()),
            at_ends=count_at_ends(scores, self.ends),
        )


def _scale(seen: Look, standardize: str) -> np.ndarray:
    """What to divide x and y by, as :func:`make_panel` has it."""
    if standardize == "none":
        return np.ones(2)
    total = seen.scores.over(0)
    size = np.maximum(np.abs(total.low), np.abs(total.high))
    spread = seen.within if standardize == "within" else total
    square = seen.within.square if standardize == "within" else total.square
    freedom = total.count - (seen.persons if standardize == "within" else 1)
    varies = spread.varies(ROUNDING, size) & (freedom > 0)
    return np.where(varies, np.sqrt(square / np.maximum(freedom, 1.0)), 1.0)


@dataclass(frozen=True)
class Some:
    """Some patients' scores (n, T, 2) and outcomes (n, 2)."""

    scores: np.ndarray
    outcome: np.ndarray

    def __add__(self, other: "Some") -> "Some":
        return Some(np.r_[self.scores, other.scores], np.r_[self.outcome, other.outcome])

    def frames(self, treatment: Treatment) -> tuple[pd.DataFrame, pd.DataFrame]:
        """`everyone` and `sessions` of a panel with these patients, who are numbered."""
        rows, at = np.nonzero(~np.isnan(self.scores).all(axis=2))
        named = {"patient": (rows + 1).astype(str), "session": treatment.sessions[at]}
        everyone = pd.DataFrame(named).assign(**dict(zip("xy", self.scores[rows, at].T, strict=True)))
        enough = enough_sessions(self.scores, treatment.parameters.min_sessions)
        return everyone, disaggregated(everyone[enough[rows]])

    def patients(self, there: tuple[str, ...]) -> pd.DataFrame | None:
        """Their patient file, as far as the study has one."""
        numbers = pd.DataFrame({"patient": (np.arange(len(self.scores)) + 1).astype(str)})
        known = {name: self.outcome[:, k] for k, name in enumerate(("pre", "post")) if name in there}
        return numbers.assign(**known) if there else None


@dataclass(frozen=True)
class Sample:
    """Some patients of a piece, at equal distances."""

    treatment: Treatment
    n_pieces: int

    def __call__(self, piece: Piece) -> Some:
        wanted = -(-SHOWN // self.n_pieces)
        at = np.unique(np.linspace(0, len(piece.scores) - 1, wanted).astype(int)) if len(piece.scores) else []
        some = Piece(piece.scores[at], piece.outcome[at])
        there = ~np.isnan(some.scores).all(axis=(1, 2))
        return Some(self.treatment.everyone(some), self.treatment.outcome(some)[there])
