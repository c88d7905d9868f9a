"""Coordinates of a radial (Galbraith) plot."""

from dataclasses import dataclass, field

import numpy as np

from twostage.stats.base import critical_value, frame, frozen, html
from twostage.stats.pool import PooledFit, pooled


@dataclass(frozen=True, eq=False)
class Radial:
    """Points and lines of a radial plot.

    Attributes
    ----------
    precision : ndarray, shape (k,)
        Horizontal: ``1 / sqrt(v + tau2)``.
    statistic : ndarray, shape (k,)
        Vertical: estimate times precision. The slope from the origin to a point is the study's estimate.
    distance : ndarray, shape (k,)
        Vertical distance from the pooled line, in standard errors of the study.
    outside : ndarray of bool, shape (k,)
        Beyond the band.
    slope : float
        Of the pooled line: the pooled effect.
    half_width : float
        Of the band around the line, the normal quantile of the level.
    level : float
    labels : tuple of str
    fit : PooledFit
    """

    precision: np.ndarray
    statistic: np.ndarray
    distance: np.ndarray
    outside: np.ndarray
    slope: float
    half_width: float
    level: float
    labels: tuple[str, ...]
    fit: PooledFit = field(repr=False)

    def tidy(self):
        """One row per study: study, precision, statistic, distance, outside."""
        return frame(self._columns())

    def glance(self):
        """One row: k, slope, level, number of studies outside the band."""
        row = {"k": self.fit.k, "method": self.fit.method, "slope": self.slope, "level": self.level}
        return frame([row | {"n_outside": int(self.outside.sum())}])

    def _columns(self):
        names = ("precision", "statistic", "distance", "outside")
        return {"study": self.labels} | {n: getattr(self, n) for n in names}

    def _repr_html_(self):
        return html(f"Radial plot, slope {self.slope:.4g}", self._columns())


def radial(y, v=None, **options):
    """Standardized estimates against their precision.

    Parameters
    ----------
    y : PooledFit or array_like, shape (k,)
    v : array_like, shape (k,), optional
    **options
        Of :func:`twostage.stats.pool.pool.pool`; only with an array `y`. Galbraith's own plot has ``method="FE"``.

    Returns
    -------
    Radial

    Raises
    ------
    TypeError, ValueError
        As :func:`twostage.stats.pool.refit.pooled`.

    Notes
    -----
    Galbraith (1988), doi:10.1002/sim.4780070807, and (1994), doi:10.1080/01621459.1994.10476864. With
    ``x = 1 / sqrt(v + tau2)`` the study lies at ``(x, y x)``, the line has the pooled effect as its slope, and
    a band of -+ the normal quantile of the fit's level is parallel to it. Checked against ``radial`` of
    metafor 3.8-1.
    """
    fit = pooled(y, v, fewest=1, purpose="a radial plot", **options)
    precision = 1.0 / np.sqrt(fit.v + fit.tau2)
    half_width = critical_value(np.inf, fit.level)
    distance = (fit.y - fit.estimate) * precision
    arrays = frozen(precision, fit.y * precision, distance, np.abs(distance) > half_width)
    return Radial(*arrays, fit.estimate, float(half_width), fit.level, fit.labels, fit)
