"""The (restricted) likelihood of a location-scale model, its derivatives and its maximum.

Model: ``y_i ~ N(x_i'beta, v_i + tau2_i)``, ``log tau2_i = u_i'g``, U an orthonormal basis of the scale moderators.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from twostage.stats.base import OptimiserRecord
from twostage.stats.pool.design import project
from twostage.stats.pool.tau2 import log_likelihood

# Largest |log tau2|: exp of it, and of its inverse, is still a double.
LARGEST_LOG = 300.0


# Size of the last Newton step, in log tau2, below which a maximum counts as reached. Towards tau2 = 0 the
# likelihood flattens so that steps stay near 1: such a run never passes for a maximum.
STEP_TOLERANCE = 1e-9


FLAT = 1e-12  # curvature at which the likelihood does not change over 10^6 in log tau2: no maximum


POLISH = 30  # Newton steps after the trust-region search; 2 to 4 are used at a regular maximum


STARTS = (-3.0, 0.0, 3.0)  # added to the logarithm of the homogeneous tau2


# Slopes, in log tau2 per standard deviation of a moderator, of starts with heterogeneity at one end of it alone.
STEEP = (-5.0, 5.0)


# Where the likelihood only tends to its supremum, the gradient is about what is still missing.
TRUST = {"gtol": 1e-11, "max_trust_radius": 10.0, "maxiter": 500}


@dataclass(frozen=True, eq=False)
class ScaleProblem:
    """Data of a location-scale model, regressed on X without weights already.

    Attributes
    ----------
    y, v : ndarray, shape (k,)
    U : ndarray, shape (k, p)
        Orthonormal basis of the location moderators.
    S : ndarray, shape (k, q)
        Orthonormal basis of the scale moderators.
    reml : bool
    """

    y: np.ndarray
    v: np.ndarray
    U: np.ndarray
    S: np.ndarray
    reml: bool

    def tau2(self, g):
        """Heterogeneity of each study, shape (k,)."""
        return np.exp(np.clip(self.S @ g, -LARGEST_LOG, LARGEST_LOG))

    def value(self, g):
        """Log-likelihood, beta at its weighted least squares estimate."""
        return float(log_likelihood(self.y, self.v, self.tau2(g), self.U, reml=self.reml))

    def derivatives(self, g):
        """Gradient (q,) and Hessian (q, q) of the log-likelihood.

        Notes
        -----
        With ``D_a = diag(tau2_i s_ia)`` and P as in :class:`twostage.stats.pool.design.Projection`, twice the gradient is
        ``y'P D_a P y - tr(P D_a)``, twice the Hessian ``tr(P D_a P D_b) - 2 y'P D_a P D_b P y + sum_i tau2_i s_ia
        s_ib ((Py)_i^2 - P_ii)``; ML has W in place of P inside the traces.
        """
        tau2 = self.tau2(g)
        at = project(self.y, 1.0 / (self.v + tau2), self.U)
        half = at.root[:, None] * at.Q
        P = np.diag(at.w) - half @ half.T
        inside = P if self.reml else np.diag(at.w)
        py = at.py
        D = tau2[:, None] * self.S
        excess = py**2 - np.diagonal(inside)
        through = py[:, None] * D
        hessian = (
            D.T @ inside**2 @ D
            - 2.0 * through.T @ P @ through
            + self.S.T @ ((tau2 * excess)[:, None] * self.S)
        )
        return 0.5 * D.T @ excess, 0.5 * hessian


@dataclass(frozen=True, eq=False)
class ScaleMaximum:
    """Where the search ended.

    Attributes
    ----------
    g : ndarray, shape (q,)
    loglik : float
    information : ndarray, shape (q, q)
        Negative Hessian.
    converged : bool
    record : OptimiserRecord
        Of the run that won.
    n_starts : int
    finite : float
        Highest log-likelihood at which a run converged; NaN where none did.
    """

    g: np.ndarray
    loglik: float
    information: np.ndarray
    converged: bool
    record: OptimiserRecord
    n_starts: int
    finite: float


def maximise(problem, homogeneous):
    """Maximum of the likelihood, searched from several starts.

    Parameters
    ----------
    problem : ScaleProblem
    homogeneous : float
        A tau2 common to all studies, to start from.

    Returns
    -------
    ScaleMaximum
        The highest one found. `converged` is False where the likelihood still rises as some tau2_i tends to 0 (or
        to infinity): no finite estimate exists.
    """
    starts = _starts(problem, homogeneous)
    runs = [_climb(problem, g) for g in starts]
    # Runs of equal height up to rounding: prefer one that ended at a regular maximum.
    top = max(run[1] for run in runs)
    best = max((run for run in runs if run[1] >= top - 1e-9), key=lambda run: (run[3], run[1]))
    finite = max((run[1] for run in runs if run[3]), default=float("nan"))
    return ScaleMaximum(*best, n_starts=len(starts), finite=finite)


def _starts(problem, homogeneous):
    base = np.log(max(homogeneous, 0.01 * float(np.median(problem.v))))
    residual = np.log(np.maximum(problem.y**2, 1e-4 * problem.v))
    slopes = problem.S @ (problem.S.T @ (residual - residual.mean()))
    shapes = [np.zeros_like(slopes), slopes]
    for direction in problem.S.T[np.ptp(problem.S, axis=0) > 0.0]:
        for slope in STEEP:
            rising = slope * direction / direction.std()
            shapes.append(rising - rising.max())
    return [problem.S.T @ (base + shift + shape) for shape in shapes for shift in STARTS]


def _climb(problem, g):
    """Trust-region Newton, then plain Newton to the last digit."""
    result = minimize(
        lambda x: -problem.value(x),
        g,
        jac=lambda x: -problem.derivatives(x)[0],
        hess=lambda x: -problem.derivatives(x)[1],
        method="trust-exact",
        options=TRUST,
    )
    g, converged, steps = result.x, False, 0
    while steps < POLISH:
        steps += 1
        gradient, hessian = problem.derivatives(g)
        if np.linalg.eigvalsh(-hessian)[0] <= FLAT:
            break
        step = np.linalg.solve(-hessian, gradient)
        size = np.abs(problem.S @ step).max()
        if size > 1.0:
            break
        g = g + step
        converged = bool(size < STEP_TOLERANCE)
        if converged:
            break
    gradient, hessian = problem.derivatives(g)
    decrement = float(gradient @ np.linalg.lstsq(-hessian, gradient)[0])
    message = (
        "the last Newton step is below tolerance" if converged else "the likelihood has no maximum nearby"
    )
    record = OptimiserRecord(result.nit + steps, result.nfev + steps, max(decrement, 0.0) ** 0.5, message)
    return g, problem.value(g), -hessian, converged, record
