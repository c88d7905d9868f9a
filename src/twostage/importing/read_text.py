"""Text files with any separator, decimal mark and encoding; each is detected by a rule that can be told."""

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from twostage.collection import SEP_LINE
from twostage.importing.grid import Grid, cells_of, table_of
from twostage.importing.marks import marks_of
from twostage.importing.source import (
    DAMAGE,
    LARGEST,
    FileOptions,
    ImportProblems,
    Source,
    cure,
    many_rows,
    one_line,
    too_large,
    unreadable,
)
from twostage.problems import Problem

#: Candidates, in words.
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


#: Any number of it is one separator; only where nothing else could be.
BLANK = " "


MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


#: What a text is taken for that is neither marked nor UTF-8: what Windows programs of western Europe write.
FALLBACK = "cp1252"


#: How files begin that are no text.
BEGINNINGS = {
    b"PK\x03\x04": "an Excel workbook or a ZIP archive: unpack it, or name it .xlsx",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls): save it as .xlsx",
    b"$FL2": "an SPSS file: name it .sav",
    b"$FL3": "a compressed SPSS file: name it .zsav",
    b"<stata_dta>": "a Stata file: name it .dta",
    b"RDX": "an R file: name it .RData",
    b"RDA": "an R file: name it .RData",
    b"X\n\x00\x00\x00": "an R file: name it .rds",
    b"PAR1": "a Parquet file: name it .parquet",
    b"%PDF": "a PDF: export the table itself",
    b"SQLite format 3": "a database: export the table as CSV",
}


#: Library that unpacks what begins so.
PACKED = {b"\x1f\x8b": gzip, b"BZh": bz2, b"\xfd7zXZ": lzma}


#: Records by which a separator is chosen.
SAMPLE = 2000


def read_text(path: Path, options: FileOptions, guess: bool = False) -> Source:
    """Read a text file with a table.

    Parameters
    ----------
    path : Path
        May be packed by gzip, bzip2 or xz.
    options : FileOptions
        What is None is detected: the encoding by its byte order mark, else UTF-8 if the bytes are valid, else
        UTF-16 where every other byte is 0, else Windows-1252; the separator as the one that gives most lines the
        same number of cells (the most cells where several do); the decimal mark as the one that occurs.
    guess : bool
        Whether to decide what is not sure, see :func:`twostage.importing.grid.table_of`.

    Raises
    ------
    ImportProblems
        If the file cannot be read, its encoding is not the one given, no separator fits, lines are ragged,
        or its table is not clear.
    """
    name = path.name
    content = unpacked(path)
    _no_text(content, name)
    text, encoding, found = _decode(content, options.encoding, name)
    first = SEP_LINE.match(text)
    separator = options.separator or (first[1] if first else None)
    if separator is None:
        separator = _separator(text, name)
        found.append(f"{(SEPARATORS | {BLANK: 'blanks'})[separator]} between columns (detected)")
    with many_rows():
        cells, lengths = _plain_cells(text, separator) or cells_of(_all_lines(text, separator, name))
    filled = (cells != "").any(axis=1).to_numpy()
    # The line that says the separator is no row.
    if first and filled.any():
        filled[filled.argmax()] = False
    empty = len(cells) - int(filled.sum()) - bool(first)
    if empty:
        found.append(f"{empty} empty line{'s' * (empty > 1)} left out")
    grid = Grid(name, cells, lengths, row_names=separator in " \t").only(filled)
    table = table_of(grid, replace(options, encoding=encoding, separator=separator), guess)
    found += table.found
    marks = marks_of({str(c): table.cells[c].unique() for c in table.cells}, options, separator)
    found += marks.found
    used = replace(table.options, decimal=marks.decimal, thousands=marks.thousands)
    return Source(name, table.cells, used, tuple(found), twice=table.twice, doubtful=marks.doubtful)


def unpacked(path: Path) -> bytes:
    """A file's content; unpacked where it is packed, as far as memory is safe.

    Raises
    ------
    ImportProblems
        If it cannot be read, or would be larger than :data:`twostage.importing.source.LARGEST`.
    """
    try:
        with path.open("rb") as file:
            beginning = file.read(6)
        library = next((lib for mark, lib in PACKED.items() if beginning.startswith(mark)), None)
        if library is None and path.stat().st_size > LARGEST:
            raise too_large(path.name, f"{path.stat().st_size / 2**20:,.0f} MB")
        with path.open("rb") if library is None else library.open(path) as file:
            content = file.read(LARGEST + 1)
    except ImportProblems:
        raise
    except OSError as error:
        found = error.strerror or str(error) or type(error).__name__
        raise ImportProblems([Problem(path.name, None, None, found, "a readable file")]) from None
    except (*DAMAGE, lzma.LZMAError) as error:
        raise unreadable(path.name, "compressed", error) from None
    if len(content) > LARGEST:
        raise too_large(path.name, f"more than {LARGEST / 2**20:,.0f} MB")
    return content


def _no_text(content: bytes, name: str) -> None:
    """Files of other programs that are named like a text."""
    for beginning, what in BEGINNINGS.items():
        if content.startswith(beginning):
            raise ImportProblems([Problem(name, None, None, f"{what}", "text with a row for each line")])
    if re.match(rb"\s*<(!doctype html|html|table|\?xml)", content[:200], re.I):
        found = "a web page or XML: open it in a spreadsheet and save it as .xlsx or .csv"
        raise ImportProblems([Problem(name, None, None, found, "text with a row for each line")])


def _decode(content: bytes, encoding: str | None, name: str) -> tuple[str, str, list[str]]:
    given = encoding is not None
    encoding = encoding or next((e for mark, e in MARKS if content.startswith(mark)), None)
    encoding = encoding or _unmarked_utf16(content) or "utf-8"
    try:
        text = content.decode(encoding)
    except UnicodeError as error:
        if given or encoding != "utf-8":
            start = getattr(error, "start", 0)
            row = content[:start].count(b"\n") + 1
            found = f"byte 0x{content[start]:02x}" if start < len(content) else "an incomplete text"
            expected = f"text in {encoding}: say {cure('encoding', 'cp1252')}, or another"
            raise ImportProblems([Problem(name, row, None, found, expected)]) from None
        encoding = FALLBACK
        # Five bytes have no character in Windows-1252; they would be no text in any encoding near it.
        text = _fallback(content, name)
    except LookupError:
        raise ImportProblems([Problem(name, None, "encoding", encoding, "an encoding's name")]) from None
    if not isinstance(text, str):
        raise ImportProblems([Problem(name, None, "encoding", encoding, "a text's encoding")])
    if "\0" in text:
        row = text[: text.index("\0")].count("\n") + 1
        expected = f"characters; if it is a text, say {cure('encoding', 'utf-16-le')}, or another"
        raise ImportProblems([Problem(name, row, None, "a byte 0x00", expected)])
    return text.removeprefix("\ufeff"), encoding, [] if given else [f"text in {encoding} (detected)"]


def _unmarked_utf16(content: bytes) -> str | None:
    """UTF-16 without a mark: nearly every second byte of a table in it is 0."""
    part = content[:4000]
    for encoding, zeros in (("utf-16-le", part[1::2]), ("utf-16-be", part[::2])):
        if len(part) > 7 and zeros.count(0) > 0.7 * len(zeros) and part.count(0) < 0.6 * len(part):
            return encoding
    return None


def _fallback(content: bytes, name: str) -> str:
    try:
        return content.decode(FALLBACK)
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        expected = f"text in UTF-8 or Windows-1252; otherwise say {cure('encoding', 'mac-roman')}, or another"
        found = f"byte 0x{content[error.start]:02x}"
        raise ImportProblems([Problem(name, row, None, found, expected)]) from None


def _reader(text: str, separator: str) -> Any:
    lines: Iterable[str] = io.StringIO(text, newline="")
    if separator == BLANK:
        lines = (line.replace("\t", " ").strip(" ") for line in lines)
    blanks = separator == BLANK
    return csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=blanks)


def _lines(text: str, separator: str, most: int | None = None) -> list[tuple[int, list[str]]]:
    """Each record and the line on which it begins."""
    reader, lines, row = _reader(text, separator), [], 1
    for cells in reader:
        # Only a record of several lines can have a line's end in a cell.
        several = reader.line_num > row
        lines.append((row, [one_line(cell) if several else cell.strip() for cell in cells]))
        row = reader.line_num + 1
        if len(lines) == most:
            break
    return lines


def _all_lines(text: str, separator: str, name: str) -> list[tuple[int, list[str]]]:
    try:
        return _lines(text, separator)
    except csv.Error as error:
        raise _unclosed(name, str(error)) from None


def _plain_cells(text: str, separator: str) -> tuple[pd.DataFrame, np.ndarray] | None:
    """Cells of a text in which every line is a row, as most are: much faster than row by row."""
    if separator == BLANK or not separator.isascii():
        return None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if '"' in text:
        if re.search(r'(?:\A|\n)""(?:\n|\Z)', text):
            return None  # a row of one empty cell, which without its quotes would be no row
        sign = re.escape(separator)
        text = re.sub(rf'(?<![^\n{sign}])"([^"\n{sign}]*)"(?![^\n{sign}])', r"\1", text)
    # Other quotes mean something, which takes a reader that knows what; and it refuses cells without an end.
    if '"' in text or not text.strip() or max(map(len, text.split("\n"))) >= csv.field_size_limit():
        return None
    text = text.removesuffix("\n")
    content = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    ends = np.append(np.flatnonzero(content == ord("\n")), len(content))
    separators = np.searchsorted(np.flatnonzero(content == ord(separator)), ends)
    lengths = np.diff(separators, prepend=0) + 1
    lengths[np.diff(ends, prepend=-1) == 1] = 0
    cells = pd.read_csv(
        io.StringIO(text),
        sep=separator,
        header=None,
        names=range(lengths.max()),
        index_col=False,
        dtype=object,
        na_filter=False,
        quoting=csv.QUOTE_NONE,
        skip_blank_lines=False,
    )
    # It leaves out empty lines at the end.
    cells = cells.reindex(range(len(lengths)), fill_value="")
    stripped = {i: list(map(str.strip, cells[i])) for i in cells}
    return pd.DataFrame(stripped, index=cells.index + 1, dtype=object), lengths


def _separator(text: str, name: str) -> str:
    top = text.lstrip().split("\n", 1)[0]
    fits, broken = {}, []
    blank = not any(s in top for s in SEPARATORS) and "\t" not in text[:4000]
    for separator in [*SEPARATORS, *([BLANK] * blank)]:
        try:
            lines = [cells for _, cells in _lines(text, separator, SAMPLE) if any(cells)]
        except csv.Error as error:
            broken.append(str(error))
            continue
        fit = _fit(lines)
        if fit:
            fits[separator] = fit
    if broken and not fits:
        raise _unclosed(name, broken[0])
    # A title, or a time beside a date, has blanks too.
    others = [width for s, (share, width) in fits.items() if s != BLANK and share > 0.5]
    share, width = fits.pop(BLANK, (0.0, 0))
    if share >= 0.9 and width > max(others, default=0):
        return BLANK
    leading = [separator for separator, fit in fits.items() if fit == max(fits.values())]
    if len(leading) == 1:
        return leading[0]
    found = " or ".join(SEPARATORS[s] for s in leading) or top.strip()[:60] or "an empty file"
    expected = (
        "one separator" if leading else "names of columns with commas, semicolons, tabs, bars or blanks"
    )
    raise ImportProblems([Problem(name, 1, None, found, f"{expected} between them: say {cure('separator')}")])


def _fit(lines: list[list[str]]) -> tuple[float, int] | None:
    """How many of some lines have the same number of cells, and how many cells; None where there is one only."""
    widths = Counter(map(len, lines))
    if not widths:
        return None
    width, n = max(widths.items(), key=lambda item: (item[1], item[0]))
    first = len(lines[0])
    # m-Path leaves out empty cells at the end: rows are then as wide as the first, or narrower.
    short = sum(k for w, k in widths.items() if 1 < w <= first) if first > 1 else 0
    if max(width, first) < 2:
        return None
    return max(n * (width > 1), short * (first >= width)) / len(lines), max(width, first)


def _unclosed(name: str, found: str) -> ImportProblems:
    expected = "quotes that are closed, and cells of fewer than 131,072 characters"
    return ImportProblems([Problem(name, None, None, found, expected)])
