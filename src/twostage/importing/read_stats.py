"""Files of SPSS, Stata and R, and Parquet, each read by the library that knows it."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from twostage.collection import parquet_file
from twostage.importing.marks import NO_MARK, marks_of, plain_number
from twostage.importing.read_text import unpacked
from twostage.importing.source import (
    DAMAGE,
    LARGEST,
    FileOptions,
    ImportProblems,
    Source,
    cell_text,
    cure,
    text_frame,
    too_large,
    unreadable,
)
from twostage.problems import Problem


def read_spss(path: Path, options: FileOptions, guess: bool = False) -> Source:
    """Read a .sav or .zsav file."""
    import pyreadstat

    return _labelled(path, options, pyreadstat.read_sav, "SPSS", user_missing=True)


def read_stata(path: Path, options: FileOptions, guess: bool = False) -> Source:
    """Read a .dta file."""
    import pyreadstat

    return _labelled(path, options, pyreadstat.read_dta, "Stata", most=path.stat().st_size)


def _labelled(
    path: Path, options: FileOptions, reader: Callable, kind: str, most: int = LARGEST, **how: Any
) -> Source:
    """A file of one of two programs, whose cases have at most so many bytes: Stata's are never packed."""
    import pyreadstat

    errors = (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, *DAMAGE)
    try:
        how["encoding"] = options.encoding
        # That a name comes twice is a warning of the library, which is said with what else was found.
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", UserWarning)
            _, meta = reader(str(path), metadataonly=True, **how)
            widths = meta.variable_storage_width.values()
            cases = LARGEST // max(1, sum(max(8, width) for width in widths))
            # A damaged file may say any number of cases, and the library makes room for as many.
            # Of a text it counts an end that is not in the file.
            there = most // max(1, sum(max(1, width - 1) for width in widths))
            table, meta = reader(str(path), row_limit=min(cases, there) + 1, **how)
    except errors as error:
        raise _not_read(path, options, kind, error) from None
    if len(table) > there:
        raise unreadable(path.name, kind, ValueError(f"more than {there:,} cases in {most:,} bytes"))
    if len(table) > cases:
        raise too_large(path.name, f"more than {cases:,} cases of {len(table.columns)} variables")
    single = [c for c, t in meta.readstat_variable_types.items() if t == "float"]
    found = [f"{kind}, {len(table)} cases, {len(table.columns)} variables"]
    found += dict.fromkeys(str(warning.message) for warning in said)
    cells, used, doubtful, more = _as_text(path.name, table, single, options)
    found += more
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
    return Source(
        path.name, cells, used, tuple(found), labels, values, frozenset(declared), doubtful=doubtful
    )


def _not_read(path: Path, options: FileOptions, kind: str, error: BaseException) -> ImportProblems:
    refusal = unreadable(path.name, kind, error)
    text = str(error).casefold()
    if not any(word in text for word in ("encod", "convert", "string", "codec", "decod")):
        return refusal
    said = f"in {options.encoding}" if options.encoding else "in the encoding that it says itself"
    expected = f"a {kind} file with texts {said}: say {cure('encoding', 'cp1252')}, or another"
    return ImportProblems([replace(refusal.problems[0], expected=expected)])


def _as_text(
    name: str, table: pd.DataFrame, single: Iterable[str], options: FileOptions
) -> tuple[pd.DataFrame, FileOptions, dict[str, str], list[str]]:
    """A data frame as cells of text; numbers typed as texts are marked like those of a text file."""
    if not len(table) or not len(table.columns):
        raise ImportProblems([Problem(name, None, None, "no data", "names of columns and rows of data")])
    texts = [c for c in table if table[c].dtype == object or table[c].dtype == "str"]
    cells = text_frame(table, single)
    marks = marks_of({str(c): cells[str(c)].unique() for c in texts}, options, None)
    if marks.thousands and marks.thousands != NO_MARK:
        for column in map(str, texts):
            cells[column] = [plain_number(t, marks.decimal or ".", marks.thousands) for t in cells[column]]
    decimal = options.decimal or ("," if marks.decimal == "," else None)
    used = replace(options, sheet=None, decimal=decimal, thousands=marks.thousands)
    return cells, used, marks.doubtful, marks.found


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


def read_r(path: Path, options: FileOptions, guess: bool = False) -> Source:
    """Read an .rds or .RData file."""
    import pyreadr

    # Before the library does it without a limit.
    unpacked(path)
    try:
        # It warns, with a path of its own, of what is no table; a file without one is refused below.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            frames = {name: frame for name, frame in pyreadr.read_r(str(path)).items()}
    except (pyreadr.LibrdataError, pyreadr.PyreadrError, *DAMAGE) as error:
        raise unreadable(path.name, "R", error) from None
    names = [str(name) for name in frames if name is not None]
    asked = options.frame or options.sheet
    if asked is None and len(frames) == 1:
        frame = next(iter(frames.values()))
    elif asked in frames:
        frame = frames[asked]
    else:
        expected = (
            f"one data frame of {', '.join(names)}: say {cure('frame', names[0])}" if names else NO_FRAME
        )
        raise ImportProblems([Problem(path.name, None, "frame", asked, expected)])
    plain = frame.astype({c: object for c in frame if frame[c].dtype.name == "category"})
    cells, used, doubtful, found = _as_text(path.name, plain, (), options)
    frame_used = asked or (names[0] if names else None)
    found = [f"R, {len(frame)} rows" + f" of the data frame {frame_used}" * bool(frame_used), *found]
    return Source(path.name, cells, replace(used, frame=frame_used), tuple(found), doubtful=doubtful)


#: What to do with a list, or another object of R.
NO_FRAME = (
    "a data frame: in R, saveRDS(as.data.frame(object), file), of a list of data frames each one by itself"
)


def read_parquet(path: Path, options: FileOptions, guess: bool = False) -> Source:
    """Read a .parquet file."""
    if path.stat().st_size > LARGEST:
        raise too_large(path.name, "a larger file")
    columns, problems = parquet_file.columns(path, path.name)
    if columns is None:
        raise ImportProblems(problems)
    table = pd.DataFrame({name: _with_gaps(column.values) for name, column in columns.items()})
    cells, used, doubtful, found = _as_text(path.name, table, (), options)
    found = [f"Parquet, {len(table)} rows, {len(table.columns)} columns", *found]
    return Source(path.name, cells, used, tuple(found), doubtful=doubtful)


def _with_gaps(values: np.ndarray) -> np.ndarray:
    """A column without a mask: None where nothing is."""
    gaps = np.ma.getmaskarray(values)
    return (
        np.ma.getdata(values)
        if not gaps.any()
        else np.where(gaps, None, np.ma.getdata(values).astype(object))
    )
