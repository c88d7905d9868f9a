"""From a study's sessions to the rows a lagged model needs.

One path, in this order: window, orientation, standardization, trend, person means and deviations,
eligibility, gap-safe lag. Every patient who does not reach the end is counted with the reason.
"""

from dataclasses import dataclass
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
        The same columns x and y for all patients of the window, before eligibility; for description.
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
        lag = self.parameters.lag
        now = self.sessions.dropna(subset=["x", "y"]).drop(columns=["x", "y"])
        later = self.sessions[["patient", "session", "x", "y"]].rename(columns={"x": "x_next", "y": "y_next"})
        later = later.assign(session=later["session"] - lag)
        pairs = now.merge(later, on=["patient", "session"], how="inner")
        return pairs.dropna(subset=["x_next", "y_next"], how="all").reset_index(drop=True)

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
    eligible, excluded = _eligible(study, everyone, parameters)
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
        n_enrolled=_enrolled(study),
        checksum=study.checksum,
        **reliabilities(study.info),
    )


def resolved(parameters: Parameters | None, values: dict[str, Any]) -> Parameters:
    """The parameters, or the package's defaults, with some values that differ."""
    given = {} if parameters is None else parameters.model_dump()
    return make_parameters({**given, **values}) if values or parameters is None else parameters


def reliabilities(info: dict[str, Any]) -> dict[str, Any]:
    """What a row of the registry says of them, as a panel has it."""
    known = tuple(float(info.get(f"{v}_reliability") or np.nan) for v in "xy")
    return {"reliability": known, "reliability_kind": info.get("reliability_kind") or "within"}


def _oriented(study: Study, parameters: Parameters) -> pd.DataFrame:
    inside = study.sessions["session"].between(parameters.first_session, parameters.last_session)
    window = study.sessions.loc[inside, ["patient", "session", "x", "y"]].dropna(subset=["x", "y"], how="all")
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
    means = scores.groupby(eligible["patient"]).transform("mean")
    within = scores - means
    # A mean of equal scores is off in the last digit: that is no deviation.
    within = within.mask(within.abs() <= ROUNDING * scores.abs().max(), 0.0)
    return eligible.assign(
        x_mean=means["x"], y_mean=means["y"], x_within=within["x"], y_within=within["y"]
    ).reset_index(drop=True)


def _enrolled(study: Study) -> int:
    known = pd.Index(study.sessions["patient"].unique())
    return len(known if study.patients is None else known.union(study.patients["patient"].unique()))


def _eligible(
    study: Study, everyone: pd.DataFrame, parameters: Parameters
) -> tuple[pd.DataFrame, pd.DataFrame]:
    counts = everyone.dropna(subset=["x", "y"]).groupby("patient").size()
    enough = counts.index[counts >= parameters.min_sessions]
    n_window = everyone["patient"].nunique()
    lost = (_enrolled(study) - n_window, n_window - len(enough))
    reasons = pd.DataFrame({"reason": exclusions(parameters), "n_patients": lost})
    return everyone[everyone["patient"].isin(enough)], reasons
