"""A collection of studies: its registry, and the only reader of participants' data.

A collection is a folder with `collection.yml` (what the pair is), `studies.csv` (one row per study),
`dictionary.csv` (every variable) and, for each study, a file of sessions and, where there is one, a
file of patients. Reading validates; nothing is guessed and nothing is repaired.
"""

import difflib
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from twostage import schema
from twostage.collection_file import Layout, Settings, Variable, read_settings
from twostage.problems import CollectionError, Problem
from twostage.study_files import StudyFiles
from twostage.tabular import read_table

__all__ = ["Collection", "Study", "Variable", "locate_collection", "read_collection", "validate_collection"]


@dataclass(frozen=True)
class Study:
    """One study's data, validated.

    Attributes
    ----------
    id : str
    info : dict
        Its row of the registry.
    x, y : Variable
    sessions : pandas.DataFrame
        patient (str), session (int), x, y (float, NaN where missing), sorted; scores as in the file.
    patients : pandas.DataFrame or None
        patient and, as far as the study has them, therapist, age, gender, pre, post.
    checksum : str
        SHA-256 over the study's own rows, whatever their order and whatever else a shared file holds.
    x_direction, y_direction : int
        1, or -1 for a measure scored the other way (flipped by :mod:`twostage.panel`).
    """

    id: str
    info: dict[str, Any]
    x: Variable
    y: Variable
    sessions: pd.DataFrame
    patients: pd.DataFrame | None
    checksum: str
    x_direction: int
    y_direction: int

    @property
    def has_outcome(self) -> bool:
        """Whether any patient has both an intake and a posttreatment score."""
        if self.patients is None or not {"pre", "post"} <= set(self.patients):
            return False
        return bool(self.patients[["pre", "post"]].notna().all(axis=1).any())


@dataclass(frozen=True)
class Collection:
    """A collection's registry; the data of a study are read by :meth:`study`.

    Attributes
    ----------
    path : Path
    name, title, note : str
        Folder's name, title of the book, and the sentence on what the data are that each page shows.
    synthetic : bool
    x, y : Variable
    pre, post : str or None
        The patient-level columns of intake and outcome.
    defaults : dict
        Parameters that differ from the package's defaults.
    studies : pandas.DataFrame
        One row per study, in the order of the registry.
    dictionary : pandas.DataFrame
    truth : pandas.DataFrame or None
        Generating values of simulated data.
    """

    path: Path
    name: str
    title: str
    note: str
    synthetic: bool
    x: Variable
    y: Variable
    pre: str | None
    post: str | None
    defaults: dict[str, Any]
    studies: pd.DataFrame
    dictionary: pd.DataFrame
    truth: pd.DataFrame | None
    _files: StudyFiles = field(repr=False, compare=False)

    def study(self, id: str) -> Study:
        """Read and validate one study.

        Raises
        ------
        CollectionError
            If the collection has no such study, or with every problem of the study's files.
        """
        study, problems = self._read(id)
        if problems:
            raise CollectionError(problems)
        return study

    def _read(self, id: str) -> tuple[Study | None, list[Problem]]:
        ids = list(self.studies["study"])
        if id not in ids:
            near = difflib.get_close_matches(id, ids, n=1)
            expected = (
                f"a study of the collection (did you mean {near[0]!r}?)"
                if near
                else f"one of {', '.join(ids)}"
            )
            return None, [Problem(str(self.path / "studies.csv"), None, "study", id, expected)]
        row = ids.index(id)
        info = self.studies.iloc[row].to_dict()
        sessions, patients, problems = self._files.read(info)
        if not problems:
            problems = self._files.count(info, row + 2, sessions, patients)
        if problems:
            return None, problems
        directions = {f"{v}_direction": int(info[f"{v}_direction"]) for v in ("x", "y")}
        checksum = _checksum(sessions, patients)
        return Study(id, info, self.x, self.y, sessions, patients, checksum, **directions), []


def _checksum(sessions: pd.DataFrame, patients: pd.DataFrame | None) -> str:
    digest = hashlib.sha256(sessions.to_csv(index=False, lineterminator="\n").encode())
    if patients is not None:
        ordered = patients.sort_values("patient", kind="stable")
        digest.update(ordered.to_csv(index=False, lineterminator="\n").encode())
    return digest.hexdigest()


def locate_collection(path: str | Path) -> Path:
    """Find a collection: as given, or below the nearest parent folder that has it."""
    path = Path(path)
    if path.is_absolute() or path.exists():
        return path
    for parent in Path.cwd().resolve().parents:
        if (parent / path / "collection.yml").is_file():
            return parent / path
    return path


def read_collection(path: str | Path) -> Collection:
    """Read and validate a collection's registry.

    Parameters
    ----------
    path : path
        Its folder.

    Returns
    -------
    Collection

    Raises
    ------
    CollectionError
        With every problem of `collection.yml`, `dictionary.csv` and `studies.csv`.
    """
    path = locate_collection(path)
    settings, problems = read_settings(path)
    dictionary, more = _registry_table(path, "dictionary.csv", schema.DICTIONARY)
    studies, most = _registry_table(path, "studies.csv", schema.REGISTRY)
    problems = [*problems, *more, *most]
    if not problems:
        problems = _check_registry(path, settings, dictionary, studies)
    if problems:
        raise CollectionError(problems)
    numeric = ["year", "x_min", "x_max", "x_direction", "y_min", "y_max", "y_direction", "n"]
    studies = studies.reset_index(drop=True).assign(
        **{c: pd.to_numeric(studies[c].to_numpy()) for c in numeric}
    )
    truth = path / "truth.csv"
    return Collection(
        path=path,
        name=path.resolve().name,
        title=settings.title,
        note=settings.note,
        synthetic=settings.synthetic,
        x=settings.x,
        y=settings.y,
        pre=settings.patient_column("pre"),
        post=settings.patient_column("post"),
        defaults=dict(settings.parameters),
        studies=studies,
        dictionary=dictionary.reset_index(drop=True),
        truth=pd.read_csv(truth) if truth.is_file() else None,
        _files=StudyFiles(path, settings, dictionary),
    )


def _registry_table(path: Path, name: str, rules: dict) -> tuple[pd.DataFrame, list[Problem]]:
    table, problems = read_table(path / name, name)
    if table.empty:
        return table, problems
    problems = problems + schema.missing_columns(table, name, rules)
    problems += schema.check_texts(table, name, rules)
    key = next(iter(rules))
    if key in table:
        problems += schema.check_unique(table, name, [key], f"each {key} once")
    return table, problems


def _check_registry(
    path: Path, settings: Settings, dictionary: pd.DataFrame, studies: pd.DataFrame
) -> list[Problem]:
    known = set(dictionary["variable"])
    layouts = [settings.sessions, *([settings.patients] if settings.patients else [])]
    used = {column: layout.file for layout in layouts for column in layout.columns.values()}
    problems = [
        Problem("dictionary.csv", None, "variable", "no such row", f"a row for {column!r} of {file}")
        for column, file in used.items()
        if column not in known
    ]
    for v in ("x", "y"):
        upside_down = studies[studies[f"{v}_min"].astype(float) >= studies[f"{v}_max"].astype(float)]
        for row, cells in zip(upside_down.index, upside_down.to_dict("records"), strict=True):
            problems.append(Problem("studies.csv", row, f"{v}_max", cells[f"{v}_max"], f"more than {v}_min"))
    return problems + _unregistered(path, layouts, set(studies["study"]))


def _unregistered(path: Path, layouts: list[Layout], ids: set[str]) -> list[Problem]:
    problems = []
    for layout in layouts:
        if (
            layout.file.count("{study}") == 1
            and not Path(layout.file).is_absolute()
            and ".." not in layout.file
        ):
            before, after = layout.file.split("{study}")
            for file in sorted(p.relative_to(path).as_posix() for p in path.glob(f"{before}*{after}")):
                study = file.removeprefix(before).removesuffix(after)
                if study not in ids:
                    problems.append(
                        Problem(file, None, None, f"a file of study {study}", "a row in studies.csv for it")
                    )
    return problems


def validate_collection(path: str | Path) -> tuple[Problem, ...]:
    """Every problem of a collection: its registry and all its studies' files.

    Returns
    -------
    tuple of Problem
        Empty if the collection can be used.
    """
    try:
        collection = read_collection(path)
    except CollectionError as error:
        return error.problems
    found = [problem for id in collection.studies["study"] for problem in collection._read(id)[1]]
    return tuple(dict.fromkeys(found))
