"""An import from its file to its collection."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from twostage.collection import FOLDER, Registry, Settings, read_registry, schema, study_ids
from twostage.importing.mapping import (
    ImportMapping,
    check_columns,
    read_mapping,
    score_columns,
    unused_columns,
    used_columns,
)
from twostage.importing.marks import marks_problems, with_points
from twostage.importing.read_file import read_source
from twostage.importing.reshape import Limits, reshape
from twostage.importing.source import FileOptions, ImportProblems, Source, cell_text
from twostage.importing.steps import step
from twostage.importing.write import STUDIES, NewStudy, add_studies, layout_problems
from twostage.params import make_parameters
from twostage.problems import Problem, distinct

#: Columns of studies.csv that the import itself knows.
OWN = ("study", "n")


#: Columns of studies.csv that a person must give.
WANTED = tuple(column for column in schema.REGISTRY if column not in OWN)


def study_facts(
    mapping: ImportMapping, name: str, sample: str | None, columns: Sequence[str]
) -> tuple[dict[str, str], list[Problem]]:
    """A study's row of studies.csv, without its id and number of patients.

    Parameters
    ----------
    mapping : ImportMapping
    name : str
        The mapping's file, for messages.
    sample : str or None
        The study's key in the mapping's `studies`.
    columns : sequence of str
        Of the collection's studies.csv.

    Returns
    -------
    facts : dict
        column -> text; "" for a column of the collection's own that the mapping does not have.
    problems : list of Problem
        Unknown and missing keys, values that the registry cannot have.
    """
    own: dict[str, Any] = {}
    if sample is not None:
        own = dict((mapping.studies or {})[sample].model_extra or {})
    places = {key: f"study.{key}" for key in mapping.study} | {key: f"studies.{sample}.{key}" for key in own}
    given, problems = {**mapping.study, **own}, []
    for key in given:
        if key in OWN or key not in columns:
            expected = f"a column of studies.csv: {', '.join(c for c in columns if c not in OWN)}"
            problems.append(Problem(name, None, str(places[key]), _shown(given[key]), expected))
    facts = {column: _text(given.get(column)) for column in columns if column not in OWN}
    for column in WANTED:
        pattern, expected = schema.REGISTRY[column]
        if not schema.matches(pattern, facts.get(column, "")):
            found = _shown(given.get(column, "nothing"))
            expected += " (in quotes: YAML takes no and yes for truth values)" * isinstance(found, bool)
            problems.append(Problem(name, None, places.get(column, f"study.{column}"), found, expected))
    problems += [] if problems else _upside_down(facts, name, places)
    return facts, problems


def _text(value: Any) -> str:
    """A fact as text; "" for what cannot be one, lists and YAML's truth values among it."""
    plain = isinstance(value, (str, int, float, datetime.date)) and not isinstance(value, bool)
    return cell_text(value) if plain else ""


def _shown(value: Any) -> Any:
    return value if value is None or isinstance(value, (str, int, float)) else repr(value)[:80]


def _upside_down(facts: dict[str, str], name: str, places: dict[str, str]) -> list[Problem]:
    return [
        Problem(name, None, places[f"{v}_max"], facts[f"{v}_max"], f"more than {v}_min")
        for v in ("x", "y")
        if not float(facts[f"{v}_min"]) < float(facts[f"{v}_max"])
    ]


def ends(facts: dict[str, str], v: str) -> tuple[float, float] | None:
    """Lowest and highest possible score of x or y; None where the mapping does not say, or not well."""
    texts = [facts.get(f"{v}_{end}", "") for end in ("min", "max")]
    if not all(schema.matches(schema.NUMBER, text) for text in texts):
        return None
    low, high = map(float, texts)
    return (low, high) if low < high else None


@dataclass(frozen=True)
class ImportReport:
    """What an import did, or would do.

    Attributes
    ----------
    collection : Path
    studies : tuple of NewStudy
    files : tuple of str
        Written, relative to the collection.
    found : tuple of str
        What was detected in the file.
    unused : tuple of str
        Columns of the file that the mapping does not name.
    """

    collection: Path
    studies: tuple[NewStudy, ...]
    files: tuple[str, ...]
    found: tuple[str, ...]
    unused: tuple[str, ...] = ()

    def tidy(self) -> pd.DataFrame:
        """One row per study: study, patients, rows of sessions, with both scores, notes."""
        rows = []
        for s in self.studies:
            sessions = s.tables.sessions
            both = int(sessions[["x", "y"]].notna().all(axis=1).sum())
            numbers = {"patients": len(s.tables.patients), "rows": len(sessions), "rows_with_both": both}
            rows.append({"study": s.id} | numbers | {"notes": "; ".join(s.tables.notes)})
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        return self.tidy().to_html(index=False, border=0)


def open_collection(folder: Path) -> Registry:
    """The registry of a collection that can take studies; its studies' files are validated before the writing.

    Raises
    ------
    ImportProblems
        If the registry has problems already, or no place for a study's own files.
    """
    registry, problems = read_registry(folder)
    if problems or registry is None:
        raise ImportProblems(problems)
    problems = layout_problems(registry.settings)
    if problems:
        raise ImportProblems(problems)
    return registry


def import_file(
    file: Path,
    folder: Path,
    mapping: Path,
    study: str | None = None,
    study_column: str | None = None,
    *,
    how: FileOptions | None = None,
    dry_run: bool = False,
    same_data: bool = False,
    again: bool = False,
) -> ImportReport:
    """Import the study, or the studies, of a file into a collection.

    Parameters
    ----------
    file : Path
        The data; see :func:`twostage.importing.read_file.read_source`.
    folder : Path
        Of the collection.
    mapping : Path
        See :mod:`twostage.importing.mapping`.
    study : str, optional
        The study's id; with a study column: the one of the mapping's studies to import instead of all.
    study_column : str, optional
        Must be the mapping's, if both say one.
    how : FileOptions, optional
        How to read the file where the mapping does not say it, or says it otherwise.
    dry_run : bool
        Whether to do everything but write.
    same_data : bool
        Whether a study may have the same scores as another of the collection.
    again : bool
        Whether a study that is there already is replaced.

    Raises
    ------
    ImportProblems
        With every problem that could be found; nothing is written.
    """
    asked = read_mapping(mapping)
    registry = open_collection(folder)
    options = asked.file.options()
    step(f"reading {file.name}")
    source = read_source(file, replace(options, **(how or FileOptions()).given()))
    source, problems = usable(source, asked, str(mapping))
    if study_column is not None and study_column != asked.study_column:
        expected = (
            f"{asked.study_column!r}, as in {mapping}" if asked.study_column else f"none, as in {mapping}"
        )
        problems.append(Problem("command line", None, "--study-column", study_column, expected))
    if problems:
        raise ImportProblems(problems)
    step(f"{len(source.cells):,} rows: making sessions and patients")
    samples = split(source, asked, str(mapping), study)
    studies = _studies(samples, asked, str(mapping), registry, again)
    files = add_studies(folder, registry, studies, dry_run=dry_run, same_data=same_data, again=again)
    unused = tuple(unused_columns(source, asked))
    return ImportReport(folder, tuple(studies), files, source.found, unused)


def usable(source: Source, mapping: ImportMapping, name: str) -> tuple[Source, list[Problem]]:
    """A source with the mapping's scores as numbers are written, or why it cannot be.

    Parameters
    ----------
    source : Source
    mapping : ImportMapping
    name : str
        The mapping's file.
    """
    problems = check_columns(source, mapping, name)
    if problems:
        return source, problems
    scores = score_columns(source, mapping)
    problems = marks_problems(source, scores)
    expected = "its value (open and save the file in Excel or LibreOffice once)"
    for column in used_columns(source, mapping):
        problems += [
            Problem(source.name, row, column, formula, expected)
            for row, formula in source.formulas.get(column, {}).items()
        ]
    return with_points(source, scores), problems


@dataclass(frozen=True)
class Sample:
    """Rows of one study.

    Attributes
    ----------
    id : str
    key : str or None
        Of the mapping's `studies`.
    source : Source
    """

    id: str
    key: str | None
    source: Source


def split(source: Source, mapping: ImportMapping, name: str, study: str | None) -> list[Sample]:
    """The samples of a file, one per study; one where the mapping names no study column.

    Raises
    ------
    ImportProblems
        Without a study id, with an impossible one, or with values of the study column that the mapping lacks.
    """
    if mapping.study_column is None:
        if (expected := study_ids.why_not(study or "")) is not None:
            raise ImportProblems([Problem("command line", None, "--study", study, expected)])
        return [Sample(study, None, source)]
    keys = _keys(source, mapping)
    strange = keys[~keys.isin(list(mapping.studies))].drop_duplicates()
    problems = [
        Problem(
            source.name, row, mapping.study_column, key, f"one of {name}: studies (skip: true leaves one out)"
        )
        for row, key in strange.items()
    ]
    chosen = {key: s.study for key, s in mapping.studies.items() if not s.skip and study in (None, s.study)}
    there = set(keys)
    problems += [
        Problem(name, None, f"studies.{key}", key, f"a value of the column {mapping.study_column!r}")
        for key in chosen
        if key not in there
    ]
    if not chosen:
        known = ", ".join(str(s.study) for s in mapping.studies.values() if not s.skip)
        problems.append(Problem("command line", None, "--study", study, f"one of {known or 'no study'}"))
    if problems:
        raise ImportProblems(problems)
    return [Sample(id, key, _part(source, keys == key)) for key, id in chosen.items()]


def _keys(source: Source, mapping: ImportMapping) -> pd.Series:
    """The study column's values: as they are, or by their labels where the mapping knows those."""
    cells = source.cells[mapping.study_column]
    labels = {
        code: label
        for code, label in source.values.get(mapping.study_column, {}).items()
        if code not in mapping.studies and label in mapping.studies
    }
    return cells.replace(labels)


def _part(source: Source, rows: pd.Series) -> Source:
    return replace(source, cells=source.cells[rows])


def _studies(
    samples: list[Sample], mapping: ImportMapping, name: str, registry: Registry, again: bool = False
) -> list[NewStudy]:
    there = list(registry.studies["study"]) if again else []
    problems = _taken([s.id for s in samples if s.id not in there], registry)
    studies = []
    for sample in samples:
        facts, wrong = study_facts(mapping, name, sample.key, list(registry.studies.columns))
        tables, more = reshape(sample.source, mapping, limits(registry, facts))
        problems += [*wrong, *more]
        if tables is not None:
            studies.append(NewStudy(sample.id, facts, tables))
    if problems:
        raise ImportProblems(distinct(problems))
    return studies


def _taken(ids: list[str], registry: Registry) -> list[Problem]:
    # On some file systems S01.csv and s01.csv are one file.
    there = {id.casefold(): f"; to import it, first remove {FOLDER}/{id}" for id in registry.shared["study"]}
    for id in registry.studies["study"]:
        there[id.casefold()] = f"; to put this one in its place, say --study {id} --replace"
    problems = []
    for id in ids:
        if id.casefold() in there:
            expected = f"a study that is not there yet{there[id.casefold()]}"
            problems.append(Problem(STUDIES, None, "study", id, expected))
        there.setdefault(id.casefold(), "")
    return problems


def limits(registry: Registry, facts: Mapping[str, Any]) -> Limits:
    """What numbers may be in a collection and by a study's facts."""
    dictionary, settings = registry.dictionary, registry.settings

    def of(column: str | None, default: tuple[float, float]) -> tuple[float, float]:
        entry = dictionary[dictionary["variable"] == column]
        if entry.empty:
            return default
        given = [pd.to_numeric(entry[end], errors="coerce").iloc[0] for end in ("min", "max")]
        return tuple(d if np.isnan(g) else float(g) for g, d in zip(given, default, strict=True))

    session = of(settings.sessions.columns["session"], schema.SESSION_LIMITS)
    age = of(settings.patient_column("age"), (-np.inf, np.inf))
    return Limits(ends(facts, "x"), ends(facts, "y"), session, age, window(settings))


def window(settings: Settings) -> tuple[int, int]:
    """The first and the last session that a collection analyses."""
    chosen = make_parameters(settings.parameters)
    return chosen.first_session, chosen.last_session
