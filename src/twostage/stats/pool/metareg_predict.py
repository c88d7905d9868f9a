"""Effects expected at given moderators, with confidence and prediction intervals."""

from dataclasses import dataclass, field

import numpy as np

from twostage.stats.base import (
    NO_PREDICTION,
    check_level,
    critical_value,
    frame,
    html,
    raise_problems,
    real_array,
)

PREDICTIONS = {
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
    df = checked_rule(prediction, {"k-p-1": k - p - 1.0, "k-p": float(k - p), "normal": np.inf})
    X = new_design(fit.design, Xnew)
    return interval_at(fit, X, np.full(len(X), fit.tau2), level, df, PREDICTIONS[prediction])


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


def checked_rule(prediction, rules):
    """The value a prediction rule stands for; a ValueError for an unknown one."""
    if prediction not in rules:
        raise ValueError(f"prediction must be one of {', '.join(rules)}; got {prediction!r}")
    return rules[prediction]


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
