"""Specifications pooled by Bayes's theorem: how far the answer depends on what is believed beforehand."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from twostage.multiverse.specifications import Specifications
from twostage.stats.base import NotEstimable
from twostage.stats.bayes import TauPrior, bayes_pool
from twostage.terms import DIRECTIONS

#: A prior of tau, and the standard deviation of the normal prior of the mean effect.
Prior = tuple[TauPrior, float]


def pool_under_priors(
    estimate: np.ndarray, std_error: np.ndarray, specs: Specifications, priors: Sequence[Prior], least: float
) -> pd.DataFrame:
    """Pool all studies under each prior and each combination of stage 1 that differs in more than how it is computed.

    Parameters
    ----------
    estimate, std_error : ndarray, shape (K, S, 2)
        Of K studies; NaN where there is none.
    specs : Specifications
        With S combinations of stage 1. Those with another minimum of sessions or other standard errors than the main
        analysis are left out.
    priors : sequence of Prior
    least : float
        The smallest effect of interest.

    Returns
    -------
    pandas.DataFrame
        specification (the first with that combination), direction, prior, median, ci_low, ci_high, below_zero and beyond
        (posterior probabilities of a negative effect, and of one beyond `least` on the side of the median).
    """
    values = specs.grid.values
    alike = [
        s
        for s, one in enumerate(specs.stage1)
        if (one.min_sessions, one.stage1_errors) == (values["min_sessions"][0], values["stage1_errors"][0])
    ]
    each = len(specs.stage2) * len(specs.grid.sets)
    rows = [
        {"specification": s * each, "direction": direction} | found
        for s in alike
        for d, direction in enumerate(DIRECTIONS)
        for prior in priors
        if (found := _pooled(estimate[:, s, d], std_error[:, s, d], prior, least))
    ]
    return pd.DataFrame(rows)


def _pooled(y: np.ndarray, se: np.ndarray, prior: Prior, least: float) -> dict:
    there = np.isfinite(y)
    if there.sum() < 2:
        return {}
    tau, sd = prior
    try:
        fit = bayes_pool(y[there], se[there] ** 2, prior=tau, sd=sd)
    except NotEstimable:
        return {}
    median = fit.effect.median
    beyond = fit.probability(-least) if median < 0 else 1.0 - fit.probability(least)
    mean = "uniform" if np.isinf(sd) else f"normal with standard deviation {sd:g}"
    return {
        "prior": f"tau {tau}; mean effect {mean}",
        "median": median,
        "ci_low": fit.effect.ci_low,
        "ci_high": fit.effect.ci_high,
        "below_zero": fit.probability(0.0),
        "beyond": beyond,
    }
