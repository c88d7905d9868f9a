"""Pooled effect, its inference and the prediction interval, for one meta-analysis or many at once."""

import numpy as np

from twostage.stats.base import NO_PREDICTION, PREDICTIONS, critical_value, two_sided_p
from twostage.stats.pool.heterogeneity import heterogeneity
from twostage.stats.pool.tau2_column import Tau2Search, estimate_tau2, tau2_std_error, weighted
from twostage.stats.pool.tau2_column_likelihood import log_likelihood

#: Meta-analyses pooled together: their arrays stay in the processor's cache, however many there are.
BLOCK = 4096


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


def variance_factor(q, k, ci):
    """Factor on the variance ``1 / sum w``: 1 (wald), ``Q(tau2) / (k-1)``, or that, at least 1 (ad hoc)."""
    if ci == "wald":
        return np.ones_like(q)
    # As metafor: a weighted sum of squares below the rounding error of doubles is exact agreement.
    factor = np.where(q <= np.finfo(float).eps, 0.0, q) / (k - 1)
    return np.maximum(factor, 1.0) if ci == "hartung-knapp-adhoc" else factor


def pool_arrays(y, v, *, method, ci, level, prediction):
    """Pool along the last axis; see :func:`twostage.stats.pool.pool.pool` for the meaning of everything.

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
    centre = y.mean(axis=-1, keepdims=True)
    w, sum_w, mean, r = weighted(y - centre, v, tau2)
    estimate = mean + centre[..., 0]
    factor = variance_factor((w * r**2).sum(axis=-1), k, ci)
    std_error = np.sqrt(factor / sum_w)
    statistic = _ratio(estimate, std_error)
    half = critical_value(df, level) * std_error
    reach = critical_value(prediction_df, level) * np.sqrt(tau2 + std_error**2)
    numbers = {
        "estimate": estimate,
        "std_error": std_error,
        "ci_low": estimate - half,
        "ci_high": estimate + half,
        "statistic": statistic,
        "df": np.full(estimate.shape, df),
        "p_value": two_sided_p(statistic, df),
        "tau2": tau2,
        "tau": np.sqrt(tau2),
        "tau2_se": tau2_std_error(y, v, tau2, method),
        "pi_low": estimate - reach,
        "pi_high": estimate + reach,
        "loglik": log_likelihood(y - centre, v, tau2, reml=method == "REML"),
        "variance_factor": factor,
        "weights": 100.0 * w / sum_w[..., None],
    }
    return numbers | heterogeneity(y, v, tau2, method), search


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


def _ratio(estimate, std_error):
    """estimate / std_error; with a standard error of 0, signed infinity (NaN for 0 / 0)."""
    exact = np.where(estimate == 0.0, np.nan, np.copysign(np.inf, estimate))
    return np.where(std_error > 0.0, estimate / np.where(std_error > 0.0, std_error, 1.0), exact)
