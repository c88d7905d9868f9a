"""A researcher's file as cells of text, whatever program wrote it; what was detected is said, not hidden."""

import datetime
import gc
import math
import re
import shlex
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from twostage.problems import Problem, ProblemError

#: Digits that a number of single precision (Stata's float) holds.
SINGLE = 7


#: What libraries raise over a damaged file; each says it of the file that it was given.
DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


#: Bytes that a file may have when it is unpacked.
LARGEST = 2**29


#: Whole numbers below this are written out, ids of many digits among them.
WHOLE = 1e17


class ImportProblems(ProblemError):
    """A file, its mapping or what comes of them cannot become a study."""

    subject = "import"


@dataclass(frozen=True)
class FileOptions:
    """How to read a file; what is None or empty is detected, or not so.

    Attributes
    ----------
    encoding : str or None
        Of a text, SPSS or Stata file.
    separator, decimal, thousands : str or None
        Of a text file; `decimal` and `thousands` of texts in any file.
    sheet, frame : str or None
        Of an Excel workbook; of an .RData file.
    header_row : str or None
        The row with the names of the columns: ``3``; ``1-2`` where two rows make them together; ``none``.
    skip_rows : tuple of int
        Rows that are no data.
    last_row : int or None
        The last row of data.
    short_rows : bool or None
        Whether rows may end before the last column.
    fill_down : tuple of str
        Columns in which an empty cell means the one above.
    """

    encoding: str | None = None
    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    sheet: str | None = None
    frame: str | None = None
    header_row: str | None = None
    skip_rows: tuple[int, ...] = ()
    last_row: int | None = None
    short_rows: bool | None = None
    fill_down: tuple[str, ...] = ()

    def given(self) -> dict[str, Any]:
        """What is not left to be detected."""
        return {key: value for key, value in vars(self).items() if value not in (None, ())}


def cure(key: str, value: str = "...") -> str:
    """How a file's reader is told something, in words: by an option or in the mapping."""
    return f"--{key.replace('_', '-')} {shlex.quote(value)}, or file: {key}: in the mapping"


@dataclass(frozen=True)
class Source:
    """A file's table.

    Attributes
    ----------
    name : str
        The file, for messages.
    cells : pandas.DataFrame
        Every cell a str without surrounding blanks, "" where there is none; no name of a column twice;
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
    twice : dict
        A name that several columns have -> what they are called in `cells`.
    formulas : dict
        column -> {row: formula without a stored value}.
    doubtful : dict
        column -> a cell of it that has a decimal mark, or a mark between thousands: it is not clear which.
    """

    name: str
    cells: pd.DataFrame
    options: FileOptions = FileOptions()
    found: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    emptied: frozenset[str] = frozenset()
    twice: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    formulas: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    doubtful: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def many_rows() -> Iterator[None]:
    """For reading a file row by row: a list for each row, and nothing that could be given back.

    Python looks through all lists again and again for what nobody needs any more: of a file of 500,000 rows that takes
    two thirds of the reading.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


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


def unreadable(name: str, kind: str, error: BaseException) -> ImportProblems:
    """The refusal of a file that a library could not read."""
    found = " ".join(str(error).split())[:200] or type(error).__name__
    return ImportProblems([Problem(name, None, None, found, f"a readable {kind} file")])


def too_large(name: str, size: str) -> ImportProblems:
    """The refusal of a file that would fill the memory."""
    return ImportProblems(
        [
            Problem(
                name, None, None, size, f"at most {LARGEST // 2**20} MB when unpacked, in a file of one study"
            )
        ]
    )
