"""A file's rows as a study's sessions and patients, by a mapping; wide and long give the same."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from twostage.collection import schema
from twostage.importing.mapping import ImportMapping, wide_columns
from twostage.importing.scores import as_written, out_of_range, score, texts, to_number
from twostage.importing.source import Source
from twostage.problems import Problem

#: Columns of a patients table, in this order.
PATIENT = ("therapist", "age", "gender", "pre", "post")


@dataclass(frozen=True)
class Limits:
    """What numbers may be; (low, high), from the mapping's study and the collection's dictionary."""

    x: tuple[float, float] | None
    y: tuple[float, float] | None
    session: tuple[float, float] = schema.SESSION_LIMITS
    age: tuple[float, float] = (-np.inf, np.inf)


@dataclass(frozen=True)
class StudyTables:
    """One study, reshaped.

    Attributes
    ----------
    sessions : pandas.DataFrame
        patient (str), session (int), x, y (float); sorted, no row without a score but one for each patient who
        has none.
    patients : pandas.DataFrame
        patient, therapist, age, gender, pre, post; sorted; NaN or "" where the file has nothing.
    notes : tuple of str
        What was left out and how much of it.
    """

    sessions: pd.DataFrame
    patients: pd.DataFrame
    notes: tuple[str, ...]


def reshape(
    source: Source, mapping: ImportMapping, limits: Limits
) -> tuple[StudyTables | None, list[Problem]]:
    """Make one study of a file's rows.

    Parameters
    ----------
    source : Source
        Of one study's rows; the mapping's columns exist.
    mapping : ImportMapping
    limits : Limits

    Returns
    -------
    tables : StudyTables or None
        None where there are problems.
    problems : list of Problem
        Each with row, column and value of the file.
    """
    names = source.cells[mapping.patient]
    problems = [
        Problem(source.name, row, mapping.patient, "", "a patient in each row")
        for row in names.index[names == ""]
    ]
    rows, more = (_wide if mapping.layout == "wide" else _long)(source, mapping, limits)
    patients, most = _patients(source, mapping, limits)
    problems += [*more, *most]
    if problems:
        return None, problems
    sessions, notes = _kept(rows, mapping)
    problems = _out_of_sessions(sessions, source, mapping, limits)
    if problems:
        return None, problems
    sessions = sessions[["patient", "session", "x", "y"]].astype({"session": int})
    return StudyTables(sessions, patients, tuple(notes)), []


def _limited(
    numbers: pd.Series, name: str, column: str, ends: tuple[float, float] | None, key: str
) -> list[Problem]:
    if ends is None:
        return []
    return out_of_range(numbers, name, column, ends, f"{key}_min and {key}_max of the mapping's study")


def _wide(source: Source, mapping: ImportMapping, limits: Limits) -> tuple[pd.DataFrame, list[Problem]]:
    cells, name = source.cells, source.name
    problems = schema.check_unique(
        cells.rename(columns={mapping.patient: "patient"}), name, ["patient"], "one row per patient (wide)"
    )
    parts: dict[int, dict[str, pd.Series]] = {}
    for v in ("x", "y"):
        block = getattr(mapping, v)
        for session, columns in wide_columns(source, block, v)[0].items():
            numbers, wrong = score(cells, name, block, columns, mapping.missing)
            wrong += _limited(numbers, name, columns[0], getattr(limits, v), v)
            problems += wrong
            parts.setdefault(session, {})[v] = numbers
    nothing = pd.Series(np.nan, index=cells.index)
    tables = [
        pd.DataFrame({"x": part.get("x", nothing), "y": part.get("y", nothing)}).assign(
            patient=cells[mapping.patient], session=float(session), row=cells.index
        )
        for session, part in sorted(parts.items())
    ]
    return pd.concat(tables, ignore_index=True), problems


def _long(source: Source, mapping: ImportMapping, limits: Limits) -> tuple[pd.DataFrame, list[Problem]]:
    cells, name = source.cells, source.name
    sessions, problems = _by_date(source, mapping) if mapping.date else _numbered(source, mapping)
    rows = pd.DataFrame({"patient": cells[mapping.patient], "session": sessions, "row": cells.index})
    for v in ("x", "y"):
        block = getattr(mapping, v)
        numbers, wrong = score(cells, name, block, block.names(), mapping.missing)
        wrong += _limited(numbers, name, block.names()[0], getattr(limits, v), v)
        problems += wrong
        rows[v] = numbers
    known = rows[rows["session"].notna()]
    first = known.groupby(["patient", "session"])["row"].transform("first")
    column = mapping.date or mapping.session
    for again, before in zip(
        known.loc[first != known["row"], "row"], first[first != known["row"]], strict=True
    ):
        value = f"patient {cells[mapping.patient][again]}, {column} {cells[column][again]} again"
        expected = f"another {column} than in row {before}"
        problems.append(Problem(name, int(again), column, value, expected))
    return rows, problems


def _numbered(source: Source, mapping: ImportMapping) -> tuple[pd.Series, list[Problem]]:
    column = mapping.session
    cells = source.cells[column]
    numbers, problems = to_number(cells, source.name, column, ())
    low, high = schema.SESSION_LIMITS
    bad = (cells == "") | numbers.notna() & ((numbers % 1 != 0) | (numbers < low) | (numbers > high))
    expected = f"a whole number, {low:g} to {high:g}"
    problems += [Problem(source.name, row, column, value, expected) for row, value in cells[bad].items()]
    return numbers.where(~bad), problems


def _by_date(source: Source, mapping: ImportMapping) -> tuple[pd.Series, list[Problem]]:
    """Sessions numbered by the order of their dates within the patient."""
    cells, problems = source.cells[mapping.date], []
    moments = {text: _moment(text, mapping.date_format) for text in cells.unique()}
    expected = f"a date, {'as in 2024-03-31' if _iso(mapping) else 'as in ' + mapping.date_format}"
    for row, text in cells.items():
        if moments[text] is None:
            problems.append(Problem(source.name, row, mapping.date, text, expected))
    order = {moment: i for i, moment in enumerate(sorted({m for m in moments.values() if m is not None}))}
    places = cells.map(lambda text: order.get(moments[text], np.nan)).astype(float)
    return places.groupby(source.cells[mapping.patient]).rank(method="dense"), problems


def _iso(mapping: ImportMapping) -> bool:
    return mapping.date_format.strip().upper() == "ISO"


def _moment(text: str, form: str) -> datetime.datetime | None:
    try:
        if form.strip().upper() == "ISO":
            moment = datetime.datetime.fromisoformat(text)
        else:
            moment = datetime.datetime.strptime(text, form)
    except ValueError:
        return None
    return moment.replace(tzinfo=None)


def _kept(rows: pd.DataFrame, mapping: ImportMapping) -> tuple[pd.DataFrame, list[str]]:
    """Without sessions that are not to be kept and rows without a score; each patient keeps a row."""
    notes, everyone = [], rows.sort_values(["patient", "session"], kind="stable")
    first = everyone.drop_duplicates("patient").assign(x=np.nan, y=np.nan)
    kept = everyone
    if mapping.keep_sessions:
        low, high = mapping.keep_sessions
        kept = everyone[everyone["session"].between(low, high)]
        first = first.assign(session=float(low))
        notes += [f"{len(everyone) - len(kept)} rows outside of sessions {low} to {high} left out"]
    scored = kept[kept[["x", "y"]].notna().any(axis=1)]
    empty = len(kept) - len(scored)
    notes += [f"{empty} rows or cells of sessions without either score left out"] if empty else []
    bare = first[~first["patient"].isin(scored["patient"])]
    notes += [f"{len(bare)} patients without any score keep one row"] if len(bare) else []
    both = pd.concat([scored, bare]).sort_values(["patient", "session"], kind="stable")
    return both.reset_index(drop=True), notes


def _out_of_sessions(
    sessions: pd.DataFrame, source: Source, mapping: ImportMapping, limits: Limits
) -> list[Problem]:
    low, high = limits.session
    wrong = sessions[~sessions["session"].between(low, high)]
    expected = f"{low:g} to {high:g}, as in the collection's dictionary (or keep_sessions in the mapping)"
    column = mapping.session or mapping.date or "(columns of this session)"
    return [
        Problem(source.name, int(row), column, int(session), expected)
        for row, session in zip(wrong["row"], wrong["session"], strict=True)
    ]


def _patients(source: Source, mapping: ImportMapping, limits: Limits) -> tuple[pd.DataFrame, list[Problem]]:
    cells, name, block = source.cells, source.name, mapping.patients
    table, columns, problems = pd.DataFrame({"patient": cells[mapping.patient]}), {}, []
    for key in PATIENT:
        part = getattr(block, key)
        if part is None:
            table[key] = "" if key in ("therapist", "gender") else np.nan
        elif key in ("therapist", "gender"):
            labels = dict(source.values.get(part.column, {}))
            columns[key] = part.column
            table[key] = texts(cells[part.column], part, mapping.missing, labels)
        else:
            columns[key] = part.names()[0]
            table[key], wrong = score(cells, name, part, part.names(), mapping.missing)
            wrong += _patient_range(table[key], name, columns[key], limits, key)
            problems += wrong
    if mapping.layout == "long":
        table, wrong = _constant(table, name, columns)
        problems += wrong
    return table.sort_values("patient", kind="stable").reset_index(drop=True), problems


def _patient_range(numbers: pd.Series, name: str, column: str, limits: Limits, key: str) -> list[Problem]:
    if key == "age":
        return out_of_range(numbers, name, column, limits.age, "the collection's dictionary")
    return _limited(numbers, name, column, limits.y, "y")


def _constant(
    table: pd.DataFrame, name: str, columns: Mapping[str, str]
) -> tuple[pd.DataFrame, list[Problem]]:
    """One row per patient; what differs between a patient's rows is a problem, empty cells are not."""
    problems = []
    filled = table.replace("", np.nan)
    firsts = filled.groupby("patient", sort=True).first()
    for key, column in columns.items():
        expected = filled["patient"].map(firsts[key])
        different = filled[key].notna() & (filled[key] != expected)
        problems += [
            Problem(
                name,
                int(row),
                column,
                as_written(value),
                f"{as_written(expected[row])!r}, as in the patient's other rows",
            )
            for row, value in filled.loc[different, key].items()
        ]
    texts_back = {key: "" for key in ("therapist", "gender")}
    return firsts.fillna(texts_back).reset_index(), problems
