"""The dynamic panel model of one outcome as a covariance structure."""

from dataclasses import dataclass, field

import numpy as np

from twostage.stats.fiml import LinearStructure, group_patterns, inverse_positive, maximise, score_products
from twostage.stats.riclpm import RiclpmStructure
from twostage.stats.riclpm import starting_values as riclpm_starting_values


@dataclass(frozen=True)
class DpmSolved:
    """One direction of b data sets.

    Attributes
    ----------
    estimate, std_error : (b, r) arrays
        The parameters `DpmStructure.reported`.
    cov : (b, r, r) array
    loglik, converged, iterations, n_obs : (b,) arrays
    least : (b,) array
        Least eigenvalue of the correlation-like matrix of unit effect, covariates, predictors and first outcome.
    n_parameters : (b,) int array
        Means included.
    messages : tuple of str
    """

    estimate: np.ndarray
    std_error: np.ndarray
    cov: np.ndarray
    loglik: np.ndarray
    converged: np.ndarray
    iterations: np.ndarray
    n_obs: np.ndarray
    least: np.ndarray
    n_parameters: np.ndarray
    messages: tuple[str, ...]


@dataclass(frozen=True)
class DpmStructure:
    """``y_t = b1 x_{t-1} + b2 y_{t-1} + c'z + u_t``, ``u_t = alpha + e_t``, t = 2 .. T.

    Observed columns are z_1 .. z_k, then x_1, y_1, x_2, y_2, ..., x_{T-1}, y_{T-1}, y_T. The unit effect alpha
    shows in the covariances of the u: with one another (its variance A), with y_1 and with each x_s of the past
    (its covariances G); it is uncorrelated with z. Where x_s comes after e_t their covariance is free. So every
    covariance is one parameter, and theta is: b1, b2, c, A, V (variance of u_t, A and that of e_t; per occasion
    if `residuals` are free), G with y_1 and x_1 .. x_{T-1}, the covariances of z, x and y_1, and those of u_t with
    later x.

    Attributes
    ----------
    occasions, covariates : int
        T and k.
    residuals : {"equal", "free"}
        Variance of e_t.
    simultaneous : bool
        Whether e_t may correlate with x_t of its own occasion.
    """

    occasions: int
    covariates: int
    residuals: str
    simultaneous: bool
    base: LinearStructure = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        object.__setattr__(self, "base", _linear(self))

    @property
    def n_parameters(self) -> int:
        """Length of theta."""
        return self.base.n_parameters

    @property
    def n_columns(self) -> int:
        """Observed columns."""
        return self.covariates + 2 * self.occasions - 1

    @property
    def curved(self) -> tuple[int, ...]:
        """Parameters in which Sigma is not linear when the others are held: b1, b2, c."""
        return self.base.curved

    @property
    def n_residuals(self) -> int:
        """Residual variances: one, or T - 1."""
        return self.occasions - 1 if self.residuals == "free" else 1

    def sigma(self, theta):
        """Implied covariance matrix, (..., p, p)."""
        return self.base.sigma(theta)

    def jacobian(self, theta):
        """Its derivatives, (..., K, p, p)."""
        return self.base.jacobian(theta)

    def pullback(self, theta, G):
        """Inner products of the derivatives with symmetric matrices G, (..., K)."""
        return self.base.pullback(theta, G)

    def x(self, t: int) -> int:
        """Column of x_t, t = 1 .. T - 1."""
        return self.covariates + 2 * (t - 1)

    def y(self, t: int) -> int:
        """Column of y_t."""
        return self.covariates + 2 * (t - 1) + (t < self.occasions)

    def reported(self, theta, cov):
        """b1, b2, c, A and the variances of e: values (b, r) and their covariances (b, r, r)."""
        first = self.covariates + 2
        turn = np.eye(first + 1 + self.n_residuals, self.n_parameters)
        turn[first + 1 :, first] = -1.0
        return theta @ turn.T, turn @ cov @ turn.T

    def unit_effects(self, theta):
        """Covariance matrix of alpha, z, x_1 .. x_{T-1} and y_1, (b, k + T + 1, k + T + 1), from theta (b, K)."""
        first = self.covariates + 2
        shared = first + 1 + self.n_residuals
        exogenous = self.covariates + self.occasions
        rows, cols = np.tril_indices(exogenous)
        out = np.zeros((len(theta), exogenous + 1, exogenous + 1))
        at = shared + self.occasions
        out[:, rows + 1, cols + 1] = out[:, cols + 1, rows + 1] = theta[:, at : at + len(rows)]
        out[:, 0, 0] = theta[:, first]
        places = [*range(self.covariates + 1, exogenous), exogenous]
        with_x, with_y = theta[:, shared + 1 : at], theta[:, shared]
        out[:, 0, places] = out[:, places, 0] = np.column_stack([with_x, with_y])
        return out

    def names(self, predictor: str, outcome: str, covariates) -> tuple[str, ...]:
        """Names of the `reported` parameters."""
        arrows = [f"{name}->{outcome}" for name in (predictor, outcome, *covariates)]
        residual = f"var(residual_{outcome})"
        free = [f"{residual}[{t}]" for t in range(2, self.occasions + 1)]
        return (*arrows, f"var(unit_effect_{outcome})", *(free if self.residuals == "free" else [residual]))

    def scales(self, spread):
        """Units of theta for columns in units of `spread` (..., p): theta of the raw data over the scaled data's."""
        out = np.empty((*spread.shape[:-1], self.n_parameters))
        for k, ((i, j), *_) in self.base.paths.items():
            out[..., k] = spread[..., i] / spread[..., j]
        for k, ((i, j), *_) in self.base.covariances.items():
            out[..., k] = spread[..., i] * spread[..., j]
        return out


def solve(structure: DpmStructure, panels, outcome: int, se: str) -> DpmSolved:
    """Fit one direction's model to checked panels (:class:`~twostage.stats.dpm.input.DpmPanel`) at once."""
    rows, spread = zip(*(panel.direction(outcome) for panel in panels), strict=True)
    patterns = group_patterns(rows)
    order = [1 - outcome, outcome]
    scores = [p.scores.reshape(len(p.rows), -1, 2)[:, :, order].reshape(len(p.rows), -1) for p in panels]
    optimum = maximise(structure.base, patterns, starting_values(structure, group_patterns(scores)))
    information = inverse_positive(optimum.information)
    if se == "sandwich":
        information = information @ score_products(structure.base, patterns, optimum.point) @ information
    units = structure.scales(np.array(spread))
    cov = information * units[:, :, None] * units[:, None, :]
    estimate, cov = structure.reported(optimum.point.theta * units, cov)
    lost = np.array([(~np.isnan(r) * np.log(s)).sum() for r, s in zip(rows, spread, strict=True)])
    return DpmSolved(
        estimate=estimate,
        std_error=np.sqrt(np.einsum("bkk->bk", cov)),
        cov=cov,
        loglik=-optimum.point.value - lost,
        converged=optimum.converged,
        iterations=optimum.iterations,
        n_obs=patterns.n_obs,
        least=np.linalg.eigvalsh(structure.unit_effects(optimum.point.theta))[:, 0],
        n_parameters=structure.n_parameters + (patterns.column_counts() > 0).sum(axis=1),
        messages=tuple(optimum.message(b) for b in range(len(panels))),
    )


def faults(structure: DpmStructure, estimate, least, names) -> tuple[str, ...]:
    """What is not admissible in one direction, in words with numbers: `estimate` (r,), `least` its eigenvalue."""
    first = structure.covariates + 2
    variances = zip(names[first:], estimate[first:], strict=True)
    found = [f"{name} is negative ({value:.4g})" for name, value in variances if value < 0.0]
    if not found and least < 0.0:
        outcome = names[first].removeprefix("var(unit_effect_").removesuffix(")")
        found = [f"the unit effect on {outcome} is correlated beyond 1 with predictors and first outcome"]
    return tuple(found)


def _linear(model: DpmStructure) -> LinearStructure:
    """Places of the parameters among the columns; y_t's place in S is u_t's."""
    T, k = model.occasions, model.covariates
    later = range(2, T + 1)
    x, y = model.x, model.y
    paths = [[(y(t), x(t - 1)) for t in later], [(y(t), y(t - 1)) for t in later]]
    paths += [[(y(t), z) for t in later] for z in range(k)]
    own = [[(y(t), y(t))] for t in later]
    groups = [[(y(t), y(s)) for t in later for s in later if s < t]]
    groups += own if model.residuals == "free" else [[place for one in own for place in one]]
    groups += [[(y(t), y(1)) for t in later]]
    gap = 1 if model.simultaneous else 0
    groups += [[(y(t), x(s)) for t in later if t >= s + gap] for s in range(1, T)]
    exogenous = [*range(k), *(x(s) for s in range(1, T)), y(1)]
    groups += [[(a, b)] for at, a in enumerate(exogenous) for b in exogenous[: at + 1]]
    groups += [[(y(t), x(s))] for t in later for s in range(t, T) if s >= t + 1 - gap]
    covariances = [[(max(place), min(place)) for place in group] for group in groups]
    numbered = dict(enumerate(covariances, start=len(paths)))
    return LinearStructure(
        np.eye(model.n_columns), dict(enumerate(paths)), numbered, len(paths) + len(covariances)
    )


def starting_values(model: DpmStructure, panels):
    """Starting values (b, K): a random-intercept cross-lagged panel model's, which is a special case.

    Parameters
    ----------
    panels : Patterns
        Of the whole panels, columns x_1, y_1, ..., x_T, y_T of unit variance.
    """
    special = RiclpmStructure(model.occasions, "equal", "equal", "free")
    theta = riclpm_starting_values(special, panels)
    if not model.simultaneous:
        theta[:, -2] = 0.0
    whole = special.sigma(theta)
    kept = [*range(2 * model.occasions - 2), 2 * model.occasions - 1]
    k, p = model.covariates, model.n_columns
    sigma = np.broadcast_to(np.eye(p), (len(theta), p, p)).copy()
    sigma[:, k:, k:] = whole[:, kept][:, :, kept]
    out = np.zeros((len(theta), model.n_parameters))
    out[:, :2] = special.phi(theta)[:, 1]
    B = np.zeros_like(sigma)
    for c in range(2):
        i, j = np.transpose(model.base.paths[c])
        B[:, i, j] = out[:, c, None]
    left = np.eye(p) - B
    S = left @ sigma @ np.swapaxes(left, 1, 2)
    for c, places in model.base.covariances.items():
        i, j = np.transpose(places)
        out[:, c] = S[:, i, j].mean(axis=1)
    return out
