"""Estimators side by side, and how they fare where the truth is known, as tables and sentences."""

import pandas as pd

from twostage.collection import Collection
from twostage.display import count, interval, number, percent
from twostage.escape import Markup, myst
from twostage.estimates import StudyEstimates
from twostage.panel import Panel
from twostage.recovery.conditions import CONDITIONS
from twostage.recovery.intervals import CONDITION
from twostage.recovery.store import Recovery
from twostage.recovery.verdict import SLACK, Z, believe
from twostage.stage2_estimators import EstimatorComparison
from twostage.terms import DIRECTIONS, ESTIMATORS, HEADLINE, arrow, term_label

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
                row = {"effect": term_label(d.name, term, *names), "estimator": ESTIMATORS[r.estimator]}
                row |= {"estimate": number(r.estimate, 3), "std. error": number(r.std_error, 3)}
                row[f"{100 * panel.parameters.level:g} % CI"] = interval(r.ci_low, r.ci_high, 3)
                row["patients"] = count(r.n_patients)
                row["beside the centred one"] = _verdict(r, centred)
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
                "estimator": ESTIMATORS[r.estimator],
                "k": str(r.k),
                "estimate": number(r.estimate, 3),
                level: interval(r.ci_low, r.ci_high, 3),
                "τ": number(r.tau2**0.5, 3),
                "less the headline": "–" if is_headline else number(r.difference_estimate, 3),
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
            "estimator": ESTIMATORS[r.estimator],
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


OTHER_STUDIES = "The recovery study stored with the collection is of other studies or sessions than these."


def bias_aware_sentence(rows: pd.DataFrame, recovery: Recovery | None, condition: str = CONDITION) -> str:
    """What the table of bias-aware intervals rests on, with a caution where that is out of date; or that there is none."""
    if recovery is not None and recovery.other_design:
        return OTHER_STUDIES
    if recovery is None or rows.empty:
        return NOT_RUN
    return _cautioned(f"Bias found under the condition: {CONDITIONS[condition].words}.", recovery)


def _cautioned(text: str, recovery: Recovery) -> Markup:
    caution = recovery.caution()
    return Markup(f"{myst(text)} **{myst(caution)}**") if caution else myst(text)


def generating_value(collection: Collection, direction: str, term: str) -> float | None:
    """The mean over studies that generated a coefficient of a synthetic collection; None where there is none."""
    if collection.truth is None:
        return None
    t = collection.truth
    found = t[(t["study"] == "mean") & (t["direction"] == direction) & (t["term"] == term)]
    return float(found["value"].iloc[0]) if len(found) else None


def believe_table(recovery: Recovery) -> pd.DataFrame:
    """If your data look like this, believe this estimator; all text."""
    rows = [
        {
            "if your data look like this": r.words,
            "believe": ESTIMATORS[r.estimator]
            if r.estimator
            else f"none; least biased: {ESTIMATORS[r.least_biased]}",
            "coverage": percent(r.coverage, 1),
            "type I error": percent(r.type_1, 1),
            "RMSE": number(r.rmse, 3),
            "also calibrated": "; ".join(ESTIMATORS[e] for e in r.runners_up) or "–",
        }
        for r in believe(recovery).itertuples()
    ]
    return pd.DataFrame(rows)


def believe_rule() -> str:
    """The rule behind :func:`believe_table`, in a sentence."""
    return (
        "An estimator counts as calibrated where, for both directions, its pooled interval covers the truth and, without "
        f"effects, excludes zero no more than {percent(SLACK, 1)} (and {Z:g} Monte Carlo standard errors) worse than it "
        "claims; of the calibrated ones the one with the smallest root mean square error is named. Coverage and type I "
        "error are those of the worse direction."
    )


def performance_table(recovery: Recovery, collection: Collection, direction: str) -> pd.DataFrame:
    """Every measure of the pooled cross-lagged effect, with Monte Carlo standard errors; all text."""
    term, s = DIRECTIONS[direction].cross, recovery.summary
    rows = []
    for r in s[(s["direction"] == direction) & (s["term"] == term)].itertuples():
        condition = CONDITIONS[r.condition]
        rows.append(
            {
                "condition": condition.words + (", no effects" if condition.null else ""),
                "estimator": ESTIMATORS[r.estimator],
                "truth": number(r.truth, 2),
                "bias": _with_error(r.bias, r.bias_mcse),
                "empirical SE": _with_error(r.empirical_se, r.empirical_se_mcse),
                "mean SE": number(r.mean_std_error, 4),
                "RMSE": _with_error(r.rmse, r.rmse_mcse),
                "coverage (%)": _with_error(100 * r.coverage, 100 * r.coverage_mcse, 1),
                "excludes zero (%)": _with_error(100 * r.rejection, 100 * r.rejection_mcse, 1),
                "failed": count(r.n_failed),
            }
        )
    return pd.DataFrame(rows)


def _with_error(value: float, error: float, digits: int = 4) -> str:
    return f"{number(value, digits)} ({number(error, digits)})"


def how_made(recovery: Recovery) -> str:
    """Where the stored numbers come from, in sentences, with a caution where they are out of date."""
    a = recovery.about
    fewest, most = a["fewest_replicates"], a["replicates"]
    how_many = count(most) if fewest == most else f"{count(fewest)} to {count(most)}"
    minutes = number(a["seconds"] / a["processes"] / 60, 0)
    text = (
        f"{how_many} replicates of the whole collection per condition, seed {a['seed']}, made on "
        f"{a['date']} by version {a['package_version']} of the package (commit `{a['commit'][:12]}`) in {minutes} minutes "
        f"on {a['processes']} {'process' if a['processes'] == 1 else 'processes'}."
    )
    return _cautioned(text, recovery)


def recovery_figure_alt(measure: str, direction: str, collection: Collection, null: bool) -> str:
    """What a figure of the recovery study shows, for those who cannot see it."""
    effect = arrow(direction, collection.x.label, collection.y.label)
    of = "without cross-lagged effects" if null else "with cross-lagged effects"
    return f"{measure} of the pooled {effect} by condition ({of}) and estimator; the values are in the notebook's tables."
