"""From a study's sessions to the rows a lagged model needs.

One path, in this order: window, orientation, standardization, trend, person means and deviations,
eligibility, gap-safe lag. Every patient who does not reach the end is counted with the reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from twostage.collection import Study, Variable
from twostage.display import html_table
from twostage.params import Parameters, make_parameters
from twostage.stage1.vocabulary import exclusions

#: Differences below this share of the numbers' size are rounding: nothing varies there.
ROUNDING = 1e-12


#: The same of a score and the end of its scale: orientation rounds.
AT_END = 1e-9


_DISAGGREGATED = ("x_mean", "y_mean", "x_within", "y_within")


@dataclass(frozen=True)
class Panel:
    """One study, ready for stage 1.

    Attributes
    ----------
    study, label : str
        Id and name of the study.
    x, y : Variable
        The pair of variables.
    parameters : Parameters
        The choices that made this panel.
    sessions : pandas.DataFrame
        Eligible patients' sessions in the window: patient, session, x, y (oriented, standardized, detrended),
        x_mean, y_mean (person means), x_within, y_within (deviations from them).
    everyone : pandas.DataFrame
        The same columns x and y for all patients of the window, before eligibility; for description. With the day of
        each session, where the collection has it.
    patients : pandas.DataFrame or None
        The study's patient file, pre and post oriented like y.
    scale : dict
        What x and y were divided by, in scale points; 1 for a variable that does not vary.
    exclusions : pandas.DataFrame
        reason, n_patients: why patients are not in `sessions`.
    n_enrolled : int
        Patients in the study's files.
    checksum : str
        Of the study's data.
    reliability : (float, float)
        Of a session score of x and of y, as the registry has them; NaN where it does not say.
    reliability_kind : {"within", "total"}
        What they are shares of: of the variance within patients, or of all.
    at_ends : dict
        floor_x, ceiling_x, floor_y, ceiling_y: shares of the window's scores that are the lowest and the highest possible
        one, after orientation; NaN for a variable without scores.
    """

    study: str
    label: str
    x: Variable
    y: Variable
    parameters: Parameters
    sessions: pd.DataFrame
    everyone: pd.DataFrame
    patients: pd.DataFrame | None
    scale: dict[str, float]
    exclusions: pd.DataFrame
    n_enrolled: int
    checksum: str
    reliability: tuple[float, float] = (np.nan, np.nan)
    reliability_kind: Literal["within", "total"] = "within"
    at_ends: dict[str, float] = field(default_factory=dict)

    @property
    def n_patients(self) -> int:
        """Patients in the panel."""
        return self.sessions["patient"].nunique()

    def transitions(self) -> pd.DataFrame:
        """Pair the outcome at session t + lag with the predictors at t.

        Both variables must be observed at t and the outcome at that very session t + lag: a skipped
        session never pairs its neighbours.

        Returns
        -------
        pandas.DataFrame
            patient, session (t), x_within, y_within, x_mean, y_mean, x_next, y_next (missing where only the
            other variable was observed at t + lag).
        """
        rows, patients = self.numbered_transitions()
        return rows.assign(patient=patients.take(rows["patient"].to_numpy()))

    def numbered_transitions(self) -> tuple[pd.DataFrame, pd.Index]:
        """The rows of :meth:`transitions` with a number for each patient, and who has which.

        Texts of hundreds of thousands of rows take longer to compare than a model takes to be fitted to them.
        """
        codes, patients = pd.factorize(self.sessions["patient"])
        session = self.sessions["session"].to_numpy()
        scores = self.sessions[["x", "y"]].to_numpy(dtype=float)
        seen = ~np.isnan(scores)
        now, later = _pairs(codes, session, self.parameters.lag)
        kept = seen[now].all(axis=1) & seen[later].any(axis=1)
        now, later = now[kept], later[kept]
        columns = {"patient": codes[now], "session": session[now]}
        columns |= {name: self.sessions[name].to_numpy()[now] for name in _DISAGGREGATED}
        return pd.DataFrame(columns | {"x_next": scores[later, 0], "y_next": scores[later, 1]}), patients

    def wide(self) -> tuple[np.ndarray, pd.Index]:
        """Scores of everyone in the window, before eligibility, by patient and session.

        Returns
        -------
        scores : ndarray, shape (n, T, 2)
            x and y at sessions first_session to last_session; NaN where not observed.
        patients : Index, length n
        """
        first, last = self.parameters.first_session, self.parameters.last_session
        patients = pd.Index(self.everyone["patient"].unique(), name="patient")
        scores = np.full((len(patients), last - first + 1, 2), np.nan)
        where = patients.get_indexer(self.everyone["patient"]), self.everyone["session"].to_numpy() - first
        scores[where] = self.everyone[["x", "y"]].to_numpy(dtype=float)
        return scores, patients

    def days(self) -> np.ndarray:
        """The day of each session of :meth:`wide`, shape (n, T); NaN where there is none, or where it is not known."""
        scores, patients = self.wide()
        days = np.full(scores.shape[:2], np.nan)
        if "day" in self.everyone:
            session = self.everyone["session"].to_numpy() - self.parameters.first_session
            days[patients.get_indexer(pd.Index(self.everyone["patient"])), session] = self.everyone["day"]
        return days

    def flow(self) -> pd.DataFrame:
        """Patients from enrolment to analysis: step, n_patients (for the PRISMA-IPD flow)."""
        rows = [("patients in the study's files", self.n_enrolled)]
        lost = zip(self.exclusions["reason"], self.exclusions["n_patients"], strict=True)
        rows += [(f"excluded: {reason}", -n) for reason, n in lost]
        rows.append(("patients in the panel", self.n_patients))
        return pd.DataFrame(rows, columns=["step", "n_patients"])

    def _repr_html_(self) -> str:
        return html_table(self.flow().assign(study=self.study)[["study", "step", "n_patients"]])


@singledispatch
def make_panel(study: Study, parameters: Parameters | None = None, **values: Any) -> Panel:
    """Prepare one study for stage 1.

    Parameters
    ----------
    study : Study
        As read by :func:`twostage.collection.collection.read_collection`.
    parameters : Parameters, optional
        Window, standardization, detrending, lag and eligibility. Default: the package's defaults.
    **values
        Single parameters by name, such as ``last_session=5``, which differ from those; ``twostage params`` lists
        them.

    Returns
    -------
    Panel

    Raises
    ------
    ParameterError
        Naming each unknown name, wrong type and impossible value.

    Notes
    -----
    The standard deviation (total: of all session scores in the window; within: of the deviations from the
    person means, divisor n minus number of patients) is taken over everyone observed in the window, before
    eligibility, so that the unit does not depend on who is excluded. Person means use each variable's own
    observed sessions.

    Examples
    --------
    >>> import twostage as ts
    >>> study = ts.read_collection("data").study("S01")
    >>> panel = ts.make_panel(study, last_session=5)
    >>> panel.flow()["n_patients"].tolist()
    [35, 0, -5, 30]
    """
    parameters = resolved(parameters, values)
    window = _oriented(study, parameters)
    scale = {name: _scale(window, name, parameters.standardize) for name in ("x", "y")}
    everyone = window.assign(**{name: window[name] / scale[name] for name in scale})
    everyone = _detrended(everyone, parameters.detrend)
    enrolled = _enrolled(study)
    eligible, excluded = _eligible(enrolled, everyone, parameters)
    return Panel(
        study=study.id,
        label=str(study.info["label"]),
        x=study.x,
        y=study.y,
        parameters=parameters,
        sessions=disaggregated(eligible),
        everyone=everyone,
        patients=_oriented_patients(study),
        scale=scale,
        exclusions=excluded,
        n_enrolled=enrolled,
        checksum=study.checksum,
        **reliabilities(study.info),
        at_ends=shares_at_ends(
            count_at_ends(window[["x", "y"]].to_numpy(), ends_of(study.info)), window[["x", "y"]].count()
        ),
    )


def resolved(parameters: Parameters | None, values: dict[str, Any]) -> Parameters:
    """The parameters, or the package's defaults, with some values that differ."""
    given = {} if parameters is None else parameters.model_dump()
    return make_parameters({**given, **values}) if values or parameters is None else parameters


def ends_of(info: Mapping[str, Any]) -> np.ndarray:
    """Lowest and highest possible scores (rows) of x and y, by a row of the registry."""
    return np.array([[float(info[f"{v}_{end}"]) for v in "xy"] for end in ("min", "max")])


def count_at_ends(scores: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """How many oriented scores (..., 2), not yet divided by anything, are at each of the ends: (2, 2), as `ends`."""
    near = AT_END * (ends[1] - ends[0])
    return np.array([(np.abs(scores - end) <= near).reshape(-1, 2).sum(axis=0) for end in ends])


def shares_at_ends(counts: np.ndarray, of: ArrayLike) -> dict[str, float]:
    """Shares at floor and ceiling, from :func:`count_at_ends` and the numbers of scores (2,)."""
    shares = counts / np.where(np.asarray(of) > 0, of, np.nan)
    return {
        f"{end}_{v}": float(shares[i, j])
        for i, end in enumerate(("floor", "ceiling"))
        for j, v in enumerate("xy")
    }


def reliabilities(info: dict[str, Any]) -> dict[str, Any]:
    """What a row of the registry says of them, as a panel has it."""
    known = tuple(float(info.get(f"{v}_reliability") or np.nan) for v in "xy")
    return {"reliability": known, "reliability_kind": info.get("reliability_kind") or "within"}


def _oriented(study: Study, parameters: Parameters) -> pd.DataFrame:
    inside = study.sessions["session"].between(parameters.first_session, parameters.last_session)
    window = study.sessions[inside].dropna(subset=["x", "y"], how="all")
    for name, direction in (("x", study.x_direction), ("y", study.y_direction)):
        window[name] = _reflected(window[name], study, name, direction)
    return window.reset_index(drop=True)


def _reflected(scores: pd.Series, study: Study, name: str, direction: int) -> pd.Series:
    if direction == 1:
        return scores
    return float(study.info[f"{name}_min"]) + float(study.info[f"{name}_max"]) - scores


def _oriented_patients(study: Study) -> pd.DataFrame | None:
    if study.patients is None:
        return None
    scores = [column for column in ("pre", "post") if column in study.patients]
    oriented = {c: _reflected(study.patients[c], study, "y", study.y_direction) for c in scores}
    return study.patients.assign(**oriented)


def varies(values: ArrayLike, size: Any) -> bool:
    """Whether some numbers differ by more than the rounding of numbers as large as `size`."""
    values = np.asarray(values, dtype=float)
    return len(values) > 1 and bool(np.ptp(values) > ROUNDING * np.abs(size).max())


def _scale(window: pd.DataFrame, name: str, standardize: str) -> float:
    if standardize == "none":
        return 1.0
    scores, patients = window[name].dropna(), window.loc[window[name].notna(), "patient"]
    within = standardize == "within"
    means = scores.groupby(patients).transform("mean") if within else scores.mean()
    deviations = scores - means
    freedom = len(scores) - (patients.nunique() if within else 1)
    # Without variation there is no unit; models of such a variable fail with that reason.
    return float(np.sqrt((deviations**2).sum() / freedom)) if varies(deviations, scores) else 1.0


def _detrended(window: pd.DataFrame, detrend: str) -> pd.DataFrame:
    if detrend == "none":
        return window
    remove = {"session": _without_common_slope, "patient": _without_own_slopes}[detrend]
    return window.assign(**{name: remove(window, name) for name in ("x", "y")})


def _moments(window: pd.DataFrame, name: str) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Session less the patient's mean session, per row; its products with score and itself, per patient."""
    session = window["session"].where(window[name].notna())
    time = session - session.groupby(window["patient"]).transform("mean")
    return (
        time,
        (time * window[name]).groupby(window["patient"]).sum(),
        (time**2).groupby(window["patient"]).sum(),
    )


def _without_common_slope(window: pd.DataFrame, name: str) -> pd.Series:
    time, cross, square = _moments(window, name)
    session = window["session"] - window["session"].mean()
    # Where nobody has two scores there is no trend.
    return window[name] - session * (cross.sum() / square.sum() if square.sum() > 0 else 0.0)


def _without_own_slopes(window: pd.DataFrame, name: str) -> pd.Series:
    time, cross, square = _moments(window, name)
    slope = (cross / square.where(square > 0)).fillna(0.0)
    return window[name] - time * window["patient"].map(slope)


def disaggregated(eligible: pd.DataFrame) -> pd.DataFrame:
    """Eligible patients' sessions with person means and deviations from them."""
    scores = eligible[["x", "y"]]
    codes, _ = pd.factorize(eligible["patient"])
    means = scores.groupby(codes, sort=False).transform("mean")
    within = scores - means
    # A mean of equal scores is off in the last digit: that is no deviation.
    within = within.mask(within.abs() <= ROUNDING * scores.abs().max(), 0.0)
    return eligible.assign(
        x_mean=means["x"], y_mean=means["y"], x_within=within["x"], y_within=within["y"]
    ).reset_index(drop=True)


def _enrolled(study: Study) -> int:
    known = [
        table["patient"].drop_duplicates() for table in (study.sessions, study.patients) if table is not None
    ]
    return pd.concat(known).nunique()


def _eligible(
    enrolled: int, everyone: pd.DataFrame, parameters: Parameters
) -> tuple[pd.DataFrame, pd.DataFrame]:
    codes, patients = pd.factorize(everyone["patient"])
    both = everyone[["x", "y"]].notna().all(axis=1).to_numpy()
    enough = np.bincount(codes[both], minlength=len(patients)) >= parameters.min_sessions
    lost = (enrolled - len(patients), int((~enough).sum()))
    reasons = pd.DataFrame({"reason": exclusions(parameters), "n_patients": lost})
    return everyone[enough[codes]], reasons


def _pairs(codes: np.ndarray, session: np.ndarray, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows, and for each the row of the same patient `lag` sessions later; those without one left out."""
    # One number for each patient and session, so far apart that no patient's last session reaches the next one's.
    keys = codes * (session.max(initial=0) + lag + 1) + session
    order = np.argsort(keys, kind="stable")
    place = np.searchsorted(keys[order], keys + lag)
    now = np.flatnonzero(place < len(keys))
    later = order[place[now]]
    there = keys[later] == keys[now] + lag
    return now[there], later[there]
