"""Maximum (restricted) likelihood of the variance components: structures put together, many starts, one optimum."""

from dataclasses import dataclass, field
from itertools import product

import numpy as np

from twostage.stats.mv_likelihood import evaluate
from twostage.stats.mv_optimiser import Optimum, maximise

# Points on the grid of starts per term, and how many of them are climbed from.
GRID = {1: 8, 2: 5, 3: 4}
COARSE = 3
CLIMBS = 3
CORRELATIONS = (0.0, 0.7, -0.7)
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
    cuts = np.cumsum([len(m.lower) for m in maps])[:-1]
    parts = [m.expand(t) for m, t in zip(maps, np.split(theta, cuts), strict=True)]
    g = np.concatenate([p[0] for p in parts]) if parts else np.zeros(0)
    J, H = np.zeros((len(g), len(theta))), np.zeros((len(g), len(theta), len(theta)))
    c = r = 0
    for entries, first, second in parts:
        rows, columns = slice(c, c + len(entries)), slice(r, r + first.shape[1])
        J[rows, columns], H[rows, columns, columns] = first, second
        c, r = rows.stop, columns.stop
    return g, J, H


def criterion(blocks, maps, reml):
    """The function of the parameters that :func:`~twostage.stats.mv_optimiser.maximise` climbs."""

    def at(theta):
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
    lower = np.concatenate([m.lower for m in maps]) if maps else np.zeros(0)
    upper = np.concatenate([m.upper for m in maps]) if maps else np.zeros(0)
    function = criterion(blocks, maps, reml)
    optima = [maximise(function, _encode(maps, g), lower, upper) for g in starts]
    best = max(optima, key=lambda o: o.value)
    heights = []
    for value in sorted((o.value for o in optima if o.converged), reverse=True):
        if not heights or heights[-1] - value > SAME_MAXIMUM:
            heights.append(value)
    return Search(best, expand(maps, best.theta)[0], max(len(heights), 1))


def _encode(maps, g):
    parts, at = [], 0
    for m in maps:
        size = len(m.expand(np.zeros(len(m.lower)))[0])
        parts.append(m.encode(g[at : at + size]))
        at += size
    return np.concatenate(parts) if parts else np.zeros(0)


def starting_points(blocks, pieces, *, reml):
    """The best points of a grid over size and correlation of each term's effects.

    Parameters
    ----------
    blocks : Blocks
    pieces : sequence of Piece
        See :mod:`twostage.stats.mv_model`.
    reml : bool

    Returns
    -------
    list of ndarray, shape (c,)
    """
    if not pieces:
        return [np.zeros(0)]
    sizes = _sizes(blocks, GRID.get(len(pieces), COARSE))
    choices = [
        [piece.start(s, r) for s in sizes for r in piece.correlations(CORRELATIONS)] for piece in pieces
    ]
    grid = product(*choices) if len(pieces) <= max(GRID) else _one_at_a_time(choices)
    scored = []
    for parts in grid:
        g = np.concatenate(parts)
        e = evaluate(blocks, g, reml=reml, derivatives=False)
        if e is not None:
            scored.append(((e.reml if reml else e.ml), len(scored), g))
    return [g for _, _, g in sorted(scored, reverse=True)[:CLIMBS]]


def _one_at_a_time(choices):
    """Every choice of one term, the others in the middle of theirs."""
    middle = [c[len(c) // 2] for c in choices]
    for i, options in enumerate(choices):
        for option in options:
            yield middle[:i] + [option] + middle[i + 1 :]


def _sizes(blocks, points):
    """Variances from far below the smallest sampling variance to far above the spread of y."""
    variances = np.concatenate([np.diagonal(b.V, axis1=1, axis2=2).ravel() for b in blocks.batches])
    spread = sum((b.y**2).sum() for b in blocks.batches) / max(blocks.n - blocks.p, 1)
    return np.geomspace(0.05 * variances.min(), 2.0 * max(spread, np.median(variances)), points)
