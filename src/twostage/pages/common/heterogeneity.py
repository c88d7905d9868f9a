"""How far studies differ, in words: one sentence after another from the numbers of a fit, and nothing beyond them."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from twostage.collection import Collection
from twostage.display import count, fixed, interval, number, p_value, percent, rows_of
from twostage.recovery.simulations import Simulation
from twostage.stage2 import PooledTable
from twostage.stats.base import PREDICTIONS
from twostage.stats.pool import Exceedance, PooledFit, exceedance
from twostage.terms import term_label
from twostage.text import Markup, myst


def heterogeneity_words(
    fit: PooledFit,
    *,
    threshold: float = 0.0,
    back: Callable[[float], float] = float,
    scale: str = "",
    digits: int = 2,
) -> str:
    """Heterogeneity of a pooled effect in plain language.

    Parameters
    ----------
    fit : PooledFit
    threshold : float
        Units of y; the share of true effects on the side of the pooled effect is given.
    back : callable
        Turns an effect into the unit in which it is shown, such as ``numpy.tanh`` for Fisher's z.
    scale : str
        What the effects' standard deviation is measured in, where `back` makes that another unit than the effects'.
    digits : int
        Of effects; tau has one more.

    Returns
    -------
    str
        How much true effects differ (tau, its Q-profile interval, Cochran's Q); in how many of 100 new studies the
        effect lies where, and whether that range holds both signs (the prediction interval); the share of true effects
        beyond the threshold with its interval (:func:`twostage.stats.pool.exceedance.exceedance`). What the fit does not
        have is named as missing. The words describe the numbers and judge none of them.
    """
    if fit.k == 1:
        return "One study: nothing can be said about how far studies differ."
    if fit.method == "FE":
        return (
            f"The model takes the effect to be the same in all {fit.k} studies; how far they differ is not estimated. "
            + _q_sentence(fit)
        )
    parts = [_spread_sentence(fit, scale, digits), _q_sentence(fit), _range_sentence(fit, back, digits)]
    parts.append(_share_sentence(fit, threshold, back, digits))
    return " ".join(part for part in parts if part)


#: What the simulation of intervals calls our ways of inference and rules of prediction.
_SIMULATED_RULES = {
    ("hartung-knapp", PREDICTIONS["k-2"]): "t(k-2), Hartung-Knapp",
    ("hartung-knapp", PREDICTIONS["k-1"]): "t(k-1), Hartung-Knapp",
    ("wald", PREDICTIONS["k-2"]): "t(k-2), Wald",
    ("wald", PREDICTIONS["normal"]): "normal, Wald",
}


def simulated_prediction(row: Mapping[str, Any], how: Mapping[str, Any], cover: Simulation) -> str:
    """In how many of simulated meta-analyses like one's own the prediction interval held the effect of a new study.

    Parameters
    ----------
    row : mapping
        Of a pooled table: k, i2, pi_low, pi_high, pi_rule.
    how : mapping
        method, ci and level of the pool.
    cover : Simulation
        ``book/simulations/coverage``.

    Returns
    -------
    str
        Of the cell with the nearest number of studies (as a ratio) and, of those, the nearest mean I2; empty where the
        simulation is not of such intervals.
    """
    rule = _SIMULATED_RULES.get((str(how["ci"]), str(row["pi_rule"])))
    simulated = how["method"] == "REML" and float(how["level"]) == cover.facts["level"]
    if rule is None or not simulated or not row["pi_low"] <= row["pi_high"]:
        return ""
    cells = cover.rows(interval="prediction", rule=rule)
    apart = np.abs(np.log(cells["k"] / row["k"]))
    cells = cells[apart == apart.min()]
    cell = cells.iloc[int(np.abs(cells["mean_i2"] - row["i2"]).argmin())]
    share = float(cell["coverage"])
    return (
        f"In {count(cell['replicates'])} simulated meta-analyses of {cell['k']} studies with an I² of "
        f"{number(cell['mean_i2'], 0)} % on average, such an interval, nominally of {100 * float(how['level']):g} %, held "
        f"the true effect of one more study in {percent(share, 0)}."
    )


def words_table(pooled: PooledTable, collection: Collection, terms: list[str]) -> pd.DataFrame:
    """:func:`heterogeneity_words` of some coefficients of an analysis.

    Parameters
    ----------
    pooled : PooledTable
    collection : Collection
    terms : list of str
        `partial_r_z` is put as correlations.

    Returns
    -------
    pandas.DataFrame
        direction, term, effect (its name), words; one row per coefficient that at least two studies have.
    """
    rows = []
    several = (pooled.table["k"] > 1) & (pooled.table["variant"] == "main")
    for row in rows_of(pooled.table[pooled.table["term"].isin(terms) & several]):
        fit = pooled.fits[row.variant, row.direction, row.term]
        z: dict[str, Any] = (
            {"back": np.tanh, "scale": "in units of Fisher's z"} if row.term == "partial_r_z" else {}
        )
        label = term_label(row.direction, row.term, collection.x.label, collection.y.label)
        name = label.replace("Fisher z", "partial r")
        rows.append((row.direction, row.term, name, heterogeneity_words(fit, **z)))
    return pd.DataFrame(rows, columns=["direction", "term", "effect", "words"])


def words_list(table: pd.DataFrame) -> Markup:
    """A table of :func:`words_table` as a Markdown list."""
    return Markup("\n".join(f"- **{myst(row.effect)}**. {myst(row.words)}" for row in rows_of(table)))


def _of_100(share: float) -> str:
    """A share as a count of 100, never rounded to all or none unless it is."""
    shown = fixed(100 * share, 0)
    if share < 1 and shown == "100":
        return "more than 99"
    return "fewer than 1" if share > 0 and shown == "0" else shown


def _spread_sentence(fit: PooledFit, scale: str, digits: int) -> str:
    ends = fit.qprofile()
    unit = f" {scale}" if scale else ""
    compatible = f"{100 * fit.level:g} % interval {interval(ends.tau_low, ends.tau_high, digits + 1)}"
    if ends.empty:
        compatible = "no interval: the estimates agree more closely than their sampling errors would lead one to expect"
    if fit.tau2 == 0.0:
        return (
            f"The {fit.k} estimates differ no more than sampling error alone would make them: the standard deviation of "
            f"the true effects is estimated at 0{unit} ({compatible})."
        )
    return (
        f"The true effects of the {fit.k} studies differ with an estimated standard deviation of "
        f"{number(fit.tau, digits + 1)}{unit} ({compatible})."
    )


def _q_sentence(fit: PooledFit) -> str:
    p = p_value(fit.q_p_value)
    equals = p if p.startswith("<") else f"= {p}"
    return f"Test that they do not differ: Q({fit.q_df}) = {number(fit.q)}, p {equals}."


def _range_sentence(fit: PooledFit, back: Callable[[float], float], digits: int) -> str:
    if not fit.pi_low <= fit.pi_high:
        return "No prediction interval can be given for so few studies."
    signs = (
        "effects of both signs lie in this range"
        if fit.pi_low < 0 < fit.pi_high
        else "all effects in this range have the same sign"
    )
    ends = interval(back(fit.pi_low), back(fit.pi_high), digits)
    # Nominally: with few studies, or where tau is small, simulated shares are lower, as the methods page shows.
    return (
        f"Nominally, in {_of_100(fit.level)} of 100 new studies like these the true effect is expected in {ends}; with few "
        f"studies, or where they hardly differ, it is in fewer; {signs}."
    )


def _share_sentence(fit: PooledFit, threshold: float, back: Callable[[float], float], digits: int) -> str:
    above = fit.estimate >= threshold
    share: Exceedance = exceedance(fit, threshold, above=above)
    side = "above" if above else "below"
    value = number(back(threshold), digits) if threshold else "0"
    low, high = _of_100(share.ci_low), _of_100(share.ci_high)
    return (
        f"An estimated {_of_100(share.estimate)} of 100 true effects lie {side} {value} "
        f"({100 * share.level:g} % interval {low} to {high} of 100)."
    )
