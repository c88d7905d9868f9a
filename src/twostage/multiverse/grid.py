"""The choices of a multiverse: read from ``multiverse.yml``, or a default that fits any collection."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import pydantic
from pydantic import ConfigDict, Field

from twostage.collection import Collection
from twostage.multiverse.study_sets import ALL, StudySet, resolve_sets
from twostage.params import Parameters, Session, make_parameters
from twostage.problems import Problem, ProblemError, expectation
from twostage.stats.pool import Interval, Tau2Method
from twostage.terms import ESTIMATORS, HEADLINE
from twostage.text import YamlError, read_yaml, text_problems

FILE = "multiverse.yml"


#: Choices of stage 1 and of stage 2, in the order of tables and of specifications.
STAGE1 = ("window", "lag", "min_sessions", "standardize", "detrend", "estimator", "stage1_errors")


STAGE2 = ("tau2_method", "ci_method", "studies")


CHOICES = (*STAGE1, *STAGE2)


#: What each choice is called for readers.
WORDS = {
    "window": "window of sessions",
    "lag": "lag",
    "min_sessions": "fewest sessions of a patient",
    "standardize": "unit",
    "detrend": "trend removed",
    "estimator": "estimator",
    "stage1_errors": "standard errors in the studies",
    "tau2_method": "between-study variance",
    "ci_method": "interval of the pooled effect",
    "studies": "studies",
}


#: Parameters that a choice has the name of.
_PARAMETERS = ("lag", "min_sessions", "standardize", "detrend", "stage1_errors", "tau2_method", "ci_method")


class GridError(ProblemError):
    """A grid of choices that cannot be used."""

    subject = FILE


class _Set(pydantic.BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    words: str = Field(min_length=1, max_length=60)
    only: dict[str, str] = {}
    without: list[str] = []


_Standardize, _Detrend, _Errors = (
    Parameters.model_fields[name].annotation for name in ("standardize", "detrend", "stage1_errors")
)


class _File(pydantic.BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    window: list[Annotated[list[Session], Field(min_length=2, max_length=2)]] = []
    lag: list[Annotated[int, Field(strict=True, ge=1, le=100)]] = []
    min_sessions: list[Annotated[int, Field(strict=True, ge=2, le=1000)]] = []
    standardize: list[_Standardize] = []  # type: ignore[valid-type]
    detrend: list[_Detrend] = []  # type: ignore[valid-type]
    estimator: list[Literal[tuple(ESTIMATORS)]] = []  # type: ignore[valid-type]
    stage1_errors: list[_Errors] = []  # type: ignore[valid-type]
    tau2_method: list[Literal[get_args(Tau2Method)]] = []  # type: ignore[valid-type]
    ci_method: list[Literal[get_args(Interval)]] = []  # type: ignore[valid-type]
    studies: list[str | _Set] = []


@dataclass(frozen=True)
class Grid:
    """Values of each choice.

    Attributes
    ----------
    values : dict
        Choice (:data:`CHOICES`) -> its values; the first is that of the main analysis.
    parameters : Parameters
        Of the main analysis; what is no choice stays as it is there.
    sets : dict
        Words of a set of studies -> the set.
    """

    values: Mapping[str, tuple[Any, ...]]
    parameters: Parameters
    sets: Mapping[str, StudySet]

    def told(self) -> dict[str, Any]:
        """As what is stored says it: lists of numbers and texts, and the studies of each set."""
        sets = {words: list(found.studies) for words, found in self.sets.items()}
        return {name: [told(v) for v in self.values[name]] for name in CHOICES} | {"sets": sets}


def told(value: Any) -> Any:
    """A value of a choice as tables show it: a window as ``1-7``."""
    return f"{value[0]}-{value[1]}" if isinstance(value, tuple) else value


def default_choices(parameters: Parameters) -> dict[str, list[Any]]:
    """What is varied where a collection does not say.

    Not the lag: an effect at a longer lag is another effect, not another estimate of the same. Not effects in scale
    points: those of different instruments are not pooled.
    """
    first, last, fewest = parameters.first_session, parameters.last_session, parameters.min_sessions
    return {
        "window": [(first, last), (first, last - 2), (first + 1, last)],
        "lag": [parameters.lag],
        "min_sessions": [fewest, fewest + 1, fewest + 2],
        "standardize": ["total", "within"],
        "detrend": ["none", "session", "patient"],
        "estimator": list(ESTIMATORS),
        "stage1_errors": ["patients", "model"],
        "tau2_method": ["REML", "DL", "PM"],
        "ci_method": ["hartung-knapp", "wald"],
        "studies": [ALL, "without the largest", "without the smallest third", "the newer half"],
    }


def make_grid(collection: Collection, file: Path | None = None) -> Grid:
    """The grid of a collection: of a file, of its own ``multiverse.yml``, or the default.

    Parameters
    ----------
    collection : Collection
    file : Path, optional

    Raises
    ------
    GridError
        Naming everything that is wrong with the file.

    Notes
    -----
    A choice that the file does not name is varied as by default. The main analysis is always one of the specifications.
    """
    parameters = make_parameters(collection.defaults)
    path = file or collection.path / FILE
    given = _read(path) if file or path.is_file() else _File()
    choices = default_choices(parameters)
    for name in CHOICES:
        if values := getattr(given, name):
            choices[name] = [tuple(v) if name == "window" else v for v in values]
    chosen = {name: getattr(parameters, name) for name in _PARAMETERS}
    chosen |= {"window": (parameters.first_session, parameters.last_session), "estimator": HEADLINE}
    sets, problems = resolve_sets([ALL, *choices["studies"]], collection.studies, str(path.name))
    if problems:
        raise GridError(problems)
    values = {name: tuple(dict.fromkeys([chosen[name], *choices[name]])) for name in CHOICES[:-1]}
    return Grid(values | {"studies": tuple(sets)}, parameters, sets)


def _read(path: Path) -> _File:
    try:
        content = read_yaml(path, path.name)
    except OSError as error:
        raise GridError([Problem(str(path), None, None, type(error).__name__, "a readable file")]) from None
    except YamlError as error:
        raise GridError(error.problems) from None
    problems = text_problems(path.name, content, lambda key: "")
    try:
        found = _File.model_validate(content or {})
    except pydantic.ValidationError as error:
        problems += [_problem(path.name, detail) for detail in error.errors()]
    if problems:
        raise GridError(problems)
    return found


def _problem(file: str, detail: Mapping[str, Any]) -> Problem:
    key = ".".join(map(str, detail["loc"])) or None
    text = repr(detail["input"])
    shown = detail["input"] if len(text) <= 80 else f"{text[:77]}..."
    return Problem(file, None, key, shown, expectation(detail))
