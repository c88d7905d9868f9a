"""Whose row it is: ids that are spelled in several ways, and rows that are no patient's."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from twostage.beside import table_beside
from twostage.importing.blocks import LEAVE_OUT
from twostage.importing.mapping import ImportMapping
from twostage.importing.source import Source
from twostage.problems import Problem
from twostage.text import text_problem

#: What begins a row of totals, in the languages of its users.
TOTALS = frozenset(table_beside(__file__)["totals"].split())

#: Those that may also be an id, or a person's name: only where the others look otherwise.
SHORT = frozenset(
    {"m", "n", "s", "ø", "σ", "min", "max", "var", "range", "total n", "quelle", "source", "legende"}
)


#: Pairs or rows that a message shows.
SHOWN = 6


def essence(id: str) -> str:
    """An id without what may be a matter of spelling: leading zeros, case, blanks, .0 at the end."""
    text = unicodedata.normalize("NFKC", id).casefold()
    text = "".join(c for c in text if not c.isspace() and unicodedata.category(c) != "Cf")
    text = re.sub(r"(?<=\d)[.,]0+$", "", text)
    return re.sub(r"(?<![\d.,])0+(?=\d)", "", text)


def similar(ids: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups of ids that may be one patient's, in their order."""
    groups: dict[str, list[str]] = {}
    for id in dict.fromkeys(ids):
        groups.setdefault(essence(id), []).append(id)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def in_words(groups: Sequence[tuple[str, ...]]) -> str:
    """Some of the groups: ``001 and 1, 002 and 2``."""
    shown = ", ".join(" and ".join(map(repr, group)) for group in groups[:SHOWN])
    more = len(groups) - SHOWN
    return shown + (f", and {more} more" if more > 0 else "")


def unusual(cells: pd.DataFrame, patient: str, scores: Sequence[str]) -> dict[str, str]:
    """Ids that may be no patient's -> why.

    Parameters
    ----------
    cells : pandas.DataFrame
    patient : str
        The column with the ids.
    scores : sequence of str
        Columns with scores.

    Returns
    -------
    dict
        Those that are called like totals or like the column itself, and those that look like no other id and
        have values like nobody's, or none.
    """
    scores = list(dict.fromkeys(scores))
    ids = [id for id in cells[patient].unique() if id]
    shapes = {id: _shape(id) for id in ids}
    common, n = Counter(shapes.values()).most_common(1)[0] if ids else ("", 0)
    usual = n >= 0.6 * len(ids)
    found = {}
    for id in ids:
        other = usual and shapes[id] != common
        words = re.findall(r"[^\W\d_]+", unicodedata.normalize("NFKC", id).casefold()) or [""]
        if id.casefold() == patient.casefold():
            found[id] = "the name of the column"
        elif words[0] in TOTALS or "".join(words) in TOTALS:
            found[id] = "called like a row of totals"
        elif other and words[0] in SHORT:
            found[id] = "called like a row of totals, and unlike the other ids"
    odd = [id for id in ids if usual and shapes[id] != common and id not in found]
    if odd and len(odd) <= 0.2 * len(ids):
        found |= _odd_values(cells, patient, odd, scores)
    return found | _last_rows(cells, patient, [id for id in ids[-LAST:] if id not in found], scores)


def _last_rows(cells: pd.DataFrame, patient: str, last: list[str], scores: Sequence[str]) -> dict[str, str]:
    """Those of the last ids, however spelt, whose row is computed from the rows above it."""
    found = {}
    for id in last:
        places = np.flatnonzero(cells[patient].isin([id]))
        if len(places) != 1:
            continue
        numbers = cells[list(scores)].iloc[: places[0] + 1].apply(pd.to_numeric, errors="coerce")
        if numbers.iloc[-1].count() >= 4 and _computed(numbers.iloc[-1:], numbers.iloc[:-1], STATISTICS[:3]):
            found[id] = "the last rows, with values that are computed from those above"
    return found


def _shape(id: str) -> str:
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "0", id))


def _odd_values(cells: pd.DataFrame, patient: str, odd: list[str], scores: Sequence[str]) -> dict[str, str]:
    own = cells[patient]
    numbers = cells[list(scores)].apply(pd.to_numeric, errors="coerce")
    others = numbers[~own.isin(odd)].to_numpy(float)
    filled = others[np.isfinite(others)]
    found = {}
    for id in odd:
        rows = cells[own.isin([id])]  # == loses a 0 character at the end
        if (rows.drop(columns=patient) == "").all(axis=None):
            found[id] = "unlike the other ids, in a row without anything else"
            continue
        values = numbers.loc[rows.index].to_numpy(float)
        values = values[np.isfinite(values)]
        if not values.size or filled.size < 10:
            continue
        if _computed(numbers.loc[rows.index], numbers[~own.isin(odd)]):
            found[id] = "unlike the other ids, with values that are computed from the others'"
            continue
        low, high = filled.min(), filled.max()
        room = (high - low) / 2
        beyond = ((values < low - room) | (values > high + room)).any()
        broken = (filled % 1 == 0).mean() > 0.95 and (values % 1 != 0).mean() > 0.5
        if beyond or broken:
            found[id] = "unlike the other ids, with values unlike the others'"
    return found


#: How many of a file's last ids are looked at as totals although they are spelt like the others.
LAST = 4


#: What a row of totals may hold. The first three are never a patient's own by chance.
STATISTICS = ("mean", "sum", "std", "sem", "var", "median", "min", "max", "count")


#: A value is a statistic of the others if it is right to half of its last of this many digits, as tables round.
DIGITS = 3


def _computed(own: pd.DataFrame, others: pd.DataFrame, of: Sequence[str] = STATISTICS) -> bool:
    """Whether a row's numbers are one statistic of the rows above, whatever language calls it: mean, sum, SD, n ..."""
    if len(own) != 1:
        return False
    values = own.iloc[0].dropna()
    values = values[others[values.index].count() >= 3]
    if len(values) < 2:
        return False
    table = others[values.index].agg(list(of))
    near = (table - values).abs() <= 0.5 * 10.0 ** (1 - DIGITS) * table.abs()
    return bool(near.all(axis=1).any())


def resolve(
    source: Source, mapping: ImportMapping, scores: Sequence[str]
) -> tuple[Source, list[str], list[Problem]]:
    """The rows of patients, each patient under one id.

    Parameters
    ----------
    source : Source
    mapping : ImportMapping
    scores : sequence of str
        The file's columns with scores.

    Returns
    -------
    source : Source
    notes : list of str
    problems : list of Problem
        What the mapping must say first: `unusual_patients`, `similar_ids`.
    """
    cells, patient, notes = source.cells, mapping.patient, []
    left_out = [id for id, what in mapping.unusual_patients.items() if what == LEAVE_OUT]
    gone = cells[patient].isin(left_out)
    if gone.any():
        names = ", ".join(cells[patient][gone].unique())
        notes.append(
            f"{int(gone.sum())} row{'s' * (int(gone.sum()) > 1)} left out that are no patient's: {names}"
        )
        cells = cells[~gone]
    problems: list[Problem] = []
    strange = unusual(cells, patient, scores)
    for id, why in strange.items():
        if id not in mapping.unusual_patients:
            row = int(cells.index[cells[patient].isin([id])][0])
            expected = f"a patient ({why}): unusual_patients: {{{id!r}: leave out}} in the mapping, or keep"
            problems.append(Problem(source.name, row, patient, id, expected))
            # Whatever else is wrong in a row of totals has the same cause.
            cells = cells[~cells[patient].isin([id])]
    for number, id in cells[patient].drop_duplicates().items():
        problems += filter(None, [text_problem(source.name, int(str(number)), patient, id)])
    groups = similar(id for id in cells[patient].unique() if id)
    if groups and mapping.similar_ids is None:
        expected = (
            f"ids that differ in more than zeros, case, blanks or .0: similar_ids: same in the mapping if "
            f"{len(groups)} pair{'s' * (len(groups) > 1)} {'are' if len(groups) > 1 else 'is'} one patient each, "
            "or different"
        )
        problems.append(Problem(source.name, None, patient, in_words(groups), expected))
    if groups and mapping.similar_ids == "same":
        one = {id: group[0] for group in groups for id in group}
        cells = cells.assign(**{patient: cells[patient].map(lambda id: one.get(id, id))})
        notes.append(f"ids taken for one patient: {in_words(groups)}")
    return replace(source, cells=cells), notes, problems
