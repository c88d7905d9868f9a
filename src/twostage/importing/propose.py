"""A first mapping from the names of a file's columns; what names do not tell is left to fill in."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from twostage.collection_file import Settings
from twostage.importing.find_score import Finding, find_score
from twostage.importing.job import WANTED
from twostage.importing.mapping import FILL_IN, SESSION
from twostage.importing.marks import with_points
from twostage.importing.names import at_moment, listed, named, wide_groups
from twostage.importing.source import Source, number_text
from twostage.schema import NUMBER, STUDY_ID, matches

BY_NAME = "by its name"

#: Date formats that a proposal tells apart.
FORMATS = {
    "ISO": r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2})?)?",
    "%d.%m.%Y": r"\d{1,2}\.\d{1,2}\.\d{4}",
}


@dataclass(frozen=True)
class Proposal:
    """A mapping's content with a remark on each part.

    Attributes
    ----------
    content : dict
        As in the mapping's file.
    remarks : dict
        key (``x``, ``study.year``) -> why, or what to do.
    unused : tuple of str
        Columns of the file that the content does not name.
    """

    content: dict[str, Any]
    remarks: dict[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()


def propose(
    source: Source, settings: Settings, instruments: dict[str, Iterable[str]], study_column: str | None = None
) -> Proposal:
    """Propose a mapping.

    Parameters
    ----------
    source : Source
    settings : Settings
        Of the collection: the names of x and y are looked for among the columns.
    instruments : dict
        ``x`` and ``y`` -> instruments of the collection's other studies, looked for as well.
    study_column : str, optional
        Column that says which sample a row belongs to.
    """
    columns, remarks = list(source.cells), {}
    wide = wide_groups(columns)
    patient = _first(named("patient", columns))
    looked = {v: (getattr(settings, v), instruments.get(v, ())) for v in ("x", "y")}
    likely = any(find_score(*for_what, list(wide)).name for for_what in looked.values())
    layout, remarks["layout"] = _layout(source, patient, likely, study_column)
    file = _file(source)
    content: dict[str, Any] = {"file": file} if file else {}
    content |= {"layout": layout, "patient": patient or FILL_IN}
    remarks["patient"] = BY_NAME if patient else _choices(listed(columns))
    if layout == "long":
        content |= _when(source, columns, remarks)
    names = list(wide) if layout == "wide" else [c for c in columns if c not in content.values()]
    found = {v: find_score(*for_what, names) for v, for_what in looked.items()}
    if found["x"].name is not None and found["x"].name == found["y"].name:
        both = f"{found['x'].name} could be x as well as y"
        found = {v: replace(f, name=None, why=both) for v, f in found.items()}
    for v in ("x", "y"):
        content[v] = {"column": found[v].name or FILL_IN}
        remarks[v] = _remark(source, layout, wide, found[v])
    content["missing"] = []
    patients, why = _patients(source, found["y"])
    if patients and settings.patients:
        content["patients"] = patients
        remarks |= why
    content |= _samples(source, study_column)
    content["study"], facts = _facts(source, settings, content, found)
    remarks = {k: r for k, r in (remarks | facts).items() if r}
    return Proposal(content, remarks, tuple(_unused(columns, content)))


def _layout(source: Source, patient: str | None, likely: bool, study_column: str | None) -> tuple[str, str]:
    """wide or long and why; `likely`: whether names that differ in a number look like x or y."""
    timed = _timed(source)
    if patient is not None:
        keys = source.cells[list(dict.fromkeys([study_column or patient, patient]))]
        if keys[keys[patient] != ""].duplicated().any():
            return "long", f"values of {patient} come in several rows"
    if not likely and timed:
        return "long", f"there is a column {timed[0]}"
    return "wide", f"each row has another {patient}" if patient else ""


def _timed(source: Source) -> list[str]:
    columns = list(source.cells)
    return named("session", columns) + named("date", columns)


def _file(source: Source) -> dict[str, Any]:
    used = source.options.given()
    if source.options.separator is not None and "decimal" not in used:
        used["decimal"] = FILL_IN
    return {key: list(value) if isinstance(value, tuple) else value for key, value in used.items()}


def _first(found: Sequence[str]) -> str | None:
    return found[0] if found else None


def _choices(columns: Sequence[str], n: int = 12) -> str:
    return "one of " + ", ".join(columns[:n]) + (", ..." if len(columns) > n else "")


def _when(source: Source, columns: Sequence[str], remarks: dict[str, str]) -> dict[str, Any]:
    session, date = (_first(named(role, columns)) for role in ("session", "date"))
    if session or not date:
        remarks["session"] = BY_NAME if session else _choices(listed(columns))
        return {"session": session or FILL_IN}
    cells = source.cells[date][source.cells[date] != ""]
    fitting = [f for f, pattern in FORMATS.items() if len(cells) and cells.str.fullmatch(pattern).all()]
    example = cells.iloc[0] if len(cells) else ""
    remarks["date"] = f"{BY_NAME}; sessions are numbered by the order of their dates within the patient"
    remarks["date_format"] = f"ISO, or as in '%d.%m.%Y' or '%m/%d/%Y'; the first date is {example!r}"
    return {"date": date, "date_format": fitting[0] if fitting else FILL_IN}


def _remark(source: Source, layout: str, wide: dict[str, list[int]], found: Finding) -> str:
    """Which columns a score is proposed to be and why, or which to choose from."""
    if found.name is None:
        if found.why:
            return found.why
        names = [_spelt(s, n) for s, n in wide.items()] if layout == "wide" else listed(_numeric(source))
        return _choices(names) if names else "no columns end in a session's number"
    if layout == "wide":
        sessions = wide[found.name]
        items = len(sessions) in found.items
        doubt = f"; NOT if these are its {len(sessions)} items: see the key above" * items
        first = found.name.replace(SESSION, str(sessions[0]), 1)
        return f"{_spelt(found.name, sessions)}: {found.why}{_label(source, first)}{doubt}"
    return found.why + _label(source, found.name)


def _label(source: Source, column: str) -> str:
    label = source.labels.get(column)
    return f"; the file's label of {column}: {label}" if label else ""


def _spelt(pattern: str, sessions: Sequence[int]) -> str:
    return f"{pattern} for sessions {sessions[0]} to {sessions[-1]}"


def _numeric(source: Source) -> list[str]:
    cells = with_points(source, source.cells).cells
    return [c for c in cells if (cells[c] == "").sum() < len(cells) and _is_numeric(cells[c])]


def _is_numeric(cells: pd.Series) -> bool:
    return bool(cells[cells != ""].str.fullmatch(NUMBER).all())


def _patients(source: Source, y: Finding) -> tuple[dict[str, Any], dict[str, str]]:
    columns, patients, remarks = list(source.cells), {}, {}
    for role in ("therapist", "age", "gender"):
        column = _first(named(role, columns))
        if column is None:
            continue
        patients[role], remarks[f"patients.{role}"] = {"column": column}, BY_NAME
        values = source.values.get(column, {})
        if values and role != "age":
            patients[role]["values"] = dict(values)
            remarks[f"patients.{role}"] = f"{BY_NAME}; the file's own value labels"
    for moment, words in (("pre", "before"), ("post", "after")):
        found = at_moment(moment, columns, y.words)
        if not found:
            continue
        patients[moment] = {"column": found[0] if len(found) == 1 else FILL_IN}
        why = f"the score of y {words} treatment, "
        why += BY_NAME if len(found) == 1 else f"{_choices(found)}; or delete this entry"
        remarks[f"patients.{moment}"] = why
    return patients, remarks


def _samples(source: Source, study_column: str | None) -> dict[str, Any]:
    if study_column is None:
        return {}
    labels = source.values.get(study_column, {})
    values = [labels.get(v, v) for v in source.cells[study_column].drop_duplicates() if v != ""]
    ids: dict[str, str] = {}
    for value in values:
        id = re.sub(r"\W+", "_", value, flags=re.ASCII).strip("_") or "study"
        taken = {i.casefold() for i in ids.values()}
        ids[value] = next(
            n for n in (id, *(f"{id}_{i}" for i in range(2, 1000))) if n.casefold() not in taken
        )
    studies = {v: {"study": i, "label": v} for v, i in ids.items() if matches(STUDY_ID, i)}
    return {"study_column": study_column, "studies": studies}


def _facts(
    source: Source, settings: Settings, content: dict[str, Any], found: dict[str, Finding]
) -> tuple[dict[str, Any], dict[str, str]]:
    several = "studies" in content
    facts = {c: FILL_IN for c in WANTED if not (several and c == "label")}
    remarks = {}
    for v in ("x", "y"):
        label = getattr(settings, v).label
        if found[v].title:
            remarks[f"study.{v}_instrument"] = (
                f"which version? the names of the columns suggest: {found[v].title}"
            )
        remarks[f"study.{v}_direction"] = f"1: a higher score means more {label}; -1: scored the other way"
        seen = _seen(source, content[v]["column"])
        remarks[f"study.{v}_min"] = f"lowest possible score{seen}"
        remarks[f"study.{v}_max"] = f"highest possible score{seen}"
    return facts, remarks


def _seen(source: Source, column: str) -> str:
    if column == FILL_IN:
        return ""
    pattern = r"[0-9]{1,4}".join(re.escape(part) for part in column.split(SESSION, 1))
    columns = [c for c in source.cells if re.fullmatch(pattern, c)]
    chosen = [with_points(source, columns).cells[c] for c in columns]
    cells = pd.concat(chosen) if chosen else pd.Series([], dtype=str)
    numbers = pd.to_numeric(cells[cells.str.fullmatch(NUMBER)])
    if numbers.empty:
        return ""
    codes = "" if source.emptied.issuperset(columns) else " (missing codes included)"
    return f"; in the file {number_text(numbers.min())} to {number_text(numbers.max())}{codes}"


def _unused(columns: Sequence[str], content: dict[str, Any]) -> Iterator[str]:
    """Columns that no part of the content names."""
    parts = [content.get(key) for key in ("patient", "session", "date", "study_column")]
    parts += [
        block["column"] for block in (content["x"], content["y"], *content.get("patients", {}).values())
    ]
    expressions = [
        "[0-9]{1,4}".join(re.escape(part) for part in text.split(SESSION, 1)) for text in parts if text
    ]
    return (c for c in columns if not any(re.fullmatch(e, c) for e in expressions))
