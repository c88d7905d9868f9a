"""Cells to numbers, and items to scores by their key; every cell that will not do is named."""

import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from twostage.collection import NUMBER
from twostage.importing.blocks import ScoreBlock, TextBlock
from twostage.importing.marks import COMMA
from twostage.importing.source import number_text
from twostage.problems import Problem

#: How cells look that nearly are numbers, and what helps. Where a file has decimal commas they are points by now.
HINTS = {
    COMMA.pattern: "; decimal commas: say --decimal ',', or file: decimal: ',' in the mapping",
    r"[+-]?\d{1,3}([.,' \u2019\u00a0\u202f]\d{3})+([.,]\d+)?": "; a mark between thousands: say --thousands, "
    "or file: thousands: in the mapping",
}


def to_number(
    cells: pd.Series, name: str, column: str, missing: Iterable[str]
) -> tuple[pd.Series, list[Problem]]:
    """Cells of one column as numbers.

    Parameters
    ----------
    cells : pandas.Series
        Of str; index = row.
    name, column : str
        File and column, for messages.
    missing : iterable of str
        Cells that mean a missing value; 99 also stands for 99.0.

    Returns
    -------
    numbers : pandas.Series
        NaN where missing or wrong.
    problems : list of Problem
    """
    codes = {*missing, ""}
    # Files have millions of cells, and few different ones.
    known = {text: float(text) if re.fullmatch(NUMBER, text) else np.nan for text in cells.unique()}
    numbers = cells.map(known).astype(float)
    absent = cells.isin(codes) | numbers.isin([float(c) for c in codes if re.fullmatch(NUMBER, c)])
    wrong = ~absent & ~np.isfinite(numbers)
    problems = []
    for row, value in cells[wrong].items():
        hint = next((words for look, words in HINTS.items() if re.fullmatch(look, value)), "")
        expected = f"a number, or an empty cell or one of the mapping's missing codes{hint}"
        problems.append(Problem(name, row, column, value, expected))
    return numbers.where(~absent & ~wrong), problems


def out_of_range(
    numbers: pd.Series, name: str, column: str, ends: tuple[float, float], where: str
) -> list[Problem]:
    """One problem for each number outside of `ends`; `where` says who set them."""
    low, high = ends
    wrong = numbers[(numbers < low) | (numbers > high)]
    expected = f"{number_text(low)} to {number_text(high)} ({where})"
    return [Problem(name, row, column, as_written(value), expected) for row, value in wrong.items()]


def as_written(value: object) -> object:
    """A number as people write it, 3 rather than 3.0; anything else as it is."""
    number = getattr(value, "item", lambda: value)()
    return int(number) if isinstance(number, float) and number.is_integer() else number


def score(
    cells: pd.DataFrame, name: str, block: ScoreBlock, columns: Sequence[str], missing: Iterable[str]
) -> tuple[pd.Series, list[Problem]]:
    """A score from its column, or from its items.

    With items, an answer a of a reversed item counts as item_min + item_max - a. Of m items, answered ones
    being a share of at least min_answered, the mean is that of the answered ones, and the sum is m times it.

    Parameters
    ----------
    cells : pandas.DataFrame
    name : str
        The file, for messages.
    block : ScoreBlock
    columns : sequence of str
        The block's columns as they are in the file, in the block's order.
    missing : iterable of str
        Codes besides the block's own.

    Returns
    -------
    numbers : pandas.Series
    problems : list of Problem
    """
    codes = (*missing, *block.missing)
    if block.values:
        said = {text: number_text(number) for text, number in block.values.items()}
        cells = cells.assign(**{c: cells[c].map(lambda text: said.get(text, text)) for c in columns})
    if block.items is None:
        return to_number(cells[columns[0]], name, columns[0], codes)
    problems, answers = [], []
    for item, column in zip(block.items, columns, strict=True):
        numbers, wrong = to_number(cells[column], name, column, codes)
        ends = (block.item_min, block.item_max)
        wrong += out_of_range(numbers, name, column, ends, "item_min and item_max of the mapping")
        problems += wrong
        answers.append(block.item_min + block.item_max - numbers if item in block.reversed else numbers)
    table = pd.concat(answers, axis=1).to_numpy(float)
    answered = np.isfinite(table).sum(axis=1)
    total = np.nansum(table, axis=1)
    items = table.shape[1]
    enough = (answered > 0) & (answered >= block.min_answered * items - 1e-9)
    mean = np.divide(total, answered, out=np.full(len(table), np.nan), where=enough)
    # All answered: the plain sum, without the rounding of a division.
    scores = mean if block.score == "mean" else np.where(answered == items, total, mean * items)
    return pd.Series(scores, index=cells.index).where(enough), problems


def texts(cells: pd.Series, block: TextBlock, missing: Iterable[str], labels: dict[str, str]) -> pd.Series:
    """A column of texts, its codes replaced by the mapping's values, else by the file's own labels."""
    cells = cells.mask(cells.isin({*missing, *block.missing}), "")
    return cells.replace({**labels, **block.values})
