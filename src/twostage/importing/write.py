"""Puts studies into a collection: all of them, checked where nobody sees them yet, or none."""

import csv
import io
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from twostage.collection import TABLES, Layout, Registry, Settings, examine_collection, plain_content
from twostage.files import place_files, unfinished_folder
from twostage.importing.reshape import StudyTables
from twostage.importing.source import ImportProblems, cell_text
from twostage.importing.steps import step
from twostage.problems import Problem
from twostage.text import guarded, plain

STUDIES = "studies.csv"


@dataclass(frozen=True)
class NewStudy:
    """A study ready to be written.

    Attributes
    ----------
    id : str
    facts : dict
        Its row of studies.csv without id and n.
    tables : StudyTables
    """

    id: str
    facts: dict[str, str]
    tables: StudyTables


def layout_problems(settings: Settings) -> list[Problem]:
    """Why a collection cannot take a study's files, if it cannot."""
    problems = []
    for block, layout in (("sessions", settings.sessions), ("patients", settings.patients)):
        if layout is None:
            continue
        inside = not Path(layout.file).is_absolute() and ".." not in Path(layout.file).parts
        plain = layout.file.endswith(".csv") and layout.file.count("{") == 1 and "{study}" in layout.file
        if layout.where or not inside or not plain:
            expected = "a .csv file of its own for each study inside the collection, {study} in its name"
            problems.append(Problem("collection.yml", None, f"{block}.file", layout.file, expected))
    return problems


def csv_text(table: pd.DataFrame) -> str:
    r"""A table as CSV: commas, \n, numbers as short as they can be, no formulas, an empty cell where nothing is."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(guarded, table.columns))
    columns = []
    for i in range(table.shape[1]):
        # Tables have millions of cells, and few different ones.
        codes, values = pd.factorize(table.iloc[:, i], use_na_sentinel=False)
        columns.append(np.array([guarded(cell_text(value)) for value in values], object)[codes])
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()


def study_files(study: NewStudy, settings: Settings) -> dict[str, str]:
    """Path in the collection -> content of a study's files."""
    names = {"study": study.id}
    contents = {}
    for layout, table in (
        (settings.sessions, study.tables.sessions),
        (settings.patients, study.tables.patients),
    ):
        if layout is not None:
            contents[layout.path(names)] = csv_text(
                # A file that does not say on which days its sessions were has none.
                table.reindex(columns=list(layout.columns)).rename(columns=layout.columns)
            )
    return contents


def registry_text(before: str, header: Sequence[str], studies: Sequence[NewStudy]) -> str:
    """studies.csv with a row for each study, in the place of its row if it has one; the rest stays byte for byte."""
    rows = [
        [
            {"study": s.id, "n": s.tables.patients.shape[0]}.get(column, s.facts.get(column, ""))
            for column in header
        ]
        for s in studies
    ]
    added = csv_text(pd.DataFrame(rows, columns=list(header), dtype=object)).split("\n", 1)[1]
    own = dict(zip([s.id for s in studies], added.splitlines(keepends=True), strict=True))
    lines = io.StringIO(before + ("" if before.endswith("\n") else "\n")).readlines()
    reader, place, text, end = csv.reader(lines), list(header).index("study"), "", 0
    for row in reader:
        known = "".join(lines[end : reader.line_num])
        text += own.pop(row[place], known) if len(row) > place else known
        end = reader.line_num
    return text + "".join(own.values())


def add_studies(
    folder: Path,
    registry: Registry,
    studies: Sequence[NewStudy],
    *,
    dry_run: bool = False,
    same_data: bool = False,
    again: bool = False,
) -> tuple[str, ...]:
    """Write studies into a collection, whole or not at all.

    The new files and links to those that are there make a copy inside the collection; it is validated as a
    collection. Only then are the files put in place, studies.csv last, each by one renaming.

    Parameters
    ----------
    folder : Path
        Of a valid collection.
    registry : Registry
        Of the same.
    studies : sequence of NewStudy
    dry_run : bool
        Whether to stop before anything is put in place.
    same_data : bool
        Whether a study may have the same scores as another.
    again : bool
        Whether a study may be there already, and is replaced.

    Returns
    -------
    tuple of str
        The files, relative to the collection.

    Raises
    ------
    ImportProblems
        With every problem that the collection would have; it stays as it was.
    """
    _not_shared([study.id for study in studies], registry)
    before = (folder / STUDIES).read_bytes()
    contents: dict[str, str] = {}
    for study in studies:
        contents |= study_files(study, registry.settings)
    known = [study for study in studies if again and study.id in set(registry.studies["study"])]
    own = {file for study in known for file in study_files(study, registry.settings)}
    _nothing_there(folder, [file for file in contents if file not in own])
    # However it was saved, it is written as a plain file.
    text = (plain_content(before, STUDIES).plain or b"").decode("utf-8")
    # What the file may lack, the registry has with empty cells.
    header = [str(plain(column)) for column in next(csv.reader(io.StringIO(text)))]
    contents[STUDIES] = registry_text(text, header, studies)
    step("checking the collection with the new files")
    with unfinished_folder(folder / "import") as staged:
        _stage(folder, staged, registry)
        for file, text in contents.items():
            _write(staged / file, text)
        _examine(staged, [study.id for study in studies], same_data)
        if (folder / STUDIES).read_bytes() != before:
            raise ImportProblems(
                [Problem(STUDIES, None, None, "a change during the import", "to be left alone")]
            )
        if not dry_run:
            place_files(staged, [*contents])
    return tuple(contents)


def _examine(staged: Path, new: Sequence[str], same_data: bool) -> None:
    found = examine_collection(staged)
    # Twins that were there before were meant then.
    pairs = tuple(pair for pair in found.duplicates if set(pair) & set(new))
    some = tuple(pair for pair in found.overlaps if set(pair[:2]) & set(new))
    twice = () if same_data else replace(found, duplicates=pairs, overlaps=some).same_data()
    problems = [*found.problems, *twice]
    if problems:
        raise ImportProblems(problems)


def _not_shared(ids: Sequence[str], registry: Registry) -> None:
    """Bundles are not in the copy that is examined."""
    shared = {id.casefold(): id for id in registry.shared["study"]}
    expected = "a study whose bundle the collection does not have, under this id or one that differs in capitals only"
    if problems := [Problem(STUDIES, None, "study", id, expected) for id in ids if id.casefold() in shared]:
        raise ImportProblems(problems)


def _nothing_there(folder: Path, files: Sequence[str]) -> None:
    there = [file for file in files if (folder / file).exists()]
    if there:
        expected = "no file of this name in the collection before the import"
        raise ImportProblems([Problem(file, None, None, "a file", expected) for file in there])


def _stage(folder: Path, staged: Path, registry: Registry) -> None:
    """Everything of the collection that validation reads, as links where the file system has them."""
    files = ["collection.yml", *(name for name in TABLES if name != STUDIES and (folder / name).is_file())]
    layouts: list[Layout] = [registry.settings.sessions]
    layouts += [registry.settings.patients] if registry.settings.patients else []
    rows = [{str(k): v for k, v in row.items()} for row in registry.studies.to_dict("records")]
    files += [layout.path(row) for layout in layouts for row in rows]
    for file in dict.fromkeys(files):
        (staged / file).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(folder / file, staged / file)
        except OSError:
            shutil.copyfile(folder / file, staged / file)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # It may be a link to the file that it is to replace.
    path.unlink(missing_ok=True)
    try:
        path.write_bytes(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        found = ascii(text[error.start : error.end])
        raise ImportProblems(
            [Problem(path.name, None, None, found, "characters that a text can have")]
        ) from None
