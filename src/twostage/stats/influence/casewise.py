"""What each single study does to a pooled result: leave-one-out and casewise influence."""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import chdtrc

from twostage.stats.base import EFFECT, frame, frozen, html, ratio
from twostage.stats.pool import ZERO_RESIDUAL, PooledFit, Repooled, all_but_one, pooled, refit

_LEFT_OUT = (*EFFECT, "tau2", "i2", "h2", "q", "q_p_value", "converged")


_CASEWISE = (
    *("rstudent", "dffits", "cook_d", "cov_ratio", "tau2_del", "q_del"),
    *("hat", "weight", "dfbetas", "is_influential"),
)


SINGLE = "one study is left each time: its own normal interval, tau2 0 by definition"


@dataclass(frozen=True, eq=False)
class LeaveOneOut(Repooled[np.ndarray]):
    """Pooled results without each study in turn; arrays of shape (k,), row i is the fit without study i.

    Attributes
    ----------
    estimate, std_error, df, statistic, p_value, ci_low, ci_high, tau2, i2, h2, q, q_p_value : ndarray
        As of :class:`~twostage.stats.pool.results.PooledFit`.
    converged : ndarray of bool
    labels : tuple of str
        The study left out.
    fit : PooledFit
        Of all studies.
    note : str
    """

    converged: np.ndarray
    labels: tuple[str, ...]
    fit: PooledFit = field(repr=False)
    note: str = ""

    def tidy(self):
        """One row per study left out."""
        return frame({"study": self.labels} | {n: getattr(self, n) for n in _LEFT_OUT})

    def glance(self):
        """One row: range of the estimates, largest p-value, whether leaving one out ever changes the
        sign or the significance (at the fit's level) of the pooled effect."""
        alpha = 1.0 - self.fit.level
        significant = (self.p_value < alpha) != (self.fit.p_value < alpha)
        sign = np.sign(self.estimate) != np.sign(self.fit.estimate)
        row = {"k": self.fit.k, "estimate": self.fit.estimate, "estimate_min": float(self.estimate.min())}
        row |= {"estimate_max": float(self.estimate.max()), "p_value_max": float(self.p_value.max())}
        row |= {"sign_changes": bool(sign.any()), "significance_changes": bool(significant.any())}
        return frame([row | {"converged": bool(self.converged.all()), "note": self.note}])

    def _repr_html_(self):
        names = ("estimate", "ci_low", "ci_high", "p_value", "tau2", "i2")
        columns = {"without": self.labels} | {n: getattr(self, n) for n in names}
        return html("Leave-one-out", columns, note=self.note)


def leave_one_out(y, v=None, **options):
    """Pool again without each study in turn.

    Parameters
    ----------
    y : PooledFit or array_like, shape (k,)
        At least two studies.
    v : array_like, shape (k,), optional
    **options
        Of :func:`twostage.stats.pool.pool.pool`; only with an array `y`.

    Returns
    -------
    LeaveOneOut

    Raises
    ------
    TypeError, ValueError
        As :func:`twostage.stats.pool.refit.pooled`.

    Notes
    -----
    All k fits in one vectorised call. With two studies each "fit" is a single study: its own normal
    interval. Checked against ``leave1out`` of metafor 3.8-1.
    """
    fit = pooled(y, v, purpose="leave-one-out", **options)
    batch = refit(fit, all_but_one(fit.k))
    numbers = dict(zip(_LEFT_OUT, frozen(*(getattr(batch, n) for n in _LEFT_OUT)), strict=True))
    return LeaveOneOut(**numbers, labels=fit.labels, fit=fit, note=SINGLE if fit.k == 2 else "")


@dataclass(frozen=True, eq=False)
class Influence:
    """Casewise diagnostics; arrays of shape (k,).

    Attributes
    ----------
    rstudent : ndarray
        Externally studentized (deleted) residual.
    dffits, dfbetas : ndarray
        Change of the pooled effect by the study, in two kinds of standard errors.
    cook_d, cov_ratio : ndarray
        Cook's distance; variance of the pooled effect without the study over that with it.
    tau2_del, q_del : ndarray
        tau2 and Cochran's Q without the study.
    hat, weight : ndarray
        Share of the weight, as a fraction and in percent.
    is_influential : ndarray of bool
    converged : ndarray of bool
        Of the fit without the study.
    labels : tuple of str
    fit : PooledFit
    note : str
    """

    rstudent: np.ndarray
    dffits: np.ndarray
    cook_d: np.ndarray
    cov_ratio: np.ndarray
    tau2_del: np.ndarray
    q_del: np.ndarray
    hat: np.ndarray
    weight: np.ndarray
    dfbetas: np.ndarray
    is_influential: np.ndarray
    converged: np.ndarray
    labels: tuple[str, ...]
    fit: PooledFit = field(repr=False)
    note: str = ""

    def tidy(self):
        """One row per study."""
        return frame({"study": self.labels} | {n: getattr(self, n) for n in (*_CASEWISE, "converged")})

    def glance(self):
        """One row: number of studies, of influential ones, and their names."""
        names = [s for s, flag in zip(self.labels, self.is_influential, strict=True) if flag]
        row = {"k": self.fit.k, "n_influential": len(names), "influential": ", ".join(names)}
        return frame([row | {"converged": bool(self.converged.all()), "note": self.note}])

    def _repr_html_(self):
        columns = {"study": self.labels} | {n: getattr(self, n) for n in _CASEWISE}
        return html("Casewise influence", columns, note=self.note)


def influence(y, v=None, **options):
    """Casewise influence of each study on a pooled effect.

    Parameters
    ----------
    y : PooledFit or array_like, shape (k,)
        At least two studies.
    v : array_like, shape (k,), optional
    **options
        Of :func:`twostage.stats.pool.pool.pool`; only with an array `y`.

    Returns
    -------
    Influence

    Raises
    ------
    TypeError, ValueError
        As :func:`twostage.stats.pool.refit.pooled`.

    Notes
    -----
    With ``t`` the pooled effect, ``s`` its standard error, ``h_i`` the study's share of the weight, and a
    minus sign for the fit without study i, whose interval rule has the variance factor ``f_-`` (1 for
    Wald)::

        rstudent  = (y_i - t_-) / sqrt(f_- (v_i + tau2_-) + s_-^2)
        dffits    = (t - t_-) / sqrt(f_- h_i (v_i + tau2_-))
        dfbetas   = (t - t_-) / sqrt(f_- / sum_j 1 / (v_j + tau2_-))
        cook_d    = (t - t_-)^2 / s^2
        cov_ratio = s_-^2 / s^2

    (Viechtbauer & Cheung 2010, doi:10.1002/jrsm.11). A study is flagged, by metafor's rule, where
    ``|dffits| > 3 sqrt(1 / (k-1))``, ``cook_d`` lies beyond the median of chi-square(1), ``hat > 3 / k``, or
    ``|dfbetas| > 1``. Where the estimates agree exactly, Hartung-Knapp's standard error is 0 and quotients
    by it are NaN or infinite. Checked against ``influence`` of metafor 3.8-1.
    """
    fit = pooled(y, v, purpose="influence", **options)
    without = refit(fit, all_but_one(fit.k))
    y, v, k = fit.y, fit.v, fit.k
    factor, total = without.variance_factor, v + without.tau2
    residual = y - without.estimate
    residual = np.where(np.abs(residual) < ZERO_RESIDUAL, 0.0, residual)
    change = fit.estimate - without.estimate
    hat = fit.weights / 100.0
    precision = (1.0 / (v + without.tau2[:, None])).sum(axis=-1)
    dffits = ratio(change, np.sqrt(factor * hat * total))
    dfbetas = ratio(change, np.sqrt(factor / precision))
    cook_d = ratio(change**2, fit.std_error**2)
    numbers = frozen(
        ratio(residual, np.sqrt(factor * total + without.std_error**2)),
        dffits,
        cook_d,
        ratio(without.std_error**2, fit.std_error**2),
        without.tau2,
        without.q,
        hat,
        fit.weights,
        dfbetas,
        flag(dffits, cook_d, hat, dfbetas, k),
        without.converged,
    )
    return Influence(*numbers, labels=fit.labels, fit=fit, note=SINGLE if k == 2 else "")


def flag(dffits, cook_d, hat, dfbetas, k):
    """metafor's rule for one coefficient, elementwise; comparisons with NaN are False."""
    far = chdtrc(1, np.where(np.isnan(cook_d), 0.0, cook_d)) < 0.5
    large = (np.abs(dffits) > 3.0 * np.sqrt(1.0 / (k - 1))) | (np.abs(dfbetas) > 1.0)
    return large | far | (hat > 3.0 / k)
