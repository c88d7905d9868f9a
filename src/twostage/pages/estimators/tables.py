"""Estimators side by side, and how they fare where the truth is known, as tables and sentences."""

import pandas as pd

from twostage.collection import Collection
from twostage.display import MISSING, count, interval, number
from twostage.pages.estimators.analysis import EstimatorComparison
from twostage.pages.estimators.bias import CONDITION
from twostage.recovery.conditions import CONDITIONS
from twostage.recovery.store import Recovery
from twostage.stage1 import Panel, StudyEstimates
from twostage.terms import DIRECTIONS, HEADLINE, arrow, estimator_words, term_label
from twostage.text import Markup, myst
from twostage.words import say

#: What a comparison with the headline says.
INSIDE, SAME_SIGN, OTHER_SIGN = (
    "within the centred interval",
    "outside the centred interval, same sign",
    "outside the centred interval, other sign",
)


def agreement(estimate: float, headline: float, low: float, high: float) -> str:
    """How an estimate stands to the headline's estimate and interval, in words; no test, the data are the same."""
    if low <= estimate <= high:
        return INSIDE
    return SAME_SIGN if estimate * headline > 0 else OTHER_SIGN


def study_estimator_table(estimates: StudyEstimates, panel: Panel) -> pd.DataFrame:
    """A study's lagged effects by every estimator, one row each, and how each stands to the centred one.

    Parameters
    ----------
    estimates : StudyEstimates
        Of the analysis `estimators`.
    panel : Panel
    """
    table, rows = estimates.table, []
    names = (panel.x.label, panel.y.label)
    for d in DIRECTIONS.values():
        for term in (d.cross, d.auto):
            found = table[(table["direction"] == d.name) & (table["term"] == term)]
            centred = found[found["estimator"] == HEADLINE]
            for r in found.itertuples():
                row = {"effect": term_label(d.name, term, *names), "estimator": estimator_words(r.estimator)}
                row |= {"estimate": number(r.estimate, 3), "std. error": number(r.std_error, 3)}
                row[f"{100 * panel.parameters.level:g} % CI"] = interval(r.ci_low, r.ci_high, 3)
                row["patients"] = count(r.n_patients)
                row["compared with the centred one"] = _verdict(r, centred)
                rows.append(row)
    return pd.DataFrame(rows)


def _verdict(row, centred: pd.DataFrame) -> str:
    if row.estimator == HEADLINE:
        return "–"
    if centred.empty:
        return "there is none"
    c = centred.iloc[0]
    words = agreement(row.estimate, c["estimate"], c["ci_low"], c["ci_high"])
    return words if row.converged else f"{words} (not converged)"


def estimator_table(comparison: EstimatorComparison, collection: Collection) -> pd.DataFrame:
    """The pooled lagged effects by every estimator, with the difference from the headline; all text."""
    level = f"{100 * comparison.pooled.level:g} % CI"
    rows = []
    for r in comparison.tidy().itertuples():
        is_headline = r.estimator == HEADLINE
        rows.append(
            {
                "effect": term_label(r.direction, r.term, collection.x.label, collection.y.label),
                "estimator": estimator_words(r.estimator),
                "k": str(r.k),
                "estimate": number(r.estimate, 3),
                level: interval(r.ci_low, r.ci_high, 3),
                "τ": number(r.tau2**0.5, 3) if r.k > 1 else MISSING,
                "difference from the main analysis": "–" if is_headline else number(r.difference_estimate, 3),
                f"difference, {level}": "–"
                if is_headline
                else interval(r.difference_ci_low, r.difference_ci_high, 3),
            }
        )
    table = pd.DataFrame(rows)
    return table.sort_values("effect", kind="stable").reset_index(drop=True) if rows else table


def bias_aware_table(rows: pd.DataFrame, collection: Collection) -> pd.DataFrame:
    """Plain, shifted and widened pooled intervals of the cross-lagged effects; all text."""
    cross = {(d.name, d.cross) for d in DIRECTIONS.values()}
    shown = [
        {
            "effect": arrow(r.direction, collection.x.label, collection.y.label),
            "estimator": estimator_words(r.estimator),
            "bias found": f"{number(r.bias, 3)} (± {number(r.bias_se, 3)})",
            "plain": f"{number(r.plain_estimate, 3)} {interval(r.plain_low, r.plain_high, 3)}",
            "shifted": f"{number(r.shifted_estimate, 3)} {interval(r.shifted_low, r.shifted_high, 3)}",
            "widened": interval(r.widened_low, r.widened_high, 3),
        }
        for r in rows.itertuples()
        if (r.direction, r.term) in cross
    ]
    return pd.DataFrame(shown)


NOT_RUN = (
    "No recovery study has been stored for this collection: `twostage recovery` with the collection's folder makes one "
    "and stores it there."
)


OTHER_STUDIES = (
    "The recovery study stored with the collection was made with other studies or sessions than these."
)


def bias_aware_sentence(rows: pd.DataFrame, recovery: Recovery | None, condition: str = CONDITION) -> str:
    """What the table of bias-aware intervals rests on, with a caution where that is out of date; or that there is none."""
    if recovery is not None and recovery.other_design:
        return say(OTHER_STUDIES)
    if recovery is None or rows.empty:
        return NOT_RUN
    return cautioned(f"Bias found under the condition: {say(CONDITIONS[condition].words)}.", recovery)


def cautioned(text: str, recovery: Recovery) -> Markup:
    caution = recovery.caution()
    return Markup(f"{myst(text)} **{myst(caution)}**") if caution else myst(text)
