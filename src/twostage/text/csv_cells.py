"""Tables as CSV that a spreadsheet reads as texts and numbers, never as formulas; and such tables read back.

A text that begins as a formula does gets an apostrophe in front, which spreadsheets take for "this is a text". Numbers
stay as they are, and reading takes off what writing put on, so that a table comes back as it was.
"""

import re
from pathlib import Path
from typing import Any

import pandas as pd

from twostage.files import write_text

#: Beginnings by which spreadsheets know a formula, in their full-width forms too.
_FORMULA = re.compile("'*[=+\\-@\t\r\uff1d\uff0b\uff0d\uff20]")


#: Columns whose cells are names or sentences, whatever they look like.
TEXTS: tuple[str, ...] = (
    "study",
    "label",
    "country",
    "setting",
    "treatment",
    "design",
    "x_instrument",
    "y_instrument",
    "source",
)


TEXTS += ("analysis", "variant", "direction", "term", "estimator", "name", "reason", "words", "text", "note")


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def guarded(cell: Any) -> Any:
    """A cell as it is written."""
    risky = isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if risky else cell


def plain(cell: Any) -> Any:
    """A cell as it was before it was written."""
    if isinstance(cell, str) and cell.startswith("'") and guarded(cell[1:]) == cell:
        return cell[1:]
    return cell


def to_csv(table: pd.DataFrame, **options: Any) -> str:
    """A table as CSV; options as of :meth:`pandas.DataFrame.to_csv`."""
    cells = {i: table.iloc[:, i].map(guarded) for i in range(table.shape[1]) if _texts(table.iloc[:, i])}
    safe = pd.DataFrame({i: cells.get(i, table.iloc[:, i]) for i in range(table.shape[1])}, index=table.index)
    safe.columns = [guarded(column) for column in table.columns]
    return safe.to_csv(index=False, lineterminator="\n", **options)


def write_csv(table: pd.DataFrame, path: Path, **options: Any) -> None:
    """Write a table that :func:`read_csv` reads, and Excel: without the mark, it takes ä for two other signs."""
    text = to_csv(table, **options)
    write_text(path, text if text.isascii() else f"\ufeff{text}")


def read_csv(path: Path, *, texts: bool = False) -> pd.DataFrame:
    """Read a table that was written here: a study called 003, 4e5 or NA keeps its name.

    Parameters
    ----------
    path : Path
    texts : bool
        Whether every column holds texts.

    Returns
    -------
    pandas.DataFrame
        Columns of :data:`TEXTS` as str, "" where a cell is empty; others as pandas reads them, NaN where empty.
    """
    columns = pd.read_csv(path, nrows=0).columns
    kinds = {column: str for column in columns if texts or column in TEXTS}
    empty = {column: [""] for column in columns if column not in kinds}
    table = pd.read_csv(path, dtype=kinds, keep_default_na=False, na_values=empty)
    for i in range(table.shape[1]):
        if _texts(table.iloc[:, i]):
            table.isetitem(i, table.iloc[:, i].map(plain))  # type: ignore[arg-type]
    return table.rename(columns=plain)


def _texts(column: pd.Series) -> bool:
    return not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))
