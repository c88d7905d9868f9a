"""Profile-likelihood intervals of variances and correlations of random effects."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtri

from twostage.stats.base import check_choice, check_level, frame, html, one_row
from twostage.stats.multilevel.search import climb, starting_points
from twostage.stats.multilevel.structure import Linear, compound_with, unstructured

# Doublings of a variance in search of the upper end; beyond, the likelihood does not fall: no upper end.
DOUBLINGS = 60


# Precision of an end, relative to the parameter's distance from the estimate.
RTOL = 1e-11


# Share of its standard deviation that a level keeps in a start where it hardly varies.
CORNER = 1e-2


# Twice the log-likelihood at an end, off by more: the warm starts followed a lower maximum.
MISSED = 1e-6


@dataclass(frozen=True)
class ProfileInterval:
    """A profile-likelihood interval.

    Attributes
    ----------
    term : str
    estimate, low, high : float
        Variances in squared units of y. An end on the bound of the parameter space means that the bound is
        compatible with the data; `high` is infinite where the likelihood never falls far enough.
    low_bounded, high_bounded : bool
        The end is the parameter's bound rather than a crossing.
    level : float
    converged : bool
    """

    term: str
    estimate: float
    low: float
    high: float
    low_bounded: bool
    high_bounded: bool
    level: float
    converged: bool

    def tidy(self):
        """One row: term, estimate, ci_low, ci_high."""
        return frame(
            [{"term": self.term, "estimate": self.estimate, "ci_low": self.low, "ci_high": self.high}]
        )

    def glance(self):
        """One row: level, whether an end is a bound, converged."""
        names = ("level", "low_bounded", "high_bounded", "converged")
        return one_row(self, names)

    def _repr_html_(self):
        return html(
            f"Profile likelihood, level {self.level:g}",
            facts=[(self.term, f"{self.estimate:.4g} [{self.low:.4g}, {self.high:.4g}]")],
        )


def profile(fit, term, level=None):
    """Profile-likelihood interval of one variance or correlation.

    Parameters
    ----------
    fit : MvFit
    term : str
        As in ``fit.components``: ``sigma2[district]``, ``tau2``, ``rho``, ...
    level : float, optional
        Default: the fit's.

    Returns
    -------
    ProfileInterval

    Raises
    ------
    ValueError
        An unknown term, or a correlation of effects that do not vary.

    Notes
    -----
    The values v of the parameter with ``2 (l_max - l(v)) <= chi2_1 quantile``, l(v) being the (restricted)
    likelihood maximised over everything else (Hardy & Thompson 1996,
    doi:10.1002/(SICI)1097-0258(19960330)15:6<619::AID-SIM188>3.0.CO;2-A). Checked against metafor 3.8-1's
    ``confint``.
    """
    level = fit.level if level is None else check_level(level)
    known = {c.term: c for c in fit.components}
    check_choice("term", term, known)
    component = known[term]
    if np.isnan(component.estimate):
        raise ValueError(f"{term} is not determined: a variance is estimated as 0")
    curve = _Curve(fit, component, float(chdtri(1.0, 1.0 - level)))
    lowest, highest = curve.bounds()
    low, low_bounded = _end(curve, component.estimate, lowest)
    high, high_bounded = _end(curve, component.estimate, highest)
    return ProfileInterval(
        term,
        component.estimate,
        low,
        high,
        low_bounded,
        high_bounded,
        level,
        fit.converged and curve.converged,
    )


class _Curve:
    """Excess of twice the log-likelihood's drop over the critical value, warm-started along the profile.

    `thorough` adds as starts the fit's own optimum, the best point of its grid and corners.
    """

    def __init__(self, fit, component, critical):
        self.fit, self.component, self.critical = fit, component, critical
        self.reml, self.converged, self.thorough = fit.method == "REML", True, True
        self.last = fit.g
        self.others = [fit.g, *starting_points(fit.blocks, fit.pieces, reml=self.reml)[:1], *self._corners()]

    def _corners(self):
        """Starts in which one level hardly varies: with a correlation held, the maximum may be at any of them."""
        piece = self.fit.pieces[self.component.piece]
        if self.component.kind != "rho" or piece.pairs is None:
            return
        sizes = [len(p.start(1.0, 0.0)) for p in self.fit.pieces]
        at = sum(sizes[: self.component.piece])
        for j in self.component.index if piece.kind == "UN" else range(len(piece.levels)):
            s = np.where(np.arange(len(piece.levels)) == j, CORNER, 1.0)
            g = self.fit.g.copy()
            g[at : at + sizes[self.component.piece]] *= s[piece.pairs].prod(axis=1)
            yield g

    def bounds(self):
        """Least and largest value that the component can take."""
        if self.component.kind != "rho":
            return 0.0, np.inf
        piece = self.fit.pieces[self.component.piece]
        return (-1.0 if piece.kind == "UN" else -1.0 / (piece.together - 1.0)), 1.0

    def __call__(self, value):
        pieces = list(self.fit.pieces)
        at = self.component.piece
        pieces[at] = replace(pieces[at], map=restrict(pieces[at], self.component, value))
        starts = [self.last, *(self.others if self.thorough else ())]
        found = climb(self.fit.blocks, [p.map for p in pieces], starts, reml=self.reml)
        self.converged &= found.optimum.converged
        self.last = found.g
        return 2.0 * (self.fit.loglik - found.optimum.value) - self.critical

    def root(self, inside, outside):
        """Where the curve crosses 0; searched from warm starts, again from all starts if these find more."""
        scale = max(abs(outside - inside), np.finfo(float).tiny)
        for self.thorough in (False, True):
            self.last = self.fit.g
            ends = {inside: self(inside), outside: self(outside)}
            if ends[inside] > 0.0 or ends[outside] <= 0.0:
                continue
            end = brentq(
                lambda value, known=ends: known[value] if value in known else self(value),
                *(inside, outside),
                xtol=RTOL * scale,
                rtol=4 * np.finfo(float).eps,
            )
            self.thorough = True
            if abs(self(end)) < MISSED:
                return float(end)
        self.converged = False
        return float("nan")


def restrict(piece, component, value):
    """The piece's structure with one variance or correlation held at a value."""
    given = {component.kind: value}
    if piece.kind == "UN":
        rest = [j for j in range(len(piece.levels)) if j not in component.index]
        return unstructured(len(piece.levels), [*component.index, *rest], **given)
    if piece.kind == "CS":
        return compound_with(piece.together, **given)
    at = component.index[0] if component.kind == "tau2" else 0
    if isinstance(piece.map, Linear):
        lower, upper = piece.map.lower.copy(), piece.map.upper.copy()
        lower[at] = upper[at] = value
        return replace(piece.map, lower=lower, upper=upper)
    at, value = (at, np.sqrt(value)) if component.kind == "tau2" else (len(piece.map.lower) - 1, value)
    lower, upper = piece.map.lower.copy(), piece.map.upper.copy()
    lower[at] = upper[at] = value
    return replace(piece.map, lower=lower, upper=upper)


def _end(curve, estimate, bound):
    """One end of the interval and whether it is the bound."""
    if estimate == bound:
        return bound, True
    if np.isfinite(bound):
        if curve(bound) <= 0.0:
            return bound, True
        inside, outside = estimate, bound
    else:
        inside, outside = estimate, max(2.0 * estimate, curve.fit.V.diagonal().min())
        for _ in range(DOUBLINGS):
            if curve(outside) > 0.0:
                break
            inside, outside = outside, 2.0 * outside
        else:
            return bound, True
    return curve.root(inside, outside), False
