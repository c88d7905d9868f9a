"""Maxima of panel models with measurement error: error variances are at least 0, and a search may need several starts."""

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from twostage.stats.fiml import evaluate, inverse_positive, maximise, reached_message, scaled, score_products
from twostage.stats.riclpm.dropout import DropoutLikelihood, dropout_moments
from twostage.stats.riclpm.latent import LatentStructure, latent_starts
from twostage.stats.riclpm.model import only_dropout
from twostage.stats.riclpm.steps import search

# Shares of the variance within persons that free error variances start from.
_SHARES = (0.25, 0.6)


# Steps of one search. A maximum takes 5 to 30; a ridge that rises for ever is not worth more.
MOST_STEPS = 60


# Panels fitted side by side: enough to hide the overhead, few enough for the cache.
_AT_ONCE = 500


# The same where anything may be missing: all patterns of a panel are held beside it.
_IN_CACHE = 34


# Slope of the log-likelihood in an error variance at 0, per person, that is no slope but rounding.
_LEVEL = 1e-7


@dataclass(frozen=True)
class LatentSolved:
    """Estimates of b panels, for variables divided by their spread.

    Attributes
    ----------
    theta : (b, K) array
        An error variance on its boundary is 0.
    cov : (b, K, K) array
        NaN for what is on a boundary; the others' given that.
    value : (b,) array
        Minus log-likelihood.
    converged, admissible : (b,) arrays of bool
        A maximum was reached, given that error variances are at least 0; all covariance matrices are positive
        semidefinite.
    boundary : (b, 2) array of bool
        Error variances that would be negative were they free to be.
    iterations, evaluations : (b,) arrays of int
    decrement, least : (b,) arrays
        Newton's decrement; least eigenvalue of the information with unit diagonal.
    messages : list of str
    """

    theta: np.ndarray
    cov: np.ndarray
    value: np.ndarray
    converged: np.ndarray
    admissible: np.ndarray
    boundary: np.ndarray
    iterations: np.ndarray
    evaluations: np.ndarray
    decrement: np.ndarray
    least: np.ndarray
    messages: list[str]


def solve_latent(structure: LatentStructure, patterns, se: str) -> LatentSolved:
    """Fit `structure`, with ratios (2, b), to b panels of unit variance (:class:`~twostage.stats.fiml.Patterns`)."""
    solved = _empty(patterns.n_sets, structure.n_parameters)
    left = np.ones(patterns.n_sets, dtype=bool)
    if patterns.n_sets > 1:
        simple = _simple(patterns)
        for at in _parts(np.flatnonzero(simple)):
            chosen = np.isin(np.arange(patterns.n_sets), at)
            _side_by_side(solved, structure.at(at), patterns.select(chosen), at, se)
        for at in _alike(structure, np.flatnonzero(~simple)):
            chosen = np.isin(np.arange(patterns.n_sets), at)
            _together(solved, structure.at(at), patterns.select(chosen), at, se)
        left = ~(solved.converged | (solved.evaluations > 0))
    for b in np.flatnonzero(left):
        chosen = np.arange(patterns.n_sets) == b
        _alone(solved, structure.at(chosen), patterns.select(chosen), b, se)
    return solved


def best_alone(structure, patterns, starts):
    """The highest maximum of one panel from the starting values (1, K), the first one if it is admissible."""
    best, steps = None, 0
    for start in starts:
        found = maximise(structure, patterns, start, max_iterations=MOST_STEPS)
        steps += int(found.iterations[0])
        good = bool(found.converged[0])
        if best is None or (good, -found.point.value[0]) > (best.converged[0], -best.point.value[0]):
            best = found
        if best.converged[0] and admissible(structure, best.point.theta)[0]:
            break
    return best, steps


def faces(structure):
    """The structures with some of the free error variances at 0, and which."""
    sets = [c for size in (1, 2) for c in combinations(structure.free, size)]
    return [(structure.without(variables), variables) for variables in sets]


def not_negative(structure, theta):
    """Whether all free error variances are, (b,) bool."""
    return (theta[:, structure.n_parameters - len(structure.free) :] >= 0.0).all(axis=1)


def admissible(structure, theta):
    """Whether all covariance matrices among the parameters are positive semidefinite, (b,) bool."""
    base = getattr(structure, "base", structure)
    theta = structure.whole(theta) if base is not structure else theta
    parts = (base.line(theta), base.first_within(theta), base.innovations(theta))
    finite = np.where(np.isfinite(theta).all(axis=1)[:, None, None], 1.0, np.nan)
    least = [np.linalg.eigvalsh(np.where(np.isnan(finite), -np.eye(m.shape[1]), m))[:, 0] for m in parts]
    return np.min(least, axis=0) >= 0.0


def _simple(patterns):
    """Which panels have nothing missing but by drop-out, (b,) bool."""
    seen = patterns.mask > 0.0
    return only_dropout(seen, patterns.owner, patterns.n_sets)


def _parts(places, size=_AT_ONCE):
    return [places[at : at + size] for at in range(0, len(places), size)]


def _alike(structure, places):
    """Panels with the same ratios, in parts: a search over several of them may drop one and needs no more than one's."""
    if structure.ratios.ndim < 2:
        return _parts(places, _IN_CACHE)
    _, group = np.unique(structure.ratios[:, places], axis=1, return_inverse=True)
    groups = [places[group.ravel() == g] for g in range(group.max(initial=-1) + 1)]
    return [part for group in groups for part in _parts(group, _IN_CACHE)]


def _together(solved, structure, patterns, places, se):
    """Enter the maxima of panels alike in their ratios that :func:`best_alone` takes, where no bound is in the way."""
    one = structure if structure.ratios.ndim < 2 else replace(structure, ratios=structure.ratios[:, 0])
    first, second = _starts(one, patterns)
    found = maximise(one, patterns, first, max_iterations=MOST_STEPS)
    good = found.converged & not_negative(one, found.point.theta) & admissible(one, found.point.theta)
    if not (structure.free or good.all()):
        rest = np.flatnonzero(~good)
        own = patterns.select(~good)
        other = maximise(one, own, second[rest], max_iterations=MOST_STEPS)
        before = np.where(found.converged, found.point.value, np.inf)[rest]
        better = other.converged & (other.point.value < before)
        _enter_optimum(solved, one, own, places[rest], other, better, se)
        good[rest] = ~better
    _enter_optimum(solved, one, patterns, places, found, good, se)


def _enter_optimum(solved, structure, patterns, places, found, chosen, se):
    if not chosen.any():
        return
    numbers = {"theta": found.point.theta, "value": found.point.value, "information": found.information}
    numbers |= {
        name: getattr(found, name) for name in ("iterations", "evaluations", "decrement", "converged")
    }
    numbers = {name: array[chosen] for name, array in numbers.items()}
    _enter(solved, structure, structure, patterns.select(chosen), places[chosen], se, **numbers)
    for b in np.flatnonzero(chosen):
        solved.messages[places[b]] = found.message(b)


def _side_by_side(solved, structure, patterns, places, se):
    """Enter the maxima that searches for all panels at once find."""
    moments = dropout_moments(patterns, structure.occasions)
    found = _best_side_by_side(structure, patterns, moments)
    inside = not_negative(structure, found.theta)
    _enter_found(solved, structure, structure, patterns, places, found, found.reached & inside, se)
    below = found.reached & ~inside
    if not below.any():
        return
    own, value = patterns.select(below), np.full(int(below.sum()), np.inf)
    for face, _ in faces(structure.at(below)):
        found = _best_side_by_side(face, own, moments.select(below))
        better = found.reached & not_negative(face, found.theta) & (found.value < value)
        value = np.where(better, found.value, value)
        _enter_found(solved, structure.at(below), face, own, places[below], found, better, se)


def _best_side_by_side(structure, patterns, moments):
    """As :func:`best_alone`, for all panels."""
    likelihood = DropoutLikelihood(structure, moments)
    start, other = _starts(structure, patterns)
    found = search(likelihood, start.T.copy())
    again = np.flatnonzero(~(found.reached & admissible(structure, found.theta)))
    if not len(again):
        return found
    second = search(likelihood.select(again), other[again].T.copy())
    better = second.reached & (~found.reached[again] | (second.value < found.value[again]))
    merged = {name: array.copy() for name, array in vars(found).items()}
    for name, array in merged.items():
        array[again[better]] = getattr(second, name)[better]
    return replace(found, **merged)


def _enter_found(solved, structure, face, patterns, places, found, good, se):
    if not good.any():
        return
    chosen, own, part = patterns.select(good), face.at(good), places[good]
    numbers = {name: getattr(found, name)[good] for name in ("theta", "value", "information", "decrement")}
    numbers |= {name: getattr(found, name)[good] for name in ("iterations", "evaluations")}
    _enter(solved, structure, own, chosen, part, se, converged=True, **numbers)
    for b, decrement in zip(part, numbers["decrement"], strict=True):
        solved.messages[b] = reached_message(decrement)


def _alone(solved, structure, patterns, b, se):
    """Enter the best of one panel, from several starts and, where an error variance is negative, on the boundary."""
    best, steps = best_alone(structure, patterns, _starts(structure, patterns))
    face, message = structure, best.message(0)
    if not not_negative(structure, best.point.theta)[0]:
        at_zero = _on_boundary(structure, patterns, checked=not best.converged[0])
        if at_zero is not None:
            (best, steps), face = at_zero
            message = best.message(0)
        elif best.converged[0]:
            message = "an error variance is negative, and with it at 0 no maximum was reached"
            best.converged[0] = False
    numbers = {"theta": best.point.theta, "value": best.point.value, "information": best.information}
    numbers |= {"decrement": best.decrement, "iterations": steps, "evaluations": best.evaluations}
    _enter(solved, structure, face, patterns, np.array([b]), se, converged=best.converged, **numbers)
    solved.messages[b] = message


def _starts(structure, patterns):
    if structure.free:
        return [latent_starts(structure, patterns, share) for share in _SHARES]
    return [latent_starts(structure, patterns, persistent=persistent) for persistent in (False, True)]


def _on_boundary(structure, patterns, checked):
    """The best maximum of one panel with error variances at 0; `checked`: only if none of them wants to be positive."""
    found = []
    for face, _ in faces(structure):
        best, steps = best_alone(face, patterns, _starts(face, patterns))
        theta = best.point.theta
        good = best.converged[0] and not_negative(face, theta)[0]
        if good and (not checked or _pressed(structure, face, patterns, theta)):
            found.append((best.point.value[0], len(found), ((best, steps), face)))
    return min(found)[2] if found else None


def _pressed(structure, face, patterns, theta):
    """Whether the likelihood falls when an error variance that is 0 grows."""
    whole = np.zeros((1, structure.n_parameters))
    whole[:, structure.kept(face)] = theta
    gradient = evaluate(structure, patterns, whole).gradient[0]
    zero = np.setdiff1d(np.arange(structure.n_parameters), structure.kept(face))
    return bool((gradient[zero] >= -_LEVEL * patterns.n_obs[0]).all())


def _enter(solved, structure, face, patterns, places, se, *, theta, information, converged, **numbers):
    kept = structure.kept(face)
    cov = inverse_positive(information)
    if se == "sandwich":
        point = evaluate(face, patterns, theta)
        cov = cov @ score_products(face, patterns, point) @ cov
    solved.theta[places] = 0.0
    solved.theta[places[:, None], kept] = theta
    solved.cov[places] = np.nan
    solved.cov[places[:, None, None], kept[:, None], kept] = cov
    solved.converged[places], solved.admissible[places] = converged, admissible(face, theta)
    solved.boundary[places] = [v in structure.free and v not in face.free for v in (0, 1)]
    unit = scaled(np.where(np.isfinite(information), information, 0.0))[0]
    solved.least[places] = np.linalg.eigvalsh(unit)[:, 0]
    for name, values in numbers.items():
        getattr(solved, name)[places] = values


def _empty(b, K):
    nan, none = np.full(b, np.nan), np.zeros(b, dtype=bool)
    return LatentSolved(
        theta=np.full((b, K), np.nan),
        cov=np.full((b, K, K), np.nan),
        value=nan.copy(),
        converged=none.copy(),
        admissible=none.copy(),
        boundary=np.zeros((b, 2), dtype=bool),
        iterations=np.zeros(b, dtype=int),
        evaluations=np.zeros(b, dtype=int),
        decrement=nan.copy(),
        least=nan.copy(),
        messages=[""] * b,
    )
