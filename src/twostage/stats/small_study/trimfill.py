"""Trim-and-fill: how many studies would make the funnel symmetric, and the pooled effect with them."""

from dataclasses import dataclass

import numpy as np

from twostage.stats.base import EFFECT, NotEstimable, check_choice, frame, html, one_row
from twostage.stats.pool import PooledFit, metareg, pool, pooled

ESTIMATORS = ("L0", "R0", "Q0")


SIDES = ("left", "right")


MAX_ITERATIONS = 100


ROUNDING = 8.0 * np.finfo(float).eps  # of a weighted mean, relative to the largest estimate


_COLUMNS = (*EFFECT, "tau2", "i2", "q")


@dataclass(frozen=True, eq=False)
class TrimFill:
    """Result of trim-and-fill.

    Attributes
    ----------
    k0 : int
        Estimated number of missing studies.
    k0_se : float
        Its standard error; NaN where the formula's variance is negative.
    k0_p_value : float
        Of the test that none is missing (R0 only, NaN otherwise).
    side : {"left", "right"}
        Where they are missing.
    estimator : str
    filled : PooledFit
        All studies and the filled ones, labelled "Filled 1", ...; the given fit if k0 = 0.
    is_filled : ndarray of bool, shape (k + k0,)
    unadjusted : PooledFit
    iterations : int
    converged : bool
        k0 stopped changing; False if it was still changing after 100 iterations.
    labels : tuple of str
    note : str
    """

    k0: int
    k0_se: float
    k0_p_value: float
    side: str
    estimator: str
    filled: PooledFit
    is_filled: np.ndarray
    unadjusted: PooledFit
    iterations: int
    converged: bool
    labels: tuple[str, ...]
    note: str = ""

    def tidy(self):
        """Two rows: the pooled effect as observed and with the filled studies."""
        fits = {"observed": self.unadjusted, "filled": self.filled}
        rows = [{"studies": n, "k": f.k} | {c: getattr(f, c) for c in _COLUMNS} for n, f in fits.items()]
        return frame(rows)

    def studies(self):
        """One row per study, filled ones last: study, estimate, std_error, filled."""
        columns = {"study": self.labels, "estimate": self.filled.y, "std_error": np.sqrt(self.filled.v)}
        return frame(columns | {"filled": self.is_filled})

    def glance(self):
        """One row: k0, its standard error and p-value, side, estimator, flags."""
        names = ("k0", "k0_se", "k0_p_value", "side", "estimator", "iterations", "converged", "note")
        return one_row(self, names)

    def _repr_html_(self):
        table = self.tidy()[["studies", "k", "estimate", "ci_low", "ci_high", "tau2"]]
        caption = f"Trim-and-fill ({self.estimator}): {self.k0} missing on the {self.side}"
        return html(caption, table, note=self.note)


def trimfill(y, v=None, *, estimator="L0", side=None, **options):
    """Trim-and-fill.

    Parameters
    ----------
    y : PooledFit or array_like, shape (k,)
        At least two studies (three where the side is to be found).
    v : array_like, shape (k,), optional
    estimator : {"L0", "R0", "Q0"}
        Of the number of missing studies.
    side : {"left", "right"}, optional
        Where studies are missing: small or large estimates. Default: "right" if Egger's mixed regression on
        the standard error has a negative slope, else "left".
    **options
        Of :func:`twostage.stats.pool.pool.pool`; only with an array `y`.

    Returns
    -------
    TrimFill

    Raises
    ------
    TypeError, ValueError
        As :func:`twostage.stats.pool.refit.pooled`; unknown estimator or side.
    NotEstimable
        The side cannot be found (equal variances, two studies), the estimator is not defined for these data
        (Q0 with nearly all ranks on one side, R0 with none below), or every study would be trimmed.

    Notes
    -----
    Duval & Tweedie (2000), doi:10.1111/j.0006-341X.2000.00455.x and 10.1080/01621459.2000.10473905. Estimates
    are mirrored if need be so that small ones are missing, the k0 largest trimmed, the others pooled, and all
    ranked by their distance from that effect; with ``S`` the sum of the ranks of those above::

        R0 = k - (largest rank of those below) - 1
        L0 = (4 S - k (k+1)) / (2 k - 1)
        Q0 = k - 1/2 - sqrt(2 k^2 - 4 S + 1/4)

    rounded, at least 0, until k0 does not change. Ties are ranked in the order of the estimates. Checked
    against ``trimfill`` of metafor 3.8-1, whose refit always has normal inference; here it is the fit's. An
    estimate that equals the centre has no sign here; there, rounding gives it one.
    """
    fit = pooled(y, v, purpose="trim-and-fill", **options)
    check_choice("estimator", estimator, ESTIMATORS)
    if side not in (None, *SIDES):
        raise ValueError(f"side must be left, right or None; got {side!r}")
    side = _missing_side(fit) if side is None else side
    sign = -1.0 if side == "right" else 1.0
    order = np.argsort(sign * fit.y, kind="stable")
    y, v = sign * fit.y[order], fit.v[order]
    k0, error, centre, iterations, converged = _trim(y, v, fit.method, estimator)
    filled, is_filled = _fill(fit, sign * (2.0 * centre - y[fit.k - k0 :]), v[fit.k - k0 :])
    is_filled.flags.writeable = False
    return TrimFill(
        k0=k0,
        k0_se=error,
        k0_p_value=0.5 ** (k0 + 1) if estimator == "R0" else float("nan"),
        side=side,
        estimator=estimator,
        filled=filled,
        is_filled=is_filled,
        unadjusted=fit,
        iterations=iterations,
        converged=converged,
        labels=filled.labels,
        note="" if converged else f"k0 still changing after {MAX_ITERATIONS} iterations",
    )


def _trim(y, v, method, estimator):
    """Trim the k0 largest and estimate k0 again, until it stays."""
    k, k0, before, centre, iterations, error = len(y), 0, -1, 0.0, 0, 0.0
    while k0 != before and iterations < MAX_ITERATIONS:
        before, iterations = k0, iterations + 1
        centre = pool(y[: k - k0], v[: k - k0], method=method, ci="wald").estimate
        k0, error = missing_studies(_less(y, centre), estimator)
        if k0 >= k:
            raise NotEstimable("every study would be trimmed: take another estimator or side")
    return k0, error, centre, iterations, k0 == before


def _less(y, centre):
    """Deviations from the centre; what rounding leaves of an estimate that equals it is 0, not a sign."""
    deviation = y - centre
    return np.where(np.abs(deviation) <= ROUNDING * np.abs(y).max(), 0.0, deviation)


def missing_studies(deviation, estimator):
    """Number of missing small estimates and its standard error.

    Parameters
    ----------
    deviation : ndarray, shape (k,)
        Ascending estimates less the centre.
    estimator : str

    Returns
    -------
    k0 : int
    std_error : float
        NaN where the formula's variance is negative.

    Raises
    ------
    NotEstimable
        The estimator is not defined.
    """
    k = len(deviation)
    rank = np.empty(k)
    rank[np.argsort(np.abs(deviation), kind="stable")] = np.arange(1, k + 1)
    if estimator == "R0":
        below = rank[deviation < 0.0]
        if not below.size:
            raise NotEstimable("R0 is not defined: no estimate lies below the trimmed effect")
        k0 = k - below.max() - 1.0
        return max(0, round(k0)), float(np.sqrt(2.0 * max(0.0, k0) + 2.0))
    total = rank[deviation > 0.0].sum()
    if estimator == "L0":
        k0 = (4.0 * total - k * (k + 1)) / (2 * k - 1)
        scale = 4.0 / (2 * k - 1)
    else:
        root = 2.0 * k**2 - 4.0 * total + 0.25
        if root < 0.0:
            raise NotEstimable(
                "Q0 is not defined: nearly all ranks lie above the trimmed effect; take L0 or R0"
            )
        k0 = k - 0.5 - np.sqrt(root)
        scale = 2.0 / np.sqrt((k - 0.5) ** 2 - k0 * (2 * k - k0 - 1))
    cubic = 10.0 * k0**3 + 27.0 * k0**2 + 17.0 * k0 - 18.0 * k * k0**2 - 18.0 * k * k0 + 6.0 * k**2 * k0
    variance = (k * (k + 1) * (2 * k + 1) + cubic) / 24.0
    error = float(scale * np.sqrt(variance)) if variance >= 0.0 else float("nan")
    return max(0, round(float(k0))), error


def _missing_side(fit):
    if fit.k < 3:
        raise NotEstimable("two studies do not tell on which side others are missing: give the side")
    slope = metareg(fit.y, fit.v, np.sqrt(fit.v), names=["std_error"], method=fit.method, ci="wald").coef[1]
    return "right" if slope < 0.0 else "left"


def _fill(fit, y, v):
    if not y.size:
        return fit, np.zeros(fit.k, dtype=bool)
    labels = [*fit.labels, *(f"Filled {i + 1}" for i in range(y.size))]
    filled = pool(
        np.concatenate([fit.y, y]),
        np.concatenate([fit.v, v]),
        method=fit.method,
        ci=fit.ci,
        level=fit.level,
        labels=labels,
    )
    return filled, np.arange(filled.k) >= fit.k
