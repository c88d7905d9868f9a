"""Quantiles, modes and intervals of posterior distributions: of tau, and mixtures of normal distributions over tau."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import ndtr, ndtri

from twostage.stats.bayes.quadrature import Panels

# A quantile is found when the probability below it is right to this: what rounding leaves of a sum of some hundred terms.
RIGHT = 1e-13


_ROOT_2PI = np.sqrt(2.0 * np.pi)


@dataclass(frozen=True, eq=False)
class Mixture:
    """n mixtures of normal distributions with common weights.

    Attributes
    ----------
    mass : ndarray, shape (m,)
        Adding up to 1.
    mean, sd : ndarray, shape (n, m)
    """

    mass: np.ndarray
    mean: np.ndarray
    sd: np.ndarray

    low = -np.inf

    def cdf(self, x):
        """Probability below x, shape (n,)."""
        return ndtr((x[:, None] - self.mean) / self.sd) @ self.mass

    def pdf(self, x):
        """The density at x, shape (n,)."""
        return self.density(x)[0]

    def density(self, x):
        """The density at x and its first two derivatives, each of shape (n,)."""
        z = (x[:, None] - self.mean) / self.sd
        f = np.exp(-0.5 * z * z) / (_ROOT_2PI * self.sd)
        slope = -z / self.sd * f
        return f @ self.mass, slope @ self.mass, ((z * z - 1.0) / self.sd**2 * f) @ self.mass

    def times(self, n):
        """Each mixture n times, one after the other: to ask them for n things at once."""
        return Mixture(self.mass, np.tile(self.mean, (n, 1)), np.tile(self.sd, (n, 1)))

    def guess(self, p):
        """The quantile of a normal distribution with the same mean and variance."""
        middle = self.mean @ self.mass
        variance = (self.sd**2 + (self.mean - middle[:, None]) ** 2) @ self.mass
        return middle + ndtri(p) * np.sqrt(variance)

    def bracket(self, p):
        """The quantile lies between the smallest and the largest of the components'."""
        ends = self.mean + np.reshape(ndtri(p), (-1, 1)) * self.sd
        return ends.min(axis=1), ends.max(axis=1)

    @cached_property
    def unit(self):
        """A typical standard deviation, shape (n,)."""
        return np.exp(np.log(self.sd) @ self.mass)


@dataclass(frozen=True, eq=False)
class Tau:
    """The posterior distribution of tau; methods as of :class:`Mixture` with n = 1."""

    panels: Panels

    low = 0.0

    def cdf(self, x):
        """Probability below x."""
        return self.panels.share(x)

    def pdf(self, x):
        """The density at x."""
        return self.panels.density(x)

    def density(self, x):
        """The density at x and its first two derivatives, by differences of a panel's own accuracy."""
        step = 1e-4 * np.maximum(x, self.unit)
        at = np.abs(x[:, None] + step[:, None] * np.array([-2.0, -1.0, 0.0, 1.0, 2.0]))
        f = self.panels.density(at)
        slope = (f @ np.array([1.0, -8.0, 0.0, 8.0, -1.0])) / (12.0 * step)
        curve = (f @ np.array([-1.0, 16.0, -30.0, 16.0, -1.0])) / (12.0 * step**2)
        return f[:, 2], slope, curve

    def times(self, n):
        """Itself: it takes any number of points as it is."""
        return self

    def guess(self, p):
        """Where a straight line between neighbouring points of the quadrature has the quantile."""
        panels = self.panels
        inside = panels.mass.ravel()
        points = np.concatenate([[0.0], panels.nodes.ravel(), panels.edges[-1:]])
        return np.interp(p, np.concatenate([[0.0], np.cumsum(inside) - 0.5 * inside, [1.0]]), points)

    def bracket(self, p):
        """The panel that holds the quantile."""
        reached = self.panels.reached
        at = np.clip(np.searchsorted(reached, np.atleast_1d(p)) - 1, 0, len(reached) - 2)
        return self.panels.edges[at], self.panels.edges[at + 1]

    @cached_property
    def unit(self):
        """Tau where the panels have half of their mass."""
        return self.bracket(0.5)[1]


def quantiles(d, levels):
    """The quantile of each distribution at each level, shape (number of levels, n)."""
    rows = len(d.unit)
    return quantile(d.times(len(levels)), np.repeat(levels, rows)).reshape(len(levels), rows)


def quantile(d, p):
    """The p-quantile of each distribution, shape (n,): Newton's steps, halving where they leave what brackets it."""
    low, high = d.bracket(p)
    unit = d.unit
    x = np.clip(d.guess(p), low, high)
    for _ in range(200):
        gap = d.cdf(x) - p
        low, high = np.where(gap < 0, x, low), np.where(gap < 0, high, x)
        if np.all((np.abs(gap) <= RIGHT) | (high - low <= 4e-16 * (np.abs(high) + np.abs(low)))):
            break
        f = d.pdf(x)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = x - gap / f
        good = (step > low) & (step < high)
        x = np.where(np.abs(gap) <= RIGHT, x, np.where(good, step, _between(low, high, unit)))
    return x


def _between(low, high, unit):
    """Halfway on a scale that is linear near 0 and logarithmic far out."""
    return unit * np.sinh(0.5 * (np.arcsinh(low / unit) + np.arcsinh(high / unit)))


def mode(d, start):
    """A maximum of the density near `start`, shape (n,)."""
    x = np.array(start, dtype=float)
    for _ in range(100):
        f, slope, curve = d.density(x)
        step = np.where(curve < 0, -slope / np.where(curve < 0, curve, 1.0), np.sign(slope) * d.unit)
        step = np.clip(step, -0.5 * d.unit, 0.5 * d.unit)
        new = np.maximum(x + step, d.low)
        if np.all(np.abs(new - x) <= 1e-12 * d.unit):
            break
        x = new
    return x


def central(d, level):
    """The interval that leaves the same probability on both sides."""
    tail = 0.5 * (1.0 - level)
    return tuple(quantiles(d, (tail, 1.0 - tail)))


def shortest(d, level):
    """The shortest interval of the level (the highest density region, where there is one mode).

    Newton's method for the two ends: the level between them, and the same density at both.
    """
    low, high = central(d, level)
    both, done = d.times(2), np.zeros(len(low), dtype=bool)
    for _ in range(60):
        ends = np.concatenate([low, high])
        (below, above), (f, g), (f1, g1) = (
            x.reshape(2, -1) for x in (both.cdf(ends), *both.density(ends)[:2])
        )
        mass = above - below - level
        unequal = np.log(g) - np.log(f)
        done = (np.abs(mass) <= 1e-13) & (np.abs(unequal) <= 1e-10)
        if done.all():
            break
        determinant = g * f1 / f - f * g1 / g
        down = (unequal * g - mass * g1 / g) / determinant
        up = (f * unequal - mass * f1 / f) / determinant
        new = np.clip(low + down, 0.5 * (low + np.maximum(d.low, low - d.unit)), 0.5 * (low + high))
        low, high = np.where(done, low, new), np.where(done, high, np.maximum(high + up, 0.5 * (high + new)))
    return (low, high) if done.all() else _searched(d, level)


def _searched(d, level):
    """The same by search over the probability below the interval, for one distribution: slow, and never lost."""
    if len(d.unit) > 1:
        parts = [
            _searched(Mixture(d.mass, m[None], s[None]), level) for m, s in zip(d.mean, d.sd, strict=True)
        ]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    found = minimize_scalar(
        lambda p: float((quantile(d, p + level) - quantile(d, p))[0]),
        bounds=(0.0, 1.0 - level),
        method="bounded",
        options={"xatol": 1e-12},
    )
    return quantile(d, found.x), quantile(d, found.x + level)


def shortest_tau(d, level):
    """The shortest interval of tau: from 0, or up to the end of a bounded prior, where the density there is high enough."""
    end = d.panels.edges[-1:]
    high, low = quantiles(d, (level, 1.0 - level))
    at_zero, at_high, at_end, at_low = d.pdf(np.concatenate([[0.0], high, end, low]))
    if at_zero >= at_high:
        return np.zeros(1), high
    if at_end >= at_low:
        return low, end
    return shortest(d, level)
