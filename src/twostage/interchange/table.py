"""A plain table of effects from anywhere, with a mapping that says what its columns are."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic
from pydantic import ConfigDict, Field

from twostage.interchange.columns import COLUMNS, Column
from twostage.interchange.read import read_bytes, stop, table_rows
from twostage.interchange.theirs import Theirs, cell, equal_variance
from twostage.params import make_parameters
from twostage.problems import Problem, expectation
from twostage.terms import HEADLINE
from twostage.text import YamlError, read_yaml, text_problems

#: What a table need not say, and what is then meant.
_USUAL = {
    "analysis": "lagged",
    "variant": "main",
    "estimator": HEADLINE,
    "converged": "True",
    "singular": "False",
    "x_direction": "1",
    "y_direction": "1",
    "df": "",
    "setting": "",
    "treatment": "",
    "design": "",
    "n_enrolled": "",
}


#: What a mapping cannot give: it follows from the rest.
_FOLLOWS = ("effect", "units", "source_of_effect")


class Mapping(pydantic.BaseModel):
    """What a mapping file says.

    Attributes
    ----------
    source : str
        Where the table is from, in words.
    licence : str
    columns : dict
        Our name of a column -> theirs.
    values : dict
        Our name -> a value that all rows have.
    parameters : dict
        With which the effects were computed, where they differ from the defaults.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    source: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    columns: dict[str, str]
    values: dict[str, str | int | float] = {}
    parameters: dict[str, Any] = {}


def read_mapping(path: Path) -> Mapping:
    """Read a mapping.

    Raises
    ------
    ResultsError
        With everything that is wrong with it.
    """
    try:
        value = read_yaml(path, path.name)
    except (OSError, YamlError) as error:
        stop(
            [
                Problem(
                    path.name, None, None, str(error), "a mapping in YAML: source, licence, columns, values"
                )
            ]
        )
    stop(text_problems(path.name, value))
    try:
        found = Mapping.model_validate(value)
    except pydantic.ValidationError as error:
        stop(
            [
                Problem(
                    path.name,
                    None,
                    ".".join(map(str, d["loc"])) or None,
                    repr(d["input"])[:80],
                    expectation(d),
                )
                for d in error.errors()
            ]
        )
    known = [c.name for c in COLUMNS if c.name not in _FOLLOWS]
    given = [*found.columns, *found.values]
    stop(
        [
            Problem(path.name, None, name, name, f"one of {', '.join(known)}")
            for name in given
            if name not in known
        ]
    )
    stop(
        [
            Problem(path.name, None, name, "twice", "a column or a value")
            for name in found.columns
            if name in found.values
        ]
    )
    return found


def read_table(path: Path, mapping: Mapping) -> Theirs:
    """Read a table of effects.

    Raises
    ------
    ResultsError
        With every cell that cannot be used.
    ParameterError
        If the mapping has parameters that there are not.
    """
    content = read_bytes(path)
    names, lines = table_rows(content, path.name)
    lacking = sorted(set(mapping.columns.values()) - set(names))
    stop(
        [
            Problem(path.name, 1, name, ", ".join(names)[:200], f"a column {name!r}, as the mapping says")
            for name in lacking
        ]
    )
    rows, problems = [], []
    for line, texts in lines:
        given = dict(zip(names, texts, strict=True))
        row, found = _row(line, given, mapping, path.name)
        rows.append(row)
        problems += found
    stop(problems)
    stop([problem for row in rows for problem in equal_variance(row, path.name)])
    return Theirs(
        file=path.name,
        title=mapping.source,
        made=None,
        checksum=hashlib.sha256(content).hexdigest(),
        pair=(),
        parameters=make_parameters(mapping.parameters, "the mapping's parameters"),
        rows=rows,
    )


def _row(
    line: int, given: dict[str, str], mapping: Mapping, file: str
) -> tuple[dict[str, Any], list[Problem]]:
    texts = _USUAL | {name: str(value) for name, value in mapping.values.items()}
    texts |= {name: given[column].strip() for name, column in mapping.columns.items()}
    texts |= {
        "source": texts.get("source") or mapping.source,
        "licence": texts.get("licence") or mapping.licence,
    }
    texts["label"] = texts.get("label") or texts.get("study", "")
    row: dict[str, Any] = {"line": line, "source_of_effect": "table"}
    problems = list(_filled(row, texts, line, file))
    if not problems:
        row.setdefault("vi", row["sei"] ** 2 if "sei" in row else None)
        row.setdefault("sei", row["vi"] ** 0.5 if row["vi"] is not None and row["vi"] >= 0 else None)
        if row["sei"] is None:
            problems.append(
                Problem(file, line, "sei", "nothing", "a standard error (sei) or a variance (vi)")
            )
    return row, problems


def _filled(row: dict[str, Any], texts: dict[str, str], line: int, file: str) -> Iterator[Problem]:
    for column in (c for c in COLUMNS if c.name not in _FOLLOWS):
        if column.name in ("vi", "sei") and column.name not in texts:
            continue
        try:
            row[column.name] = cell(column, texts.get(column.name, ""))
        except ValueError as error:
            yield Problem(
                file, line, column.name, texts.get(column.name, "nothing")[:80], _expected(column, error)
            )


def _expected(column: Column, error: ValueError) -> str:
    return f"{error}; a column or a value of the mapping" if column.always else str(error)
