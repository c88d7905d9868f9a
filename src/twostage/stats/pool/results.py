"""Results of a random-effects meta-analysis: one fit, many fits, Q-profile intervals."""

from dataclasses import dataclass, field, fields

import numpy as np

from twostage.stats.base import (
    EFFECT,
    NO_PREDICTION,
    PREDICTIONS,
    Inference,
    N,
    check_level,
    frame,
    html,
    one_row,
)
from twostage.stats.pool.metafor import Script, estimates, options, vector
from twostage.stats.pool.tau2 import Tau2Search, q_profile, share_and_ratio, typical_variance

_HETEROGENEITY = (
    *("k", "method", "ci", "level", "tau2", "tau2_se", "tau", "i2", "h2", "q", "q_df", "q_p_value"),
    *("pi_low", "pi_high", "pi_rule", "loglik", "converged", "boundary", "note"),
)


@dataclass(frozen=True)
class QProfile:
    """Q-profile intervals; the estimates of the fit beside them.

    Attributes
    ----------
    level : float
    tau2, tau2_low, tau2_high, tau, tau_low, tau_high, i2, i2_low, i2_high, h2, h2_low, h2_high : float
        tau2 in squared units of y, i2 in percent. An estimate may lie outside: the interval depends on the
        data only, not on the estimator.
    empty : bool
        No tau2 >= 0 is compatible with the data; the interval is given as [0, 0].
    converged : bool
    note : str
    """

    level: float
    tau2: float
    tau2_low: float
    tau2_high: float
    tau: float
    tau_low: float
    tau_high: float
    i2: float
    i2_low: float
    i2_high: float
    h2: float
    h2_low: float
    h2_high: float
    empty: bool
    converged: bool
    note: str = ""

    def tidy(self):
        """One row each for tau2, tau, i2, h2: term, estimate, ci_low, ci_high."""
        ends = {"estimate": "", "ci_low": "_low", "ci_high": "_high"}
        return frame([{"term": t} | {c: getattr(self, t + e) for c, e in ends.items()} for t in _SHARES])

    def glance(self):
        """One row: level, empty, converged, note."""
        return one_row(self, ("level", "empty", "converged", "note"))

    def _repr_html_(self):
        rows = [
            (t, f"{getattr(self, t):.4g} [{getattr(self, t + '_low'):.4g}, {getattr(self, t + '_high'):.4g}]")
            for t in _SHARES
        ]
        return html(f"Q-profile intervals, level {self.level:g}", facts=rows, note=self.note)


@dataclass(frozen=True, eq=False)
class Repooled(Inference[N]):
    """What is told of every pool, also where studies were left out of it."""

    estimate: N
    df: N
    tau2: N
    i2: N
    h2: N
    q: N
    q_p_value: N


@dataclass(frozen=True, eq=False)
class PooledNumbers(Repooled[N]):
    """The numbers of one pool or of many."""

    tau: N
    tau2_se: N
    q_df: N
    pi_low: N
    pi_high: N
    loglik: N
    variance_factor: N


_SHARES = ("tau2", "tau", "i2", "h2")


def _shares(fit):
    return {n: getattr(fit, n) for n in _SHARES}


def profiled(fit, level, U=None, *, agreement):
    """Q-profile intervals of the heterogeneity of a fit.

    Parameters
    ----------
    fit : PooledFit or MetaRegression
    level : float or None
        None: the fit's.
    U : ndarray, shape (k, p), optional
        Orthonormal basis of its moderators.
    agreement : str
        What an empty interval says of the data.

    Returns
    -------
    QProfile

    Raises
    ------
    ValueError
        For a fixed-effect fit, which has no tau2, or a level outside (0, 1).
    """
    level = fit.level if level is None else check_level(level)
    if fit.method == "FE":
        raise ValueError("a fixed-effect fit has no tau2; fit a random-effects method for its interval")
    low, high, empty, converged = q_profile(fit.y, fit.v, level, U)
    ends, typical = {}, typical_variance(fit.v, U)
    for end, t in (("low", float(low)), ("high", float(high))):
        i2, h2 = share_and_ratio(t, typical)
        ends |= {f"tau2_{end}": t, f"tau_{end}": t**0.5, f"i2_{end}": float(i2), f"h2_{end}": float(h2)}
    note = f"empty interval: {agreement}" if empty else ""
    return QProfile(level, **_shares(fit), **ends, empty=bool(empty), converged=bool(converged), note=note)


@dataclass(frozen=True, eq=False)
class PooledFit(PooledNumbers[float]):
    """A random-effects meta-analysis of k estimates.

    Attributes
    ----------
    estimate, std_error, ci_low, ci_high, statistic, df, p_value : float
        Pooled effect (units of y), its inference by `ci`; `df` is infinite for a normal interval.
    tau2, tau, tau2_se : float
        Between-study variance, its root, its large-sample standard error.
    i2, h2, q, q_df, q_p_value : float
        Heterogeneity: I2 in percent, H2, Cochran's Q with its chi-square test.
    pi_low, pi_high : float
        Prediction interval for the effect in a new study; NaN where there is none.
    pi_rule : str
        The rule behind it, ``"none"`` where there is none.
    loglik : float
        Restricted log-likelihood for REML, log-likelihood otherwise, at the tau2 reported.
    variance_factor : float
        Hartung-Knapp's factor on the variance of the pooled effect (1 for Wald).
    weights : ndarray, shape (k,)
        Percent, adding up to 100.
    k : int
    converged, boundary : bool
        `boundary`: tau2 was truncated at 0.
    method, ci : str
        As applied: one study gets `ci` "wald" whatever was asked for.
    level : float
    search : Tau2Search
        How tau2 was found: algorithm, Newton steps, number of local maxima.
    note : str
        What is degenerate about this fit; empty for an ordinary one.
    y, v : ndarray, shape (k,)
    labels : tuple of str
    """

    pi_rule: str
    weights: np.ndarray = field(repr=False)
    k: int
    converged: bool
    boundary: bool
    method: str
    ci: str
    level: float
    search: Tau2Search = field(repr=False)
    note: str
    y: np.ndarray = field(repr=False)
    v: np.ndarray = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)

    def qprofile(self, level=None):
        """Q-profile intervals of tau2, tau, I2 and H2.

        Parameters
        ----------
        level : float, optional
            Default: the fit's.

        Returns
        -------
        QProfile
            With one study all ends are NaN.

        Raises
        ------
        ValueError
            For a fixed-effect fit, which has no tau2, or a level outside (0, 1).
        """
        if self.k > 1 or self.method == "FE":
            return profiled(self, level, agreement="the estimates agree better than their variances allow")
        level = self.level if level is None else check_level(level)
        ends = {f"{n}_{e}": float("nan") for n in _SHARES for e in ("low", "high")}
        note = "one study: no information on heterogeneity"
        return QProfile(level, **_shares(self), **ends, empty=False, converged=True, note=note)

    def r_call(self, *, data=True) -> str:
        """The metafor calls that reproduce this fit; see :class:`twostage.stats.pool.metafor.Script`."""
        named = self.labels != tuple(str(i) for i in range(self.k))
        columns = ({"study": vector(self.labels)} if named else {}) | estimates(self)
        call = f"fit <- rma(yi, vi, {'slab = study, ' if named else ''}{options(self)})"
        return Script(columns, [call, *_prediction(self)]).text(data=data)

    def tidy(self):
        """One row: estimate, std_error, df, statistic, p_value, ci_low, ci_high."""
        return one_row(self, EFFECT)

    def glance(self):
        """One row: how it was pooled, heterogeneity, prediction interval, log-likelihood, flags."""
        return one_row(self, _HETEROGENEITY)

    def _repr_html_(self):
        percent = f"{100 * self.level:g}%"
        rows = [
            (
                "estimate",
                f"{self.estimate:.4g} ({percent} CI {self.ci_low:.4g} to {self.ci_high:.4g}; {self.ci})",
            ),
            ("p", f"{self.p_value:.3g}"),
            ("prediction", f"{self.pi_low:.4g} to {self.pi_high:.4g} ({self.pi_rule})"),
            ("tau2", f"{self.tau2:.4g} ({self.method}); I2 {self.i2:.1f}%, H2 {self.h2:.2f}"),
            ("Q", f"{self.q:.4g}, df {self.q_df}, p {self.q_p_value:.3g}"),
        ]
        note = ("" if self.converged else "did not converge. ") + self.note
        return html(f"Random-effects meta-analysis of {self.k} estimates", facts=rows, note=note)


_RILEY, _T, _NORMAL = (PREDICTIONS[rule] for rule in ("k-2", "k-1", "normal"))


_OWN_RULE = {"wald": _NORMAL, "hartung-knapp": _T, "hartung-knapp-adhoc": _T}  # what metafor does by itself


def _prediction(fit):
    """The prediction interval: metafor's own rule, its Riley rule under the name of either version, or by hand."""
    if fit.pi_rule == NO_PREDICTION:
        return []
    if fit.pi_rule == _RILEY:
        newer = 'if ("predtype" %in% names(formals(getS3method("predict", "rma"))))'
        rule = f'riley <- {newer} list(predtype = "Riley") else list(pi.type = "riley")'
        return [rule, "predicted <- do.call(predict, c(list(fit), riley))"]
    if fit.pi_rule == _OWN_RULE[fit.ci]:
        return ["predicted <- predict(fit)"]
    p = 0.5 + fit.level / 2.0
    quantile = f"qt({p!r}, {fit.k - 1})" if fit.pi_rule == _T else f"qnorm({p!r})"
    return [
        f"reach <- {quantile} * sqrt(fit$tau2 + fit$se^2)",
        "predicted <- list(pi.lb = c(coef(fit)) - reach, pi.ub = c(coef(fit)) + reach)",
    ]


@dataclass(frozen=True, eq=False)
class PooledBatch(PooledNumbers[np.ndarray]):
    """n random-effects meta-analyses of k estimates each; fields as of :class:`PooledFit`, shape (n,).

    `weights` has shape (n, k); `k`, `pi_rule`, `method`, `ci` and `level` are common to all.
    """

    weights: np.ndarray = field(repr=False)
    pi_rule: str
    k: int
    method: str
    ci: str
    level: float
    search: Tau2Search = field(repr=False)

    @property
    def converged(self):
        """Per meta-analysis, shape (n,)."""
        return self.search.converged

    @property
    def boundary(self):
        """tau2 truncated at 0, per meta-analysis, shape (n,)."""
        return self.search.boundary

    def tidy(self):
        """One row per meta-analysis: all numbers but the weights."""
        names = [f.name for f in fields(self) if f.name not in (*EFFECT, "weights", "search")]
        columns = {n: getattr(self, n) for n in (*EFFECT, *names)}
        return frame(columns | {"converged": self.converged, "boundary": self.boundary})

    def glance(self):
        """One row: how many meta-analyses of how many studies, how many converged or at the boundary."""
        counts = {"n": len(self.estimate), "n_converged": int(self.converged.sum())}
        rules = {c: getattr(self, c) for c in ("k", "method", "ci", "level", "pi_rule")}
        return frame([counts | {"n_boundary": int(self.boundary.sum())} | rules])

    def _repr_html_(self):
        rows = [("method", self.method), ("interval", self.ci), ("converged", str(int(self.converged.sum())))]
        return html(f"{len(self.estimate)} meta-analyses of {self.k} estimates", facts=rows)
