"""Result of a meta-regression: coefficients, tests of several of them, predictions, Q-profile intervals."""

from dataclasses import dataclass, field

import numpy as np

from twostage.stats.base import (
    NO_PREDICTION,
    Inference,
    WaldTest,
    check_choice,
    check_level,
    coefficient_rows,
    critical_value,
    frame,
    html,
    one_row,
    raise_problems,
    real_array,
    test_text,
)
from twostage.stats.pool.design import Design
from twostage.stats.pool.metafor import Script, estimates, moderators, options
from twostage.stats.pool.results import QProfile, profiled
from twostage.stats.pool.tau2 import Tau2Search

_GLANCE = (
    *("k", "method", "ci", "level", "tau2", "tau2_se", "tau", "i2", "h2", "r2", "qe", "qe_df", "qe_p_value"),
    *("qm", "qm_df", "qm_df2", "qm_p_value", "loglik", "converged", "boundary", "note"),
)


_PREDICTIONS = {
    "k-p-1": "t with k - p - 1 degrees of freedom",
    "k-p": "t with k - p degrees of freedom",
    "normal": "normal",
}


@dataclass(frozen=True, eq=False)
class Prediction:
    """Effects expected at m settings of the moderators.

    Attributes
    ----------
    estimate, std_error, ci_low, ci_high : ndarray, shape (m,)
        Mean effect of studies with these moderators, and its interval.
    pi_low, pi_high : ndarray, shape (m,)
        Prediction interval for the effect in one new study; NaN where there is none.
    tau2 : ndarray, shape (m,)
        Heterogeneity behind it.
    df : float
        Of the confidence interval; infinite for a normal one.
    pi_rule : str
    level : float
    X : ndarray, shape (m, p)
        The settings, the intercept included.
    """

    estimate: np.ndarray
    std_error: np.ndarray
    ci_low: np.ndarray
    ci_high: np.ndarray
    pi_low: np.ndarray
    pi_high: np.ndarray
    tau2: np.ndarray
    df: float
    pi_rule: str
    level: float
    X: np.ndarray = field(repr=False)

    def tidy(self):
        """One row per setting: estimate, std_error, ci_low, ci_high, pi_low, pi_high."""
        names = ("estimate", "std_error", "ci_low", "ci_high", "pi_low", "pi_high")
        return frame({n: getattr(self, n) for n in names})

    def glance(self):
        """One row: n, df, level, pi_rule."""
        return frame([{"n": len(self.estimate), "df": self.df, "level": self.level, "pi_rule": self.pi_rule}])

    def _repr_html_(self):
        facts = [("level", f"{100 * self.level:g}%"), ("prediction interval", self.pi_rule)]
        return html("Predicted effects", self.tidy(), facts)


def predict(fit, Xnew=None, *, level=None, prediction="k-p-1"):
    """Effects expected at given moderators.

    Parameters
    ----------
    fit : MetaRegression
    Xnew : array_like, shape (m, q) or (q,), optional
        Moderators in the order in which they were given, without the intercept if it was added. Default: those of
        the studies.
    level : float, optional
        Default: the fit's.
    prediction : {"k-p-1", "k-p", "normal"}
        Prediction interval ``x'b -+ c sqrt(tau2 + se^2)``, c from t with k - p - 1 df (which is k - 2 for a pooled
        effect: Higgins, Thompson & Spiegelhalter 2009, doi:10.1111/j.1467-985X.2008.00552.x), from t with k - p df,
        or from the normal distribution.

    Returns
    -------
    Prediction
        ``se^2 = x' C x`` with C the covariance of the coefficients, Hartung-Knapp's if that was fitted. A fixed-effect
        fit, or fewer than 1 df, has no prediction interval.

    Raises
    ------
    ValueError
        Shape, values that are not finite, rule, level.

    Notes
    -----
    Checked against metafor 3.8-1's ``predict``, whose default is the rule k - p after ``test="knha"``, normal after
    ``"z"``; k - p - 1 is its ``pi.type="riley"``.
    """
    k, p = fit.design.X.shape
    df = {"k-p-1": k - p - 1.0, "k-p": float(k - p), "normal": np.inf}[
        check_choice("prediction", prediction, _PREDICTIONS)
    ]
    X = new_design(fit.design, Xnew)
    return interval_at(fit, X, np.full(len(X), fit.tau2), level, df, _PREDICTIONS[prediction])


def interval_at(fit, X, tau2, level, pi_df, pi_rule):
    """Intervals at design rows X (m, p) with heterogeneity tau2 (m,)."""
    level = fit.level if level is None else check_level(level)
    estimate = X @ fit.coef
    std_error = np.sqrt(np.einsum("ij,jk,ik->i", X, fit.cov_coef, X))
    half = critical_value(fit.df, level) * std_error
    exists = fit.method != "FE" and pi_df >= 1
    reach = critical_value(pi_df if exists else np.nan, level) * np.sqrt(tau2 + std_error**2)
    return Prediction(
        estimate,
        std_error,
        *(estimate - half, estimate + half, estimate - reach, estimate + reach),
        tau2=tau2,
        df=fit.df,
        pi_rule=pi_rule if exists else NO_PREDICTION,
        level=level,
        X=X,
    )


def new_design(design, Xnew, what="moderator"):
    """Design rows for new moderators: checked, the intercept put in front where it had been added."""
    if Xnew is None:
        return design.X
    q = design.X.shape[1] - int(design.added)
    X = real_array(Xnew, "Xnew", booleans=True)
    X = X.reshape(-1, q) if X.ndim == 1 and q and X.size % q == 0 else X
    if X.ndim != 2 or X.shape[1] != q:
        names = ", ".join(design.names[int(design.added) :])
        raise ValueError(f"new {what}s must have {q} columns ({names}); got shape {X.shape}")
    raise_problems([f"row {i}: {what} {j} is {X[i, j]}" for i, j in np.argwhere(~np.isfinite(X))])
    return np.column_stack([np.ones(len(X)), X]) if design.added else X


@dataclass(frozen=True, eq=False)
class Regression(Inference[np.ndarray]):
    """What every regression of effects on moderators has; the attributes are told by those that inherit them."""

    names: tuple[str, ...]
    coef: np.ndarray
    df: float
    cov_coef: np.ndarray = field(repr=False)
    qe: float
    qe_df: int
    qe_p_value: float
    qm: float
    qm_df: int
    qm_df2: float
    qm_p_value: float
    loglik: float
    variance_factor: float
    k: int
    converged: bool
    method: str
    ci: str
    level: float
    note: str
    y: np.ndarray = field(repr=False)
    v: np.ndarray = field(repr=False)
    design: Design = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, eq=False)
class MetaRegression(Regression):
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

    tau2: float
    tau: float
    tau2_se: float
    i2: float
    h2: float
    r2: float
    fitted: np.ndarray = field(repr=False)
    residuals: np.ndarray = field(repr=False)
    hat: np.ndarray = field(repr=False)
    boundary: bool
    search: Tau2Search = field(repr=False)

    def predict(self, Xnew=None, *, level=None, prediction="k-p-1") -> Prediction:
        """Effects expected at given moderators; see :func:`predict`."""
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
            as metafor's ``anova(fit, btt=)``; infinite where Hartung-Knapp's factor is 0, an exact fit.

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
        return WaldTest.of(self.coef[index], self.cov_coef[np.ix_(index, index)], self.df, names)

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
        agreement = "the residuals are smaller than the variances allow"
        return profiled(self, level, self.design.U, agreement=agreement)

    def r_script(self) -> Script:
        """The metafor call, with its data."""
        columns, mods = moderators(self.design, estimates(self))
        call = f"fit <- rma(yi, vi, mods = {mods}, {options(self)}"
        if not _needs_tau2(self):
            return Script(columns, [f"{call})"])
        note = "# Without an intercept metafor 3.8-1 does not find tau2: it centres the estimates first."
        return Script(columns, [note, f"{call}, tau2 = {self.tau2!r})"])

    def r_call(self, *, data=True) -> str:
        """The metafor call that reproduces this fit; see :class:`twostage.stats.pool.metafor.Script`."""
        return self.r_script().text(data=data)

    def tidy(self):
        """One row per coefficient: term, estimate, std_error, df, statistic, p_value, ci_low, ci_high."""
        return coefficient_rows(self)

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


def _needs_tau2(fit):
    ones = np.ones(fit.k)
    left = ones - fit.design.U @ (fit.design.U.T @ ones)
    return fit.method != "FE" and bool(np.linalg.norm(left) > 1e-8)
