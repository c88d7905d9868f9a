"""The maximum of many one-step likelihoods at once: quasi-Newton steps, then Newton's own."""

from dataclasses import dataclass

import numpy as np

from twostage.stats.fiml_linalg import solve_positive, well_determined

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
    """Minimise `likelihood` (:class:`~twostage.stats.riclpm_steps.StepLikelihood`) from `start` (K, b).

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
