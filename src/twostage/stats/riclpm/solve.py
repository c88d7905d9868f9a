"""Solving random-intercept cross-lagged panel models: from checked panels to estimates in the data's own units."""

from dataclasses import dataclass, fields
from itertools import compress

import numpy as np

from twostage.stats.fiml import group_rows, inverse_positive, maximise, reached_message, score_products
from twostage.stats.riclpm.input import check_stacked
from twostage.stats.riclpm.model import starting_values, starts
from twostage.stats.riclpm.moments import joined, only_dropout, step_moments
from twostage.stats.riclpm.steps import StepLikelihood, profiled_means, search

_AT_ONCE = 500  # panels fitted side by side: enough to hide the overhead, few enough for the cache


@dataclass(frozen=True)
class Solved:
    """Estimates of b data sets: theta (b, K), its covariance (b, K, K), means (b, T, 2), log-likelihoods (b,), ..."""

    theta: np.ndarray
    cov: np.ndarray
    std_error: np.ndarray
    means: np.ndarray
    loglik: np.ndarray
    converged: np.ndarray
    admissible: np.ndarray
    iterations: np.ndarray
    evaluations: np.ndarray
    decrement: np.ndarray
    n_obs: np.ndarray
    n_patterns: np.ndarray
    messages: tuple[str, ...]

    def select(self, sets):
        """The data sets marked in the boolean array `sets` (b,)."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        messages = tuple(compress(values.pop("messages"), sets))
        return Solved(**{name: value[sets] for name, value in values.items()}, messages=messages)


def solve(structure, chunks, se, variables):
    """Fit `structure` to the panels of an iterable of :class:`~twostage.stats.riclpm.input.Stacked`.

    Panels with drop-out only are fitted side by side by one-step prediction (equal lags and residuals; standard errors
    from the observed information), the others, and those with which that fails, by missingness pattern. Panels in which
    the values do not determine the model are entered into their chunk's `refused`.

    Yields
    ------
    (b,) array of int, Solved
        Places of panels (their `kept`), and their estimates.
    """
    simple = se == "observed" and (structure.lags, structure.residuals) == ("equal", "equal")
    queue = _Queue(structure, variables)
    for stacked in chunks:
        others = queue.take(stacked) if simple else stacked
        if len(others.kept):
            yield from _by_pattern(structure, others, se, variables)
        if queue.waiting >= _AT_ONCE:
            yield from queue.solve()
    if queue.waiting:
        yield from queue.solve()


class _Queue:
    """Panels with drop-out only, waiting until they are many enough."""

    def __init__(self, structure, variables):
        self.structure, self.variables, self.parts, self.waiting = structure, variables, [], 0

    def take(self, stacked):
        """Take the panels that need no closer look; the others are returned."""
        b = len(stacked.kept)
        if not b:
            return stacked
        simple = only_dropout(stacked.seen, stacked.set_of, b)
        if not simple.any():
            return stacked
        chosen = stacked.select(simple)
        moments = step_moments(chosen.rows, chosen.seen, chosen.set_of, len(chosen.kept))
        sound = moments.plainly_sound()
        if not sound.all():
            simple[simple] = sound
            chosen, moments = chosen.select(sound), moments.select(sound)
        if sound.any():
            self.parts.append((chosen, moments))
            self.waiting += len(chosen.kept)
        return stacked.select(~simple)

    def solve(self):
        """Estimates of the panels side by side; of those with which the search fails, by pattern."""
        structure, parts = self.structure, self.parts
        self.parts, self.waiting = [], 0
        moments = joined([one for _, one in parts])
        start = starts(structure, *(np.moveaxis(one, -1, 0) for one in moments.covariances()))
        found = search(StepLikelihood(structure, moments), start.T.copy())
        if found.reached.any():
            kept = np.concatenate([chosen.kept for chosen, _ in parts])
            solved = _solved_by_steps(structure, moments, found)
            if not found.reached.all():
                kept, solved = kept[found.reached], solved.select(found.reached)
            yield kept, solved
        begin = 0
        for chosen, _ in parts:
            missed = ~found.reached[begin : begin + len(chosen.kept)]
            begin += len(missed)
            if missed.any():
                yield from _by_pattern(structure, chosen.select(missed), "observed", self.variables)


def _solved_by_steps(structure, moments, found):
    n, full = moments.n, structure.full(found.theta)
    means = profiled_means(full.T, moments) * np.tile(moments.spread, len(n)) + moments.centre
    return _in_units(
        structure,
        moments.spread,
        np.repeat(n.sum(axis=0)[:, None], 2, axis=1),
        theta=found.theta,
        cov=inverse_positive(found.information),
        means=np.where(np.repeat(n.T > 0.0, 2, axis=1), means, np.nan),
        value=found.value,
        iterations=found.iterations,
        evaluations=found.evaluations,
        decrement=found.decrement,
        converged=found.reached,
        n_obs=n[0].astype(int),
        n_patterns=moments.n_patterns,
        messages=tuple(map(reached_message, found.decrement.tolist())),
    )


def _by_pattern(structure, stacked, se, variables):
    """Estimates of any panels."""
    panels = check_stacked(stacked, variables)
    if not len(panels.kept):
        return
    patterns = group_rows(panels.rows, panels.set_of, len(panels.kept))
    core = structure.core
    optimum = maximise(core, patterns, starting_values(structure, patterns))
    cov = inverse_positive(optimum.information)
    if se == "sandwich":
        cov = cov @ score_products(core, patterns, optimum.point) @ cov
    means = np.where(patterns.column_counts() > 0.0, optimum.point.means + patterns.centre, np.nan)
    yield (
        panels.kept,
        _in_units(
            structure,
            panels.spread,
            panels.n_values,
            theta=optimum.point.theta,
            cov=cov,
            means=means * np.tile(panels.spread, means.shape[1] // 2),
            value=optimum.point.value,
            iterations=optimum.iterations,
            evaluations=optimum.evaluations,
            decrement=optimum.decrement,
            converged=optimum.converged,
            n_obs=patterns.n_obs,
            n_patterns=np.bincount(patterns.owner),
            messages=tuple(optimum.message(b) for b in range(len(panels.kept))),
        ),
    )


def _in_units(structure, spread, n_values, *, theta, cov, means, value, **rest):
    """Estimates in the data's own units from those for variables divided by `spread` (b, 2)."""
    units = structure.scales(spread)
    cov = cov * units[:, :, None] * units[:, None, :]
    theta = theta * units
    return Solved(
        theta=theta,
        cov=cov,
        std_error=np.sqrt(np.einsum("bkk->bk", cov)),
        means=means.reshape(len(spread), -1, 2),
        loglik=-value - (np.log(spread) * n_values).sum(axis=1),
        admissible=_admissible(structure, theta),
        **rest,
    )


def _admissible(structure, theta):
    """Whether all covariance matrices among the parameters are positive semidefinite, (b,)."""
    parts = (structure.intercepts(theta), structure.first_within(theta), structure.innovations(theta))
    whole = np.concatenate([part.reshape(len(theta), -1, 2, 2) for part in parts], axis=1)
    return _least(whole).min(axis=1) >= 0.0


def _least(matrices):
    """Least eigenvalues of symmetric 2 x 2 matrices."""
    a, b, c = matrices[..., 0, 0], matrices[..., 1, 0], matrices[..., 1, 1]
    return (a + c) / 2 - np.hypot((a - c) / 2, b)


def problems(structure, theta, variables):
    """What is not admissible at one theta (K,), in words with numbers."""
    residual = structure.innovations(theta)
    named = [
        ("random intercepts", structure.intercepts(theta)),
        ("first occasion", structure.first_within(theta)),
    ]
    if residual.ndim == 2:
        named += [("residuals", residual)]
    else:
        named += [(f"residuals of occasion {t + 2}", one) for t, one in enumerate(residual)]
    return tuple(text for where, matrix in named for text in _faults(where, matrix, variables))


def _faults(where, matrix, variables):
    (x, y), (a, b, c) = variables, (matrix[0, 0], matrix[1, 0], matrix[1, 1])
    found = [f"{where}: variance of {v} is negative ({s:.4g})" for v, s in ((x, a), (y, c)) if s < 0.0]
    if not found and _least(matrix) < 0.0:
        found = [f"{where}: correlation of {x} and {y} is beyond 1 ({b / np.sqrt(a * c):.4g})"]
    return found
