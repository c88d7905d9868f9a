"""Another group's estimates, read but not yet believed: rows of a table, matrices, and where they are from."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from twostage.collection import Variable
from twostage.interchange.columns import Column
from twostage.params import Parameters
from twostage.problems import Problem

#: Study, analysis, variant and direction: an equation of a study.
Equation = tuple[str, str, str, str]


@dataclass(frozen=True)
class Theirs:
    """What is pulled.

    Attributes
    ----------
    file : str
        What messages call the table.
    title : str
        Where it is from, in words.
    made : str or None
        The day on which it was made.
    checksum : str
        SHA-256 of the table.
    pair : tuple of Variable
        x and y as they name them; empty where the table does not say.
    parameters : Parameters
    rows : list of dict
        Of the table: name of a column -> value, numbers as numbers; `line` is the row's line in the file.
    matrices : dict
        Equation -> terms and covariance matrix; for both equations of a variant the direction is ``both``, the terms are
        pairs of direction and term, and two counts follow.
    reasons : dict
        Equation -> why there is no estimate.
    """

    file: str
    title: str
    made: str | None
    checksum: str
    pair: tuple[Variable, ...]
    parameters: Parameters
    rows: list[dict[str, Any]]
    matrices: Mapping[Equation, tuple] = field(default_factory=dict)
    reasons: Mapping[Equation, str] = field(default_factory=dict)

    @property
    def studies(self) -> list[str]:
        """Their ids, in the order of the table."""
        return list(dict.fromkeys(row["study"] for row in self.rows))

    def of(self, study: str) -> list[dict[str, Any]]:
        """The rows of a study."""
        return [row for row in self.rows if row["study"] == study]


def cell(column: Column, text: str) -> Any:
    """A cell's value; None where it is empty and may be.

    Raises
    ------
    ValueError
        Saying what was expected.
    """
    if not text:
        if column.always:
            raise ValueError(column.meaning)
        return None
    if column.kind == "string":
        return text
    if column.kind == "boolean":
        if text not in ("True", "False"):
            raise ValueError("True or False")
        return text == "True"
    return _number(text, whole=column.kind == "integer")


def _number(text: str, *, whole: bool) -> float | int:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or abs(value) > 1e15 or (whole and value != int(value)):
        raise ValueError("a whole number" if whole else "a number")
    return int(value) if whole else value


def equal_variance(row: Mapping[str, Any], file: str) -> Iterator[Problem]:
    """A problem where variance and standard error of a row are not of each other."""
    if not math.isclose(row["vi"], row["sei"] ** 2, rel_tol=1e-9):
        yield Problem(file, row["line"], "vi", row["vi"], f"sei squared = {row['sei'] ** 2!r}")
