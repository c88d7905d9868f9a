"""Reading a comma-separated text file without guessing: every oddity is a problem with its row.

What Excel and Windows programs save their own way is made plain first (:mod:`twostage.collection.other_csv`).
"""

import csv
import gzip
import io
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from twostage.collection.other_csv import Content, plain_content
from twostage.problems import Problem
from twostage.text import plain

#: Bytes of a file, unpacked: more than any study has, less than fills a memory.
MOST_BYTES = 2**29


@dataclass(frozen=True)
class Table:
    """A file's cells, and what is wrong with the file as such.

    Attributes
    ----------
    cells : pandas.DataFrame
        Every cell a str; index = the row as an editor counts it (the header is row 1).
    problems : tuple of Problem
    whole : bool
        Whether `cells` holds every row of the file. If not, nothing may be concluded from what it lacks.
    said : str
        As of :class:`twostage.collection.other_csv.Content`.
    """

    cells: pd.DataFrame
    problems: tuple[Problem, ...]
    whole: bool
    said: str = ""


def read_table(path: Path, name: str, *, may_be_empty: bool = False) -> Table:
    """Read a CSV file as text; what can be read of a file with problems is read, so that all come at once.

    An apostrophe before what would be a formula, which marks a text in spreadsheets, is no part of the cell
    (:mod:`twostage.text.csv_cells`).

    Parameters
    ----------
    path : Path
        May end in ``.gz``.
    name : str
        What to call the file in messages.
    may_be_empty : bool
        Whether a header without data is no problem.
    """
    content = content_of(path, name)
    if content.plain is None:
        return Table(pd.DataFrame(), content.problems, False)
    if not content.plain.strip():
        return Table(
            pd.DataFrame(), (Problem(name, None, None, "an empty file", "a header line and data"),), False
        )
    cells, problems, whole = _cells(content.plain.decode("utf-8"), name, may_be_empty)
    return Table(cells, tuple(problems), whole, content.said)


def content_of(path: Path, name: str) -> Content:
    """What is in a file, unpacked and as a plain one has it.

    Parameters
    ----------
    path, name
        As of :func:`read_table`.
    """
    try:
        if not (stat.S_ISREG(mode := path.stat().st_mode) or stat.S_ISDIR(mode)):
            # Reading a device or a pipe need not end.
            return _unreadable(name, "a device or a pipe", "a readable file")
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return _unreadable(name, "no such file", "this file")
    except (OSError, EOFError, zlib.error) as error:
        return _unreadable(name, type(error).__name__, "a readable file")
    if len(content) > MOST_BYTES:
        return _unreadable(name, "a larger file", f"at most {MOST_BYTES // 2**20} MB when unpacked")
    return plain_content(content, name)


def _unreadable(name: str, found: str, expected: str) -> Content:
    return Content(None, (Problem(name, None, None, found, expected),))


def _cells(text: str, name: str, may_be_empty: bool) -> tuple[pd.DataFrame, list[Problem], bool]:
    reader = csv.reader(io.StringIO(text), strict=True)
    rows, lines, problems, row = [], [], [], 1
    try:
        header = [plain(cell.strip()) for cell in next(reader)]
        if not header:
            return pd.DataFrame(), [Problem(name, 1, None, "an empty line", "the header")], False
        row = reader.line_num + 1
        for cells in reader:
            if len(cells) == len(header):
                rows.append([plain(cell) for cell in cells])
                lines.append(row)
            elif cells:
                problems.append(_ragged(name, row, cells, header))
            row = reader.line_num + 1
    except csv.Error as error:
        problems.append(Problem(name, row, None, str(error), "quotes that are closed"))
        return pd.DataFrame(), problems, False
    repeated = sorted({column for column in header if header.count(column) > 1})
    problems += [Problem(name, 1, column, "twice in the header", "each column once") for column in repeated]
    if not rows and not problems and not may_be_empty:
        problems.append(Problem(name, None, None, "a header without data", "at least one row of data"))
    if repeated:
        return pd.DataFrame(), problems, False
    return pd.DataFrame(rows, columns=header, index=lines, dtype=str), problems, not problems


def _ragged(name: str, row: int, cells: list[str], header: list[str]) -> Problem:
    hint = " (a decimal comma splits a number in two: write a point)" if len(cells) > len(header) else ""
    return Problem(name, row, None, f"{len(cells)} cells", f"{len(header)} cells, as in the header{hint}")
