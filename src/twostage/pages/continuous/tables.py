"""Effects over intervals as tables and sentences."""

import numpy as np
import pandas as pd

from twostage.collection import Collection
from twostage.display import count, interval, number, number_in, percent, rows_of, with_interval
from twostage.pages.continuous.analysis import IntervalEffectsPooled
from twostage.stage2 import Attempt
from twostage.terms import DIRECTIONS, arrow, term_label
from twostage.words import say

#: A difference below this many standard errors of the days' effect is called small.
SMALL = 0.5


#: Share of intervals that are the usual one from which on counting days can hardly matter.
REGULAR = 0.9


def interval_table(found: IntervalEffectsPooled, collection: Collection, direction: str) -> pd.DataFrame:
    """The pooled effects of one direction over each interval; all text."""
    level, rows = f"{100 * found.level:g} %", []
    own = found.table[found.table["direction"] == direction].sort_values(["term", "interval"])
    for row in rows_of(own):
        effect = term_label(direction, row.term, collection.x.label, collection.y.label)
        shown = {"effect": effect, "interval [days]": number(row.interval, 0), "studies": count(row.k)}
        ends = row.ci_low, row.ci_high
        shown |= {"estimate": number_in(row.estimate, *ends, 3), f"{level} CI": interval(*ends, 3)}
        shown |= {"τ": number(row.tau2**0.5, 3)}
        rows.append(shown)
    return pd.DataFrame(rows)


def beside_table(found: IntervalEffectsPooled, collection: Collection) -> pd.DataFrame:
    """Days counted and not counted, over the same studies; all text."""
    rows = []
    for row in rows_of(found.beside):
        effect = term_label(row.direction, row.term, collection.x.label, collection.y.label)
        days = f"days counted, over {number(found.usual, 0)} days"
        how = say(days if row.counted else "sessions as equally far apart")
        ends = row.ci_low, row.ci_high
        shown = {"effect": effect, "how": how, "studies": count(row.k)}
        shown |= {"estimate": number_in(row.estimate, *ends, 3)}
        shown |= {f"{100 * found.level:g} % CI": interval(*ends, 3)}
        rows.append(shown)
    return pd.DataFrame(rows)


def study_interval_table(found: IntervalEffectsPooled, direction: str) -> pd.DataFrame:
    """The cross-lagged effect of each study over the usual interval; all text."""
    own = found.studies[
        (found.studies["direction"] == direction) & (found.studies["term"] == DIRECTIONS[direction].cross)
    ]
    rows = [
        {"study": s.label, "patients": count(s.n_patients), "median interval [days]": number(s.median, 1)}
        | {
            "estimate": number_in(s.estimate, s.ci_low, s.ci_high, 3),
            f"{100 * found.level:g} % CI": interval(s.ci_low, s.ci_high, 3),
        }
        | {"remarks": s.remarks}
        for s in rows_of(own)
    ]
    return pd.DataFrame(rows).rename(columns=say)


def interval_sentences(found: Attempt, collection: Collection) -> dict[str, str]:
    """What came out in words: a sentence per direction, what days there are, and how far to trust it."""
    if not found:
        nothing = say(f"There are no effects over intervals of days: {found.words}.")
        return dict.fromkeys(DIRECTIONS, "") | {"days": nothing, "trust": ""}
    result: IntervalEffectsPooled = found.result
    return {d: _effect(result, d, collection) for d in DIRECTIONS} | {
        "days": say(_days(result)),
        "trust": say(_trust(result, collection)),
    }


def _effect(found: IntervalEffectsPooled, direction: str, collection: Collection) -> str:
    table = found.table
    rows = table[(table["direction"] == direction) & (table["term"] == DIRECTIONS[direction].cross)]
    name = arrow(direction, collection.x.label, collection.y.label)
    usual = rows[rows["interval"] == found.usual]
    if usual.empty:
        return f"{name} could not be pooled."
    own, most = (of.to_dict("records")[-1] for of in (usual, rows.sort_values("estimate", key=np.abs)))
    text = (
        f"Over {number(found.usual, 0)} days {name} is "
        f"{with_interval(own['estimate'], own['ci_low'], own['ci_high'], 3)}, from {own['k']:.0f} studies."
    )
    if number(most["estimate"], 3) == number(own["estimate"], 3):
        return f"{text} Over none of the other intervals shown it is larger."
    few = (
        ""
        if found.most[0] <= most["interval"] <= found.most[1]
        else ", an interval that few sessions are apart,"
    )
    return (
        f"{text} Of the intervals shown it is largest over {number(most['interval'], 0)} days{few} with "
        f"{number(most['estimate'], 3)}."
    )


def _days(found: IntervalEffectsPooled) -> str:
    low, high = (number(end, 0) for end in found.most)
    text = (
        f"Sessions of a patient are usually {number(found.usual, 0)} days apart; {percent(found.exact)} of the intervals "
        f"are exactly that long, and nine of ten are {low} to {high} days."
    )
    if len(found.left_out):
        left = "; ".join(f"{row.label}: {row.reason}" for row in rows_of(found.left_out))
        text += f" Not among the studies: {left}."
    return text


def _trust(found: IntervalEffectsPooled, collection: Collection) -> str:
    """How far apart both ways are, in the standard errors of the one that counts days."""
    texts, table = [], found.beside
    for d in DIRECTIONS.values():
        rows = table[(table["direction"] == d.name) & (table["term"] == d.cross)].set_index("counted")
        if rows.empty:
            continue
        moved = float(rows["estimate"].loc[True] - rows["estimate"].loc[False])
        moved = abs(moved / float(rows["std_error"].loc[True]))
        name = arrow(d.name, collection.x.label, collection.y.label)
        amount = "less than half a standard error" if moved < SMALL else f"{number(moved, 1)} standard errors"
        texts.append(f"{name} by {amount}")
    if not texts:
        return ""
    first = f"Counting days instead of sessions, in the same studies, moves {' and '.join(texts)}."
    regular = " With sessions as regular as these it could hardly be otherwise."
    return first + regular * (found.exact >= REGULAR)
