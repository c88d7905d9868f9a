"""The minimum of the deviance: Newton's method with a block per study and a border.

Variables are, per study or common to all, the log residual variance and the relative variance of the random intercept
(at least 0), and the lower triangle L of Sigma = L L'. Beta and K are at their own minimum throughout and only border the
system. Where Sigma loses rank its derivative by L vanishes; whether it is the minimum is then seen from the derivative by
Sigma itself, which must not lead downward.
"""

from dataclasses import dataclass

import numpy as np

from twostage.stats.base import NotEstimable, OptimiserRecord
from twostage.stats.onestage.likelihood import Derivatives, State, derivatives, evaluate
from twostage.stats.onestage.pieces import Pieces

# Values of the relative intercept variance of which the best is the start.
GRID = np.concatenate([[0.0], np.geomspace(1e-4, 1e2, 31)])


# Least curvature along a scaled direction; wrong signs are turned.
FLOOR = 1e-8


# Length of Newton's step in standard errors, below which it is rounding.
REACHED = 1e-10


# The same where no step shortens it further.
NEAR = 1e-6


MOST = 200


# Share of the promised gain that a step must bring; the least gain that the deviance's digits can show.
SUFFICIENT, SHOWN = 1e-4, 1e-11


# A direction of Sigma along which the deviance falls, in units of the studies' sampling variance.
DOWNWARD = -1e-7


@dataclass(frozen=True, eq=False)
class Found:
    """Where the search ended.

    Attributes
    ----------
    state : State
    converged : bool
    record : OptimiserRecord
    """

    state: State
    converged: bool
    record: OptimiserRecord


@dataclass(frozen=True, eq=False)
class Step:
    """Newton's step: of l and t (k, 2) and of L (q, q), and its length in standard errors squared."""

    own: np.ndarray
    L: np.ndarray
    square: float


def minimise(pieces: Pieces, common: bool) -> Found:
    """The minimum over the starts.

    Parameters
    ----------
    pieces : Pieces
    common : bool
        Whether all studies share both variances.
    """
    l, t = _start(pieces, common)
    found = [_search(pieces, evaluate(pieces, l, t, L), common) for L in _starts_of_sigma(pieces, l, t)]
    best = min(found, key=lambda f: f.state.value)
    evaluations = sum(f.record.evaluations for f in found)
    r = best.record
    return Found(
        best.state, best.converged, OptimiserRecord(r.iterations, evaluations, r.gradient_norm, r.message)
    )


def _start(pieces: Pieces, common: bool) -> tuple[np.ndarray, np.ndarray]:
    """Each study's own best variances on the grid, or all studies' best common ones."""
    parts = [pieces.profile(np.full(len(pieces.n), t)) for t in GRID]
    log_det, r = np.array([p[0] for p in parts]), np.array([p[1] for p in parts])
    if not (r > 0).all():
        raise NotEstimable("the model reproduces the outcome of a study without error")
    nu, k = pieces.n - pieces.p, len(pieces.n)
    if common:
        deviance = log_det.sum(axis=1) + nu.sum() * np.log(r.sum(axis=1))
        at = int(np.argmin(deviance))
        return np.full(k, np.log(r[at].sum() / nu.sum())), np.full(k, GRID[at])
    at = np.argmin(log_det + nu * np.log(r), axis=0)
    return np.log(r[at, np.arange(k)] / nu), GRID[at]


def _starts_of_sigma(pieces: Pieces, l, t) -> list[np.ndarray]:
    """Triangles of the slopes' scatter, and of what sampling leaves of it."""
    part = evaluate(pieces, l, t, np.zeros((pieces.q, pieces.q))).own
    scatter = np.cov(part.slope.T).reshape(pieces.q, pieces.q)
    sampling = part.cov.mean(axis=0)
    root = np.linalg.cholesky(sampling)
    values, vectors = np.linalg.eigh(np.linalg.solve(root, np.linalg.solve(root, scatter).T))
    starts = []
    for size in (values, values - 1.0):
        wide = root @ vectors * np.sqrt(np.maximum(size, 0.05))
        starts.append(np.linalg.cholesky(wide @ wide.T))
    return starts


def _search(pieces: Pieces, state: State, common: bool) -> Found:
    evaluations, iterations, shortest = 1, 0, np.inf
    while iterations < MOST:
        iterations += 1
        step = _step(derivatives(state), state, common)
        if step.square <= SHOWN * max(1.0, abs(state.value)):
            moved, tried = _finish(pieces, state, step, shortest)
            shortest = min(shortest, step.square)
        else:
            moved, tried = _descend(pieces, state, step)
        evaluations += tried
        if moved is None:
            moved, tried = _leave_face(pieces, state)
            evaluations += tried
            shortest = np.inf
        if moved is None:
            break
        state = moved
    length = float(np.sqrt(step.square))
    converged = length <= NEAR and iterations < MOST
    message = "the step still to make is rounding" if converged else "no step leads to a lower deviance"
    if iterations >= MOST:
        message = f"{MOST} iterations did not suffice"
    return Found(state, converged, OptimiserRecord(iterations, evaluations, length, message))


def _moved(pieces: Pieces, state: State, step: Step, size: float) -> State:
    l = state.l + size * step.own[:, 0]
    t = np.maximum(state.t + size * step.own[:, 1], 0.0)
    return evaluate(pieces, l, t, state.L + size * step.L)


def _descend(pieces: Pieces, state: State, step: Step) -> tuple[State | None, int]:
    """The first point along the step, halved again and again, that is low enough."""
    size = min(1.0, 5.0 / max(np.abs(step.own[:, 0]).max(), 1e-300))
    for tried in range(1, 40):
        new = _moved(pieces, state, step, size)
        if new.value <= state.value - SUFFICIENT * size * step.square:
            return new, tried
        size *= 0.5
    return None, 39


def _finish(pieces: Pieces, state: State, step: Step, shortest: float) -> tuple[State | None, int]:
    """A whole step whose gain the deviance cannot show any more, as long as steps become shorter."""
    if np.sqrt(step.square) <= REACHED or step.square >= shortest:
        return None, 0
    return _moved(pieces, state, step, 1.0), 1


def _leave_face(pieces: Pieces, state: State) -> tuple[State | None, int]:
    """A lower point with more variance along a direction that Sigma does not have; None where there is none."""
    sampling = state.own.cov.mean(axis=0)
    root = np.linalg.cholesky(sampling)
    values, vectors = np.linalg.eigh(root.T @ state.by_sigma() @ root)
    if values[0] >= DOWNWARD * len(state.W):
        return None, 0
    along = root @ vectors[:, :1]
    for tried, size in enumerate((0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6), 1):
        wide = state.L @ state.L.T + size * along @ along.T
        new = evaluate(pieces, state.l, state.t, _triangle(wide))
        if new.value < state.value - SHOWN * max(1.0, abs(state.value)):
            return new, tried
    return None, 6


def _triangle(M: np.ndarray) -> np.ndarray:
    """Lower triangular L with L L' = M, positive semidefinite."""
    values, vectors = np.linalg.eigh(M)
    return np.linalg.qr((vectors * np.sqrt(np.maximum(values, 0.0))).T)[1].T


def _step(d: Derivatives, state: State, common: bool) -> Step:
    """Newton's step on the variances, beta and K following."""
    q = state.L.shape[0]
    r = q * (q + 1) // 2
    G = d.gradient.shape[1] - 2
    border = d.hessian[:, 2:, 2:].sum(axis=0) + d.coupling[2:, 2:]
    gradient = np.zeros(G)
    gradient[:r] = d.gradient[:, 2 : 2 + r].sum(axis=0)
    own, block, link = d.gradient[:, :2].copy(), d.hessian[:, :2, :2].copy(), d.hessian[:, :2, 2:].copy()
    if common:
        own, block, link = (x.sum(axis=0, keepdims=True) for x in (own, block, link))
    t = state.t[: len(own)]
    held = (t <= 0.0) & (own[:, 1] >= 0.0)
    while True:
        moves, wide = _solve(own, block, link, border, gradient, held)
        outward = (t <= 0.0) & (moves[:, 1] < 0.0) & ~held
        if not outward.any():
            break
        held = held | outward
    L = np.zeros((q, q))
    L[np.tril_indices(q)] = wide[:r]
    square = -float((own * moves).sum() + gradient @ wide)
    return Step(np.repeat(moves, len(state.l), axis=0) if common else moves, L, max(square, 0.0))


def _solve(own, block, link, border, gradient, held):
    """The bordered system with blocks and the border's rest made positive definite; intercept variances may be held."""
    own, block, link = own.copy(), block.copy(), link.copy()
    own[held, 1], link[held, 1] = 0.0, 0.0
    block[held, 0, 1] = block[held, 1, 0] = 0.0
    block[held, 1, 1] = 1.0
    inverse = _positive_inverse(block)
    led = inverse @ link
    rest = _positive_inverse((border - np.einsum("kia,kib->ab", link, led))[None])[0]
    wide = -rest @ (gradient - np.einsum("kia,ki->a", led, own))
    moves = -np.einsum("kij,kj->ki", inverse, own) - led @ wide
    moves[held, 1] = 0.0
    return moves, wide


def _positive_inverse(M: np.ndarray) -> np.ndarray:
    """Inverses of symmetric matrices (k, m, m), each eigenvalue of the scaled matrix taken by its size."""
    size = np.sqrt(np.maximum(np.abs(np.einsum("kii->ki", M)), np.abs(M).max(axis=2) * 1e-8))
    size = np.where(size > 0, size, 1.0)
    scale = size[:, :, None] * size[:, None, :]
    values, vectors = np.linalg.eigh(M / scale)
    values = np.maximum(np.abs(values), FLOOR)
    return np.einsum("kia,ka,kja->kij", vectors, 1.0 / values, vectors) / scale
