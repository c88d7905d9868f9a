"""Joint confidence and prediction regions of two effects: ellipses."""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import chdtri, fdtri

from twostage.stats.base import check_choice, check_level, frame, html, one_row

RULES = ("hotelling", "F", "chi2")


@dataclass(frozen=True, eq=False)
class Region:
    """The ellipse ``(t - centre)' shape^-1 (t - centre) <= critical``.

    Attributes
    ----------
    centre : ndarray, shape (2,)
    shape : ndarray, shape (2, 2)
        Covariance matrix, squared units of the effects.
    critical : float
        NaN where the rule has no degrees of freedom left.
    level : float
    rule : str
    df : float
        Degrees of freedom behind an F rule, infinite for chi2.
    kind : str
        "confidence" or "prediction".
    points : ndarray, shape (m, 2)
        The edge, counter-clockwise, the last point equal to the first.
    """

    centre: np.ndarray
    shape: np.ndarray
    critical: float
    level: float
    rule: str
    df: float
    kind: str
    points: np.ndarray = field(repr=False)

    @property
    def area(self):
        """``pi critical sqrt(det shape)``."""
        return float(np.pi * self.critical * np.sqrt(np.linalg.det(self.shape)))

    def contains(self, effects):
        """Whether pairs of effects (..., 2) lie inside or on the edge."""
        off = np.asarray(effects, dtype=float) - self.centre
        inside = np.einsum("...i,ij,...j->...", off, np.linalg.inv(self.shape), off)
        return inside <= self.critical

    def tidy(self):
        """One row per point of the edge: first, second."""
        return frame({"first": self.points[:, 0], "second": self.points[:, 1]})

    def glance(self):
        """One row: kind, rule, df, level, critical, area."""
        return one_row(self, ("kind", "rule", "df", "level", "critical", "area"))

    def _repr_html_(self):
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        rows = [(f"effect {i + 1}", f"{low[i]:.4g} to {high[i]:.4g}") for i in range(2)]
        return html(f"Joint {self.kind} region, level {self.level:g} ({self.rule})", facts=rows)


def region(centre, shape, *, df, level=0.95, rule="hotelling", kind="confidence", n_points=181):
    """Joint region of two effects.

    Parameters
    ----------
    centre : array_like, shape (2,)
    shape : array_like, shape (2, 2)
        Covariance matrix: of the estimates (confidence), or that plus the between-study covariance
        (prediction).
    df : float
        Degrees of freedom of the covariance, such as the number of studies less 1.
    level : float
        Coverage, in (0, 1).
    rule : {"hotelling", "F", "chi2"}
        See :func:`critical_distance`.
    kind : {"confidence", "prediction"}
        Name only.
    n_points : int
        Points on the edge, at least 4, the first repeated at the end.

    Returns
    -------
    Region

    Raises
    ------
    ValueError
        A matrix that is not symmetric positive definite, an unknown rule or kind, too few points.
    """
    centre, shape = np.array(centre, dtype=float), np.array(shape, dtype=float)
    check_choice("kind", kind, ("confidence", "prediction"))
    if n_points < 4:
        raise ValueError(f"n_points must be at least 4, got {n_points}")
    if centre.shape != (2,) or shape.shape != (2, 2) or not np.allclose(shape, shape.T, rtol=1e-10, atol=0.0):
        raise ValueError("centre must be (2,) and shape a symmetric matrix (2, 2)")
    if not (np.isfinite(shape).all() and shape[0, 0] > 0.0 and np.linalg.det(shape) > 0.0):
        raise ValueError("shape must be positive definite")
    critical = critical_distance(df, check_level(level), rule)
    angle = np.linspace(0.0, 2.0 * np.pi, n_points)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    circle[:, -1] = circle[:, 0]
    points = centre + (np.linalg.cholesky(shape) @ circle).T * np.sqrt(critical)
    df = np.inf if rule == "chi2" else float(df)
    return Region(centre, shape, critical, level, rule, df, kind, points)


def critical_distance(df, level, rule):
    """Squared distance from the centre to the edge.

    Parameters
    ----------
    df : float
    level : float
    rule : {"hotelling", "F", "chi2"}

    Returns
    -------
    float
        NaN where the rule needs more degrees of freedom.

    Raises
    ------
    ValueError
        An unknown rule.

    Notes
    -----
    ::

        hotelling   2 df / (df - 1) * F(2, df - 1)
        F           2 F(2, df)
        chi2        chi2(2)

    F and chi2 are quantiles at `level`. The first is exact (Hotelling 1931, doi:10.1214/aoms/1177732979) for
    the mean of df + 1 pairs with equal sampling covariances, where the between-study covariance is estimated off
    its boundary by REML; the second is the F test of metafor with ``test="t"``; the third takes the covariance
    as known.
    """
    check_choice("rule", rule, RULES)
    if rule == "chi2":
        return float(chdtri(2.0, 1.0 - level))
    least = df - 1.0 if rule == "hotelling" else df
    if not least > 0.0:
        return float("nan")
    quantile = float(fdtri(2.0, least, level))
    return 2.0 * df / least * quantile if rule == "hotelling" else 2.0 * quantile
