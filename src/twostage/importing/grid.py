"""A grid of cells becomes a table: where the names of its columns are, where it begins and where it ends."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice, zip_longest

import pandas as pd

from twostage.importing.source import FileOptions, ImportProblems, cure
from twostage.problems import Problem

#: Rows among which the names of the columns are looked for, and rows by which they are judged.
HEAD, JUDGED = 40, 400


#: Without a row of names there are none.
NO_HEADER = "none"


NUMERIC = re.compile(r"[+-]?[\d.,]*\d[\d.,]*%?")


Row = tuple[int, list[str]]


@dataclass(frozen=True)
class Grid:
    """Cells as they stand in a file.

    Attributes
    ----------
    name : str
        The file.
    rows : list of (int, list of str)
        Number and cells of each row that is not empty.
    merged : tuple of (int, int, int, int)
        First row, first column, last row, last column of cells that are one; columns from 0.
    row_names : bool
        Whether rows may begin with a name that has no column's name above it, as R writes them.
    ends_alike : bool
        Whether every row must have as many cells as there are names.
    """

    name: str
    rows: list[Row]
    merged: tuple[tuple[int, int, int, int], ...] = ()
    row_names: bool = False
    ends_alike: bool = True


@dataclass(frozen=True)
class Table:
    """What became of a grid.

    Attributes
    ----------
    cells : pandas.DataFrame
        Of str; every column has a name of its own.
    options : FileOptions
        Those that were given, and those that were guessed.
    found : tuple of str
    twice : dict
        A name that several columns have -> what they are called in `cells`.
    places : dict
        column -> its place in the grid, from 0.
    """

    cells: pd.DataFrame
    options: FileOptions
    found: tuple[str, ...]
    twice: dict[str, tuple[str, ...]]
    places: dict[str, int]


def table_of(grid: Grid, options: FileOptions, guess: bool) -> Table:
    """Make a table of a grid.

    Parameters
    ----------
    grid : Grid
    options : FileOptions
        What is said about its rows.
    guess : bool
        Whether to decide what is not said. Otherwise an unusual file is refused with what to say.

    Raises
    ------
    ImportProblems
        If there is no table, or it is not clear which.
    """
    name = grid.name
    if not grid.rows:
        raise ImportProblems([Problem(name, None, None, "no data", "a row of names and rows of data")])
    if options.header_row is None:
        place = _guess_header(grid)
        if place != str(grid.rows[0][0]):
            if not guess:
                raise ImportProblems([_unusual(grid, place)])
            options = replace(options, header_row=place)
    names, rows = _below_names(grid, options)
    last = options.last_row
    rows = [r for r in rows if r[0] not in options.skip_rows and (last is None or r[0] <= last)]
    if not rows:
        raise ImportProblems([Problem(name, None, None, "no data", "a row of names and rows of data")])
    names, found = _with_row_names(grid, names, rows)
    width = _named_width(names, rows)
    names = (names + [""] * width)[:width]
    options, more = _ends(grid, names, rows, options, guess)
    columns = list(map(list, islice(zip_longest(*(cells for _, cells in rows), fillvalue=""), width)))
    columns += [[""] * len(rows)] * (width - len(columns))
    own, twice, most = _own_names(names, columns)
    # Columns without name and cells are what spreadsheets leave behind.
    kept = {n: c for n, c in zip(own, columns, strict=True) if n}
    frame = pd.DataFrame(kept, index=[row for row, _ in rows], dtype=str)
    if options.header_row is not None:
        found = [f"names of the columns in row {options.header_row}", *found]
    if guess and not options.fill_down:
        options = replace(options, fill_down=_merged_down(grid, own, rows))
    frame, filled = fill_down(frame, options.fill_down, name)
    places = {n: i for i, n in enumerate(own) if n}
    return Table(frame, options, tuple(found + more + most + filled), twice, places)


def _numeric(cell: str) -> bool:
    return NUMERIC.fullmatch(cell) is not None


def _filled(cells: Sequence[str]) -> list[str]:
    return [cell for cell in cells if cell]


def _guess_header(grid: Grid) -> str:
    """The row that looks as if it had the names, as `header_row` says it."""
    head = grid.rows[:HEAD]
    counts = [len(_filled(cells)) for _, cells in grid.rows[: HEAD + JUDGED]]
    below = sorted(counts[min(len(counts) // 2, HEAD) :])
    typical = below[len(below) // 2]
    enough = max(2 if typical > 1 else 1, 0.75 * typical)
    at = next((i for i, n in enumerate(counts[: len(head)]) if n >= enough), None)
    if at is None:
        at = counts.index(max(counts[: len(head)]))
    row, cells = head[at]
    if all(map(_numeric, _filled(cells))) and at == 0:
        return NO_HEADER
    above = head[at - 1] if at else None
    below_it = head[at + 1] if at + 1 < len(head) else None
    if above and _belong_together(above[1], cells):
        return f"{above[0]}-{row}"
    if below_it and below_it[0] == row + 1 and _belong_together(cells, below_it[1]):
        return f"{row}-{below_it[0]}"
    return str(row)


def _belong_together(upper: Sequence[str], lower: Sequence[str]) -> bool:
    """Whether two rows are one heading: groups above, what repeats in each group below."""
    top, bottom = _filled(upper), _filled(lower)
    if len(top) < 2 or len(bottom) < 2 or any(map(_numeric, bottom)):
        return False
    gaps = any(low and not (upper[i] if i < len(upper) else "") for i, low in enumerate(lower))
    repeated = max(Counter(bottom).values()) > 1
    return repeated and (gaps or max(Counter(top).values()) > 1)


def _unusual(grid: Grid, place: str) -> Problem:
    first, cells = grid.rows[0]
    found = ", ".join(_filled(cells))[:60]
    if place == NO_HEADER:
        said = "names of columns in the first row"
    else:
        rows = f"rows {place.replace('-', ' and ')} together" if "-" in place else f"row {place}"
        said = f"names of columns; they seem to be in {rows}"
    how = f"say {cure('header_row', place)} (or {first} if these are the names)"
    return Problem(grid.name, first, None, found, f"{said}: {how}")


def _below_names(grid: Grid, options: FileOptions) -> tuple[list[str], list[Row]]:
    """Names and the rows below them."""
    place = options.header_row
    if place is None:
        return list(grid.rows[0][1]), grid.rows[1:]
    if place == NO_HEADER:
        width = max(len(cells) for _, cells in grid.rows)
        return [f"V{i}" for i in range(1, width + 1)], grid.rows
    first, _, last = place.partition("-")
    wanted = range(int(first), int(last or first) + 1)
    heads = [(row, cells) for row, cells in grid.rows if row in wanted]
    if not heads:
        expected = f"a row that is not empty: say {cure('header_row')}"
        raise ImportProblems([Problem(grid.name, None, "header_row", place, expected)])
    names = heads[0][1] if len(heads) == 1 else _joined(grid, heads)
    return list(names), [r for r in grid.rows if r[0] > wanted[-1]]


def _joined(grid: Grid, heads: Sequence[Row]) -> list[str]:
    """One name of several rows': the upper ones go for what is to the right of them."""
    width = max(len(cells) for _, cells in heads)
    spread = []
    for row, cells in heads[:-1]:
        ends = {left: right for top, left, bottom, right in grid.merged if top <= row <= bottom}
        line, current, until = [], "", -1
        for i in range(width):
            cell = cells[i] if i < len(cells) else ""
            if cell:
                current, until = cell, ends.get(i, i if grid.merged else width)
            line.append(current if i <= until else "")
        spread.append(line)
    spread.append([heads[-1][1][i] if i < len(heads[-1][1]) else "" for i in range(width)])
    return ["_".join(dict.fromkeys(_filled(parts))) for parts in zip(*spread, strict=True)]


def _with_row_names(grid: Grid, names: list[str], rows: list[Row]) -> tuple[list[str], list[str]]:
    firsts = [cells[0] for _, cells in rows if cells]
    longer = all(len(cells) == len(names) + 1 for _, cells in rows)
    if not (grid.row_names and longer and len(set(firsts)) == len(firsts)):
        return names, []
    return ["(row names)", *names], ["rows begin with a name of their own, as R writes them"]


def _named_width(names: list[str], rows: list[Row]) -> int:
    """Columns up to the last that has a name or a cell: spreadsheets leave empty ones behind."""
    width = max(i for i, name in enumerate(["", *names]) if name or not i)
    return max([width, *(_last(cells) for _, cells in rows if len(cells) > width)])


def _last(cells: Sequence[str]) -> int:
    end = len(cells)
    while end and not cells[end - 1]:
        end -= 1
    return end


def _ends(
    grid: Grid, names: list[str], rows: list[Row], options: FileOptions, guess: bool
) -> tuple[FileOptions, list[str]]:
    """Rows of other lengths than the names': too long is wrong, too short may be meant."""
    if not grid.ends_alike:
        return options, []
    width = max(i for i, name in enumerate(["", *names]) if name or not i)
    expected = f"{width} cells, as there are names; a cell with a separator in it needs quotes"
    long = [
        Problem(grid.name, row, None, f"{_last(cells)} cells", expected)
        for row, cells in rows
        if len(cells) > width and _last(cells) > width
    ]
    if long:
        raise ImportProblems(long)
    short = [(row, cells) for row, cells in rows if len(cells) < width]
    if not short or options.short_rows:
        note = f"{len(short)} rows end early, row {short[0][0]} first: read with empty cells" if short else ""
        return options, [note] if short else []
    if not guess or options.short_rows is False:
        how = f"say {cure('short_rows', 'true')} if empty cells are left out at their ends"
        wrong = [
            Problem(grid.name, row, None, f"{len(cells)} cells", f"{width} cells, as there are names; {how}")
            for row, cells in short
        ]
        raise ImportProblems(wrong)
    note = f"{len(short)} rows end early, row {short[0][0]} first: read with empty cells at their ends"
    return replace(options, short_rows=True), [note]


def _own_names(
    names: list[str], columns: list[list[str]]
) -> tuple[list[str], dict[str, tuple[str, ...]], list[str]]:
    """A name of its own for each column; "" for one with neither name nor cells."""
    counts = Counter(names)
    own, twice, unnamed = [], {}, 0
    for i, (name, cells) in enumerate(zip(names, columns, strict=True), 1):
        if not name:
            has_cells = any(cells)
            unnamed += has_cells
            own.append(f"(column {i})" if has_cells else "")
        elif counts[name] > 1:
            own.append(f"{name} (column {i})")
            twice[name] = (*twice.get(name, ()), own[-1])
        else:
            own.append(name)
    found = [f"columns named {name!r} are called {', '.join(theirs)}" for name, theirs in twice.items()]
    found += [f"{unnamed} column{'s' * (unnamed > 1)} without a name"] if unnamed else []
    return own, twice, found


def _merged_down(grid: Grid, names: list[str], rows: list[Row]) -> tuple[str, ...]:
    """Columns in which cells of several rows of data are merged."""
    data = {row for row, _ in rows}
    down = {left for top, left, bottom, right in grid.merged if bottom > top and top in data}
    return tuple(name for i, name in enumerate(names) if name and i in down)


def fill_down(frame: pd.DataFrame, columns: Sequence[str], name: str) -> tuple[pd.DataFrame, list[str]]:
    """Empty cells of some columns as the cell above them.

    Raises
    ------
    ImportProblems
        If there is no such column.
    """
    found = []
    for column in columns:
        if column not in frame:
            raise ImportProblems([Problem(name, None, "fill_down", column, f"a column of {name}")])
        empty = int((frame[column] == "").sum())
        frame[column] = frame[column].mask(frame[column] == "").ffill().fillna("")
        found += [f"{empty} empty cells of {column} are read as the cell above"] if empty else []
    return frame, found
