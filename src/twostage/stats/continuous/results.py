"""A fitted process in continuous time, and its effects over any interval."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from twostage.stats.base import OptimiserRecord, check_level, frame, html, one_row, wald
from twostage.stats.continuous.process import carried, carried_slopes

#: Least eigenvalue of the information with unit diagonal below which a combination of parameters is called weakly
#: determined: its standard error is then 10 times what it were if the other parameters were known.
WEAK = 0.01


@dataclass(frozen=True)
class IntervalEffects:
    """Lagged effects over some intervals.

    Attributes
    ----------
    intervals : (m,) array
    phi, phi_se : (m, 2, 2) arrays
        phi[k, i, j] is the effect of variable j on variable i an interval later, within persons: ``e^(A d)[i, j]``;
        standard errors by the delta method.
    cov : (m, 4, 4) array
        Covariance matrices of the elements of phi[k], row by row.
    level : float
    variables : (str, str)
    """

    intervals: np.ndarray
    phi: np.ndarray
    phi_se: np.ndarray
    cov: np.ndarray
    level: float
    variables: tuple[str, str]

    def tidy(self):
        """One row per interval and effect."""
        terms = [f"{b}->{a}" for a in self.variables for b in self.variables]
        columns = {
            "interval": np.repeat(self.intervals, 4),
            "term": np.tile(terms, len(self.intervals)),
            "estimate": self.phi.ravel(),
            "std_error": self.phi_se.ravel(),
            "df": np.inf,
        }
        return frame(columns | wald(columns["estimate"], columns["std_error"], level=self.level))

    def _repr_html_(self) -> str:
        columns = ["interval", "term", "estimate", "ci_low", "ci_high"]
        return html("Lagged effects by interval", self.tidy()[columns])


@dataclass(frozen=True)
class ContinuousFit:
    """A fitted bivariate Ornstein-Uhlenbeck process about random intercepts.

    Attributes
    ----------
    drift, drift_se : (2, 2) arrays
        A, per unit of time: ``e^(A d)`` is what an interval d carries over.
    diffusion : (2, 2) array
        Q, the covariance of the noise per unit of time.
    within_cov : (2, 2) array
        P, the covariance of the process once it has settled.
    first_cov, intercept_cov : (2, 2) arrays
        Covariances of the process at a person's first time, and of the random intercepts.
    error_var : (2,) array
        Error variances; 0 without error.
    means : (T, 2) array
        Means of the sessions, the same in all rows where they are constant; NaN where nobody was observed.
    names : tuple of str
        The K parameters besides the means. `residual` is the covariance of what is new over `unit`.
    estimate, std_error : (K,) arrays
    cov : (K, K) array
        NaN for a parameter on its bound.
    unit : float
        The median interval between two sessions of a person.
    boundary : tuple of str
        Parameters on their bound, in words. The other standard errors are those given that.
    least_information : float
        Least eigenvalue of the information with unit diagonal: near 0 the data hardly tell some parameters apart.
    loglik, aic, bic : float
        `n_parameters` counts means and bounded parameters; BIC with log `n_obs`.
    converged, admissible : bool
        A maximum was reached; the process settles and all covariance matrices are positive semidefinite.
    problems : tuple of str
        What is not admissible, with numbers.
    n_obs, n_dropped, n_patterns : int
        Persons used, persons without a score, different sets of times and scores.
    optimiser : OptimiserRecord
    means_are, first, se, level, variables
        As asked for.
    """

    drift: np.ndarray
    drift_se: np.ndarray
    diffusion: np.ndarray
    within_cov: np.ndarray
    first_cov: np.ndarray
    intercept_cov: np.ndarray
    error_var: np.ndarray
    means: np.ndarray
    names: tuple[str, ...]
    estimate: np.ndarray
    std_error: np.ndarray
    cov: np.ndarray
    unit: float
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
    means_are: str
    first: str
    se: str
    level: float
    variables: tuple[str, str]

    @property
    def weak(self) -> bool:
        """Whether the data hardly tell some parameters apart: Wald intervals are then not to be trusted."""
        return not self.least_information >= WEAK

    def effects(self, intervals: ArrayLike, weights: ArrayLike | None = None) -> IntervalEffects:
        """The lagged effects over some intervals, or on average over them.

        Parameters
        ----------
        intervals : array_like
            In the unit of the times, above 0.
        weights : array_like, optional
            Of the intervals, above 0: one effect, their weighted mean, instead of one for each interval; its `intervals` is
            the mean interval.

        Returns
        -------
        IntervalEffects

        Raises
        ------
        ValueError
            An interval or weight that is not finite and above 0; unequal numbers of them.
        """
        d = _positive(intervals, "intervals")
        phi, slopes = carried(self.drift, d), carried_slopes(self.drift, d)
        if weights is not None:
            w = _positive(weights, "weights")
            if w.shape != d.shape:
                raise ValueError(f"weights must be as many as intervals, {len(d)}; got {len(w)}")
            share = w / w.sum()
            phi, slopes = (np.einsum("d,...dij->...ij", share, a)[..., None, :, :] for a in (phi, slopes))
            d = np.array([share @ d])
        turn = slopes.reshape(4, len(d), 4)
        cov = np.einsum("kda,kl,ldb->dab", turn, self.cov[:4, :4], turn)
        error = np.sqrt(np.einsum("daa->da", cov)).reshape(phi.shape)
        return IntervalEffects(d, phi, error, cov, self.level, self.variables)

    def tidy(self, level: float | None = None):
        """One row per parameter: term, estimate, std_error, df, statistic, p_value, ci_low, ci_high, ..."""
        level = self.level if level is None else check_level(level)
        columns = {"term": self.names, "estimate": self.estimate, "std_error": self.std_error, "df": np.inf}
        columns |= wald(self.estimate, self.std_error, level=level)
        return frame(columns | {"converged": self.converged, "admissible": self.admissible})

    def glance(self):
        """One row for the fit."""
        names = ("n_obs", "n_dropped", "n_patterns", "n_parameters", "loglik", "aic", "bic", "unit")
        return one_row(self, (*names, "converged", "admissible", "least_information", "weak"))

    def notes(self) -> tuple[str, ...]:
        """What a reader must know of this fit, in words."""
        found = [] if self.converged else [f"NOT CONVERGED: {self.optimiser.message}"]
        found += [
            f"{text}: it has no standard error, and the others are those given that" for text in self.boundary
        ]
        if self.weak and self.converged:
            found.append("the data hardly tell some parameters apart: standard errors are not to be trusted")
        return (*found, *self.problems)

    def _repr_html_(self) -> str:
        columns = ["term", "estimate", "std_error", "p_value", "ci_low", "ci_high"]
        facts = [("fit", f"{self.n_obs} persons, log-likelihood {self.loglik:.4f}")]
        return html("Process in continuous time", self.tidy()[columns], facts, "; ".join(self.notes()))


def _positive(values: ArrayLike, name: str) -> np.ndarray:
    array = np.atleast_1d(np.asarray(values, dtype=float))
    if array.ndim != 1 or not array.size or not (np.isfinite(array) & (array > 0)).all():
        raise ValueError(f"{name} must be finite numbers above 0, at least one; got {values!r}")
    return array
