"""Tables as text for a terminal and for other programs, and examples for a command's help."""

import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from twostage.characters import terminal

# What only prints a few lines need not wait for pandas, which takes longer to import than all else.
if TYPE_CHECKING:
    import pandas as pd

#: Widest column of a table on a terminal, in characters; longer texts are wrapped.
WIDEST = 44


#: The least that a narrow terminal makes of a column.
NARROWEST = 12


#: The cells of a table, row by row.
Rows = Iterable[Sequence[Any]]


def rows_of(table: "pd.DataFrame") -> tuple[Sequence[str], Rows]:
    """A table as what this module prints: names of the columns, and rows."""
    return [str(column) for column in table.columns], table.itertuples(index=False, name=None)


def as_text(columns: Sequence[str], rows: Rows) -> str:
    """Columns of aligned text under a heading; long cells go over several lines, more of them on a narrow terminal."""
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    texts = [[terminal(value) for value in row] for row in rows]
    longest = [max([len(head), *(len(row[i]) for row in texts)]) for i, head in enumerate(columns)]
    usual = [min(n, max(WIDEST, len(head))) for n, head in zip(longest, columns, strict=True)]
    wrapped = _widths(usual, columns, room)
    cells = [[_lines(text, width) for text, width in zip(row, wrapped, strict=True)] for row in texts]
    widths = [
        max([len(head), *(len(line) for row in cells for line in row[i])]) for i, head in enumerate(columns)
    ]
    lines = [_row(list(columns), widths), _row(["-" * width for width in widths], widths)]
    for row in cells:
        for at in range(max(map(len, row), default=0)):
            lines.append(_row([cell[at] if at < len(cell) else "" for cell in row], widths))
    return "\n".join(lines)


def _widths(widths: list[int], heads: Sequence[str], room: int | None) -> list[int]:
    """The same, or less for the widest columns as long as the row has no room."""
    widths, least = list(widths), [max(len(head), NARROWEST) for head in heads]
    while room is not None and sum(widths) + 2 * (len(widths) - 1) > room:
        spare = [width - few for width, few in zip(widths, least, strict=True)]
        if max(spare) <= 0:
            break
        widths[spare.index(max(spare))] -= 1
    return widths


def _lines(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, min(width, WIDEST), break_long_words=False, break_on_hyphens=False) or [""]


def _row(cells: list[str], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def as_markdown(columns: Sequence[str], rows: Rows) -> str:
    """A pipe table."""
    from twostage.text import myst

    lines = [columns, ["---"] * len(columns), *([myst(value) for value in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _as_csv(columns: Sequence[str], rows: Rows) -> str:
    from twostage.text import to_csv

    return to_csv(_table(columns, rows)).rstrip("\n")


def _as_json(columns: Sequence[str], rows: Rows) -> str:
    return _table(columns, rows).to_json(orient="records", force_ascii=False, indent=1)


def _table(columns: Sequence[str], rows: Rows) -> "pd.DataFrame":
    import pandas as pd

    # Of any type, so that each cell is printed as it is.
    return pd.DataFrame(list(rows), columns=list(columns), dtype=object)


#: Format -> function of columns and rows that returns text without a last newline.
PRINT: dict[str, Callable[[Sequence[str], Rows], str]] = {
    "table": as_text,
    "csv": _as_csv,
    "json": _as_json,
    "md": as_markdown,
}


def examples(*lines: str) -> str:
    """The end of a command's help: one example per line, left as they are."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
