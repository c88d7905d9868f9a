"""One study's lagged effects by every estimator, side by side."""

from dataclasses import replace
from functools import singledispatch
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from twostage.stage1.bounds import why_not
from twostage.stage1.estimates import StudyEstimates
from twostage.stage1.estimator_batch import COEFFICIENTS, EffectBatch, estimate_batch
from twostage.stage1.panel import Panel, varies
from twostage.terms import COLUMNS, ESTIMATORS

#: Replicates behind the jackknife's standard error, and their seed: the same data give the same numbers.
BOOTSTRAPS, SEED = 1000, 20201101


_FIT = ("variant", "direction", "n_patients", "n_transitions", "loglik", "sigma2", "re_variance")


@singledispatch
def estimators(panel: Panel, *, bootstraps: int = BOOTSTRAPS) -> StudyEstimates:
    """Reciprocal lagged effects of one study by every estimator of :data:`twostage.terms.ESTIMATORS`.

    Parameters
    ----------
    panel : Panel
        Its scores, standardized and detrended as the parameters say, are what each estimator starts from.
    bootstraps : int
        Replicates behind the jackknife's standard error.

    Returns
    -------
    StudyEstimates
        Analysis `estimators`; terms x_within and y_within of both directions. The estimator is also the variant, so that
        each has its own pool. Covariances are not kept.

    Notes
    -----
    The centred estimators and the jackknife take the panel's eligible patients, the covariance-structure models
    everyone with a score in the window. `singular` of the latter means that some estimated covariance matrix is none (a
    negative variance, or a correlation beyond 1). Sources and checks: :mod:`twostage.stats.centred.jackknife`,
    :mod:`twostage.stats.riclpm.fit`, :mod:`twostage.stats.dpm.fit`; the centred estimator is that of
    :func:`twostage.stage1.equations.lagged`, by another path.

    Examples
    --------
    >>> import twostage as ts
    >>> panel = ts.make_panel(ts.read_collection("data").study("S02"))
    >>> estimates = ts.estimators(panel, bootstraps=50).tidy()
    >>> effect = estimates.query("direction == 'x_to_y' and term == 'x_within'").set_index("estimator")["estimate"]
    >>> effect[["centred", "jackknife", "riclpm", "dpm"]].round(3).to_dict()
    {'centred': -0.119, 'jackknife': -0.153, 'riclpm': -0.116, 'dpm': -0.231}
    """
    scores, _ = panel.wide()
    constant = never_varies(scores)
    options: dict[str, Any] = {"lag": panel.parameters.lag, "min_sessions": panel.parameters.min_sessions}
    options |= {"reliability": panel.reliability, "reliability_kind": panel.reliability_kind}
    options["errors"] = panel.parameters.stage1_errors
    tables, fits, failures = [], [], []
    for name in ESTIMATORS:
        if constant:
            failures += [{"variant": name, "direction": d, "reason": constant} for d in ("x_to_y", "y_to_x")]
            continue
        batch = within_bounds(estimate_batch(name, [scores], **options, bootstraps=bootstraps, seed=SEED))
        tables.append(table_rows(panel, name, batch))
        fits += fit_rows_of(name, batch)
        failures += failures_of(name, batch)
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
    return StudyEstimates(
        study=panel.study,
        analysis="estimators",
        table=table,
        fits=pd.DataFrame(fits),
        exclusions=panel.exclusions,
        failures=pd.DataFrame(failures, columns=["variant", "direction", "reason"]),
    )


def never_varies(scores: np.ndarray) -> str:
    """Why nothing can be estimated, if so: a variable that is never observed or never varies within a patient."""
    for v, name in enumerate(("x", "y")):
        own = [row[np.isfinite(row)] for row in scores[..., v]]
        deviations = np.concatenate([o - o.mean() for o in own if len(o)] or [np.zeros(0)])
        if not varies(deviations, np.concatenate(own or [np.zeros(1)])):
            return f"{name} does not vary within patients"
    return ""


def within_bounds(batch: EffectBatch) -> EffectBatch:
    """A batch, each equation with a number that cannot be handed on turned into a failure."""
    reasons = batch.reasons.copy()
    for b, j in np.ndindex(*reasons.shape):
        row = {name: getattr(batch, name)[b, j] for name in ("estimate", "std_error", "df")}
        reason = None if reasons[b, j] else why_not(row)
        if reason is not None:
            first = j - j % 2
            reasons[b, first : first + 2] = f"{COEFFICIENTS[j][1]}: {reason}"
    return replace(batch, reasons=reasons)


def table_rows(panel: Panel, name: str, batch: EffectBatch) -> pd.DataFrame:
    """One panel's estimates as rows of a table."""
    keep = np.array([not reason for reason in batch.reasons[0]])
    estimate, error, df = batch.estimate[0][keep], batch.std_error[0][keep], batch.df[0][keep]
    z = estimate / error
    normal = np.isinf(df)
    finite = np.where(normal, 1.0, df)
    p = 0.5 + panel.parameters.level / 2
    half = np.where(normal, ndtri(p), stdtrit(finite, p)) * error
    columns = {"study": panel.study, "analysis": "estimators", "variant": name, "estimator": name}
    columns |= {"estimate": estimate, "std_error": error, "df": df, "statistic": z}
    columns["p_value"] = 2 * np.where(normal, ndtr(-np.abs(z)), stdtr(finite, -np.abs(z)))
    columns |= {"ci_low": estimate - half, "ci_high": estimate + half}
    for column in ("n_patients", "n_transitions", "converged", "singular"):
        columns[column] = getattr(batch, column)[0][keep]
    where = pd.DataFrame(COEFFICIENTS, columns=["direction", "term"])[keep].reset_index(drop=True)
    return where.assign(**columns)[COLUMNS]


def fit_rows_of(name: str, batch: EffectBatch) -> list[dict]:
    """One row per fitted equation of one panel."""
    rows = []
    for j in (0, 2):
        if batch.reasons[0, j]:
            continue
        values = (name, COEFFICIENTS[j][0], int(batch.n_patients[0, j]), int(batch.n_transitions[0, j]))
        row = dict(zip(_FIT, (*values, float(batch.loglik[0, j]), None, None), strict=True))
        row |= {"converged": bool(batch.converged[0, j]), "singular": bool(batch.singular[0, j])}
        rows.append(row | {"evaluations": int(batch.evaluations[0, j])})
    return rows


def failures_of(name: str, batch: EffectBatch) -> list[dict]:
    """The equations of one panel that could not be estimated, with the reasons."""
    return [
        {"variant": name, "direction": COEFFICIENTS[j][0], "reason": batch.reasons[0, j]}
        for j in (0, 2)
        if batch.reasons[0, j]
    ]
