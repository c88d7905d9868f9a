"""One study against the others: does it lie where they let one expect it, and how does the pool move when it joins."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from twostage.display import html_table
from twostage.interchange import zero
from twostage.problems import Problem, RecordError
from twostage.stage2 import KEY, headline_terms, read_about
from twostage.stats.influence import influence
from twostage.stats.pool import PooledFit, newcomer, pool
from twostage.text import read_csv

#: The analyses whose coefficients are shown, by what the pooled notebooks leave.
TABLES = "studies_*.csv"


_NEEDED = {"study", "analysis", "variant", "direction", "term", "estimate", "std_error", "label"}


def read_estimates(output: Path) -> pd.DataFrame:
    """The studies' estimates that a run pooled, those of :func:`twostage.stage2.results.headline_terms`.

    Parameters
    ----------
    output : Path
        ``runs/<name>/output``.

    Returns
    -------
    pandas.DataFrame
        Empty where the run has left none.
    """
    files = sorted(Path(output).glob(f"*/{TABLES}"))
    tables = [read_csv(file) for file in files]
    tables = [table for table in tables if set(table) >= _NEEDED]
    if not tables:
        return pd.DataFrame(columns=sorted(_NEEDED))
    stacked = pd.concat(tables, ignore_index=True).drop_duplicates(["study", *_IDENTITY], ignore_index=True)
    order = {key: place for place, key in enumerate(headline_terms())}
    keys = [*map(tuple, stacked[["analysis", "variant", "direction", "term"]].to_numpy())]
    places = pd.Series([order.get(key, -1) for key in keys], index=stacked.index, dtype=int)
    return stacked.assign(place=places)[places >= 0].sort_values("place", kind="stable").drop(columns="place")


_IDENTITY = ["analysis", "variant", "direction", "term"]


@dataclass(frozen=True)
class Addition:
    """What one study does to the pool of the others.

    Attributes
    ----------
    study, label : str
    table : pandas.DataFrame
        One row per coefficient that the study and at least one other have: analysis, variant, direction, term,
        estimator; the study's estimate, std_error, interval and weight (percent) in the pool with it; k, estimate,
        std_error, confidence and prediction interval, tau2, i2 and converged of the pool without it (``before_``)
        and with it (``after_``); change and change_tau2 (after less before); where the others let one expect the study's
        estimate, sampling error included (``expected_low``, ``expected_high``), whether it lies `inside` (None where
        there is one other), its deleted residual with df and p (``residual``, ``residual_df``, ``residual_p``,
        :func:`twostage.stats.pool.newcomer.newcomer`); rstudent, metafor's, by the interval of the pool;
        is_influential, by the rule of :func:`twostage.stats.influence.casewise.influence`; what the intervals say of
        zero (``above zero``, ``below zero``, ``includes zero``), and whether that changed.
    method, ci, level
        How it was pooled.
    converged : bool
        Whether every pool did.
    n_others : int
        How many other studies have an estimate.
    """

    study: str
    label: str
    table: pd.DataFrame
    method: str
    ci: str
    level: float
    converged: bool
    n_others: int

    def tidy(self) -> pd.DataFrame:
        """One row per coefficient."""
        return self.table.copy()

    def glance(self) -> pd.DataFrame:
        """One row: how many coefficients, outside of what the others let one expect, influential, changed conclusions."""
        t = self.table
        return pd.DataFrame(
            [
                {
                    "study": self.study,
                    "k_coefficients": len(t),
                    "outside": int((t["inside"] == False).sum()),  # noqa: E712 - None is neither
                    "influential": int(t["is_influential"].sum()),
                    "conclusions_changed": int(t["conclusion_changed"].sum()),
                    "converged": self.converged,
                }
            ]
        )

    def _repr_html_(self) -> str:
        return html_table(self.table.drop(columns=["estimator"]))


def read_addition(folder: Path, study: str) -> tuple[Addition, dict[str, str]]:
    """One study against the others of a finished run.

    Parameters
    ----------
    folder : Path
        Of the run.
    study : str

    Returns
    -------
    addition : Addition
    names : dict
        x and y in words.

    Raises
    ------
    RecordError
        If there is no such run, it has pooled nothing yet, or the study is not in its pool.
    """
    about, registry = read_about(folder, "parameters"), _json(folder / "inputs" / "collection.json")
    estimates = read_estimates(folder / "output")
    if study not in set(estimates["study"]):
        known = ", ".join(dict.fromkeys(estimates["study"])) or "no study: finish the run first"
        raise RecordError([Problem(str(folder / "output"), None, "study", study, f"one of {known}")])
    names = {v: registry[v]["label"] for v in ("x", "y")}
    return addition(estimates, study, **pooling(about["parameters"])), names


def pooling(parameters: dict) -> dict:
    """How a run pools."""
    return {
        "method": parameters["tau2_method"],
        "ci": parameters["ci_method"],
        "level": parameters["level"],
    }


def _json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        expected = "the folder of a run, as 'twostage run' leaves it"
        raise RecordError([Problem(str(path), None, None, "no such file", expected)]) from None
    except ValueError as error:
        raise RecordError(
            [Problem(str(path), None, None, str(error), "what the run was made from")]
        ) from None


_POOLED = ("k", "estimate", "std_error", "ci_low", "ci_high", "pi_low", "pi_high", "tau2", "i2", "converged")


COLUMNS = [
    *KEY,
    *("study_estimate", "study_std_error", "study_ci_low", "study_ci_high", "weight"),
    *(f"before_{name}" for name in _POOLED),
    *(f"after_{name}" for name in _POOLED),
    *("change", "change_tau2", "expected_low", "expected_high", "inside"),
    *("residual", "residual_df", "residual_p", "rstudent", "is_influential"),
    *("before_verdict", "after_verdict", "conclusion_changed"),
]


def addition(
    estimates: pd.DataFrame,
    study: str,
    *,
    method: str = "REML",
    ci: str = "hartung-knapp",
    level: float = 0.95,
) -> Addition:
    """Pool each coefficient without a study and with it.

    Parameters
    ----------
    estimates : pandas.DataFrame
        What went into pooled tables (:attr:`twostage.stage2.pool.PooledTable.estimates`), of one or several
        analyses: the standard columns and label.
    study : str
        The one that joins.
    method, ci, level
        As of :func:`twostage.stats.pool.pool.pool`.

    Returns
    -------
    Addition
        With an empty table if the study shares no coefficient with another one.

    Raises
    ------
    KeyError
        If there is no estimate of this study.

    Notes
    -----
    An estimate is judged against the interval that adds its own sampling error to the heterogeneity of the others and
    the uncertainty of their pool: of estimates that are draws of the same process as many lie outside as `level`
    says (:func:`twostage.stats.pool.newcomer.newcomer`). The prediction interval, in the table too, is for the true
    effect of a new study: where studies hardly differ it would call two in five such estimates strange. Each
    coefficient has its own error rate: of many coefficients or studies some lie outside by chance. The order in which
    studies joined is not used: every other study of the pool counts as there before. Checked against leave-one-out
    fits and metafor's
    ``rstudent`` by way of :mod:`twostage.stats.influence.casewise`.
    """
    own = estimates[estimates["study"] == study]
    if own.empty:
        raise KeyError(
            f"no estimate of study {study}; there are {', '.join(dict.fromkeys(estimates['study']))}"
        )
    how = {"method": method, "ci": ci, "level": level}
    rows = []
    for key, group in estimates.groupby(KEY, sort=False):
        if len(group) > 1 and (group["study"] == study).any():
            rows.append(dict(zip(KEY, key, strict=True)) | _row(group.reset_index(drop=True), study, how))
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"inside": object})
    converged = bool((table["before_converged"] & table["after_converged"]).all())
    others = estimates["study"].nunique() - 1
    return Addition(study, str(own["label"].iloc[0]), table, method, ci, level, converged, others)


def _row(group: pd.DataFrame, study: str, how: dict) -> dict:
    (at,) = np.flatnonzero(group["study"] == study)
    y, v = group["estimate"].to_numpy(float), group["std_error"].to_numpy(float) ** 2
    before, after = pool(np.delete(y, at), np.delete(v, at), **how), pool(y, v, **how)
    cases = influence(after)
    verdicts = [verdict(fit.ci_low, fit.ci_high) for fit in (before, after)]
    new = newcomer(before, y[at], v[at])
    own = {name: float(group[name][at]) for name in ("estimate", "std_error", "ci_low", "ci_high")}
    return {
        **{f"study_{name}": value for name, value in own.items()},
        "weight": float(after.weights[at]),
        **_numbers("before", before),
        **_numbers("after", after),
        "change": after.estimate - before.estimate,
        "change_tau2": after.tau2 - before.tau2,
        "expected_low": new.low,
        "expected_high": new.high,
        "inside": new.inside,
        "residual": new.residual,
        "residual_df": new.df,
        "residual_p": new.p_value,
        "rstudent": float(cases.rstudent[at]),
        "is_influential": bool(cases.is_influential[at]),
        "before_verdict": verdicts[0],
        "after_verdict": verdicts[1],
        "conclusion_changed": verdicts[0] != verdicts[1],
    }


def _numbers(when: str, fit: PooledFit) -> dict:
    return {f"{when}_{name}": getattr(fit, name) for name in _POOLED}


def verdict(low: float, high: float) -> str:
    """What a confidence interval says of zero."""
    return zero(low, high) or "includes zero"
