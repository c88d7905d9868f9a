"""A file's rows as a study's sessions and patients, by a mapping; wide and long give the same."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from twostage.collection import schema
from twostage.importing.identity import resolve
from twostage.importing.mapping import ImportMapping, score_columns, wide_columns
from twostage.importing.scores import as_written, out_of_range, score, texts
from twostage.importing.sessions import number_sessions, window_note
from twostage.importing.source import Source
from twostage.problems import Problem

#: Columns of a patients table, in this order.
PATIENT = ("therapist", "age", "gender", "pre", "post")


#: What is done with what changes, where the mapping does not say; anything else is refused.
CHANGES = {"age": "first"}


@dataclass(frozen=True)
class Limits:
    """What numbers may be; (low, high), from the mapping's study and the collection's dictionary."""

    x: tuple[float, float] | None
    y: tuple[float, float] | None
    session: tuple[float, float] = schema.SESSION_LIMITS
    age: tuple[float, float] = (-np.inf, np.inf)
    window: tuple[int, int] | None = None


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
    scores = [c for c in score_columns(source, mapping) if c != mapping.session]
    source, said, problems = resolve(source, mapping, scores)
    source, more = _with_patient(source, mapping)
    problems += more
    if source.cells.empty:
        return None, problems or [Problem(source.name, None, mapping.patient, "no row", "rows of patients")]
    rows, more, notes = (_wide if mapping.layout == "wide" else _long)(source, mapping, limits)
    patients, most, told = _patients(source, mapping, limits)
    problems += [*more, *most]
    if problems:
        return None, problems
    sessions, kept = _kept(rows, mapping)
    problems = _out_of_sessions(sessions, source, mapping, limits)
    if problems:
        return None, problems
    sessions = sessions[[c for c in schema.SESSION_COLUMNS if c in sessions]].astype({"session": int})
    window = window_note(sessions, limits.window, mapping.session_shift)
    return StudyTables(sessions, patients, (*said, *notes, *kept, *told, *window)), []


def _with_patient(source: Source, mapping: ImportMapping) -> tuple[Source, list[Problem]]:
    """The rows that say whose they are; of the others nothing else is asked."""
    names = source.cells[mapping.patient]
    empty = names.index[names == ""]
    down = f" (file: fill_down: [{mapping.patient}] in the mapping if the cell above goes for it)"
    expected = f"a patient in each row{down * (len(empty) < len(names))}"
    problems = [Problem(source.name, int(row), mapping.patient, "", expected) for row in empty]
    return replace(source, cells=source.cells[names != ""]), problems


def _limited(
    numbers: pd.Series, name: str, column: str, ends: tuple[float, float] | None, key: str
) -> list[Problem]:
    if ends is None:
        return []
    return out_of_range(numbers, name, column, ends, f"{key}_min and {key}_max of the mapping's study")


def _wide(
    source: Source, mapping: ImportMapping, limits: Limits
) -> tuple[pd.DataFrame, list[Problem], list[str]]:
    cells, name = source.cells, source.name
    problems = schema.check_unique(
        cells.rename(columns={mapping.patient: "patient"}), name, ["patient"], "one row per patient (wide)"
    )
    parts: dict[int, dict[str, pd.Series]] = {}
    alone: dict[str, set[int]] = {}
    for v in ("x", "y"):
        block = getattr(mapping, v)
        for session, columns in wide_columns(source, block, v, mapping.sessions)[0].items():
            numbers, wrong = score(cells, name, block, columns, mapping.missing)
            wrong += _limited(numbers, name, columns[0], getattr(limits, v), v)
            problems += wrong
            parts.setdefault(session + mapping.session_shift, {})[v] = numbers
            alone.setdefault(v, set()).add(session)
    nothing = pd.Series(np.nan, index=cells.index)
    tables = [
        pd.DataFrame({"x": part.get("x", nothing), "y": part.get("y", nothing)}).assign(
            patient=cells[mapping.patient], session=float(session), row=cells.index
        )
        for session, part in sorted(parts.items())
    ]
    return pd.concat(tables, ignore_index=True), problems, _gaps(alone)


def _gaps(sessions: Mapping[str, set[int]]) -> list[str]:
    """What to say where numbers of columns are far from the others': they may be no session's."""
    notes = []
    for v, numbers in sessions.items():
        ordered = sorted(numbers)
        far = [b for a, b in zip(ordered, ordered[1:], strict=False) if b - a > 2]
        if far:
            notes.append(f"{v} has a session {far[0]} and none of {far[0] - 2} and {far[0] - 1}: is it one?")
    return notes


def _long(
    source: Source, mapping: ImportMapping, limits: Limits
) -> tuple[pd.DataFrame, list[Problem], list[str]]:
    cells, name = source.cells, source.name
    numbered = number_sessions(source, mapping)
    problems = list(numbered.problems)
    rows = pd.DataFrame({"patient": cells[mapping.patient], "session": numbered.numbers, "row": cells.index})
    if numbered.days is not None:
        rows["day"] = numbered.days
    notes = []
    n = int(numbered.left_out.sum())
    notes += [f"{n} rows are no session (session_labels)"] if n else []
    for v in ("x", "y"):
        block = getattr(mapping, v)
        chosen = cells[~numbered.left_out]
        numbers, wrong = score(chosen, name, block, block.names(), mapping.missing)
        wrong += _limited(numbers, name, block.names()[0], getattr(limits, v), v)
        problems += wrong
        rows[v] = numbers
    rows, more, joined = _once(rows, source, mapping)
    return rows, problems + more, notes + joined


def _once(
    rows: pd.DataFrame, source: Source, mapping: ImportMapping
) -> tuple[pd.DataFrame, list[Problem], list[str]]:
    """One row per session: others of it are joined, if they may be and contradict nothing."""
    known = rows[rows["session"].notna()]
    keys = ["patient", "session"]
    several = known[known.duplicated(keys, keep=False)]
    if several.empty:
        return rows, [], []
    values = several.groupby(keys)[["x", "y"]]
    # A score that comes twice may be a row that was copied, even if it is the same; who joins rows accepts it.
    at_odds = ((values.nunique() if mapping.join_rows else values.count()) > 1).any(axis=1)
    n, column = len(at_odds), mapping.date or mapping.session
    if not at_odds.any() and mapping.join_rows:
        whole = rows.groupby(keys, as_index=False, dropna=False, sort=False)
        return (
            whole[[c for c in ("row", "x", "y", "day") if c in rows]].first(),
            [],
            [f"{n} sessions joined from several rows each"],
        )
    if not at_odds.any() and mapping.join_rows is None:
        row = int(several["row"].iloc[1])
        expected = "one row for each, or join_rows: true in the mapping: no score of a session comes twice"
        found = f"{n} sessions in several rows each"
        return rows, [Problem(source.name, row, column, found, expected)], []
    wanted = several.set_index(keys).index.isin(at_odds[at_odds].index) if mapping.join_rows else slice(None)
    return rows, _again(several[wanted], source, mapping), []


def _again(several: pd.DataFrame, source: Source, mapping: ImportMapping) -> list[Problem]:
    first = several.groupby(["patient", "session"])["row"].transform("first")
    cells, column = source.cells, mapping.date or mapping.session
    problems = []
    for again, before in zip(several["row"], first, strict=True):
        if again != before:
            value = f"patient {cells[mapping.patient][again]}, {column} {cells[column][again]} again"
            expected = f"another {column} than in row {before}"
            problems.append(Problem(source.name, int(again), column, value, expected))
    return problems


def _kept(rows: pd.DataFrame, mapping: ImportMapping) -> tuple[pd.DataFrame, list[str]]:
    """Without sessions that are not to be kept and rows without a score; each patient keeps a row."""
    notes, everyone = [], rows.sort_values(["patient", "session"], kind="stable")
    first = everyone.drop_duplicates("patient").assign(x=np.nan, y=np.nan)
    kept = everyone = everyone[everyone["session"].notna()]
    # Who has no session at all gets the first one there is.
    first["session"] = first["session"].fillna(everyone["session"].min() if len(everyone) else 1.0)
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


def _patients(
    source: Source, mapping: ImportMapping, limits: Limits
) -> tuple[pd.DataFrame, list[Problem], list[str]]:
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
            chosen = cells if part.at is None else cells[cells[mapping.session] == part.at]
            numbers, wrong = score(chosen, name, part, part.names(), mapping.missing)
            wrong += _patient_range(numbers, name, columns[key], limits, key)
            table[key] = numbers.reindex(cells.index)
            problems += wrong
            problems += _nowhere(part.at, chosen, source, mapping)
    notes: list[str] = []
    if mapping.layout == "long":
        table, wrong, notes = _constant(table, name, columns, mapping)
        problems += wrong
    return table.sort_values("patient", kind="stable").reset_index(drop=True), problems, notes


def _nowhere(at: str | None, chosen: pd.DataFrame, source: Source, mapping: ImportMapping) -> list[Problem]:
    if at is None or len(chosen):
        return []
    there = ", ".join(source.cells[mapping.session].unique()[:8])
    return [Problem(source.name, None, mapping.session, at, f"a session of the file: {there}")]


def _patient_range(numbers: pd.Series, name: str, column: str, limits: Limits, key: str) -> list[Problem]:
    if key == "age":
        return out_of_range(numbers, name, column, limits.age, "the collection's dictionary")
    return _limited(numbers, name, column, limits.y, "y")


def _constant(
    table: pd.DataFrame, name: str, columns: Mapping[str, str], mapping: ImportMapping
) -> tuple[pd.DataFrame, list[Problem], list[str]]:
    """One row per patient; what differs between a patient's rows is a problem, empty cells are not."""
    problems, notes = [], []
    filled = table.replace("", np.nan)
    firsts = filled.groupby("patient", sort=True).first()
    for key, column in columns.items():
        expected = filled["patient"].map(firsts[key])
        different = filled[key].notna() & (filled[key] != expected)
        if different.any() and (getattr(mapping.patients, key).changes or CHANGES.get(key)) == "first":
            n = table.loc[different, "patient"].nunique()
            notes.append(f"{column} changes in {n} patient{'s' * (n > 1)}: the first value was taken")
            continue
        way = f"as in the patient's other rows (or patients: {key}: changes: first in the mapping)"
        problems += [
            Problem(name, int(row), column, as_written(value), f"{as_written(expected[row])!r}, {way}")
            for row, value in filled.loc[different, key].items()
        ]
    texts_back = {key: "" for key in ("therapist", "gender")}
    return firsts.fillna(texts_back).reset_index(), problems, notes
