"""Bayesian random-effects meta-analysis: y ~ N(theta_i, v), theta_i ~ N(mu, tau^2), priors on mu and tau."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from twostage.stats.base import (
    NotEstimable,
    check_choice,
    check_estimates,
    check_level,
    frame,
    frozen,
    html,
    one_row,
)
from twostage.stats.bayes.distributions import Mixture, Tau, central, mode, quantile, shortest, shortest_tau
from twostage.stats.bayes.prior import TauPrior
from twostage.stats.bayes.quadrature import Panels, integrate

#: What is told of the effect, of tau and of a new study's effect.
SUMMARY = ("mode", "median", "mean", "std_dev", "ci_low", "ci_high")


_LOG_2PI = np.log(2.0 * np.pi)


# Beyond this many units of the data a density that falls with a power of tau has no mass that doubles could show.
_REACH = 1e13


_INTERVALS = {"shortest": shortest, "central": central}


# Points of the quadrature with less of the mass are left out of the mixtures.
_NO_MASS = 1e-17


@dataclass(frozen=True)
class Summary:
    """One posterior distribution in numbers; mean and std_dev are infinite or NaN where the prior leaves none."""

    mode: float
    median: float
    mean: float
    std_dev: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True, eq=False)
class BayesFit:
    """A Bayesian random-effects meta-analysis of k estimates.

    Attributes
    ----------
    effect, tau, new : Summary
        Posterior distributions of the mean effect, of the between-study standard deviation, and of the true effect in
        a new study.
    bf_effect, bf_tau : float
        Bayes factors of "the mean effect is 0" and of "tau is 0" against the model; above 1 they speak for 0. NaN
        where the priors that they rest on are improper.
    log_marginal : float
        Log of the marginal likelihood; NaN where a prior is improper.
    k : int
    prior : TauPrior
    prior_mean, prior_sd : float
        Of the normal prior of the mean effect; an infinite sd is the improper uniform prior.
    interval : str
    level : float
    converged : bool
        The quadrature reached its accuracy.
    note : str
    y, v : ndarray, shape (k,)
    labels : tuple of str
    """

    effect: Summary
    tau: Summary
    new: Summary
    bf_effect: float
    bf_tau: float
    log_marginal: float
    k: int
    prior: TauPrior
    prior_mean: float
    prior_sd: float
    interval: str
    level: float
    converged: bool
    note: str
    y: np.ndarray = field(repr=False)
    v: np.ndarray = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    mixtures: Mixture = field(repr=False)
    panels: Panels = field(repr=False)
    model: "Model" = field(repr=False)

    def probability(self, below: float, *, of: Literal["effect", "new", "tau"] = "effect") -> float:
        """Posterior probability that the mean effect, a new study's true effect, or tau lies below a value."""
        check_choice("of", of, ("effect", "new", "tau"))
        if of == "tau":
            return float(self.panels.share(np.array([float(below)]))[0])
        row, law = (0 if of == "effect" else 1), self.mixtures
        return float(ndtr((below - law.mean[row]) / law.sd[row]) @ law.mass)

    def density(self, at: ArrayLike, *, of: Literal["effect", "new", "tau"] = "effect") -> np.ndarray:
        """Posterior density at an array of values, for a picture."""
        check_choice("of", of, ("effect", "new", "tau"))
        at = np.asarray(at, dtype=float)
        if of == "tau":
            return np.where(at >= 0.0, self.panels.density(np.abs(at)), 0.0)
        row, law = (0 if of == "effect" else 1), self.mixtures
        row_law = Mixture(law.mass, law.mean[[row]], law.sd[[row]])
        return row_law.density(at)[0]

    def tidy(self):
        """Three rows, effect, tau and new: mode, median, mean, std_dev, ci_low, ci_high."""
        return frame([{"term": t} | vars(getattr(self, t)) for t in ("effect", "tau", "new")])

    def studies(self):
        """One row per study: its estimate, and its true effect given all studies (shrunken to the mean effect).

        Columns study, estimate, std_error; of the true effect median, mean, std_dev, ci_low, ci_high.
        """
        law = self.model.studies(self.panels)
        low, high = _INTERVALS[self.interval](law, self.level)
        mean = law.mean @ law.mass
        std_dev = np.sqrt((law.sd**2 + (law.mean - mean[:, None]) ** 2) @ law.mass)
        own = {"study": self.labels, "estimate": self.y, "std_error": np.sqrt(self.v)}
        of_all = {"median": quantile(law, 0.5), "mean": mean, "std_dev": std_dev}
        return frame(own | of_all | {"ci_low": low, "ci_high": high})

    def glance(self):
        """One row: priors, Bayes factors, flags."""
        names = ("k", "prior_mean", "prior_sd", "interval", "level", "bf_effect", "bf_tau", "log_marginal")
        row = one_row(self, (*names, "converged", "note"))
        return row.assign(prior=str(self.prior))

    def _repr_html_(self):
        mean = (
            "uniform (improper)"
            if np.isinf(self.prior_sd)
            else f"N({self.prior_mean:g}, {self.prior_sd:g}^2)"
        )
        facts = [
            ("priors", f"mean effect {mean}; tau {self.prior}"),
            ("interval", f"{self.interval}, {100 * self.level:g}%"),
            ("probability that the effect is negative", f"{self.probability(0.0):.3g}"),
        ]
        facts += [
            (f"Bayes factor of {words} = 0", f"{value:.3g}")
            for words, value in (("effect", self.bf_effect), ("tau", self.bf_tau))
            if np.isfinite(value)
        ]
        note = ("" if self.converged else "did not converge. ") + self.note
        return html(f"Bayesian meta-analysis of {self.k} estimates", self.tidy(), facts, note)


def bayes_pool(
    y: ArrayLike,
    v: ArrayLike,
    *,
    prior: TauPrior,
    mean: float = 0.0,
    sd: float = np.inf,
    level: float = 0.95,
    interval: Literal["shortest", "central"] = "shortest",
    labels: Sequence[str] | None = None,
) -> BayesFit:
    """Pool k estimates: ``y_i ~ N(theta_i, v_i)``, ``theta_i ~ N(mu, tau^2)``, ``mu ~ N(mean, sd^2)``, ``tau ~ prior``.

    Given tau everything is normal: with ``w_i = 1 / (v_i + tau^2)`` and ``p = sum w_i + 1 / sd^2``,

        mu | tau, y        ~ N(m, 1 / p),  m = (sum w_i y_i + mean / sd^2) / p
        theta_new | tau, y ~ N(m, 1 / p + tau^2)
        theta_i | tau, y   ~ N(b_i m + (1 - b_i) y_i, (1 - b_i) v_i + b_i^2 / p),  b_i = v_i w_i
        p(y | tau)         ~ prod w_i^(1/2) p^(-1/2) exp(-(sum w_i (y_i - m)^2 + (m - mean)^2 / sd^2) / 2)

    so the posterior of tau is one-dimensional and all others are mixtures of normal distributions over it
    (Röver 2020, doi:10.18637/jss.v093.i06). The integrals are Gauss's on panels; nothing is drawn at random.

    Parameters
    ----------
    y, v : array_like, shape (k,)
        Estimates and their sampling variances.
    prior : TauPrior
    mean, sd : float
        Of the normal prior of mu; an infinite sd is the improper uniform prior.
    level : float
    interval : {"shortest", "central"}
        Shortest: of all intervals of the level the narrowest. Central: equal probabilities outside on both sides.
    labels : sequence of str, optional

    Returns
    -------
    BayesFit

    Raises
    ------
    NotEstimable
        The posterior is improper: a uniform prior of tau without an end with fewer than 3 studies (2 with a proper
        prior of the mean).
    ValueError
        As of :func:`twostage.stats.pool.pool`; a prior of the mean that is none.

    Notes
    -----
    Checked against R's ``integrate``, ``uniroot`` and ``optimize`` on 100 random data sets, to 1e-6 of the posterior's
    standard deviation, and against bayesmeta: tau to the digits that its article and vignette print, the other
    distributions to 1e-5 of their standard deviation on a fine grid (its default grid leaves 0.003).

    Examples
    --------
    >>> from twostage.stats.bayes import TauPrior, bayes_pool
    >>> fit = bayes_pool([-0.09, -0.02, -0.05], [0.0009, 0.0016, 0.0004], prior=TauPrior("half-normal", 0.1))
    >>> round(fit.probability(0.0), 2)
    0.94
    """
    y, v, shown = check_estimates(y, v, labels)
    level = check_level(level)
    check_choice("interval", interval, tuple(_INTERVALS))
    mean, sd = float(mean), float(sd)
    if not np.isfinite(mean) or not sd > 0.0:
        raise ValueError(
            f"the prior of the mean needs a finite mean and a positive sd; got {mean!r} and {sd!r}"
        )
    tail = prior.tail + len(y) - np.isinf(sd)
    if tail <= 1.0:
        raise NotEstimable(
            f"{len(y)} studies do not bound tau under a {prior} prior: the posterior is no distribution"
        )
    model = Model(y, v, mean, 1.0 / sd**2)
    panels = integrate(lambda t: prior.log_density(t) + model.given(t)[0], _edges(y, v, prior))
    mixtures = model.effects(panels)
    effect, new = _effects(mixtures, tail, np.isinf(sd), level, interval)
    bf_effect, bf_tau, log_marginal = _evidence(model, prior, panels, y, v)
    y, v = frozen(y, v)
    note = (
        "" if tail > 3 else "the prior of tau leaves a posterior without a standard deviation of the effect"
    )
    return BayesFit(
        effect, _tau(panels, tail, level, interval), new, bf_effect, bf_tau, log_marginal,
        k=len(y), prior=prior, prior_mean=mean, prior_sd=sd, interval=interval, level=level,
        converged=panels.converged, note=note if np.isinf(sd) else "", y=y, v=v, labels=shown,
        mixtures=mixtures, panels=panels, model=model,
    )  # fmt: skip


class Model:
    """What is known given tau."""

    def __init__(self, y, v, mean, precision):
        # The centre is taken out first, so that estimates far from 0 cost no digits.
        self.centre = float(y.mean())
        self.y, self.v, self.mean, self.precision = y - self.centre, v, mean - self.centre, precision

    def given(self, tau):
        """Log-likelihood of tau, mu integrated out (with an improper prior up to a constant); mean and variance of mu."""
        w = 1.0 / (self.v + np.square(tau)[..., None])
        p = w.sum(axis=-1) + self.precision
        m = (w @ self.y + self.mean * self.precision) / p
        rss = (w * (self.y - m[..., None]) ** 2).sum(axis=-1) + self.precision * (m - self.mean) ** 2
        proper = self.precision > 0.0
        constants = (len(self.y) - (not proper)) * _LOG_2PI - (np.log(self.precision) if proper else 0.0)
        return -0.5 * (constants - np.log(w).sum(axis=-1) + np.log(p) + rss), m, 1.0 / p

    def effects(self, panels):
        """The mean effect and a new study's effect, a row each, given tau at the points with mass."""
        mass, tau2, m, variance = self._at(panels)
        return Mixture(mass, np.stack([m, m]) + self.centre, np.sqrt(np.stack([variance, variance + tau2])))

    def studies(self, panels):
        """The studies' own true effects, a row each."""
        mass, tau2, m, variance = self._at(panels)
        shrink = self.v[:, None] / (self.v[:, None] + tau2)
        means = shrink * m + (1.0 - shrink) * self.y[:, None]
        return Mixture(mass, means + self.centre, np.sqrt(tau2 * shrink + shrink**2 * variance))

    def _at(self, panels):
        there = panels.mass > _NO_MASS
        tau, mass = panels.nodes[there], panels.mass[there]
        return mass / mass.sum(), tau**2, *self.given(tau)[1:]


def _edges(y, v, prior):
    """Panels from 0: each twice as long as what is below it, as the integrand's nearest singularity is i sqrt(v)."""
    least = min(np.sqrt(v.min()), prior.scale) / 2.0
    most = np.sqrt(v.max()) + np.ptp(y) + (prior.scale if prior.proper else 0.0)
    last = min(_REACH * most, prior.end)
    inner = least * 2.0 ** np.arange(max(0, int(np.floor(np.log2(last / least))) + 1))
    return np.concatenate([[0.0], inner[inner < last], [last]])


def _effects(law, tail, flat, level, interval):
    median = quantile(law, 0.5)
    low, high = _INTERVALS[interval](law, level)
    modes = mode(law, median)
    mean = law.mean @ law.mass
    std_dev = np.sqrt((law.sd**2 + (law.mean - mean[:, None]) ** 2) @ law.mass)
    # A new study's effect spreads as tau, the mean effect does so where its prior is uniform.
    for row, spreads in enumerate((flat, True)):
        if spreads and tail <= 3.0:
            std_dev[row] = np.inf
        if spreads and tail <= 2.0:
            mean[row] = std_dev[row] = np.nan
    rows = zip(modes, median, mean, std_dev, low, high, strict=True)
    return (Summary(*(float(x) for x in row)) for row in rows)


def _tau(panels, tail, level, interval):
    law = Tau(panels)
    median = quantile(law, 0.5)
    low, high = (shortest_tau if interval == "shortest" else central)(law, level)
    top = panels.nodes.ravel()[np.argmax(panels.log_values)]
    mass, nodes = panels.mass.ravel(), panels.nodes.ravel()
    mean = float(mass @ nodes) if tail > 2.0 else np.inf
    std_dev = float(np.sqrt(mass @ (nodes - mean) ** 2)) if tail > 3.0 else np.inf
    at_mode = mode(law, np.array([top]))
    return Summary(float(at_mode[0]), float(median[0]), mean, std_dev, float(low[0]), float(high[0]))


def _evidence(model, prior, panels, y, v):
    """Bayes factors of a mean effect of 0 and of a tau of 0, and the log marginal likelihood."""
    none = float("nan")
    if not prior.proper:
        return none, none, none
    bf_tau = float(np.exp(model.given(np.zeros(1))[0][0] - panels.log_total))
    if model.precision == 0.0:
        return none, bf_tau, none

    def at_zero(t):
        """Log of tau's prior density times the likelihood of a mean effect of 0."""
        w = 1.0 / (v + np.square(t)[..., None])
        return prior.log_density(t) - 0.5 * (len(y) * _LOG_2PI - np.log(w).sum(axis=-1) + w @ y**2)

    null = integrate(at_zero, _edges(y, v, prior)).log_total
    return float(np.exp(null - panels.log_total)), bf_tau, panels.log_total
