"""Excel workbooks: what is in the cells, whatever the file says of its own size."""

import warnings
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twostage.importing.grid import Grid, Row, Table, cells_of, table_of
from twostage.importing.marks import Marks, marks_of
from twostage.importing.source import (
    DAMAGE,
    LARGEST,
    FileOptions,
    ImportProblems,
    Source,
    cure,
    many_rows,
    too_large,
    unreadable,
)
from twostage.importing.steps import step
from twostage.problems import Problem

if TYPE_CHECKING:
    from twostage.importing.excel_sheet import Facts

#: How a file begins that Office has encrypted, or an old workbook, and what is in the first.
OLE, ENCRYPTED = b"\xd0\xcf\x11\xe0", "EncryptedPackage".encode("utf-16-le")


#: Cells with the empty ones in between that a sheet may have.
MOST_CELLS = 60_000_000


#: Rows after which the reader says how far it is.
TOLD = 50_000


@dataclass(frozen=True)
class _Sheet:
    """A sheet as it was read: its name, number and texts of its rows, facts, and what to say of it."""

    name: str
    rows: list[Row]
    facts: "Facts"
    found: list[str]


def read_excel(path: Path, options: FileOptions, guess: bool = False) -> Source:
    """Read one sheet of a workbook.

    Parameters
    ----------
    path : Path
    options : FileOptions
        The first sheet with cells, unless `sheet` says another.
    guess : bool
        Whether to decide what is not sure, see :func:`twostage.importing.grid.table_of`.

    Raises
    ------
    ImportProblems
        If it is no workbook, damaged or protected, has no such sheet, or its table is not clear.
    """
    _check_archive(path)
    sheet = _contents(path, options)
    table, marks = _table(path.name, sheet, options, guess)
    decimal = options.decimal or ("," if marks.decimal == "," else None)
    if marks.thousands and marks.thousands != options.thousands:
        return read_excel(path, replace(options, decimal=decimal, thousands=marks.thousands), guess)
    used = replace(table.options, sheet=sheet.name, decimal=decimal, thousands=marks.thousands)
    formulas = _formulas(table, sheet.facts)
    n = sum(map(len, formulas.values()))
    found = [*sheet.found, *table.found, *_hidden(table, sheet.facts), *marks.found]
    found += [f"{n} cells have a formula without a stored value"] if n else []
    rest: dict[str, Any] = {"twice": table.twice, "formulas": formulas, "doubtful": marks.doubtful}
    return Source(path.name, table.cells, used, tuple(found), **rest)


def _check_archive(path: Path) -> None:
    try:
        with path.open("rb") as file:
            content = file.read(4)
            whole = content + file.read() if content == OLE else b""
        if content == OLE:
            expected = (
                "a workbook without password (open it in Excel, save it without)"
                if ENCRYPTED in whole
                else "a workbook of today (an old .xls: save it as .xlsx)"
            )
            raise ImportProblems([Problem(path.name, None, None, "no open Excel workbook", expected)])
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
            locked = any(member.flag_bits & 1 for member in archive.infolist())
    except ImportProblems:
        raise
    except DAMAGE as error:
        raise unreadable(path.name, "Excel", error) from None
    if locked:
        expected = "a workbook without password (open it in Excel, save it without)"
        raise ImportProblems([Problem(path.name, None, None, "an archive with a password", expected)])
    if size > 2 * LARGEST:
        raise too_large(path.name, f"{size / 2**20:,.0f} MB of XML")


def _contents(path: Path, options: FileOptions) -> _Sheet:
    try:
        # openpyxl warns of what it leaves out (styles, validation); none of it is in the cells.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _read(path, options)
    except ImportProblems:
        raise
    except DAMAGE as error:
        raise unreadable(path.name, "Excel", error) from None


def _read(path: Path, options: FileOptions) -> _Sheet:
    # openpyxl takes a while to load, and other files do without it.
    import openpyxl
    from openpyxl.chartsheet import Chartsheet

    from twostage.importing.excel_sheet import SheetReader

    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    try:
        sheets = {name: book[name] for name in book.sheetnames}
        tables = [name for name, sheet in sheets.items() if not isinstance(sheet, Chartsheet)]
        sheet = _chosen(path.name, options, list(sheets), tables)
        found = [f"sheet {sheet!r}" + (f", of {len(sheets)} sheets: {', '.join(sheets)}" * (len(sheets) > 1))]
        charts = [name for name in sheets if name not in tables]
        found += [f"sheets with a chart only were passed over: {', '.join(charts)}"] if charts else []
        hidden = sheets[sheet].sheet_state != "visible"
        found += [f"the sheet {sheet!r} is hidden in Excel"] if hidden else []
        reader = SheetReader(sheets[sheet], options)
        with many_rows():
            rows = list(_limited(path.name, reader.rows()))
        return _Sheet(sheet, rows, reader.facts, found)
    finally:
        book.close()


def _chosen(name: str, options: FileOptions, sheets: list[str], tables: list[str]) -> str:
    if options.sheet is None and tables:
        return tables[0]
    if options.sheet in tables:
        return options.sheet
    # A number is a place, where no sheet is called so.
    if options.sheet and options.sheet.isascii() and options.sheet.isdigit() and options.sheet not in sheets:
        place = int(options.sheet[:6])
        if 0 < place <= len(sheets) and sheets[place - 1] in tables:
            return sheets[place - 1]
    expected = f"one of {', '.join(tables)}" if tables else "a sheet with cells; the file has charts only"
    raise ImportProblems([Problem(name, None, "sheet", options.sheet, expected)])


def _limited(name: str, rows: Iterable[Row]) -> Iterator[Row]:
    """Rows, as long as they fit into the memory."""
    widest = 0
    for n, row in enumerate(rows, 1):
        widest = max(widest, len(row[1]))
        if n % TOLD == 0:
            step(f"{name}: {n:,} rows read")
        if n * widest > MOST_CELLS:
            raise too_large(name, f"more than {MOST_CELLS:,} cells")
        yield row


def _table(name: str, sheet: _Sheet, options: FileOptions, guess: bool) -> tuple[Table, Marks]:
    cells, lengths = cells_of(sheet.rows)
    try:
        grid = Grid(name, cells, lengths, tuple(sheet.facts.merged), ends_alike=False)
        table = table_of(grid, options, guess)
    except ImportProblems as error:
        raise _other_sheets(error, sheet.found) from None
    typed = {column: sorted(sheet.facts.typed.get(i, ())) for column, i in table.places.items()}
    return table, marks_of(typed, options, None)


def _formulas(table: Table, facts: "Facts") -> dict[str, dict[int, str]]:
    """column -> {row: formula without a stored value}."""
    there = {row: cells for row, cells in facts.formulas.items() if row in table.cells.index}
    found = {
        c: {row: cells[i] for row, cells in there.items() if i in cells} for c, i in table.places.items()
    }
    return {column: formulas for column, formulas in found.items() if formulas}


def _hidden(table: Table, facts: "Facts") -> list[str]:
    rows = [row for row in table.cells.index if row in facts.hidden_rows]
    columns = [column for column, i in table.places.items() if i in facts.hidden_columns]
    found = []
    if rows:
        found.append(
            f"{len(rows)} hidden row{'s' * (len(rows) > 1)} (a filter?) read like the others, row {rows[0]} first"
        )
    return found + ([f"hidden columns read like the others: {', '.join(columns)}"] if columns else [])


def _other_sheets(error: ImportProblems, found: list[str]) -> ImportProblems:
    """The same refusal with the way to another sheet."""
    if "sheets" not in found[0]:
        return error
    said = f"; another sheet: say {cure('sheet', 'NAME')} ({found[0]})"
    return ImportProblems(
        [replace(p, expected=p.expected + said) for p in error.problems[:1]] + list(error.problems[1:])
    )
