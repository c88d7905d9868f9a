"""CSV files as Excel and Windows programs save them become plain ones: in UTF-8, with commas, points and \\n.

What was done is said and never a guess: a file that could mean two things is a problem. Both ways of reading a study's
files (:mod:`twostage.collection.csv_table`, :mod:`twostage.collection.plain_files`) get the plain content.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from twostage.problems import Problem

BOM = b"\xef\xbb\xbf"


#: What Windows programs of western Europe write.
FALLBACK = "cp1252"


#: Separators that a file may have instead of the comma.
SEPARATORS = {";": "semicolons", "\t": "tabs"}


DECIMAL_COMMAS = "decimal commas"


#: A first line by which a file tells Excel its separator; Excel does not show it as a row.
SEP_LINE = re.compile(r"\"?sep=(.)\"?\r?\n?", re.I)


#: A letter beyond ASCII in UTF-8; in the fallback it would be two odd signs.
_LETTER = re.compile(rb"[\xc3-\xf4][\x80-\xbf]+")


_COMMA, _POINT = re.compile(r"\s*[+-]?\d*,\d+\s*"), re.compile(r"\s*[+-]?\d*\.\d+\s*")


@dataclass(frozen=True)
class Content:
    """What is in a CSV file.

    Attributes
    ----------
    plain : bytes or None
        Lines as in the file, so that rows have its numbers; None where it cannot be read.
    problems : tuple of Problem
    said : str
        In which ways the file was saved otherwise; empty for a plain one.
    separator, decimal, encoding : str
        Of the file.
    before : int
        Lines before the names of the columns, which are not counted as rows.
    """

    plain: bytes | None
    problems: tuple[Problem, ...] = ()
    said: str = ""
    separator: str = ","
    decimal: str = "."
    encoding: str = "utf-8"
    before: int = 0


def plain_content(content: bytes, name: str) -> Content:
    """A file's content as that of a plain CSV file.

    Parameters
    ----------
    content : bytes
    name : str
        What to call the file in messages.
    """
    said, encoding, decimal = [], "utf-8", "."
    if content.startswith(BOM):
        content = content.removeprefix(BOM)
        said.append("a byte order mark")
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        said.append("Windows line ends")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        found = _other_encoding(content, error, name)
        if isinstance(found, Problem):
            return Content(None, (found,))
        text, content, encoding = found, found.encode("utf-8"), FALLBACK
        said.append("text in Windows-1252")
    told_first = SEP_LINE.match(text)
    if told_first:
        text = text[told_first.end() :]
        content = text.encode("utf-8")
        said.append(f"a first line {told_first[0].strip()}, which is not counted as a row")
    header = text.split("\n", 1)[0]
    guessed = next((s for s in SEPARATORS if s in header and "," not in header), ",")
    separator = told_first[1] if told_first else guessed
    if separator != ",":
        told, problems, text = _with_commas(text, separator, name)
        content = text.encode("utf-8")
        if problems:
            return Content(None, tuple(problems))
        said += told
        decimal = "," if DECIMAL_COMMAS in told else "."
    return Content(content, (), _listed(said), separator, decimal, encoding, int(bool(told_first)))


def _other_encoding(content: bytes, error: UnicodeDecodeError, name: str) -> str | Problem:
    row = content[: error.start].count(b"\n") + 1
    byte = f"byte 0x{content[error.start]:02x}"
    expected = "text in UTF-8 (save the file as CSV UTF-8)"
    if _LETTER.search(content):
        return Problem(name, row, None, f"{byte} in a text that is UTF-8 otherwise", expected)
    if b"\0" in content:
        return Problem(name, row, None, byte, expected)
    try:
        return content.decode(FALLBACK)
    except UnicodeDecodeError:
        return Problem(name, row, None, byte, expected)


def _with_commas(text: str, separator: str, name: str) -> tuple[list[str], list[Problem], str]:
    """A text with another separator: what to say, what is wrong, and the text with commas and decimal points."""
    word = SEPARATORS.get(separator, f"the sign {separator}")
    if '"' not in text and "," not in text:
        return [f"{word} between columns"], [], text.replace(separator, ",")
    rows, row = [], 1
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for cells in reader:
            rows.append((row, cells))
            row = reader.line_num + 1
    except csv.Error as error:
        return [], [Problem(name, row, None, str(error), "quotes that are closed")], ""
    commas, points = (next(_cells(rows, look), None) for look in (_COMMA, _POINT))
    if commas and points:
        column, (row, cell) = rows[0][1][points[1]] if points[1] < len(rows[0][1]) else None, points[::2]
        expected = f"decimal commas, as in row {commas[0]} ({commas[2]}), or decimal points, not both"
        return [], [Problem(name, row, column, cell, expected)], ""
    told = [f"{word} between columns", *([DECIMAL_COMMAS] if commas else [])]
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerows([_pointed(cell) for cell in cells] for _, cells in rows)
    return told, [], written.getvalue()


def _cells(rows: list[tuple[int, list[str]]], look: re.Pattern[str]) -> Iterator[tuple[int, int, str]]:
    """Row, place and text of each cell that looks so, below the names of the columns."""
    for row, cells in rows[1:]:
        for i, cell in enumerate(cells):
            if look.fullmatch(cell):
                yield row, i, cell


def _pointed(cell: str) -> str:
    return cell.replace(",", ".") if "," in cell and _COMMA.fullmatch(cell) else cell


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), *words[-1:]] if len(words) > 1 else words)
