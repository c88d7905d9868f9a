"""What a better session does after one, two, three sessions: the whole matrix of lagged effects, pooled and followed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from twostage.collection import Collection
from twostage.display import html_table, interval, number, number_in, with_interval
from twostage.pages.joint.analysis import of_study
from twostage.records import Record
from twostage.stage2 import Attempt, PooledTable, attempt
from twostage.stats.base import NotEstimable
from twostage.stats.multilevel import MvFit, Responses, impulse_responses, pool_several
from twostage.terms import arrow
from twostage.words import say

#: The matrix row by row: what x and y have, after one occasion, of x and of y.
ENTRIES = (("y_to_x", "x_within"), ("y_to_x", "y_within"), ("x_to_y", "x_within"), ("x_to_y", "y_within"))


#: Occasions ahead that are shown.
HORIZON = 6


#: Fewest studies for an unrestricted covariance of four effects between studies; fewer get a variance for each.
ENOUGH = 8


@dataclass(frozen=True, eq=False)
class DynamicsPool:
    """The pooled matrix of lagged effects and what it does over time.

    Attributes
    ----------
    fit : MvFit
        Of the four effects of :data:`ENTRIES`.
    responses : Responses
    k : int
        Studies with all four.
    left_out : pandas.DataFrame
        study, reason.
    """

    fit: MvFit
    responses: Responses
    k: int
    left_out: pd.DataFrame

    @property
    def converged(self) -> bool:
        """Whether the optimiser reached its tolerance."""
        return self.fit.converged

    def tidy(self) -> pd.DataFrame:
        """One row per impulse, variable and occasion."""
        return self.responses.tidy()

    def _repr_html_(self) -> str:
        return html_table(self.tidy())


def examine_dynamics(records: Sequence[Record], options: dict) -> Attempt:
    """Pool the matrix of lagged effects and follow it, or say why not.

    Parameters
    ----------
    records : sequence of Record
        Of the analysis ``lagged``.
    options : dict
        As :func:`twostage.pages.joint.analysis.joint_options` makes them.

    Returns
    -------
    Attempt of DynamicsPool
    """
    return attempt(pool_dynamics, records, **options)


def pool_dynamics(
    records: Sequence[Record], *, method: str = "REML", test: str = "t", level: float = 0.95
) -> DynamicsPool:
    """Pool the four lagged effects of each study jointly and follow them over the next occasions.

    Parameters
    ----------
    records : sequence of Record
    method : {"REML", "ML"}
    test : {"t", "z"}
        Intervals with the number of studies less 1 degrees of freedom, or normal.
    level : float

    Returns
    -------
    DynamicsPool

    Raises
    ------
    NotEstimable
        Fewer than two studies have all four effects with their covariance.

    Notes
    -----
    Sampling covariances are cluster-robust (:func:`twostage.stats.mixed.stacked.stacked_covariance`). The covariance of the
    true effects between studies is unrestricted, or diagonal where fewer than :data:`ENOUGH` studies have them.
    """
    rows, blocks, reasons = [], [], []
    for record in records:
        estimates, block, why = of_study(record, ENTRIES, "main", "robust")
        if why:
            reasons.append({"study": record.study, "reason": "; ".join(dict.fromkeys(why.values()))})
        else:
            rows.append(estimates)
            blocks.append(block)
    k = len(rows)
    if k < 2:
        raise NotEstimable(
            f"{k} of the studies have all four lagged effects with their covariance, and two are needed"
        )
    struct = "UN" if k >= ENOUGH else "DIAG"
    fit = pool_several(np.array(rows), np.array(blocks), struct=struct, method=method, level=level)
    df = k - 1.0 if test == "t" else np.inf
    matrix = fit.coef.reshape(2, 2)
    responses = impulse_responses(matrix, fit.cov_coef, horizon=HORIZON, df=df, level=level)
    return DynamicsPool(fit, responses, k, pd.DataFrame(reasons, columns=["study", "reason"]))


def without_bias(pooled: PooledTable, estimator: str) -> Attempt:
    """The same responses, without intervals, from the effects that another estimator gave and that were pooled one by one.

    Parameters
    ----------
    pooled : PooledTable
        Of the analysis ``estimators``.
    estimator : str
        Its variant.

    Returns
    -------
    Attempt of Responses
    """
    return attempt(_without_bias, pooled, estimator)


def _without_bias(pooled: PooledTable, estimator: str) -> Responses:
    table = pooled.table[pooled.table["variant"] == estimator].set_index(["direction", "term"])
    if missing := [key for key in ENTRIES if key not in table.index]:
        raise NotEstimable(f"no study has {len(missing)} of the four effects by this estimator")
    phi = table["estimate"].loc[list(ENTRIES)].to_numpy(float).reshape(2, 2)
    return impulse_responses(phi, np.zeros((4, 4)), horizon=HORIZON)


def responses_table(
    result: DynamicsPool, collection: Collection, other: Responses | None = None
) -> pd.DataFrame:
    """Cross-lagged responses, a row per direction and occasion, beside those of another estimator; all text."""
    table, rows = result.tidy(), []
    beside = None if other is None else other.tidy()["estimate"]
    for i, row in table.iterrows():
        if row["impulse"] == row["variable"]:
            continue
        name = arrow(f"{row['impulse']}_to_{row['variable']}", collection.x.label, collection.y.label)
        text = {
            "effect": name,
            say("sessions later"): row["occasion"],
            "response": number_in(row["estimate"], row["ci_low"], row["ci_high"], 3),
        }
        text[f"{100 * result.responses.level:g} % CI"] = interval(row["ci_low"], row["ci_high"], 3)
        if beside is not None:
            text["panel model"] = number(beside.iloc[i], 3)
        rows.append(text)
    return pd.DataFrame(rows)


def dynamics_sentences(found: Attempt, collection: Collection) -> dict[str, str]:
    """What comes of a unit more of either variable, in words: x, y, remarks."""
    if not found:
        return {"x": "", "y": "", "remarks": say(found.words)}
    result = found.result
    labels = {"x": collection.x.label, "y": collection.y.label}
    words = {v: say(_sentence(result.responses, v, labels)) for v in ("x", "y")}
    remarks = [f"{result.k} studies have all four lagged effects with their covariance."]
    if len(result.left_out):
        remarks.append(f"Without: {', '.join(result.left_out['study'])}.")
    if result.fit.struct == "DIAG":
        remarks.append(
            f"With fewer than {ENOUGH} studies the true effects are taken as uncorrelated between studies."
        )
    if not result.converged:
        remarks.append("The fit did not converge.")
    if not result.responses.stable:
        remarks.append("The responses do not die out, so that their sums do not exist.")
    return words | {"remarks": say(" ".join(remarks))}


def _sentence(responses: Responses, impulse: str, labels: dict[str, str]) -> str:
    variable = "y" if impulse == "x" else "x"
    table = responses.tidy().set_index(["impulse", "variable", "occasion"]).loc[(impulse, variable)]
    parts = [
        f"{with_interval(table.loc[at, 'estimate'], table.loc[at, 'ci_low'], table.loc[at, 'ci_high'], 3)} {words}"
        for at, words in (("1", "at the next session"), ("2", "at the second"), ("3", "at the third"))
    ]
    said = f"After a session with one unit more {labels[impulse]} than usual, {labels[variable]} differs by "
    said += ", ".join(parts)
    if not responses.stable:
        return f"{said}."
    last = table.loc["all later"]
    total = with_interval(last["estimate"], last["ci_low"], last["ci_high"], 3)
    return f"{said}; summed over all later sessions by {total}."
