"""A Parquet file of a study that fits into memory: its cells as texts, for the checks and the messages of a CSV file.

Columns of Parquet have types, cells of a CSV file have none. So that a study is not judged by other rules for the format
it comes in, each distinct value becomes the text that one would write into a CSV file: 36, 17.8, nothing where there is
no value. The engine is that of studies in pieces (:mod:`twostage.collection.large_study`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from twostage.collection.csv_table import Table
from twostage.collection.distinct_texts import Distinct
from twostage.collection.large_study import engine, quoted
from twostage.files import unfinished_folder
from twostage.problems import CollectionError, Problem

#: Whole numbers below this are written out.
WHOLE = 1e17


_INTEGERS = {f"{u}{kind}" for u in ("", "U") for kind in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")}


_NUMBERS = ("FLOAT", "DOUBLE", "DECIMAL")


@dataclass(frozen=True)
class Values:
    """A column: what :class:`twostage.collection.distinct_texts.Cells` is to one of a CSV file."""

    values: np.ndarray

    def distinct(self) -> Distinct:
        """The distinct texts."""
        seen = ~np.ma.getmaskarray(self.values)
        found, unique = pd.factorize(np.ma.getdata(self.values)[seen])
        texts = np.array([*map(_text, unique.tolist()), ""], dtype=object)
        # What is no value, and what is no number, has the code -1: the text at the end.
        codes = np.full(len(seen), -1)
        codes[seen] = found
        same, texts = pd.factorize(texts)
        codes, used = pd.factorize(same[codes])
        return Distinct(texts[used], codes)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < WHOLE else repr(value)
    return str(value)


def columns(path: Path, name: str) -> tuple[dict[str, Values] | None, list[Problem]]:
    """The columns of a file; None, and why, of one that cannot be read.

    Parameters
    ----------
    path : Path
    name : str
        What to call the file in messages.
    """
    if not path.is_file():
        if path.exists():
            return None, [Problem(name, None, None, "a folder or a device", "a readable file")]
        return None, [Problem(name, None, None, "no such file", "this file")]
    try:
        connection = engine(name)
    except CollectionError as error:
        return None, list(error.problems)
    # There, as an engine was made.
    import duckdb

    try:
        types = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
        wanted = ", ".join(_selected(column, kind) for column, kind, *_ in types)
        found = connection.execute(f"SELECT {wanted} FROM read_parquet(?)", [str(path)]).fetchnumpy()
    except duckdb.Error as error:
        return None, [Problem(name, None, None, type(error).__name__, "a Parquet file that can be read")]
    return {column.strip(): Values(values) for column, values in found.items()}, []


def _selected(column: str, kind: str) -> str:
    """SQL for a column as numbers or as text."""
    if kind in _INTEGERS or kind == "VARCHAR":
        return quoted(column)
    number = kind.startswith(_NUMBERS) and "[" not in kind
    return f"CAST({quoted(column)} AS {'DOUBLE' if number else 'VARCHAR'}) AS {quoted(column)}"


def read_table(path: Path, name: str) -> Table:
    """Read a file as text, as :func:`twostage.collection.csv_table.read_table` does; the first row of data is row 2."""
    found, problems = columns(path, name)
    if found is None:
        return Table(pd.DataFrame(), tuple(problems), False)
    texts = {column: values.distinct() for column, values in found.items()}
    cells = pd.DataFrame({column: d.texts[d.codes] for column, d in texts.items()}, dtype=str)
    cells.index = pd.RangeIndex(2, len(cells) + 2)
    if cells.empty:
        problems = [Problem(name, None, None, "columns without data", "at least one row of data")]
    return Table(cells, tuple(problems), not problems)


def write_parquet(table: pd.DataFrame, path: Path) -> Path:
    """Write a table of numbers and texts as Parquet, in one step.

    Raises
    ------
    CollectionError
        The library that writes Parquet is not installed.
    """
    with unfinished_folder(path) as folder, engine(path.name) as found:
        found.from_df(table).write_parquet(str(folder / path.name))
        (folder / path.name).replace(path)
    return path
