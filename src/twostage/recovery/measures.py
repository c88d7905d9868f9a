"""Performance measures of an estimator over replicates, each with its Monte Carlo standard error."""

import numpy as np
import pandas as pd

#: What was measured.
NAMED = ("condition", "pool", "estimator", "direction", "term")


#: Columns of a table of measures, after those that name what was measured.
MEASURES = (
    "n_replicates",
    "truth",
    "bias",
    "bias_mcse",
    "empirical_se",
    "empirical_se_mcse",
    "rmse",
    "rmse_mcse",
    "coverage",
    "coverage_mcse",
    "rejection",
    "rejection_mcse",
    "mean_std_error",
    "mean_width",
)


def performance(
    estimate: np.ndarray, std_error: np.ndarray, low: np.ndarray, high: np.ndarray, truth: float
) -> dict[str, float]:
    """Measures of Morris, White & Crowther (2019), table 6, doi:10.1002/sim.8086.

    Parameters
    ----------
    estimate, std_error, low, high : ndarray, shape (R,)
        Of the R replicates in which there was an estimate; ends of the confidence interval.
    truth : float

    Returns
    -------
    dict
        :data:`MEASURES`. With d the deviations from the truth: bias mean(d), MCSE s / sqrt(R); empirical SE s, MCSE
        s / sqrt(2 (R - 1)); rmse sqrt(mean(d^2)), MCSE by the delta method; coverage and rejection (the interval
        excludes 0) as proportions p, MCSE sqrt(p (1 - p) / R). NaN where R is too small.
    """
    n = len(estimate)
    deviation = np.asarray(estimate, dtype=float) - truth
    spread = float(deviation.std(ddof=1)) if n > 1 else np.nan
    rmse = float(np.sqrt(np.mean(deviation**2))) if n else np.nan
    covered = _proportion((low <= truth) & (truth <= high))
    rejected = _proportion((low > 0) | (high < 0))
    return {
        "n_replicates": n,
        "truth": truth,
        "bias": float(deviation.mean()) if n else np.nan,
        "bias_mcse": spread / np.sqrt(n) if n else np.nan,
        "empirical_se": spread,
        "empirical_se_mcse": spread / np.sqrt(2 * (n - 1)) if n > 1 else np.nan,
        "rmse": rmse,
        "rmse_mcse": _rmse_error(deviation, rmse),
        "coverage": covered[0],
        "coverage_mcse": covered[1],
        "rejection": rejected[0],
        "rejection_mcse": rejected[1],
        "mean_std_error": float(np.mean(std_error)) if n else np.nan,
        "mean_width": float(np.mean(high - low)) if n else np.nan,
    }


def _proportion(happened: np.ndarray) -> tuple[float, float]:
    if not len(happened):
        return np.nan, np.nan
    p = float(np.mean(happened))
    return p, float(np.sqrt(p * (1 - p) / len(happened)))


def _rmse_error(deviation: np.ndarray, rmse: float) -> float:
    if len(deviation) < 2 or rmse == 0:
        return np.nan
    return float((deviation**2).std(ddof=1) / np.sqrt(len(deviation)) / (2 * rmse))


def summarise(replicates: pd.DataFrame, truth) -> pd.DataFrame:
    """Measures per condition, pool, estimator and coefficient.

    Parameters
    ----------
    replicates : DataFrame
        condition, pool, replicate, estimator, direction, term, k, estimate, std_error, ci_low, ci_high; estimate is NaN
        where nothing could be pooled.
    truth : callable
        (condition, direction, term) -> the true value.

    Returns
    -------
    DataFrame
        One row each, with `n_failed` (replicates without a pooled estimate) and `mean_k` (studies pooled).
    """
    rows = []
    for key, group in replicates.groupby(list(NAMED), sort=False):
        named = dict(zip(NAMED, key, strict=True))
        usable = group.dropna(subset=["estimate", "ci_low", "ci_high"])
        columns = [usable[c].to_numpy() for c in ("estimate", "std_error", "ci_low", "ci_high")]
        measures = performance(*columns, truth(named["condition"], named["direction"], named["term"]))
        left_out = {"n_failed": len(group) - len(usable), "mean_k": float(group["k"].mean())}
        rows.append(named | measures | left_out)
    return pd.DataFrame(rows)
