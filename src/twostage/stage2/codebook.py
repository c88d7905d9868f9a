"""What the columns of a run's tables mean, and the short names in them: for who opens them in a spreadsheet."""

import pandas as pd

from twostage.beside import table_beside
from twostage.terms import DIRECTIONS, ESTIMATORS, arrow, estimator_words, term_label
from twostage.words import say

#: Column -> what it has, in the words of psychotherapy research; `say` turns them into the collection's.
MEANINGS: dict[str, str] = table_beside(__file__)


#: How a table that compares two runs or choices ends its columns' names.
_OF_TWO = {"_a": "{}: of the first", "_b": "{}: of the second", "_diff": "{}: the second minus the first"}


def codebook(tables: list[pd.DataFrame], x: str, y: str) -> pd.DataFrame:
    """The columns of some tables and the short names in them.

    Parameters
    ----------
    tables : list of DataFrame
        Estimates, pooled ones, studies that were left out.
    x, y : str
        The pair, in words.

    Returns
    -------
    DataFrame
        column, value, meaning: one row per column with a short name (value is empty), then one per direction, term and
        estimator that occurs. Columns whose names are words are not explained.

    Examples
    --------
    >>> table = pd.DataFrame({"direction": ["x_to_y"], "estimate": [-0.1]})
    >>> codebook([table], "alliance", "symptoms").loc[1, "meaning"]
    'alliance → symptoms'
    """
    columns = list(dict.fromkeys(str(column) for table in tables for column in table))
    rows = []
    for column in columns:
        if meaning := _meaning(column):
            rows.append((column, "", say(meaning)))
        rows += [(column, value, words) for value, words in _values(column, tables, x, y)]
    return pd.DataFrame(rows, columns=["column", "value", "meaning"])


def _meaning(column: str) -> str:
    """What a column has; empty where its name says it."""
    for ending, words in _OF_TWO.items():
        stem = column.removesuffix(ending)
        if stem != column and stem in MEANINGS:
            return words.format(MEANINGS[stem])
    return MEANINGS.get(column, "")


def _values(column: str, tables: list[pd.DataFrame], x: str, y: str) -> list[tuple[str, str]]:
    """The short names that occur in a column, in words."""
    there = [t for t in tables if column in t]
    if column == "term":
        pairs = {(d, t) for table in there for d, t in zip(table["direction"], table["term"], strict=True)}
        ordered = sorted(pairs, key=lambda pair: (list(DIRECTIONS).index(pair[0]), pair[1]))
        return [(f"{t} ({d})", term_label(d, t, x, y)) for d, t in ordered]
    seen = {value for table in there for value in table[column]}
    if column == "direction":
        return [(d, arrow(d, x, y)) for d in DIRECTIONS if d in seen]
    if column == "estimator":
        return [(e, estimator_words(e)) for e in ESTIMATORS if e in seen]
    return []
