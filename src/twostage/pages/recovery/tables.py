"""Tables and sentences on how the estimators did in the recovery study, and which to believe."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from twostage.collection import Collection
from twostage.display import count, number, percent, percent_of, rows_of
from twostage.recovery.conditions import ALL, CONDITIONS, FEW, LAG_CONDITIONS, LAGS
from twostage.recovery.spacing import SPACED, SPACED_WORDS
from twostage.recovery.store import Recovery
from twostage.recovery.verdict import SLACK, Z, best_estimators
from twostage.terms import DIRECTIONS, HEADLINE, arrow, estimator_words
from twostage.text import Markup, myst
from twostage.words import say


def generating_value(collection: Collection, direction: str, term: str) -> float | None:
    """The mean over studies that generated a coefficient of a synthetic collection; None where there is none."""
    if collection.truth is None:
        return None
    t = collection.truth
    found = t[(t["study"] == "mean") & (t["direction"] == direction) & (t["term"] == term)]
    return float(found["value"].iloc[0]) if len(found) else None


def best_estimator_table(recovery: Recovery) -> pd.DataFrame:
    """If your data look like this, believe this estimator, with a row for the main analysis beside it; all text."""
    rows = []
    for r in rows_of(best_estimators(recovery)):
        name = estimator_words(r.nearest)
        believed = {"believe": name if r.estimator else f"none; nearest: {name}"}
        also = "; ".join(estimator_words(e) for e in r.runners_up) or "–"
        rows.append(_believe(r.words, believed, (r.coverage, r.type_1, r.rmse), also))
        if r.nearest != HEADLINE:
            main = {"believe": f"for comparison: {estimator_words(HEADLINE)}"}
            numbers = r.headline_coverage, r.headline_type_1, r.headline_rmse
            rows.append(_believe(r.words, main, numbers, "–"))
    return pd.DataFrame(rows)


def _believe(words: str, believed: dict, numbers: tuple[float, float, float], also: str) -> dict[str, str]:
    coverage, type_1, rmse = numbers
    return {
        "if your data look like this": say(words),
        **believed,
        "coverage": percent(coverage, 1),
        "type I error": percent(type_1, 1),
        "RMSE": number(rmse, 3),
        "also calibrated": also,
    }


def few_studies_table(recovery: Recovery) -> pd.DataFrame:
    """Coverage and type I error in pools of few studies and of all, of the main analysis and the nearest; all text.

    Without a row where the stored study has no pools of few.
    """
    pools = [str(few) for few in FEW if len(recovery.of(str(few)))]
    rows = []
    for r in rows_of(best_estimators(recovery)) if pools else ():
        for estimator in dict.fromkeys([r.nearest, HEADLINE]):
            row = {"if your data look like this": say(r.words), "estimator": estimator_words(estimator)}
            for pool in (*pools, ALL):
                of = f"{pool} studies" if pool != ALL else "all studies"
                coverage, type_1 = _worse(recovery, r.condition, estimator, pool)
                row |= {f"coverage, {of}": percent(coverage, 0), f"type I error, {of}": percent(type_1, 0)}
            rows.append(row)
    return pd.DataFrame(rows)


def _worse(recovery: Recovery, condition: str, estimator: str, pool: str) -> tuple[float, float]:
    """The worse direction's coverage and type I error; NaN where one was never pooled."""
    cells = [
        (recovery.row(f"{condition}{end}", estimator, d.name, d.cross, pool), measure)
        for d in DIRECTIONS.values()
        for end, measure in (("", "coverage"), ("_null", "rejection"))
    ]
    found = [np.nan if row is None else float(row[measure]) for row, measure in cells]
    return min(found[::2]), max(found[1::2])


def best_estimator_rule() -> str:
    """The rule behind :func:`best_estimator_table`, in a sentence."""
    return (
        "An estimator counts as calibrated if two things hold for both directions: its pooled intervals contain the truth "
        "as often as they claim, and where there are no effects they exclude zero no more often than they claim. Either "
        f"may miss its level by at most {percent(SLACK, 1)} and {Z:g} Monte Carlo standard errors. Of the calibrated "
        "estimators the one with the smallest root mean square error is named; where there is none, the nearest: the one "
        "whose levels are missed least. Coverage and type I error are those of the worse direction."
    )


def performance_table(
    recovery: Recovery, direction: str, kinds: Sequence[str] = tuple(CONDITIONS)
) -> pd.DataFrame:
    """Every measure of the pooled cross-lagged effect, with Monte Carlo standard errors; all text.

    Parameters
    ----------
    recovery : Recovery
    direction : str
    kinds : sequence of str
        Names of conditions; of those at longer lags the table says the lag.
    """
    term, s = DIRECTIONS[direction].cross, recovery.of()
    rows = []
    for r in rows_of(s[(s["direction"] == direction) & (s["term"] == term) & s["condition"].isin(kinds)]):
        condition = (CONDITIONS | LAG_CONDITIONS)[r.condition]
        rows.append(
            ({"lag": str(condition.lag)} if condition.lag > 1 else {})
            | {
                "condition": say(condition.words) + (", no effects" if condition.null else ""),
                "estimator": SPACED_WORDS if r.estimator == SPACED else estimator_words(r.estimator),
                "truth": number(r.truth, 2),
                "bias": _with_error(r.bias, r.bias_mcse),
                "empirical SE": _with_error(r.empirical_se, r.empirical_se_mcse),
                "mean SE": number(r.mean_std_error, 4),
                "RMSE": _with_error(r.rmse, r.rmse_mcse),
                "coverage (%)": _share_with_error(r.coverage, r.n_replicates),
                "excludes zero (%)": _share_with_error(r.rejection, r.n_replicates),
                "failed": count(r.n_failed),
            }
        )
    return pd.DataFrame(rows)


#: Conditions at longer lags in which nothing but the process moves the scores.
PLAIN_LAGS = tuple(f"plain_lag{lag}" for lag in LAGS)


def lag_table(recovery: Recovery, direction: str, plain: bool = False) -> pd.DataFrame:
    """:func:`performance_table` at longer lags; `plain`: only where nothing but the process moves the scores."""
    return performance_table(recovery, direction, PLAIN_LAGS if plain else tuple(LAG_CONDITIONS))


def lag_sentences(recovery: Recovery, collection: Collection) -> str:
    """What the estimators do at longer lags where nothing but the process moves the scores."""
    said = []
    for name in PLAIN_LAGS:
        rows = [(d, recovery.row(name, HEADLINE, d.name, d.cross)) for d in DIRECTIONS.values()]
        for d, row in rows:
            if row is None or row["n_replicates"] == 0:
                continue
            mean, truth = row["truth"] + row["bias"], row["truth"]
            said.append(
                f"At lag {LAG_CONDITIONS[name].lag}, {arrow(d.name, collection.x.label, collection.y.label)}, the pooled "
                f"effect of the main analysis was {_with_error(mean, row['bias_mcse'], 3)} on average where "
                f"{number(truth, 3)} is true{_sign(mean, truth, row['bias_mcse'])}."
            )
        said += _coverage(recovery, name)
    return " ".join(said)


def _sign(mean: float, truth: float, error: float) -> str:
    """What to say of a mean near zero or beyond it."""
    if abs(mean) <= Z * error:
        return ": no different from zero"
    return ": the wrong sign" if mean * truth < 0 else ""


def _coverage(recovery: Recovery, name: str) -> list[str]:
    """How often the intervals of the estimator with the best ones contain the truth, in the worse direction."""
    crosses = pd.MultiIndex.from_tuples([(name, d.name, d.cross) for d in DIRECTIONS.values()])
    s = recovery.of()
    of = s[pd.MultiIndex.from_frame(s[["condition", "direction", "term"]]).isin(crosses)]
    if of.empty:
        return []
    worse = of.groupby("estimator")["coverage"].min()
    best = worse.max()
    return [
        f"Of the estimators that can be used at lag {LAG_CONDITIONS[name].lag}, none had intervals that contained "
        f"the truth in both directions more often than in {percent(best, 0)} of the replicates."
    ]


def _with_error(value: float, error: float, digits: int = 4) -> str:
    return f"{number(value, digits)} ({number(error, digits)})"


def _share_with_error(share: float, n: int) -> str:
    """``12.5 (5.2)`` in percent; where it happened never or always ``0.0 (at most 7.2)``, since its standard error is 0."""
    words = percent_of(share, n, 1).replace("\u00a0", " ").replace(" %", "")
    if "; " in words:
        return f"{number(100 * share, 1)} ({words.split('; ')[1]}"
    value, _, error = words.partition(" ± ")
    return f"{value} ({error})" if error else words


def how_made(recovery: Recovery) -> str:
    """Where the stored numbers come from, in sentences, with a caution where they are out of date."""
    a = recovery.about
    fewest, most = a["fewest_replicates"], a["replicates"]
    how_many = count(most) if fewest == most else f"{count(fewest)} to {count(most)}"
    minutes = number(a["seconds"] / a["processes"] / 60, 0)
    text = (
        f"{how_many} replicates of the whole collection per condition, seed {a['seed']}, made on "
        f"{a['date']} by version {a['package_version']} of the package (commit {a['commit'][:12]}) in {minutes} minutes "
        f"on {a['processes']} {'process' if a['processes'] == 1 else 'processes'}."
    )
    return cautioned(text, recovery)


def recovery_figure_alt(measure: str, direction: str, collection: Collection, null: bool) -> str:
    """What a figure of the recovery study shows, for those who cannot see it."""
    effect = arrow(direction, collection.x.label, collection.y.label)
    of = "without cross-lagged effects" if null else "with cross-lagged effects"
    return f"{measure} of the pooled {effect} by condition ({of}) and estimator; the values are in the notebook's tables."


def cautioned(text: str, recovery: Recovery) -> Markup:
    """A text, and after it what must be known of a study that is out of date."""
    caution = recovery.caution()
    return Markup(f"{myst(text)} **{myst(caution)}**") if caution else myst(text)
