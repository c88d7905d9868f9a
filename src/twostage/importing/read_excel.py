"""Excel workbooks: what is in the cells, whatever the file says of its own size."""

import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from twostage.importing.grid import Grid, table_of
from twostage.importing.marks import NO_MARK, marks_of, plain_number
from twostage.importing.source import (
    DAMAGE,
    LARGEST,
    FileOptions,
    ImportProblems,
    Source,
    cell_text,
    cure,
    too_large,
    unreadable,
)
from twostage.problems import Problem

#: How a file begins that Office has encrypted, or an old workbook, and what is in the first.
OLE, ENCRYPTED = b"\xd0\xcf\x11\xe0", "EncryptedPackage".encode("utf-16-le")


#: Cells with the empty ones in between that a sheet may have.
MOST_CELLS = 60_000_000


SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


@dataclass
class _Facts:
    """What a sheet says besides its values; rows and columns from 1."""

    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)
    merged: list[tuple[int, int, int, int]] = field(default_factory=list)
    formulas: dict[int, dict[int, str]] = field(default_factory=dict)


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
    try:
        # openpyxl warns of what it leaves out (styles, validation); none of it is in the cells.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sheet, rows, facts, found = _contents(path, options)
    except ImportProblems:
        raise
    except DAMAGE as error:
        raise unreadable(path.name, "Excel", error) from None
    return _source(path.name, replace(options, sheet=sheet), rows, facts, found, guess)


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


def _contents(path: Path, options: FileOptions) -> tuple[str, list[tuple[int, list[Any]]], _Facts, list[str]]:
    import openpyxl
    from openpyxl.chartsheet import Chartsheet

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
        # What the file says of the sheet's size may be wrong.
        sheets[sheet].reset_dimensions()
        rows = list(_rows(path.name, sheets[sheet]))
    finally:
        book.close()
    with zipfile.ZipFile(path) as archive, archive.open(_part(archive, sheet)) as part:
        facts = _facts(part)
    return sheet, rows, facts, found


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


def _rows(name: str, sheet: Any) -> Iterator[tuple[int, list[Any]]]:
    """Rows with a cell, without empty cells at their ends."""
    n = 0
    for number, values in enumerate(sheet.iter_rows(values_only=True), 1):
        end = len(values)
        while end and values[end - 1] is None:
            end -= 1
        n += end
        if n > MOST_CELLS:
            raise too_large(name, f"more than {MOST_CELLS:,} cells")
        if end:
            yield number, list(values[:end])


def _part(archive: zipfile.ZipFile, sheet: str) -> str:
    """The file inside the workbook that has a sheet's cells."""
    from openpyxl.packaging.manifest import Manifest
    from openpyxl.reader.workbook import WorkbookParser
    from openpyxl.xml.constants import ARC_CONTENT_TYPES, XLSX

    types = archive.read(ARC_CONTENT_TYPES)
    manifest = Manifest.from_tree(ElementTree.fromstring(types))
    found = manifest.find(XLSX)
    place = found.PartName[1:] if found is not None else "xl/workbook.xml"
    parser = WorkbookParser(archive, place)
    parser.parse()
    return next(relation.target for own, relation in parser.find_sheets() if own.name == sheet)


def _facts(part: Any) -> _Facts:
    """Hidden rows and columns, merged cells, formulas without a value."""
    from openpyxl.utils import range_boundaries

    facts, row = _Facts(), 0
    for event, element in ElementTree.iterparse(part, ("start", "end")):
        tag, hidden = element.tag, element.get("hidden") in ("1", "true")
        if event == "start":
            if tag == f"{SHEET}row":
                row = int(element.get("r") or row + 1)
                facts.hidden_rows |= {row} if hidden else set()
        elif tag == f"{SHEET}c":
            _formula(element, row, facts)
        elif tag == f"{SHEET}row":
            element.clear()
        elif tag == f"{SHEET}col" and hidden:
            first, last = int(element.get("min")), min(int(element.get("max")), 16_384)
            facts.hidden_columns |= set(range(first, last + 1))
        elif tag == f"{SHEET}mergeCell":
            left, top, right, bottom = range_boundaries(element.get("ref"))
            facts.merged.append((top, left - 1, bottom, right - 1))
    return facts


def _formula(cell: Any, row: int, facts: _Facts) -> None:
    from openpyxl.utils import coordinate_to_tuple

    formula = cell.find(f"{SHEET}f")
    # A text may be empty; a number has a value, where Excel has computed it.
    if formula is not None and cell.get("t") != "str" and not (cell.findtext(f"{SHEET}v") or "").strip():
        column = coordinate_to_tuple(cell.get("r"))[1] if cell.get("r") else 0
        facts.formulas.setdefault(row, {})[column] = f"={formula.text or '...'}"


def _source(
    name: str,
    options: FileOptions,
    rows: list[tuple[int, list[Any]]],
    facts: _Facts,
    found: list[str],
    guess: bool,
) -> Source:
    written: dict[int, set[str]] = {}
    # A row of formulas without values has no cell for openpyxl; it is a row all the same.
    every = sorted(({number: [] for number in facts.formulas} | dict(rows)).items())
    texts = [
        (n, [_text(value, i, options, written) for i, value in enumerate(values)]) for n, values in every
    ]
    grid_rows = [(n, cells) for n, cells in texts if any(cells) or n in facts.formulas]
    try:
        grid = Grid(name, grid_rows, tuple(facts.merged), ends_alike=False)
        table = table_of(grid, options, guess)
    except ImportProblems as error:
        raise _other_sheets(error, found, options) from None
    places = table.places
    columns = {c: sorted(written.get(i, ())) for c, i in places.items()}
    marks = marks_of(columns, options, None)
    decimal = options.decimal or ("," if marks.decimal == "," else None)
    used = replace(table.options, decimal=decimal, thousands=marks.thousands)
    if marks.thousands and marks.thousands != options.thousands:
        return _source(
            name, replace(options, decimal=decimal, thousands=marks.thousands), rows, facts, found, guess
        )
    formulas = {
        c: {
            row: cells[i + 1]
            for row, cells in facts.formulas.items()
            if i + 1 in cells and row in table.cells.index
        }
        for c, i in places.items()
    }
    found = found + list(table.found) + _hidden(table.cells, places, facts) + marks.found
    n = sum(map(len, formulas.values()))
    found += [f"{n} cells have a formula without a stored value"] if n else []
    own = {c: cells for c, cells in formulas.items() if cells}
    return Source(
        name, table.cells, used, tuple(found), twice=table.twice, formulas=own, doubtful=marks.doubtful
    )


def _text(value: Any, column: int, options: FileOptions, written: dict[int, set[str]]) -> str:
    """A cell as text; a number that is typed as text without its marks between thousands."""
    text = cell_text(value)
    if isinstance(value, str) and text and text[-1].isdigit():
        if options.thousands and options.thousands != NO_MARK:
            text = plain_number(text, options.decimal or ".", options.thousands)
        written.setdefault(column, set()).add(text)
    return text


def _hidden(cells: Any, places: dict[str, int], facts: _Facts) -> list[str]:
    rows = [row for row in cells.index if row in facts.hidden_rows]
    columns = [column for column, i in places.items() if i + 1 in facts.hidden_columns]
    found = []
    if rows:
        found.append(
            f"{len(rows)} hidden row{'s' * (len(rows) > 1)} (a filter?) read like the others, row {rows[0]} first"
        )
    return found + ([f"hidden columns read like the others: {', '.join(columns)}"] if columns else [])


def _other_sheets(error: ImportProblems, found: list[str], options: FileOptions) -> ImportProblems:
    """The same refusal with the way to another sheet."""
    if "sheets" not in found[0]:
        return error
    said = f"; another sheet: say {cure('sheet', 'NAME')} ({found[0]})"
    return ImportProblems(
        [replace(p, expected=p.expected + said) for p in error.problems[:1]] + list(error.problems[1:])
    )
