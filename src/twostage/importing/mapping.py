"""The mapping: which column of a file is what; YAML that the tool proposes and a person corrects."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from twostage.collection import schema, study_ids
from twostage.importing.source import FileOptions, ImportProblems, Source
from twostage.problems import Problem
from twostage.text import YamlError, read_yaml, text_problems

#: What a proposal writes where only a person can know; an import refuses it by name.
FILL_IN = "FILL IN"


#: Stands for the session's number in the names of a wide file's columns.
SESSION = "{session}"


def _as_text(value: Any) -> Any:
    """Codes are compared as text: YAML's 1 and "1" are one code."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    return f"{value:.15g}"


def _dated(value: str) -> str:
    form = value.strip()
    if form.upper() not in ("ISO", "UNIX") and not (
        "%" in form and {"%Y", "%y", "%G", "%c", "%x"} & set(re.findall("%.", form))
    ):
        raise ValueError("ISO, unix (seconds since 1970), or a format with a year, as in '%d.%m.%Y'")
    return form


Text = Annotated[str, BeforeValidator(_as_text), Field(min_length=1)]


Code = Annotated[str, BeforeValidator(_as_text)]


Changes = Literal["first", "refuse"]


Session = Annotated[int, Field(ge=0, le=1000)]


#: Says that rows are not to be imported.
LEAVE_OUT = "leave out"


class _Model(pydantic.BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


RowNumber = Annotated[int, Field(ge=1, le=9_999_999)]


class FileBlock(_Model):
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
        problems = [_problem("command line", detail) for detail in error.errors()]
        raise ImportProblems(
            [replace(p, column=f"--{str(p.column).split('.')[0].replace('_', '-')}") for p in problems]
        ) from None


class ScoreBlock(_Model):
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


class TextBlock(_Model):
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


class PatientsBlock(_Model):
    """Columns that say something of the patient."""

    therapist: Texts | None = None
    age: Score | None = None
    gender: Texts | None = None
    pre: Score | None = None
    post: Score | None = None


def _usable(id: str) -> str:
    if (expected := study_ids.why_not(id)) is not None:
        raise ValueError(expected)
    return id


class SampleBlock(pydantic.BaseModel):
    """One sample of a file with several: its study id, what differs from `study`, or `skip`."""

    model_config = ConfigDict(frozen=True, extra="allow")
    study: Annotated[str, BeforeValidator(_as_text), AfterValidator(_usable)] | None = None
    skip: bool = False

    @model_validator(mode="after")
    def _named_or_skipped(self):
        if (self.study is None) is not self.skip:
            raise ValueError("a study id, or skip: true")
        return self


class ImportMapping(_Model):
    """A whole mapping; see :func:`read_mapping`.

    Attributes
    ----------
    file, layout, patient, session, date, date_format, x, y, patients, study_column, study, studies
        Which column is what, and what the registry must know.
    session_labels : dict
        Cell of `session` -> its number, or "leave out"; such rows still say something of the patient.
    session_shift : int
        Added to each session's number.
    sessions : (int, int) or None
        Wide: the first and the last number that {session} stands for.
    join_rows : bool or None
        Long: whether rows of one session that contradict each other nowhere are one.
    similar_ids : {"same", "different"} or None
        Whether ids that differ in leading zeros, case, blanks or .0 are one patient.
    unusual_patients : dict
        Id that may be no patient's (a row of totals, a note) -> "leave out" or "keep".
    keep_sessions : (int, int) or None
    missing : tuple of str
    """

    file: FileBlock = FileBlock()
    layout: Literal["wide", "long"]
    patient: Text
    session: Text | None = None
    date: Text | None = None
    date_format: Annotated[Text, AfterValidator(_dated)] | None = None
    session_labels: dict[Code, Session | Literal["leave out"]] = {}
    session_shift: Annotated[int, Field(ge=-1000, le=1000)] = 0
    sessions: tuple[Session, Session] | None = None
    join_rows: bool | None = None
    similar_ids: Literal["same", "different"] | None = None
    unusual_patients: dict[Code, Literal["leave out", "keep"]] = {}
    keep_sessions: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(le=1000)]] | None = None
    missing: tuple[Code, ...] = ()
    x: Score
    y: Score
    patients: PatientsBlock = PatientsBlock()
    study_column: Text | None = None
    study: dict[str, Any] = {}
    studies: dict[Code, SampleBlock] | None = None

    @model_validator(mode="after")
    def _layout_fits(self):
        if self.layout == "long":
            if (self.session is None) is (self.date is None):
                raise ValueError("session or date (one of them) in the layout long")
            if (self.date is None) is not (self.date_format is None):
                raise ValueError("date_format beside date: ISO, unix, or as in '%d.%m.%Y'")
        elif self.session or self.date or self.date_format:
            raise ValueError("neither session nor date in the layout wide: columns' names have the number")
        if (self.study_column is None) is not (self.studies is None):
            raise ValueError("studies: an entry for each value of study_column, and only with it")
        return self

    @model_validator(mode="after")
    def _rows_fit(self):
        of_long = {"session_labels": bool(self.session_labels), "join_rows": self.join_rows is not None}
        strange = [key for key, said in of_long.items() if said and self.layout == "wide"]
        strange += ["session_labels"] if self.session_labels and self.date else []
        strange += ["sessions"] if self.sessions and self.layout == "long" else []
        if strange:
            raise ValueError(
                f"no {', '.join(dict.fromkeys(strange))} where each session has its own columns, or dates"
            )
        if self.sessions and self.sessions[0] > self.sessions[1]:
            raise ValueError("sessions: the first and the last number, in this order")
        ats = [name for name, block in self.scores() if block.at is not None]
        if any(name in ("x", "y") for name in ats) or (ats and not self.session):
            raise ValueError("at: only of the patient's scores, in the layout long with a session")
        return self

    @model_validator(mode="after")
    def _keeps_something(self):
        if self.keep_sessions and self.keep_sessions[0] > self.keep_sessions[1]:
            raise ValueError("keep_sessions: the first and the last session, in this order")
        return self

    @model_validator(mode="after")
    def _scores_fit(self):
        for name, block in self.scores():
            wide = self.layout == "wide" and name in ("x", "y")
            if wide and block.columns is None and not all(SESSION in c for c in block.names()):
                raise ValueError(f"{name}: {SESSION} in the name of each column, in the layout wide")
            if not wide and (block.columns or any(SESSION in c for c in block.names())):
                raise ValueError(f"{name}: {SESSION} or columns only for x and y in the layout wide")
        return self

    def scores(self) -> Iterator[tuple[str, ScoreBlock]]:
        """Name and block of each score."""
        yield from (("x", self.x), ("y", self.y))
        for name in ("age", "pre", "post"):
            block = getattr(self.patients, name)
            if block is not None:
                yield name, block


def load_yaml(path: Path) -> Any:
    """Content of a mapping's file.

    Raises
    ------
    ImportProblems
    """
    try:
        return read_yaml(path, str(path))
    except OSError as error:
        found = error.strerror or type(error).__name__
        raise ImportProblems([Problem(str(path), None, None, found, "a mapping in YAML")]) from None
    except YamlError as error:
        raise ImportProblems(error.problems) from None


def read_mapping(path: Path) -> ImportMapping:
    """Read a mapping's file.

    Raises
    ------
    ImportProblems
        If it is no YAML, has unknown keys or impossible values, or something is left to fill in.
    """
    return check_mapping(load_yaml(path), str(path))


def check_mapping(content: Any, name: str) -> ImportMapping:
    """A mapping from the content of its file; `name` is the file, for messages.

    Raises
    ------
    ImportProblems
    """
    open_places = [Problem(name, None, key, FILL_IN, _wanted(key)) for key in unfilled(content)]
    try:
        mapping = ImportMapping.model_validate(content)
    except (pydantic.ValidationError, RecursionError) as error:
        details = error.errors() if isinstance(error, pydantic.ValidationError) else []
        # What is to be filled in also makes the whole mapping fail its checks.
        wrong = [
            _problem(name, d) for d in details if d["input"] != FILL_IN and (d["loc"] or not open_places)
        ]
        raise ImportProblems([*open_places, *wrong] or [_too_deep(name)]) from None
    problems = [*open_places, *text_problems(name, content, _allowed)]
    if problems:
        raise ImportProblems(problems)
    return mapping


def _allowed(key: str) -> str:
    """A file's columns are called as they are; what is shown of a study is a text like any other."""
    return "" if key.startswith(("study.", "studies.")) else "\n\r\t"


def _too_deep(name: str) -> Problem:
    return Problem(name, None, None, "keys within keys without end", "a mapping of columns")


def _wanted(key: str) -> str:
    column = key.removeprefix("study.")
    words = schema.REGISTRY[column][1] if column in schema.REGISTRY else "a column of the file"
    return f"{words}; only you can know it"


def unfilled(content: Any, key: str = "", depth: int = 0) -> Iterator[str]:
    """Keys whose value is still to be filled in."""
    if isinstance(content, str) and content.strip() == FILL_IN:
        yield key
    parts: Mapping[Any, Any] = {}
    if isinstance(content, dict):
        parts = content
    elif isinstance(content, list):
        parts = dict(enumerate(content))
    # An alias in YAML can make a mapping contain itself.
    for name, value in parts.items() if depth < 8 else ():
        yield from unfilled(value, f"{key}.{name}" if key else str(name), depth + 1)


def _problem(name: str, detail: Mapping[str, Any]) -> Problem:
    key = ".".join(map(str, detail["loc"])) or None
    kind, found = detail["type"], _short(detail["input"])
    if kind == "extra_forbidden":
        return Problem(name, None, key, found, "only keys that a mapping has")
    if kind == "missing":
        return Problem(name, None, key, "nothing", "this key and its value")
    if kind in {"model_type", "model_attributes_type", "dict_type"}:
        return Problem(name, None, key, found, "keys and their values")
    return Problem(name, None, key, found, detail["msg"].removeprefix("Value error, "))


def _short(value: object) -> object:
    text = re.sub(r"\s+", " ", repr(value))
    return value if len(text) <= 80 else text[:77] + "..."


def check_columns(source: Source, mapping: ImportMapping, name: str) -> list[Problem]:
    """One problem for each column of the mapping that the file does not have.

    Parameters
    ----------
    source : Source
    mapping : ImportMapping
    name : str
        The mapping's file.
    """
    problems = []
    for key, column in _plain(mapping):
        if column in source.twice:
            own = " or ".join(map(repr, source.twice[column]))
            problems.append(Problem(name, None, key, column, f"which of the columns of this name: {own}"))
        elif column not in source.cells:
            near = difflib.get_close_matches(column, list(source.cells), n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            problems.append(Problem(name, None, key, column, f"a column of {source.name}{hint}"))
    if mapping.layout == "wide":
        for v in ("x", "y"):
            problems += wide_columns(source, getattr(mapping, v), f"{name}: {v}", mapping.sessions)[1]
    return problems


def used_columns(source: Source, mapping: ImportMapping) -> list[str]:
    """The file's columns that the mapping names; they exist."""
    return list(dict.fromkeys([c for _, c in _plain(mapping)] + score_columns(source, mapping)))


def _plain(mapping: ImportMapping) -> Iterator[tuple[str, str]]:
    """Columns that the mapping gives by their whole name."""
    for key in ("patient", "session", "date", "study_column"):
        if getattr(mapping, key) is not None:
            yield key, getattr(mapping, key)
    for key in ("therapist", "gender"):
        if getattr(mapping.patients, key) is not None:
            yield f"patients.{key}", getattr(mapping.patients, key).column
    for key, block in mapping.scores():
        where = key if key in ("x", "y") else f"patients.{key}"
        for column in block.names():
            if SESSION not in column or mapping.layout == "long":
                yield where, column


def score_columns(source: Source, mapping: ImportMapping) -> list[str]:
    """The file's columns with scores, items or the session's number; the mapping's columns exist."""
    found = [mapping.session] if mapping.session else []
    for name, block in mapping.scores():
        if mapping.layout == "wide" and name in ("x", "y"):
            found += [
                c
                for columns in wide_columns(source, block, name, mapping.sessions)[0].values()
                for c in columns
            ]
        else:
            found += block.names()
    return list(dict.fromkeys(found))


def unused_columns(source: Source, mapping: ImportMapping) -> list[str]:
    """The file's columns that the mapping does not name; its own exist."""
    used = set(used_columns(source, mapping))
    return [column for column in source.cells if column not in used]


def wide_columns(
    source: Source, block: ScoreBlock, name: str, only: tuple[int, int] | None = None
) -> tuple[dict[int, tuple[str, ...]], list[Problem]]:
    """The columns of a score for each session of a wide file; `only` these numbers are sessions.

    Returns
    -------
    columns : dict
        session -> its columns, in the order of the block's.
    problems : list of Problem
        If there is no session, a session lacks an item, or two columns are one session's.
    """
    if block.columns is not None:
        return {session: (column,) for session, column in block.columns.items()}, []
    found: dict[int, dict[str, str]] = {}
    problems = []
    for pattern in block.names():
        expression = "([0-9]{1,4})".join(re.escape(part) for part in pattern.split(SESSION, 1))
        for column in (*source.cells, *source.twice):
            match = re.fullmatch(expression, column)
            if not match or not (only is None or only[0] <= int(match[1]) <= only[1]):
                continue
            if column in source.twice:
                own = ", ".join(source.twice[column])
                problems.append(Problem(name, None, pattern, column, f"this name once; the file has {own}"))
                continue
            session = found.setdefault(int(match[1]), {})
            if pattern in session:
                both = f"{session[pattern]} and {column}"
                problems.append(Problem(name, None, pattern, both, "one column for each session"))
            session[pattern] = column
    if not found:
        problems.append(Problem(name, None, None, block.names()[0], f"such columns in {source.name}"))
    for session, columns in sorted(found.items()):
        problems += [
            Problem(
                source.name, None, p.replace(SESSION, str(session)), "no such column", f"all items ({name})"
            )
            for p in block.names()
            if p not in columns
        ]
    if problems:
        return {}, problems
    return {s: tuple(found[s][p] for p in block.names()) for s in sorted(found)}, []
