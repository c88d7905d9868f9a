"""How well one study's panel model fits, and whether a model with fewer restrictions fits better."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import chdtrc

from twostage.display import count, number, p_value, rows_of
from twostage.stage1 import LargePanel, Panel
from twostage.stats.base import Attempt, NotEstimable, attempt
from twostage.stats.dpm import fit_dpm
from twostage.stats.riclpm import FitIndices, RiclpmFit, fit_indices, fit_riclpm, fit_starts
from twostage.words import say

#: The model of which all others are extensions.
PLAIN = "equal lags and residuals"


#: Model -> how it is fitted, and whether what it adds lies inside its range where it is not needed: a variance that is 0
#: lies at the end of its own, where twice the difference of log-likelihoods is no chi-square.
MODELS: dict[str, tuple[Callable[[np.ndarray], Any], bool]] = {
    PLAIN: (fit_riclpm, True),
    "lags of each transition": (partial(fit_riclpm, lags="free"), True),
    "residuals of each session": (partial(fit_riclpm, residuals="free"), True),
    "measurement error": (partial(fit_starts, error="free"), False),
    "each patient's own line": (partial(fit_starts, error=None, lines=True), False),
}


#: Patients for each parameter below which maximum likelihood is not to be relied on.
PATIENTS_PER_PARAMETER = 4


@dataclass(frozen=True)
class Choice:
    """Nested panel models of one study.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per model that was fitted: model, parameters, loglik, aic, bic; chi2, df and p_value of the likelihood-ratio
        test against the plain model, where that has a chi-square distribution.
    indices : Attempt
        :class:`~twostage.stats.riclpm.fit_indices.FitIndices` of the plain model.
    crowded : dict
        Model -> parameters and patients, where there are fewer than :data:`PATIENTS_PER_PARAMETER` patients for each.
    """

    table: pd.DataFrame
    indices: Attempt
    crowded: dict[str, tuple[int, int]]

    def tidy(self) -> pd.DataFrame:
        """One row per model."""
        return self.table.copy()

    @property
    def words(self) -> str:
        """What came out, in sentences."""
        return say(
            " ".join(part for part in (_fit(self.indices), _best(self.table), _crowded(self.crowded)) if part)
        )


def choose(panel: Panel) -> Choice:
    """Fit the panel models of one study that are nested in one another, and say how well they fit.

    Raises
    ------
    NotEstimable
        A lag other than 1; a study that is read in pieces; the plain model cannot be fitted.
    """
    if isinstance(panel, LargePanel) or panel.parameters.lag != 1:
        raise NotEstimable("panel models are compared at lag 1, for studies that are in memory")
    scores, _ = panel.wide()
    fits = {name: attempt(fit, scores) for name, (fit, _) in MODELS.items()}
    if not fits[PLAIN]:
        raise NotEstimable(fits[PLAIN].reason)
    fitted = {name: found.result for name, found in fits.items() if found and found.result.converged}
    rows = [_row(name, fit, fitted.get(PLAIN)) for name, fit in fitted.items()]
    sizes = {name: (fit.n_parameters, fit.n_obs) for name, fit in fitted.items()}
    dynamic = attempt(fit_dpm, scores)
    if dynamic:
        sizes["dynamic panel model"] = (max(dynamic.result.n_parameters), fits[PLAIN].result.n_obs)
    crowded = {name: (k, n) for name, (k, n) in sizes.items() if n < PATIENTS_PER_PARAMETER * k}
    return Choice(pd.DataFrame(rows), attempt(fit_indices, scores, fits[PLAIN]), crowded)


def _row(name: str, fit: RiclpmFit, plain: RiclpmFit | None) -> dict:
    row = {
        "model": name,
        "parameters": fit.n_parameters,
        "loglik": fit.loglik,
        "aic": fit.aic,
        "bic": fit.bic,
    }
    if plain is None or name == PLAIN or not MODELS[name][1]:
        return row | dict.fromkeys(("chi2", "df", "p_value"), np.nan)
    chi2 = max(0.0, 2 * (fit.loglik - plain.loglik))
    df = fit.n_parameters - plain.n_parameters
    return row | {"chi2": chi2, "df": float(df), "p_value": float(chdtrc(df, chi2))}


def _fit(found: Attempt) -> str:
    if not found:
        return f"How well the panel model fits is not known: {found.reason}."
    i: FitIndices = found.result
    return (
        f"The random-intercept cross-lagged panel model with {PLAIN} against one without restrictions: χ²({i.df}) = "
        f"{number(i.chi2, 1)}, {_p(i.p_value)}, RMSEA {number(i.rmsea, 3)}, CFI {number(i.cfi, 3)}."
    )


def _best(table: pd.DataFrame) -> str:
    if len(table) < 2:
        return ""
    best = {c: table["model"].iloc[int(table[c].to_numpy().argmin())] for c in ("aic", "bic")}
    tests = [
        f"{r.model} χ²({number(r.df, 0)}) = {number(r.chi2, 1)}, {_p(r.p_value)}"
        for r in rows_of(table.dropna(subset=["chi2"]))
    ]
    said = f"AIC prefers the model with {best['aic']}, BIC that with {best['bic']}."
    if best["aic"] == best["bic"]:
        said = f"AIC and BIC prefer the model with {best['bic']}."
    return f"{said} Likelihood-ratio tests against {PLAIN}: {'; '.join(tests)}." if tests else said


def _p(value: float) -> str:
    text = p_value(value)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _crowded(crowded: dict[str, tuple[int, int]]) -> str:
    if not crowded:
        return ""
    each = "; ".join(f"{name}: {k} parameters for {count(n)} patients" for name, (k, n) in crowded.items())
    return (
        f"Warning: fewer than {PATIENTS_PER_PARAMETER} patients for each parameter ({each}), so that estimates, standard "
        "errors and tests of these models are not to be relied on."
    )
