"""Gauss's rule on panels that are halved until they agree: the integral of a positive function of tau."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

X, W = np.polynomial.legendre.leggauss(16)

# A panel is halved while its two halves differ from it by more than this share of the whole integral. Rounding of 1,000
# terms stays below.
AGREEMENT = 1e-12

# Panels at the ends with less of the integral of t^2 times the function than exp(-NO_PART) of the largest one's are left
# out: 1e-43, where a double shows 1e-16 and the farthest panels are 1e13 times as far as the data.
NO_PART = 100.0

# A peak as narrow as 2^-30 of its panel is found.
MOST_HALVINGS = 30


@dataclass(frozen=True, eq=False)
class Panels:
    """A positive function on [0, edges[-1]], integrated.

    Attributes
    ----------
    edges : ndarray, shape (n + 1,)
    log_f : callable
        The log of the function at an array of points.
    nodes, log_values, mass : ndarray, shape (n, 16)
        Points, the log there, and the share of the integral of each point.
    log_total : float
        Log of the integral.
    converged : bool
    """

    edges: np.ndarray
    log_f: Callable
    nodes: np.ndarray
    log_values: np.ndarray
    mass: np.ndarray
    log_total: float
    converged: bool

    @cached_property
    def reached(self):
        """The integral up to each edge, over the whole."""
        return np.concatenate([[0.0], np.cumsum(self.mass.sum(axis=1))])

    def density(self, t):
        """The function at t over its integral."""
        return np.exp(self.log_f(t) - self.log_total)

    def share(self, t):
        """The integral up to t over the whole."""
        t = np.clip(np.asarray(t, dtype=float), 0.0, self.edges[-1])
        at = np.clip(np.searchsorted(self.edges, t, side="right") - 1, 0, len(self.nodes) - 1)
        x, w = _rule(self.edges[at], t)
        return self.reached[at] + (w * np.exp(self.log_f(x) - self.log_total)).sum(axis=-1)


def _rule(a, b):
    half = 0.5 * (np.asarray(b) - a)[..., None]
    return np.asarray(a)[..., None] + half * (1.0 + X), half * W


def integrate(log_f, edges) -> Panels:
    """Integrate ``exp(log_f)`` over the panels between `edges`, each halved until its halves agree with it."""
    edges = _where_it_is(log_f, np.asarray(edges, dtype=float))
    a, b = edges[:-1], edges[1:]
    values = log_f(_rule(a, b)[0])
    done: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for _ in range(MOST_HALVINGS):
        middle = 0.5 * (a + b)
        left, right = log_f(_rule(a, middle)[0]), log_f(_rule(middle, b)[0])
        top = max([m.max() for m in (values, left, right)] + [m.max(initial=-np.inf) for _, _, m in done])
        whole, halves = _sum(a, b, values, top), _sum(a, middle, left, top) + _sum(middle, b, right, top)
        total = halves.sum() + sum(_sum(low, high, inside, top).sum() for low, high, inside in done)
        bad = np.abs(whole - halves) > AGREEMENT * total
        done.append((a[~bad], b[~bad], values[~bad]))
        if not bad.any():
            break
        a, b = np.concatenate([a[bad], middle[bad]]), np.concatenate([middle[bad], b[bad]])
        values = np.concatenate([left[bad], right[bad]])
    else:
        done.append((a, b, values))
    a, b, values = (np.concatenate(parts) for parts in zip(*done, strict=True))
    order = np.argsort(a)
    a, b, values = a[order], b[order], values[order]
    nodes, w = _rule(a, b)
    top = values.max()
    mass = w * np.exp(values - top)
    total = mass.sum()
    edges = np.append(a, b[-1])
    return Panels(edges, log_f, nodes, values, mass / total, float(top + np.log(total)), not bad.any())


def _where_it_is(log_f, edges):
    """The edges between which the function is: one panel before them up to 0, none behind."""
    a, b = edges[:-1], edges[1:]
    size = log_f(_rule(a, b)[0][:, ::5]).max(axis=1) + np.log(b - a) + 2.0 * np.log(b)
    there = np.flatnonzero(size > size.max() - NO_PART)
    # A neighbour on each side stays, for what lies between the few points that are looked at here.
    first, last = max(there[0] - 1, 0), min(there[-1] + 1, len(a) - 1)
    return np.concatenate([[edges[0]], edges[first + (first == 0) : last + 2]])


def _sum(a, b, log_values, top):
    return 0.5 * (b - a) * (np.exp(log_values - top) @ W)
