"""Studies of a collection that shared results instead of data: their rows of the registry.

An accepted bundle is a folder ``bundles/<study>``, and so is a study that was pulled from another group's results; this
module reads its ``study.json``, and of its manifest whether it was pulled. What else is in it is read by
:mod:`twostage.sharing`.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from twostage.collection import schema, study_ids
from twostage.problems import Problem

#: Folder of a collection with its accepted bundles; the files with a study's row of the registry, and with its origin.
FOLDER, FILE, MANIFEST = "bundles", "study.json", "manifest.json"


#: Follows the label of a study whose results were shared without its data.
MARK = "†"


#: What the mark means, wherever one is shown.
MARK_NOTE = f"{MARK} Results only: shared by the site as a bundle, without participants' data."


#: The same of a study whose results were pulled from those that another group computed.
PULLED_MARK = "‡"


PULLED_NOTE = (
    f"{PULLED_MARK} Results only: another group's, pulled from what it published, without participants' data."
)


#: Column, value and what was expected.
Finding = tuple[str | None, object, str]


def read_shared(path: Path, taken: set[str]) -> tuple[pd.DataFrame, list[Problem]]:
    """Rows of the registry for the accepted bundles.

    Parameters
    ----------
    path : Path
        Folder of the collection.
    taken : set of str
        Studies of ``studies.csv``; none of them may be shared as well.

    Returns
    -------
    studies : pandas.DataFrame
        Columns of the registry, as text; `n` is empty where it is withheld, labels have the mark.
    problems : list of Problem
    """
    rows, problems = [], []
    for folder in sorted(p for p in (path / FOLDER).glob("*") if p.is_dir() and not p.name.startswith(".")):
        row, found = _read(folder)
        name = f"{FOLDER}/{folder.name}/{FILE}"
        problems += [Problem(name, None, column, value, expected) for column, value, expected in found]
        if folder.name in taken:
            problems.append(Problem(name, None, "study", folder.name, "a study that is not in studies.csv"))
        elif (
            other := study_ids.same_file(folder.name, [*sorted(taken), *(r["study"] for r in rows)])
        ) is not None:
            problems.append(
                Problem(name, None, "study", f"{folder.name}, beside {other}", study_ids.TELL_APART)
            )
        elif not found:
            rows.append(row | {"label": f"{row['label']} {_mark(folder)}"})
    return pd.DataFrame(rows, columns=list(schema.REGISTRY), dtype=object), problems


def _mark(folder: Path) -> str:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        # What reads the bundle says what is wrong with it.
        return MARK
    return PULLED_MARK if isinstance(manifest, dict) and manifest.get("pulled") else MARK


def unmarked(label: str) -> str:
    """A label as it was before it was marked."""
    return label.removesuffix(f" {MARK}").removesuffix(f" {PULLED_MARK}")


def mark_notes(labels: Iterable[str]) -> str:
    """What the marks of these labels mean; empty where none has one."""
    ends = {str(label)[-1:] for label in labels}
    notes = {MARK: MARK_NOTE, PULLED_MARK: PULLED_NOTE}
    return " ".join(note for mark, note in notes.items() if mark in ends)


def _read(folder: Path) -> tuple[dict[str, str], list[Finding]]:
    try:
        row = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        return {}, [(None, type(error).__name__, "the row of the registry of a shared study, in JSON")]
    findings = row_findings(row)
    if not findings and row["study"] != folder.name:
        findings.append(("study", row["study"], f"{folder.name!r}, as the folder is called"))
    return row, findings


def row_findings(row: Any) -> list[Finding]:
    """What is wrong with a row of the registry, by the rules of ``studies.csv``; `n` may be empty.

    Returns
    -------
    list of tuple
        Column, value, what was expected.
    """
    if not isinstance(row, dict) or set(row) != set(schema.REGISTRY):
        found = sorted(row) if isinstance(row, dict) else row
        return [(None, repr(found)[:80], f"exactly {', '.join(schema.REGISTRY)}")]
    findings: list[Finding] = []
    for column, (pattern, words) in schema.REGISTRY.items():
        value = row[column]
        if not isinstance(value, str):
            findings.append((column, repr(value)[:80], "a text, as in studies.csv"))
        elif not re.fullmatch(f"(?s:{pattern})", value) and (column, value) != ("n", ""):
            findings.append((column, value[:80], words))
    if not findings and (expected := study_ids.why_not(row["study"])) is not None:
        findings.append(("study", row["study"], expected))
    for v in () if findings else ("x", "y"):
        if not float(row[f"{v}_min"]) < float(row[f"{v}_max"]):
            findings.append((f"{v}_max", row[f"{v}_max"], f"more than {v}_min"))
    return findings


def with_shared(studies: pd.DataFrame, shared: pd.DataFrame) -> pd.DataFrame:
    """A registry with the shared studies after the others; `n` is missing where it is withheld.

    Parameters
    ----------
    studies : pandas.DataFrame
        With numbers, as of :func:`twostage.collection.registry.read_registry`.
    shared : pandas.DataFrame
        As of :func:`read_shared`.
    """
    if shared.empty:
        return studies.reset_index(drop=True)
    numbers = {
        c: pd.to_numeric(shared[c]) for c in studies.select_dtypes("number") if c in shared and c != "n"
    }
    numbers["n"] = pd.to_numeric(shared["n"]).astype("Int64")
    both = pd.concat([studies, shared.assign(**numbers)], ignore_index=True)
    texts = both.select_dtypes(exclude="number").columns
    both = both.assign(**{column: both[column].fillna("") for column in texts})
    return both if both["n"].isna().any() else both.astype({"n": studies["n"].dtype})
