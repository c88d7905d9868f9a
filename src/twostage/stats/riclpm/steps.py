"""The random-intercept cross-lagged panel model by one-step prediction, for many panels side by side.

Where people only drop out, everyone who is there at an occasion has the same past, so the prediction of y_t from
y_1 .. y_t-1 has one set of coefficients and one error covariance F_t for all; given them, a panel counts through the
moments of y_t, y_t-1, y_1 and the sum of what lies between, whatever its number of persons.

Arrays have the panels last: 2 x 2 matrices are (2, 2, occasions or 1, b). All functions take complex parameters.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from twostage.stats.fiml import STEP, positive_definite, scaled, solve_positive, sums, well_determined
from twostage.stats.riclpm.model import RiclpmStructure

_CHUNK = 2**19  # elements of the largest array held at once


# Relative; far above what counts as no variation, so that rounding of the moments does not matter.
_PLAIN = 1e-6


# Panels from which quasi-Newton steps come first: they share the overhead of their many evaluations.
_MANY = 16


_MAX_QUASI = 30


_MAX_NEWTON = 20


# Newton's decrement at which a maximum counts as reached: one more step, which is taken, leaves about its square, and
# the second derivatives are those 1e-5 standard errors away.
TOLERANCE = 1e-10


_QUASI = 1e-16  # the same of quasi-Newton steps, whose decrement is only about right; a step costs little


_SHORTER = 0.25  # of a step that did not help


_SHORTEST = 0.01


_FLATTEST = 1e-3  # least curvature taken seriously far from the maximum, relative to the greatest


_ROUNDING = 64 * np.finfo(float).eps  # of the value, relative: a step that loses less is no loss


_CROWDED = 0.7  # panels that are done leave the arrays when fewer than this share are still busy


_FEW = 16  # panels below which overhead counts most


# Of differences, for variables of unit variance: what rounding does to the second derivatives, 1e-15 / step, and what
# the third derivatives do, step times a few, are both about 1e-7 of them.
_STEP = 2e-8


# What such differences are good enough for, of second derivatives with unit diagonal: least eigenvalue, and greatest
# difference from their transposes (half their error; 5e-8 ordinarily).
_FLAT = 2e-2


_UNEQUAL = 2e-7


_PLACES = np.array([0, 1, 1, 2, 7, 8, 8, 9, 10, 11, 11, 12])  # of R, W and Q in theta


_NORMAL = 2.0 * np.log(2.0 * np.pi)


_EYE = np.eye(2)[:, :, None, None]


_SIGN = np.array([[1.0, -1.0], [-1.0, 1.0]])[:, :, None, None]


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


@dataclass(frozen=True)
class Found:
    """Where the search ended, per panel.

    Attributes
    ----------
    theta : (b, K) array
    value : (b,) array
        Minus log-likelihood.
    information : (b, K, K) array
        Second derivatives there.
    decrement : (b,) array
        Newton's decrement there.
    reached : (b,) array of bool
        Whether this is a maximum. Where it is not the search gave up.
    iterations, evaluations : (b,) arrays of int
        Steps; likelihoods computed, with or without derivatives.
    """

    theta: np.ndarray
    value: np.ndarray
    information: np.ndarray
    decrement: np.ndarray
    reached: np.ndarray
    iterations: np.ndarray
    evaluations: np.ndarray


def search(likelihood, start) -> Found:
    """Minimise `likelihood` (:class:`~twostage.stats.riclpm.steps.StepLikelihood`) from `start` (K, b).

    Newton steps until the decrement is at most `TOLERANCE`, Fisher scoring where the second derivatives are not positive
    definite; many panels come near by quasi-Newton steps (BFGS) before, from the second derivatives of their average. A
    panel with which that fails is given up: the search is for the ordinary case, the caller has a slower way for the
    others.
    """
    theta, before = start, np.zeros(start.shape[1], dtype=int)
    if len(before) >= _MANY:
        theta, before = _quasi_newton(likelihood, start)
    parts, places = _newton(likelihood, theta)
    order = np.argsort(places) if len(parts) > 1 else slice(None)
    x = {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}
    reached = (x["decrement"] <= TOLERANCE) & well_determined(x["information"])
    steps = before + x["steps"]
    # The step proposed at the end is taken without another likelihood, as in `fiml.maximise`.
    last, gain = np.where(reached, x["move"].T, 0.0).T, np.where(reached, 0.5 * x["decrement"], 0.0)
    return Found(
        theta=x["theta"] - last,
        value=x["value"] - gain,
        information=x["information"],
        decrement=x["decrement"],
        reached=reached,
        iterations=steps,
        evaluations=steps + 1 + (before > 0),
    )


def _newton(likelihood, theta):
    """Where Newton's steps end, panels first, in parts; and the places of the parts' panels.

    A step that leads up is shortened.
    """
    at, scale, parts, places = np.arange(theta.shape[1]), np.ones(theta.shape[1]), [], []
    best = _expansion(likelihood, theta, 0)
    for steps in range(1, _MAX_NEWTON + 1):
        busy = (best["decrement"] > TOLERANCE) & np.isfinite(best["value"]) & (scale >= _SHORTEST)
        if steps == _MAX_NEWTON or not busy.any():
            busy = np.zeros(len(at), dtype=bool)
        if not busy.all():
            parts.append({name: array[~busy] for name, array in best.items()} if busy.any() else best)
            places.append(at[~busy])
            if not busy.any():
                break
            best = {name: array[busy] for name, array in best.items()}
            at, scale, likelihood = at[busy], scale[busy], likelihood.select(busy)
        trial = _expansion(likelihood, (best["theta"] - scale[:, None] * best["move"]).T, steps)
        better = trial["value"] <= best["value"] + _ROUNDING * np.abs(best["value"])
        if better.all():
            best, scale = trial, np.ones(len(at))
        else:
            best = {n: np.where(better, trial[n].T, array.T).T for n, array in best.items()}
            best["steps"][:] = steps
            scale = np.where(better, 1.0, scale * _SHORTER)
    return parts, np.concatenate(places)


def _expansion(likelihood, theta, steps):
    """The likelihood's expansion at theta (K, b) and the step it proposes, panels first.

    Where the second derivatives are not positive definite there is no decrement, and the step is Fisher scoring's.
    """
    value, gradient, H = likelihood.expanded(theta)
    move, good = solve_positive(H, gradient.T)
    decrement = np.einsum("kb,bk->b", gradient, move)
    if not good.all():
        bad = ~good & np.isfinite(value)
        expected = likelihood.select(bad).expected_information(theta[:, bad])
        move[bad] = solve_positive(expected, gradient.T[bad])[0]
        move, decrement = np.where(np.isfinite(move), move, 0.0), np.where(good, decrement, np.inf)
    out = {"theta": theta.T, "value": value, "information": H, "move": move, "decrement": decrement}
    return out | {"steps": np.full(len(value), steps)}


def _quasi_newton(likelihood, start):
    """Points (K, b) near the minima, and the steps it took."""
    work, theta = _Quasi(likelihood, start), start.copy()
    steps = np.zeros(start.shape[1], dtype=int)
    for _ in range(_MAX_QUASI):
        busy = work.propose()
        steps[work.at[busy]] += 1
        theta[:, work.at] = work.theta
        if not busy.any():
            break
        if busy.mean() < _CROWDED:
            work.keep(busy)
        work.step()
    theta[:, work.at] = work.theta
    return theta, steps


class _Quasi:
    """Panels on their way by BFGS steps; `inverse` is the running inverse of the second derivatives, (K, K, b)."""

    def __init__(self, likelihood, start):
        self.likelihood, self.theta = likelihood, start
        self.at = np.arange(start.shape[1])
        self.value, self.gradient = likelihood.value_and_gradient(start)
        self.inverse = _metric(likelihood, start)
        self.scale = np.ones(len(self.at))

    def propose(self):
        """The next step; which panels still need one."""
        self.move = -np.einsum("jkb,kb->jb", self.inverse, self.gradient)
        gain = -np.einsum("kb,kb->b", self.gradient, self.move)
        self.busy = np.isfinite(self.value) & (gain > _QUASI)
        return self.busy

    def keep(self, sets):
        """Go on with the panels marked."""
        self.likelihood = self.likelihood.select(sets)
        for name in ("at", "value", "scale", "busy"):
            setattr(self, name, getattr(self, name)[sets])
        for name in ("theta", "gradient", "inverse", "move"):
            setattr(self, name, getattr(self, name)[..., sets])

    def step(self):
        """Take the step where it is no loss, shorten the next one elsewhere."""
        move = self.move * np.where(self.busy, self.scale, 0.0)
        value, gradient = self.likelihood.value_and_gradient(self.theta + move)
        better = self.busy & (value <= self.value + _ROUNDING * np.abs(self.value))
        self._learn(move, np.where(better, gradient - self.gradient, 0.0))
        self.theta = np.where(better, self.theta + move, self.theta)
        self.value = np.where(better, value, self.value)
        self.gradient = np.where(better, gradient, self.gradient)
        self.scale = np.where(better, 1.0, self.scale * _SHORTER)

    def _learn(self, move, change):
        """BFGS: the inverse that explains the gradient's `change` over `move`, and stays positive definite."""
        along = np.einsum("kb,kb->b", move, change)
        rho = np.where(along > 0.0, 1.0 / np.where(along > 0.0, along, 1.0), 0.0)
        turned = np.einsum("jkb,kb->jb", self.inverse, change)
        size = rho * (1.0 + rho * np.einsum("kb,kb->b", change, turned))
        half = move * (0.5 * size) - turned * rho
        cross = half[:, None] * move
        self.inverse = self.inverse + cross + cross.swapaxes(0, 1)


def _metric(likelihood, start):
    """Inverse second derivatives of the average panel at the average start, for panels of each one's size."""
    moments = likelihood.moments
    size = moments.n[0]
    average = likelihood.average()
    _, _, H = average.expanded(start.mean(axis=1, keepdims=True))
    values, vectors = np.linalg.eigh(H[0])
    values = np.maximum(np.abs(values), _FLATTEST * np.abs(values).max())
    return ((vectors / values) @ vectors.T)[:, :, None] * (size.mean() / size)


@dataclass(frozen=True)
class StepLikelihood:
    """Minus log-likelihood of b panels in theta (K, b), profiled over the means.

    Attributes
    ----------
    structure : RiclpmStructure
        With equal lags and residuals.
    moments : StepMoments
    """

    structure: RiclpmStructure
    moments: StepMoments

    def select(self, sets):
        """The likelihood of the panels at the places, or with the marks, in `sets` (b,)."""
        return StepLikelihood(self.structure, self.moments.select(sets))

    def average(self):
        """The likelihood of the average of the panels' moments."""
        return StepLikelihood(self.structure, self.moments.average())

    def value_and_gradient(self, theta):
        """Value (b,), infinite where a covariance matrix is not positive definite, and gradient (K, b)."""
        if self.structure.first == "free":
            return value_and_gradient(theta, self.moments)
        value, gradient = value_and_gradient(self.structure.full(theta.T).T, self.moments)
        return value, np.einsum("bkf,fb->kb", self.structure.full_jacobian(theta.T), gradient)

    def expanded(self, theta):
        """Value (b,), gradient (K, b) and second derivatives (b, K, K).

        These by differences of the gradient: standard errors from them are good to 1e-5 of themselves, most to 1e-7. Where
        they would be worse, near a variance of 0 (the differences are not symmetric) or with a nearly flat direction, the
        complex step decides.
        """
        value, gradient, second = self._by_differences(theta)
        unit = scaled(second)[0]
        doubtful = np.abs(unit - np.swapaxes(unit, 1, 2)).max(axis=(1, 2)) > _UNEQUAL
        doubtful |= ~positive_definite(unit - _FLAT * np.eye(len(theta)))
        if doubtful.any():
            second[doubtful] = self.select(doubtful).by_complex_step(theta[:, doubtful])
        return value, gradient, 0.5 * (second + np.swapaxes(second, 1, 2))

    def by_complex_step(self, theta):
        """Second derivatives (b, K, K), exact to rounding."""
        K, b = theta.shape
        moved = theta[:, None, :] + 1j * STEP * np.eye(K)[:, :, None]
        gradient = self._repeated(K).value_and_gradient(moved.reshape(K, -1))[1].reshape(K, K, b)
        second = np.moveaxis(gradient.imag, -1, 0) / STEP
        return 0.5 * (second + np.swapaxes(second, 1, 2))

    def expected_information(self, theta):
        """Expected information (b, K, K): the second derivatives for the moments that theta itself implies."""
        moments = self.moments.expected(self.structure.sigma(theta.T))
        return StepLikelihood(self.structure, moments).by_complex_step(theta)

    def _by_differences(self, theta):
        K, b = theta.shape
        if b < _FEW:  # all directions at once, and theta itself after them
            moved = theta[:, None, :] + _STEP * np.eye(K, K + 1)[:, :, None]
            value, gradient = self._repeated(K + 1).value_and_gradient(moved.reshape(K, -1))
            gradient = gradient.reshape(K, K + 1, b)
            change = gradient[:, :-1] - gradient[:, -1:]
            return value[-b:], gradient[:, -1], np.moveaxis(change, -1, 0) / _STEP
        value, gradient = self.value_and_gradient(theta)
        second = np.empty((b, K, K))
        for k in range(K):
            moved = theta.copy()
            moved[k] += _STEP
            second[:, k] = (self.value_and_gradient(moved)[1] - gradient).T / _STEP
        return value, gradient, second

    def _repeated(self, times):
        """The panels `times` over; of one panel the moments serve any number of columns as they are."""
        b = len(self.moments.spread)
        return self if b == 1 else self.select(np.tile(np.arange(b), times))


def profiled_means(theta, moments):
    """Means (b, 2T) at theta (13, b), from the centre of the moments: every prediction error has mean zero."""
    T, B = len(moments.n), _predict(theta, len(moments.n)).B
    own = moments.mean[:2] - np.einsum("ijtb,jtb->itb", B, moments.mean[2:])
    means = np.zeros((T, 2, theta.shape[1]))  # that of y_1 is the centre itself
    near, between = B[:, :2], B[:, 4:]
    for t in range(1, T):
        told = np.einsum("ijb,jb->ib", near[:, :, t - 1], means[t - 1])
        if t > 1:
            told += np.einsum("ijb,jb->ib", between[:, :, t - 1], means[1:t].sum(axis=0))
        means[t] = own[:, t - 1] + told
    return means.reshape(2 * T, -1).T


def value_and_gradient(theta, moments):
    """Minus log-likelihood (b,), profiled over the means, and its gradient (13, b) at theta (13, b).

    ``y_t | past ~ N(Phi y_t-1 + (I - Phi) E(r | past), F_t)`` in deviations from the means, ``F_t = Q + (I - Phi) V_t
    (I - Phi)'``, ``V_t = (R^-1 + W^-1 + (t - 2) (I - Phi)' Q^-1 (I - Phi))^-1``; y_1 ~ N(0, R + W). The value is infinite
    where one of these covariance matrices is not positive definite; of complex parameters it is without meaning.
    """
    # Steps too long lead to singular matrices and overflow; their value is infinite, and nobody goes there.
    with np.errstate(all="ignore"):
        steps = _predict(theta, len(moments.n))
        weighted = _weighted(steps.B, moments.lagged)
        squares = _with_first(moments.first[:, :, None], _remaining(weighted, steps.B))
        fit = _fit(_with_first(steps.first, steps.F), moments.n, squares)
        by_B = _mul(fit.inverse[:, :, 1:], -weighted[:, 2:])
        return fit.value, _pulled_back(steps, fit.slope[:, :, :1], fit.slope[:, :, 1:], by_B)


class _Steps(NamedTuple):
    """Matrices of the predictions: y_t is predicted by B (y_t-1, y_1, sum between) with error covariance F.

    ``B = J U + (Phi, 0, 0)``, U what the past tells about r; ``M = (I + R A)^-1``, A its precision; ``V = M R``;
    `first` is R + W; `inverses` are those of W and of Q; the rows of `weights` are 1 and what A weighs its own
    growth by.
    """

    R: np.ndarray
    Phi: np.ndarray
    inverses: np.ndarray
    D: np.ndarray
    L: np.ndarray
    weights: np.ndarray
    M: np.ndarray
    V: np.ndarray
    J: np.ndarray
    U: np.ndarray
    first: np.ndarray
    F: np.ndarray
    B: np.ndarray


def _predict(theta, T):
    R, W, Q = theta[_PLACES].reshape(3, 2, 2, 1, -1)
    Phi = theta[3:7].reshape(2, 2, 1, -1)
    inverses, D = _inverse(np.concatenate([W, Q], axis=2)), _EYE - Phi
    Wi, Qi = inverses[:, :, :1], inverses[:, :, 1:]
    L = _t_mul(D, Qi)
    LPhi = _mul(L, Phi)
    LD, weights = L - LPhi, _weights(T)
    M = _inverse(_EYE + _mul(R, Wi + weights[1, :, None] * LD))
    V = _mul(M, R)
    J = _mul(D, V)
    U = np.concatenate([LPhi, Wi - LPhi, LD], axis=1)
    B = _mul(J, U)
    B[:, :2] += Phi
    return _Steps(R, Phi, inverses, D, L, weights, M, V, J, U, R + W, Q + _mul_t(J, D), B)


@lru_cache(maxsize=32)
def _weights(T):
    return np.array([np.ones(T - 1), np.arange(T - 1.0)])


class _Fit(NamedTuple):
    """Of the prediction errors: the value, by occasion its derivative in their covariance, the covariance's inverse."""

    value: np.ndarray
    slope: np.ndarray
    inverse: np.ndarray


def _fit(F, n, squares):
    """Normal likelihood of n prediction errors with covariance F and cross-products `squares`."""
    det = F[0, 0] * F[1, 1] - F[0, 1] * F[1, 0]
    inverse = _adjugate(F) / det
    spent = _mul(inverse, squares)
    slope = 0.5 * (n * inverse - _mul(spent, inverse))
    size = det.real  # NaN is not proper
    proper = (size > 0.0) & (F[0, 0].real > 0.0)
    if not proper.all():
        proper |= n == 0.0
        size, spent = np.where(size > 0.0, size, 1.0), np.where(proper, spent, 0.0)
    parts = n * (np.log(size) + _NORMAL) + (spent[0, 0] + spent[1, 1]).real
    value = np.where(proper.all(axis=0), 0.5 * np.add.reduce(parts, axis=0), np.inf)
    return _Fit(value, slope, inverse)


def _with_first(first, later):
    """Matrices of occasions 1 and 2 .. T one after the other; `first` may be real, and of fewer panels."""
    out = np.empty((2, 2, later.shape[2] + 1, later.shape[3]), dtype=later.dtype)
    out[:, :, :1], out[:, :, 1:] = first, later
    return out


def _weighted(B, S):
    """(I, -B) S, (2, 8, T - 1, b)."""
    return S[:2] - np.einsum("ijtb,jktb->iktb", B, S[2:])


def _remaining(weighted, B):
    """weighted (I, -B)', (2, 2, T - 1, b)."""
    return weighted[:, :2] - _mul_t(weighted[:, 2:], B)


def _pulled_back(steps, first, later, by_B):
    """The gradient in theta from the derivatives in R + W (`first`), F (`later`) and B."""
    s = steps
    by_F = _mul(later, s.D)
    by_J = by_F + _mul_t(by_B, s.U)
    by_M = _mul(_t_mul(s.M, _t_mul(s.D, by_J)), s.M)
    by_M = np.einsum("st,ijtb->ijsb", s.weights, by_M)
    by_A = _between(s.R, by_M)
    by_U = _total_t_mul(s.J, by_B)
    by_LD = by_U[:, 4:] - by_A[:, :, 1:]
    by_LPhi = by_U[:, :2] - by_U[:, 2:4] - by_LD  # L D is L - L Phi
    by_L = by_LD + _mul_t(by_LPhi, s.Phi)
    by_D = _total_mul(by_F + by_J, s.V) + _mul_t(s.inverses[:, :, 1:], by_L)
    by_Phi = _total(by_B[:, :2]) + _t_mul(s.L, by_LPhi) - by_D
    by_inverses = np.concatenate([by_U[:, 2:4] - by_A[:, :, :1], _mul(s.D, by_L)], axis=2)
    direct = np.concatenate([by_M[:, :, :1] + first, first, _total(later)], axis=2)
    direct[:, :, 1:] -= _between(s.inverses, by_inverses)
    out = np.empty((13, direct.shape[3]), dtype=direct.dtype)
    out[3:7] = by_Phi.reshape(4, -1)
    for row, part in ((0, direct[0, 0]), (1, direct[0, 1] + direct[1, 0]), (2, direct[1, 1])):
        out[row], out[row + 7], out[row + 10] = part
    return out


def _mul(a, b):
    """Products of matrices."""
    return np.einsum("ijtb,jktb->iktb", a, b)


def _mul_t(a, b):
    """Products with the second matrix transposed."""
    return np.einsum("ijtb,kjtb->iktb", a, b)


def _t_mul(a, b):
    """Products with the first matrix transposed."""
    return np.einsum("jitb,jktb->iktb", a, b)


def _between(a, b):
    """a b a for symmetric a."""
    return _mul(_mul(a, b), a)


def _adjugate(a):
    return a[::-1, ::-1].swapaxes(0, 1) * _SIGN


def _inverse(a):
    return _adjugate(a) / (a[0, 0] * a[1, 1] - a[0, 1] * a[1, 0])


def _total(a):
    """Sums over occasions."""
    return np.add.reduce(a, axis=2, keepdims=True)


def _total_mul(a, b):
    return np.einsum("ijtb,jktb->ikb", a, b)[:, :, None]


def _total_t_mul(a, b):
    return np.einsum("jitb,jktb->ikb", a, b)[:, :, None]
