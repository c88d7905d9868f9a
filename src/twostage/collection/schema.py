"""What a collection's files must contain, checked with pandera; every failure becomes a Problem."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from twostage.collection import study_ids
from twostage.collection.review import JUDGEMENTS
from twostage.problems import Problem
from twostage.text import text_problem

#: A number. If whole it fits 64 bits: no score, age or limit of a scale has more digits.
NUMBER = r"[+-]?([0-9]{1,18}(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"


#: A number that is finite, whatever its digits.
FINITE = NUMBER.replace("[0-9]+)?", "[0-9]{1,2})?")


TEXT = r".*\S.*"


# Above 0 and at most 1.
_RELIABILITY = r"(0?\.[0-9]*[1-9][0-9]*|1(\.0*)?)?"


#: Facts that studies of some fields do not have: such a column may lack, and its cells may be empty.
MAY_LACK = ("setting", "treatment", "design")


#: Columns of studies.csv and what each must hold.
REGISTRY = {
    "study": (study_ids.PATTERN, study_ids.WORDS),
    "label": (TEXT, "the study's name"),
    "country": (TEXT, "a country"),
    "year": (r"[0-9]{4}", "a year of four digits"),
    **{column: (rf"({TEXT})?", f"the {column}") for column in MAY_LACK},
    "x_instrument": (TEXT, "the instrument of x"),
    "x_min": (FINITE, "the lowest possible score"),
    "x_max": (FINITE, "the highest possible score"),
    "x_direction": (r"[+]?1|-1", "1 (higher means more) or -1 (scored the other way)"),
    "y_instrument": (TEXT, "the instrument of y"),
    "y_min": (FINITE, "the lowest possible score"),
    "y_max": (FINITE, "the highest possible score"),
    "y_direction": (r"[+]?1|-1", "1 (higher means more) or -1 (scored the other way)"),
    "n": (r"[1-9][0-9]{0,8}", "the number of patients in the study's files"),
    "source": (TEXT, "where the data come from"),
    "licence": (TEXT, "the licence"),
}


#: Columns of studies.csv that may be there.
REGISTRY_OPTIONAL = {
    "x_reliability": (
        _RELIABILITY,
        "the reliability of a session score of x, above 0 and at most 1, or nothing",
    ),
    "y_reliability": (
        _RELIABILITY,
        "the reliability of a session score of y, above 0 and at most 1, or nothing",
    ),
    "reliability_kind": (
        r"(within|total)?",
        "within, where the reliabilities are shares of the variance within patients, total, where they are shares of all, "
        "or nothing",
    ),
}


DICTIONARY = {
    "variable": (TEXT, "a column's name"),
    "meaning": (TEXT, "what it is"),
    "unit": (r".*", "its unit or nothing"),
    "min": (rf"({FINITE})?", "the lowest possible value or nothing"),
    "max": (rf"({FINITE})?", "the highest possible value or nothing"),
    "missing": (r".*", "what stands for a missing value; nothing: an empty cell"),
}


RISK_OF_BIAS = {
    "study": (TEXT, "a study of studies.csv"),
    "domain": (TEXT, "a domain of the tool"),
    "judgement": ("|".join(JUDGEMENTS), f"one of {', '.join(JUDGEMENTS)}"),
    "reason": (r".*", "why, or nothing"),
}


TRUTH = {
    "study": (TEXT, "a study, mean or tau"),
    "parameter": (TEXT, "a parameter of the generating model"),
    "value": (FINITE, "a number"),
}


PATIENT = (r"\S(?:.*\S)?", "a patient, without blanks around the name")


SESSION = (r"[0-9]{1,9}", "a whole number, 0 or more")


#: Columns of the table of sessions in our names; the day of a session may lack.
SESSION_COLUMNS = ("patient", "session", "x", "y", "day")


#: Sessions that analyses can take (:mod:`twostage.params`), where the dictionary gives no limits.
SESSION_LIMITS = (0.0, 1000.0)


def matches(pattern: str, text: str) -> bool:
    """Whether a whole cell is as a rule of this module wants it."""
    return re.fullmatch(rf"(?s:{pattern})", text) is not None


def missing_columns(table: pd.DataFrame, name: str, wanted: Iterable[str]) -> list[Problem]:
    """One problem for each column that is not there."""
    there = ", ".join(table.columns) or "no column"
    return [
        Problem(name, 1, column, there, f"a column {column!r}") for column in wanted if column not in table
    ]


def check_texts(table: pd.DataFrame, name: str, rules: Mapping[str, tuple[str, str]]) -> list[Problem]:
    """Check that each cell of some columns of text matches a pattern.

    Parameters
    ----------
    table : pandas.DataFrame
        Of str, its index the rows of the file.
    name : str
        The file.
    rules : mapping
        column -> (regular expression for the whole cell, what to expect in words).
    """
    patterns = {c: re.compile(rf"(?s:{pattern})") for c, (pattern, _) in rules.items() if c in table}
    if all(rule.fullmatch(cell) for c, rule in patterns.items() for cell in table[c].unique()):
        return []
    pa = _pandera()
    columns = {
        column: pa.Column(str, pa.Check.str_matches(rf"(?s)\A(?:{pattern})\Z"), nullable=False, coerce=False)
        for column, (pattern, _) in rules.items()
        if column in table
    }
    expected = {column: words for column, (_, words) in rules.items()}
    return _failures(table, pa.DataFrameSchema(columns), name, expected)


def check_seen(table: pd.DataFrame, name: str) -> list[Problem]:
    """Check that names of columns and cells of text have no character that nobody sees, and an end."""
    found = [text_problem(name, 1, None, column) for column in table.columns]
    for column in table.columns:
        found += [text_problem(name, row, column, cell) for row, cell in table[column].items()]
    return [problem for problem in found if problem is not None]


def check_numbers(table: pd.DataFrame, name: str, ranges: Mapping[str, tuple[float, float]]) -> list[Problem]:
    """Check that numbers (NaN allowed) lie in their ranges; column -> (lowest, highest)."""
    if all(inside(table[c].to_numpy(), ends).all() for c, ends in ranges.items() if c in table):
        return []
    pa = _pandera()
    columns = {
        c: pa.Column(
            float,
            pa.Check(lambda v, ends=ends: pd.Series(inside(v.to_numpy(), ends), v.index)),
            nullable=True,
        )
        for c, ends in ranges.items()
        if c in table
    }
    expected = {c: _interval(*ends) for c, ends in ranges.items()}
    return _failures(table, pa.DataFrameSchema(columns), name, expected)


def inside(values: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """Which of some numbers are missing, or finite and in a range."""
    return np.isnan(values) | (np.isfinite(values) & (values >= ends[0]) & (values <= ends[1]))


def _interval(low: float, high: float) -> str:
    if math.isinf(low) and math.isinf(high):
        return "a finite number"
    if math.isinf(high):
        return f"at least {low:g}"
    return f"at most {high:g}" if math.isinf(low) else f"{low:g} to {high:g}"


def check_unique(table: pd.DataFrame, name: str, columns: list[str], expected: str) -> list[Problem]:
    """Check that no combination of columns comes twice; every repetition is named."""
    if not set(columns) <= set(table):
        return []
    again = table[table.duplicated(columns)]
    column = columns[-1]
    return [
        Problem(name, row, column, ", ".join(f"{c} {cells[c]}" for c in columns) + " again", expected)
        for row, cells in zip(again.index, again.to_dict("records"), strict=True)
    ]


def check_days(table: pd.DataFrame, name: str, names: Mapping[str, str]) -> list[Problem]:
    """Check that a patient's sessions are in the order of their days, where these are known.

    Parameters
    ----------
    table : pandas.DataFrame
        Its index the rows of the file; sessions and days are numbers.
    name : str
        The file.
    names : mapping
        Our name -> the file's, of patient, session and day.
    """
    patient, session, day = (names[column] for column in ("patient", "session", "day"))
    known = table[table[day].notna()].sort_values([patient, session], kind="stable")
    before = known.groupby(patient)[day].shift()
    wrong = known[known[day] <= before]
    return [
        Problem(name, int(row), day, cells[day], f"a day after {before[row]:g}, that of the session before")
        for row, cells in zip(wrong.index, wrong.to_dict("records"), strict=True)
    ]


def to_numbers(
    table: pd.DataFrame, name: str, columns: Iterable[str], missing: Mapping[str, str]
) -> tuple[pd.DataFrame, list[Problem]]:
    """Turn columns of text into floats; what is neither a number nor the missing code is a problem.

    Returns
    -------
    table : pandas.DataFrame
    problems : list of Problem
    """
    problems = []
    for column in columns:
        text = table[column].str.strip()
        code = missing.get(column, "")
        absent = text.isin([code, ""])
        wrong = ~absent & ~text.str.fullmatch(NUMBER)
        for row, value in text[wrong].items():
            comma = " (a decimal point, not a comma)" if re.fullmatch(r"[+-]?\d+,\d+", value) else ""
            where = f"{code!r} or an empty cell" if code else "an empty cell"
            problems.append(Problem(name, row, column, value, f"a number{comma}, or {where} where missing"))
        table = table.assign(**{column: pd.to_numeric(text.where(~absent & ~wrong)).astype(float)})
    return table, problems


def _pandera() -> Any:
    """The library that finds every failure; it takes half a second to import, so only where there is one."""
    import pandera.pandas

    return pandera.pandas


def _failures(table: pd.DataFrame, schema: Any, name: str, expected: Mapping[str, str]) -> list[Problem]:
    pa = _pandera()
    try:
        schema.validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases.drop_duplicates(["column", "index"]).sort_values("index", kind="stable")
        values = [getattr(value, "item", lambda value=value: value)() for value in cases["failure_case"]]
        return [
            Problem(name, int(row), column, value, expected[column])
            for row, column, value in zip(cases["index"], cases["column"], values, strict=True)
        ]
    return []
