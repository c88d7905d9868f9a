"""Moments of panels with drop-out only: all that the random-intercept cross-lagged panel model needs to know of them."""

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np

from twostage.stats.fiml import sums

_CHUNK = 2**19  # elements of the largest array held at once


# Relative; far above what counts as no variation, so that rounding of the moments does not matter.
_PLAIN = 1e-6


@dataclass(frozen=True)
class StepMoments:
    """What the likelihood needs of b panels with drop-out only.

    Attributes
    ----------
    n : (T, b) array
        Persons at each occasion.
    mean : (8, T - 1, b) array
        Means of (y_t, y_t-1, y_1, y_2 + ... + y_t-1) among those who are there at t = 2 .. T; the means of all who are
        there at an occasion are subtracted from it before. In units of `spread`.
    first : (2, 2, b) array
        Cross-products of y_1 about its means, in units of `spread`.
    lagged : (8, 8, T - 1, b) array
        Cross-products about `mean`, in units of `spread`.
    centre : (b, 2T) array
        What was subtracted; 0 where nobody is there.
    spread : (b, 2) array
        Pooled standard deviations about the occasions' means.
    """

    n: np.ndarray
    mean: np.ndarray
    first: np.ndarray
    lagged: np.ndarray
    centre: np.ndarray
    spread: np.ndarray

    def select(self, sets):
        """The panels at the places, or with the marks, in `sets`."""
        last = (one[..., sets] for one in (self.n, self.mean, self.first, self.lagged))
        return StepMoments(*last, self.centre[sets], self.spread[sets])

    def average(self):
        """One panel whose moments are the averages of the panels'."""
        last = (one.mean(axis=-1, keepdims=True) for one in (self.n, self.mean, self.first, self.lagged))
        first = (one.mean(axis=0, keepdims=True) for one in (self.centre, self.spread))
        return StepMoments(*last, *first)

    def expected(self, sigma):
        """The same numbers of persons with the moments that covariance matrices sigma (b, 2T, 2T) lead one to expect."""
        pick = _picks(len(self.n))[:, :8, :-1]
        lagged = np.moveaxis(pick @ sigma[:, None] @ np.swapaxes(pick, 1, 2), (0, 1), (3, 2)) * self.n[1:]
        first = np.moveaxis(sigma[:, :2, :2], 0, -1) * self.n[0]
        return replace(self, first=first, lagged=np.ascontiguousarray(lagged))

    @property
    def n_patterns(self):
        """Numbers of different lengths of stay, (b,)."""
        return (self.n[:-1] > self.n[1:]).sum(axis=0) + (self.n[-1] > 0.0)

    def covariances(self):
        """Covariances (2, 2, b) of the variables at one occasion, of y_t and y_t-1, of y_t and what is before that."""
        n, S = self.n, self.lagged
        same = (self.first + S[:2, :2].sum(axis=2)) / n.sum(axis=0)
        near = S[:2, 2:4].sum(axis=2) / n[1:].sum(axis=0)
        far = (S[:2, 4:6, 1:] + S[:2, 6:8, 1:] - S[:2, 2:4, 1:]).sum(axis=2)
        pairs = (n[2:] * np.arange(1, len(n) - 1)[:, None]).sum(axis=0)
        return same, near, far / np.maximum(pairs, 1.0)

    def plainly_sound(self):
        """Which panels the model can be fitted to for all that their moments show, (b,) bool.

        Both variables vary, by more than rounding of values of their size, between persons and within them, are not one
        variable, and somebody is there at the second occasion. Of a panel that only just is not so nothing is said.
        """
        n, S, (scale, b) = self.n, self.lagged, (self.spread.T, len(self.spread))
        size = np.abs(self.centre.reshape(b, -1, 2)).max(axis=1).T + scale * np.sqrt(n.sum(axis=0))
        change = S[:2, :2] - S[:2, 2:4] - S[2:4, :2] + S[2:4, 2:4]
        inside = np.einsum("vvtb->vb", change) / n.sum(axis=0) * scale**2
        xx, xy, yy = (self.first[i, j] + S[i, j].sum(axis=0) for i, j in ((0, 0), (0, 1), (1, 1)))
        good = (scale > _PLAIN * size) & (inside > (_PLAIN * np.maximum(scale, size)) ** 2)
        return good.all(axis=0) & (xy**2 < (1.0 - _PLAIN) * xx * yy) & (n[1] > 0.0)


def joined(parts) -> StepMoments:
    """The panels of several StepMoments side by side."""
    if len(parts) == 1:
        return parts[0]
    last = [np.concatenate([getattr(p, f) for p in parts], axis=-1) for f in ("n", "mean", "first", "lagged")]
    return StepMoments(*last, *[np.concatenate([getattr(p, f) for p in parts]) for f in ("centre", "spread")])


def only_dropout(seen, set_of, b):
    """In which of b panels everybody has both variables up to some occasion and nothing after it, (b,) bool."""
    if seen.all():
        return np.ones(b, dtype=bool)
    otherwise = seen[:, ::2] != seen[:, 1::2]
    otherwise[:, 1:] |= seen[:, 2::2] > seen[:, :-2:2]
    return ~np.logical_or.reduceat(otherwise, np.searchsorted(set_of, np.arange(b)), axis=0).any(axis=1)


def step_moments(rows, seen, set_of, b) -> StepMoments:
    """Moments of b panels one under the other.

    Parameters
    ----------
    rows, seen : (n, 2T) arrays
        Persons as :func:`only_dropout` wants them, columns x_1, y_1, x_2, ...; where they are not missing.
    set_of : (n,) array of int
        Panel of each person, ascending, every panel with somebody.
    b : int

    Notes
    -----
    A panel with a variable that never varies has moments without meaning (see `StepMoments.plainly_sound`).
    """
    starts = np.searchsorted(set_of, np.arange(b))
    complete = bool(seen.all())
    filled = rows if complete else np.where(seen, rows, 0.0)
    counts = np.add.reduceat(seen, starts, axis=0, dtype=float)
    centre = sums(filled, set_of, b) / np.maximum(counts, 1.0)
    # A column of ones carries the numbers of persons and the sums through the same products.
    Z = np.ones((len(rows), rows.shape[1] + 1))
    np.subtract(filled, centre if b == 1 else centre[set_of], out=Z[:, :-1])
    if not complete:
        Z[:, :-1] *= seen
    whole = _products(Z, starts)
    squares = np.einsum("bqq->bq", whole)[:, :-1].reshape(b, -1, 2).sum(axis=1)
    spread = np.sqrt(squares / counts.reshape(b, -1, 2).sum(axis=1))
    mean, lagged = _stepwise(whole, _gone(Z, seen[:, ::2], set_of, b))
    unit = 1.0 / np.where(spread > 0.0, spread, 1.0).T
    pair, four = unit[:, None] * unit, np.tile(unit, (4, 1))
    first = np.moveaxis(whole[:, :2, :2], 0, -1) * pair
    mean *= four[:, None]
    lagged *= (four[:, None] * four)[:, :, None]
    return StepMoments(counts[:, ::2].T.copy(), mean, first, lagged, centre, spread)


def _products(Z, starts):
    """Cross-products (m, q, q) of the blocks of rows (n, q) that begin at `starts`."""
    out = np.empty((len(starts), Z.shape[1], Z.shape[1]))
    for g, (at, end) in enumerate(pairwise([*starts.tolist(), len(Z)])):
        block = Z[at:end]
        np.dot(block.T, block, out=out[g])
    return out


def _gone(Z, there, set_of, b):
    """What those who left before t = 2 .. T add to the cross-products of (y_t, y_t-1, y_1, y_2 + ... + y_t-1, 1).

    Their y_t is 0 in Z, and y_t-1 too but for those who left right before t: (b, T - 1, 9, 9).
    """
    T = there.shape[1]
    out = np.zeros((b, T - 1, 9, 9))
    left = np.flatnonzero(~there[:, -1])
    if not len(left):
        return out
    own, last = Z[left], there[left].sum(axis=1) - 1
    code = set_of[left] * (T - 1) + last
    order = np.argsort(code, kind="stable")
    own, last, code = own[order], last[order], code[order]
    at, first = np.arange(len(own)), own[:, :2]
    between = own[:, :-1].reshape(len(own), T, 2).sum(axis=1) - first
    V = np.column_stack([own[at, 2 * last], own[at, 2 * last + 1], first, between, own[:, -1]])
    starts = np.flatnonzero(np.r_[True, code[1:] != code[:-1]])
    products = np.add.reduceat(V[:, :, None] * V[:, None, :], starts, axis=0)
    out.reshape(-1, 9, 9)[code[starts], 2:, 2:] = products
    for t in range(1, T - 1):
        out[:, t, 4:, 4:] += out[:, t - 1, 4:, 4:]
    return out


def _stepwise(whole, gone):
    """Means (8, T - 1, b) and cross-products about them (8, 8, T - 1, b), from those of everybody (b, q, q) and `gone`."""
    b, T = len(whole), whole.shape[-1] // 2
    pick = _picks(T)
    picked = np.empty((9, 9, T - 1, b))
    size = max(1, _CHUNK // pick.size)
    for at in range(0, b, size):
        some = slice(at, at + size)
        own = pick @ whole[some, None] @ np.swapaxes(pick, 1, 2) - gone[some]
        picked[..., some] = np.moveaxis(own, (0, 1), (3, 2))
    mean = picked[:8, 8] / np.maximum(picked[8, 8], 1.0)
    return mean, picked[:8, :8] - mean[:, None] * picked[8, :8]


@lru_cache(maxsize=8)
def _picks(T):
    """y_t, y_t-1, y_1, y_2 + ... + y_t-1 and 1 from (y_1, ..., y_T, 1), for t = 2 .. T: (T - 1, 9, 2T + 1)."""
    pick = np.zeros((T - 1, 9, 2 * T + 1))
    pick[:, 8, -1] = 1.0
    for t in range(1, T):
        for v in (0, 1):
            pick[t - 1, v, 2 * t + v] = pick[t - 1, 2 + v, 2 * t - 2 + v] = pick[t - 1, 4 + v, v] = 1.0
            pick[t - 1, 6 + v, 2 + v : 2 * t : 2] = 1.0
    return pick
