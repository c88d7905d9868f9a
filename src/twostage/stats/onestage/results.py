"""Result of a one-stage model."""

from dataclasses import dataclass

import numpy as np

from twostage.stats.base import Inference, OptimiserRecord, coefficient_rows, frame, html, one_row

# A direction of Sigma with less than this share of the slopes' largest variance, or sampling variance, is without any.
NO_VARIANCE = 1e-8


_GLANCE = (
    "variances",
    "inference",
    "k",
    "n_obs",
    "n_groups",
    "loglik",
    "level",
    "exact",
    "converged",
    "singular",
)


@dataclass(frozen=True, eq=False, kw_only=True)
class OneStageFit(Inference[np.ndarray]):
    """A mixed model of all patients of all studies.

    Attributes
    ----------
    names : tuple of str
        The q slopes with random effects over studies.
    labels : tuple of str
        The k studies.
    coef, std_error, df, statistic, p_value, ci_low, ci_high : (q,) arrays
        Of the mean slopes, by `inference`.
    cov_coef, cov_model : (q, q) arrays
        Covariance of the mean slopes; that of a known Sigma.
    cov_re : (q, q) array
        Sigma, covariance of the slopes over studies.
    sigma2, re_variance : (k,) arrays
        Residual variance and variance of the random intercept of each study.
    slopes, slope_errors : (k, q) arrays
        What each study says by itself at these variances.
    study_slopes : (k, q) array
        The studies' slopes given all studies (shrunken to the mean).
    weights : (k, q) array
        Share of each study in each mean slope, its own part; they add up to 1.
    loglik : float
        Restricted log-likelihood.
    variances : {"separate", "common"}
    inference : {"hartung-knapp", "kenward-roger", "wald"}
    level : float
    n_obs, n_groups : int
        Rows and patients.
    joined : tuple of bool
        Studies in which patients with different numbers of rows were counted as having the mean of these; their part is
        `approximate` unless the variance of their intercept is 0.
    converged : bool
    optimiser : OptimiserRecord
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    coef: np.ndarray
    df: np.ndarray
    cov_coef: np.ndarray
    cov_model: np.ndarray
    cov_re: np.ndarray
    sigma2: np.ndarray
    re_variance: np.ndarray
    slopes: np.ndarray
    slope_errors: np.ndarray
    study_slopes: np.ndarray
    weights: np.ndarray
    loglik: float
    variances: str
    inference: str
    level: float
    n_obs: int
    n_groups: int
    joined: tuple[bool, ...]
    converged: bool
    optimiser: OptimiserRecord

    @property
    def k(self) -> int:
        """Studies."""
        return len(self.labels)

    @property
    def approximate(self) -> tuple[bool, ...]:
        """Studies whose part is approximate: cells were joined, and the variance of the intercept is not 0."""
        return tuple(bool(j and v > 0.0) for j, v in zip(self.joined, self.re_variance, strict=True))

    @property
    def exact(self) -> bool:
        """Whether the fit is that of all rows."""
        return not any(self.approximate)

    @property
    def tau(self) -> np.ndarray:
        """Standard deviations of the slopes over studies, (q,)."""
        return np.sqrt(np.diagonal(self.cov_re))

    @property
    def rho(self) -> np.ndarray:
        """Their correlations, (q, q); NaN where one does not vary."""
        scale = np.outer(self.tau, self.tau)
        return np.where(scale > 0.0, self.cov_re / np.where(scale > 0.0, scale, 1.0), np.nan)

    @property
    def singular(self) -> bool:
        """Whether some combination of the slopes does not vary over studies."""
        size = np.sqrt(np.maximum(np.diagonal(self.cov_re), (self.slope_errors**2).mean(axis=0)))
        return bool(np.linalg.eigvalsh(self.cov_re / np.outer(size, size))[0] < NO_VARIANCE)

    def tidy(self):
        """One row per mean slope: term, estimate, std_error, df, statistic, p_value, ci_low, ci_high, tau, exact."""
        return coefficient_rows(self).assign(tau=self.tau, exact=self.exact)

    def glance(self):
        """One row: variances, inference, k, n_obs, n_groups, loglik, level, exact, converged, singular."""
        return one_row(self, _GLANCE)

    def studies(self):
        """One row per study and slope: what it says by itself, given all studies, and its weight."""
        rows = [
            {
                "study": label,
                "term": name,
                "estimate": self.slopes[s, j],
                "std_error": self.slope_errors[s, j],
            }
            | {"given_all": self.study_slopes[s, j], "weight": self.weights[s, j], "sigma2": self.sigma2[s]}
            | {"re_variance": self.re_variance[s], "joined": self.joined[s]}
            | {"exact": not self.approximate[s]}
            for s, label in enumerate(self.labels)
            for j, name in enumerate(self.names)
        ]
        return frame(rows)

    def _repr_html_(self):
        facts = [
            ("studies", f"{self.k} of {self.n_groups} patients with {self.n_obs} rows"),
            (
                "variances",
                f"{self.variances} to each study" if self.variances == "separate" else "common to all",
            ),
            ("restricted log-likelihood", f"{self.loglik:.6g}"),
            ("joined cells", ", ".join(n for n, j in zip(self.labels, self.joined, strict=True) if j)),
            ("approximate", ", ".join(n for n, a in zip(self.labels, self.approximate, strict=True) if a)),
        ]
        note = "" if self.converged else f"not converged: {self.optimiser.message}"
        return html("One-stage model", self.tidy(), facts, note)
