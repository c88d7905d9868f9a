"""Panel models of two variables that are measured with error, by full-information maximum likelihood."""

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from twostage.stats.base import NotEstimable, OptimiserRecord, check_choice, check_level
from twostage.stats.fiml import STEP, evaluate, group_rows
from twostage.stats.riclpm.latent import LatentStructure
from twostage.stats.riclpm.latent_results import StartsBatch, StartsFit
from twostage.stats.riclpm.latent_search import solve_latent
from twostage.stats.riclpm.model import check_panels, check_variables, common_occasions

_ALLOWED = {"kind": ("within", "total"), "se": ("observed", "sandwich")}


_CHECKED = 500  # data sets checked and solved at once: enough to hide the overhead, few enough for the cache


def fit_starts(
    Y: ArrayLike,
    *,
    error: None | Literal["free"] | tuple[float | None, float | None] = "free",
    kind: Literal["within", "total"] = "within",
    lines: bool = False,
    se: Literal["observed", "sandwich"] = "observed",
    level: float = 0.95,
    variables: tuple[str, str] = ("x", "y"),
) -> StartsFit:
    """Fit a random-intercept cross-lagged panel model of two variables measured with error.

    ``y_it = mu_t + r_i + (t - 1) s_i + w_it + m_it``, ``w_i,t+1 = Phi w_it + e_i,t+1``, with (r, s) ~ N(0, G), w_1 ~ N(0,
    W), e_t ~ N(0, Q) and the errors m_t ~ N(0, diag(E_x, E_y)), independent of one another and E the same at all occasions.

    Parameters
    ----------
    Y : (n, T, 2) array
        Persons, occasions (equally spaced), the two variables; NaN where missing (at random). At least 3 occasions; 4 with
        an error variance to be estimated or with lines; 5 with both.
    error : None, "free", or a pair
        No error; error variances estimated, at least 0; or each variable's reliability in (0, 1], None (NaN) for one
        whose error variance is estimated.
    kind : {"within", "total"}
        What the reliability is a share of: of the variance of scores within persons, or of all of it. See Notes.
    lines : bool
        Whether every person has a slope of their own in both variables, correlated freely with the intercepts.
    se : {"observed", "sandwich"}
        Standard errors from the observed information, or the robust ones: information^-1 (sum of squared scores)
        information^-1.
    level : float
        Coverage of confidence intervals.
    variables : (str, str)
        Names of the two variables.

    Returns
    -------
    StartsFit

    Raises
    ------
    ValueError
        Wrong shape, infinite values (named), a reliability outside (0, 1], an unknown option.
    NotEstimable
        As :func:`twostage.stats.riclpm.fit.fit_riclpm`; too few occasions.

    Notes
    -----
    Without lines this is the bivariate STARTS model (Kenny & Zautra 1995, doi:10.1037/0022-006X.63.1.52) with free means
    and first occasion; with them the latent curve model with structured residuals (Curran et al. 2014,
    doi:10.1037/a0035297).

    A reliability rho fixes ``E = (1 - rho) / rho`` times a variance of true scores, which the model implies and which is
    estimated with it: within persons, ``mean_t W_t`` plus what the own lines vary about their middle; in all, the
    variance of r + (t - 1) s + w_t averaged over occasions. From one kind to the other: with I the share of true
    variance that lies between persons, ``(1 - rho_within) / rho_within = (1 - rho_total) / rho_total / (1 - I)``. The same
    session score is less reliable within persons than in all.

    An error variance on its bound 0 is said (`boundary`), its standard error is NaN, and the others' are those of the
    model without that error. Estimated error variances rest on the autoregression: without any, error and residual are
    the same thing (`least_information`, `weak`). Then look at :func:`twostage.stats.riclpm.profile.profile_effects`.

    The dynamic panel model has no such version: there, the error variance of x shows only in its own effect on y (without a
    cross-lag it is not identified at all), since every covariance of x is free.

    Checked against lavaan 0.6-14 with error variances estimated or absent, with and without lines, on complete panels, with
    drop-out and with skipped sessions: log-likelihoods agree to 1e-9, estimates to 1e-5 and errors to 2e-5 standard errors;
    with reliabilities given, against the likelihood written out; and by recovery of simulated truth.

    Examples
    --------
    >>> import twostage as ts
    >>> panel = ts.make_panel(ts.read_collection("data").study("S02"))
    >>> from twostage.stats.riclpm import fit_starts
    >>> fit_starts(panel.wide()[0], error=(0.8, 0.8)).phi.round(3)
    array([[ 0.583, -0.188],
           [-0.108,  0.551]])
    """
    rules = _rules(kind, lines, se, level, variables)
    given = _reliabilities(error, 1)
    structure = _structure([Y], given[0], rules)
    panels = check_panels([Y], rules["variables"], structure.n_parameters)
    if panels.refused:
        raise panels.refused[0]
    patterns = group_rows(panels.rows, panels.set_of, 1)
    solved = solve_latent(structure, patterns, se)
    point = evaluate(structure, patterns, solved.theta)
    means = np.where(patterns.column_counts() > 0.0, point.means + patterns.centre, np.nan)[0]
    units = structure.scales(panels.spread)
    cov = solved.cov * units[:, :, None] * units[:, None, :]
    numbers = {name: one[0] for name, one in _numbers(structure, solved.theta * units, cov).items()}
    theta, n_parameters = numbers["estimate"], structure.n_parameters + int(np.isfinite(means).sum())
    loglik = -float(solved.value[0]) - float((np.log(panels.spread) * panels.n_values).sum())
    record = OptimiserRecord(
        int(solved.iterations[0]),
        int(solved.evaluations[0]),
        float(np.sqrt(solved.decrement[0])),
        solved.messages[0],
    )
    return StartsFit(
        **numbers,
        names=structure.names(rules["variables"]),
        means=(means * np.tile(panels.spread[0], structure.occasions)).reshape(-1, 2),
        boundary=tuple(np.array(rules["variables"])[solved.boundary[0]].tolist()),
        least_information=float(solved.least[0]),
        loglik=loglik,
        aic=2.0 * n_parameters - 2.0 * loglik,
        bic=float(np.log(patterns.n_obs[0])) * n_parameters - 2.0 * loglik,
        n_parameters=n_parameters,
        converged=bool(solved.converged[0]),
        admissible=bool(solved.admissible[0]),
        problems=problems(structure, theta, rules["variables"]),
        n_obs=int(patterns.n_obs[0]),
        n_dropped=int(panels.dropped[0]),
        n_patterns=len(patterns.count),
        optimiser=record,
        error=tuple(float(r) for r in given[0]),
        **rules,
    )


def fit_starts_many(
    sets, *, error="free", kind="within", lines=False, se="observed", level=0.95, variables=("x", "y")
) -> StartsBatch:
    """Fit the model to many data sets of the same number of occasions at once.

    Parameters
    ----------
    sets : sequence of (n_b, T, 2) arrays, or an array (B, n, T, 2)
        Data sets: simulation replicates, bootstrap samples, studies. Persons and missingness may differ.
    error : as of :func:`fit_starts`, or (B, 2) array
        One for all, or a pair of reliabilities for each, NaN where an error variance is estimated.
    kind, lines, se, level, variables
        As of :func:`fit_starts`.

    Returns
    -------
    StartsBatch
        Entry b holds the numbers of ``fit_starts(sets[b], ...)``, standard errors to 1e-5 of themselves. A data set that
        cannot be fitted has NaN, is not converged, and its message says why not.

    Notes
    -----
    Panels with nothing missing but by drop-out are fitted side by side, the others one by one.

    Raises
    ------
    ValueError
        No data set, an unknown option, a reliability outside (0, 1], or data sets that differ in the number of occasions.
    """
    rules = _rules(kind, lines, se, level, variables)
    given = _reliabilities(error, len(sets))
    common_occasions(sets)
    whole = _whole(len(sets), rules)
    for alike in _alike(given):
        try:
            structure = _structure(sets, given[alike[0]], rules)
        except NotEstimable as reason:
            whole["messages"][alike] = str(reason)
            continue
        for start in range(0, len(alike), _CHECKED):
            places = alike[start : start + _CHECKED]
            some = replace(structure, ratios=_ratios(given[places]))
            _fill(whole, [sets[b] for b in places], places, some, rules)
    names = LatentStructure(3, rules["lines"], ("free", "free")).names(rules["variables"])
    messages = tuple(whole.pop("messages"))
    return StartsBatch(**whole, names=names, messages=messages, error=given, **rules)


def problems(structure, theta, variables):
    """What is not admissible at theta (K,), in words with numbers."""
    line = "random intercepts and slopes" if structure.lines else "random intercepts"
    named = [(line, structure.line(theta)), ("first occasion", structure.first_within(theta))]
    named += [("residuals", structure.innovations(theta))]
    found = []
    for where, matrix in named:
        own = np.diag(matrix)
        names = [*variables, *(f"the slope of {v}" for v in variables)]
        low = [
            f"{where}: variance of {n} is negative ({s:.4g})"
            for n, s in zip(names, own, strict=False)
            if s < 0.0
        ]
        if not low and np.linalg.eigvalsh(matrix)[0] < 0.0:
            low = [f"{where}: correlated beyond 1"]
        found += low
    return tuple(found)


def structure_for(sets, error, kind, lines) -> LatentStructure:
    """The structure of one panel and its (n, T, 2) data; reliabilities as of :func:`fit_starts`."""
    rules = _rules(kind, lines, "observed", 0.95, ("x", "y"))
    return _structure(sets, _reliabilities(error, 1)[0], rules)


def _rules(kind, lines, se, level, variables):
    for name, value in (("kind", kind), ("se", se)):
        check_choice(name, value, _ALLOWED[name])
    rules = {"kind": kind, "lines": bool(lines), "se": se}
    return rules | {"level": check_level(level), "variables": check_variables(variables)}


def _reliabilities(error, B):
    """Reliabilities (B, 2): NaN where estimated, infinite where there is no error."""
    if error is None or isinstance(error, str):
        if error is not None:
            check_choice("error", error, ("free",))
        return np.full((B, 2), np.inf if error is None else np.nan)
    given = np.array(error, dtype=float)
    if given.shape not in ((2,), (B, 2)):
        raise ValueError(
            f'error must be None, "free", or two reliabilities for all or for each data set, got shape {given.shape}'
        )
    wrong = ~np.isnan(given) & ~((given > 0.0) & (given <= 1.0))
    if wrong.any():
        raise ValueError(f"a reliability must lie above 0 and be at most 1, got {given[wrong][0]:g}")
    return np.broadcast_to(given, (B, 2)).copy()


def _ratios(given):
    """Error variance over true variance, (2, b); 0 where it is not given."""
    known = np.isfinite(given)
    return np.where(known, (1.0 - given) / np.where(known, given, 1.0), 0.0).T


def _structure(sets, given, rules):
    modes = tuple("free" if np.isnan(r) else "none" if np.isinf(r) else "ratio" for r in given)
    occasions = common_occasions(sets)
    needed = 3 + ("free" in modes) + rules["lines"]
    if occasions < needed:
        what = [
            text for text, has in (("own lines", rules["lines"]), ("unknown error", "free" in modes)) if has
        ]
        raise NotEstimable(f"a model with {' and '.join(what)} needs {needed} occasions, got {occasions}")
    ratios = _ratios(given[None])
    return LatentStructure(occasions, rules["lines"], modes, rules["kind"] == "total", ratios)


def _alike(given):
    """Places of data sets with the same errors estimated, given or absent."""
    modes = np.isnan(given) * 1 + np.isinf(given) * 2
    _, group = np.unique(modes @ np.array([3, 1]), return_inverse=True)
    return [np.flatnonzero(group == g) for g in range(group.max(initial=-1) + 1)]


def _numbers(structure, theta, cov):
    """What a fit reports of b thetas (b, K) and their covariance matrices."""
    error, error_se = _errors(structure, theta, cov)
    within, total = structure.true_variances(theta)
    std_error = np.sqrt(np.einsum("bkk->bk", cov))
    return {
        "estimate": theta,
        "std_error": std_error,
        "cov": cov,
        "phi": structure.phi(theta),
        "phi_se": structure.phi(std_error),
        "line_cov": structure.line(theta),
        "first_cov": structure.first_within(theta),
        "residual_cov": structure.innovations(theta),
        "error_var": error,
        "error_se": error_se,
        "reliability_within": within / (within + error),
        "reliability_total": total / (total + error),
    }


def _errors(structure, theta, cov):
    """Error variances (b, 2) and their standard errors, by the delta method; NaN where there is none, or at the bound."""
    moved = theta[:, None, :] + 1j * STEP * np.eye(theta.shape[1])
    slope = structure.errors(moved).imag / STEP
    # What is on a bound has no covariances, and the other variable's error does not depend on it.
    variance = np.einsum("bkv,bkl,blv->bv", slope, np.where(np.isnan(cov), 0.0, cov), slope)
    return structure.errors(theta), np.sqrt(np.where(variance > 0.0, variance, np.nan))


def _whole(B, rules):
    K = LatentStructure(3, rules["lines"], ("free", "free")).n_parameters
    shapes = {"phi": (2, 2), "phi_se": (2, 2), "estimate": (K,), "std_error": (K,), "loglik": ()}
    shapes |= {"reliability_within": (2,), "reliability_total": (2,), "least_information": ()}
    whole = {name: np.full((B, *shape), np.nan) for name, shape in shapes.items()}
    whole |= {"boundary": np.zeros((B, 2), dtype=bool)}
    whole |= {name: np.zeros(B, dtype=bool) for name in ("converged", "admissible")}
    whole |= {name: np.zeros(B, dtype=int) for name in ("n_obs", "iterations")}
    return whole | {"messages": np.full(B, "", dtype=object)}


def _fill(whole, sets, places, structure, rules):
    """Fit some data sets with the same structure and enter their numbers."""
    panels = check_panels(sets, rules["variables"], structure.n_parameters)
    for b, reason in panels.refused.items():
        whole["messages"][places[b]] = str(reason)
    if not len(panels.kept):
        return
    patterns = group_rows(panels.rows, panels.set_of, len(panels.kept))
    structure = structure.at(panels.kept)
    solved = solve_latent(structure, patterns, rules["se"])
    at, units = places[panels.kept], structure.scales(panels.spread)
    numbers = _numbers(structure, solved.theta * units, solved.cov * units[:, :, None] * units[:, None, :])
    for name in ("phi", "phi_se", "reliability_within", "reliability_total"):
        whole[name][at] = numbers[name]
    own = structure.n_first + 10
    for name, last in (("estimate", "error_var"), ("std_error", "error_se")):
        whole[name][at] = np.concatenate([numbers[name][:, :own], numbers[last]], axis=1)
    for i, b in enumerate(at):
        wrong = () if solved.converged[i] else problems(structure, numbers["estimate"][i], rules["variables"])
        whole["messages"][b] = "; ".join([solved.messages[i], *wrong])
    whole["loglik"][at] = -solved.value - (np.log(panels.spread) * panels.n_values).sum(axis=1)
    whole["n_obs"][at], whole["least_information"][at] = patterns.n_obs, solved.least
    for name in ("boundary", "converged", "admissible", "iterations"):
        whole[name][at] = getattr(solved, name)
