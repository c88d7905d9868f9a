"""What each study does to a pooled cross-lagged effect, as tables and sentences for the book."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from twostage.display import count, interval, number, number_in, p_value
from twostage.pages.influence.analysis import InfluenceReport
from twostage.stage2 import Attempt
from twostage.stats.influence import Baujat, Cumulative, Gosh, Influence


def casewise_table(found: Influence) -> pd.DataFrame:
    """One row per study, all text; the last column says which are influential by the rule."""
    columns = {
        "residual": (found.rstudent, 2),
        "DFFITS": (found.dffits, 2),
        "Cook's D": (found.cook_d, 2),
        "COVRATIO": (found.cov_ratio, 2),
        "τ² without": (found.tau2_del, 4),
        "Q without": (found.q_del, 1),
        "hat": (found.hat, 3),
        "weight (%)": (found.weight, 1),
    }
    texts = {name: [number(float(x), digits) for x in values] for name, (values, digits) in columns.items()}
    flags = ["yes" if flag else "no" for flag in found.is_influential]
    return pd.DataFrame({"study": found.labels} | texts | {"influential": flags})


def baujat_table(found: Baujat) -> pd.DataFrame:
    """One row per study, the most influential first; all text."""
    order = np.argsort(-found.influence, kind="stable")
    return pd.DataFrame(
        {
            "study": [found.labels[i] for i in order],
            "contribution to the heterogeneity": [number(float(found.heterogeneity[i]), 2) for i in order],
            "influence on the pooled effect": [number(float(found.influence[i]), 3) for i in order],
        }
    )


def cumulative_table(found: Cumulative) -> pd.DataFrame:
    """One row per study added; all text."""
    steps = range(found.fit.k)
    return pd.DataFrame(
        {
            "k": [str(i + 1) for i in steps],
            "study added": found.labels,
            "estimate": [
                number_in(float(found.estimate[i]), found.ci_low[i], found.ci_high[i], 3) for i in steps
            ],
            f"{100 * found.fit.level:g} % CI": [
                interval(found.ci_low[i], found.ci_high[i], 3) for i in steps
            ],
            "p": [p_value(float(found.p_value[i])) for i in steps],
            "τ": [number(float(np.sqrt(found.tau2[i])), 3) for i in steps],
            "I² (%)": [number(float(found.i2[i]), 0) for i in steps],
        }
    )


def gosh_table(found: Gosh) -> pd.DataFrame:
    """Medians over the subsets of several studies with and without each study; all text."""
    several = found.size > 1
    rows = []
    for i, label in enumerate(found.labels):
        inside = found.includes(i)
        row = {"study": label}
        for title, values, digits in (("estimate", found.estimate, 3), ("I² (%)", found.i2, 0)):
            for word, chosen in (("with", inside & several), ("without", ~inside & several)):
                median = float(np.median(values[chosen])) if chosen.any() else float("nan")
                row[f"{title}, {word}"] = number(median, digits)
        rows.append(row)
    return pd.DataFrame(rows)


def influence_sentences(report: InfluenceReport) -> dict[str, str]:
    """What came out, in words: casewise, baujat, year, precision, gosh -> a sentence or the reason."""
    makers: dict[str, tuple[Attempt, Callable[[Any], str]]] = {
        "casewise": (report.casewise, _casewise_words),
        "baujat": (report.baujat, _baujat_words),
        "year": (report.by_year, _cumulative_words),
        "precision": (report.by_precision, _cumulative_words),
        "gosh": (report.gosh, lambda found: _gosh_words(found, report.foremost)),
    }
    return {name: make(found.result) if found else found.words for name, (found, make) in makers.items()}


#: What makes a study influential (:mod:`twostage.stats.influence.casewise`).
_RULE = "By the usual limits of DFFITS, Cook's distance, hat values and DFBETAS"


def _casewise_words(found: Influence) -> str:
    names = [s for s, flag in zip(found.labels, found.is_influential, strict=True) if flag]
    if names:
        verb = "is" if len(names) == 1 else "are"
        text = f"{_RULE}, {len(names)} of the {found.fit.k} studies {verb} influential: {', '.join(names)}."
    else:
        text = f"{_RULE}, none of the {found.fit.k} studies is influential."
    if np.isfinite(found.cook_d).any():
        first = int(np.argmax(np.nan_to_num(found.cook_d, nan=-1.0, posinf=-1.0)))
        text += f" The largest Cook's distance, {number(float(found.cook_d[first]))}, is that of {found.labels[first]}."
    return text + (f" Note: {found.note}." if found.note else "")


def _baujat_words(found: Baujat) -> str:
    row = found.glance().iloc[0]
    if row["most_heterogeneous"] == row["most_influential"]:
        return f"{row['most_influential']} adds most to the heterogeneity and moves the pooled effect most."
    return (
        f"{row['most_heterogeneous']} adds most to the heterogeneity; {row['most_influential']} moves the pooled "
        "effect most."
    )


def _cumulative_words(found: Cumulative) -> str:
    k, start = found.fit.k, float(found.glance()["excludes_zero_from"].iloc[0])
    if k == 1:
        return "There is only one study, so there is nothing to accumulate."
    ends = interval(found.ci_low[-1], found.ci_high[-1], 3)
    if np.isnan(start):
        return f"With {'both' if k == 2 else f'all {k}'} studies the interval, {ends}, includes zero."
    if start == k:
        return f"The interval excludes zero only with the last study added; it is then {ends}."
    first = int(start)
    since = (
        "From the first study on"
        if first == 1
        else f"From {first} studies on ({found.labels[first - 1]} added)"
    )
    return f"{since} the interval excludes zero; with all {k} it is {ends}."


def _gosh_words(found: Gosh, study: int | None) -> str:
    if found.fit.k == 2:
        return "Two studies have no smaller subset of several studies."
    several = found.size > 1
    low, high = np.quantile(found.estimate[several], [0.025, 0.975])
    kind = "all" if found.exhaustive else f"a sample (seed {found.seed}) of"
    text = (
        f"Over {kind} {count(several.sum())} subsets of at least two studies, 95 % of the pooled effects lie "
        f"between {number(float(low), 3)} and {number(float(high), 3)}."
    )
    if study is not None:
        inside = found.includes(study)
        with_it, without = (
            number(float(np.median(found.i2[rows & several])), 0) for rows in (inside, ~inside)
        )
        text += (
            f" The median I² is {with_it} % with {found.labels[study]}, whose Cook's distance is the largest, "
            f"and {without} % without it."
        )
    return text
