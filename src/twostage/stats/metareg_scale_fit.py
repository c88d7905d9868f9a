"""Result of a location-scale meta-regression."""

from dataclasses import dataclass, field

import numpy as np

from twostage.stats.metareg_design import Design
from twostage.stats.metareg_predict import Prediction, checked_rule, interval_at, new_design
from twostage.stats.metareg_scale_likelihood import ScaleMaximum
from twostage.stats.metareg_show import frame, html, one_row, test_text

_INFERENCE = ("std_error", "df", "statistic", "p_value", "ci_low", "ci_high")
_GLANCE = (
    *("k", "method", "ci", "level", "qe", "qe_df", "qe_p_value", "qm", "qm_df", "qm_df2", "qm_p_value"),
    *("qs", "qs_df", "qs_df2", "qs_p_value", "lr", "lr_df", "lr_p_value", "loglik", "converged", "note"),
)


@dataclass(frozen=True, eq=False)
class LocationScale:
    """A location-scale model, ``y_i ~ N(x_i'beta, v_i + tau2_i)``, ``log tau2_i = z_i'alpha``.

    Attributes
    ----------
    names : tuple of str
        Of the p location coefficients, the intercept (if any) first.
    coef, std_error, statistic, p_value, ci_low, ci_high : ndarray, shape (p,)
    df : float
        k - p, infinite for Wald.
    cov_coef : ndarray, shape (p, p)
    scale_names : tuple of str
        Of the q scale coefficients.
    alpha, alpha_std_error, alpha_statistic, alpha_p_value, alpha_ci_low, alpha_ci_high : ndarray, shape (q,)
        Changes of log tau2. Standard errors from the observed information; NaN where it is not positive definite.
    alpha_df : float
        k - q, infinite for Wald.
    cov_alpha : ndarray, shape (q, q)
    tau2 : ndarray, shape (k,)
        Heterogeneity of each study.
    qm, qm_df, qm_df2, qm_p_value : float
        Omnibus test of the location moderators.
    qs, qs_df, qs_df2, qs_p_value : float
        Wald-type omnibus test of the scale moderators.
    lr, lr_df, lr_p_value : float
        Likelihood ratio test of the same hypothesis; NaN without scale moderators or without a scale intercept.
    qe, qe_df, qe_p_value : float
        Test of residual heterogeneity.
    loglik, variance_factor : float
    k : int
    converged : bool
        False where there is no finite maximum: `coef`, `tau2` and `loglik` are at their limits, `alpha` is not.
    method, ci : str
    level : float
    search : ScaleMaximum
    note : str
    y, v : ndarray, shape (k,)
    design, scale : Design
    labels : tuple of str
    """

    names: tuple[str, ...]
    coef: np.ndarray
    std_error: np.ndarray
    df: float
    statistic: np.ndarray
    p_value: np.ndarray
    ci_low: np.ndarray
    ci_high: np.ndarray
    cov_coef: np.ndarray = field(repr=False)
    scale_names: tuple[str, ...]
    alpha: np.ndarray
    alpha_std_error: np.ndarray
    alpha_df: float
    alpha_statistic: np.ndarray
    alpha_p_value: np.ndarray
    alpha_ci_low: np.ndarray
    alpha_ci_high: np.ndarray
    cov_alpha: np.ndarray = field(repr=False)
    tau2: np.ndarray = field(repr=False)
    qm: float
    qm_df: int
    qm_df2: float
    qm_p_value: float
    qs: float
    qs_df: int
    qs_df2: float
    qs_p_value: float
    lr: float
    lr_df: int
    lr_p_value: float
    qe: float
    qe_df: int
    qe_p_value: float
    loglik: float
    variance_factor: float
    k: int
    converged: bool
    method: str
    ci: str
    level: float
    search: ScaleMaximum = field(repr=False)
    note: str
    y: np.ndarray = field(repr=False)
    v: np.ndarray = field(repr=False)
    design: Design = field(repr=False)
    scale: Design = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)

    def predict(self, Xnew=None, Znew=None, *, level=None, prediction="k-p-q") -> Prediction:
        """Effects expected at given location and scale moderators.

        Parameters
        ----------
        Xnew : array_like, shape (m, .), optional
            Location moderators; default: the studies'.
        Znew : array_like, shape (m, .), optional
            Scale moderators; default: the studies'.
        level : float, optional
        prediction : {"k-p-q", "k-p", "normal"}

        Returns
        -------
        Prediction

        Notes
        -----
        As :func:`twostage.stats.metareg_predict.predict`, tau2 being that of the new scale moderators; without a
        finite maximum that is not known, and there is no prediction interval. Checked against metafor 3.8-1's
        ``predict(newmods=, newscale=)``; k - p - q is its ``pi.type="riley"``.
        """
        p, q = len(self.names), len(self.scale_names)
        rules = {"k-p-q": (self.k - p - q, "t with k - p - q degrees of freedom")}
        rules |= {"k-p": (self.k - p, "t with k - p degrees of freedom"), "normal": (np.inf, "normal")}
        pi_df, text = checked_rule(prediction, rules)
        X, Z = new_design(self.design, Xnew), new_design(self.scale, Znew, "scale moderator")
        if len(X) != len(Z):
            raise ValueError(f"{len(X)} rows of moderators, {len(Z)} of scale moderators")
        if not self.converged:
            return interval_at(self, X, np.full(len(Z), np.nan), level, np.nan, text)
        return interval_at(self, X, np.exp(Z @ self.alpha), level, pi_df, text)

    def r_call(self, **options) -> str:
        """The metafor call; see :func:`twostage.stats.metareg_rcall.r_call`."""
        from twostage.stats.metareg_rcall import r_call  # it knows all results, this one among them

        return r_call(self, **options)

    def tidy(self):
        """One row per coefficient: part (location, scale), term, estimate and inference."""
        location = frame({"part": "location", "term": self.names, "estimate": self.coef} | self._columns(""))
        scale = frame(
            {"part": "scale", "term": self.scale_names, "estimate": self.alpha} | self._columns("alpha_")
        )
        return frame(location.to_dict("records") + scale.to_dict("records"))

    def _columns(self, prefix):
        return {c: getattr(self, prefix + c) for c in _INFERENCE}

    def glance(self):
        """One row: tests, log-likelihood, flags."""
        return one_row(self, _GLANCE)

    def _repr_html_(self):
        facts = [
            ("moderators", test_text("QM", self.qm, self.qm_df, self.qm_df2, self.qm_p_value)),
            ("scale", test_text("QS", self.qs, self.qs_df, self.qs_df2, self.qs_p_value)),
            ("tau2", f"{self.tau2.min():.4g} to {self.tau2.max():.4g} ({self.method})"),
            ("interval", f"{self.ci}, {100 * self.level:g}%"),
            ("note", self.note),
        ]
        return html(f"Location-scale model of {self.k} estimates", self.tidy(), facts)
