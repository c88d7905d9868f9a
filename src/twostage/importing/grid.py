"""A grid of cells becomes a table: where the names of its columns are, where it begins and where it ends."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np
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
    cells : pandas.DataFrame
        Of str, "" where a row has no cell; columns 0, 1, ...; index = number of each row. No row is empty.
    lengths : numpy.ndarray
        How many cells each row has.
    merged : tuple of (int, int, int, int)
        First row, first column, last row, last column of cells that are one; columns from 0.
    row_names : bool
        Whether rows may begin with a name that has no column's name above it, as R writes them.
    ends_alike : bool
        Whether every row must have as many cells as there are names.
    """

    name: str
    cells: pd.DataFrame
    lengths: np.ndarray
    merged: tuple[tuple[int, int, int, int], ...] = ()
    row_names: bool = False
    ends_alike: bool = True

    def top(self, n: int) -> list[Row]:
        """Number and cells of each of the first rows."""
        rows = zip(self.cells.index[:n], self.cells[:n].to_numpy(object), self.lengths[:n], strict=True)
        return [(int(row), list(cells[:length])) for row, cells, length in rows]

    def only(self, chosen: np.ndarray) -> "Grid":
        """Some of its rows."""
        return replace(self, cells=self.cells[chosen], lengths=self.lengths[chosen])


def cells_of(rows: Sequence[Row]) -> tuple[pd.DataFrame, np.ndarray]:
    """Cells and lengths of rows of any lengths, as a :class:`Grid` has them."""
    columns = dict(enumerate(map(list, zip_longest(*(cells for _, cells in rows), fillvalue=""))))
    lengths = np.fromiter((len(cells) for _, cells in rows), int, len(rows))
    return pd.DataFrame(columns, index=[row for row, _ in rows], dtype=object), lengths


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
    if not len(grid.cells):
        raise ImportProblems([Problem(name, None, None, "no data", "a row of names and rows of data")])
    if options.header_row is None:
        place = _guess_header(grid)
        if place != str(grid.cells.index[0]):
            if not guess:
                raise ImportProblems([_unusual(grid, place)])
            options = replace(options, header_row=place)
    names, grid = _below_names(grid, options)
    numbers = grid.cells.index
    last = numbers.max() if options.last_row is None else options.last_row
    grid = grid.only(np.asarray(~numbers.isin(options.skip_rows) & (numbers <= last)))
    if not len(grid.cells):
        raise ImportProblems([Problem(name, None, None, "no data", "a row of names and rows of data")])
    names, found = _with_row_names(grid, names)
    width = _named_width(names, grid)
    names = (names + [""] * width)[:width]
    options, more = _ends(grid, names, options, guess)
    columns = grid.cells.reindex(columns=range(width), fill_value="")
    own, twice, most = _own_names(names, columns)
    # Columns without name and cells are what spreadsheets leave behind.
    kept = {n: columns[i].to_numpy() for i, n in enumerate(own) if n}
    frame = pd.DataFrame(kept, index=grid.cells.index, dtype=str)
    if options.header_row is not None:
        found = [f"names of the columns in row {options.header_row}", *found]
    if guess and not options.fill_down:
        options = replace(options, fill_down=_merged_down(grid, own))
    frame, filled = fill_down(frame, options.fill_down, name)
    places = {n: i for i, n in enumerate(own) if n}
    return Table(frame, options, tuple(found + more + most + filled), twice, places)


def _numeric(cell: str) -> bool:
    return NUMERIC.fullmatch(cell) is not None


def _filled(cells: Sequence[str]) -> list[str]:
    return [cell for cell in cells if cell]


def _guess_header(grid: Grid) -> str:
    """The row that looks as if it had the names, as `header_row` says it."""
    judged = grid.top(HEAD + JUDGED)
    head, counts = judged[:HEAD], [len(_filled(cells)) for _, cells in judged]
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
    first, cells = grid.top(1)[0]
    found = ", ".join(_filled(cells))[:60]
    if place == NO_HEADER:
        said = "names of columns in the first row"
    else:
        rows = f"rows {place.replace('-', ' and ')} together" if "-" in place else f"row {place}"
        said = f"names of columns; they seem to be in {rows}"
    how = f"say {cure('header_row', place)} (or {first} if these are the names)"
    return Problem(grid.name, first, None, found, f"{said}: {how}")


def _below_names(grid: Grid, options: FileOptions) -> tuple[list[str], Grid]:
    """Names and the rows below them."""
    place, numbers = options.header_row, grid.cells.index
    if place is None:
        return grid.top(1)[0][1], grid.only(np.arange(len(numbers)) > 0)
    if place == NO_HEADER:
        return [f"V{i}" for i in range(1, grid.lengths.max() + 1)], grid
    first, _, last = place.partition("-")
    low, high = int(first), int(last or first)
    heads = grid.only(np.asarray((numbers >= low) & (numbers <= high))).top(len(numbers))
    if not heads:
        expected = f"a row that is not empty: say {cure('header_row')}"
        raise ImportProblems([Problem(grid.name, None, "header_row", place, expected)])
    names = heads[0][1] if len(heads) == 1 else _joined(grid, heads)
    return names, grid.only(np.asarray(numbers > high))


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


def _with_row_names(grid: Grid, names: list[str]) -> tuple[list[str], list[str]]:
    longer = grid.row_names and (grid.lengths == len(names) + 1).all()
    if not (longer and grid.cells[0].is_unique):
        return names, []
    return ["(row names)", *names], ["rows begin with a name of their own, as R writes them"]


def _named_width(names: list[str], grid: Grid) -> int:
    """Columns up to the last that has a name or a cell: spreadsheets leave empty ones behind."""
    width = _last(names)
    beyond = [i for i in grid.cells.columns[width:] if (grid.cells[i] != "").any()]
    return int(beyond[-1]) + 1 if beyond else width


def _last(cells: Sequence[str]) -> int:
    """How many cells there are up to the last that is not empty."""
    return max(i for i, cell in enumerate(["", *cells]) if cell or not i)


def _ends(grid: Grid, names: list[str], options: FileOptions, guess: bool) -> tuple[FileOptions, list[str]]:
    """Rows of other lengths than the names': too long is wrong, too short may be meant."""
    if not grid.ends_alike:
        return options, []
    width = _last(names)
    expected = f"{width} cells, as there are names; a cell with a separator in it needs quotes"
    beyond = grid.lengths > width
    long = [(row, _last(cells)) for row, cells in grid.only(beyond).top(beyond.sum())]
    if any(n > width for _, n in long):
        raise ImportProblems(
            [Problem(grid.name, row, None, f"{n} cells", expected) for row, n in long if n > width]
        )
    short = grid.only(grid.lengths < width)
    n = len(short.cells)
    note = f"{n} rows end early, row {short.cells.index[0]} first: read with empty cells" if n else ""
    if not n or options.short_rows:
        return options, [note] if n else []
    if not guess or options.short_rows is False:
        how = f"say {cure('short_rows', 'true')} if empty cells are left out at their ends"
        expected = f"{width} cells, as there are names; {how}"
        ends = zip(short.cells.index, short.lengths, strict=True)
        raise ImportProblems(
            [Problem(grid.name, int(row), None, f"{cells} cells", expected) for row, cells in ends]
        )
    return replace(options, short_rows=True), [f"{note} at their ends"]


def _own_names(
    names: list[str], columns: pd.DataFrame
) -> tuple[list[str], dict[str, tuple[str, ...]], list[str]]:
    """A name of its own for each column; "" for one with neither name nor cells."""
    counts = Counter(names)
    own: list[str] = []
    twice: dict[str, tuple[str, ...]] = {}
    unnamed = 0
    for i, name in enumerate(names, 1):
        if not name:
            has_cells = bool((columns[i - 1] != "").any())
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


def _merged_down(grid: Grid, names: list[str]) -> tuple[str, ...]:
    """Columns in which cells of several rows of data are merged."""
    data = set(grid.cells.index)
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
