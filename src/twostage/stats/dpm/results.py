"""Fitted dynamic panel models: one pair of directions, or many side by side."""

from dataclasses import dataclass
from html import escape

import numpy as np

from twostage.stats.base import DIRECTIONS, check_level, frame, html, wald


@dataclass(frozen=True)
class DpmFit:
    """Fitted dynamic panel models of x (entry 0 of every array) and of y (entry 1).

    Attributes
    ----------
    phi, phi_se : (2, 2) arrays
        phi[i, j] is the effect of variable j at t on variable i at t + 1; standard errors.
    names : tuple of two tuples of str
        The r parameters of each direction: both lagged effects, effects of further predictors and of covariates,
        variances of the unit effect and of the residual.
    estimate, std_error : (2, r) arrays
    cov : (2, r, r) array
        Covariance matrices of `estimate`.
    loglik : (2,) array
        The two models' likelihoods are of different columns.
    n_parameters : (2,) int array
        Means included.
    converged : (2,) bool array
        Whether a maximum was reached (positive definite observed information).
    admissible : (2,) bool array
        Whether variances are not negative and no correlation of the unit effect is beyond 1.
    problems : tuple of str
        What is not admissible, with numbers.
    n_obs : (2,) int array
        Persons used.
    occasions : (int, int)
        First and last occasion with a score, counted from 1.
    n_dropped : int
        Persons without any score.
    iterations : (2,) int array
    messages : tuple of two str
        How the optimiser ended.
    variables, residuals, simultaneous, se, level
        As asked for.
    """

    phi: np.ndarray
    phi_se: np.ndarray
    names: tuple[tuple[str, ...], tuple[str, ...]]
    estimate: np.ndarray
    std_error: np.ndarray
    cov: np.ndarray
    loglik: np.ndarray
    n_parameters: np.ndarray
    converged: np.ndarray
    admissible: np.ndarray
    problems: tuple[str, ...]
    n_obs: np.ndarray
    occasions: tuple[int, int]
    n_dropped: int
    iterations: np.ndarray
    messages: tuple[str, str]
    variables: tuple[str, str]
    residuals: str
    simultaneous: bool
    se: str
    level: float

    def conf_int(self, level: float | None = None) -> np.ndarray:
        """Normal confidence intervals of `estimate`, (2, r, 2)."""
        level = self.level if level is None else check_level(level)
        ends = wald(self.estimate, self.std_error, level=level)
        return np.stack([ends["ci_low"], ends["ci_high"]], axis=-1)

    def tidy(self, level: float | None = None):
        """One row per direction and parameter: direction, term, estimate, std_error, df (infinite), statistic,
        p_value, ci_low, ci_high, converged, admissible."""
        level = self.level if level is None else check_level(level)
        r = self.estimate.shape[1]
        columns = {"direction": np.repeat(DIRECTIONS[::-1], r), "term": [*self.names[1], *self.names[0]]}
        numbers = {"estimate": self.estimate, "std_error": self.std_error, "df": np.full((2, r), np.inf)}
        numbers |= wald(self.estimate, self.std_error, level=level)
        columns |= {name: number[::-1].ravel() for name, number in numbers.items()}
        flags = {name: np.repeat(getattr(self, name)[::-1], r) for name in ("converged", "admissible")}
        return frame(columns | flags)

    def glance(self):
        """One row per direction."""
        fields = ("n_obs", "n_parameters", "loglik", "converged", "admissible", "iterations")
        rows = [{"direction": DIRECTIONS[k]} | {f: getattr(self, f)[k] for f in fields} for k in (1, 0)]
        return frame(rows)

    def _repr_html_(self) -> str:
        columns = ["direction", "term", "estimate", "std_error", "p_value", "ci_low", "ci_high"]
        good = "converged" if self.converged.all() else f"NOT CONVERGED: {'; '.join(self.messages)}"
        note = "; ".join([f"{self.n_obs.max()} persons", good, *self.problems])
        return html("Dynamic panel models", self.tidy()[columns], note=note)


@dataclass(frozen=True)
class DpmBatch:
    """Many pairs of fitted models, entry b of every array being data set b; NaN where it could not be fitted.

    Attributes
    ----------
    phi, phi_se : (B, 2, 2) arrays
    estimate, std_error : (B, 2, r) arrays
        Of the equations of x and of y, as in :class:`DpmFit`.
    names : tuple of two tuples of str
    loglik : (B, 2) array
    converged, admissible : (B, 2) bool arrays
    n_obs, iterations : (B, 2) int arrays
    messages : tuple of str
        How each ended; for a data set that cannot be fitted, why not.
    variables, residuals, simultaneous, se, level
        As asked for.
    """

    phi: np.ndarray
    phi_se: np.ndarray
    estimate: np.ndarray
    std_error: np.ndarray
    names: tuple[tuple[str, ...], tuple[str, ...]]
    loglik: np.ndarray
    converged: np.ndarray
    admissible: np.ndarray
    n_obs: np.ndarray
    iterations: np.ndarray
    messages: tuple[str, ...]
    variables: tuple[str, str]
    residuals: str
    simultaneous: bool
    se: str
    level: float

    def __len__(self) -> int:
        return len(self.loglik)

    def tidy(self):
        """One row per data set (`replicate`), direction and parameter."""
        B, _, r = self.estimate.shape
        both = [(DIRECTIONS[k], name) for k in (0, 1) for name in self.names[k]]
        direction, term = zip(*both, strict=True)
        ends = wald(self.estimate, self.std_error, level=self.level)
        columns = {"replicate": np.repeat(np.arange(B), 2 * r), "direction": np.tile(direction, B)}
        columns |= {"term": np.tile(term, B), "estimate": self.estimate.ravel()}
        columns |= {"std_error": self.std_error.ravel()} | {c: ends[c].ravel() for c in ("ci_low", "ci_high")}
        return frame(columns | {"converged": np.repeat(self.converged.ravel(), r)})

    def glance(self):
        """One row per data set and direction."""
        fields = ("n_obs", "loglik", "converged", "admissible", "iterations")
        columns = {
            "replicate": np.repeat(np.arange(len(self)), 2),
            "direction": np.tile(DIRECTIONS, len(self)),
        }
        columns |= {name: getattr(self, name).ravel() for name in fields}
        return frame(columns | {"message": np.repeat(np.array(self.messages, dtype=object), 2)})

    def _repr_html_(self) -> str:
        good = int(self.converged.all(axis=1).sum())
        words = f"{len(self)} pairs of dynamic panel models: {good} converged, "
        words += f"{int((self.converged & self.admissible).all(axis=1).sum())} of them admissible"
        return f"<p>{escape(words)}</p>"
