"""``collection.yml``: what a collection is about and where its data are."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints

from twostage.collection.review import Review
from twostage.params import make_parameters
from twostage.problems import ParameterError, Problem, expectation
from twostage.text import YamlError, read_yaml, text_problems
from twostage.words import PLAIN, Words, plural

FILE = "collection.yml"


PLACEHOLDER = r"\{([A-Za-z_][A-Za-z0-9_]*)\}"


Pattern = Annotated[str, StringConstraints(pattern=rf"^([^{{}}]|{PLACEHOLDER})+$")]


@dataclass(frozen=True)
class Variable:
    """One of the pair.

    Attributes
    ----------
    name : str
        Column in the session files.
    label : str
        In words.
    better : {"higher", "lower"}
        Which end of the scale is the good one.
    """

    name: str
    label: str
    better: str


class _Model(pydantic.BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class VariableSettings(_Model):
    """x or y in ``collection.yml``."""

    name: str = Field(min_length=1)
    label: str = Field(min_length=1)
    better: Literal["higher", "lower"]


class Layout(_Model):
    """Where a kind of table is and what its columns are called.

    Attributes
    ----------
    file : str
        Relative to the collection; ``{study}``, or another column of studies.csv, stands for its value.
    columns : dict
        Our name -> the file's.
    where : dict
        Column of the file -> column of studies.csv: the study's rows in a file that several studies share.
    """

    file: Pattern
    columns: dict[str, str]
    where: dict[str, str] = {}

    def path(self, info: Mapping[str, Any]) -> str:
        """The file of the study with this row of studies.csv."""
        return re.sub(PLACEHOLDER, lambda match: str(info[match[1]]), self.file)

    def registry_columns(self) -> list[str]:
        """Columns of studies.csv that it refers to."""
        return [*re.findall(PLACEHOLDER, self.file), *self.where.values()]


class _SessionsBlock(_Model):
    file: Pattern = "sessions/{study}.csv"
    columns: dict[Literal["patient", "session", "x", "y", "day"], str] = {}
    where: dict[str, str] = {}
    in_pieces: bool | None = None


class _PatientsBlock(_Model):
    file: Pattern = "patients/{study}.csv"
    columns: dict[Literal["patient", "therapist", "age", "gender", "pre", "post"], str]
    where: dict[str, str] = {}


#: A word of a collection's: letters, with single blanks or hyphens between them. Pages take it as it is.
_Word = Annotated[str, StringConstraints(pattern=r"^[^\W\d_]+([ -][^\W\d_]+)*$", max_length=40)]


class _Words(_Model):
    """Plurals follow the usual rules where they are not given."""

    person: _Word = PLAIN.person
    persons: _Word | None = None
    occasion: _Word = PLAIN.occasion
    occasions: _Word | None = None
    start: _Word = PLAIN.start
    end: _Word = PLAIN.end

    def complete(self) -> Words:
        given = self.model_dump(exclude_none=True)
        return Words(**{"persons": plural(self.person), "occasions": plural(self.occasion)} | given)


def _signed(value: Any) -> Any:
    """Authors as one text: a list of them is joined, nothing is nobody."""
    if value is None:
        return ""
    names = value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) for name in names):
        raise ValueError("a text such as 'A. Author, B. Author', or a list of texts")
    return ", ".join(name.strip() for name in names)


#: What a collection may say its data are like: the kinds of data of :mod:`twostage.recovery.conditions`.
Kind = Literal[
    "plain",
    "shared_trends",
    "own_trends",
    "unequal_variances",
    "dropout",
    "heterogeneous",
    "moderated",
    "everything",
    "measurement_error",
    "error_and_trends",
    "floors",
    "own_autoregressions",
    "unequal_spacing",
    "unseen_dropout",
    "therapists",
    "realistic",
]


#: Where a book is on the web, such as its DOI; empty while it is nowhere. Pages take it as it is.
ADDRESS = r"^(https?://[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]+)?$"


class _File(_Model):
    title: str = Field(min_length=1)
    note: str = Field(min_length=1)
    authors: Annotated[str, BeforeValidator(_signed)] = ""
    address: Annotated[str, StringConstraints(pattern=ADDRESS, max_length=300)] = ""
    synthetic: bool
    x: VariableSettings
    y: VariableSettings
    words: _Words = _Words()
    review: Review = Review()
    condition: Kind = "realistic"
    parameters: dict[str, Any] = {}
    sessions: _SessionsBlock = _SessionsBlock()
    patients: _PatientsBlock | None = None


@dataclass(frozen=True)
class Settings:
    """``collection.yml`` with its defaults filled in.

    `in_pieces` says whether sessions in Parquet are read in pieces (:mod:`twostage.collection.large_study`); None: those
    of many rows.
    """

    title: str
    note: str
    authors: str
    address: str
    synthetic: bool
    x: Variable
    y: Variable
    words: Words
    parameters: dict[str, Any]
    sessions: Layout
    patients: Layout | None
    in_pieces: bool | None = None
    review: Review = Review()
    condition: Kind = "realistic"

    @property
    def day(self) -> str | None:
        """The sessions' column with the day of each, or None."""
        return self.sessions.columns.get("day")

    def patient_column(self, name: str) -> str | None:
        """The file's column for `pre` or `post`, or None."""
        return self.patients.columns.get(name) if self.patients else None


def read_settings(path: Path) -> tuple[Settings | None, list[Problem]]:
    """Read ``collection.yml`` of a folder; the settings are None where there are problems."""
    try:
        content = read_yaml(path / FILE, FILE)
    except FileNotFoundError:
        return None, [Problem(FILE, None, None, "no such file", "this file, which says what x and y are")]
    except OSError as error:
        return None, [Problem(FILE, None, None, type(error).__name__, "a readable file")]
    except YamlError as error:
        return None, list(error.problems)
    # A note, and what is said of the review, may be written over several lines.
    problems = text_problems(FILE, content, lambda key: "\n" if key == "note" or key[:7] == "review." else "")
    problems += _parameter_problems(content)
    try:
        file = _File.model_validate(content)
    except pydantic.ValidationError as error:
        return None, [*map(_problem, error.errors()), *problems]
    settings = _complete(file)
    problems += _column_problems(settings)
    return (None if problems else settings), problems


def _problem(detail: Mapping[str, Any]) -> Problem:
    key = ".".join(map(str, detail["loc"])) or None
    if detail["type"] == "extra_forbidden":
        return Problem(FILE, None, key, _short(detail["input"]), "only keys that a collection has")
    if not detail["loc"]:
        return Problem(FILE, None, None, _short(detail["input"]), "lines such as 'title: My collection'")
    found = "nothing" if detail["type"] == "missing" else _short(detail["input"])
    return Problem(FILE, None, key, found, expectation(detail))


def _parameter_problems(content: Any) -> list[Problem]:
    values = content.get("parameters", {}) if isinstance(content, dict) else {}
    if not isinstance(values, dict):
        return []
    try:
        make_parameters({name: value for name, value in values.items() if isinstance(name, str)}, FILE)
    except ParameterError as error:
        return [Problem(FILE, None, f"parameters.{p.column}", p.value, p.expected) for p in error.problems]
    return []


def _column_problems(settings: "Settings") -> list[Problem]:
    problems = []
    for block, layout in (("sessions", settings.sessions), ("patients", settings.patients)):
        names = list(layout.columns.values()) if layout else []
        problems += [
            Problem(FILE, None, f"{block}.columns", name, "a column of its own for each variable")
            for name in sorted({name for name in names if names.count(name) > 1})
        ]
    return problems


def _complete(file: _File) -> Settings:
    standard = {"patient": "patient", "session": "session", "x": file.x.name, "y": file.y.name}
    sessions = Layout(
        file=file.sessions.file, columns=standard | file.sessions.columns, where=file.sessions.where
    )
    patients = None
    if file.patients:
        patients = Layout(
            file=file.patients.file,
            columns={"patient": "patient"} | file.patients.columns,
            where=file.patients.where,
        )
    variables = {v: Variable(**getattr(file, v).model_dump()) for v in ("x", "y")}
    return Settings(
        title=file.title,
        note=file.note,
        authors=file.authors,
        address=file.address,
        synthetic=file.synthetic,
        words=file.words.complete(),
        parameters=file.parameters,
        sessions=sessions,
        patients=patients,
        in_pieces=file.sessions.in_pieces,
        review=file.review,
        condition=file.condition,
        **variables,
    )


def _short(value: object) -> object:
    text = repr(value)
    return value if len(text) <= 80 else text[:77] + "..."
