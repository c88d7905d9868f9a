"""How far to trust the main analysis, in sentences: what the recovery study found of it, and of a better estimator."""

from collections.abc import Callable

import pandas as pd

from twostage.collection import Collection
from twostage.display import count, percent, percent_of
from twostage.pages.common.tables import Effect
from twostage.recovery.conditions import Condition
from twostage.recovery.store import Recovery
from twostage.recovery.verdict import Z, best_calibrated, is_calibrated, nearest_kind
from twostage.terms import DIRECTIONS, HEADLINE, arrow, estimator_words
from twostage.words import say

NOT_RUN = (
    "How often such intervals hold the truth is not known for these studies: no recovery study is stored with the "
    "collection (twostage recovery makes one)."
)


OTHER_STUDIES = (
    "How often such intervals hold the truth is not known for these studies: the recovery study that is stored with the "
    "collection was made with other studies or sessions."
)


#: Which way the estimator of the main analysis errs; tests hold each part against the stored study.
ERRS = (
    "Centring on a mean of few sessions pulls autoregressions down. Cross-lagged effects it pulls toward zero where "
    "nothing but the process moves the scores; where both variables change over the sessions for everyone, or scores are "
    "measured with error, it finds effects that are not there."
)


#: What an estimator knew in the replicates that a collection may not say.
KNEW = {
    "riclpm_error": " In the replicates it was told the reliability of the scores; here it estimates it where studies.csv "
    "names none."
}


#: (estimator, direction, term) -> the effect in these data.
Estimates = Callable[[str, str, str], Effect]


def errs_sentence() -> str:
    """:data:`ERRS` in the words of the collection."""
    return say(ERRS)


def trust_sentences(
    recovery: Recovery | None, collection: Collection, estimates: Estimates, brief: bool = False
) -> str:
    """How often the main analysis held the truth, how often it found what is not there, and what is best calibrated.

    Parameters
    ----------
    recovery : Recovery or None
    collection : Collection
        Names the condition that its data are like.
    estimates : callable
        (estimator, direction, term) -> :class:`~twostage.pages.common.tables.Effect` in these data.
    brief : bool
        Only how often the main analysis was right.

    Returns
    -------
    str
        Every number is one of the stored study's, or of the run's.
    """
    if recovery is None or recovery.other_design:
        return say(NOT_RUN if recovery is None else OTHER_STUDIES)
    kind = nearest_kind(recovery, collection.condition)
    if kind is None:
        return say(NOT_RUN)
    best = best_calibrated(recovery, kind)
    if brief:
        said = [_in_short(recovery, kind, collection.condition), _instead(best, collection, estimates)]
        return " ".join(part for part in [*said, recovery.caution()] if part)
    said = [
        _where(kind, collection.condition),
        _held(recovery, kind, HEADLINE, collection, "the main analysis"),
    ]
    said += ["Shares have their Monte Carlo standard errors.", _direction(recovery, kind, collection)]
    if best == HEADLINE:
        said.append("No estimator was better calibrated.")
    else:
        said += [_better(recovery, kind, best, collection), _beside(best, collection, estimates)]
    return " ".join(part for part in [*said, recovery.caution()] if part)


def _where(kind: Condition, wanted: str) -> str:
    return say(
        f"These studies were drawn again with known effects, with data like this: {kind.words}{_other(kind, wanted)}."
    )


def _other(kind: Condition, wanted: str) -> str:
    return "" if kind.name == wanted else f' (the stored study does not have the condition "{wanted}")'


def _in_short(recovery: Recovery, kind: Condition, wanted: str) -> str:
    """How often the main analysis was right, in both directions; Monte Carlo errors stand where there is room."""
    present, absent, n = _replicates(recovery, kind, HEADLINE)
    held = " and ".join(percent(row["coverage"]) for row in present.values())
    wrong = " and ".join(percent(row["rejection"]) for row in absent.values())
    return say(
        f"Studies like these were drawn {n} times with known effects ({kind.words}{_other(kind, wanted)}): 95 % intervals "
        f"of the two effects held the truth in {held}, and excluded zero in {wrong} where there was no effect."
    )


def _replicates(
    recovery: Recovery, kind: Condition, estimator: str
) -> tuple[dict[str, pd.Series], dict[str, pd.Series], str]:
    """An estimator's rows with effects and without, by direction, and the least number of replicates."""
    present, absent = (
        _rows(recovery, condition, estimator) for condition in (kind.name, f"{kind.name}_null")
    )
    return present, absent, count(min(row["n_replicates"] for row in (*present.values(), *absent.values())))


def _held(recovery: Recovery, kind: Condition, estimator: str, collection: Collection, name: str) -> str:
    """How often an estimator's interval held the truth, and excluded zero where nothing was to be found."""
    present, absent, n = _replicates(recovery, kind, estimator)
    held = _each(present, "coverage", collection)
    wrong = _each(absent, "rejection", collection)
    # Of a level of 95 %, as the study's verdict takes it.
    return (
        f"The interval of {name}, which is meant to hold the truth in 95 %, held it in {held} of {n} replicates; where "
        f"there was no effect it excluded zero in {wrong}, and is meant to in 5 %."
    )


def _each(rows: dict[str, pd.Series], measure: str, collection: Collection) -> str:
    """``12 % ± 1 % (alliance → symptoms) and 9 % ± 1 % (symptoms → alliance)``, with Monte Carlo standard errors."""
    parts = [
        f"{percent_of(row[measure], row['n_replicates'])} ({_arrow(direction, collection)})"
        for direction, row in rows.items()
    ]
    return " and ".join(parts)


def _direction(recovery: Recovery, kind: Condition, collection: Collection) -> str:
    """Which way the main analysis errs on average, as far as that is more than Monte Carlo error."""
    rows = _rows(recovery, kind.name, HEADLINE)
    ways: dict[str, list[str]] = {}
    for direction, row in rows.items():
        clear = abs(row["bias"]) > Z * row["bias_mcse"]
        way = "toward zero" if row["bias"] * row["truth"] < 0 else "away from zero"
        ways.setdefault(way if clear else "to neither side", []).append(_arrow(direction, collection))
    said = [f"{way} ({', '.join(arrows)})" for way, arrows in ways.items()]
    only = next(iter(ways)) if len(ways) == 1 else ""
    return f"On average it erred {only or ' and '.join(said)} where there were effects."


def _better(recovery: Recovery, kind: Condition, best: str, collection: Collection) -> str:
    words = estimator_words(best)
    found = _held(recovery, kind, best, collection, "this estimator")
    enough = "" if is_calibrated(recovery, kind, best) else " Even that is not what its interval claims."
    return f"The best calibrated estimator is the {words}. {found}{enough}"


def _instead(best: str, collection: Collection, estimates: Estimates) -> str:
    """What the estimator that came closest gives; nothing where that is the main analysis, or it gives nothing."""
    found = [estimates(best, d.name, d.cross) for d in DIRECTIONS.values()]
    if best == HEADLINE or not all(effect.studies for effect in found):
        return ""
    first, second = (effect.estimate for effect in found)
    return f"The estimator that came closest there gives {first} and {second} ({estimator_words(best)})."


def _beside(best: str, collection: Collection, estimates: Estimates) -> str:
    pairs = [(d, estimates(best, d.name, d.cross)) for d in DIRECTIONS.values()]
    if not any(effect.studies for _, effect in pairs):
        return f"In these data it could not be estimated.{KNEW.get(best, '')}"
    found = "; ".join(f"{_arrow(d.name, collection)} {effect.text}" for d, effect in pairs)
    return f"In these data it gives: {found}.{KNEW.get(best, '')}"


def _rows(recovery: Recovery, condition: str, estimator: str) -> dict[str, pd.Series]:
    found = {d.name: recovery.row(condition, estimator, d.name, d.cross) for d in DIRECTIONS.values()}
    return {direction: row for direction, row in found.items() if row is not None}


def _arrow(direction: str, collection: Collection) -> str:
    return arrow(direction, collection.x.label, collection.y.label)
