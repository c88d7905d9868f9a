"""What the columns of a run's tables mean, and the short names in them: for who opens them in a spreadsheet."""

import pandas as pd

from twostage.terms import DIRECTIONS, ESTIMATORS, arrow, estimator_words, term_label
from twostage.words import say

#: Column -> what it has, in the words of psychotherapy research; `say` turns them into the collection's.
MEANINGS = {
    "study": "id of the study, as in studies.csv",
    "label": "name of the study",
    "analysis": "which models: lagged, crosslevel and outcome answer the question, the others are other choices",
    "variant": "main, or the choice in which this differs: window, standardization, trend, pair of sessions",
    "direction": "which variable at one session is related to which at the next",
    "term": "coefficient of the equation",
    "estimator": "how stage 1 estimated it",
    "k": "studies in the pool",
    "n_patients": "patients in the model; in a pool, of all its studies",
    "n_transitions": "pairs of sessions in the model; in a pool, of all its studies",
    "estimate": "the coefficient, in the unit that the parameters choose (standard deviations unless told otherwise)",
    "std_error": "its standard error, in the same unit",
    "df": "degrees of freedom of its t statistic; empty or inf: a normal statistic",
    "statistic": "estimate divided by standard error",
    "p_value": "two-sided p of a true coefficient of 0",
    "ci_low": "lower end of its confidence interval",
    "ci_high": "upper end of its confidence interval",
    "pi_low": "lower end of the prediction interval: where the true effect of one more study is expected",
    "pi_high": "upper end of the prediction interval",
    "pi_rule": "how the prediction interval was made",
    "tau2": "estimated variance of the true effects between studies, in the unit of the estimate squared",
    "i2": "share of the variance of the estimates that is due to the studies' differences, in percent",
    "h2": "total variance of the estimates as a multiple of their sampling variance",
    "q": "Cochran's Q, the weighted sum of squares around the pooled effect",
    "q_p_value": "p of Q under true effects that do not differ",
    "converged": "whether the search for the estimate ended at a maximum",
    "singular": "whether the variance between patients was estimated at its limit, 0",
    "weight": "weight of the study in the pool, in percent",
    "note": "what else is to be known of the row",
    "method": "estimator of tau2",
    "ci": "kind of confidence interval of the pooled effect",
    "level": "level of the intervals",
    "reason": "why the study is not in the pool",
    "excludes_zero": "whether the confidence interval excludes 0",
    "difference_estimate": "the estimator's effect minus that of the main analysis",
    "difference_ci_low": "lower end of the difference's interval",
    "difference_ci_high": "upper end of the difference's interval",
}


#: How a table that compares two runs or choices ends its columns' names.
_OF_TWO = {"_a": "{}: of the first", "_b": "{}: of the second", "_diff": "{}: the second minus the first"}


def codebook(tables: list[pd.DataFrame], x: str, y: str) -> pd.DataFrame:
    """The columns of some tables and the short names in them.

    Parameters
    ----------
    tables : list of DataFrame
        Estimates, pooled ones, studies that were left out.
    x, y : str
        The pair, in words.

    Returns
    -------
    DataFrame
        column, value, meaning: one row per column with a short name (value is empty), then one per direction, term and
        estimator that occurs. Columns whose names are words are not explained.

    Examples
    --------
    >>> table = pd.DataFrame({"direction": ["x_to_y"], "estimate": [-0.1]})
    >>> codebook([table], "alliance", "symptoms").loc[1, "meaning"]
    'alliance → symptoms'
    """
    columns = list(dict.fromkeys(str(column) for table in tables for column in table))
    rows = []
    for column in columns:
        if meaning := _meaning(column):
            rows.append((column, "", say(meaning)))
        rows += [(column, value, words) for value, words in _values(column, tables, x, y)]
    return pd.DataFrame(rows, columns=["column", "value", "meaning"])


def _meaning(column: str) -> str:
    """What a column has; empty where its name says it."""
    for ending, words in _OF_TWO.items():
        stem = column.removesuffix(ending)
        if stem != column and stem in MEANINGS:
            return words.format(MEANINGS[stem])
    return MEANINGS.get(column, "")


def _values(column: str, tables: list[pd.DataFrame], x: str, y: str) -> list[tuple[str, str]]:
    """The short names that occur in a column, in words."""
    there = [t for t in tables if column in t]
    if column == "term":
        pairs = {(d, t) for table in there for d, t in zip(table["direction"], table["term"], strict=True)}
        ordered = sorted(pairs, key=lambda pair: (list(DIRECTIONS).index(pair[0]), pair[1]))
        return [(f"{t} ({d})", term_label(d, t, x, y)) for d, t in ordered]
    seen = {value for table in there for value in table[column]}
    if column == "direction":
        return [(d, arrow(d, x, y)) for d in DIRECTIONS if d in seen]
    if column == "estimator":
        return [(e, estimator_words(e)) for e in ESTIMATORS if e in seen]
    return []
