"""Probability that the true effect of a new study lies beyond a threshold."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtrc, gammaln, ndtr, stdtr

from twostage.stats.base import PREDICTIONS, check_level, html, one_row
from twostage.stats.pool.design import project
from twostage.stats.pool.results import PooledFit
from twostage.stats.pool.tau2 import generalised_q, solve_q

_EFFECT = ("estimate", "std_error", "ci_low", "ci_high", "predictive")


_HOW = ("threshold", "above", "k", "level", "converged", "note")


# Gauss-Legendre nodes of the confidence distribution: doubling them moves no end by 1e-9 (tested).
NODES = 256


# chi(df) lies beyond this many units from its mode with a probability below 1e-20.
_REACH = 10.0


# Standardized distances beyond which the normal distribution is 0 or 1 in doubles.
_FAR = 40.0


@dataclass(frozen=True)
class Exceedance:
    """Share of true effects beyond a threshold, ``P(theta_new > q)`` (or below).

    Attributes
    ----------
    threshold : float
        q, units of y.
    above : bool
        Above the threshold; False: below.
    estimate : float
        ``Phi((theta - q) / tau)`` with the fit's estimates: 0, 0.5 or 1 where tau2 is estimated at 0.
    std_error : float
        Of `estimate`, by the delta method; NaN where tau2 is estimated at 0.
    ci_low, ci_high : float
        From the confidence distribution of ``(theta - q) / tau``, whatever the estimator of tau2.
    predictive : float
        The same probability with the uncertainty of theta, by the rule of the fit's prediction interval; NaN where
        there is none.
    level : float
    k : int
    converged : bool
    note : str
    """

    threshold: float
    above: bool
    estimate: float
    std_error: float
    ci_low: float
    ci_high: float
    predictive: float
    level: float
    k: int
    converged: bool
    note: str

    def tidy(self):
        """One row: threshold, above, estimate, std_error, ci_low, ci_high, predictive."""
        return one_row(self, ("threshold", "above", *_EFFECT))

    def glance(self):
        """One row: how it was computed, flags."""
        return one_row(self, _HOW)

    def _repr_html_(self):
        side = "above" if self.above else "below"
        caption = f"Share of true effects {side} {self.threshold:g} ({self.k} studies)"
        return html(
            caption, one_row(self, _EFFECT), [("level", f"{100 * self.level:g}%"), ("note", self.note)]
        )


def exceedance(fit: PooledFit, threshold=0.0, *, above=True, level=None, nodes=NODES) -> Exceedance:
    """Probability that a new study's true effect lies above (below) a threshold q.

    Parameters
    ----------
    fit : PooledFit
        Of a random-effects method.
    threshold : float
        q, units of y.
    above : bool
    level : float, optional
        Default: the fit's.
    nodes : int
        Of the quadrature behind the interval.

    Returns
    -------
    Exceedance
        With true effects ``N(theta, tau2)`` the share above q is ``Phi(zeta)``, ``zeta = (theta - q) / tau``; the
        estimate and its delta-method standard error ``phi(zeta) sqrt(var(theta) / tau2 + zeta^2 var(tau2) / (4
        tau2^2))`` are those of Mathur & VanderWeele 2019 (doi:10.1002/sim.8057).

        The interval does not use that standard error, which does not exist at tau2 = 0. Two exact pivots are turned
        into a distribution of zeta (a generalized confidence interval, Weerahandi 1993, Journal of the American
        Statistical Association 88, 899-905): ``Q(tau2) ~ chi2(k-1)``, as in the Q-profile interval (Viechtbauer 2007,
        doi:10.1002/sim.2514), and, independent of it, ``(theta - mean(tau2)) sqrt(sum w) ~ N(0, 1)``. Values of Q
        above Q(0) belong to no positive tau2. They are counted as tau2 = 0, where the share is 0 or 1; and they are
        excluded; each end is the wider one of the two answers, so that an interval may end at 0 or 1 but agreement
        between few studies alone never makes it a point.

        `predictive` is ``T_df((theta - q) / sqrt(tau2 + se^2))``, T the t distribution (or normal) of the fit's
        prediction interval: it is beyond (1 + level) / 2 exactly where that interval excludes q.

    Raises
    ------
    ValueError
        A fixed-effect fit, a threshold that is not finite, a level outside (0, 1).

    Notes
    -----
    One study: all NaN. Estimates that agree exactly: the interval is [0, 1]. Checked against the formulas run in R on
    metafor's fits, the interval by R's ``integrate`` and ``uniroot``, to 1e-7. Simulated coverage of 95% intervals (k of
    5 to 40, sampling variances of 0.01 to 0.09): nominal for tau2 = 0.2, 0.95 to 0.99 below, where tau2 is often
    estimated at 0.
    """
    q, level = float(threshold), fit.level if level is None else check_level(level)
    if fit.method == "FE":
        raise ValueError("a fixed-effect fit has no tau2; fit a random-effects method for a share of effects")
    if not np.isfinite(q):
        raise ValueError(f"the threshold must be finite; got {threshold!r}")
    sign = 1.0 if above else -1.0
    names = {"threshold": q, "above": bool(above), "level": level, "k": fit.k}
    if fit.k == 1:
        note = "one study: no information on heterogeneity"
        return Exceedance(**names, **dict.fromkeys(_EFFECT, float("nan")), converged=True, note=note)
    low, high, converged = _interval(sign * (fit.y - q), fit.v, level, nodes)
    estimate, std_error = _plug_in(fit, q, sign)
    numbers = {"estimate": estimate, "std_error": std_error, "ci_low": low, "ci_high": high}
    note = (
        "tau2 is estimated at 0: the estimate takes all true effects as equal, the interval does not"
        if fit.tau2 == 0.0
        else ""
    )
    return Exceedance(
        **names, **numbers, predictive=_predictive(fit, q, sign), converged=converged, note=note
    )


def _plug_in(fit, q, sign):
    gap = sign * (fit.estimate - q)
    if fit.tau2 == 0.0:
        return float(np.heaviside(gap, 0.5)), float("nan")
    zeta = gap / fit.tau
    spread = np.hypot(fit.std_error / fit.tau, 0.5 * zeta * fit.tau2_se / fit.tau2)
    return float(ndtr(zeta)), float(np.exp(-0.5 * zeta**2) / np.sqrt(2.0 * np.pi) * spread)


def _predictive(fit, q, sign):
    dfs = {"k-2": fit.k - 2.0, "k-1": fit.k - 1.0, "normal": np.inf}
    df = next((dfs[rule] for rule, words in PREDICTIONS.items() if words == fit.pi_rule), None)
    if df is None:
        return float("nan")
    gap, spread = sign * (fit.estimate - q), np.hypot(fit.tau, fit.std_error)
    if spread == 0.0:
        return float(np.heaviside(gap, 0.5))
    return float(ndtr(gap / spread) if np.isinf(df) else stdtr(df, gap / spread))


def _interval(y, v, level, nodes):
    """Interval of the share of true effects above 0."""
    mass, tau, mean, root_w, converged = _confidence_distribution(y, v, nodes)
    at = project(y, 1.0 / v)
    # At tau2 = 0 zeta is -inf with the probability that theta is below 0, else +inf.
    at_zero, below = 1.0 - mass.sum(), ndtr(-at.mean * np.sqrt(at.total))
    tail = (1.0 - level) / 2.0

    def beyond(zeta):
        """Confidence that (theta - q) / tau is at most zeta and tau2 > 0."""
        return mass @ ndtr((zeta * tau - mean) * root_w)

    def quantile(p):
        """Least zeta with a confidence of p, infinite where tau2 = 0 has it."""
        if beyond(-_FAR) >= p or p <= 0.0:
            return -np.inf
        return np.inf if beyond(_FAR) <= p else brentq(lambda z: beyond(z) - p, -_FAR, _FAR, xtol=1e-13)

    positive = mass.sum()
    ends = [
        (quantile(tail - at_zero * below), quantile(1.0 - tail - at_zero * below)),
        (quantile(tail * positive), quantile((1.0 - tail) * positive)),
    ]
    low, high = min(e[0] for e in ends), max(e[1] for e in ends)
    return float(ndtr(low)), float(ndtr(high)), converged


def _confidence_distribution(y, v, nodes):
    """Weights, tau, mean and root of total weight at positive tau2; what the weights lack to 1 is tau2 = 0.

    Q(tau2) = s^2 with s ~ chi(k-1), s = sin(angle) times its largest value: tau is then smooth where it reaches 0.
    """
    df, mode = len(y) - 1, np.sqrt(max(len(y) - 2.0, 0.0))
    q0 = float(generalised_q(y - y.mean(), v, 0.0))
    top = min(np.sqrt(q0), mode + _REACH)
    x, weight = np.polynomial.legendre.leggauss(nodes)
    angle = np.pi / 4.0 * (x + 1.0)
    s = top * np.sin(angle)
    log_density = (df - 1.0) * np.log(np.maximum(s, 1e-300)) - 0.5 * s**2 - gammaln(df / 2.0)
    mass = weight * np.pi / 4.0 * top * np.cos(angle) * np.exp(log_density + (1.0 - df / 2.0) * np.log(2.0))
    Y, V = np.broadcast_to(y - y.mean(), (nodes, df + 1)), np.broadcast_to(v, (nodes, df + 1))
    tau2, done, _ = solve_q(Y, V, np.maximum(s**2, 1e-300))
    at = project(Y, 1.0 / (V + tau2[:, None]))
    converged = bool(done.all() and abs(mass.sum() - (1.0 - chdtrc(df, q0))) < 1e-6)
    return mass, np.sqrt(tau2), at.mean + y.mean(), np.sqrt(at.total), converged
