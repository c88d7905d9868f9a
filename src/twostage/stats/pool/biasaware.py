"""Pooled intervals that know of a bias of the estimates that went in."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from twostage.stats.base import check_choice, critical_value
from twostage.stats.pool.results import PooledFit

RULES = ("shift", "widen")


@dataclass(frozen=True)
class BiasAware:
    """A pooled estimate with its plain interval and one that allows for bias.

    Attributes
    ----------
    estimate, ci_low, ci_high : float
        The pooled estimate less the bias (shift), or as it is (widen), and the interval.
    plain_estimate, plain_low, plain_high : float
        As they were.
    bias, bias_se : float
        Bias of the pooled estimate and its Monte Carlo standard error.
    rule : {"shift", "widen"}
    level : float
    """

    estimate: float
    ci_low: float
    ci_high: float
    plain_estimate: float
    plain_low: float
    plain_high: float
    bias: float
    bias_se: float
    rule: str
    level: float


def bias_aware(fit: PooledFit, bias: float, bias_se: float = 0.0, *, rule: str = "shift") -> BiasAware:
    """An interval for a pooled effect whose estimator has a known bias.

    Parameters
    ----------
    fit : PooledFit
        With estimate m, standard error s, and c, the quantile that its interval uses.
    bias : float
        Expected pooled estimate less the truth, b, from a simulation like the data at hand.
    bias_se : float
        Its Monte Carlo standard error, e.
    rule : {"shift", "widen"}
        shift: ``m - b -+ h``, with ``h = sqrt((c s)^2 + (z e)^2)`` and z the normal quantile. widen: from the lower end of
        ``m -+ c s`` and the shifted interval to the upper end of both: it never is narrower than the plain interval, and
        for those who do not trust the simulation enough to move the estimate.

    Returns
    -------
    BiasAware

    Raises
    ------
    ValueError
        A bias that is not finite, a standard error that is not finite and at least 0, or an unknown rule.

    Notes
    -----
    The bias is that of the simulation's condition. If the data were generated otherwise, so is the bias. The two sources of
    error are independent: the simulation does not use the data.
    """
    check_choice("rule", rule, RULES)
    if not np.isfinite(bias) or not (np.isfinite(bias_se) and bias_se >= 0):
        raise ValueError(f"bias must be finite and bias_se finite and at least 0; got {bias} and {bias_se}")
    half = np.hypot(critical_value(fit.df, fit.level) * fit.std_error, ndtri(0.5 + fit.level / 2) * bias_se)
    shifted = fit.estimate - bias
    low, high, estimate = shifted - half, shifted + half, shifted
    if rule == "widen":
        low, high, estimate = min(low, fit.ci_low), max(high, fit.ci_high), fit.estimate
    return BiasAware(
        estimate=float(estimate),
        ci_low=float(low),
        ci_high=float(high),
        plain_estimate=fit.estimate,
        plain_low=fit.ci_low,
        plain_high=fit.ci_high,
        bias=float(bias),
        bias_se=float(bias_se),
        rule=rule,
        level=fit.level,
    )
