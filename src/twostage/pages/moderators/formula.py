"""Moderators of a meta-regression from a table of studies and a formula.

The numeric core takes arrays; here a data frame and a formula such as ``~ year + setting`` become one. Formulas are
those of formulaic (Wilkinson notation): numeric columns as they are, text and categories as dummies against their
first level, ``C(x, contr.treatment("b"))`` for another reference, ``a:b`` and ``a*b`` for interactions, ``0 +`` for no
intercept. Formulas are written by whoever programs; no collection, bundle or option reaches one, and only the small
grammar of :mod:`twostage.pages.moderators.grammar` is accepted, so that a formula cannot do anything but name columns.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from formulaic import Formula
from formulaic.errors import FormulaicError

from twostage.pages.moderators.grammar import refused
from twostage.problems import Problem, ProblemError
from twostage.stats.pool import MetaRegression, Prediction, metareg

INTERCEPT = "Intercept"


class ModeratorError(ProblemError):
    """A formula or the columns it names cannot be used."""

    subject = "moderators"


@dataclass(frozen=True, eq=False)
class Moderators:
    """Numeric moderators of k studies.

    Attributes
    ----------
    X : ndarray, shape (k, q)
        Without the intercept's column.
    names : tuple of str
    intercept : bool
    formula : str
    factors : dict
        Names of the columns of every term, for :meth:`MetaRegression.test` of a whole factor.
    """

    X: np.ndarray
    names: tuple[str, ...]
    intercept: bool
    formula: str
    factors: dict[str, tuple[str, ...]]
    _spec: Any = field(repr=False)  # formulaic has no types
    _levels: dict = field(repr=False)

    def design(self, table: pd.DataFrame) -> np.ndarray:
        """The same columns for other rows, such as settings to predict at.

        Parameters
        ----------
        table : DataFrame
            Has the columns the formula names.

        Returns
        -------
        ndarray, shape (m, q)

        Raises
        ------
        ModeratorError
            A column is missing, a value is missing, or a category was not among the studies.
        """
        used = sorted(self._spec.required_variables)
        problems = _problems(table, used, self.formula)
        for column in set(used) & set(self._levels) & set(table.columns):
            known = self._levels[column]
            problems += [
                Problem(self.formula, None, column, value, f"one of {', '.join(map(str, known))}")
                for value in dict.fromkeys(table[column].dropna().tolist())
                if value not in known
            ]
        if problems:
            raise ModeratorError(problems)
        return _columns(self._spec.get_model_matrix(table, na_action="raise"))[0]

    def fit(self, y, v, **options) -> MetaRegression:
        """The meta-regression of y on these moderators; options as of :func:`twostage.stats.pool.metareg.metareg`."""
        return metareg(y, v, self.X, names=self.names, intercept=self.intercept, **options)

    def predict(self, fit: MetaRegression, table: pd.DataFrame, **options) -> Prediction:
        """Effects expected at the rows of a table."""
        return fit.predict(self.design(table), **options)


def moderators(table: pd.DataFrame, formula: str) -> Moderators:
    """Numeric moderators from a table of studies and a formula.

    Parameters
    ----------
    table : DataFrame
        One row per study.
    formula : str
        One-sided, such as ``"~ year + setting"``: names of columns, ``+ : * -``, parentheses, powers, ``0`` and ``1``,
        ``C()``, ``log()``, ``center()`` and ``I(a**2)``; nothing else is evaluated.

    Returns
    -------
    Moderators

    Raises
    ------
    ModeratorError
        The formula is not of that grammar, cannot be read or has a left-hand side; a column does not exist; a study
        lacks a value (each cell is named).
    """
    parsed = _parsed(formula)
    used = sorted(str(name) for name in parsed.required_variables)
    problems = _problems(table, used, formula)
    if problems:
        raise ModeratorError(problems)
    try:
        matrix = parsed.get_model_matrix(table, na_action="raise")
    except FormulaicError as error:
        raise _unreadable(formula, error) from error
    spec = matrix.model_spec
    factors = {str(term): tuple(spec.column_names[i] for i in at) for term, at in spec.term_indices.items()}
    levels = {
        c: table[c].drop_duplicates().tolist() for c in used if not pd.api.types.is_numeric_dtype(table[c])
    }
    X, names, intercept = _columns(matrix)
    return Moderators(X, names, intercept, formula, factors, spec, levels)


def _parsed(formula: str) -> Any:
    problem = refused(formula)
    if problem is not None:
        raise ModeratorError([problem])
    try:
        parsed = Formula(formula)
    except FormulaicError as error:
        raise _unreadable(formula, error) from error
    if hasattr(parsed, "lhs"):
        raise ModeratorError(
            [Problem("formula", None, None, formula, "no left-hand side, as in ~ year + setting")]
        )
    return parsed


def _unreadable(formula: str, error: FormulaicError) -> ModeratorError:
    first = str(error).splitlines()[0]
    return ModeratorError([Problem("formula", None, None, formula, f"a formula that can be read ({first})")])


def _problems(table: pd.DataFrame, used: list[str], formula: str) -> list[Problem]:
    problems = [
        Problem(formula, None, column, "no such column", f"one of {', '.join(map(str, table.columns))}")
        for column in used
        if column not in table.columns
    ]
    for column in set(used) & set(table.columns):
        problems += [
            Problem(formula, None, column, "nothing", f"a value for study {study!r}")
            for study in table.index[table[column].isna()]
        ]
    return problems


def _columns(matrix: Any) -> tuple[np.ndarray, tuple[str, ...], bool]:
    names = tuple(str(c) for c in matrix.columns)
    values = np.asarray(matrix, dtype=float)
    keep = [j for j, name in enumerate(names) if name != INTERCEPT]
    return values[:, keep], tuple(names[j] for j in keep), len(keep) < len(names)
