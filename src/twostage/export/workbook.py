"""The tables as a workbook: a sheet each, texts as texts; and the numbers behind them in full precision."""

import io
import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import pandas as pd
from openpyxl import Workbook
from openpyxl.cell import Cell
from openpyxl.styles import Alignment, Border, Font, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from twostage.export.items import PaperTable
from twostage.text import visible

_RULE = Side(style="thin", color="000000")


#: Widest column, in characters.
WIDEST = 60


def workbook(tables: Sequence[PaperTable], numbers: Mapping[str, pd.DataFrame], caution: str) -> bytes:
    """The tables as they are printed, then the numbers.

    Parameters
    ----------
    tables : sequence of PaperTable
    numbers : mapping
        Name of a sheet -> table.
    caution : str
        Said below each table of numbers.
    """
    book = Workbook()
    book.remove(book.active)
    for i, table in enumerate(tables, start=1):
        sheet = book.create_sheet(f"Table {i}")
        _put(sheet.cell(1, 1), f"Table {i}").font = Font(bold=True)
        _put(sheet.cell(2, 1), table.title).font = Font(italic=True)
        last = _fill(sheet, 3, table.cells)
        if table.note:
            _put(sheet.cell(last + 1, 1), f"Note. {table.note}")
    for name, exact in numbers.items():
        sheet = book.create_sheet(name[:31])
        last = _fill(sheet, 1, exact)
        if caution:
            _put(sheet.cell(last + 2, 1), caution)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _fill(sheet: Worksheet, top: int, table: pd.DataFrame) -> int:
    """Write a table under its heads and return its last row."""
    for j, column in enumerate(table.columns, start=1):
        head = _put(sheet.cell(top, j), str(column))
        head.font, head.border = Font(bold=True), Border(top=_RULE, bottom=_RULE)
        texts = [len(str(value)) for value in table.iloc[:, j - 1]]
        sheet.column_dimensions[get_column_letter(j)].width = min(WIDEST, max([len(str(column)), *texts]) + 2)
    for i, row in enumerate(table.itertuples(index=False, name=None), start=top + 1):
        for j, value in enumerate(row, start=1):
            _put(sheet.cell(i, j), value)
    last = top + len(table)
    for j in range(1, len(table.columns) + 1):
        if last > top:
            sheet.cell(last, j).border = Border(bottom=_RULE)
    return last


def _put(cell: Cell, value: Any) -> Cell:
    """A number as a number, all else as text: nothing is a formula, whatever it begins with."""
    if isinstance(value, Real) and not isinstance(value, bool):
        cell.value = value if math.isfinite(value) else None
        return cell
    if value is None or value is pd.NA:
        return cell
    text = visible(str(value))
    cell.value = text
    cell.data_type = "s"
    # Kept as text when somebody edits it, too.
    cell.quotePrefix = text[:1] in ("=", "+", "-", "@")
    cell.alignment = Alignment(vertical="top")
    return cell
