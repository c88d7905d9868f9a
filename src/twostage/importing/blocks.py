"""The parts of a mapping: how to read the file, where a score is, what the file says of patients."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from twostage.importing.source import FileOptions, ImportProblems
from twostage.problems import Problem, expectation

#: Stands for the session's number in the names of a wide file's columns.
SESSION = "{session}"


def _as_text(value: Any) -> Any:
    """Codes are compared as text: YAML's 1 and "1" are one code."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    return f"{value:.15g}"


Text = Annotated[str, BeforeValidator(_as_text), Field(min_length=1)]


Code = Annotated[str, BeforeValidator(_as_text)]


Changes = Literal["first", "refuse"]


Session = Annotated[int, Field(ge=0, le=1000)]


#: Says that rows are not to be imported.
LEAVE_OUT = "leave out"


class StrictModel(pydantic.BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ScoreBlock(StrictModel):
    """Where a score is: one column, or items with their key.

    Attributes
    ----------
    column : str
        The column with the score; in a wide file with ``{session}`` in the place of the number.
    columns : dict
        Wide only: session -> column, where names have no pattern.
    items : tuple of str
        Columns of the items instead, in a wide file with ``{session}``.
    score : {"sum", "mean"}
    reversed : tuple of str
        Those of the items that count as item_min + item_max - answer.
    item_min, item_max : float
        Lowest and highest possible answer.
    min_answered : float
        Smallest proportion of items answered for which there is a score; a sum of fewer than all is their mean
        times the number of items.
    missing : tuple of str
        Cells that mean a missing value, besides the empty one.
    values : dict
        Cell -> the number that it stands for: texts of answers.
    at : str or None
        Of the patient only: the score in the rows whose session is this one.
    changes : {"first", "refuse"} or None
        Of the patient only: what to do where rows differ; None: an age is the first, anything else refused.
    """

    column: Text | None = None
    columns: dict[Annotated[int, Field(ge=0, le=1000)], Text] | None = None
    items: tuple[Text, ...] | None = None
    score: Literal["sum", "mean"] | None = None
    reversed: tuple[Text, ...] = ()
    item_min: Annotated[float, Field(allow_inf_nan=False)] | None = None
    item_max: Annotated[float, Field(allow_inf_nan=False)] | None = None
    min_answered: Annotated[float, Field(gt=0, le=1)] = 1.0
    missing: tuple[Code, ...] = ()
    values: dict[Code, Annotated[float, Field(allow_inf_nan=False)]] = {}
    at: Code | None = None
    changes: Changes | None = None

    @model_validator(mode="after")
    def _one_way(self):
        ways = [name for name in ("column", "columns", "items") if getattr(self, name) is not None]
        if len(ways) != 1:
            raise ValueError(f"one of column, columns or items; found {' and '.join(ways) or 'none'}")
        if self.items is None:
            if self.score or self.reversed or self.item_min is not None or self.item_max is not None:
                raise ValueError("score, reversed, item_min and item_max belong to items")
            return self
        if not self.items or len(set(self.items)) != len(self.items):
            raise ValueError("items, each once")
        if self.score is None or self.item_min is None or self.item_max is None:
            raise ValueError("score, item_min and item_max beside items")
        if not self.item_min < self.item_max:
            raise ValueError("item_max greater than item_min")
        strange = [item for item in self.reversed if item not in self.items]
        if strange:
            raise ValueError(f"reversed items among the items; {', '.join(strange)} is not")
        return self

    def names(self) -> tuple[str, ...]:
        """The columns it refers to, as written."""
        if self.columns is not None:
            return tuple(self.columns.values())
        return self.items if self.items is not None else (self.column,)


class TextBlock(StrictModel):
    """A column of texts or codes: therapist, gender.

    Attributes
    ----------
    column : str
    values : dict
        Cell -> what to write for it; others stay as they are.
    missing : tuple of str
        Cells that mean a missing value.
    changes : {"first", "refuse"} or None
        What to do where rows of a patient differ; None: refuse.
    """

    column: Text
    values: dict[Code, Code] = {}
    missing: tuple[Code, ...] = ()
    changes: Changes | None = None


def _short_form(value: Any) -> Any:
    """``age: alter`` stands for ``age: {column: alter}``."""
    return {"column": value} if isinstance(value, (str, int, float)) else value


Score = Annotated[ScoreBlock, BeforeValidator(_short_form)]


Texts = Annotated[TextBlock, BeforeValidator(_short_form)]


class PatientsBlock(StrictModel):
    """Columns that say something of the patient."""

    therapist: Texts | None = None
    age: Score | None = None
    gender: Texts | None = None
    pre: Score | None = None
    post: Score | None = None


RowNumber = Annotated[int, Field(ge=1, le=9_999_999)]


class FileBlock(StrictModel):
    """How to read the file, see :class:`twostage.importing.source.FileOptions`; what is absent is detected."""

    encoding: Text | None = None
    separator: Annotated[str, Field(pattern=r"^[^\w\r\n\x00\"'.+-]$")] | None = None
    decimal: Literal[".", ","] | None = None
    thousands: Literal[".", ",", "'", " ", "none"] | None = None
    sheet: Text | None = None
    frame: Text | None = None
    header_row: Annotated[Text, Field(pattern=r"^(none|[0-9]{1,7}(-[0-9]{1,7})?)$")] | None = None
    skip_rows: tuple[RowNumber, ...] = ()
    last_row: RowNumber | None = None
    short_rows: bool | None = None
    fill_down: tuple[Text, ...] = ()

    def options(self) -> FileOptions:
        """For the readers."""
        return FileOptions(**self.model_dump())


#: Words of the command line for signs that a shell makes hard to say.
SIGNS = {
    "separator": {"tab": "\t", "comma": ",", "semicolon": ";", "blank": " ", "bar": "|"},
    "decimal": {"comma": ",", "point": "."},
    "thousands": {"comma": ",", "point": ".", "apostrophe": "'", "blank": " "},
}


def file_options(given: Mapping[str, str | None]) -> FileOptions:
    """How to read a file, from the options of the command line.

    Parameters
    ----------
    given : dict
        Name of a key of :class:`FileBlock` -> text, or None.

    Raises
    ------
    ImportProblems
        If one cannot be so.
    """
    content: dict[str, Any] = {}
    for key, text in given.items():
        if text is None:
            continue
        text = SIGNS.get(key, {}).get(text.casefold(), text)
        several = key in ("skip_rows", "fill_down")
        content[key] = [part.strip() for part in text.split(",")] if several else text
    try:
        return FileBlock.model_validate(content).options()
    except pydantic.ValidationError as error:
        problems = [detail_problem("command line", detail) for detail in error.errors()]
        raise ImportProblems(
            [replace(p, column=f"--{str(p.column).split('.')[0].replace('_', '-')}") for p in problems]
        ) from None


def detail_problem(name: str, detail: Mapping[str, Any]) -> Problem:
    key = ".".join(map(str, detail["loc"])) or None
    kind, found = detail["type"], _short(detail["input"])
    if kind == "extra_forbidden":
        return Problem(name, None, key, found, "only keys that a mapping has")
    return Problem(name, None, key, "nothing" if kind == "missing" else found, expectation(detail))


def _short(value: object) -> object:
    text = re.sub(r"\s+", " ", repr(value))
    return value if len(text) <= 80 else text[:77] + "..."
