"""A collection's registry: what its studies are and where their data lie, checked as a whole."""

import glob
import re
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from twostage.collection import schema, study_ids
from twostage.collection.csv_table import Table, read_table
from twostage.collection.introduction import read_introduction
from twostage.collection.settings import FILE, Layout, Settings, read_settings
from twostage.collection.shared_studies import FOLDER, read_shared
from twostage.files import tidy
from twostage.problems import Problem

NUMERIC = ["year", "x_min", "x_max", "x_direction", "y_min", "y_max", "y_direction", "n"]


#: Tables at the top of a collection, none of them a study's.
TABLES = ("studies.csv", "dictionary.csv", "truth.csv", "risk_of_bias.csv")


@dataclass(frozen=True)
class Registry:
    """What is read before any participant's data.

    Attributes
    ----------
    settings : Settings
    dictionary : pandas.DataFrame
    studies : pandas.DataFrame
        The studies whose row can be used; index = its line in studies.csv.
    shared : pandas.DataFrame
        Rows of the studies that shared results instead of data, as text.
    truth : pandas.DataFrame or None
    introduction : str
        Of ``introduction.md``; empty if there is none.
    risk_of_bias : pandas.DataFrame or None
        Judgements, as text: study, domain, judgement, reason.
    said : dict
        Table -> how it was saved otherwise than a plain CSV file.
    """

    settings: Settings
    dictionary: pd.DataFrame
    studies: pd.DataFrame
    shared: pd.DataFrame
    truth: pd.DataFrame | None
    introduction: str = ""
    risk_of_bias: pd.DataFrame | None = None
    said: dict[str, str] = field(default_factory=dict)


def read_registry(path: Path) -> tuple[Registry | None, list[Problem]]:
    """Read a collection's registry.

    Returns
    -------
    registry : Registry or None
        None where no study's data could be read for want of it. With problems it still serves to look for
        more of them, in the files of the studies that it has.
    problems : list of Problem
    """
    # A command that was killed may have left a study, or all of the collection, under another name.
    for folder in (path, path / FOLDER) if path.is_dir() else (path.parent,):
        tidy(folder)
    if not path.is_dir():
        expected = "the folder of a collection (twostage new-collection FOLDER makes one)"
        return None, [Problem(str(path), None, None, "no such folder", expected)]
    settings, problems = read_settings(path)
    said: dict[str, str] = {}
    dictionary, more = _table(path, "dictionary.csv", schema.DICTIONARY, ["variable"], said)
    studies, most = _table(path, "studies.csv", schema.REGISTRY, ["study"], said, schema.REGISTRY_OPTIONAL)
    truth, last = _truth(path, said)
    introduction, least = read_introduction(path)
    bias, final = _risk_of_bias(path, said)
    problems = [*problems, *more, *most, *last, *least, *final]
    if settings is None or dictionary is None or studies is None:
        return None, problems
    crossed = _crossed_ends(dictionary)
    if crossed:
        return None, [*problems, *crossed]
    problems += _references(path, settings, dictionary, studies)
    if any(p.file == FILE for p in problems):
        return None, problems
    unique = dictionary.drop_duplicates("variable")
    shared, faults = read_shared(path, set(studies["study"]))
    problems += _of_no_study(bias, {*studies["study"], *shared["study"]})
    registry = Registry(settings, unique, _usable(studies), shared, truth, introduction, bias, said)
    return registry, [*problems, *faults]


def _table(
    path: Path,
    name: str,
    rules: dict[str, tuple[str, str]],
    key: list[str],
    said: dict[str, str],
    optional: dict[str, tuple[str, str]] | None = None,
) -> tuple[pd.DataFrame | None, list[Problem]]:
    """A table of the registry, None if it lacks columns or rows; `said` is told how it was saved."""
    # A collection may have no study yet.
    table: Table = read_table(path / name, name, may_be_empty=name == "studies.csv")
    said |= {name: table.said} if table.said else {}
    if table.cells.columns.empty or (table.problems and table.cells.empty):
        return None, list(table.problems)
    cells = table.cells
    if name == "studies.csv":
        cells = cells.assign(**{column: "" for column in schema.MAY_LACK if column not in cells})
    absent = schema.missing_columns(cells, name, rules)
    problems = [*table.problems, *absent, *schema.check_texts(cells, name, rules | (optional or {}))]
    problems += schema.check_unique(cells, name, key, f"each {key[-1]} once")
    problems += schema.check_seen(cells, name)
    return (None if absent else cells), problems


def _crossed_ends(dictionary: pd.DataFrame) -> list[Problem]:
    """Variables whose lowest possible value is above the highest."""
    low, high = (pd.to_numeric(dictionary[end], errors="coerce") for end in ("min", "max"))
    return [
        Problem(
            "dictionary.csv",
            row,
            "max",
            dictionary.loc[row, "max"],
            f"at least min, {dictionary.loc[row, 'min']}",
        )
        for row in dictionary.index[low > high]
    ]


def _truth(path: Path, said: dict[str, str]) -> tuple[pd.DataFrame | None, list[Problem]]:
    if not (path / "truth.csv").is_file():
        return None, []
    table, problems = _table(path, "truth.csv", schema.TRUTH, ["study", "parameter"], said)
    if problems or table is None:
        return None, problems
    # An empty cell is a missing value here as everywhere.
    table = table.mask(table == "").assign(value=table["value"].astype(float))
    return table.reset_index(drop=True), []


def _risk_of_bias(path: Path, said: dict[str, str]) -> tuple[pd.DataFrame | None, list[Problem]]:
    if not (path / "risk_of_bias.csv").is_file():
        return None, []
    table, problems = _table(path, "risk_of_bias.csv", schema.RISK_OF_BIAS, ["study", "domain"], said)
    return (None if problems else table), problems


def _of_no_study(bias: pd.DataFrame | None, ids: set[str]) -> list[Problem]:
    if bias is None:
        return []
    strangers = bias.loc[~bias["study"].isin(list(ids)), "study"]
    expected = schema.RISK_OF_BIAS["study"][1]
    return [Problem("risk_of_bias.csv", row, "study", id, expected) for row, id in strangers.items()]


def _usable(studies: pd.DataFrame) -> pd.DataFrame:
    """The studies that have a name and numbers to check their scores against."""
    good = ~studies["study"].str.casefold().duplicated() & studies["study"].map(study_ids.why_not).isna()
    for column in ["study", *NUMERIC]:
        good &= studies[column].str.fullmatch(schema.REGISTRY[column][0])
    kept = studies[good]
    kept = kept.assign(**{column: pd.to_numeric(kept[column]) for column in NUMERIC})
    return kept[(kept["x_min"] < kept["x_max"]) & (kept["y_min"] < kept["y_max"])]


def _without_kind(studies: pd.DataFrame) -> list[Problem]:
    """Reliabilities of which nobody said what they are shares of."""
    none = pd.Series("", index=studies.index)
    x, y, kind = (studies.get(column, none) for column in schema.REGISTRY_OPTIONAL)
    expected = schema.REGISTRY_OPTIONAL["reliability_kind"][1].removesuffix(" or nothing").rstrip(", ")
    return [
        Problem("studies.csv", row, "reliability_kind", "nothing beside a reliability", expected)
        for row in studies.index[((x != "") | (y != "")) & (kind == "")]
    ]


def _references(
    path: Path, settings: Settings, dictionary: pd.DataFrame, studies: pd.DataFrame
) -> list[Problem]:
    known = set(dictionary["variable"])
    layouts = {"sessions": settings.sessions}
    if settings.patients:
        layouts["patients"] = settings.patients
    used = {column: layout.file for layout in layouts.values() for column in layout.columns.values()}
    problems = [
        Problem("dictionary.csv", None, "variable", "no such row", f"a row for {column!r} of {file}")
        for column, file in used.items()
        if column not in known
    ]
    problems += [
        Problem(FILE, None, block, column, "a column of studies.csv")
        for block, layout in layouts.items()
        for column in layout.registry_columns()
        if column not in studies
    ]
    problems += _without_kind(studies)
    problems += _names(studies["study"])
    problems += _upside_down(studies)
    for layout in layouts.values():
        problems += _unregistered(path, layout, set(studies["study"]))
    return problems


def _names(ids: pd.Series) -> list[Problem]:
    """Ids of the right shape that cannot be used, or not beside one another."""
    problems = []
    for i, (row, id) in enumerate(ids.items()):
        if not schema.matches(study_ids.PATTERN, id):
            continue
        if (expected := study_ids.why_not(id)) is not None:
            problems.append(Problem("studies.csv", row, "study", id, expected))
        if (other := study_ids.same_file(id, ids.iloc[:i])) is not None:
            found = f"{id}, beside {other}"
            problems.append(Problem("studies.csv", row, "study", found, study_ids.TELL_APART))
    return problems


def _upside_down(studies: pd.DataFrame) -> list[Problem]:
    problems = []
    for v in ("x", "y"):
        low, high = (pd.to_numeric(studies[f"{v}_{end}"], errors="coerce") for end in ("min", "max"))
        for row, value in studies.loc[low >= high, f"{v}_max"].items():
            problems.append(Problem("studies.csv", row, f"{v}_max", value, f"more than {v}_min"))
    return problems


def _unregistered(path: Path, layout: Layout, ids: set[str]) -> list[Problem]:
    """Files that lie where studies' files lie and belong to none."""
    # Elsewhere than below the collection, files of others are to be expected.
    inside = not Path(layout.file).is_absolute() and ".." not in Path(layout.file).parts
    if not inside or re.findall(r"\{.*?\}", layout.file) != ["{study}"]:
        return []
    before, after = layout.file.split("{study}")
    there = sorted(path.glob(f"{glob.escape(before)}*{glob.escape(after)}"))
    files = [file for file in (p.relative_to(path).as_posix() for p in there) if file not in TABLES]
    found = [(file, file.removeprefix(before).removesuffix(after)) for file in files]
    expected = "a row in studies.csv for it"
    return [Problem(f, None, None, f"a file of study {id}", expected) for f, id in found if id not in ids]
