"""Random-intercept cross-lagged panel models of two variables by full-information maximum likelihood."""

from dataclasses import dataclass, fields, replace
from itertools import compress
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from twostage.stats.base import OptimiserRecord, check_choice, check_level
from twostage.stats.fiml import (
    PatternSums,
    group_rows,
    inverse_positive,
    maximise,
    maximise_again,
    maximise_lost,
    reached_message,
    score_products,
)
from twostage.stats.riclpm.model import (
    FEWEST_OCCASIONS,
    check_stacked,
    check_variables,
    common_occasions,
    only_dropout,
    riclpm_structure,
    stack_panels,
    standardized_expansion,
    starting_values,
    starts,
)
from twostage.stats.riclpm.panel_moments import PanelMoments
from twostage.stats.riclpm.results import RiclpmBatch, RiclpmFit
from twostage.stats.riclpm.steps import (
    StepLikelihood,
    joined,
    profiled_means,
    search,
    step_moments,
)

_ALLOWED = {"residuals": ("equal", "free"), "lags": ("equal", "free"), "first": ("free", "stationary")}


_ALLOWED["se"] = ("observed", "sandwich")


_CHECKED = 50  # data sets checked at once: enough to hide the overhead, few enough for the cache


_FITTED = 500  # panels fitted side by side: enough to hide the overhead, few enough for the cache


def fit_riclpm(
    Y: ArrayLike,
    *,
    residuals: Literal["equal", "free"] = "equal",
    lags: Literal["equal", "free"] = "equal",
    first: Literal["free", "stationary"] = "free",
    se: Literal["observed", "sandwich"] = "observed",
    level: float = 0.95,
    variables: tuple[str, str] = ("x", "y"),
) -> RiclpmFit:
    """Fit a random-intercept cross-lagged panel model by maximum likelihood on all available data.

    ``y_it = mu_t + r_i + w_it``, ``w_i,t+1 = Phi w_it + e_i,t+1`` with r ~ N(0, R), w_1 ~ N(0, W), e_t ~ N(0, Q),
    independent of one another.

    Parameters
    ----------
    Y : (n, T, 2) array
        Persons, occasions (3 or more, equally spaced), the two variables; NaN where missing (at random).
    residuals : {"equal", "free"}
        Q the same at all occasions, or one per occasion.
    lags : {"equal", "free"}
        Phi the same for all transitions, or one per transition.
    first : {"free", "stationary"}
        W free, or ``W = Phi W Phi' + Q`` (needs equal lags and residuals).
    se : {"observed", "sandwich"}
        Standard errors from the observed information, or the robust ones: information^-1 (sum of squared scores)
        information^-1.
    level : float
        Coverage of confidence intervals.
    variables : (str, str)
        Names of the two variables.

    Returns
    -------
    RiclpmFit

    Raises
    ------
    ValueError
        Wrong shape, fewer than three occasions, infinite values (named), an unknown option.
    NotEstimable
        No more persons than parameters, a variable that never varies (at all or within persons), two variables that are
        one, nobody with a variable at an occasion and a variable at the next.

    Notes
    -----
    Hamaker, Kuiper & Grasman (2015), doi:10.1037/a0038889; the likelihood of all available data as in Arbuckle
    (1996). Means are free and profiled. Variances are not constrained: where one comes out negative, or a correlation
    beyond 1, the fit is the unconstrained maximum, `admissible` is False and `problems` says which (as lavaan
    does). Standardized coefficients divide by the implied within-person standard deviations of the two occasions.
    With equal lags and residuals and nothing missing but by drop-out, people count through moments of one-step
    predictions; otherwise they are grouped by missingness pattern. Both are exact: log-likelihoods agree to 1e-12.
    Checked against lavaan 0.6-14 (``missing = "fiml"``, observed information by its Hessian) on 21 panels of 60 to 20,000
    persons and 3 to 7 occasions, complete and incomplete, every option: log-likelihood and estimates to 1e-5, standard
    errors to 1e-4.

    Examples
    --------
    >>> import twostage as ts
    >>> panel = ts.make_panel(ts.read_collection("data").study("S02"))
    >>> scores, patients = panel.wide()
    >>> scores.shape
    (140, 7, 2)
    >>> fit = ts.fit_riclpm(scores)
    >>> fit.phi.round(3)
    array([[ 0.518, -0.156],
           [-0.116,  0.409]])
    """
    rules = _rules(residuals, lags, first, se, level, variables)
    structure = _structure([Y], rules)
    stacked = stack_panels([Y], rules["variables"], structure.n_parameters)
    solved = [one for _, one in solve(structure, [stacked], se, rules["variables"])]
    if stacked.refused:
        raise stacked.refused[0]
    (solved,) = solved
    found = problems(structure, solved.theta[0], rules["variables"])
    means, loglik = solved.means[0], float(solved.loglik[0])
    n_parameters = solved.theta.shape[1] + int(np.isfinite(means).sum())
    return RiclpmFit(
        **_coefficients(structure, solved),
        names=structure.names(rules["variables"]),
        means=means,
        loglik=loglik,
        aic=2.0 * n_parameters - 2.0 * loglik,
        bic=float(np.log(solved.n_obs[0])) * n_parameters - 2.0 * loglik,
        n_parameters=n_parameters,
        converged=bool(solved.converged[0]),
        admissible=bool(solved.admissible[0]),
        problems=found,
        n_obs=int(solved.n_obs[0]),
        n_dropped=len(Y) - int(solved.n_obs[0]),
        n_patterns=int(solved.n_patterns[0]),
        optimiser=_record(solved),
        **rules,
    )


def fit_riclpm_many(
    sets, *, residuals="equal", lags="equal", first="free", se="observed", level=0.95, variables=("x", "y")
) -> RiclpmBatch:
    """Fit the model to many data sets of the same number of occasions in one vectorised optimisation.

    Parameters
    ----------
    sets : sequence of (n_b, T, 2) arrays, or an array (B, n, T, 2)
        Data sets: simulation replicates, bootstrap samples, studies. Persons and missingness may differ.
    residuals, lags, first, se, level, variables
        As of :func:`fit_riclpm`.

    Returns
    -------
    RiclpmBatch
        Entry b holds the numbers of ``fit_riclpm(sets[b], ...)``, standard errors to 1e-5 of themselves. A data set that
        cannot be fitted has NaN, is not converged, and its message is the error that :func:`fit_riclpm` raises; the
        others are not touched by it.

    Notes
    -----
    Panels with nothing missing but by drop-out share the overhead of their steps and cost a few percent of fitting them
    one by one; others about half. A likelihood with several maxima (tiny panels, negative variances) can end in another
    one than the single fit's: 2 of 4,000 panels of 30 to 120 persons with erratic parameters.

    Raises
    ------
    ValueError
        No data set, an unknown option, or data sets that differ in the number of occasions.
    """
    rules = _rules(residuals, lags, first, se, level, variables)
    structure = _structure(sets, rules)
    stacked = _stacked(sets, rules, structure.n_parameters, refused := {})
    solved = list(solve(structure, stacked, se, rules["variables"]))
    reasons = {b: str(error) for b, error in refused.items()}
    return _batch(structure, len(sets), solved, reasons, rules)


def fit_riclpm_sums(sums: PatternSums, *, level=0.95, variables=("x", "y")) -> RiclpmBatch:
    """Fit the model with equal lags and residuals to a panel whose rows came in pieces.

    Parameters
    ----------
    sums : PatternSums
        Of the columns x_1, y_1, x_2, ...; whatever is missing, though each pattern costs as much as a group of persons.
    level, variables
        As of :func:`fit_riclpm`.

    Returns
    -------
    RiclpmBatch
        Of one data set: the numbers of :func:`fit_riclpm_many`.
    """
    rules = _rules("equal", "equal", "free", "observed", level, variables)
    occasions = sums.n_columns // 2
    structure = riclpm_structure(max(occasions, FEWEST_OCCASIONS), "equal", "equal", "free")
    found = PanelMoments(sums)
    if fault := found.fault(rules["variables"], structure.n_parameters):
        return _batch(structure, 1, [], {0: fault}, rules)
    patterns = sums.scaled(np.tile(found.spread, occasions)).grouped()
    solved = _of_patterns(structure, patterns, found.spread[None], found.n_values[None], "observed")
    return _batch(structure, 1, [(np.array([0]), solved)], {}, rules)


def _stacked(sets, rules, n_parameters, refused):
    """Some of the data sets after the others; those that cannot be fitted are, or will be, entered into `refused`."""
    for start in range(0, len(sets), _CHECKED):
        some = stack_panels(sets[start : start + _CHECKED], rules["variables"], n_parameters)
        refused |= {start + b: error for b, error in some.refused.items()}
        yield replace(some, kept=start + some.kept, refused=refused)


def _rules(residuals, lags, first, se, level, variables):
    rules = {"residuals": residuals, "lags": lags, "first": first, "se": se}
    for name, value in rules.items():
        check_choice(name, value, _ALLOWED[name])
    if first == "stationary" and (residuals, lags) != ("equal", "equal"):
        raise ValueError("a stationary first occasion needs equal lags and equal residuals")
    return rules | {"level": check_level(level), "variables": check_variables(variables)}


def _structure(sets, rules):
    """The model for the data sets' number of occasions."""
    return riclpm_structure(common_occasions(sets), rules["residuals"], rules["lags"], rules["first"])


def _coefficients(structure, solved):
    theta, cov = solved.theta[0], solved.cov[0]
    within, phi_std, own = standardized_expansion(structure, theta)
    own = own.reshape(len(theta), -1)
    return {
        "estimate": theta,
        "std_error": solved.std_error[0],
        "cov": cov,
        "phi": structure.phi(theta),
        "phi_se": structure.phi(solved.std_error[0]),
        "phi_std": phi_std,
        "phi_std_se": np.sqrt(np.einsum("kc,kl,lc->c", own, cov, own)).reshape(-1, 2, 2),
        "within_cov": within,
        "intercept_cov": structure.intercepts(theta),
        "first_cov": structure.first_within(theta),
        "residual_cov": structure.innovations(theta),
    }


def _record(solved):
    root = float(np.sqrt(solved.decrement[0]))
    return OptimiserRecord(int(solved.iterations[0]), int(solved.evaluations[0]), root, solved.messages[0])


def _batch(structure, B, solved, reasons, rules):
    """The parts' results in their places, NaN elsewhere."""
    K = structure.n_parameters
    floats = {"theta": (K,), "std_error": (K,), "cov": (K, K), "loglik": ()}
    whole = {name: np.full((B, *shape), np.nan) for name, shape in floats.items()}
    whole |= {name: np.zeros(B, dtype=bool) for name in ("converged", "admissible")}
    whole |= {name: np.zeros(B, dtype=int) for name in ("n_obs", "n_patterns", "iterations")}
    messages = dict(reasons)
    for part, one in solved:
        for name, array in whole.items():
            array[part] = getattr(one, name)
        messages |= dict(zip(part.tolist(), one.messages, strict=True))
    theta = whole.pop("theta")
    return RiclpmBatch(
        phi=structure.phi(theta),
        phi_se=structure.phi(whole["std_error"]),
        estimate=theta,
        **whole,
        names=structure.names(rules["variables"]),
        messages=tuple(messages[b] for b in range(B)),
        **rules,
    )


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
    """Fit `structure` to the panels of an iterable of :class:`~twostage.stats.riclpm.model.Stacked`.

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
        if queue.waiting >= _FITTED:
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
    yield panels.kept, _of_patterns(structure, patterns, panels.spread, panels.n_values, se)


def _of_patterns(structure, patterns, spread, n_values, se):
    """Estimates of data sets whose patterns are of variables divided by `spread` (b, 2)."""
    core = structure.core
    usual, persistent = (starting_values(structure, patterns, persistent=last) for last in (False, True))
    optimum = maximise(core, patterns, usual)
    # Where much is carried over, a maximum with negative variances can hide a higher one without.
    doubtful = ~(optimum.converged & _admissible(structure, optimum.point.theta))
    optimum = maximise_again(core, patterns, optimum, persistent, doubtful)
    optimum = maximise_lost(core, patterns, optimum, (usual, persistent))
    cov = inverse_positive(optimum.information)
    if se == "sandwich":
        cov = cov @ score_products(core, patterns, optimum.point) @ cov
    means = np.where(patterns.column_counts() > 0.0, optimum.point.means + patterns.centre, np.nan)
    return _in_units(
        structure,
        spread,
        n_values,
        theta=optimum.point.theta,
        cov=cov,
        means=means * np.tile(spread, means.shape[1] // 2),
        value=optimum.point.value,
        iterations=optimum.iterations,
        evaluations=optimum.evaluations,
        decrement=optimum.decrement,
        converged=optimum.converged,
        n_obs=patterns.n_obs,
        n_patterns=np.bincount(patterns.owner),
        messages=tuple(optimum.message(b) for b in range(len(spread))),
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
