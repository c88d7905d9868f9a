"""Random-effects meta-analysis of k estimates with known sampling variances."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from twostage.stats.base import (
    INTERVALS,
    NO_PREDICTION,
    PREDICTIONS,
    check_choice,
    check_estimates,
    check_level,
    critical_value,
    faults,
    frozen,
    raise_problems,
    real_array,
    variance_factor,
    wald,
)
from twostage.stats.pool.design import project
from twostage.stats.pool.results import PooledBatch, PooledFit
from twostage.stats.pool.tau2 import METHODS, Tau2Search, estimate_tau2, heterogeneity

#: Meta-analyses pooled together: their arrays stay in the processor's cache, however many there are.
BLOCK = 4096

#: The choices of estimator, interval and prediction interval, for type checkers.
Tau2Method = Literal["REML", "FE", "DL", "PM", "ML", "EB", "SJ", "HS", "HE"]


Interval = Literal["hartung-knapp", "hartung-knapp-adhoc", "wald"]


PredictionRule = Literal["k-2", "k-1", "normal"]


def pool(
    y: ArrayLike,
    v: ArrayLike,
    *,
    method: Tau2Method = "REML",
    ci: Interval = "hartung-knapp",
    level: float = 0.95,
    prediction: PredictionRule = "k-2",
    labels: Sequence[str] | None = None,
) -> PooledFit:
    """Pool k estimates with a random-effects model, ``y_i ~ N(theta, v_i + tau2)``.

    Parameters
    ----------
    y : array_like, shape (k,)
        Estimates.
    v : array_like, shape (k,)
        Their sampling variances (squared standard errors, squared units of y), positive.
    method : {"REML", "FE", "DL", "PM", "ML", "EB", "SJ", "HS", "HE"}
        Estimator of tau2, see :func:`twostage.stats.pool.tau2.estimate_tau2`. FE sets tau2 = 0.
    ci : {"hartung-knapp", "hartung-knapp-adhoc", "wald"}
        With ``w = 1 / (v + tau2)``, ``theta = sum w y / sum w`` and ``s = sum w (y - theta)^2 / (k-1)``:
        variance ``1 / sum w`` and normal quantiles (wald); ``s / sum w`` and t with k - 1 df (Hartung & Knapp
        2001, doi:10.1002/sim.791; Sidik & Jonkman 2002, doi:10.1002/sim.1262); ``max(1, s) / sum w`` and t
        with k - 1 df (ad hoc, Knapp & Hartung 2003, doi:10.1002/sim.1482).
    level : float
        Coverage of confidence and prediction intervals, in (0, 1).
    prediction : {"k-2", "k-1", "normal"}
        Prediction interval ``theta -+ c sqrt(tau2 + std_error^2)``, std_error being that of `ci`; c is the
        quantile of t with k - 2 df (Higgins, Thompson & Spiegelhalter 2009,
        doi:10.1111/j.1467-985X.2008.00552.x; with Hartung-Knapp's standard error Partlett & Riley 2017,
        doi:10.1002/sim.7140), of t with k - 1 df, or of the normal distribution.
    labels : sequence of str, optional
        Names of the studies, used in messages.

    Returns
    -------
    PooledFit

    Raises
    ------
    ValueError
        Empty or mismatched input, masked values, texts, estimates beyond 1e30, variances outside of 1e-60 to
        1e60 (every such study is named; see :mod:`twostage.stats.base.checks`), an unknown method, interval or
        prediction rule, a level outside (0, 1).

    Notes
    -----
    Degenerate cases are computed and named in `note`. One study: its own estimate and normal interval, tau2
    and Q of 0 by definition, no prediction interval. Two studies: no prediction interval by the rule k - 2.
    FE has no prediction interval: it assumes that effects do not vary. Estimates that agree exactly:
    Hartung-Knapp's interval has width 0.

    Checked against metafor 3.8-1 (``rma``, ``predict``, ``confint``, ``logLik``) on 17 published and 12
    extreme data sets, every method with every interval. Three differences. (a) Where the likelihood has
    several maxima metafor may report a lower one; here it is the highest. (b) metafor's default prediction
    interval is the rule k - 1 after ``test="knha"`` or ``"adhoc"``, normal after ``"z"``; the rule k - 2 is
    its ``pi.type="riley"`` (``predtype="Riley"`` in newer versions), which uses 1 df where k = 2. (c) For one
    study metafor's ``"knha"`` has a standard error of 0 and no interval.
    """
    y, v, shown = check_estimates(y, v, labels)
    _check_options(method, ci, prediction)
    level = check_level(level)
    numbers, search = pool_arrays(y, v, method=method, ci=ci, level=level, prediction=prediction)
    y, v, weights = frozen(y, v, numbers.pop("weights"))
    used_ci, _, rule, _ = rules_in_force(len(y), method, ci, prediction)
    maxima = int(search.n_maxima)
    notes = _notes(len(y), method, rule, ci, float(numbers["variance_factor"]), maxima)
    return PooledFit(
        **{name: number.item() for name, number in numbers.items()},
        weights=weights,
        pi_rule=rule,
        k=len(y),
        converged=bool(search.converged),
        boundary=bool(search.boundary),
        method=method,
        ci=used_ci,
        level=level,
        search=search,
        note="; ".join(notes),
        y=y,
        v=v,
        labels=shown,
    )


def pool_many(
    Y: ArrayLike,
    V: ArrayLike,
    *,
    method: Tau2Method = "REML",
    ci: Interval = "hartung-knapp",
    level: float = 0.95,
    prediction: PredictionRule = "k-2",
) -> PooledBatch:
    """Pool many meta-analyses of k estimates each in one vectorised call.

    Parameters
    ----------
    Y, V : array_like, shape (n, k)
        Row = meta-analysis, column = study; `V` may be (k,), the same for all.
    method, ci, level, prediction
        As of :func:`pool`.

    Returns
    -------
    PooledBatch
        Row i holds the numbers of ``pool(Y[i], V[i], ...)``.

    Raises
    ------
    ValueError
        As :func:`pool`; the message names row and study.

    Examples
    --------
    >>> import twostage as ts
    >>> fits = ts.pool_many([[0.21, 0.08, 0.30], [0.10, 0.52, 0.33]], [0.010, 0.014, 0.020])
    >>> fits.estimate.round(3), fits.tau2.round(3)
    (array([0.188, 0.31 ]), array([0.   , 0.035]))
    """
    Y, V = real_array(Y, "Y"), real_array(V, "V")
    if Y.ndim != 2 or Y.size == 0 or V.shape not in (Y.shape, Y.shape[1:]):
        raise ValueError(f"Y must be (n, k) and V (n, k) or (k,), neither empty; got {Y.shape} and {V.shape}")
    V = np.broadcast_to(V, Y.shape)
    raise_problems(faults(Y, V, lambda at: f"meta-analysis {at[0]}, study {at[1]}"))
    _check_options(method, ci, prediction)
    level = check_level(level)
    numbers, search = pool_blocks(Y, V, method=method, ci=ci, level=level, prediction=prediction)
    used_ci, _, rule, _ = rules_in_force(Y.shape[1], method, ci, prediction)
    return PooledBatch(
        **numbers, pi_rule=rule, k=Y.shape[1], method=method, ci=used_ci, level=level, search=search
    )


def _check_options(method, ci, prediction):
    check_choice("method", method, METHODS)
    check_choice("ci", ci, INTERVALS)
    check_choice("prediction", prediction, PREDICTIONS)


def rules_in_force(k, method, ci, prediction):
    """What can be applied to k studies: the interval's rule and df, the prediction rule and df.

    One study has no Hartung-Knapp interval (0 degrees of freedom): its own normal interval is given. A
    prediction interval needs a random-effects model and at least one degree of freedom, otherwise its df is
    NaN.
    """
    ci = "wald" if k == 1 else ci
    df = np.inf if ci == "wald" else float(k - 1)
    rule_df = {"k-2": k - 2.0, "k-1": k - 1.0, "normal": np.inf if k > 1 else 0.0}[prediction]
    if method == "FE" or rule_df < 1:
        return ci, df, NO_PREDICTION, np.nan
    return ci, df, PREDICTIONS[prediction], rule_df


def pool_arrays(y, v, *, method, ci, level, prediction):
    """Pool along the last axis; see :func:`pool` for the meaning of everything.

    Parameters
    ----------
    y, v : ndarray, shape (..., k)
        Checked already.
    method, ci, level, prediction

    Returns
    -------
    numbers : dict of ndarray
        Shape (...), `weights` (..., k); names as in :class:`~twostage.stats.pool.results.PooledFit`.
    search : Tau2Search
    """
    k = y.shape[-1]
    ci, df, _, prediction_df = rules_in_force(k, method, ci, prediction)
    search = estimate_tau2(y, v, method)
    tau2 = search.tau2
    centre = y.mean(axis=-1, keepdims=True)  # taken out first, so that estimates far from 0 cost no digits
    at = project(y - centre, 1.0 / (v + tau2[..., None]))
    estimate = at.mean + centre[..., 0]
    factor = variance_factor(at.rss, k - 1, ci)
    std_error = np.sqrt(factor / at.total)
    reach = critical_value(prediction_df, level) * np.sqrt(tau2 + std_error**2)
    numbers = {
        "estimate": estimate,
        "std_error": std_error,
        "df": np.full(estimate.shape, df),
        "tau2": tau2,
        "tau": np.sqrt(tau2),
        "pi_low": estimate - reach,
        "pi_high": estimate + reach,
        "variance_factor": factor,
        "weights": 100.0 * at.hat,
    }
    return numbers | wald(estimate, std_error, df, level) | heterogeneity(y, v, tau2, method, at=at), search


def pool_blocks(Y, V, **options):
    """:func:`pool_arrays` for n meta-analyses of k studies, shape (n, k), block by block.

    A block is laid out study by study, so that a sum over studies adds whole columns: several times faster than
    summing short rows, equal up to rounding.
    """
    starts = range(0, len(Y), BLOCK)
    parts = [
        pool_arrays(np.asfortranarray(Y[i : i + BLOCK]), np.asfortranarray(V[i : i + BLOCK]), **options)
        for i in starts
    ]
    numbers = {name: np.concatenate([part[name] for part, _ in parts]) for name in parts[0][0]}
    found = ("tau2", "boundary", "converged", "iterations", "n_maxima")
    joined = (np.concatenate([getattr(search, name) for _, search in parts]) for name in found)
    return numbers, Tau2Search(*joined, algorithm=parts[0][1].algorithm)


def _notes(k, method, pi_rule, asked_ci, factor, maxima):
    if k == 1:
        note = "one study: its own estimate and normal interval; heterogeneity cannot be estimated, "
        return [note + "tau2 is 0 by definition"]
    notes = []
    if k == 2 and pi_rule == NO_PREDICTION and method != "FE":
        notes.append("two studies: no prediction interval with k - 2 degrees of freedom")
    if factor == 0.0:
        notes.append("the estimates agree exactly: the Hartung-Knapp interval has width 0")
    if method == "FE" and asked_ci != "wald":
        notes.append("Hartung-Knapp inference is not meant for a fixed-effect model")
    if maxima > 1:
        notes.append(f"the likelihood of tau2 has {maxima} local maxima; the highest is reported")
    return notes
