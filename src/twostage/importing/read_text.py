"""Text files with any separator, decimal mark and encoding; each is detected by a rule that can be told."""

import codecs
import csv
import gzip
import io
import re
import zlib
from pathlib import Path

import pandas as pd

from twostage.importing.source import COMMA, FileOptions, ImportProblems, Source, checked, one_line
from twostage.problems import Problem

#: Candidates, in words.
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


#: What a text is taken for that is neither marked nor UTF-8: what Windows programs of western Europe write.
FALLBACK = "cp1252"


POINT = re.compile(r"[+-]?\d+\.\d+")


MIXED = "numbers with decimal points and others with commas"


def read_text(path: Path, options: FileOptions) -> Source:
    """Read a CSV or TSV file.

    Parameters
    ----------
    path : Path
        May end in ``.gz``.
    options : FileOptions
        What is None is detected: the encoding by its byte order mark, else UTF-8 if the bytes are valid,
        else Windows-1252; the separator as the one that gives every line the header's number of cells (the
        most cells where several do); the decimal mark as the one that occurs.

    Raises
    ------
    ImportProblems
        If the file cannot be read, its encoding is not the one given, no separator fits, lines are ragged,
        or both decimal marks occur.
    """
    name = path.name
    text, encoding, found = _decode(_bytes(path, name), options.encoding, name)
    separator = options.separator or _separator(text, name)
    if options.separator is None:
        found.append(f"{SEPARATORS[separator]} between columns (detected)")
    cells, empty = _cells(text, separator, name)
    if empty:
        found.append(f"{empty} empty line{'s' * (empty > 1)} left out")
    decimal = options.decimal or _decimal(cells)
    if options.decimal is None:
        words = {",": "decimal commas (detected)", ".": "decimal points", None: MIXED}[decimal]
        found.append(words)
    used = FileOptions(encoding, separator, decimal, options.sheet)
    return Source(name, cells, used, tuple(found))


def _bytes(path: Path, name: str) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        found = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ImportProblems([Problem(name, None, None, found, "a readable file")]) from None


def _decode(content: bytes, encoding: str | None, name: str) -> tuple[str, str, list[str]]:
    given = encoding is not None
    encoding = encoding or next((e for mark, e in MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeError as error:
        if given or encoding != "utf-8":
            start = getattr(error, "start", 0)
            row = content[:start].count(b"\n") + 1
            found = f"byte 0x{content[start]:02x}" if start < len(content) else "an incomplete text"
            raise ImportProblems([Problem(name, row, None, found, f"text in {encoding}")]) from None
        encoding = FALLBACK
        # Five bytes have no character in Windows-1252; they would be no text in any encoding near it.
        text = _fallback(content, name)
    except LookupError:
        raise ImportProblems([Problem(name, None, "encoding", encoding, "an encoding's name")]) from None
    if "\0" in text:
        row = text[: text.index("\0")].count("\n") + 1
        expected = (
            "characters; if the file is UTF-16 without a mark, say file: encoding: utf-16-le in the mapping"
        )
        raise ImportProblems([Problem(name, row, None, "a byte 0x00", expected)])
    return text.removeprefix("\ufeff"), encoding, [] if given else [f"text in {encoding} (detected)"]


def _fallback(content: bytes, name: str) -> str:
    try:
        return content.decode(FALLBACK)
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        expected = "text in UTF-8 or Windows-1252; otherwise say file: encoding: in the mapping"
        found = f"byte 0x{content[error.start]:02x}"
        raise ImportProblems([Problem(name, row, None, found, expected)]) from None


def _lines(text: str, separator: str) -> list[tuple[int, list[str]]]:
    """Each record and the line on which it begins."""
    reader, lines, row = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True), [], 1
    for cells in reader:
        lines.append((row, [one_line(cell) for cell in cells]))
        row = reader.line_num + 1
    return lines


def _separator(text: str, name: str) -> str:
    widths, broken = {}, []
    for separator in SEPARATORS:
        try:
            lines = [cells for _, cells in _lines(text, separator) if any(cells)]
        except csv.Error as error:
            broken.append(str(error))
            continue
        if lines and len(lines[0]) > 1:
            same = all(len(cells) == len(lines[0]) for cells in lines)
            widths[separator] = (same, len(lines[0]))
    if broken and not widths:
        raise _unclosed(name, broken[0])
    if not widths:
        found = text.split("\n", 1)[0].strip()[:60] or "an empty file"
        expected = "names of columns with commas, semicolons, tabs or bars between them"
        raise ImportProblems([Problem(name, 1, None, found, expected)])
    best = max(widths.values())
    leading = [separator for separator, width in widths.items() if width == best]
    if len(leading) > 1:
        found = " or ".join(SEPARATORS[s] for s in leading)
        raise ImportProblems([Problem(name, 1, None, found, "file: separator: in the mapping")])
    return leading[0]


def _unclosed(name: str, found: str) -> ImportProblems:
    return ImportProblems([Problem(name, None, None, found, "quotes that are closed")])


def _cells(text: str, separator: str, name: str) -> tuple[pd.DataFrame, int]:
    try:
        lines = _lines(text, separator)
    except csv.Error as error:
        raise _unclosed(name, str(error)) from None
    filled = [(row, cells) for row, cells in lines if any(cells)]
    if not filled:
        raise ImportProblems([Problem(name, None, None, "an empty file", "names of columns and data")])
    (_, header), *rest = filled
    width = _named_width(header, [cells for _, cells in rest])
    ragged = [
        Problem(name, row, None, f"{len(cells)} cells", f"{len(header)} cells, as in the header")
        for row, cells in rest
        if len(cells) != len(header)
    ]
    if ragged:
        raise ImportProblems(ragged)
    table = [cells[:width] for _, cells in rest]
    frame = pd.DataFrame(table, columns=header[:width], index=[row for row, _ in rest], dtype=str)
    problems = checked(name, frame)
    if problems:
        raise ImportProblems(problems)
    return frame, len(lines) - len(filled)


def _named_width(header: list[str], rows: list[list[str]]) -> int:
    """Columns up to the last that has a name or a cell: spreadsheets leave empty ones behind."""
    width = len(header)
    while width > 1 and not header[width - 1] and not any(c for cells in rows for c in cells[width - 1 :]):
        width -= 1
    return width


def _decimal(cells: pd.DataFrame) -> str | None:
    commas = any(cells[c].str.fullmatch(COMMA.pattern).any() for c in cells)
    points = any(cells[c].str.fullmatch(POINT.pattern).any() for c in cells)
    if commas and points:
        return None
    return "," if commas else "."
