"""The lagged effects of each transition (1 -> 2, 2 -> 3, ...) of one study, by a panel model whose lags are free."""

from dataclasses import replace
from functools import singledispatch

import numpy as np
import pandas as pd

from twostage.stage1.estimates import Equation, Equations, StudyEstimates, collect, counted, require
from twostage.stage1.estimator_batch import COEFFICIENTS, FEWEST_SESSIONS, PLACES, wrong_window
from twostage.stage1.panel import Panel
from twostage.stage1.vocabulary import EACH_TRANSITION, transitions
from twostage.stats.base import attempt, wald
from twostage.stats.riclpm import RiclpmFit, fit_riclpm
from twostage.terms import DIRECTIONS, Direction


@singledispatch
def transition(panel: Panel) -> StudyEstimates:
    """The lagged effects of each transition, by the random-intercept cross-lagged panel model with free lags.

    ``y[t] = mu[t] + r + w[t]``, ``w[t+1] = Phi[t] w[t] + e[t+1]``: one Phi for each transition, all in one model, which
    takes everyone with a score. The centred equation, one session at a time, would not do: the mean of few sessions ties
    their deviations to one another, the middle ones otherwise than the outer ones, so that equal effects come out as a U.

    Parameters
    ----------
    panel : Panel
        At lag 1, with three sessions or more.

    Returns
    -------
    StudyEstimates
        Variants `1 to 2`, `2 to 3`, ...; terms x_within and y_within; estimator `riclpm`. Numbers of patients and
        transitions are the model's, the same in each row. Covariances are not kept.

    Notes
    -----
    :func:`twostage.stats.riclpm.fit_riclpm` with ``lags="free"``, which is checked against lavaan; normal inference.
    Sessions at the ends of the window that have no scores are left out, and their transitions have a reason instead of
    numbers.

    Examples
    --------
    >>> import twostage as ts
    >>> panel = ts.make_panel(ts.read_collection("data").study("S05"))
    >>> from twostage.stage1 import transition
    >>> effects = transition(panel).tidy().query("direction == 'x_to_y' and term == 'x_within'")
    >>> effects.set_index("variant")["estimate"].round(2).to_dict()
    {'1 to 2': -0.09, '2 to 3': -0.13, '3 to 4': -0.1, '4 to 5': -0.12, '5 to 6': -0.09, '6 to 7': -0.15}
    """
    scores, _ = panel.wide()
    begin, end = _observed(scores)
    found = attempt(_fit, scores[:, begin:end], panel.parameters.lag)
    results: Equations = {}
    for at, name in enumerate(transitions(panel.parameters)):
        for direction in DIRECTIONS.values():
            results[name, direction.name] = attempt(
                _equation, found, at - begin, direction, scores, panel.parameters.level
            )
    made = collect(panel, "transition", results)
    return replace(made, table=made.table.assign(estimator=EACH_TRANSITION), covariances={})


def _observed(scores: np.ndarray) -> tuple[int, int]:
    """The first session at which both variables were observed, and the session after the last."""
    there = np.flatnonzero(np.isfinite(scores).any(axis=0).all(axis=1))
    return (int(there[0]), int(there[-1]) + 1) if len(there) else (0, 0)


def _fit(scores: np.ndarray, lag: int) -> RiclpmFit:
    sessions = scores.shape[1]
    wrong = wrong_window(1, lag, sessions).reasons[0, 0] if lag != 1 or sessions < FEWEST_SESSIONS else ""
    require(not wrong, wrong)
    require(bool(np.isfinite(scores).any(axis=0).all()), "a session within the window has no scores")
    fit = fit_riclpm(scores, lags="free")
    require(fit.converged, fit.optimiser.message)
    return fit


def _equation(fit: RiclpmFit, at: int, direction: Direction, scores: np.ndarray, level: float) -> Equation:
    require(0 <= at < len(fit.phi), "one of its two sessions has no scores")
    places = [
        (i, j) for (name, _), (i, j) in zip(COEFFICIENTS, PLACES, strict=True) if name == direction.name
    ]
    terms = [term for name, term in COEFFICIENTS if name == direction.name]
    estimate, error = (np.array([of[at][place] for place in places]) for of in (fit.phi, fit.phi_se))
    table = pd.DataFrame({"term": terms, "estimate": estimate, "std_error": error, "df": np.inf})
    table = table.assign(**wald(estimate, error, level=level), converged=True, singular=not fit.admissible)
    seen = np.isfinite(scores)
    n_transitions = int((seen[:, :-1].all(axis=2) & seen[:, 1:].any(axis=2)).sum())
    summary = {"loglik": fit.loglik, "sigma2": None, "re_variance": None}
    summary |= {"converged": True, "singular": not fit.admissible, "evaluations": fit.optimiser.evaluations}
    return Equation(counted(table, fit.n_obs, n_transitions), pd.DataFrame(), summary)
