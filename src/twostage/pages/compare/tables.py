"""Two runs side by side in words: their coefficients, how far they moved, what a reader must know of it."""

import numpy as np
import pandas as pd

from twostage.display import fixed, number, with_interval
from twostage.pages.common.tables import Effect, effect
from twostage.pages.compare.analysis import SHOWN, Comparison
from twostage.terms import DIRECTIONS, arrow, term_label
from twostage.words import say

#: The book's page on the centred estimator's bias, and its file.
ESTIMATORS, ESTIMATORS_PAGE = "The page 'Estimators side by side'", "results_estimators.html"


#: The book's page on what the estimators do where the truth is known, at longer lags too.
RECOVERY = "the page 'Which estimator to believe'"


def row_label(row: dict, x: str, y: str) -> str:
    """A coefficient in words; where it is not the main variant, with the variant's name."""
    label = term_label(row["direction"], row["term"], x, y)
    if row["analysis"] == "crosslevel" and row["term"].endswith("_within"):
        label += say(", for the average patient")
    if row["term"] == "intercept":
        label = f"intercept of {arrow(row['direction'], x, y)}"
    return label if row["variant"] == "main" else f"{label} ({row['analysis']}: {say(row['variant'])})"


def side_by_side(comparison: Comparison, everything: bool = False) -> pd.DataFrame:
    """The comparison in words, for a page or a terminal.

    Parameters
    ----------
    comparison : Comparison
    everything : bool
        All coefficients; otherwise those that answer the question.

    Returns
    -------
    pandas.DataFrame
        effect; for each run estimate with interval, tau and k; the differences; on which side of zero the
        intervals lie. All text.
    """
    c = comparison
    rows = (c.table if everything else c.headline()).to_dict("records")
    return pd.DataFrame([_words(c, row) for row in rows])


def _words(c: Comparison, row: dict) -> dict[str, str]:
    cells = {"effect": row_label(row, c.x, c.y)}
    for name, end in ((c.a, "a"), (c.b, "b")):
        estimate, low, high = (row[f"{of}_{end}"] for of in ("estimate", "ci_low", "ci_high"))
        cells[name] = with_interval(estimate, low, high, 3) if pd.notna(estimate) else "–"
    cells[f"{c.b} − {c.a}"] = number(row["estimate_diff"], 3)
    cells["τ"] = _both(row, "tau2", lambda v: number(float(np.sqrt(v)), 3))
    cells["k"] = _both(row, "k", lambda v: str(int(v)))
    cells["patients"] = _both(row, "n_patients", lambda v: f"{int(v):,}")
    cells["interval"] = _both({f"side_{end}": _side(row, end) for end in "ab"}, "side", str)
    return cells


def _side(row: dict, end: str) -> str | None:
    """On which side of zero a run's interval lies; None where it has none."""
    if pd.isna(row[f"excludes_zero_{end}"]):
        return None
    if not row[f"excludes_zero_{end}"]:
        return "includes zero"
    return "above zero" if row[f"ci_low_{end}"] > 0 else "below zero"


def _both(row: dict, name: str, show) -> str:
    a, b = (show(row[f"{name}_{end}"]) if pd.notna(row[f"{name}_{end}"]) else "–" for end in "ab")
    return a if a == b else f"{a} → {b}"


def notes(comparison: Comparison) -> list[str]:
    """What a reader must know of a comparison: signs, windows, whose data, which unit, and why no standard error."""
    c, said = comparison, [*sign_changes(comparison), *_windows(comparison), *_lags(comparison)]
    if c.shared:
        said.append(
            f"Both pools contain the same data of {len(c.shared)} {'study' if len(c.shared) == 1 else 'studies'}. "
            "The two estimates are therefore dependent, and the difference has no simple standard error: none is "
            "given, and whether the intervals overlap is no test of it."
        )
    else:
        said.append(
            "No study has the same data in both runs. The difference is given without a standard error."
        )
    for names, words in (
        (c.only_a, f"only in {c.a}"),
        (c.only_b, f"only in {c.b}"),
        (c.changed, "with other data"),
    ):
        if names:
            said.append(f"Studies {words}: {', '.join(names)}.")
    differing = set(c.parameters["parameter"])
    if {"standardize", "detrend"} & differing:
        said.append(
            "The two runs use different units or remove different trends, so the numbers are not on one scale."
        )
    if "level" in differing:
        said.append("The intervals have different coverage.")
    return said


def sign_changes(comparison: Comparison) -> list[str]:
    """A sentence for each coefficient of the headline whose estimate is on the other side of zero in the other run."""
    c, said = comparison, []
    for row in c.headline().dropna(subset=["estimate_diff"]).to_dict("records"):
        values = [float(fixed(row[f"estimate_{end}"], 3)) for end in "ab"]
        if values[0] * values[1] >= 0:
            continue
        first, second = (f"{number(v, 3)} in {name}" for v, name in zip(values, (c.a, c.b), strict=True))
        open_ones = [name for name, end in ((c.a, "a"), (c.b, "b")) if _side(row, end) == "includes zero"]
        sure = "both intervals exclude zero, on opposite sides"
        if open_ones:
            sure = f"the interval includes zero in {' and in '.join(open_ones)}"
        said.append(f"The sign changes: {row_label(row, c.x, c.y)} is {first} and {second}; {sure}.")
    return said


#: Where the bias goes at lag 1, and at longer ones.
_DIRECTION = {
    False: "autoregressions too low, cross-lagged effects too close to zero",
    True: "autoregressions too low, cross-lagged effects drawn to zero and beyond",
}


def _windows(c: Comparison) -> list[str]:
    if c.sessions[0] == c.sessions[1]:
        return []
    sessions = say("sessions")
    return [
        f"The window holds {c.sessions[0]} {sessions} in {c.a} and {c.sessions[1]} in {c.b}. The bias of the centred "
        f"estimator grows as {sessions} become fewer ({_DIRECTION[max(c.lags) > 1]}), so "
        f"the difference is partly one of bias. {ESTIMATORS} in the book shows estimators without this bias."
    ]


def _lags(c: Comparison) -> list[str]:
    """The centred estimator's bias at lags beyond 1: larger, and through zero."""
    if max(c.lags) == 1:
        return []
    one, other = c.lags
    if one == other:
        start = f"Both runs have the lag {one}. "
    else:
        start = (
            f"The lag is {one} in {c.a} and {other} in {c.b}. These are different effects: an effect at a longer lag is "
            "what the process has left of it after so many sessions. "
        )
    return [
        f"{start}The bias of the centred estimator is larger at lag {max(c.lags)} than at lag 1, the more so the fewer the "
        "sessions, and can turn the sign of a cross-lagged effect: neither a difference between lags nor a change of sign "
        f"need be one of the process. Where a recovery study of longer lags is stored, {RECOVERY} shows how far the "
        "estimators miss there."
    ]


def verdict(comparison: Comparison) -> str:
    """How far the cross-lagged effects moved, in a sentence each."""
    c = comparison
    rows = c.headline().dropna(subset=["estimate_diff"]).to_dict("records")
    chosen = [r for r in rows if r["analysis"] == "lagged" and r["term"] == DIRECTIONS[r["direction"]].cross]
    return "\n\n".join(_sentence(c, row) for row in chosen)


def _sentence(c: Comparison, row: dict) -> str:
    parts = [f"{_one(row, end).text} in {name}" for name, end in ((c.a, "a"), (c.b, "b"))]
    opposite = {_side(row, "a"), _side(row, "b")} == {"above zero", "below zero"}
    zero = {
        (True, True): "both intervals exclude zero" + ", on opposite sides" * opposite,
        (False, False): "both intervals include zero",
        (True, False): f"the interval excludes zero in {c.a} only",
        (False, True): f"the interval excludes zero in {c.b} only",
    }[bool(row["excludes_zero_a"]), bool(row["excludes_zero_b"])]
    difference = number(row["estimate_diff"], 3)
    return (
        f"{arrow(row['direction'], c.x, c.y)}: {', '.join(parts)}; {c.b} minus {c.a}: {difference}; {zero}."
    )


def _one(row: dict, end: str) -> Effect:
    numbers = {c: row[f"{c}_{end}"] for c in SHOWN}
    more = {"term": row["term"], "p_value": np.nan, "n_transitions": 0}
    return effect(numbers | more, float(row[f"level_{end}"]))
