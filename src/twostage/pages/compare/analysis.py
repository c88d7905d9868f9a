"""Two runs side by side: what was pooled in each, how far apart it is, and which choices differ.

The difference of two pooled estimates is given without a standard error. Where both runs analyse the same
patients the estimates are dependent, and how strongly is not known from either run: adding the two squared
standard errors, as for independent samples, would overstate the uncertainty by an unknown amount.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from twostage.display import html_table
from twostage.problems import Problem, ProblemError
from twostage.stage2 import KEY, Results, find_results, headline_terms

#: What is compared of each coefficient, and what of it is subtracted.
SHOWN = ["estimate", "ci_low", "ci_high", "pi_low", "pi_high", "tau2", "i2", "k", "n_patients", "level"]


DIFFERENCES = ["estimate", "tau2", "k", "n_patients"]


#: Fisher's z is shown as the correlation it stands for; tau2 stays in z.
_AS_CORRELATION = ["estimate", "ci_low", "ci_high", "pi_low", "pi_high"]


@dataclass(frozen=True)
class Comparison:
    """Pooled coefficients of two runs, matched.

    Attributes
    ----------
    a, b : str
        Names of the runs.
    x, y : str
        The pair in words.
    table : pandas.DataFrame
        One row per coefficient of either run: analysis, variant, direction, term, estimator; for each of
        :data:`SHOWN` the columns `<name>_a` and `<name>_b` (NaN where a run lacks the coefficient);
        `excludes_zero_a`, `excludes_zero_b` (of the confidence interval; None where it lacks it); `<name>_diff`
        (b less a) for each of :data:`DIFFERENCES`. `partial_r_z` is given as a correlation (`partial_r`),
        its tau2 in Fisher's z.
    parameters : pandas.DataFrame
        parameter, a, b: those that differ.
    shared, only_a, only_b, changed : tuple of str
        Studies with the same data in both runs, in one of them, and in both with other data.
    sessions : tuple of int
        How many the window of either run holds.
    lags : tuple of int
        Of either run.
    """

    a: str
    b: str
    x: str
    y: str
    table: pd.DataFrame
    parameters: pd.DataFrame
    shared: tuple[str, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    changed: tuple[str, ...]
    sessions: tuple[int, int]
    lags: tuple[int, int]

    def tidy(self) -> pd.DataFrame:
        """One row per coefficient."""
        return self.table.copy()

    def glance(self) -> pd.DataFrame:
        """One row: how many coefficients, studies and parameters are the same or differ."""
        both = self.table["estimate_a"].notna() & self.table["estimate_b"].notna()
        moved = both & (self.table["excludes_zero_a"] != self.table["excludes_zero_b"])
        values = {
            "n_both": int(both.sum()),
            "n_only_a": int(self.table["estimate_b"].isna().sum()),
            "n_only_b": int(self.table["estimate_a"].isna().sum()),
            "n_conclusions_changed": int(moved.sum()),
            "n_parameters": len(self.parameters),
            "n_studies_shared": len(self.shared),
        }
        return pd.DataFrame([values])

    def headline(self) -> pd.DataFrame:
        """The rows that answer the question, in a fixed order."""
        keys = [(a, v, d, t.replace("partial_r_z", "partial_r")) for a, v, d, t in headline_terms()]
        found = list(self.table[KEY[:4]].itertuples(index=False, name=None))
        rows = [found.index(key) for key in keys if key in found]
        return self.table.iloc[rows].reset_index(drop=True)

    def _repr_html_(self) -> str:
        return html_table(self.headline())


def compare(a: Results | str | Path, b: Results | str | Path) -> Comparison:
    """Match the pooled coefficients of two runs.

    Parameters
    ----------
    a, b : Results, str or Path
        A run's name or folder; or what :func:`twostage.stage2.results.read_results` or
        :func:`twostage.stage2.results.pool_results` give.

    Returns
    -------
    Comparison

    Raises
    ------
    ProblemError
        The runs are about different pairs of variables, or there is no such run.

    Examples
    --------
    ``ts.compare("default", "last_session-3")`` compares two runs by name. Without runs, two analyses in memory:

    >>> import twostage as ts
    >>> from twostage.params import make_parameters
    >>> from twostage.records import analyse
    >>> from twostage.stage2 import pool_results
    >>> few = ts.read_collection("data").only(["S01", "S02", "S04"])
    >>> results = {}
    >>> for last in (7, 4):
    ...     parameters = make_parameters({"last_session": last})
    ...     records = analyse(few, parameters, ["lagged"]).records
    ...     results[last] = pool_results(f"{last} sessions", few, parameters, records)
    >>> ts.compare(results[7], results[4]).parameters
          parameter  a  b
    0  last_session  7  4
    """
    a, b = (one if isinstance(one, Results) else find_results(str(one))[1] for one in (a, b))
    if (a.x, a.y) != (b.x, b.y):
        found, expected = f"{b.x} and {b.y}", f"{a.x} and {a.y}, the pair of {a.name}"
        raise ProblemError([Problem(b.name, None, "pair", found, expected)])
    if a.name == b.name:
        a, b = replace(a, name=f"{a.name} (first)"), replace(b, name=f"{b.name} (second)")
    left, right = (_ready(results.table) for results in (a, b))
    table = left.merge(right, on=KEY[:4], how="outer", suffixes=("_a", "_b"), sort=False)
    table = table.assign(estimator=_estimators(table))
    keys = map(tuple, pd.concat([left, right])[KEY[:4]].to_numpy())
    order = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    place = [order[tuple(key)] for key in table[KEY[:4]].to_numpy()]
    table = table.iloc[np.argsort(place, kind="stable")].reset_index(drop=True)
    verdicts = [f"excludes_zero_{end}" for end in "ab"]
    table = table.assign(**{c: table[c].astype(object).where(table[c].notna(), None) for c in verdicts})
    differences = {f"{c}_diff": table[f"{c}_b"] - table[f"{c}_a"] for c in DIFFERENCES}
    same = [s for s in a.checksums if b.checksums.get(s) == a.checksums[s]]
    return Comparison(
        a=a.name,
        b=b.name,
        x=a.x,
        y=a.y,
        table=table.assign(**differences),
        parameters=_differing(a, b),
        shared=tuple(same),
        only_a=tuple(s for s in a.checksums if s not in b.checksums),
        only_b=tuple(s for s in b.checksums if s not in a.checksums),
        changed=tuple(s for s in a.checksums if s in b.checksums and s not in same),
        sessions=(_window(a), _window(b)),
        lags=(a.parameters.lag, b.parameters.lag),
    )


def _window(results: Results) -> int:
    return results.parameters.last_session - results.parameters.first_session + 1


def _ready(table: pd.DataFrame) -> pd.DataFrame:
    """What is compared, with Fisher's z as correlations and the verdict on zero."""
    rows = table[[*KEY, *SHOWN]].copy()
    z = rows["term"] == "partial_r_z"
    rows.loc[z, _AS_CORRELATION] = np.tanh(rows.loc[z, _AS_CORRELATION].astype(float))
    rows.loc[z, "term"] = "partial_r"
    beyond = (rows["ci_low"] > 0) | (rows["ci_high"] < 0)
    known = rows["ci_low"].notna() & rows["ci_high"].notna()
    return rows.assign(excludes_zero=beyond.astype(object).where(known, None))


def _estimators(table: pd.DataFrame) -> pd.Series:
    """Of both runs; with an arrow where a specification of a multiverse has another estimator for the same."""
    a, b = table["estimator_a"], table["estimator_b"]
    same = a.fillna(b)
    return same.where((a == b) | a.isna() | b.isna(), a.astype(str) + " → " + b.astype(str))


def _differing(a: Results, b: Results) -> pd.DataFrame:
    mine, other = a.parameters.model_dump(), b.parameters.model_dump()
    rows = [(name, mine[name], other[name]) for name in mine if mine[name] != other[name]]
    if a.estimator != b.estimator:
        rows.append(("estimator", a.estimator, b.estimator))
    return pd.DataFrame(rows, columns=["parameter", "a", "b"]).astype(object)
