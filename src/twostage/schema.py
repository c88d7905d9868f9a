"""What a collection's files must contain, checked with pandera; every failure becomes a Problem."""

import re
from collections.abc import Mapping

import pandas as pd
import pandera.pandas as pa

from twostage.problems import Problem

STUDY_ID = r"[A-Za-z0-9_]+"
NUMBER = r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?"

#: Columns of studies.csv and what each must hold; all are required.
REGISTRY = {
    "study": (STUDY_ID, "letters, digits and underscores only"),
    "label": (r".*\S.*", "the study's name"),
    "country": (r".*\S.*", "a country"),
    "year": (r"\d{4}", "a year of four digits"),
    "setting": (r".*\S.*", "the setting"),
    "treatment": (r".*\S.*", "the treatment"),
    "design": (r".*\S.*", "the design"),
    "x_instrument": (r".*\S.*", "the instrument of x"),
    "x_min": (NUMBER, "the lowest possible score"),
    "x_max": (NUMBER, "the highest possible score"),
    "x_direction": (r"[+]?1|-1", "1 (higher means more) or -1 (scored the other way)"),
    "y_instrument": (r".*\S.*", "the instrument of y"),
    "y_min": (NUMBER, "the lowest possible score"),
    "y_max": (NUMBER, "the highest possible score"),
    "y_direction": (r"[+]?1|-1", "1 (higher means more) or -1 (scored the other way)"),
    "n": (r"[1-9]\d*", "the number of patients in the study's files"),
    "source": (r".*\S.*", "where the data come from"),
    "licence": (r".*\S.*", "the licence"),
}

DICTIONARY = {
    "variable": (r".*\S.*", "a column's name"),
    "meaning": (r".*\S.*", "what it is"),
    "unit": (r".*", "its unit or nothing"),
    "min": (rf"({NUMBER})?", "the lowest possible value or nothing"),
    "max": (rf"({NUMBER})?", "the highest possible value or nothing"),
    "missing": (r".*", "what stands for a missing value; nothing: an empty cell"),
}


def missing_columns(table: pd.DataFrame, name: str, wanted) -> list[Problem]:
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
    columns = {
        column: pa.Column(str, pa.Check.str_matches(rf"^(?:{pattern})$"), nullable=False, coerce=False)
        for column, (pattern, _) in rules.items()
        if column in table
    }
    expected = {column: words for column, (_, words) in rules.items()}
    return _failures(table, pa.DataFrameSchema(columns), name, expected)


def check_numbers(table: pd.DataFrame, name: str, ranges: Mapping[str, tuple[float, float]]) -> list[Problem]:
    """Check that numbers (NaN allowed) lie in their ranges; column -> (lowest, highest)."""
    columns = {
        c: pa.Column(float, pa.Check.in_range(*ends), nullable=True)
        for c, ends in ranges.items()
        if c in table
    }
    expected = {c: f"{low:g} to {high:g}" for c, (low, high) in ranges.items()}
    return _failures(table, pa.DataFrameSchema(columns), name, expected)


def check_unique(table: pd.DataFrame, name: str, columns: list[str], expected: str) -> list[Problem]:
    """Check that no combination of columns comes twice; every repetition is named."""
    again = table[table.duplicated(columns)]
    column = columns[-1]
    return [
        Problem(name, row, column, ", ".join(f"{c} {cells[c]}" for c in columns) + " again", expected)
        for row, cells in zip(again.index, again.to_dict("records"), strict=True)
    ]


def to_numbers(table: pd.DataFrame, name: str, columns, missing: Mapping[str, set[str]]):
    """Turn columns of text into floats; what is neither a number nor a missing code is a problem.

    Returns
    -------
    table : pandas.DataFrame
    problems : list of Problem
    """
    problems = []
    for column in columns:
        text = table[column].str.strip()
        absent = text.isin(missing.get(column, set()) | {""})
        wrong = ~absent & ~text.str.fullmatch(NUMBER)
        for row, value in text[wrong].items():
            comma = " (a decimal point, not a comma)" if re.fullmatch(r"[+-]?\d+,\d+", value) else ""
            codes = (
                " or ".join(sorted(repr(code) for code in missing.get(column, set()) if code))
                or "an empty cell"
            )
            problems.append(Problem(name, row, column, value, f"a number{comma}, or {codes} where missing"))
        table = table.assign(
            **{column: pd.to_numeric(text.where(~absent & ~wrong), errors="raise").astype(float)}
        )
    return table, problems


def _failures(table: pd.DataFrame, schema: pa.DataFrameSchema, name: str, expected: Mapping[str, str]):
    try:
        schema.validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases.drop_duplicates(["column", "index"])
        return [
            Problem(name, int(c.index_), c.column, c.failure_case, expected[c.column])
            for c in cases.rename(columns={"index": "index_"}).sort_values("index_").itertuples(index=False)
        ]
    return []
