"""The mapping: which column of a file is what; YAML that the tool proposes and a person corrects."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, ConfigDict, Field, model_validator

from twostage.collection import schema, study_ids
from twostage.importing.blocks import (
    SESSION,
    Code,
    FileBlock,
    PatientsBlock,
    Score,
    ScoreBlock,
    Session,
    StrictModel,
    Text,
    detail_problem,
)
from twostage.importing.source import ImportProblems, Source
from twostage.problems import Problem, nearest
from twostage.text import YamlError, read_yaml, text_problems


def _dated(value: str) -> str:
    form = value.strip()
    if form.upper() not in ("ISO", "UNIX") and not (
        "%" in form and {"%Y", "%y", "%G", "%c", "%x"} & set(re.findall("%.", form))
    ):
        raise ValueError("ISO, unix (seconds since 1970), or a format with a year, as in '%d.%m.%Y'")
    return form


def _usable(id: str) -> str:
    if (expected := study_ids.why_not(id)) is not None:
        raise ValueError(expected)
    return id


class SampleBlock(pydantic.BaseModel):
    """One sample of a file with several: its study id, what differs from `study`, or `skip`."""

    model_config = ConfigDict(frozen=True, extra="allow")
    study: Annotated[Code, AfterValidator(_usable)] | None = None
    skip: bool = False

    @model_validator(mode="after")
    def _named_or_skipped(self):
        if (self.study is None) is not self.skip:
            raise ValueError("a study id, or skip: true")
        return self


class ImportMapping(StrictModel):
    """A whole mapping; see :func:`read_mapping`.

    Attributes
    ----------
    file, layout, patient, session, date, date_format, x, y, patients, study_column, study, studies
        Which column is what, and what the registry must know.
    date_numbers : {"order", "days"} or None
        How dates become numbers: as they come, or by the calendar, where a skipped day is a missing session. None:
        as they come, unless nearly all are a day apart and some are not, which is asked about.
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
    date_numbers: Literal["order", "days"] | None = None
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
        if self.date_numbers and not self.date:
            raise ValueError("date_numbers beside date only")
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


#: So many columns that a file lacks have one cause: it is another file, or read in another way.
SEVERAL = 3


#: How many names of columns a message has.
MOST_NAMES = 8


def check_columns(source: Source, mapping: ImportMapping, name: str) -> list[Problem]:
    """One problem for each column of the mapping that the file does not have, or one for all where these are many.

    Parameters
    ----------
    source : Source
    mapping : ImportMapping
    name : str
        The mapping's file.
    """
    problems, absent = [], {}
    for key, column in _plain(mapping):
        if column in source.twice:
            own = " or ".join(map(repr, source.twice[column]))
            problems.append(Problem(name, None, key, column, f"which of the columns of this name: {own}"))
        elif column not in source.cells:
            absent[key] = column
    if len(absent) >= SEVERAL:
        there = list(map(str, source.cells))
        shown = ", ".join(there[:MOST_NAMES]) + (", ..." if len(there) > MOST_NAMES else "")
        expected = (
            f"columns of {source.name}, which has {shown}: another file, sheet, header row or separator?"
        )
        problems.append(Problem(name, None, ", ".join(absent), ", ".join(absent.values()), expected))
    else:
        for key, column in absent.items():
            expected = f"a column of {source.name}{nearest(column, map(str, source.cells))}"
            problems.append(Problem(name, None, key, column, expected))
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
    return [column for column in map(str, source.cells) if column not in used]


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
            there = found.setdefault(int(match[1]), {})
            if pattern in there:
                both = f"{there[pattern]} and {column}"
                problems.append(Problem(name, None, pattern, both, "one column for each session"))
            there[pattern] = column
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


#: What a proposal writes where only a person can know; an import refuses it by name.
FILL_IN = "FILL IN"


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
    open_places = [Problem(name, None, key, FILL_IN, words) for key, words in _open_places(content)]
    try:
        mapping = ImportMapping.model_validate(content)
    except (pydantic.ValidationError, RecursionError) as error:
        details = error.errors() if isinstance(error, pydantic.ValidationError) else []
        # What is to be filled in also makes the whole mapping fail its checks.
        wrong = [
            detail_problem(name, d)
            for d in details
            if d["input"] != FILL_IN and (d["loc"] or not open_places)
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
    others = {
        "date_format": "ISO, unix, or a pattern such as '%d.%m.%Y' or '%m/%d/%Y %I:%M %p'",
        "session_labels": "the number of the session, or leave out",
    }
    known = schema.REGISTRY[column][1] if column in schema.REGISTRY else "a column of the file"
    words = others.get(key.split(".")[0], known)
    return f"{words}; only you can know it"


def _open_places(content: Any) -> Iterator[tuple[str, str]]:
    """What is still to be filled in, and what is wanted there; all labels of sessions are one place."""
    labels = []
    for key in unfilled(content):
        head, _, label = key.partition(".")
        if head == "session_labels":
            labels.append(label)
        else:
            yield key, _wanted(key)
    if labels:
        shown = ", ".join(map(repr, labels[:5])) + (f" and {len(labels) - 5} more" if len(labels) > 5 else "")
        yield "session_labels", f"for {shown}: {_wanted('session_labels')}"


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
