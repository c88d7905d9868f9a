"""Fitted panel models with measurement error and own lines: one, or many side by side."""

from dataclasses import dataclass
from html import escape

import numpy as np

from twostage.stats.base import OptimiserRecord, frame, html
from twostage.stats.riclpm.results import batch_table, parameter_table

#: Least eigenvalue of the correlation-like information below which a combination of parameters is called weakly determined:
#: its standard error is then 10 times what it were if the other parameters were known.
WEAK = 0.01


@dataclass(frozen=True)
class StartsFit:
    """A fitted panel model with measurement error, own lines, or both.

    Attributes
    ----------
    phi, phi_se : (2, 2) arrays
        phi[i, j] is the effect of variable j at t on variable i at t + 1, within persons and without error; standard
        errors.
    names : tuple of str
        The K parameters besides the means.
    estimate, std_error : (K,) arrays
    cov : (K, K) array
        Covariance matrix of `estimate`; NaN for an error variance on its boundary.
    means : (T, 2) array
        Occasion means; NaN for an occasion at which nobody has the variable.
    line_cov : (2, 2) or (4, 4) array
        Covariances of the intercepts, at the first occasion, and slopes per occasion: r_x, r_y, s_x, s_y.
    first_cov, residual_cov : (2, 2) arrays
    error_var, error_se : (2,) arrays
        Error variances, estimated or implied by the reliability given; standard errors, NaN at 0.
    reliability_within, reliability_total : (2,) arrays
        The share of the variance of scores that is not error: within persons and in all, averaged over occasions.
    boundary : tuple of str
        Variables whose error variance is estimated at 0, its bound. The other standard errors are those given that.
    least_information : float
        Least eigenvalue of the information with unit diagonal: near 0 the data hardly tell some parameters apart.
    loglik, aic, bic : float
        `n_parameters` counts means and bounded parameters; BIC with log `n_obs`.
    converged, admissible : bool
        A maximum was reached; all covariance matrices but those bounded are positive semidefinite.
    problems : tuple of str
        What is not admissible, with numbers.
    n_obs, n_dropped, n_patterns : int
    optimiser : OptimiserRecord
    variables, error, kind, lines, se, level
        As asked for; `error` has one entry per variable, NaN where it is estimated.
    """

    phi: np.ndarray
    phi_se: np.ndarray
    names: tuple[str, ...]
    estimate: np.ndarray
    std_error: np.ndarray
    cov: np.ndarray
    means: np.ndarray
    line_cov: np.ndarray
    first_cov: np.ndarray
    residual_cov: np.ndarray
    error_var: np.ndarray
    error_se: np.ndarray
    reliability_within: np.ndarray
    reliability_total: np.ndarray
    boundary: tuple[str, ...]
    least_information: float
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
    error: tuple[float, float]
    kind: str
    lines: bool
    se: str
    level: float

    @property
    def weak(self) -> bool:
        """Whether the data hardly tell some parameters apart: Wald intervals are then not to be trusted."""
        return not self.least_information >= WEAK

    def tidy(self, level: float | None = None):
        """One row per parameter: term, estimate, std_error, df, statistic, p_value, ci_low, ci_high, ..."""
        return parameter_table(self, level)

    def glance(self):
        """One row for the fit."""
        names = ("n_obs", "n_dropped", "n_patterns", "n_parameters", "loglik", "aic", "bic")
        names += ("converged", "admissible", "least_information", "weak")
        row = {name: getattr(self, name) for name in names} | {"boundary": ", ".join(self.boundary)}
        for name in ("reliability_within", "reliability_total"):
            row |= {f"{name}_{v}": float(r) for v, r in zip("xy", getattr(self, name), strict=True)}
        return frame([row | {name: getattr(self.optimiser, name) for name in ("iterations", "evaluations")}])

    def _repr_html_(self) -> str:
        columns = ["term", "estimate", "std_error", "p_value", "ci_low", "ci_high"]
        shares = [
            f"{name}: {within:.3g} within persons, {total:.3g} in all"
            for name, within, total in zip(
                self.variables, self.reliability_within, self.reliability_total, strict=True
            )
        ]
        facts = [("reliability", "; ".join(shares))]
        facts += [("fit", f"{self.n_obs} persons, log-likelihood {self.loglik:.4f}")]
        return html(
            "Panel model with measurement error", self.tidy()[columns], facts, "; ".join(self.notes())
        )

    def notes(self) -> tuple[str, ...]:
        """What a reader must know of this fit, in words."""
        found = [] if self.converged else [f"NOT CONVERGED: {self.optimiser.message}"]
        found += [
            f"the error variance of {name} is estimated at its bound, 0: its standard error does not exist, and the "
            "others are those given that there is no error"
            for name in self.boundary
        ]
        if self.weak and self.converged:
            found.append("the data hardly tell some parameters apart: look at the profile likelihood")
        return (*found, *self.problems)


@dataclass(frozen=True)
class StartsBatch:
    """Many fitted models, entry b of every array being data set b; NaN where it could not be fitted.

    Attributes
    ----------
    phi, phi_se : (B, 2, 2) arrays
    names : tuple of str
        All K parameters; error variances of both variables are the last two, also where they are given (implied by the
        reliability) or absent (0).
    estimate, std_error : (B, K) arrays
    reliability_within, reliability_total : (B, 2) arrays
    boundary : (B, 2) array of bool
        Error variances estimated at 0.
    loglik, least_information : (B,) arrays
    converged, admissible : (B,) arrays of bool
    n_obs, iterations : (B,) arrays of int
    messages : tuple of str
        How each ended; for a data set that cannot be fitted, why not.
    variables, kind, lines, se, level
        As asked for.
    error : (B, 2) array
        The same; NaN where an error variance is estimated.
    """

    phi: np.ndarray
    phi_se: np.ndarray
    names: tuple[str, ...]
    estimate: np.ndarray
    std_error: np.ndarray
    reliability_within: np.ndarray
    reliability_total: np.ndarray
    boundary: np.ndarray
    loglik: np.ndarray
    least_information: np.ndarray
    converged: np.ndarray
    admissible: np.ndarray
    n_obs: np.ndarray
    iterations: np.ndarray
    messages: tuple[str, ...]
    variables: tuple[str, str]
    error: np.ndarray
    kind: str
    lines: bool
    se: str
    level: float

    def __len__(self) -> int:
        return len(self.loglik)

    def tidy(self):
        """One row per data set (`replicate`) and parameter."""
        return batch_table(self)

    def glance(self):
        """One row per data set."""
        fields = ("n_obs", "loglik", "least_information", "converged", "admissible", "iterations")
        columns = {"replicate": np.arange(len(self))} | {name: getattr(self, name) for name in fields}
        for j, v in enumerate("xy"):
            columns |= {f"boundary_{v}": self.boundary[:, j]}
            columns |= {f"reliability_within_{v}": self.reliability_within[:, j]}
        return frame(columns | {"message": self.messages})

    def _repr_html_(self) -> str:
        words = f"{len(self)} panel models with measurement error: {int(self.converged.sum())} converged, "
        words += f"{int((self.converged & self.admissible).sum())} of them admissible, "
        words += f"{int(self.boundary.any(axis=1).sum())} with an error variance at 0"
        return f"<p>{escape(words)}</p>"
