"""Result of a meta-regression: coefficients, tests of several of them, predictions, Q-profile intervals."""

from dataclasses import dataclass, field

import numpy as np

from twostage.stats.base import WaldTest, check_level, frame, html, omnibus_p, one_row, test_text
from twostage.stats.pool.design import Design
from twostage.stats.pool.heterogeneity import share_and_ratio
from twostage.stats.pool.metareg_predict import Prediction, predict
from twostage.stats.pool.results import QProfile
from twostage.stats.pool.tau2 import q_profile, typical_variance
from twostage.stats.pool.tau2_column import Tau2Search

_GLANCE = (
    *("k", "method", "ci", "level", "tau2", "tau2_se", "tau", "i2", "h2", "r2", "qe", "qe_df", "qe_p_value"),
    *("qm", "qm_df", "qm_df2", "qm_p_value", "loglik", "converged", "boundary", "note"),
)


_COEFFICIENT = ("std_error", "df", "statistic", "p_value", "ci_low", "ci_high")


@dataclass(frozen=True, eq=False)
class MetaRegression:
    """A random-effects meta-regression, ``y_i ~ N(x_i'beta, v_i + tau2)``.

    Attributes
    ----------
    names : tuple of str
        Names of the p coefficients, the intercept (if any) first.
    coef, std_error, statistic, p_value, ci_low, ci_high : ndarray, shape (p,)
        Coefficients (units of y over units of the moderator) and their inference by `ci`.
    df : float
        Degrees of freedom of `statistic`: k - p, infinite for Wald.
    cov_coef : ndarray, shape (p, p)
    tau2, tau, tau2_se : float
        Residual heterogeneity, its root, its large-sample standard error.
    i2, h2 : float
        Residual I2 in percent and H2.
    r2 : float
        Heterogeneity accounted for, in percent, at least 0; NaN without an intercept or without moderators.
    qe, qe_df, qe_p_value : float
        Test of residual heterogeneity.
    qm, qm_df, qm_df2, qm_p_value : float
        Omnibus test of all coefficients but the intercept (of the intercept where it is alone): chi-square, or F
        with Hartung-Knapp; `qm_df2` is infinite for chi-square.
    loglik : float
        Restricted log-likelihood for REML, log-likelihood otherwise.
    variance_factor : float
        Hartung-Knapp's factor on `cov_coef`; 1 for Wald.
    fitted, residuals, hat : ndarray, shape (k,)
        ``X beta``, ``y - X beta``, leverages (diagonal of ``X (X'WX)^-1 X'W``).
    k : int
    converged, boundary : bool
        `boundary`: tau2 was truncated at 0.
    method, ci : str
    level : float
    search : Tau2Search
    note : str
        What is degenerate about this fit; empty for an ordinary one.
    y, v : ndarray, shape (k,)
    design : Design
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
    tau2: float
    tau: float
    tau2_se: float
    i2: float
    h2: float
    r2: float
    qe: float
    qe_df: int
    qe_p_value: float
    qm: float
    qm_df: int
    qm_df2: float
    qm_p_value: float
    loglik: float
    variance_factor: float
    fitted: np.ndarray = field(repr=False)
    residuals: np.ndarray = field(repr=False)
    hat: np.ndarray = field(repr=False)
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
    design: Design = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)

    def predict(self, Xnew=None, *, level=None, prediction="k-p-1") -> Prediction:
        """Effects expected at given moderators; see :func:`twostage.stats.pool.metareg_predict.predict`."""
        return predict(self, Xnew, level=level, prediction=prediction)

    def test(self, names) -> WaldTest:
        """Test that the named coefficients are all zero, such as those of one factor.

        Parameters
        ----------
        names : sequence of str

        Returns
        -------
        WaldTest
            ``b' C^-1 b`` with C their covariance: chi-square, or over their number F(m, k - p) with Hartung-Knapp,
            as metafor's ``anova(fit, btt=)``.

        Raises
        ------
        ValueError
            No name, or one that is not a coefficient.
        """
        names = (names,) if isinstance(names, str) else tuple(names)
        unknown = [n for n in names if n not in self.names]
        if unknown or not names:
            raise ValueError(f"coefficients are {', '.join(self.names)}; got {', '.join(unknown) or 'none'}")
        index = [self.names.index(n) for n in names]
        m, statistic = len(index), float("inf")  # infinite where Hartung-Knapp's factor is 0: an exact fit
        if self.variance_factor > 0.0:
            z = self.statistic[index]
            size = self.std_error[index]
            total = float(z @ np.linalg.solve(self.cov_coef[np.ix_(index, index)] / np.outer(size, size), z))
            statistic = total / (1 if self.ci == "wald" else m)
        return WaldTest(names, statistic, m, self.df, float(omnibus_p(statistic, m, self.df)))

    def qprofile(self, level=None) -> QProfile:
        """Q-profile intervals of residual tau2, tau, I2 and H2.

        Parameters
        ----------
        level : float, optional
            Default: the fit's.

        Returns
        -------
        QProfile

        Raises
        ------
        ValueError
            For a fixed-effect fit, which has no tau2, or a level outside (0, 1).
        """
        level = self.level if level is None else check_level(level)
        if self.method == "FE":
            raise ValueError("a fixed-effect fit has no tau2; fit a random-effects method for its interval")
        U = self.design.U
        low, high, empty, converged = q_profile(self.y - U @ (U.T @ self.y), self.v, U, level)
        ends, typical = {}, typical_variance(self.v, U)
        for end, t in (("low", float(low)), ("high", float(high))):
            i2, h2 = share_and_ratio(t, typical)
            ends |= {f"tau2_{end}": t, f"tau_{end}": t**0.5, f"i2_{end}": float(i2), f"h2_{end}": float(h2)}
        note = "empty interval: the residuals are smaller than the variances allow" if empty else ""
        estimates = {"tau2": self.tau2, "tau": self.tau, "i2": self.i2, "h2": self.h2}
        return QProfile(level, **estimates, **ends, empty=bool(empty), converged=bool(converged), note=note)

    def r_call(self, **options) -> str:
        """The metafor call that reproduces this fit; see :func:`twostage.stats.pool.metafor.r_call`."""
        from twostage.stats.pool.metafor import r_call

        return r_call(self, **options)

    def tidy(self):
        """One row per coefficient: term, estimate, std_error, df, statistic, p_value, ci_low, ci_high."""
        return frame(
            {"term": self.names, "estimate": self.coef} | {c: getattr(self, c) for c in _COEFFICIENT}
        )

    def glance(self):
        """One row: how it was fitted, residual heterogeneity, omnibus test, log-likelihood, flags."""
        return one_row(self, _GLANCE)

    def _repr_html_(self):
        facts = [
            ("moderators", test_text("QM", self.qm, self.qm_df, self.qm_df2, self.qm_p_value)),
            ("residual", test_text("QE", self.qe, self.qe_df, np.inf, self.qe_p_value)),
            ("tau2", f"{self.tau2:.4g} ({self.method}); I2 {self.i2:.1f}%, H2 {self.h2:.2f}"),
            ("R2", "" if np.isnan(self.r2) else f"{self.r2:.1f}%"),
            ("interval", f"{self.ci}, {100 * self.level:g}%"),
            ("note", ("" if self.converged else "did not converge. ") + self.note),
        ]
        return html(f"Meta-regression of {self.k} estimates", self.tidy(), facts)
