"""Every analysis parameter, once: meaning, unit, allowed values and default.

The checks that refuse a misspelt or impossible value, the command line, and what
:mod:`twostage.notebooks` writes into notebooks and pages all come from :class:`Parameters`.
"""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from twostage.problems import ParameterError, Problem, nearest

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
    stage1_errors: Literal["patients", "model", "robust"] = Field(
        "patients",
        description="standard errors of the lagged models: with patients as clusters (patients: CR2, Satterthwaite's "
        "degrees of freedom), the model's own (model), or as patients, and the panel models' robust too (robust: sandwich)",
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


def check_early(parameters: Parameters, source: str = "parameters") -> None:
    """Check that the window holds an early x; only where there are outcomes for it to predict.

    Raises
    ------
    ParameterError
    """
    if parameters.early_last_session < parameters.first_session:
        expected = f"at least first_session = {parameters.first_session}"
        found = parameters.early_last_session
        raise ParameterError([Problem(source, None, "early_last_session", found, expected)])


def _problem(detail: Mapping[str, Any], source: str) -> Problem:
    name = str(detail["loc"][0]) if detail["loc"] else None
    if detail["type"] == "extra_forbidden":
        expected = f"a known parameter{nearest(name, Parameters.model_fields, all_of_them=True)}"
        return Problem(source, None, name, detail["input"], expected)
    if name is None:
        wrong, _, expected = detail["msg"].removeprefix("Value error, ").partition(": expected ")
        name, _, value = wrong.partition("=")
        return Problem(source, None, name, int(value), expected)
    allowed = allowed_values(name)
    meant = nearest(detail["input"], allowed.split(" | "))
    return Problem(source, None, name, detail["input"], f"{allowed}{meant}")


@cache
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
