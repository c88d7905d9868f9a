"""A first mapping from the names of a file's columns; what names do not tell is left to fill in."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from twostage.collection_file import Settings, Variable
from twostage.importing.facts import WANTED
from twostage.importing.mapping import FILL_IN, SESSION
from twostage.importing.source import Source, number_text, with_points
from twostage.schema import NUMBER, STUDY_ID, matches

#: What columns are usually called, in English and German; the first that fits wins.
NAMES = {
    "patient": ("patient", "patientid", "pid", "clientid", "client", "subject", "subjectid", "participant"),
    "session": (
        "session",
        "sessionnr",
        "sessionno",
        "sitzung",
        "sitzungsnr",
        "wave",
        "visit",
        "occasion",
        "day",
    ),
    "date": ("date", "datum", "sessiondate", "sitzungsdatum", "visitdate"),
    "therapist": ("therapist", "therapistid", "therapeut", "tid"),
    "age": ("age", "alter"),
    "gender": ("gender", "sex", "geschlecht"),
}
NAMES["patient"] += ("participantid", "code", "vpn", "vp", "case", "caseid", "id")

#: What may stand between a score's name and its session's number.
SESSION_MARKS = ("s", "t", "w", "session", "sitzung", "wave", "time")

#: What a score before and after treatment has in its name.
MOMENTS = {"pre": ("pre", "intake", "baseline", "t0"), "post": ("post", "end", "termination")}

#: Date formats that a proposal tells apart.
FORMATS = {
    "ISO": r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2})?)?",
    "%d.%m.%Y": r"\d{1,2}\.\d{1,2}\.\d{4}",
}

_NUMBERED = re.compile(r"(?P<stem>.*?[^0-9])(?P<number>[0-9]{1,3})")


@dataclass(frozen=True)
class Proposal:
    """A mapping's content with a remark on each part.

    Attributes
    ----------
    content : dict
        As in the mapping's file.
    remarks : dict
        key (``x``, ``study.year``) -> why, or what to do.
    """

    content: dict[str, Any]
    remarks: dict[str, str] = field(default_factory=dict)


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
    words = {v: _words(getattr(settings, v), instruments.get(v, ())) for v in ("x", "y")}
    stems = {v: _like(words[v], list(wide)) for v in ("x", "y")}
    layout = (
        "wide" if any(stems.values()) or not _named("session", columns) + _named("date", columns) else "long"
    )
    taken = _first(_named("patient", columns))
    file = _file(source)
    content: dict[str, Any] = {"file": file} if file else {}
    content |= {"layout": layout, "patient": taken or FILL_IN}
    remarks["patient"] = "" if taken else _choices(columns)
    if layout == "long":
        content |= _when(source, columns, remarks)
    for v in ("x", "y"):
        content[v], remarks[v] = _pair(source, layout, wide, stems[v], words[v])
    content["missing"] = []
    patients, why = _patients(source, words["y"], [s for s in stems.values() if s])
    if patients and settings.patients:
        content["patients"] = patients
        remarks |= why
    content |= _samples(source, study_column)
    content["study"], facts = _facts(source, settings, content)
    return Proposal(content, {k: r for k, r in (remarks | facts).items() if r})


def _file(source: Source) -> dict[str, Any]:
    used = vars(source.options)
    if source.options.separator is not None and used["decimal"] is None:
        used = used | {"decimal": FILL_IN}
    return {key: value for key, value in used.items() if value is not None}


def wide_groups(columns: Sequence[str]) -> dict[str, list[int]]:
    """Stems of columns that differ in a last number only -> these numbers; at least two each."""
    found: dict[str, list[int]] = {}
    for column in columns:
        match = _NUMBERED.fullmatch(column)
        if match:
            found.setdefault(match["stem"], []).append(int(match["number"]))
    return {stem: sorted(numbers) for stem, numbers in found.items() if len(set(numbers)) > 1}


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).casefold()


def _named(role: str, columns: Sequence[str]) -> list[str]:
    plain = {column: _plain(column) for column in columns}
    return [c for name in NAMES[role] for c in columns if plain[c] == name]


def _first(found: Sequence[str]) -> str | None:
    return found[0] if found else None


def _words(variable: Variable, instruments: Iterable[str]) -> list[str]:
    """What x or y may be called: its name and label, and its instruments' names, whole and before a hyphen."""
    texts = [variable.name, variable.label]
    texts += [text for i in instruments for text in (i, re.split(r"[-\s,:]", i)[0])]
    return list(dict.fromkeys(w for w in map(_plain, texts) if len(w) > 1))


def _like(words: Sequence[str], names: Sequence[str]) -> str | None:
    """The one name that is a word or begins with it; None where there is none or there are several."""
    for fits in (lambda name, word: name == word, lambda name, word: len(word) > 2 and name.startswith(word)):
        for word in words:
            found = [name for name in names if fits(_bare(name), word)]
            if len(found) == 1:
                return found[0]
    return None


def _bare(stem: str) -> str:
    """A stem without what only announces the session's number: ``wai_s`` and ``wai_`` are ``wai``."""
    parts = [part for part in re.split(r"[\W_]+", stem.casefold()) if part]
    if len(parts) > 1 and parts[-1] in SESSION_MARKS and stem[-1].isalnum():
        parts.pop()
    return "".join(parts)


def _choices(columns: Sequence[str], n: int = 12) -> str:
    return "one of " + ", ".join(columns[:n]) + (", ..." if len(columns) > n else "")


def _when(source: Source, columns: Sequence[str], remarks: dict[str, str]) -> dict[str, Any]:
    session = _first(_named("session", columns))
    if session:
        return {"session": session}
    date = _named("date", columns)[0]
    cells = source.cells[date][source.cells[date] != ""]
    fitting = [f for f, pattern in FORMATS.items() if len(cells) and cells.str.fullmatch(pattern).all()]
    example = cells.iloc[0] if len(cells) else ""
    remarks["date"] = "sessions are numbered by the order of their dates within the patient"
    remarks["date_format"] = f"ISO, or as in '%d.%m.%Y' or '%m/%d/%Y'; the first date is {example!r}"
    return {"date": date, "date_format": fitting[0] if fitting else FILL_IN}


def _pair(
    source: Source, layout: str, wide: dict[str, list[int]], stem: str | None, words: Sequence[str]
) -> tuple[dict[str, Any], str]:
    if layout == "wide":
        if stem is None:
            names = [f"{s}{SESSION} ({n[0]} to {n[-1]})" for s, n in wide.items()]
            return {"column": FILL_IN}, _choices(names) if names else "no columns end in a session's number"
        sessions = wide[stem]
        return {"column": f"{stem}{SESSION}"}, f"sessions {sessions[0]} to {sessions[-1]}"
    column = _like(words, list(source.cells))
    if column is None:
        return {"column": FILL_IN}, _choices(_numeric(source))
    return {"column": column}, source.labels.get(column, "")


def _numeric(source: Source) -> list[str]:
    cells = with_points(source, source.cells).cells
    return [c for c in cells if (cells[c] == "").sum() < len(cells) and _is_numeric(cells[c])]


def _is_numeric(cells: pd.Series) -> bool:
    return bool(cells[cells != ""].str.fullmatch(NUMBER).all())


def _patients(
    source: Source, words: Sequence[str], stems: Sequence[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    columns, patients, remarks = list(source.cells), {}, {}
    for role in ("therapist", "age", "gender"):
        column = _first(_named(role, columns))
        if column is None:
            continue
        patients[role] = {"column": column}
        values = source.values.get(column, {})
        if values and role != "age":
            patients[role]["values"] = dict(values)
            remarks[f"patients.{role}"] = "the file's own value labels"
    for moment, marks in MOMENTS.items():
        column = _moment(columns, marks, [*words, *(_bare(s) for s in stems)])
        if column is not None:
            patients[moment] = {"column": column}
            remarks[f"patients.{moment}"] = (
                f"the score of y {'before' if moment == 'pre' else 'after'} treatment"
            )
    return patients, remarks


def _moment(columns: Sequence[str], marks: Sequence[str], words: Sequence[str]) -> str | None:
    plain = {c: _plain(c) for c in columns}
    alone = [c for c in columns if plain[c] in marks]
    both = [c for c in columns for m in marks for w in words if plain[c] in (f"{w}{m}", f"{m}{w}")]
    return _first([*dict.fromkeys(both), *alone])


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
    source: Source, settings: Settings, content: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    several = "studies" in content
    facts = {c: FILL_IN for c in WANTED if not (several and c == "label")}
    remarks = {}
    for v in ("x", "y"):
        label = getattr(settings, v).label
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
    return (
        f"; in the file {number_text(numbers.min())} to {number_text(numbers.max())} (missing codes included)"
    )
