"""The result of fitting one random-intercept model to many data sets."""

from dataclasses import dataclass
from html import escape

import numpy as np
from scipy.special import stdtr, stdtrit


@dataclass(frozen=True)
class MixedBatch:
    """Fits of one random-intercept model to B data sets.

    Attributes
    ----------
    names : tuple of str
        The p fixed effects.
    coef, std_error, df : (B, p) arrays
        Estimates, standard errors, Satterthwaite degrees of freedom; NaN where a data set has no fit.
    sigma2, re_variance, loglik : (B,) arrays
        Residual variance, variance of the random intercept, (restricted) log-likelihood.
    reml : bool
    converged, singular : (B,) bool arrays
        As in :class:`twostage.stats.mixed.MixedFit`; False where there is no fit.
    n_obs, n_groups : (B,) int arrays
        Rows and groups.
    evaluations : (B,) int array
        Evaluations of the deviance.
    reasons : tuple of str
        Why a data set has no fit; empty where it has one.
    """

    names: tuple[str, ...]
    coef: np.ndarray
    std_error: np.ndarray
    df: np.ndarray
    sigma2: np.ndarray
    re_variance: np.ndarray
    loglik: np.ndarray
    reml: bool
    converged: np.ndarray
    singular: np.ndarray
    n_obs: np.ndarray
    n_groups: np.ndarray
    evaluations: np.ndarray
    reasons: tuple[str, ...]

    @property
    def estimable(self) -> np.ndarray:
        """Which data sets have a fit, (B,) bool."""
        return np.array([not reason for reason in self.reasons], dtype=bool)

    def take(self, which: slice) -> "MixedBatch":
        """Some of the data sets."""
        parts = {name: value[which] for name, value in vars(self).items() if name not in ("names", "reml")}
        return MixedBatch(names=self.names, reml=self.reml, **parts)

    @property
    def statistic(self) -> np.ndarray:
        """t statistics of coef = 0, (B, p)."""
        return self.coef / self.std_error

    @property
    def p_value(self) -> np.ndarray:
        """Two-sided p values of coef = 0, (B, p)."""
        return 2.0 * stdtr(self.df, -np.abs(self.statistic))

    def conf_int(self, level: float = 0.95) -> np.ndarray:
        """Confidence intervals, (B, p, 2), from the t distribution on `df` degrees of freedom."""
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, got {level}")
        half = stdtrit(self.df, 0.5 + level / 2) * self.std_error
        return np.stack([self.coef - half, self.coef + half], axis=-1)

    def tidy(self, level: float = 0.95):
        """One row per data set and fixed effect: data_set, term, estimate, std_error, df, statistic,
        p_value, ci_low, ci_high."""
        import pandas as pd  # the numeric core itself needs NumPy and SciPy only

        B, p = self.coef.shape
        columns = {"data_set": np.repeat(np.arange(B), p), "term": np.tile(self.names, B)}
        for name, key in {"coef": "estimate", "std_error": "std_error", "df": "df"}.items():
            columns[key] = getattr(self, name).ravel()
        columns |= {"statistic": self.statistic.ravel(), "p_value": self.p_value.ravel()}
        low, high = np.moveaxis(self.conf_int(level), -1, 0)
        return pd.DataFrame(columns | {"ci_low": low.ravel(), "ci_high": high.ravel()})

    def glance(self):
        """One row per data set: sizes, variances, likelihood, how it ended, and why where it has no fit."""
        import pandas as pd  # the numeric core itself needs NumPy and SciPy only

        names = [
            "n_obs",
            "n_groups",
            "sigma2",
            "re_variance",
            "loglik",
            "converged",
            "singular",
            "evaluations",
        ]
        return pd.DataFrame({name: getattr(self, name) for name in names} | {"reason": list(self.reasons)})

    def _repr_html_(self) -> str:
        """Mean and spread of each coefficient over the data sets with a fit."""
        import pandas as pd  # the numeric core itself needs NumPy and SciPy only

        fitted = self.coef[self.estimable]
        table = pd.DataFrame(fitted, columns=list(self.names)).describe().T
        line = f"{len(self.coef)} data sets: {len(fitted)} fitted, {self.converged.sum()} converged, "
        return f"{table.to_html()}<p>{escape(line + f'{self.singular.sum()} singular')}</p>"
