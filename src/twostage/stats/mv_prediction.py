"""Predicted effects of a multilevel or multivariate fit."""

from dataclasses import dataclass

import numpy as np

from twostage.stats.pool_core import critical_value
from twostage.stats.pool_fit import _frame, _html, check_level

_COLUMNS = ("estimate", "std_error", "df", "ci_low", "ci_high", "pi_low", "pi_high")


@dataclass(frozen=True, eq=False)
class MvPrediction:
    """Predicted average effects, and intervals for the true effect of a new study.

    Attributes
    ----------
    estimate, std_error, df, ci_low, ci_high, pi_low, pi_high : ndarray, shape (m,)
        `pi_low` and `pi_high` are NaN where the variance differs by inner level and no level was named.
    level : float
    """

    estimate: np.ndarray
    std_error: np.ndarray
    df: np.ndarray
    ci_low: np.ndarray
    ci_high: np.ndarray
    pi_low: np.ndarray
    pi_high: np.ndarray
    level: float

    def tidy(self):
        """One row per prediction."""
        return _frame({c: getattr(self, c) for c in _COLUMNS})

    def glance(self):
        """One row: level, number of predictions."""
        return _frame([{"level": self.level, "n": len(self.estimate)}])

    def _repr_html_(self):
        each = zip(self.estimate, self.ci_low, self.ci_high, self.pi_low, self.pi_high, strict=True)
        rows = [
            (str(i), f"{e:.4g} (CI {a:.4g} to {b:.4g}; prediction {c:.4g} to {d:.4g})")
            for i, (e, a, b, c, d) in enumerate(each)
        ]
        return _html(f"Predictions, level {self.level:g}", rows)


def predict(fit, X=None, inner=None, level=None):
    """Average effects at given moderators, with confidence and prediction intervals.

    Parameters
    ----------
    fit : MvFit
    X : array_like, shape (m, p) or (p,), optional
        Default: 1 for a fit with one coefficient.
    inner : str or sequence of str, length m, optional
        Inner level whose variance enters the prediction interval, where variances differ by level.
    level : float, optional
        Default: the fit's.

    Returns
    -------
    MvPrediction

    Raises
    ------
    ValueError
        X of the wrong shape or left out, an unknown inner level.

    Notes
    -----
    ``x'b -+ c sqrt(x' cov x)`` and ``x'b -+ c sqrt(x' cov x + sum_j sigma2_j + tau2)``; c is the normal
    quantile or that of t with the smallest df among the coefficients that x involves. Checked against
    metafor 3.8-1's ``predict``.
    """
    p = len(fit.coef)
    if X is None and p > 1:
        raise ValueError(f"X is needed: the fit has {p} coefficients")
    X = np.atleast_2d(np.array([[1.0]] if X is None else X, dtype=float))
    if X.ndim != 2 or X.shape[1] != p or not np.isfinite(X).all():
        raise ValueError(f"X must be finite and (m, {p}), got shape {X.shape}")
    level = fit.level if level is None else check_level(level)
    estimate, variance = X @ fit.coef, np.einsum("mp,pq,mq->m", X, fit.cov_coef, X)
    df = np.array([fit.df[row != 0.0].min() if (row != 0.0).any() else fit.df.min() for row in X])
    c = np.array([critical_value(d, level) for d in df])
    spread = variance + _between(fit, inner, len(X))
    half, reach = c * np.sqrt(variance), c * np.sqrt(spread)
    ends = estimate - half, estimate + half, estimate - reach, estimate + reach
    return MvPrediction(estimate, np.sqrt(variance), df, *ends, level)


def _between(fit, inner, m):
    """Variance of true effects at each prediction, shape (m,)."""
    total = np.zeros(m)
    for piece, (variances, _, _) in zip(fit.pieces, fit.parameters, strict=True):
        if len(variances) == 1:
            total += variances[0]
            continue
        if inner is None:
            return np.full(m, np.nan)
        wanted = [inner] * m if isinstance(inner, str) else [str(x) for x in inner]
        unknown = sorted(set(wanted) - set(piece.levels))
        if unknown or len(wanted) != m:
            raise ValueError(f"inner must name {m} of the levels {', '.join(piece.levels)}; got {wanted}")
        total += variances[[piece.levels.index(x) for x in wanted]]
    return total
