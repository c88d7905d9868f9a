"""Read another group's ``results/`` without trusting a byte: sizes, checksums, strict JSON, the schema, each cell."""

import csv
import hashlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import ConfigDict, Field

from twostage.collection import Variable
from twostage.interchange import package, pooled
from twostage.interchange.columns import COLUMNS, NAMES
from twostage.interchange.documents import POOLED_VERSION, Pooled
from twostage.interchange.effects import VCOV_VERSION
from twostage.interchange.theirs import Theirs, cell, equal_variance
from twostage.params import make_parameters
from twostage.problems import Problem, ProblemError, expectation
from twostage.sharing import read_json
from twostage.text import plain, text_problems

#: Bytes of a file. Results of 17 studies take 2 MB together.
MOST = 100_000_000


#: More problems than that help nobody.
SHOWN = 20


_READ = (package.TABLE, pooled.FILE, "vcov.json")


_CHANGED = "as datapackage.json says: the file was changed after it was made"


class ResultsError(ProblemError):
    """Results of another group that are damaged, inconsistent or do not fit."""

    subject = "results to pull"


def stop(problems: list[Problem]) -> None:
    """Raise if there are problems."""
    if problems:
        raise ResultsError(problems[:SHOWN])


def read_bytes(path: Path) -> bytes:
    """A file that is not too large.

    Raises
    ------
    ResultsError
    """
    try:
        if path.stat().st_size > MOST:
            stop(
                [Problem(path.name, None, None, f"{path.stat().st_size:,} bytes", f"at most {MOST:,} bytes")]
            )
        return path.read_bytes()
    except OSError as error:
        expected = "a folder results/ that a run left, or a table of effects with --mapping"
        raise ResultsError([Problem(str(path), None, None, error.strerror, expected)]) from None


def table_rows(content: bytes, file: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The columns of a CSV file and its rows with their lines, all text.

    Raises
    ------
    ResultsError
        If it is no CSV file in UTF-8, or a row has another number of cells.
    """
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        heads, *rows = [(reader.line_num, [plain(text) for text in row]) for row in reader if row]
    except (UnicodeError, csv.Error, ValueError) as error:
        raise ResultsError(
            [Problem(file, None, None, str(error) or "nothing", "a CSV file in UTF-8")]
        ) from None
    names = heads[1]
    twice = sorted({name for name in names if names.count(name) > 1})
    stop([Problem(file, 1, name, "twice", "each column once") for name in twice])
    n = len(names)
    stop(
        [
            Problem(file, line, None, f"{len(r)} cells", f"{n}, as in the header")
            for line, r in rows
            if len(r) != n
        ]
    )
    stop(text_problems(file, [names, *(r for _, r in rows)]))
    return names, rows


def read_folder(path: Path) -> Theirs:
    """Read a folder ``results/``, or a run's folder that has one.

    Raises
    ------
    ResultsError
        With every reason why it cannot be used.
    """
    folder = path if (path / package.FILE).is_file() else path / "results"
    described = _json(read_bytes(folder / package.FILE), package.FILE)
    contents = {name: read_bytes(folder / name) for name in _READ}
    stop(_checksums(described, contents))
    values = {name: _json(content, name) for name, content in contents.items() if name != package.TABLE}
    document = _document(values[pooled.FILE], contents[pooled.FILE])
    rows = _rows(contents[package.TABLE])
    known = {row["effect"]: row for row in rows}
    told = {study.study for study in document.studies}
    stop(
        [
            Problem(package.TABLE, row["line"], "study", row["study"], "a study that pooled.json names")
            for row in rows
            if row["study"] not in told
        ]
    )
    about = document.collection
    return Theirs(
        file=package.TABLE,
        # It is shown as a name only, which may not have what a bundle's texts may not have.
        title=" ".join(re.sub(r"[<>{}`|$\[\]\\]", " ", about.title).split())[:200] or "another group",
        made=document.made,
        checksum=hashlib.sha256(contents[package.TABLE]).hexdigest(),
        pair=tuple(Variable(v.name, v.label, v.better) for v in (about.x, about.y)),
        parameters=make_parameters(document.parameters, pooled.FILE),
        rows=rows,
        matrices=dict(_matrices(values["vcov.json"], contents["vcov.json"], known)),
        reasons={(o.study, o.analysis, o.variant, o.direction): o.reason for o in document.left_out},
    )


def _json(content: bytes, name: str) -> Any:
    try:
        value = read_json(content)
    except ValueError as error:
        raise ResultsError([Problem(name, None, None, str(error), "strict JSON")]) from None
    stop(text_problems(name, value))
    return value


def _checksums(described: Any, contents: dict[str, bytes]) -> list[Problem]:
    resources = described.get("resources") if isinstance(described, dict) else None
    listed = [r for r in resources if isinstance(r, dict)] if isinstance(resources, list) else []
    sums = {str(r.get("path")): r.get("hash") for r in listed}
    found = {name: f"sha256:{hashlib.sha256(content).hexdigest()}" for name, content in contents.items()}
    return [
        Problem(name, None, "sha256", found[name], f"{str(sums.get(name))[:80]}, {_CHANGED}")
        for name in contents
        if sums.get(name) != found[name]
    ]


def _document(value: Any, content: bytes) -> Pooled:
    version = value.get("schema_version") if isinstance(value, dict) else None
    if version != POOLED_VERSION or isinstance(version, bool):
        expected = (
            f"{POOLED_VERSION}; this version of twostage reads no other: both sides need the same version"
        )
        stop([Problem(pooled.FILE, None, "schema_version", version, expected)])
    return _model(Pooled, content, pooled.FILE)


def _model(model: type[pydantic.BaseModel], content: bytes, name: str) -> Any:
    try:
        return model.model_validate_json(content, strict=True)
    except pydantic.ValidationError as error:
        raise ResultsError(
            [
                Problem(
                    name,
                    None,
                    ".".join(map(str, d["loc"]))[:80] or None,
                    repr(d["input"])[:80],
                    expectation(d),
                )
                for d in error.errors()[:SHOWN]
            ]
        ) from None


def _rows(content: bytes) -> list[dict[str, Any]]:
    names, lines = table_rows(content, package.TABLE)
    if names != NAMES:
        stop([Problem(package.TABLE, 1, None, ", ".join(names)[:200], f"the columns {', '.join(NAMES)}")])
    rows, problems = [], []
    for line, texts in lines:
        row: dict[str, Any] = {"line": line}
        for column, text in zip(COLUMNS, texts, strict=True):
            try:
                row[column.name] = cell(column, text)
            except ValueError as error:
                problems.append(Problem(package.TABLE, line, column.name, text[:80], str(error)))
        rows.append(row)
    stop(problems)
    stop([problem for row in rows for problem in equal_variance(row, package.TABLE)])
    seen: set[str] = set()
    for row in rows:
        if row["effect"] in seen:
            problems.append(Problem(package.TABLE, row["line"], "effect", row["effect"], "each effect once"))
        seen.add(row["effect"])
    stop(problems)
    return rows


class _Block(pydantic.BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    study: str
    analysis: str
    variant: str
    of: Literal["x_to_y", "y_to_x", "both"]
    effects: tuple[str, ...]
    matrix: tuple[tuple[float | None, ...], ...]
    n_patients: Annotated[int, Field(ge=0)] | None = None
    n_both: Annotated[int, Field(ge=0)] | None = None


class _Covariances(pydantic.BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    schema_version: Literal[1]
    blocks: tuple[_Block, ...]


def _matrices(value: Any, content: bytes, known: dict[str, dict]) -> Iterator[tuple]:
    """Equation -> its terms, matrix and counts; what they are of stands in the table."""
    version = value.get("schema_version") if isinstance(value, dict) else None
    if version != VCOV_VERSION:
        stop([Problem("vcov.json", None, "schema_version", version, f"{VCOV_VERSION}")])
    found = _model(_Covariances, content, "vcov.json")
    strangers = [(b.study, name) for b in found.blocks for name in b.effects if name not in known]
    stop(
        [
            Problem("vcov.json", None, s, name[:80], "the name of a row of effects.csv")
            for s, name in strangers
        ]
    )
    for b in found.blocks:
        rows = [known[name] for name in b.effects]
        if any((r["study"], r["analysis"], r["variant"]) != (b.study, b.analysis, b.variant) for r in rows):
            stop(
                [
                    Problem(
                        "vcov.json",
                        None,
                        b.study,
                        f"{b.analysis}, {b.variant}",
                        "effects of this study and analysis",
                    )
                ]
            )
        terms = tuple((r["direction"], r["term"]) for r in rows)
        yield (b.study, b.analysis, b.variant, b.of), (terms, b.matrix, b.n_patients, b.n_both)
