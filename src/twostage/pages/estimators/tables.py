"""Estimators side by side, and how they fare where the truth is known, as tables and sentences."""

import pandas as pd

from twostage.collection import Collection
from twostage.display import MISSING, count, interval, number, number_in, rows_of
from twostage.pages.estimators.analysis import EstimatorComparison
from twostage.stage1 import Panel, StudyEstimates
from twostage.terms import DIRECTIONS, HEADLINE, estimator_words, term_label

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
            for r in rows_of(found):
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
    for r in rows_of(comparison.tidy()):
        is_headline = r.estimator == HEADLINE
        rows.append(
            {
                "effect": term_label(r.direction, r.term, collection.x.label, collection.y.label),
                "estimator": estimator_words(r.estimator),
                "k": str(r.k),
                "estimate": number_in(r.estimate, r.ci_low, r.ci_high, 3),
                level: interval(r.ci_low, r.ci_high, 3),
                "τ": number(r.tau2**0.5, 3) if r.k > 1 else MISSING,
                "difference from the main analysis": MISSING
                if is_headline
                else number_in(r.difference_estimate, r.difference_ci_low, r.difference_ci_high, 3),
                f"difference, {level}": MISSING
                if is_headline
                else interval(r.difference_ci_low, r.difference_ci_high, 3),
            }
        )
    table = pd.DataFrame(rows)
    return table.sort_values("effect", kind="stable").reset_index(drop=True) if rows else table
