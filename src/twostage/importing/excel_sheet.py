"""One pass over a sheet of an Excel workbook: the cells as texts, and what the file says besides."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element, iterparse

from openpyxl.utils import column_index_from_string, range_boundaries
from openpyxl.worksheet._read_only import ReadOnlyWorksheet
from openpyxl.worksheet._reader import (
    CELL_TAG,
    COL_TAG,
    FORMULA_TAG,
    INLINE_STRING,
    ROW_TAG,
    VALUE_TAG,
    WorkSheetParser,
    _cast_number,
)

from twostage.importing.marks import NO_MARK, plain_number
from twostage.importing.source import FileOptions, cell_text

#: Rows and columns that a sheet may have, by Excel's rules.
MOST_ROWS, MOST_COLUMNS = 2**20, 2**14


MERGED = ROW_TAG.removesuffix("row") + "mergeCell"


TEXT = ROW_TAG.removesuffix("row") + "t"


@dataclass
class Facts:
    """What a sheet says besides its values; rows from 1, columns from 0.

    Attributes
    ----------
    hidden_rows, hidden_columns : set of int
    merged : list of (int, int, int, int)
        First row, first column, last row, last column of cells that are one.
    formulas : dict
        row -> {column: formula without a stored value}.
    typed : dict
        column -> its different texts that end in a digit, numbers that were typed as texts among them.
    """

    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)
    merged: list[tuple[int, int, int, int]] = field(default_factory=list)
    formulas: dict[int, dict[int, str]] = field(default_factory=dict)
    typed: dict[int, set[str]] = field(default_factory=dict)


class SheetReader(WorkSheetParser):
    """Reads a sheet row by row, whatever the file says of its size.

    openpyxl knows what each kind of cell means. Numbers and texts, nearly all cells of a table, are read here: openpyxl
    takes longer for them, and needs a second pass for what is in `facts`.

    Parameters
    ----------
    sheet : openpyxl.worksheet._read_only.ReadOnlyWorksheet
    options : FileOptions
        The marks in numbers that are typed as texts.

    Attributes
    ----------
    facts : Facts
        Complete when all rows are read.
    """

    def __init__(self, sheet: ReadOnlyWorksheet, options: FileOptions):
        book = sheet.parent
        formats = {"date_formats": book._date_formats, "timedelta_formats": book._timedelta_formats}
        super().__init__(None, sheet._shared_strings, data_only=True, epoch=book.epoch, **formats)
        self.facts = Facts()
        self._open, self._decimal = sheet._get_source, options.decimal or "."
        self._thousands = None if options.thousands == NO_MARK else options.thousands
        self._numbers: dict[str, str] = {}
        self._columns: dict[str, int] = {}

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Number and cells of each row that has any, without empty cells at its end.

        Raises
        ------
        ValueError
            If a row or a cell is where none can be.
        """
        with closing(self._open()) as source:
            for _, element in iterparse(source):
                if element.tag == ROW_TAG:
                    cells = self._row(element)
                    element.clear()
                    if cells or self.row_counter in self.facts.formulas:
                        yield self.row_counter, cells
                elif element.tag == COL_TAG and _hidden(element):
                    first, last = int(element.get("min")), min(int(element.get("max")), MOST_COLUMNS)
                    self.facts.hidden_columns |= set(range(first - 1, last))
                elif element.tag == MERGED:
                    left, top, right, bottom = range_boundaries(element.get("ref"))
                    self.facts.merged.append((top, left - 1, bottom, right - 1))

    def _row(self, row: Element) -> list[str]:
        number = int(float(row.get("r") or self.row_counter + 1))
        if not self.row_counter < number <= MOST_ROWS:
            raise ValueError(f"a row {number} after row {self.row_counter}")
        self.row_counter, self.col_counter = number, 0
        if _hidden(row):
            self.facts.hidden_rows.add(number)
        cells: list[str] = []
        for cell in row:
            if cell.tag == CELL_TAG and (text := self._text(cell)):
                column = self.col_counter - 1
                cells += [""] * (column + 1 - len(cells))
                cells[column] = text
        return cells

    def _text(self, cell: Element) -> str:
        """A cell as text; its column is noted."""
        coordinate = cell.get("r")
        self.col_counter = self._column(coordinate) if coordinate else self.col_counter + 1
        if not 0 < self.col_counter <= MOST_COLUMNS:
            raise ValueError(f"a cell in column {self.col_counter}")
        kind, text = cell.get("t", "n"), cell.findtext(VALUE_TAG)
        if (not text or text.isspace()) and cell.find(FORMULA_TAG) is not None:
            return self._formula(cell, kind)
        if kind == "n" and int(cell.get("s", 0)) not in self.date_formats:
            return self._number(text) if text else ""
        if kind == "s" and text:
            return self._typed(cell_text(self.shared_strings[int(text)]))
        if kind == "inlineStr":
            parts = list(cell.find(INLINE_STRING) or ())
            if len(parts) == 1 and parts[0].tag == TEXT:
                return self._typed(cell_text(parts[0].text or ""))
        # It counts on where there is no coordinate.
        self.col_counter -= not coordinate
        value: Any = self.parse_cell(cell)["value"]
        return self._typed(cell_text(value)) if isinstance(value, str) else cell_text(value)

    def _column(self, coordinate: str) -> int:
        letters = coordinate.rstrip("0123456789")
        if letters not in self._columns:
            self._columns[letters] = column_index_from_string(letters)
        return self._columns[letters]

    def _number(self, text: str) -> str:
        if text not in self._numbers:
            self._numbers[text] = cell_text(_cast_number(text))
        return self._numbers[text]

    def _typed(self, text: str) -> str:
        if text and text[-1].isdigit():
            text = plain_number(text, self._decimal, self._thousands) if self._thousands else text
            self.facts.typed.setdefault(self.col_counter - 1, set()).add(text)
        return text

    def _formula(self, cell: Element, kind: str) -> str:
        """A formula that has no value; that of a text may be empty."""
        if kind != "str":
            formulas = self.facts.formulas.setdefault(self.row_counter, {})
            formulas[self.col_counter - 1] = f"={cell.findtext(FORMULA_TAG) or '...'}"
        return ""


def _hidden(element: Element) -> bool:
    return element.get("hidden") in ("1", "true")
