"""Files of statistics programs and spreadsheets, each read by the library that knows it."""

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from twostage.importing.read_text import read_text
from twostage.importing.source import FileOptions, ImportProblems, Source, cell_text, checked, text_frame
from twostage.problems import Problem


def read_source(path: Path, options: FileOptions) -> Source:
    """Read a file by its ending: .csv, .tsv, .txt (also .gz), .xlsx, .sav, .zsav, .dta, .rds, .RData.

    Parameters
    ----------
    path : Path
    options : FileOptions

    Raises
    ------
    ImportProblems
        If the file is absent, of another kind, damaged, or has no table.
    """
    if not path.is_file():
        raise ImportProblems([Problem(str(path), None, None, "no such file", "a file with data")])
    ending = Path(path.stem).suffix if path.suffix.lower() == ".gz" else path.suffix
    reader = READERS.get(ending.lower())
    if reader is None:
        expected = f"one of {', '.join(READERS)} (an .xls file: save it as .xlsx)"
        raise ImportProblems([Problem(path.name, None, None, ending or "no ending", expected)])
    source = reader(path, options)
    problems = checked(source.name, source.cells)
    if problems:
        raise ImportProblems(problems)
    # Numbers may be typed as texts in any format.
    return source if source.options.decimal else replace(source, options=_with_decimal(source, options))


def _with_decimal(source: Source, options: FileOptions) -> FileOptions:
    return replace(source.options, decimal=options.decimal)


def _unreadable(path: Path, kind: str, error: Exception) -> ImportProblems:
    found = " ".join(str(error).split()) or type(error).__name__
    return ImportProblems([Problem(path.name, None, None, found, f"a readable {kind} file")])


def _excel(path: Path, options: FileOptions) -> Source:
    import openpyxl

    try:
        values = openpyxl.load_workbook(path, read_only=True, data_only=True)
        written = openpyxl.load_workbook(path, read_only=True)
        sheets = values.sheetnames
        sheet = options.sheet or sheets[0]
        if sheet not in sheets:
            problem = Problem(path.name, None, "sheet", sheet, f"one of {', '.join(sheets)}")
            raise ImportProblems([problem])
        rows, formulas = ([[c.value for c in row] for row in book[sheet].rows] for book in (values, written))
        values.close()
        written.close()
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile, SyntaxError) as error:
        if isinstance(error, ImportProblems):
            raise
        raise _unreadable(path, "Excel", error) from None
    found = [f"sheet {sheet!r}"] + ([f"of {len(sheets)} sheets: {', '.join(sheets)}"] * (len(sheets) > 1))
    cells, problems = _sheet(path.name, rows, formulas)
    if problems:
        raise ImportProblems(problems)
    return Source(path.name, cells, FileOptions(sheet=sheet), (", ".join(found),))


def _sheet(name: str, rows: list[list[Any]], formulas: list[list[Any]]) -> tuple[pd.DataFrame, list[Problem]]:
    texts = [[cell_text(value) for value in row] for row in rows]
    filled = [(i, cells) for i, cells in enumerate(texts, 1) if any(cells)]
    if not filled:
        return pd.DataFrame(), [Problem(name, None, None, "an empty sheet", "names of columns and data")]
    (top, header), *rest = filled
    width = max((i for _, cells in filled for i, c in enumerate(cells, 1) if c), default=0)
    header = (header + [""] * width)[:width]
    table = [(cells + [""] * width)[:width] for _, cells in rest]
    cells = pd.DataFrame(table, columns=header, index=[i for i, _ in rest], dtype=str)
    problems = []
    for row, _ in rest:
        for column, value, written in zip(header, rows[row - 1], formulas[row - 1], strict=False):
            if value is None and isinstance(written, str) and written.startswith("="):
                expected = "its value (open and save the file in Excel or LibreOffice once)"
                problems.append(Problem(name, row, column, written, expected))
    return cells, problems


def _labelled(path: Path, options: FileOptions, reader: Callable, kind: str, **how: Any) -> Source:
    """SPSS and Stata: pyreadstat."""
    import pyreadstat

    try:
        table, meta = reader(str(path), encoding=options.encoding, **how)
    except (
        pyreadstat.ReadstatError,
        pyreadstat.PyreadstatError,
        OSError,
        ValueError,
        OverflowError,
    ) as error:
        raise _unreadable(path, kind, error) from None
    single = [c for c, t in meta.readstat_variable_types.items() if t == "float"]
    cells, found = text_frame(table, single), [f"{kind}, {len(table)} cases, {len(table.columns)} variables"]
    emptied = []
    declared = getattr(meta, "missing_ranges", None) or {}
    for column, ranges in declared.items():
        cells[column], note = _without_missing(cells[column], table[column], ranges)
        emptied += [f"{column} {note}"] if note else []
    found += [f"user-missing cells read as empty: {', '.join(emptied)}"] if emptied else []
    values = {
        c: {cell_text(code): str(label).strip() for code, label in labels.items()}
        for c, labels in meta.variable_value_labels.items()
    }
    labels = {c: label for c, label in meta.column_names_to_labels.items() if label}
    used = replace(options, sheet=None)
    return Source(path.name, cells, used, tuple(found), labels, values, frozenset(declared))


def _without_missing(text: pd.Series, raw: pd.Series, ranges: list[dict]) -> tuple[pd.Series, str]:
    """Empty what SPSS was told is missing."""
    absent = pd.Series(False, index=text.index)
    for ends in ranges:
        if isinstance(ends["lo"], str):
            absent |= text.between(ends["lo"].strip(), ends["hi"].strip())
        else:
            absent |= pd.Series(pd.to_numeric(raw, errors="coerce").between(**_ends(ends)).array, text.index)
    if not absent.any():
        return text, ""
    codes = ", ".join(dict.fromkeys(text[absent]))
    return text.mask(absent, ""), f"{int(absent.sum())} ({codes})"


def _ends(ends: dict) -> dict:
    return {"left": ends["lo"], "right": ends["hi"]}


def _spss(path: Path, options: FileOptions) -> Source:
    import pyreadstat

    return _labelled(path, options, pyreadstat.read_sav, "SPSS", user_missing=True)


def _stata(path: Path, options: FileOptions) -> Source:
    import pyreadstat

    return _labelled(path, options, pyreadstat.read_dta, "Stata")


def _r(path: Path, options: FileOptions) -> Source:
    import pyreadr

    try:
        frames = {name: frame for name, frame in pyreadr.read_r(str(path)).items()}
    except (pyreadr.LibrdataError, pyreadr.PyreadrError, OSError, ValueError) as error:
        raise _unreadable(path, "R", error) from None
    names = [str(name) for name in frames if name is not None]
    if options.sheet is None and len(frames) == 1:
        frame = next(iter(frames.values()))
    elif options.sheet in frames:
        frame = frames[options.sheet]
    else:
        expected = f"one data frame, or file: sheet: one of {', '.join(names) or 'none'}"
        raise ImportProblems([Problem(path.name, None, "sheet", options.sheet, expected)])
    plain = frame.astype({c: object for c in frame if frame[c].dtype.name == "category"})
    return Source(path.name, text_frame(plain), FileOptions(sheet=options.sheet), (f"R, {len(frame)} rows",))


#: File ending -> reader.
READERS = {
    ".csv": read_text,
    ".tsv": read_text,
    ".txt": read_text,
    ".dat": read_text,
    ".xlsx": _excel,
    ".xlsm": _excel,
    ".sav": _spss,
    ".zsav": _spss,
    ".dta": _stata,
    ".rds": _r,
    ".rdata": _r,
    ".rda": _r,
}
