"""What the data of a study in pieces look like."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from twostage.collection import Piece
from twostage.stage1.describe import Description, describe
from twostage.stage1.large.panel import LargePanel, Treatment
from twostage.stage1.panel import ROUNDING
from twostage.stats.base import Moments, Spread
from twostage.stats.centred import centred_transitions, enough_sessions


@dataclass(frozen=True)
class Counted:
    """Sums over patients behind a description.

    Attributes
    ----------
    window : Spread
        Of everyone's scores, by session and variable.
    n_both, n_rows : (T,) arrays
        Patients by session with both variables, with any.
    n_window : int
        Patients with a score in the window.
    eligible : Spread
        Of the eligible patients' scores, by variable.
    within : (2,) array
        Sum of squares about the patients' means.
    persons, square_sizes : (2,) arrays
        Eligible patients with a variable; their squared numbers of scores.
    between, inside : Moments
        Of the means of those with both variables; of the deviations in sessions with both.
    between_ends, inside_ends : Spread
        Of the same.
    n_transitions : int
    outcome : Spread
        Of intake and posttreatment scores.
    """

    window: Spread
    n_both: np.ndarray
    n_rows: np.ndarray
    n_window: int
    eligible: Spread
    within: np.ndarray
    persons: np.ndarray
    square_sizes: np.ndarray
    between: Moments
    between_ends: Spread
    inside: Moments
    inside_ends: Spread
    n_transitions: int
    outcome: Spread

    def __add__(self, other: "Counted") -> "Counted":
        return Counted(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def _count(treatment: Treatment, piece: Piece) -> Counted:
    everyone = treatment.everyone(piece)
    seen = ~np.isnan(everyone)
    scores = everyone[enough_sessions(everyone, treatment.parameters.min_sessions)]
    there = ~np.isnan(scores)
    number = there.sum(axis=1)
    mean = np.where(there, scores, 0.0).sum(axis=1) / np.maximum(number, 1)
    deviation = np.where(there, scores - mean[:, None], 0.0)
    both, persons = there.all(axis=2), mean[(number > 0).all(axis=1)]
    return Counted(
        window=Spread.of(everyone),
        n_both=seen.all(axis=2).sum(axis=0),
        n_rows=seen.any(axis=2).sum(axis=0),
        n_window=len(everyone),
        eligible=Spread.of(scores).over(0),
        within=(deviation**2).sum(axis=(0, 1)),
        persons=(number > 0).sum(axis=0),
        square_sizes=(number**2).sum(axis=0),
        between=Moments.of(persons),
        between_ends=Spread.of(persons),
        inside=Moments.of(deviation[both]),
        inside_ends=Spread.of(deviation[both]),
        n_transitions=len(centred_transitions(scores, treatment.parameters.lag).session),
        outcome=Spread.of(treatment.outcome(piece)),
    )


@describe.register
def _describe(panel: LargePanel) -> Description:
    found = panel.over(partial(_count, panel.treatment))
    return Description(
        study=panel.study,
        flow=panel.flow(),
        exclusions=panel.exclusions,
        sessions=_by_session(panel, found),
        summary=_summary(panel, found) | _patients_summary(panel, found),
    )


def _by_session(panel: LargePanel, found: Counted) -> pd.DataFrame:
    count, mean = found.window.count, np.where(found.window.count > 0, found.window.mean, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        sd = np.sqrt(np.where(count > 1, found.window.square / (count - 1), np.nan))
    columns = {
        "session": panel.treatment.sessions,
        "n_x": count[:, 0].astype(int),
        "n_y": count[:, 1].astype(int),
    }
    columns |= {"share_both": found.n_both / max(found.n_window, 1), "n_both": found.n_both}
    for k, v in enumerate("xy"):
        columns |= {f"{v}_mean": mean[:, k], f"{v}_sd": sd[:, k]}
    return pd.DataFrame(columns)[found.n_rows > 0].reset_index(drop=True)


def _summary(panel: LargePanel, found: Counted) -> dict[str, float]:
    n, n_window = panel.n_patients, len(panel.treatment.sessions)
    n_both = int(found.inside.count)
    icc_x, icc_y = _icc(found)
    return {
        "n_enrolled": panel.n_enrolled,
        "n_patients": n,
        "n_sessions": n_both,
        "n_transitions": found.n_transitions,
        "sessions_per_patient": n_both / n if n else float("nan"),
        "missing_share": 1 - n_both / (n * n_window) if n else float("nan"),
        "icc_x": icc_x,
        "icc_y": icc_y,
        "r_between": _correlation(found.between, found.between_ends),
        "r_within": _correlation(found.inside, found.inside_ends),
        "scale_x": panel.scale["x"],
        "scale_y": panel.scale["y"],
        **panel.at_ends,
    }


def _icc(found: Counted) -> tuple[float, float]:
    """As :func:`twostage.stage1.describe.icc`, of x and y."""
    values = []
    for k, varies in enumerate(found.eligible.varies(ROUNDING)):
        n, m = found.eligible.count[k], found.persons[k]
        if m < 2 or n <= m or not varies:
            values.append(float("nan"))
            continue
        within = found.within[k] / (n - m)
        between = (found.eligible.square[k] - found.within[k]) / (m - 1)
        n0 = (n - found.square_sizes[k] / n) / (m - 1)
        values.append(float((between - within) / (between + (n0 - 1) * within)))
    return values[0], values[1]


def _correlation(moments: Moments, ends: Spread) -> float:
    if moments.count < 3 or not ends.varies(ROUNDING).all():
        return float("nan")
    return moments.correlation(0, 1)


def _patients_summary(panel: LargePanel, found: Counted) -> dict[str, float]:
    there = panel.source.has_patients
    count, mean, square = found.outcome.count, found.outcome.mean, found.outcome.square
    numbers: dict[str, float] = {f"n_{v}": int(count[k]) for k, v in enumerate(("pre", "post")) if v in there}
    if "pre" in there and count[0] > 1:
        numbers |= {"pre_mean": float(mean[0]), "pre_sd": float(np.sqrt(square[0] / (count[0] - 1)))}
    return numbers
