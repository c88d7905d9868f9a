"""Coordinates of a contour-enhanced funnel plot."""

from dataclasses import dataclass, field

import numpy as np

from twostage.stats.base import check_level, critical_value, frame, frozen, html, two_sided_p
from twostage.stats.pool import PooledFit, pooled

POOLED = "pooled"


POINTS = 101  # along a contour; a straight line needs two, one with tau2 is a hyperbola


@dataclass(frozen=True, eq=False)
class Funnel:
    """Points and contours of a funnel plot.

    Attributes
    ----------
    y, std_error : ndarray, shape (k,)
        The studies.
    p_value : ndarray, shape (k,)
        Two-sided, of each study against the reference.
    region : ndarray of int, shape (k,)
        0 inside the narrowest contour, L outside the widest of L.
    reference : float
        Where the contours meet.
    levels : ndarray, shape (L,)
        Ascending.
    grid : ndarray, shape (m,)
        Standard errors at which the contours are given, from 0.
    low, high : ndarray, shape (L, m)
        Ends of the contours.
    estimate : float
        Pooled effect.
    labels : tuple of str
    fit : PooledFit
    """

    y: np.ndarray
    std_error: np.ndarray
    p_value: np.ndarray
    region: np.ndarray
    reference: float
    levels: np.ndarray
    grid: np.ndarray = field(repr=False)
    low: np.ndarray = field(repr=False)
    high: np.ndarray = field(repr=False)
    estimate: float
    labels: tuple[str, ...]
    fit: PooledFit = field(repr=False)

    def tidy(self):
        """One row per study: study, estimate, std_error, p_value, region."""
        return frame(self._columns())

    def contours(self):
        """One row per level and grid point: level, std_error, ci_low, ci_high."""
        columns = {
            "level": np.repeat(self.levels, self.grid.size),
            "std_error": np.tile(self.grid, self.levels.size),
        }
        return frame(columns | {"ci_low": self.low.ravel(), "ci_high": self.high.ravel()})

    def glance(self):
        """One row: reference, pooled effect, and the number of studies in each region."""
        counts = np.bincount(self.region, minlength=self.levels.size + 1)
        names = ["inside all", *(f"beyond {100 * level:g}%" for level in self.levels)]
        row = {"k": self.y.size, "reference": self.reference, "estimate": self.estimate}
        return frame([row | dict(zip(names, counts.tolist(), strict=True))])

    def _columns(self):
        names = ("std_error", "p_value", "region")
        return {"study": self.labels, "estimate": self.y} | {n: getattr(self, n) for n in names}

    def _repr_html_(self):
        return html(f"Funnel around {self.reference:.4g}", self._columns())


def funnel(y, v=None, *, reference=0.0, levels=(0.90, 0.95, 0.99), add_tau2=False, **options):
    """Studies against their standard errors, with contours of significance.

    Parameters
    ----------
    y : PooledFit or array_like, shape (k,)
    v : array_like, shape (k,), optional
    reference : float or "pooled"
        Centre of the contours: 0 shows where single studies become significant; "pooled" draws the usual
        funnel around the pooled effect.
    levels : sequence of float
    add_tau2 : bool
        Widen the contours by the between-study variance.
    **options
        Of :func:`twostage.stats.pool.pool.pool`; only with an array `y`.

    Returns
    -------
    Funnel

    Raises
    ------
    TypeError, ValueError
        As :func:`twostage.stats.pool.refit.pooled`; a reference that is no number; levels outside (0, 1).

    Notes
    -----
    Ends ``reference -+ z sqrt(se^2 + tau2)``, tau2 only with `add_tau2`, z the normal quantile of the level
    (Peters et al. 2008, doi:10.1016/j.jclinepi.2007.11.010); the same formula as ``funnel`` of metafor.
    """
    fit = pooled(y, v, fewest=1, purpose="a funnel plot", **options)
    centre = _centre(fit, reference)
    levels = np.array(sorted({check_level(level) for level in levels}))
    if not levels.size:
        raise ValueError("at least one level is needed")
    std_error = np.sqrt(fit.v)
    tau2 = fit.tau2 if add_tau2 else 0.0
    quantile = np.array([critical_value(np.inf, level) for level in levels])
    grid = np.linspace(0.0, std_error.max(), POINTS)
    reach = quantile[:, None] * np.sqrt(grid**2 + tau2)
    distance = np.abs(fit.y - centre) / np.sqrt(fit.v + tau2)
    region = np.searchsorted(quantile, distance, side="left")
    p_value = two_sided_p(distance, np.inf)
    y, std_error, p_value, region = frozen(fit.y, std_error, p_value, region)
    levels, grid, low, high = frozen(levels, grid, centre - reach, centre + reach)
    return Funnel(
        y, std_error, p_value, region, centre, levels, grid, low, high, fit.estimate, fit.labels, fit
    )


def _centre(fit, reference):
    if isinstance(reference, str):
        if reference != POOLED:
            raise ValueError(f"reference must be a number or {POOLED!r}, got {reference!r}")
        return fit.estimate
    if not np.isfinite(reference):
        raise ValueError(f"reference must be finite, got {reference!r}")
    return float(reference)
