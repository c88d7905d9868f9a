"""Maximum (restricted) likelihood of the variance components: structures put together, many starts, one optimum."""

from dataclasses import dataclass, field
from itertools import product

import numpy as np

from twostage.stats.base import MAX_ITERATIONS, OptimiserRecord, Optimum, maximise
from twostage.stats.multilevel.likelihood import evaluate
from twostage.stats.multilevel.structure import Factored

# Points on the grid of starts per term, and how many of them are climbed from.
GRID = {1: 8, 2: 5, 3: 4}


COARSE = 3


CLIMBS = 3


CORRELATIONS = (-0.7, 0.0, 0.7)


# Where variances differ by inner level, each is also started this much smaller and larger than the others.
UNEVEN = (0.01, 30.0)


# Iterations after which the levels of an unrestricted G are ordered anew.
SLOW = 40


# Log-likelihoods of climbs that differ by more belong to different maxima.
SAME_MAXIMUM = 1e-6


@dataclass(frozen=True, eq=False)
class Search:
    """How the variance components were found.

    Attributes
    ----------
    optimum : Optimum
    g : ndarray, shape (c,)
        Entries of the random effects' covariance at the optimum.
    n_maxima : int
        Different maxima that the climbs ended in; the highest is reported.
    """

    optimum: Optimum = field(repr=False)
    g: np.ndarray
    n_maxima: int


def expand(maps, theta):
    """Entries (c,), Jacobian (c, r) and second derivatives (c, r, r) of all structures together."""
    ends = np.cumsum([len(m.lower) for m in maps], dtype=int)
    parts = [m.expand(theta[end - len(m.lower) : end]) for m, end in zip(maps, ends, strict=True)]
    g = np.concatenate([p[0] for p in parts])
    J, H = np.zeros((len(g), len(theta))), np.zeros((len(g), len(theta), len(theta)))
    c = r = 0
    for entries, first, second in parts:
        rows, columns = slice(c, c + len(entries)), slice(r, r + first.shape[1])
        J[rows, columns], H[rows, columns, columns] = first, second
        c, r = rows.stop, columns.stop
    return g, J, H


def criterion(blocks, maps, reml):
    """The function of the parameters that :func:`~twostage.stats.base.newton.maximise` climbs."""

    def at(theta):
        """Value, gradient, Hessian and information at theta; None where there is no likelihood."""
        g, J, H = expand(maps, theta)
        e = evaluate(blocks, g, reml=reml)
        if e is None:
            return None
        hessian = J.T @ e.hessian @ J + np.tensordot(e.gradient, H, axes=1)
        return (e.reml if reml else e.ml), J.T @ e.gradient, hessian, J.T @ e.information @ J

    return at


def climb(blocks, maps, starts, *, reml):
    """The highest of the optima reached from these starts.

    Parameters
    ----------
    blocks : Blocks
    maps : sequence of structures
    starts : sequence of ndarray, shape (c,)
        Entries g.
    reml : bool

    Returns
    -------
    Search
    """
    if not maps:
        record = OptimiserRecord(0, 1, 0.0, "no variance component to search for")
        return Search(Optimum(np.zeros(0), _value(blocks, np.zeros(0), reml), True, record), np.zeros(0), 1)
    ends = [_ascend(blocks, maps, g, reml) for g in starts]
    best, g = max(ends, key=lambda end: end[0].value)
    heights = []
    for value in sorted((o.value for o, _ in ends if o.converged), reverse=True):
        if not heights or heights[-1] - value > SAME_MAXIMUM:
            heights.append(value)
    return Search(best, g, max(len(heights), 1))


def _ascend(blocks, maps, g, reml):
    """Optimum and entries reached from g; where the way is slow, with the levels of UN ordered anew."""
    turns = max((len(m.T0) for m in maps if isinstance(m, Factored) and len(m.T0) > 2), default=1)
    for turn in range(turns):
        lower, upper = (np.concatenate([getattr(m, end) for m in maps]) for end in ("lower", "upper"))
        limit = MAX_ITERATIONS if turn == turns - 1 else SLOW
        optimum = maximise(criterion(blocks, maps, reml), _encode(maps, g), lower, upper, limit)
        g = expand(maps, optimum.theta)[0]
        if optimum.converged:
            break
        maps = [m.pivoted(g) if isinstance(m, Factored) else m for m in maps]
    return optimum, g


def _encode(maps, g):
    parts, at = [], 0
    for m in maps:
        size = len(m.expand(np.zeros(len(m.lower)))[0])
        parts.append(m.encode(g[at : at + size]))
        at += size
    return np.concatenate(parts)


def starting_points(blocks, pieces, *, reml):
    """The highest peaks of a grid over size and correlation of each term's effects.

    Parameters
    ----------
    blocks : Blocks
    pieces : sequence of Piece
        See :mod:`twostage.stats.multilevel.pieces`.
    reml : bool

    Returns
    -------
    list of ndarray, shape (c,)
    """
    if not pieces:
        return [np.zeros(0)]
    sizes = _sizes(blocks, GRID.get(len(pieces), COARSE))
    axes = []
    for piece in pieces:
        axes += [sizes, piece.correlations(CORRELATIONS)]
    indices = product(*(range(len(a)) for a in axes)) if len(pieces) <= max(GRID) else _one_at_a_time(axes)
    grid = {}
    for index in indices:
        chosen = [a[i] for a, i in zip(axes, index, strict=True)]
        g = np.concatenate([p.start(*chosen[2 * i : 2 * i + 2]) for i, p in enumerate(pieces)])
        grid[index] = _value(blocks, g, reml), g
    peaks = [
        v for index, v in grid.items() if all(grid[n][0] <= v[0] for n in _neighbours(index) if n in grid)
    ]
    peaks = sorted(peaks, key=lambda v: -v[0])[:CLIMBS]
    uneven = [(_value(blocks, g, reml), g) for g in _uneven(pieces, peaks[0][1])]
    return [g for _, g in peaks + sorted(uneven, key=lambda v: -v[0])[:CLIMBS]]


def _value(blocks, g, reml):
    e = evaluate(blocks, g, reml=reml, derivatives=False)
    return -np.inf if e is None else e.reml if reml else e.ml


def _uneven(pieces, g):
    """Entries g with the variance of one inner level far smaller or larger than the others'."""
    at = 0
    for piece in pieces:
        size = len(piece.start(1.0, 0.0))
        several = piece.pairs is not None and len(piece.levels) > 1
        for j, factor, rho in product(range(len(piece.levels)), UNEVEN, piece.correlations(CORRELATIONS)):
            if several:
                s = np.sqrt(np.where(np.arange(len(piece.levels)) == j, factor, 1.0) * g[at])
                row, column = piece.pairs.T
                new = g.copy()
                new[at : at + size] = piece.start(1.0, rho) * s[row] * s[column]
                yield new
        at += size


def _neighbours(index):
    for axis, at in enumerate(index):
        for step in (-1, 1):
            yield (*index[:axis], at + step, *index[axis + 1 :])


def _one_at_a_time(axes):
    """Grid points that differ from the middle along the two axes of one term."""
    middle = [len(a) // 2 for a in axes]
    points = {tuple(middle)}
    for i in range(0, len(axes), 2):
        for size, rho in product(range(len(axes[i])), range(len(axes[i + 1]))):
            points.add((*middle[:i], size, rho, *middle[i + 2 :]))
    return sorted(points)


def _sizes(blocks, points):
    """Variances from far below the smallest sampling variance to far above the spread of y."""
    variances = np.concatenate([np.diagonal(b.V, axis1=1, axis2=2).ravel() for b in blocks.batches])
    spread = sum((b.y**2).sum() for b in blocks.batches) / max(blocks.n - blocks.p, 1)
    return np.geomspace(0.05 * variances.min(), 2.0 * max(spread, np.median(variances)), points)
