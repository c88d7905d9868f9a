"""The files of single studies: sessions and patients, read as text, checked, turned into numbers."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from twostage.collection import parquet_file, plain_files, schema
from twostage.collection.csv_table import Table, content_of, read_table
from twostage.collection.distinct_texts import Cells, Distinct, split
from twostage.collection.large_study import PieceFile, is_large, piece_file
from twostage.collection.other_csv import Content
from twostage.collection.settings import Layout, Settings
from twostage.problems import Problem

SEEN = "a patient of {} (one without any score: a row with empty scores there)"


@dataclass(frozen=True)
class StudyFiles:
    """Reader of a collection's session and patient files; a file that studies share is read once.

    Attributes
    ----------
    folder : Path
        Of the collection.
    settings : Settings
    dictionary : pandas.DataFrame
    said : dict
        File -> how it was saved otherwise than a plain one, of the files that were read.
    """

    folder: Path
    settings: Settings
    dictionary: pd.DataFrame
    said: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    _shared: dict[Path, Table] = field(default_factory=dict, repr=False, compare=False)
    _plain_files: dict[Path, Mapping[str, Cells | parquet_file.Values] | None] = field(
        default_factory=dict, repr=False, compare=False
    )

    def read(self, info: dict[str, Any], row: int) -> tuple[pd.DataFrame, pd.DataFrame | None, list[Problem]]:
        """Read one study.

        Parameters
        ----------
        info : dict
            Its row of the registry.
        row : int
            The line of that row in studies.csv.

        Returns
        -------
        sessions : pandas.DataFrame
        patients : pandas.DataFrame or None
            None where the collection has none.
        problems : list of Problem
            Of both files and of their agreement; if there are any, the tables are not for use.
        """
        if twice := self._twice(info):
            return pd.DataFrame(), None, twice
        if (plain := self._plain(info)) is not None:
            return *plain, []
        layout = self.settings.sessions
        raw = self._table(layout, info)
        sessions, problems = self._sessions(raw, info)
        if self.settings.patients is None:
            return sessions, None, [*problems, *_count(info, row, layout, raw)]
        other = self._table(self.settings.patients, info)
        patients, more = self._patients(other, info)
        names = [self._file(one, info) for one in (layout, self.settings.patients)]
        strange = _strangers(names, (layout, raw), (self.settings.patients, other))
        # A name misspelt in one of the files would be reported a second time as a wrong count.
        strange = strange or _count(info, row, layout, raw)
        return sessions, patients, [*problems, *more, *strange]

    def _plain(self, info: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame | None] | None:
        """The tables of plain files in which nothing is wrong; None of others."""
        layout, missing = self.settings.sessions, self._missing()
        columns = self._columns(layout, info)
        if columns is None or len(columns["patient"].texts) != info["n"]:
            return None
        sessions = plain_files.session_table(columns, layout.columns, self._session_ranges(info), missing)
        if sessions is None or (layout := self.settings.patients) is None:
            return None if sessions is None else (sessions, None)
        others = self._columns(layout, info)
        if others is None or set(others["patient"].texts) != set(columns["patient"].texts):
            return None
        patients = plain_files.patient_table(others, layout.columns, self._patient_ranges(info), missing)
        return None if patients is None else (sessions, patients)

    def _columns(self, layout: Layout, info: dict[str, Any]) -> dict[str, Distinct] | None:
        """The study's columns in a plain file; None of another."""
        path = _place(self.folder / self._file(layout, info))
        if path not in self._plain_files:
            cells, said = _cells(path)
            self._tell(layout.path(info), said)
            if not layout.where:
                return plain_files.chosen(cells, layout.columns, {}) if cells else None
            self._plain_files[path] = cells
        cells = self._plain_files[path]
        where = {column: str(info[source]) for column, source in layout.where.items()}
        return plain_files.chosen(cells, layout.columns, where) if cells else None

    def _tell(self, file: str, said: str) -> None:
        if said:
            self.said[file] = said

    def _session_ranges(self, info: dict[str, Any]) -> dict[str, tuple[float, float]]:
        names = self.settings.sessions.columns
        ranges = {names[v]: (float(info[f"{v}_min"]), float(info[f"{v}_max"])) for v in ("x", "y")}
        if "day" in names:
            ranges[names["day"]] = self._limits(names["day"], (-np.inf, np.inf))
        return ranges | {names["session"]: self._limits(names["session"], schema.SESSION_LIMITS)}

    def _patient_ranges(self, info: dict[str, Any]) -> dict[str, tuple[float, float]]:
        names = self.settings.patients.columns if self.settings.patients else {}
        ends = float(info["y_min"]), float(info["y_max"])
        ranges = {names[c]: ends for c in ("pre", "post") if c in names}
        if "age" in names:
            ranges[names["age"]] = self._limits(names["age"], (-np.inf, np.inf))
        return ranges

    def paths(self, info: dict[str, Any]) -> list[Path]:
        """The files that :meth:`read` opens for the study with this row of the registry."""
        layouts = [self.settings.sessions, *([self.settings.patients] if self.settings.patients else [])]
        return [_place(self.folder / self._file(layout, info)) for layout in layouts]

    def _twice(self, info: dict[str, Any]) -> list[Problem]:
        """Tables that the study has in both formats: which of them holds is not for us to guess."""
        layouts = [self.settings.sessions, *([self.settings.patients] if self.settings.patients else [])]
        files = [layout.path(info) for layout in layouts]
        both = [
            (file, f"{file.removesuffix('.csv')}.parquet")
            for file in files
            if file.endswith(".csv") and (self.folder / file).exists()
        ]
        return [
            Problem(other, None, None, f"a second file beside {file}", "one of them")
            for file, other in both
            if (self.folder / other).exists()
        ]

    def _file(self, layout: Layout, info: dict[str, Any]) -> str:
        return file_of(self.folder, layout, info)

    def in_pieces(self, info: dict[str, Any]) -> list[PieceFile | None] | None:
        """The study's files of sessions and of patients if it is to be read in pieces."""
        layouts = [self.settings.sessions, self.settings.patients]
        if any(layout and layout.where for layout in layouts):
            return None
        missing = self._missing()
        session = self.settings.sessions.columns["session"]
        limits = self._limits(session, schema.SESSION_LIMITS)
        files = [
            layout and piece_file(self.folder, self._file(layout, info), layout.columns, missing, limits)
            for layout in layouts
        ]
        return files if is_large(files[0].path, self.settings.in_pieces) else None

    def _table(self, layout: Layout, info: dict[str, Any]) -> Table:
        """The study's rows and the columns that the collection uses, still text."""
        file = self._file(layout, info)
        path = _place(self.folder / file)
        if path in self._shared:
            table = self._shared[path]
        else:
            table = (parquet_file.read_table if _is_parquet(path) else read_table)(path, file)
            self._tell(file, table.said)
            if layout.where:
                self._shared[path] = table
        if table.cells.empty:
            return table
        wanted = [*layout.columns.values(), *layout.where]
        problems = [*table.problems, *schema.missing_columns(table.cells, file, wanted)]
        cells = table.cells
        for column, source in layout.where.items():
            if column in cells:
                cells = cells[cells[column] == str(info[source])]
        if cells.empty:
            problems.append(Problem(file, None, None, "no row", f"rows of study {info['study']}"))
        kept = cells[[c for c in layout.columns.values() if c in cells]]
        selected = set(layout.where) <= set(table.cells) and not kept.empty
        return Table(kept, tuple(problems), table.whole and selected)

    def _sessions(self, table: Table, info: dict[str, Any]) -> tuple[pd.DataFrame, list[Problem]]:
        layout, cells = self.settings.sessions, table.cells
        file, names = self._file(layout, info), layout.columns
        rules = {names["patient"]: schema.PATIENT, names["session"]: schema.SESSION}
        problems = [*table.problems, *schema.check_texts(cells, file, rules)]
        keys = [names["patient"], names["session"]]
        problems += schema.check_unique(cells, file, keys, "each patient and session once")
        scores = [names[v] for v in ("x", "y", "day") if names.get(v) in cells]
        cells, wrong = schema.to_numbers(cells, file, scores, self._missing())
        if names["session"] in cells:
            whole = cells[names["session"]].str.fullmatch(schema.SESSION[0])
            numbers = pd.to_numeric(cells[names["session"]].where(whole)).astype(float)
            cells = cells.assign(**{names["session"]: numbers})
        problems += [*wrong, *schema.check_numbers(cells, file, self._session_ranges(info))]
        if not problems and "day" in names:
            problems += schema.check_days(cells, file, names)
        if problems:
            return cells, problems
        cells = cells.rename(columns={old: new for new, old in names.items()})
        cells = cells[list(schema.SESSION_COLUMNS[: len(names)])].astype({"session": int})
        return cells.sort_values(["patient", "session"], kind="stable").reset_index(drop=True), []

    def _patients(self, table: Table, info: dict[str, Any]) -> tuple[pd.DataFrame, list[Problem]]:
        layout, cells, missing = self.settings.patients, table.cells, self._missing()
        file, names = self._file(layout, info), layout.columns
        problems = [*table.problems, *schema.check_texts(cells, file, {names["patient"]: schema.PATIENT})]
        problems += schema.check_unique(cells, file, [names["patient"]], "each patient once")
        numeric = [names[c] for c in ("age", "pre", "post") if names.get(c) in cells]
        cells, wrong = schema.to_numbers(cells, file, numeric, missing)
        problems += [*wrong, *schema.check_numbers(cells, file, self._patient_ranges(info))]
        for column in (names[c] for c in ("therapist", "gender") if names.get(c) in cells):
            absent = cells[column].str.strip().isin(["", missing.get(column, "")])
            cells = cells.assign(**{column: cells[column].mask(absent)})
        return cells.rename(columns={old: new for new, old in names.items()}).reset_index(drop=True), problems

    def _missing(self) -> dict[str, str]:
        return dict(zip(self.dictionary["variable"], self.dictionary["missing"].str.strip(), strict=True))

    def _limits(self, column: str, default: tuple[float, float]) -> tuple[float, float]:
        entry = self.dictionary[self.dictionary["variable"] == column]
        given = [pd.to_numeric(entry[end], errors="coerce") for end in ("min", "max")]
        return tuple(
            d if e.empty or np.isnan(e.iloc[0]) else float(e.iloc[0])
            for e, d in zip(given, default, strict=True)
        )


def file_of(folder: Path, layout: Layout, info: Mapping[str, Any]) -> str:
    """A study's file as it is called in the collection: as `layout` says, or with the ending of Parquet instead."""
    file = layout.path(info)
    other = f"{file.removesuffix('.csv')}.parquet"
    there = file.endswith(".csv") and not (folder / file).exists() and (folder / other).is_file()
    return other if there else file


def saved_as(folder: Path, layout: Layout, info: Mapping[str, Any]) -> tuple[str, Content | None]:
    """A study's file as it is called in the collection, and how it was saved where it is a CSV file."""
    file = file_of(folder, layout, info)
    return file, None if _is_parquet(Path(file)) else content_of(folder / file, file)


def _place(path: Path) -> Path:
    # Path.resolve ends in an error of its own where links go round in a circle; reading says that better.
    return Path(os.path.realpath(path))


def _is_parquet(path: Path) -> bool:
    return path.suffix == ".parquet"


def _cells(path: Path) -> tuple[Mapping[str, Cells | parquet_file.Values] | None, str]:
    """The columns of a file without anything special in it, None of another; and how it was saved, where not plainly."""
    if _is_parquet(path):
        return parquet_file.columns(path, "")[0], ""
    content = content_of(path, "")
    return split(content.plain) if content.plain is not None else None, content.said


def _strangers(names: Sequence[str], *sources: tuple[Layout, Table]) -> list[Problem]:
    """Patients of one file that the other lacks; nothing if a file could not be read completely."""
    columns = [layout.columns["patient"] for layout, _ in sources]
    if not all(t.whole and c in t.cells for (_, t), c in zip(sources, columns, strict=True)):
        return []
    problems = []
    for here, there in ((0, 1), (1, 0)):
        table, elsewhere = sources[here][1], sources[there][1]
        own = table.cells[columns[here]].drop_duplicates()
        unknown = own[~own.isin(elsewhere.cells[columns[there]])]
        expected = SEEN.format(names[there]) if here else f"a patient of {names[there]}"
        problems += [
            Problem(names[here], row, columns[here], name, expected) for row, name in unknown.items()
        ]
    return problems


def _count(info: dict[str, Any], row: int, layout: Layout, table: Table) -> list[Problem]:
    column = layout.columns["patient"]
    if not table.whole or column not in table.cells:
        return []
    found = table.cells[column].nunique()
    if found == info["n"]:
        return []
    expected = f"{found}, the patients in the study's files"
    return [Problem("studies.csv", row, "n", int(info["n"]), expected)]
