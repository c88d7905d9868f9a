"""Fitted random-intercept cross-lagged panel models: one, or many side by side."""

from dataclasses import dataclass
from html import escape

import numpy as np

from twostage.stats.base import OptimiserRecord, check_level, frame, html, wald


def parameter_table(fit, level):
    """One row per parameter of a fit with `names`, `estimate` and `std_error`; its own level where `level` is None."""
    level = fit.level if level is None else check_level(level)
    columns = {"term": fit.names, "estimate": fit.estimate, "std_error": fit.std_error, "df": np.inf}
    columns |= wald(fit.estimate, fit.std_error, level=level)
    return frame(columns | {"converged": fit.converged, "admissible": fit.admissible})


def batch_table(batch):
    """One row per data set (`replicate`) and parameter of a batch of such fits."""
    B, K = batch.estimate.shape
    columns = {"replicate": np.repeat(np.arange(B), K), "term": np.tile(batch.names, B)}
    numbers = {"estimate": batch.estimate, "std_error": batch.std_error}
    numbers |= wald(batch.estimate, batch.std_error, level=batch.level)
    columns |= {name: value.ravel() for name, value in numbers.items()}
    return frame(columns | {"converged": np.repeat(batch.converged, K)})


@dataclass(frozen=True)
class RiclpmFit:
    """A fitted random-intercept cross-lagged panel model.

    Attributes
    ----------
    phi, phi_se : (2, 2) arrays; (T - 1, 2, 2) with free lags
        phi[i, j] is the effect of variable j at t on variable i at t + 1, within persons; standard errors.
    phi_std, phi_std_se : (T - 1, 2, 2) arrays
        The same per transition in within-person standard deviations, standard errors by the delta method.
    names : tuple of str
        The K parameters besides the means.
    estimate, std_error : (K,) arrays
    cov : (K, K) array
        Covariance matrix of `estimate`.
    means : (T, 2) array
        Occasion means; NaN for an occasion at which nobody has the variable.
    intercept_cov, first_cov : (2, 2) arrays
        Covariances of the random intercepts and of the within-person parts at the first occasion.
    residual_cov : (2, 2) array; (T - 1, 2, 2) with free residuals
    within_cov : (T, 2, 2) array
        Implied covariances of the within-person parts.
    loglik, aic, bic : float
        `n_parameters` counts the means; BIC with log `n_obs`.
    converged : bool
        Whether a maximum was reached (positive definite observed information).
    admissible : bool
        Whether all estimated covariance matrices are positive semidefinite. They are not constrained to be.
    problems : tuple of str
        What is not admissible, with numbers.
    n_obs, n_dropped, n_patterns : int
        Persons used, persons without any observation, missingness patterns.
    optimiser : OptimiserRecord
    variables, residuals, lags, first, se, level
        As asked for.
    """

    phi: np.ndarray
    phi_se: np.ndarray
    phi_std: np.ndarray
    phi_std_se: np.ndarray
    names: tuple[str, ...]
    estimate: np.ndarray
    std_error: np.ndarray
    cov: np.ndarray
    means: np.ndarray
    intercept_cov: np.ndarray
    first_cov: np.ndarray
    residual_cov: np.ndarray
    within_cov: np.ndarray
    loglik: float
    aic: float
    bic: float
    n_parameters: int
    converged: bool
    admissible: bool
    problems: tuple[str, ...]
    n_obs: int
    n_dropped: int
    n_patterns: int
    optimiser: OptimiserRecord
    variables: tuple[str, str]
    residuals: str
    lags: str
    first: str
    se: str
    level: float

    def conf_int(self, level: float | None = None) -> np.ndarray:
        """Normal confidence intervals of the parameters, (K, 2)."""
        level = self.level if level is None else check_level(level)
        ends = wald(self.estimate, self.std_error, level=level)
        return np.column_stack([ends["ci_low"], ends["ci_high"]])

    def tidy(self, level: float | None = None):
        """One row per parameter: term, estimate, std_error, df, statistic, p_value, ci_low, ci_high, ..."""
        return parameter_table(self, level)

    def tidy_standardized(self, level: float | None = None):
        """One row per transition and lag coefficient, in within-person standard deviations."""
        level = self.level if level is None else check_level(level)
        T = len(self.phi_std) + 1
        terms = [f"{b}->{a}[{t}]" for t in range(2, T + 1) for a in self.variables for b in self.variables]
        estimate, std_error = self.phi_std.ravel(), self.phi_std_se.ravel()
        ends = wald(estimate, std_error, level=level)
        columns = {"term": terms, "estimate": estimate, "std_error": std_error}
        return frame(columns | {c: ends[c] for c in ("ci_low", "ci_high")})

    def glance(self):
        """One row for the fit."""
        names = ("n_obs", "n_dropped", "n_patterns", "n_parameters", "loglik")
        names += ("aic", "bic", "converged", "admissible")
        row = {name: getattr(self, name) for name in names}
        return frame([row | {name: getattr(self.optimiser, name) for name in ("iterations", "evaluations")}])

    def _repr_html_(self) -> str:
        columns = ["term", "estimate", "std_error", "p_value", "ci_low", "ci_high"]
        state = "converged" if self.converged else f"NOT CONVERGED: {self.optimiser.message}"
        persons = f"{self.n_obs} persons, {self.n_patterns} missingness patterns"
        note = "; ".join([persons, f"log-likelihood {self.loglik:.4f}", state, *self.problems])
        caption = "Random-intercept cross-lagged panel model"
        return html(caption, self.tidy()[columns], note=note)


@dataclass(frozen=True)
class RiclpmBatch:
    """Many fitted models, entry b of every array being data set b; NaN where it could not be fitted.

    Attributes
    ----------
    phi, phi_se : (B, 2, 2) arrays; (B, T - 1, 2, 2) with free lags
    estimate, std_error : (B, K) arrays
    cov : (B, K, K) array
    names : tuple of str
        The K parameters.
    loglik : (B,) array
    converged, admissible : (B,) arrays of bool
    n_obs, n_patterns, iterations : (B,) arrays of int
    messages : tuple of str
        How each ended; for a data set that cannot be fitted, why not.
    variables, residuals, lags, first, se, level
        As asked for.
    """

    phi: np.ndarray
    phi_se: np.ndarray
    estimate: np.ndarray
    std_error: np.ndarray
    cov: np.ndarray
    names: tuple[str, ...]
    loglik: np.ndarray
    converged: np.ndarray
    admissible: np.ndarray
    n_obs: np.ndarray
    n_patterns: np.ndarray
    iterations: np.ndarray
    messages: tuple[str, ...]
    variables: tuple[str, str]
    residuals: str
    lags: str
    first: str
    se: str
    level: float

    def __len__(self) -> int:
        return len(self.loglik)

    def tidy(self):
        """One row per data set (`replicate`) and parameter."""
        return batch_table(self)

    def glance(self):
        """One row per data set."""
        fields = ("n_obs", "n_patterns", "loglik", "converged", "admissible", "iterations")
        columns = {name: getattr(self, name) for name in fields}
        return frame({"replicate": np.arange(len(self))} | columns | {"message": self.messages})

    def _repr_html_(self) -> str:
        good = int(self.converged.sum())
        words = f"{len(self)} random-intercept cross-lagged panel models: {good} converged, "
        words += f"{int((self.converged & self.admissible).sum())} of them admissible"
        return f"<p>{escape(words)}</p>"
