"""Random-effects meta-analysis of k estimates with known sampling variances."""

from dataclasses import replace

import numpy as np

from twostage.stats.base import (
    INTERVALS,
    NO_PREDICTION,
    PREDICTIONS,
    check_level,
    faults,
    raise_faults,
    real_array,
)
from twostage.stats.pool.core import pool_arrays, pool_blocks, rules_in_force
from twostage.stats.pool.results import PooledBatch, PooledFit
from twostage.stats.pool.tau2_column import METHODS


def pool(y, v, *, method="REML", ci="hartung-knapp", level=0.95, prediction="k-2", labels=None):
    """Pool k estimates with a random-effects model, ``y_i ~ N(theta, v_i + tau2)``.

    Parameters
    ----------
    y : array_like, shape (k,)
        Estimates.
    v : array_like, shape (k,)
        Their sampling variances (squared standard errors, squared units of y), positive.
    method : {"REML", "FE", "DL", "PM", "ML", "EB", "SJ", "HS", "HE"}
        Estimator of tau2, see :func:`twostage.stats.pool.tau2_column.estimate_tau2`. FE sets tau2 = 0.
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
        1e60 (every such study is named; see :mod:`twostage.stats.base.arrays`), an unknown method, interval or
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
    y, v, labels = _checked(y, v, labels)
    _check_options(method, ci, prediction)
    level = check_level(level)
    numbers, search = pool_arrays(y, v, method=method, ci=ci, level=level, prediction=prediction)
    weights = numbers.pop("weights")
    used_ci, _, rule, _ = rules_in_force(len(y), method, ci, prediction)
    for array in (y, v, weights):
        array.flags.writeable = False
    fit = PooledFit(
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
        note="",
        y=y,
        v=v,
        labels=labels,
    )
    return replace(fit, note="; ".join(_notes(fit, ci)))


def pool_many(Y, V, *, method="REML", ci="hartung-knapp", level=0.95, prediction="k-2"):
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
    """
    Y, V = real_array(Y, "Y"), real_array(V, "V")
    if Y.ndim != 2 or Y.size == 0 or V.shape not in (Y.shape, Y.shape[1:]):
        raise ValueError(f"Y must be (n, k) and V (n, k) or (k,), neither empty; got {Y.shape} and {V.shape}")
    V = np.broadcast_to(V, Y.shape)
    raise_faults(faults(Y, V, lambda at: f"meta-analysis {at[0]}, study {at[1]}"))
    _check_options(method, ci, prediction)
    level = check_level(level)
    numbers, search = pool_blocks(Y, V, method=method, ci=ci, level=level, prediction=prediction)
    used_ci, _, rule, _ = rules_in_force(Y.shape[1], method, ci, prediction)
    return PooledBatch(
        **numbers, pi_rule=rule, k=Y.shape[1], method=method, ci=used_ci, level=level, search=search
    )


def _checked(y, v, labels):
    y, v = real_array(y, "y"), real_array(v, "v")
    if y.ndim != 1 or y.shape != v.shape:
        raise ValueError(f"y and v must be one-dimensional and equally long; got {y.shape} and {v.shape}")
    if y.size == 0:
        raise ValueError("no study to pool: y is empty")
    names = tuple(str(x) for x in (range(len(y)) if labels is None else labels))
    if len(names) != len(y):
        raise ValueError(f"{len(names)} labels for {len(y)} studies")
    shown = names if labels is not None else None
    raise_faults(faults(y, v, lambda at: f"study {at[0]}" + (f" ({shown[at[0]]})" if shown else "")))
    return y, v, names


def _check_options(method, ci, prediction):
    for name, value, known in (
        ("method", method, METHODS),
        ("ci", ci, INTERVALS),
        ("prediction", prediction, tuple(PREDICTIONS)),
    ):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}")


def _notes(fit, asked_ci):
    if fit.k == 1:
        note = "one study: its own estimate and normal interval; heterogeneity cannot be estimated, "
        return [note + "tau2 is 0 by definition"]
    notes = []
    if fit.k == 2 and fit.pi_rule == NO_PREDICTION and fit.method != "FE":
        notes.append("two studies: no prediction interval with k - 2 degrees of freedom")
    if fit.variance_factor == 0.0:
        notes.append("the estimates agree exactly: the Hartung-Knapp interval has width 0")
    if fit.method == "FE" and asked_ci != "wald":
        notes.append("Hartung-Knapp inference is not meant for a fixed-effect model")
    maxima = int(fit.search.n_maxima)
    if maxima > 1:
        notes.append(f"the likelihood of tau2 has {maxima} local maxima; the highest is reported")
    return notes
