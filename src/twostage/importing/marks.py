"""Decimal marks and marks between thousands: 1.525 is a number between one and two, or more than a thousand."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from twostage.importing.source import FileOptions, Source
from twostage.problems import Problem

#: A number with a decimal comma.
COMMA = re.compile(r"[+-]?\d+,\d+")


POINT = re.compile(r"[+-]?\d+\.\d+")


WHOLE = re.compile(r"[+-]?\d+")


#: The sign that typesetters use for the hyphen of a negative number.
MINUS = "\u2212"


#: Says that there are no marks between thousands.
NO_MARK = "none"


#: How each mark between thousands may look.
LOOKS = {".": r"\.", ",": ",", "'": "['\u2019]", " ": "[ \u00a0\u202f\u2009]"}


MIXED = "numbers with decimal points and others with commas"


@dataclass(frozen=True)
class Marks:
    """What was found of a file's numbers.

    Attributes
    ----------
    decimal : str or None
        None where both marks occur as decimal marks.
    thousands : str or None
    found : list of str
    doubtful : dict
        As of a :class:`twostage.importing.source.Source`.
    """

    decimal: str | None
    thousands: str | None
    found: list[str] = field(default_factory=list)
    doubtful: dict[str, str] = field(default_factory=dict)


def grouped(mark: str, decimal: str) -> re.Pattern[str]:
    """How a number with a mark between its thousands looks."""
    return re.compile(rf"[+-]?[1-9]\d{{0,2}}(?:{LOOKS[mark]}\d{{3}})+(?:{re.escape(decimal)}\d+)?")


def plain_number(text: str, decimal: str, thousands: str | None) -> str:
    """A number with a decimal point and without marks between thousands; any other text as it is."""
    text = text.replace(MINUS, "-")
    if thousands and thousands != NO_MARK and grouped(thousands, decimal).fullmatch(text):
        text = re.sub(rf"[^\d{re.escape(decimal)}+-]", "", text)
    return text.replace(",", ".") if decimal == "," and COMMA.fullmatch(text) else text


def with_points(source: Source, columns: Iterable[str]) -> Source:
    """Numbers of some columns as Python writes them; other columns, and what is no number, stay as they are."""
    options = source.options
    # Of other programs' files the numbers are numbers; only their texts have marks, and lost them in the reading.
    thousands = options.thousands if options.separator else None
    cells = source.cells.copy()
    for column in columns:
        texts = cells[column].unique()
        plain = {text: plain_number(text, options.decimal or ".", thousands) for text in texts}
        changed = {text: new for text, new in plain.items() if new != text}
        if changed:
            cells[column] = cells[column].map(lambda text, changed=changed: changed.get(text, text))
    return replace(source, cells=cells)


def marks_of(columns: Mapping[str, Iterable[str]], options: FileOptions, separator: str | None) -> Marks:
    """Detect the marks of a file's numbers.

    Parameters
    ----------
    columns : dict
        column -> its different texts.
    options : FileOptions
        What is said is believed.
    separator : str or None
        Of a text file: in a file with commas between columns, a decimal mark is hardly a comma.
    """
    texts = {text for cells in columns.values() for text in cells if text and text[-1].isdigit()}
    decimal, thousands, found = options.decimal, options.thousands, []
    if decimal is None:
        decimal = _decimal(texts)
        words = {",": "decimal commas (detected)", ".": "decimal points", None: MIXED}[decimal]
        found += [words] if separator or decimal != "." else []
    if decimal is not None and thousands is None:
        thousands = _certain(texts, decimal)
        found += [f"{thousands!r} between thousands (detected)"] if thousands else []
    doubtful = {}
    if decimal is not None and thousands is None:
        examples = {column: _doubtful(cells, decimal, separator) for column, cells in columns.items()}
        doubtful = {column: text for column, text in examples.items() if text}
    return Marks(decimal, thousands, found, doubtful)


def _decimal(texts: Iterable[str]) -> str | None:
    commas = [text for text in texts if COMMA.fullmatch(text)]
    points = [text for text in texts if POINT.fullmatch(text)]
    if any(grouped(".", ",").fullmatch(text) and "," in text for text in texts):
        return ","
    if not commas or not points:
        return "," if commas else "."
    for decimal, others in ((",", points), (".", commas)):
        mark = "." if decimal == "," else ","
        own = commas if decimal == "," else points
        # 4,42 beside 1.525 only: the points can be no decimal marks.
        if all(grouped(mark, decimal).fullmatch(t) for t in others) and not all(
            grouped(decimal, mark).fullmatch(t) for t in own
        ):
            return decimal
    return None


def _certain(texts: Iterable[str], decimal: str) -> str | None:
    """The mark between thousands, where it can be nothing else: 1.234.567 or 1.525,00."""
    for mark in (".", ","):
        if mark == decimal:
            continue
        look = grouped(mark, decimal)
        for text in texts:
            if look.fullmatch(text) and (decimal in text or text.count(mark) > 1):
                return mark
    return None


def _doubtful(cells: Iterable[str], decimal: str, separator: str | None) -> str | None:
    """A cell that may be thousands, where every cell of the column may be."""
    cells = [text for text in cells if text and text[-1].isdigit()]
    whole = [text for text in cells if WHOLE.fullmatch(text)]
    for mark in (".", ","):
        marked = [text for text in cells if re.fullmatch(rf"[+-]?\d+(?:{LOOKS[mark]}\d+)+", text)]
        other = "," if mark == "." else "."
        if not marked or not all(grouped(mark, other).fullmatch(text) for text in marked):
            continue
        usual = {".": ";", ",": ","}[mark] == separator
        mixed = bool(whole) and all(abs(int(text)) < 1000 for text in whole)
        if mark != decimal or usual or mixed:
            return marked[0]
    return None


def marks_problems(source: Source, columns: Iterable[str]) -> list[Problem]:
    """What must be said of the marks in some columns before their numbers are sure.

    Parameters
    ----------
    source : Source
    columns : iterable of str
        With scores.
    """
    if source.options.separator and source.options.decimal is None:
        expected = "file: decimal: '.' or ',' in the mapping, or --decimal"
        return [Problem(source.name, None, None, "both decimal points and decimal commas", expected)]
    if source.options.thousands is not None:
        return []
    problems = []
    for column, text in source.doubtful.items():
        if column in columns:
            mark = next(c for c in text if not c.isdigit() and c not in "+-")
            digits = text.replace(mark, "")
            expected = (
                f"file: thousands: in the mapping (or --thousands): {mark!r} if this is {digits}, "
                f"none if it is {text.replace(',', '.')}"
            )
            problems.append(Problem(source.name, None, column, text, expected))
    return problems
