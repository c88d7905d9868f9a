"""A researcher's file as cells of text, whatever program wrote it; what was detected is said, not hidden."""

import datetime
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from twostage.problems import Problem, ProblemError

#: Digits that a number of single precision (Stata's float) holds.
SINGLE = 7


#: A number with a decimal comma.
COMMA = re.compile(r"[+-]?\d+,\d+")


#: Whole numbers below this are written out, ids of many digits among them.
WHOLE = 1e17


class ImportProblems(ProblemError):
    """A file, its mapping or what comes of them cannot become a study."""

    subject = "import"


@dataclass(frozen=True)
class FileOptions:
    """How to read a file; what is None is detected.

    Attributes
    ----------
    encoding, separator, decimal : str or None
        Of a text file.
    sheet : str or None
        Of an Excel workbook, or the data frame of an .RData file.
    """

    encoding: str | None = None
    separator: str | None = None
    decimal: str | None = None
    sheet: str | None = None


@dataclass(frozen=True)
class Source:
    """A file's table.

    Attributes
    ----------
    name : str
        The file, for messages.
    cells : pandas.DataFrame
        Every cell a str without surrounding blanks, numbers with a decimal point, "" where there is none;
        index = the row as the file's own program counts it (line, row of the sheet, case).
    options : FileOptions
        As used, detected ones filled in.
    found : tuple of str
        What was detected or left out, in sentences.
    labels : dict
        column -> what it is in words, where the file says so.
    values : dict
        column -> {code: its label}, where the file says so.
    emptied : frozenset of str
        Columns whose missing codes the file declares; they were read as empty.
    """

    name: str
    cells: pd.DataFrame
    options: FileOptions = FileOptions()
    found: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    emptied: frozenset[str] = frozenset()


def with_points(source: Source, columns: Iterable[str]) -> Source:
    """Numbers of some columns with decimal points, where the file has commas; other columns stay as they are."""
    if source.options.decimal != ",":
        return source
    cells = source.cells.copy()
    for column in columns:
        text = cells[column]
        cells[column] = text.where(~text.str.fullmatch(COMMA.pattern), text.str.replace(",", "."))
    return replace(source, cells=cells)


def number_text(value: float, digits: int = 15) -> str:
    """A number as the shortest text that gives it back: ``3``, ``0.1``; digits are significant ones."""
    if float(value).is_integer() and abs(value) < WHOLE:
        return str(int(value))
    text = f"{value:.{digits}g}"
    return text if digits < 15 or float(text) == value else repr(float(value))


def cell_text(value: Any, digits: int = 15) -> str:
    """Any cell of a data frame or a sheet as text; "" where it is missing."""
    if value is None or value is pd.NaT or value is pd.NA:
        return ""
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(sep=" ")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    number = getattr(value, "item", lambda: value)()
    if isinstance(number, int):
        return str(number)
    if isinstance(number, float):
        return "" if math.isnan(number) else number_text(number, digits)
    return one_line(str(value))


def one_line(text: str) -> str:
    """A text without blanks around it and line ends in it: files of a collection have Unix line ends only."""
    # Most cells have no line end, and files have millions of cells.
    return (re.sub(r"[\r\n]+", " ", text) if "\n" in text or "\r" in text else text).strip()


def text_frame(table: pd.DataFrame, single: Iterable[str] = ()) -> pd.DataFrame:
    """A data frame with every cell as text; index = case, from 1.

    Parameters
    ----------
    table : pandas.DataFrame
    single : iterable of str
        Columns of numbers in single precision.
    """
    single = set(single)
    columns = {
        str(c): [cell_text(v, SINGLE if c in single else 15) for v in table[c].tolist()] for c in table
    }
    return pd.DataFrame(columns, index=range(1, len(table) + 1), dtype=str)


def checked(name: str, cells: pd.DataFrame) -> list[Problem]:
    """What is wrong with a table as such: no column, no row, a name twice or missing."""
    names = list(cells.columns)
    problems = [
        Problem(name, None, c, "the name twice", "a name of its own for each column")
        for c in sorted({c for c in names if names.count(c) > 1})
    ]
    problems += [
        Problem(name, None, None, f"no name above column {i}", "a name for each column")
        for i, c in enumerate(names, 1)
        if not c
    ]
    if not names or cells.empty:
        problems.append(Problem(name, None, None, "no data", "a row of names and rows of data"))
    return problems
