"""Bayes's pool as tables and sentences."""

import numpy as np
import pandas as pd

from twostage.collection import Collection
from twostage.display import interval, number, number_in, percent, rows_of
from twostage.pages.bayes.analysis import Priors
from twostage.stage2 import Attempt, PooledTable
from twostage.stats.bayes import BayesFit
from twostage.terms import DIRECTIONS, arrow


def bayes_table(found: dict[str, Attempt], pooled: PooledTable, collection: Collection) -> pd.DataFrame:
    """Each direction by both ways of pooling; all text."""
    rows = []
    level = f"{100 * pooled.level:g} % interval"
    for direction, one in found.items():
        if not one:
            continue
        name, fit = arrow(direction, collection.x.label, collection.y.label), one.result
        row = pooled.row(direction, DIRECTIONS[direction].cross)
        rows.append(
            {
                "effect": name, "pooled": f"frequentist ({pooled.method})",
                "estimate": number_in(row["estimate"], row["ci_low"], row["ci_high"], 3),
                level: interval(row["ci_low"], row["ci_high"], 3), "τ": number(row["tau2"] ** 0.5, 3),
                "a new study's effect": interval(row["pi_low"], row["pi_high"], 3), "P(effect < 0)": "–",
            }
        )  # fmt: skip
        rows.append({"effect": name, "pooled": "Bayesian (median)"} | _numbers(fit, level))
    return pd.DataFrame(rows)


def priors_table(
    found: dict[str, Attempt], others: dict[str, list[Attempt]], collection: Collection
) -> pd.DataFrame:
    """How far the result depends on the priors; all text."""
    rows = []
    for direction, main in found.items():
        name = arrow(direction, collection.x.label, collection.y.label)
        for one in [main, *others[direction]]:
            if not one:
                continue
            fit = one.result
            mean = "uniform" if np.isinf(fit.prior_sd) else f"N(0, {fit.prior_sd:g}²)"
            row = {"effect": name, "prior of τ": str(fit.prior), "prior of the mean": mean}
            rows.append(row | _numbers(fit, f"{100 * fit.level:g} % interval"))
    return pd.DataFrame(rows)


def _numbers(fit: BayesFit, level: str) -> dict[str, str]:
    return {
        "estimate": number_in(fit.effect.median, fit.effect.ci_low, fit.effect.ci_high, 3),
        level: interval(fit.effect.ci_low, fit.effect.ci_high, 3),
        "τ": number(fit.tau.median, 3),
        "a new study's effect": interval(fit.new.ci_low, fit.new.ci_high, 3),
        "P(effect < 0)": probability(fit.probability(0.0)),
    }


def probability(p: float) -> str:
    """Never 0 or 100 %: where rounding would say so, what it is beyond."""
    return "> 99.9 %" if p > 0.9995 else "< 0.1 %" if p < 0.0005 else percent(p, 1)


def shrunken_table(fit: BayesFit) -> pd.DataFrame:
    """Each study's own estimate and its true effect given all studies; all text."""
    rows = fit.studies()
    level = f"{100 * fit.level:g} % interval"
    return pd.DataFrame(
        {
            "study": row.study, "own estimate": number(row.estimate, 3),
            "given all studies": number_in(row.median, row.ci_low, row.ci_high, 3),
            level: interval(row.ci_low, row.ci_high, 3),
        }
        for row in rows_of(rows)
    )  # fmt: skip


def bayes_sentences(found: dict[str, Attempt], priors: Priors) -> dict[str, str]:
    """What came out, some sentences for each direction."""
    return {d: _said(one.result, priors) if one else one.words for d, one in found.items()}


def _said(fit: BayesFit, priors: Priors) -> str:
    negative = fit.probability(0.0)
    side, p = ("negative", negative) if negative >= 0.5 else ("positive", 1.0 - negative)
    text = f"The mean effect is {side} with a probability of {probability(p)}"
    if priors.least:
        beyond = fit.probability(-priors.least) if side == "negative" else 1.0 - fit.probability(priors.least)
        end = number(-priors.least if side == "negative" else priors.least)
        text += f", and beyond {end}, the smallest effect of interest, with one of {probability(beyond)}"
    new = fit.probability(0.0, of="new") if side == "negative" else 1.0 - fit.probability(0.0, of="new")
    text += f". In a new study the true effect would be {side} with a probability of {probability(new)}."
    if np.isfinite(fit.bf_effect):
        side, factor = ("for", fit.bf_effect) if fit.bf_effect > 1 else ("against", 1 / fit.bf_effect)
        shown = number(factor, 1) if factor < 1000 else "more than 1,000"
        text += f" The data speak {side} a mean effect of 0 by a Bayes factor of {shown}."
    return text
