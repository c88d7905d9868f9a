"""Effects under shifts of unseen scores as a table and sentences for the book."""

import pandas as pd

from twostage.collection import Collection
from twostage.display import count, number, percent, rows_of, with_interval
from twostage.pages.common.style import pair
from twostage.pages.unseen.analysis import GRID, UnseenPools, tipping
from twostage.stage2 import Attempt
from twostage.terms import DIRECTIONS
from twostage.words import say


def unseen_table(result: UnseenPools, direction: str, collection: Collection) -> pd.DataFrame:
    """One direction's pooled effect by shift, a column for each variable that is shifted; all text."""
    columns = {"shift [SD]": [number(shift, 2) for shift in GRID]}
    for moved, label in zip("xy", pair(collection), strict=True):
        columns[f"unseen {label} shifted"] = [
            with_interval(r.estimate, r.ci_low, r.ci_high, 3) for r in rows_of(result.of(direction, moved))
        ]
    return pd.DataFrame(columns)


def unseen_sentence(found: Attempt, direction: str, collection: Collection) -> str:
    """What shifts of unseen scores change, or why nobody knows."""
    if not found:
        return say(found.words)
    result, labels = found.result, dict(zip("xy", pair(collection), strict=True))
    low, high = (number(abs(GRID[at]), 2) for at in (0, -1))
    parts = []
    for moved, label in labels.items():
        rows = result.of(direction, moved)
        first, last = (number(e, 3) for e in rows["estimate"].iloc[[0, -1]])
        parts.append(
            f"With unseen {label} from {low} SD lower to {high} SD higher than predicted it goes from {first} to {last}; "
            f"{_tips(*tipping(rows))}."
        )
    plain, d = result.of(direction, "x").query("shift == 0").iloc[0], DIRECTIONS[direction]
    share = percent(result.n_left / result.n_patients)
    who = (
        f"{count(result.n_left)} of {count(result.n_patients)} patients ({share}) have no score at the window's last "
        "session. "
    )
    effect = (
        "If their unseen scores are what the model predicts from those seen, the pooled effect of "
        f"{labels[d.predictor]} on later {labels[d.outcome]} (random-intercept cross-lagged panel model, k = "
        f"{plain['k']}) is {with_interval(plain['estimate'], plain['ci_low'], plain['ci_high'], 3)}. "
    )
    text = f"{say(who)}{effect}{' '.join(parts)}"
    if result.left_out:
        names = "; ".join(f"{study}: {reason}" for study, reason in result.left_out.items())
        text += f" Not in these pools: {names}."
    return text


def _tips(below: float, above: float) -> str:
    """Where the conclusion changes, the tipping points."""
    known = [f"{number(shift, 2)} SD" for shift in (below, above) if abs(shift) <= max(GRID)]
    if not known:
        return "no shift in this range changes what its interval says of its sign (no tipping point)"
    return f"from {' and from '.join(known)} on its interval says something else of its sign (tipping point)"
