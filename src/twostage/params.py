"""Every analysis parameter, once: meaning, unit, allowed values and default.

The notebooks' parameter cells, the checks that refuse a misspelt or impossible value, the command
line and the table of parameters in the book all come from :class:`Parameters`.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

import pandas as pd
import pydantic
from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from twostage.problems import ParameterError, Problem

#: Units, as the parameters' JSON schema has them.
SESSION: JsonDict = {"unit": "session"}


SESSIONS: JsonDict = {"unit": "sessions"}


PROPORTION: JsonDict = {"unit": "proportion"}


Session = Annotated[int, Field(strict=True, ge=0, le=1000)]


class Parameters(pydantic.BaseModel):
    """The choices of one analysis; immutable and complete.

    Raises
    ------
    pydantic.ValidationError
        On an unknown name, a wrong type or an impossible value. :func:`make_parameters` turns it into a
        :class:`~twostage.problems.ParameterError`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    first_session: Session = Field(1, description="first session of the window", json_schema_extra=SESSION)
    last_session: Session = Field(
        7, description="last session of the window, at least first_session + lag", json_schema_extra=SESSION
    )
    lag: Annotated[int, Field(strict=True, ge=1, le=100)] = Field(
        1, description="distance from predictor to outcome", json_schema_extra=SESSIONS
    )
    min_sessions: Annotated[int, Field(strict=True, ge=2, le=1000)] = Field(
        3,
        description="fewest sessions with both variables for a patient to be included",
        json_schema_extra=SESSIONS,
    )
    standardize: Literal["total", "within", "none"] = Field(
        "total",
        description="divide x and y by the study's SD over all session scores (total), by "
        "the pooled within-patient SD (within), or not at all (none)",
    )
    detrend: Literal["none", "session", "patient"] = Field(
        "none",
        description="trend removed before the analysis: none, one linear session trend for "
        "the study (session), or each patient's own line (patient)",
    )
    random_slopes: Annotated[bool, Field(strict=True)] = Field(
        False, description="let the two lagged effects vary between patients (true) or not (false)"
    )
    early_last_session: Session = Field(
        3, description="last session of the early x that predicts the outcome", json_schema_extra=SESSION
    )
    tau2_method: Literal["REML", "DL", "PM", "ML", "EB", "SJ", "HS", "HE", "FE"] = Field(
        "REML", description="estimator of the between-study variance"
    )
    ci_method: Literal["hartung-knapp", "hartung-knapp-adhoc", "wald"] = Field(
        "hartung-knapp", description="inference for the pooled effect"
    )
    level: Annotated[float, Field(strict=True, ge=0.5, le=0.999)] = Field(
        0.95, description="coverage of confidence and prediction intervals", json_schema_extra=PROPORTION
    )

    @model_validator(mode="after")
    def _window_holds_a_lag(self) -> Self:
        if self.last_session < self.first_session + self.lag:
            least = self.first_session + self.lag
            raise ValueError(
                f"last_session={self.last_session}: expected at least first_session + lag = {least}"
            )
        if self.early_last_session < self.first_session:
            early, first = self.early_last_session, self.first_session
            raise ValueError(f"early_last_session={early}: expected at least first_session = {first}")
        return self


#: Parameters that say where things are; every one is a text.
PLACES = {
    "collection": ("data", "folder of the collection", "path"),
    "study": ("S01", "the study to analyse", "a study id of the collection"),
    "record_folder": ("", "folder in which to leave this study's results; empty: leave none", "path"),
    "records": ("runs/default/records", "folder with the studies' results from stage 1", "path"),
    "output_folder": ("", "folder in which to leave pooled tables and figures; empty: leave none", "path"),
    "example_folder": ("", "new folder for a tutorial's example files; empty: a temporary one", "path"),
}


_WINDOW = ("first_session", "last_session")


_PANEL = (*_WINDOW, "lag", "min_sessions", "standardize", "detrend")


_STAGE1 = ("collection", "study", "record_folder")


_STAGE2 = ("collection", "records", "output_folder", "tau2_method", "ci_method", "level")


#: Which notebook takes which parameters, in the order of its parameter cell.
NOTEBOOKS = {
    "stage1_data": (*_STAGE1, *_PANEL),
    "stage1_outcome": (*_STAGE1, *_PANEL, "early_last_session", "level"),
    "stage1_lagged": (*_STAGE1, *_PANEL, "random_slopes", "level"),
    "stage1_crosslevel": (*_STAGE1, *_PANEL, "random_slopes", "level"),
    "stage1_estimators": (*_STAGE1, *_PANEL, "level"),
    "stage2_outcome": _STAGE2,
    "stage2_lagged": _STAGE2,
    "stage2_joint": _STAGE2,
    "stage2_crosslevel": _STAGE2,
    "stage2_sensitivity": _STAGE2,
    "stage2_influence": _STAGE2,
    "stage2_small_study": _STAGE2,
    "stage2_moderators": _STAGE2,
    "stage2_estimators": _STAGE2,
    "stage2_recovery": ("collection", "output_folder"),
    "stage2_window": _STAGE2,
    "tutorial_methodologist": ("example_folder",),
    "tutorial_researcher": ("example_folder",),
    "tutorial_clinic": ("example_folder",),
}


#: Which records (one JSON file each) a stage-1 notebook leaves in its ``record_folder``.
RECORDS = {
    "stage1_data": ("data",),
    "stage1_outcome": ("outcome",),
    "stage1_lagged": ("lagged", "transition", "sensitivity"),
    "stage1_crosslevel": ("crosslevel",),
    "stage1_estimators": ("estimators",),
}


#: Which of those records a stage-2 notebook pools.
POOLED = {
    "stage2_outcome": ("outcome",),
    "stage2_lagged": ("data", "lagged", "transition"),
    "stage2_joint": ("lagged",),
    "stage2_crosslevel": ("crosslevel",),
    "stage2_sensitivity": ("lagged", "sensitivity"),
    "stage2_influence": ("lagged",),
    "stage2_small_study": ("lagged",),
    "stage2_moderators": ("data", "lagged"),
    "stage2_estimators": ("estimators",),
    "stage2_recovery": (),
    "stage2_window": ("lagged", "crosslevel"),
}


#: Notebooks that show how to do something, on example files of their own; they read no record.
TUTORIALS = tuple(name for name in NOTEBOOKS if name.startswith("tutorial_"))


def make_parameters(values: Mapping[str, Any], source: str = "parameters") -> Parameters:
    """Check a set of values and complete it with the defaults.

    Parameters
    ----------
    values : mapping
        Name to value; names not given keep their default.
    source : str
        Where the values came from, for the messages.

    Raises
    ------
    ParameterError
        With one problem per unknown name, wrong type or impossible value.
    """
    try:
        return Parameters(**values)
    except pydantic.ValidationError as error:
        raise ParameterError([_problem(detail, source) for detail in error.errors()]) from None


def _problem(detail: Mapping[str, Any], source: str) -> Problem:
    name = str(detail["loc"][0]) if detail["loc"] else None
    if detail["type"] == "extra_forbidden":
        expected = f"a known parameter{_nearest(name, Parameters.model_fields)}"
        return Problem(source, None, name, detail["input"], expected)
    if name is None:
        wrong, _, expected = detail["msg"].removeprefix("Value error, ").partition(": expected ")
        name, _, value = wrong.partition("=")
        return Problem(source, None, name, int(value), expected)
    return Problem(source, None, name, detail["input"], f"{allowed_values(name)} ({detail['msg']})")


def _nearest(name: str | None, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name or "", list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else f", one of {', '.join(known)}"


def allowed_values(name: str) -> str:
    """What a parameter may be, in words: ``total, within or none``; ``whole number, 1 to 100``."""
    if name in PLACES:
        return PLACES[name][2]
    schema = Parameters.model_json_schema()["properties"][name]
    if "enum" in schema:
        return " | ".join(schema["enum"])
    if schema["type"] == "boolean":
        return "True | False"
    kind = {"integer": "whole number", "number": "number"}[schema["type"]]
    return f"{kind}, {schema['minimum']} to {schema['maximum']}"


def parameter_table() -> pd.DataFrame:
    """One row per parameter: meaning, unit, allowed values, default, notebooks that take it."""
    rows: list[tuple[Any, ...]] = []
    for name, (default, meaning, _) in PLACES.items():
        rows.append((name, meaning, "", allowed_values(name), default, _takers(name)))
    for name, field in Parameters.model_fields.items():
        more = field.json_schema_extra
        unit = more.get("unit", "") if isinstance(more, dict) else ""
        rows.append((name, field.description, unit, allowed_values(name), field.default, _takers(name)))
    columns = ["parameter", "meaning", "unit", "allowed", "default", "notebooks"]
    return pd.DataFrame(rows, columns=columns).astype({"default": object})


def _takers(name: str) -> str:
    return ", ".join(notebook for notebook, names in NOTEBOOKS.items() if name in names)


def parameter_cell(notebook: str) -> str:
    """Source of a notebook's parameter cell: one commented line per parameter."""
    table = parameter_table().set_index("parameter")
    lines = []
    for name in NOTEBOOKS[notebook]:
        row = table.loc[name]
        unit = f" [{row['unit']}]" if row["unit"] else ""
        lines.append(f"{name} = {row['default']!r}  # {row['meaning']}{unit}; {row['allowed']}")
    return "\n".join(lines)


def check_parameters(namespace: Mapping[str, Any], notebook: str) -> Parameters:
    """Check what a notebook was given, called right after its parameter cell.

    Papermill injects a misspelt parameter as one more variable and goes on with the default; here
    every plain value in the notebook's namespace that is no parameter of it is an error.

    Parameters
    ----------
    namespace : mapping
        The notebook's ``globals()``.
    notebook : str
        Its name, a key of :data:`NOTEBOOKS`.

    Raises
    ------
    ParameterError
        Naming each unknown, mistyped or impossible parameter.
    """
    known = NOTEBOOKS[notebook]
    plain = (str, int, float, bool, list, dict, tuple, type(None))
    ours = {
        k: v for k, v in namespace.items() if isinstance(v, plain) and k[0] != "_" and k not in {"In", "Out"}
    }
    problems = [
        Problem(notebook, None, name, value, f"a parameter of this notebook{_nearest(name, known)}")
        for name, value in ours.items()
        if name not in known
    ]
    problems += [
        Problem(notebook, None, name, ours[name], f"a text: {allowed_values(name)}")
        for name in known
        if name in PLACES and name in ours and not isinstance(ours[name], str)
    ]
    analysis = {name: value for name, value in ours.items() if name in known and name not in PLACES}
    try:
        parameters = make_parameters(analysis, notebook)
    except ParameterError as error:
        problems += error.problems
    if problems:
        raise ParameterError(problems)
    return parameters
