"""Tables as text for a terminal and for other programs, and examples for a command's help."""

import shutil
import sys
import textwrap

import pandas as pd

from twostage.characters import terminal
from twostage.text import myst, to_csv

#: Widest column of a table on a terminal, in characters; longer texts are wrapped.
WIDEST = 44


#: The least that a narrow terminal makes of a column.
NARROWEST = 12


def as_text(table: pd.DataFrame) -> str:
    """Columns of aligned text under a heading; long cells go over several lines, more of them on a narrow terminal."""
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    texts = [[terminal(value) for value in row] for row in table.itertuples(index=False, name=None)]
    heads = [str(column) for column in table.columns]
    longest = [max([len(head), *(len(row[i]) for row in texts)]) for i, head in enumerate(heads)]
    wrapped = _widths([min(n, max(WIDEST, len(h))) for n, h in zip(longest, heads, strict=True)], heads, room)
    cells = [[_lines(text, width) for text, width in zip(row, wrapped, strict=True)] for row in texts]
    widths = [
        max([len(head), *(len(line) for row in cells for line in row[i])]) for i, head in enumerate(heads)
    ]
    lines = [_row(heads, widths), _row(["-" * width for width in widths], widths)]
    for row in cells:
        for at in range(max(map(len, row), default=0)):
            lines.append(_row([cell[at] if at < len(cell) else "" for cell in row], widths))
    return "\n".join(lines)


def _widths(widths: list[int], heads: list[str], room: int | None) -> list[int]:
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


def as_markdown(table: pd.DataFrame) -> str:
    """A pipe table."""
    heads = [str(column) for column in table.columns]
    rows = [[_escaped(value) for value in row] for row in table.itertuples(index=False, name=None)]
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _escaped(value: object) -> str:
    return myst(value)


#: Format -> function of a table that returns text without a last newline.
PRINT = {
    "table": as_text,
    "csv": lambda table: to_csv(table).rstrip("\n"),
    "json": lambda table: table.to_json(orient="records", force_ascii=False, indent=1),
    "md": as_markdown,
}


def examples(*lines: str) -> str:
    """The end of a command's help: one example per line, left as they are."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])
