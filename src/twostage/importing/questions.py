"""What is not sure of a file besides its columns: each question with an answer to check, or to fill in."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from twostage.collection import NUMBER
from twostage.importing.blocks import LEAVE_OUT, SESSION
from twostage.importing.identity import in_words, similar, unusual
from twostage.importing.mapping import FILL_IN
from twostage.importing.marks import with_points
from twostage.importing.sessions import label_numbers, moment, skipped_days
from twostage.importing.source import Source

#: Numbers that often say why a value is missing.
CODES = frozenset(f"{sign}{digit * n}" for digit in "6789" for n in (2, 3, 4) for sign in ("", "-")) | {
    *("-7", "-8", "-9", "97", "98", "-97", "-98", "997", "998"),
}


#: Different texts, or answers, that a proposal writes down; more are left to the reader.
MOST = 20


def ask(source: Source, content: dict[str, Any], remarks: dict[str, str], ranges: dict[str, tuple]) -> None:
    """Complete a mapping's content and its remarks by what its columns show.

    Parameters
    ----------
    source : Source
    content : dict
        Of a mapping; changed.
    remarks : dict
        Changed too.
    ranges : dict
        ``x`` and ``y`` -> lowest and highest possible score, where they are known.
    """
    patient = content["patient"]
    chosen = {v: score_columns(source, content[v]) for v in ("x", "y")}
    scores = [c for columns in chosen.values() for c in columns]
    _doubtful_marks(source, content, remarks, scores)
    cells = with_points(source, scores).cells
    if patient != FILL_IN and patient in cells:
        cells = _patients(cells, content, remarks, scores)
    if content.get("session") in cells:
        _labels(cells[content["session"]], content, remarks)
        if patient in cells:
            _several_rows(cells, content, remarks, chosen)
    if content.get("date") in cells and patient in cells and content["date_format"] != FILL_IN:
        _dates(cells, content, remarks)
    if patient in cells and content["layout"] == "long":
        _therapists(cells, content, remarks)
    for v, columns in chosen.items():
        _texts(cells, v, columns, content, remarks)
    _missing(cells, chosen, content, remarks, ranges, source)


def score_columns(source: Source, block: dict[str, Any]) -> list[str]:
    """The columns that a proposed score names."""
    found: list[str] = []
    for name in block.get("items", [block.get("column", FILL_IN)]):
        expression = r"[0-9]{1,4}".join(re.escape(part) for part in name.split(SESSION, 1))
        found += [c for c in map(str, source.cells) if re.fullmatch(expression, c)]
    return found


def _doubtful_marks(source: Source, content: dict, remarks: dict, scores: Sequence[str]) -> None:
    examples = [text for column, text in source.doubtful.items() if column in scores]
    if examples:
        content.setdefault("file", {})["thousands"] = FILL_IN
        mark = next(c for c in examples[0] if c in ".,")
        remarks["file.thousands"] = (
            f"{mark!r} if {examples[0]} is {examples[0].replace(mark, '')}; none if it is a number with decimals"
        )


def _patients(cells: pd.DataFrame, content: dict, remarks: dict, scores: Sequence[str]) -> pd.DataFrame:
    """The cells without rows that may be no patient's."""
    patient = content["patient"]
    strange = unusual(cells, patient, scores)
    if 0 < len(strange) <= MOST:
        content["unusual_patients"] = dict.fromkeys(strange, LEAVE_OUT)
        remarks["unusual_patients"] = "or keep, if it is a patient after all"
        remarks |= {f"unusual_patients.{id}": why for id, why in strange.items()}
        cells = cells[~cells[patient].isin(strange)]
    groups = similar(id for id in cells[patient].unique() if id)
    if groups:
        content["similar_ids"] = FILL_IN
        remarks["similar_ids"] = f"same, if these are one patient each, or different: {in_words(groups)}"
    return cells


def _labels(sessions: pd.Series, content: dict, remarks: dict) -> None:
    """Numbers for sessions that are no numbers."""
    labels = list(dict.fromkeys(sessions))
    wordy = [text for text in labels if not re.fullmatch(r"[0-9]{1,4}([.,]0+)?", text)]
    if not wordy or "session_labels" in content:
        return
    numbers = label_numbers(labels)
    if numbers:
        content["session_labels"] = numbers
        remarks["session_labels"] = "by the number in each; leave out: such rows are no session"
    elif len(wordy) <= MOST:
        content["session_labels"] = {text: FILL_IN if text else LEAVE_OUT for text in wordy}
        remarks["session_labels"] = "the number of each, or leave out"


def _dates(cells: pd.DataFrame, content: dict, remarks: dict) -> None:
    """How dates of a diary become numbers."""
    texts = cells[content["date"]]
    known = {text: moment(text, content["date_format"]) for text in texts.unique()}
    days = texts.map({text: float(m.toordinal()) if m else np.nan for text, m in known.items()})
    skipped = skipped_days(days.astype(float), cells[content["patient"]])
    if skipped:
        content["date_numbers"] = "days"
        remarks["date_numbers"] = f"a skipped day is a missing session; or order: as they come ({skipped})"


def _several_rows(cells: pd.DataFrame, content: dict, remarks: dict, chosen: dict[str, list[str]]) -> None:
    keys = [content["patient"], content["session"]]
    labels = content.get("session_labels", {})
    rows = cells[~cells[keys[1]].isin([text for text, said in labels.items() if said == LEAVE_OUT])]
    several = rows[rows.duplicated(keys, keep=False)]
    columns = [columns[0] for columns in chosen.values() if columns]
    if several.empty or not columns:
        return
    twice = several[columns].ne("").groupby([several[k] for k in keys]).sum() > 1
    if not twice.any(axis=None):
        content["join_rows"] = True
        n = len(twice)
        remarks["join_rows"] = f"{n} sessions are in several rows each, and no score of one comes twice"


def _therapists(cells: pd.DataFrame, content: dict, remarks: dict) -> None:
    block = content.get("patients", {}).get("therapist")
    if not block or block["column"] not in cells:
        return
    filled = cells[cells[block["column"]] != ""]
    n = int((filled.groupby(content["patient"])[block["column"]].nunique() > 1).sum())
    if n:
        block["changes"] = FILL_IN
        remarks["patients.therapist.changes"] = (
            f"{n} patient{'s have' if n > 1 else ' has'} more than one: first takes the first, refuse imports nothing"
        )


def _texts(cells: pd.DataFrame, v: str, columns: list[str], content: dict, remarks: dict) -> None:
    """Answers in words, where most cells of a score are such."""
    texts = _different(cells, columns)
    words = [t for t in texts if t and not re.fullmatch(NUMBER, t)]
    filled = sum(int((cells[c] != "").sum()) for c in columns)
    wordy = sum(int(cells[c].isin(words).sum()) for c in columns)
    if not words or len(words) > MOST or wordy <= filled / 2:
        return
    numbers = {t: re.findall(r"[-+]?\d+(?:\.\d+)?", t) for t in words}
    content[v]["values"] = {t: float(n[0]) if len(n) == 1 else FILL_IN for t, n in numbers.items()}
    content[v]["values"] = {
        t: int(n) if n != FILL_IN and n == int(n) else n for t, n in content[v]["values"].items()
    }
    remarks[f"{v}.values"] = "the number that each answer stands for"


def _different(cells: pd.DataFrame, columns: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(text for c in columns for text in cells[c].unique()))


def _missing(
    cells: pd.DataFrame,
    chosen: dict[str, list[str]],
    content: dict,
    remarks: dict,
    ranges: dict[str, tuple],
    source: Source,
) -> None:
    """Texts among numbers, and numbers that no score can be."""
    words, codes = [], []
    for v, columns in chosen.items():
        said = {str(text) for text in content[v].get("values", {})}
        texts = [t for t in _different(cells, columns) if t not in said]
        # A text with a digit may be a number that was typed otherwise.
        words += [t for t in texts if t and (not re.search(r"\d", t) or t.startswith("#"))]
        if not source.emptied.issuperset(columns):
            codes += _odd_codes(texts, ranges.get(v))
    words = [w for w in dict.fromkeys(words) if w]
    if len(words) <= MOST and (words or codes):
        content["missing"] = list(dict.fromkeys([*content["missing"], *words, *codes]))
        remarks["missing"] = "cells among the scores that are no scores; delete what is one"


def _odd_codes(texts: Iterable[str], ends: tuple[float, float] | None) -> list[int]:
    numbers = {float(t) for t in texts if re.fullmatch(NUMBER, t)}
    codes = {n for n in numbers if f"{n:g}" in CODES}
    others = numbers - codes
    if not others:
        return []
    low, high = ends or (min(others), max(others))
    room = 0 if ends else (high - low) / 2
    odd = [n for n in sorted(codes) if n < low - room or n > high + room or (n < 0 <= low)]
    return [int(n) for n in odd]
