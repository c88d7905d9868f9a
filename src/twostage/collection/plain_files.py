"""A study's tables from plain files in which nothing is wrong, checked once for each distinct text.

Each function gives None where anything is amiss: then :mod:`twostage.collection.study_files` reads cell by cell and says
what, in which row. The rules are the same ones.
"""

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from twostage.collection import schema
from twostage.collection.distinct_texts import Cells, Distinct
from twostage.collection.parquet_file import Values

#: Columns of patients that are numbers, and those in which a missing value may have a sign of its own.
NUMBERS, CODED = ("age", "pre", "post"), ("therapist", "gender")


def chosen(
    cells: Mapping[str, Cells | Values], names: Mapping[str, str], where: Mapping[str, str]
) -> dict[str, Distinct] | None:
    """The columns of one study.

    Parameters
    ----------
    cells : mapping
        As :func:`twostage.collection.distinct_texts.split` or :func:`twostage.collection.parquet_file.columns` finds them.
    names : mapping
        Our name -> the file's.
    where : mapping
        The file's name of a column -> what it has in this study's rows.

    Returns
    -------
    dict or None
        Our name -> the study's cells; None where a column or every row is missing.
    """
    wanted = {*names.values(), *where}
    if not wanted <= set(cells) or len(set(names.values())) < len(names):
        return None
    columns = {name: cells[name].distinct() for name in wanted}
    found = {name: column for name, column in columns.items() if column is not None}
    if len(found) < len(columns):
        return None
    if where:
        of_study = [(found[name].texts == value)[found[name].codes] for name, value in where.items()]
        rows = np.flatnonzero(np.logical_and.reduce(of_study))
        if not len(rows):
            return None
        found = {name: column.only(rows) for name, column in found.items()}
    return {ours: found[theirs] for ours, theirs in names.items()}


def session_table(
    columns: Mapping[str, Distinct],
    names: Mapping[str, str],
    ranges: Mapping[str, tuple[float, float]],
    missing: Mapping[str, str],
) -> pd.DataFrame | None:
    """The table of sessions.

    Parameters
    ----------
    columns : mapping
        As of :func:`chosen`.
    names : mapping
        Our name -> the file's.
    ranges : mapping
        The file's name -> lowest and highest possible value.
    missing : mapping
        The file's name -> what stands for a missing value.
    """
    patient, session = columns["patient"], columns["session"]
    if not _match(patient, schema.PATIENT[0]) or not _match(session, schema.SESSION[0]):
        return None
    numeric = [v for v in schema.SESSION_COLUMNS[1:] if v in columns]
    numbers = {v: _numbers(columns[v], names[v], ranges, missing) for v in numeric}
    if any(values is None for values in numbers.values()):
        return None
    values = {v: found for v, found in numbers.items() if found is not None}
    occasion = values.pop("session").astype(np.int64)
    rank = np.empty(len(patient.texts), dtype=np.int64)
    rank[np.argsort(patient.texts, kind="stable")] = np.arange(len(rank))
    keys = rank[patient.codes] * (occasion.max() + 1) + occasion
    order = slice(None) if (np.diff(keys) > 0).all() else np.argsort(keys, kind="stable")
    if (np.diff(keys[order]) == 0).any():
        return None
    rows = Distinct(patient.texts, patient.codes[order])
    scores = {v: found[order] for v, found in values.items()}
    table = pd.DataFrame({"patient": rows.column(), "session": occasion[order], **scores})
    ours = {name: name for name in schema.SESSION_COLUMNS}
    return None if "day" in table and schema.check_days(table, "", ours) else table


def patient_table(
    columns: Mapping[str, Distinct],
    names: Mapping[str, str],
    ranges: Mapping[str, tuple[float, float]],
    missing: Mapping[str, str],
) -> pd.DataFrame | None:
    """The table of patients; parameters as of :func:`session_table`."""
    patient = columns["patient"]
    if not _match(patient, schema.PATIENT[0]) or len(patient.texts) < len(patient.codes):
        return None
    table = {}
    for name, column in columns.items():
        if name in NUMBERS:
            values = _numbers(column, names[name], ranges, missing)
            if values is None:
                return None
            table[name] = pd.Series(values)
        elif name in CODED:
            signs = pd.Series(column.texts, dtype=str).str.strip()
            absent = signs.isin(["", missing.get(names[name], "")]).to_numpy()[column.codes]
            table[name] = column.column().mask(absent)
        else:
            table[name] = column.column()
    return pd.DataFrame(table)


def _match(column: Distinct, pattern: str) -> bool:
    rule = re.compile(rf"(?s:{pattern})")
    return all(rule.fullmatch(text) for text in column.texts)


def _numbers(
    column: Distinct,
    name: str,
    ranges: Mapping[str, tuple[float, float]],
    missing: Mapping[str, str],
) -> np.ndarray | None:
    texts = pd.DataFrame({name: pd.Series(column.texts, dtype=str)})
    table, problems = schema.to_numbers(texts, "", [name], missing)
    values = table[name].to_numpy()
    if problems or not schema.inside(values, ranges.get(name, (-np.inf, np.inf))).all():
        return None
    return values[column.codes]
