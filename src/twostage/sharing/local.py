"""What only the site can see and disclosure control must know: where one patient's scores stand out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from twostage.collection import Study
from twostage.params import Parameters
from twostage.records import notebook_parameters
from twostage.sharing.cells import SafeSums, safe_sums
from twostage.sharing.models import Model
from twostage.sharing.spread import Values, gives_away
from twostage.stage1 import (
    OUTCOME_CONTROLS,
    Panel,
    cross_products,
    make_panel,
    outcome_rows,
    transitions,
    variants,
)
from twostage.terms import DIRECTIONS, ESTIMATORS, Direction

#: Why a session's statistics go although they would tell nothing by themselves.
SUBTRACTION = "the statistics of all sessions, less these, would be those of the withheld ones"


#: Estimators that take every score in the window.


#: Columns, or sums of products of columns, of which a model consists.
_Columns = dict[str, Values]


@dataclass(frozen=True)
class Local:
    """What a study's data say that its records do not; each mapping says why something may not be shared.

    Attributes
    ----------
    one_sided : int
        Patients with a transition of which only one of the two outcomes was observed: the models of the two directions
        differ by these patients' rows.
    sessions : mapping
        (session, "x" or "y") -> why its mean and standard deviation may not be shown.
    variables : mapping
        "x", "y", "pre" -> why statistics of all its scores may not be shown.
    models : mapping
        (analysis, variant, direction) -> why the model may not be shown.
    sums : SafeSums or None
        What of the exact sums hides each patient; None if they are not to be shared.
    """

    one_sided: int = 0
    sessions: Mapping[tuple[int, str], str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[Model, str] = field(default_factory=dict)
    sums: SafeSums | None = None


def look(study: Study, parameters: Parameters, least: int, cells: tuple[int, int] | None = None) -> Local:
    """Find what must not be shared since one patient's scores stand out.

    Parameters
    ----------
    study : Study
    parameters : Parameters
        Of the whole analysis.
    least : int
        nfilter.tab.
    cells : tuple of int, optional
        Fewest patients of a cell of the one-stage model's sums, without and with the cross-level columns, if these are to
        be shared.
    """
    data = make_panel(study, notebook_parameters("stage1_data", parameters))
    lagged = make_panel(study, notebook_parameters("stage1_lagged", parameters))
    sessions = {
        (session, v): why
        for v in ("x", "y")
        for session, why in withheld_sessions(_by_session(data, v), least).items()
    }
    models = {}
    for model, columns in _models(study, parameters, lagged):
        reasons = (f"{name}: {why}" for name, values in columns.items() if (why := gives_away(values, least)))
        if reason := next(reasons, None):
            models[model] = reason
    rows = lagged.transitions()
    one_sided = rows.loc[rows[["x_next", "y_next"]].isna().any(axis=1), "patient"].nunique()
    sums = None if cells is None else safe_sums(lagged, *cells, least)
    return Local(int(one_sided), sessions, _variables(data, least), models, sums)


def withheld_sessions(by_session: Mapping[int, Values], least: int) -> dict[int, str]:
    """Sessions of whose scores mean and standard deviation may not be shown, with the reason.

    The unit is the standard deviation of all sessions' scores. Together with the shown sessions it gives the sum of
    squares of the withheld ones taken together, so these must hide each patient as well: else the smallest of the
    shown sessions is withheld too, until they do (secondary suppression).
    """
    found = {session: why for session, v in by_session.items() if (why := _alone(v, least))}
    shown = sorted(set(by_session) - set(found), key=lambda session: len(by_session[session].numbers))
    while found and shown and gives_away(_together(by_session[s] for s in found), least):
        found[shown.pop(0)] = SUBTRACTION
    return found


def _alone(values: Values, least: int) -> str | None:
    few = len(values.numbers) < least
    return f"fewer than {least} patients" if few else gives_away(values, least)


def _together(parts: Iterator[Values]) -> Values:
    numbers, patients = zip(*parts, strict=True)
    return Values(np.concatenate(numbers), np.concatenate(patients))


def _values(rows: pd.DataFrame, numbers: pd.Series) -> Values:
    known = numbers.notna().to_numpy()
    return Values(numbers.to_numpy(dtype=float)[known], rows["patient"].to_numpy()[known])


def _by_session(panel: Panel, variable: str) -> dict[int, Values]:
    groups = panel.everyone.groupby("session")
    return {int(str(session)): _values(rows, rows[variable]) for session, rows in groups}


def _variables(panel: Panel, least: int) -> dict[str, str]:
    known = {v: _values(panel.everyone, panel.everyone[v]) for v in ("x", "y")}
    if panel.patients is not None and "pre" in panel.patients:
        known["pre"] = _values(panel.patients, panel.patients["pre"])
    return {v: why for v, values in known.items() if (why := _alone(values, least))}


def _models(study: Study, parameters: Parameters, lagged: Panel) -> Iterator[tuple[Model, _Columns]]:
    """Every model of a study's records with the columns that it is made of."""
    rows = lagged.transitions()
    panels = {name: lagged.parameters.model_copy(update=c) for name, c in variants(lagged.parameters).items()}
    varied = {name: make_panel(study, values).transitions() for name, values in panels.items()}
    own_lines = make_panel(study, lagged.parameters.model_copy(update={"detrend": "patient"})).transitions()
    everyone = {v: _values(lagged.everyone, lagged.everyone[v]) for v in ("x", "y")}
    for name, direction in DIRECTIONS.items():
        yield ("lagged", "main", name), _columns(rows, direction)
        yield ("crosslevel", "main", name), _columns(rows, direction) | _products(rows, direction)
        for variant in transitions(lagged.parameters):
            yield ("transition", variant, name), everyone
        for variant, own in varied.items():
            yield ("sensitivity", variant, name), _columns(own, direction)
        made_of = {"eligible": _columns(rows, direction), "own lines": _columns(own_lines, direction)}
        made_of["everyone"] = everyone
        for estimator in ESTIMATORS.values():
            yield ("estimators", estimator.name, name), made_of[estimator.rows]
    panel = make_panel(study, notebook_parameters("stage1_outcome", parameters))
    for variant, controls in OUTCOME_CONTROLS.items():
        complete = outcome_rows(panel, controls)
        columns = {name: _values(complete, complete[name]) for name in ("x_early", *controls, "post")}
        yield ("outcome", variant, "x_to_y"), columns


def _columns(rows: pd.DataFrame, direction: Direction) -> _Columns:
    rows = rows.dropna(subset=[f"{direction.outcome}_next"])
    names = (direction.cross, direction.auto, "x_mean", "y_mean", f"{direction.outcome}_next")
    return {name: _values(rows, rows[name]) for name in names}


def _products(rows: pd.DataFrame, direction: Direction) -> _Columns:
    rows = rows.dropna(subset=[f"{direction.outcome}_next"])
    return {term: _values(rows, product) for term, product in cross_products(rows, direction).items()}
