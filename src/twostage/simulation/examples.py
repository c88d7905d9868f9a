"""Small files as researchers have them, drawn by the simulator: for the tutorials and for the tests of the import.

The data are synthetic. One study, in the layouts and formats that an import reads.
"""

import dataclasses
import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from twostage.simulation.simulate import simulate_collection, write_collection

#: Codes of gender in files of statistics programs.
GENDER = {"woman": 1, "man": 2, "other": 3}


#: Stands for a missing score in the SPSS file, declared user-missing there.
MISSING = 999


#: Day of the first session of the first patient in files with dates; the calendar means nothing.
FIRST_DAY = datetime.date(2024, 1, 8)


@dataclass(frozen=True)
class Example:
    """A synthetic study as its researcher has it.

    Attributes
    ----------
    long : pandas.DataFrame
        One row per session: patient, session, wai, oq, therapist, age, gender, oq_pre, oq_post.
    wide : pandas.DataFrame
        One row per patient: patient, wai_1 ... , oq_1 ... , therapist, age, gender, oq_pre, oq_post.
    facts : dict
        What studies.csv must know and no file says.
    """

    long: pd.DataFrame
    wide: pd.DataFrame
    facts: dict[str, Any]


def example_study(seed: int = 7, n_patients: int = 60) -> Example:
    """Draw a study.

    Parameters
    ----------
    seed, n_patients : int
        As of :func:`twostage.simulation.simulate.simulate_collection`.
    """
    drawn = simulate_collection(seed, n_studies=1, n_patients=n_patients)
    (one,) = drawn.studies.values()
    info = drawn.registry.iloc[0].to_dict()
    facts = {k: v for k, v in info.items() if k not in ("study", "n")} | {"label": "Example clinic"}
    patients = one.patients.rename(columns={"pre": "oq_pre", "post": "oq_post"})
    sessions = one.sessions.rename(columns={"x": "wai", "y": "oq"})
    sessions = sessions.dropna(subset=["wai", "oq"], how="all")
    wide = sessions.pivot(index="patient", columns="session", values=["wai", "oq"])
    wide.columns = [f"{name}_{session}" for name, session in wide.columns]
    wide = wide.reset_index().merge(patients, on="patient", how="inner", validate="one_to_one")
    long = sessions.merge(patients, on="patient", how="left", validate="many_to_one")
    return Example(long.reset_index(drop=True), wide, facts)


def with_dates(long: pd.DataFrame) -> pd.DataFrame:
    """The same with a date in the place of the session's number: a week apart, weeks skipped at will."""
    days = [FIRST_DAY + datetime.timedelta(days=7 * int(s)) for s in long["session"]]
    return long.drop(columns="session").assign(date=days)


@dataclass(frozen=True)
class ItemKey:
    """How the alliance score is made of items.

    Attributes
    ----------
    items : int
        How many.
    item_min, item_max : int
        Lowest and highest answer.
    reversed : tuple of int
        Those that count as item_min + item_max - answer, from 1.
    """

    items: int
    item_min: int
    item_max: int
    reversed: tuple[int, ...] = ()


def with_items(table: pd.DataFrame, key: ItemKey) -> pd.DataFrame:
    """The same with the items' answers in the place of each alliance score, which is their sum by the key.

    A score is spread as evenly as whole answers allow: the answers are made up to add up, not drawn from a model of
    items. Columns are ``wai_i1 ...``, in a wide table ``wai_i1_1 ...`` with the session last.

    Raises
    ------
    ValueError
        If a score is no sum that such items can have.
    """
    scores = [c for c in table if re.fullmatch(r"wai(_\d+)?", c)]
    parts = []
    for column in scores:
        share, rest = divmod(table[column], key.items)
        if ((table[column] % 1 > 0) | (share < key.item_min) | (share + (rest > 0) > key.item_max)).any():
            raise ValueError(f"{column}: found scores that no {key.items} items of this key add up to")
        for item in range(1, key.items + 1):
            answers = share + (item <= rest)
            answers = answers.where(table[column].notna())
            turned = key.item_min + key.item_max - answers
            name = re.sub("wai", f"wai_i{item}", column)
            parts.append((turned if item in key.reversed else answers).rename(name))
    return pd.concat([table.drop(columns=scores), *parts], axis=1)


def write_example(table: pd.DataFrame, path: Path) -> Path:
    """Write a table in the format of its ending: .csv, .xlsx, .sav, .dta, .rds or .parquet.

    Parameters
    ----------
    table : pandas.DataFrame
        Of an :class:`Example`.
    path : Path
        The .csv has semicolons, decimal commas and Windows-1252; SPSS and Stata files have codes of gender with
        value labels, the SPSS file also 999 for a missing score, declared user-missing.
    """
    WRITERS[path.suffix](table, path)
    return path


def _csv(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, sep=";", decimal=",", encoding="cp1252", lineterminator="\r\n")


def _excel(table: pd.DataFrame, path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "data"
    sheet.append(list(table))
    for row in table.astype(object).where(table.notna(), None).to_numpy(object).tolist():
        sheet.append(row)
    book.save(path)


def _spss(table: pd.DataFrame, path: Path) -> None:
    import pyreadstat

    scores = [c for c in table if c.startswith(("wai", "oq"))]
    coded = _coded(table)
    coded[scores] = coded[scores].fillna(float(MISSING))
    pyreadstat.write_sav(
        coded,
        str(path),
        column_labels={c: f"{'alliance' if c.startswith('wai') else 'symptoms'}: {c}" for c in scores},
        variable_value_labels={"gender": {code: word for word, code in GENDER.items()}},
        missing_ranges={c: [MISSING] for c in scores},
    )


def _stata(table: pd.DataFrame, path: Path) -> None:
    import pyreadstat

    labels = {"gender": {code: word for word, code in GENDER.items()}}
    pyreadstat.write_dta(_coded(table), str(path), variable_value_labels=labels)


def _coded(table: pd.DataFrame) -> pd.DataFrame:
    """Gender as codes, everything else that is no text as floats, as statistics programs keep them."""
    coded = table.assign(gender=table["gender"].map(GENDER))
    numbers = [c for c in coded if pd.api.types.is_numeric_dtype(coded[c])]
    return coded.astype({c: float for c in numbers}).astype({"patient": object, "therapist": object})


def _r(table: pd.DataFrame, path: Path) -> None:
    import pyreadr

    pyreadr.write_rds(str(path), table.astype({"gender": object}))


def _parquet(table: pd.DataFrame, path: Path) -> None:
    import duckdb

    duckdb.connect().from_df(table).write_parquet(str(path))


WRITERS = {".csv": _csv, ".xlsx": _excel, ".sav": _spss, ".dta": _stata, ".rds": _r, ".parquet": _parquet}


def fill_in(text: str, facts: Mapping[str, Any]) -> str:
    """Complete a proposed mapping as its reader would: ``key: FILL IN`` becomes ``key: value``.

    Parameters
    ----------
    text : str
        Of the mapping's file.
    facts : mapping
        key of `study` -> value; others are left alone.
    """
    for key, value in facts.items():
        text = re.sub(rf"(?m)^(  {re.escape(key)}: )FILL IN\b", lambda m, v=value: f"{m[1]}{_yaml(v)}", text)
    return text


def fill_in_items(text: str, key: ItemKey) -> str:
    """Complete the alliance of a proposed mapping of a wide file as of :func:`with_items`.

    Parameters
    ----------
    text : str
        Of the mapping's file.
    key : ItemKey
    """
    names = [f"'wai_i{item}_{{session}}'" for item in range(1, key.items + 1)]
    block = {
        "items": f"[{', '.join(names)}]",
        "score": "sum",
        "reversed": f"[{', '.join(names[item - 1] for item in key.reversed)}]",
        "item_min": key.item_min,
        "item_max": key.item_max,
    }
    lines = "".join(f"  {name}: {value}\n" for name, value in block.items())
    # A key and its value, which may go on in lines that are set in further.
    proposed = re.compile(rf"(?m)^  (?:column|{'|'.join(block)}):.*\n(?:    .*\n)*")
    return re.sub(r"(?m)^(x:.*\n)((?:  .*\n)+)", lambda m: m[1] + lines + proposed.sub("", m[2]), text)


def _yaml(value: Any) -> str:
    return (
        f"'{value}'" if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
    )


def write_clinic(folder: Path, study: str, seed: int = 3, n_patients: int = 80) -> Path:
    """Write a collection that holds one synthetic study, as a clinic has its own.

    Parameters
    ----------
    folder : Path
        New.
    study : str
        The study's id.
    seed, n_patients : int
        As of :func:`twostage.simulation.simulate.simulate_collection`.
    """
    drawn = simulate_collection(seed, n_studies=1, n_patients=n_patients)
    ((old, content),) = drawn.studies.items()
    registry = drawn.registry.assign(study=study, label="Example clinic")
    truth = drawn.truth.replace({"study": {old: study}})
    renamed = dataclasses.replace(drawn, registry=registry, studies={study: content}, truth=truth)
    return write_collection(renamed, folder)
