"""The files of single studies: sessions and patients, read as text, checked, turned into numbers."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from twostage import schema
from twostage.collection_file import Layout, Settings
from twostage.problems import Problem
from twostage.tabular import read_table


@dataclass(frozen=True)
class StudyFiles:
    """Reader of a collection's session and patient files; a file that studies share is read once.

    Attributes
    ----------
    folder : Path
        Of the collection.
    settings : Settings
    dictionary : pandas.DataFrame
    """

    folder: Path
    settings: Settings
    dictionary: pd.DataFrame
    _tables: dict[Path, tuple] = field(default_factory=dict, repr=False, compare=False)

    def read(self, info: dict) -> tuple[pd.DataFrame, pd.DataFrame | None, list[Problem]]:
        """Sessions, patients (None where the collection has none) and all problems of one study's files."""
        sessions, problems = self._sessions(info)
        patients, more = self._patients(info)
        return sessions, patients, [*problems, *more]

    def _table(self, layout: Layout, info: dict) -> tuple[pd.DataFrame, list[Problem], str]:
        file = layout.file.format(**{k: v for k, v in info.items() if isinstance(v, str)})
        path = (self.folder / file).resolve()
        if path not in self._tables:
            self._tables[path] = read_table(path, file)
        table, problems = self._tables[path]
        problems = problems or schema.missing_columns(table, file, [*layout.columns.values(), *layout.where])
        if not problems:
            for column, source in layout.where.items():
                table = table[table[column] == info[source]]
            if table.empty:
                problems = [Problem(file, None, None, "no row", f"rows of study {info['study']}")]
        return table, problems, file

    def _sessions(self, info: dict) -> tuple[pd.DataFrame, list[Problem]]:
        layout = self.settings.sessions
        table, problems, file = self._table(layout, info)
        if table.empty or schema.missing_columns(table, file, layout.columns.values()):
            return table, problems
        names = layout.columns
        rules = {
            names["patient"]: (r".*\S.*", "a patient"),
            names["session"]: (r"\d+", "a whole number, 0 or more"),
        }
        problems = problems + schema.check_texts(table, file, rules)
        table, wrong = schema.to_numbers(table, file, [names["x"], names["y"]], self._missing())
        ranges = {names[v]: (float(info[f"{v}_min"]), float(info[f"{v}_max"])) for v in ("x", "y")}
        problems = [*problems, *wrong, *schema.check_numbers(table, file, ranges)]
        once = "each patient and session once"
        problems += schema.check_unique(table, file, [names["patient"], names["session"]], once)
        if problems:
            return table, problems
        table = table.rename(columns={old: new for new, old in names.items()})[
            ["patient", "session", "x", "y"]
        ]
        table = table.astype({"session": int}).sort_values(["patient", "session"], kind="stable")
        return table.reset_index(drop=True), []

    def _patients(self, info: dict) -> tuple[pd.DataFrame | None, list[Problem]]:
        layout = self.settings.patients
        if layout is None:
            return None, []
        table, problems, file = self._table(layout, info)
        if table.empty or schema.missing_columns(table, file, layout.columns.values()):
            return table, problems
        names = layout.columns
        table = table[list(names.values())]
        problems = problems + schema.check_texts(table, file, {names["patient"]: (r".*\S.*", "a patient")})
        problems += schema.check_unique(table, file, [names["patient"]], "each patient once")
        numeric = [names[c] for c in ("age", "pre", "post") if c in names]
        table, wrong = schema.to_numbers(table, file, numeric, self._missing())
        ends = (float(info["y_min"]), float(info["y_max"]))
        ranges = {names[c]: ends for c in ("pre", "post") if c in names} | self._ranges(
            {"age"} & set(names), names
        )
        problems = [*problems, *wrong, *schema.check_numbers(table, file, ranges)]
        return table.rename(columns={old: new for new, old in names.items()}).reset_index(drop=True), problems

    def _missing(self) -> dict[str, set[str]]:
        codes = self.dictionary.groupby("variable")["missing"].agg(set)
        return codes.to_dict()

    def _ranges(self, wanted: set[str], names: dict[str, str]) -> dict[str, tuple[float, float]]:
        rows = self.dictionary.set_index("variable")
        return {
            names[c]: (float(rows.loc[names[c], "min"]), float(rows.loc[names[c], "max"])) for c in wanted
        }

    def count(
        self, info: dict, row: int, sessions: pd.DataFrame, patients: pd.DataFrame | None
    ) -> list[Problem]:
        """Check patients against sessions, and both against the registry's n (in its row `row`)."""
        found = set(sessions["patient"])
        if patients is not None:
            strange = sorted(found - set(patients["patient"]))
            file = self.settings.patients.file.format(**{k: v for k, v in info.items() if isinstance(v, str)})
            if strange:
                return [
                    Problem(file, None, "patient", p, "a row for each patient of the sessions")
                    for p in strange
                ]
            found |= set(patients["patient"])
        if len(found) != info["n"]:
            return [
                Problem(
                    "studies.csv",
                    row,
                    "n",
                    int(info["n"]),
                    f"{len(found)}, the patients in the study's files",
                )
            ]
        return []
