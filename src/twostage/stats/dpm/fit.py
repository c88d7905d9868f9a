"""Dynamic panel models of two variables by full-information maximum likelihood, one model per direction."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from twostage.stats.base import NotEstimable, check_choice, check_level
from twostage.stats.dpm.input import check_covariates, check_dpm, with_scores
from twostage.stats.dpm.model import DpmStructure, faults, solve
from twostage.stats.dpm.results import DpmBatch, DpmFit
from twostage.stats.riclpm import check_variables, common_occasions

_ALLOWED = {"residuals": ("equal", "free"), "se": ("observed", "sandwich")}


# Data sets whose arrays are held at once: the derivatives of one take a megabyte.
_AT_ONCE = 25


def fit_dpm(
    Y: ArrayLike,
    *,
    covariates: ArrayLike | None = None,
    residuals: Literal["equal", "free"] = "equal",
    simultaneous: bool = True,
    se: Literal["observed", "sandwich"] = "observed",
    level: float = 0.95,
    variables: tuple[str, str] = ("x", "y"),
    covariate_names: Sequence[str] | None = None,
) -> DpmFit:
    """Fit dynamic panel models of x on y and of y on x by maximum likelihood on all available data.

    ``y_it = mu_t + b1 x_i,t-1 + b2 y_i,t-1 + c'z_i + alpha_i + e_it``, t = 2 .. T, and the same with the roles
    exchanged. The unit effect alpha correlates freely with y_1 and with every x; x is predetermined: e_t is
    uncorrelated with x and y of the past, free to correlate with x of its own occasion (`simultaneous`) and later.

    Parameters
    ----------
    Y : (n, T, 2) array
        Persons, occasions (3 or more, equally spaced), the two variables; NaN where missing (at random). Occasions
        before the first and after the last score of anybody are left out.
    covariates : (n, k) array, optional
        Time-invariant predictors z, uncorrelated with alpha; NaN where missing. Persons without any score are left
        out whatever their covariates.
    residuals : {"equal", "free"}
        Variance of e_t the same at all occasions, or one per occasion.
    simultaneous : bool
        False: e_t is uncorrelated with x_t too, as the R package dpm has it. That is wrong where shocks hit both
        variables at once.
    se : {"observed", "sandwich"}
        Standard errors from the observed information, or the robust ones.
    level : float
        Coverage of confidence intervals.
    variables : (str, str)
        Names of the two variables.
    covariate_names : sequence of str, optional
        Default z1, z2, ...

    Returns
    -------
    DpmFit

    Raises
    ------
    ValueError
        Wrong shapes, fewer than three occasions, infinite values (named), an unknown option.
    NotEstimable
        No more persons than parameters besides the means (54 with seven occasions), a variable that never varies,
        two variables that are one, nobody with a variable at an occasion and a variable at the next, an occasion
        between others at which nobody has one of the variables or it does not vary.

    Notes
    -----
    Allison, Williams & Moral-Benito (2017), doi:10.1177/2378023117710578; the likelihood of all available data
    (Arbuckle 1996). Means are free and profiled: occasion effects cost nothing. The unit effect enters as the
    common part of the errors alpha + e_t, so no variance is constrained: one that comes out negative is reported
    and the fit is not `admissible`. The last x of a direction has no role in it. The random-intercept
    cross-lagged panel model is a special case. Three occasions barely identify the model: look at `converged` and
    the errors. Checked against lavaan on complete and incomplete panels.

    Examples
    --------
    >>> import twostage as ts
    >>> panel = ts.make_panel(ts.read_collection("data").study("S02"))
    >>> fit = ts.fit_dpm(panel.wide()[0])
    >>> fit.phi.round(3)
    array([[ 0.523,  0.035],
           [-0.231,  0.454]])
    """
    rules = _rules(residuals, simultaneous, se, level, variables)
    z, named = check_covariates(covariates, covariate_names, len(Y))
    Y, occasions = with_scores(Y)
    structure = _structure([Y], z.shape[1], rules)
    panel = check_dpm(Y, z, rules["variables"], named, structure.n_parameters)
    pair = [solve(structure, [panel], k, se) for k in (0, 1)]
    names = _names(structure, rules, named)
    found = [faults(structure, one.estimate[0], one.least[0], names[k]) for k, one in enumerate(pair)]
    arrays = ("estimate", "std_error", "cov", "loglik", "n_parameters", "converged", "n_obs", "iterations")
    both = {name: np.array([getattr(one, name)[0] for one in pair]) for name in arrays}
    return DpmFit(
        phi=_phi(both["estimate"]),
        phi_se=_phi(both["std_error"]),
        names=names,
        admissible=np.array([not texts for texts in found]),
        problems=tuple(text for texts in found for text in texts),
        occasions=occasions,
        n_dropped=panel.dropped,
        messages=tuple(one.messages[0] for one in pair),
        **both,
        **rules,
    )


def fit_dpm_many(
    sets, *, residuals="equal", simultaneous=True, se="observed", level=0.95, variables=("x", "y")
) -> DpmBatch:
    """Fit the models, without covariates, to many data sets of the same number of occasions at once.

    Parameters
    ----------
    sets : sequence of (n_b, T, 2) arrays, or an array (B, n, T, 2)
        Data sets: simulation replicates, bootstrap samples, studies. Persons and missingness may differ.
    residuals, simultaneous, se, level, variables
        As of :func:`fit_dpm`.

    Returns
    -------
    DpmBatch
        Entry b holds the numbers of ``fit_dpm(sets[b], ...)``. A data set that cannot be fitted has NaN, is not
        converged, and its message is the error that :func:`fit_dpm` raises; the others are not touched by it.

    Raises
    ------
    ValueError
        No data set, an unknown option, or data sets that differ in the number of occasions.
    """
    rules = _rules(residuals, simultaneous, se, level, variables)
    full = _structure(sets, 0, rules)
    names = _names(full, rules, ())
    whole = _empty(len(sets), len(names[0]))
    by_span, messages = _checked(sets, full, rules)
    for structure, panels in by_span.items():
        kept = list(panels)
        for part in (kept[start : start + _AT_ONCE] for start in range(0, len(kept), _AT_ONCE)):
            pair = [solve(structure, [panels[b] for b in part], k, se) for k in (0, 1)]
            _write(whole, part, pair, structure, names)
            messages |= {b: _message([one.messages[at] for one in pair], names) for at, b in enumerate(part)}
    phi, phi_se = _phi(whole["estimate"]), _phi(whole["std_error"])
    messages = tuple(messages[b] for b in range(len(sets)))
    return DpmBatch(phi=phi, phi_se=phi_se, names=names, messages=messages, **whole, **rules)


def _checked(sets, full: DpmStructure, rules):
    """Panels that can be fitted, by the structure for their occasions with scores; and why others cannot."""
    by_span, messages = {}, {}
    for b, Y in enumerate(sets):
        try:
            one, (first, last) = with_scores(Y)
            if last - first + 1 < full.occasions and rules["residuals"] == "free":
                raise NotEstimable("residual variances are free, and at some occasion nobody has a score")
            structure = _structure([one], 0, rules)
            panel = check_dpm(one, np.empty((len(one), 0)), rules["variables"], (), structure.n_parameters)
            by_span.setdefault(structure, {})[b] = panel
        except ValueError as error:
            messages[b] = str(error)
    return by_span, messages


def _write(whole: dict, part, pair, structure, names) -> None:
    """Both directions of some data sets into their places."""
    for k, one in enumerate(pair):
        for name in ("estimate", "std_error", "loglik", "converged", "n_obs", "iterations"):
            whole[name][part, k] = getattr(one, name)
        rows = zip(one.estimate, one.least, strict=True)
        whole["admissible"][part, k] = [not faults(structure, *row, names[k]) for row in rows]


def _rules(residuals, simultaneous, se, level, variables):
    for name, value in (("residuals", residuals), ("se", se)):
        check_choice(name, value, _ALLOWED[name])
    rules = {"residuals": residuals, "simultaneous": bool(simultaneous), "se": se}
    return rules | {"level": check_level(level), "variables": check_variables(variables)}


def _structure(sets, covariates, rules) -> DpmStructure:
    """The model for the data sets' number of occasions."""
    return DpmStructure(common_occasions(sets), covariates, rules["residuals"], rules["simultaneous"])


def _names(structure, rules, covariates):
    """Names of the reported parameters of the equations of x and of y."""
    x, y = rules["variables"]
    return structure.names(y, x, covariates), structure.names(x, y, covariates)


def _phi(reported):
    """The lag coefficients (..., 2, 2) from both equations' parameters (..., 2, r): cross-lag, own lag, ..."""
    phi = np.empty((*reported.shape[:-2], 2, 2))
    phi[..., [0, 1], [1, 0]] = reported[..., 0]
    phi[..., [0, 1], [0, 1]] = reported[..., 1]
    return phi


def _empty(B: int, r: int) -> dict:
    whole = {name: np.full((B, 2, r), np.nan) for name in ("estimate", "std_error")}
    whole |= {"loglik": np.full((B, 2), np.nan)}
    whole |= {name: np.zeros((B, 2), dtype=bool) for name in ("converged", "admissible")}
    return whole | {name: np.zeros((B, 2), dtype=int) for name in ("n_obs", "iterations")}


def _message(both, names) -> str:
    """How both directions ended, said once where it is the same."""
    arrows = [of_direction[0] for of_direction in names]
    return "; ".join(f"{arrow}: {text}" for arrow, text in zip(arrows, both, strict=True))
