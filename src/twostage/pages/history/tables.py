"""What changed in words: sentences, tables, and Markdown for a pull request."""

from typing import Any

import numpy as np
import pandas as pd

from twostage.display import count, number, p_value, with_interval
from twostage.pages.compare.tables import row_label
from twostage.pages.history.analysis import Changes
from twostage.printing import as_markdown, rows_of
from twostage.terms import arrow, estimator_words
from twostage.text import myst
from twostage.words import say

#: What an interval says of zero, then and now.
_WAS = {"includes zero": "included zero", "above zero": "lay above zero", "below zero": "lay below zero"}


_IS = {"includes zero": "includes zero", "above zero": "lies above zero", "below zero": "lies below zero"}


def effect_label(row: dict[Any, Any], x: str, y: str) -> str:
    """A coefficient in words; by another estimator, with its name."""
    if row["analysis"] == "estimators":
        return f"{arrow(row['direction'], x, y)}, {estimator_words(row['variant'])}"
    return row_label(row, x, y)


def sentences(changes: Changes) -> list[str]:
    """What to know first: which studies changed, what flipped, how far the cross-lagged effects moved."""
    c = changes
    lines = [*_studies(c), *_circumstances(c), *_flips(c)]
    main = c.effects[(c.effects["analysis"] == "lagged") & c.effects["term"].str.endswith("_within")]
    cross = [r for r in main.to_dict("records") if r["term"][0] == r["direction"][0] and _there(r)]
    return lines + [_moved(row, c) for row in cross]


def _studies(c: Changes) -> list[str]:
    groups = (
        ("joined", c.added),
        ("withdrawn", c.withdrawn),
        ("replaced by other data or results", c.replaced),
    )
    lines = [
        f"{'Study' if len(studies) == 1 else 'Studies'} {words}: {', '.join(studies)}."
        for words, studies in groups
        if studies
    ]
    return lines or ["The studies and their data are the same."]


def _circumstances(c: Changes) -> list[str]:
    lines = [
        f"Parameter {row['parameter']}: {row['a']} before, {row['b']} now."
        for row in c.comparison.parameters.to_dict("records")
    ]
    versions = [release.document.package_version for release in (c.before, c.after)]
    if versions[0] != versions[1]:
        lines.append(f"Made by twostage {versions[1]}, before by {versions[0]}.")
    once = c.effects[(c.effects["zero_before"] == "") != (c.effects["zero_after"] == "")]
    if len(once):
        lines.append(
            f"{len(once)} of the effects below are in one of the releases only and are not compared."
        )
    return lines


def _flips(c: Changes) -> list[str]:
    x, y = c.comparison.x, c.comparison.y
    lines = [
        f"Flipped: {effect_label(row, x, y)}: its interval {_WAS[row['zero_before']]} before, {_IS[row['zero_after']]} now."
        for row in c.effects[c.effects["flipped"]].to_dict("records")
    ]
    turned = c.effects[c.effects["sign_changed"] & ~c.effects["flipped"]]
    lines += [
        f"The sign changed, within intervals that include zero: {effect_label(row, x, y)}."
        for row in turned.to_dict("records")
    ]
    for row in c.moderators[c.moderators["flipped"]].to_dict("records"):
        now = (
            "is related to the effect now, and was not before"
            if row["related_after"]
            else "is no longer related to the effect"
        )
        p = " and ".join(p_value(row[f"holm_p_value_{end}"]) for end in ("before", "after"))
        lines.append(
            f"Flipped: {row['label']} {now} ({arrow(row['direction'], x, y)}; p adjusted by Holm {p})."
        )
    tested = int(c.effects["zero_before"].ne("").mul(c.effects["zero_after"].ne("")).sum())
    return lines or [f"No verdict flipped: of {tested} intervals each says the same of zero as before."]


def _there(row: dict[Any, Any]) -> bool:
    return bool(row["zero_before"] and row["zero_after"])


def _moved(row: dict[Any, Any], c: Changes) -> str:
    before, after = (
        with_interval(row[f"estimate_{end}"], row[f"ci_low_{end}"], row[f"ci_high_{end}"], 3)
        for end in ("before", "after")
    )
    taus = [number(float(np.sqrt(row[f"tau2_{end}"])), 3) for end in ("before", "after")]
    k = [int(row[f"k_{end}"]) for end in ("before", "after")]
    what = arrow(row["direction"], c.comparison.x, c.comparison.y)
    return f"{what}: {before} of {k[0]} studies before, {after} of {k[1]} now; τ {taus[0]} before, {taus[1]} now."


def changes_table(changes: Changes) -> pd.DataFrame:
    """One row per coefficient, all text: before, now, moved by, τ, I², k, what the interval says of zero."""
    x, y = changes.comparison.x, changes.comparison.y
    columns = ["effect", "before", "now", "moved by", "τ", "I² (%)", "k", "interval", "verdict"]
    return pd.DataFrame([_row(row, x, y) for row in changes.effects.to_dict("records")], columns=columns)


def _row(row: dict[Any, Any], x: str, y: str) -> dict[str, str]:
    ends = ("before", "after")
    shown = [
        with_interval(row[f"estimate_{end}"], row[f"ci_low_{end}"], row[f"ci_high_{end}"], 3)
        if row[f"zero_{end}"]
        else "–"
        for end in ends
    ]
    moved = row["estimate_after"] - row["estimate_before"]
    verdict = (
        "flipped"
        if row["flipped"]
        else "sign changed"
        if row["sign_changed"]
        else "same"
        if _there(row)
        else "–"
    )
    return {
        "effect": effect_label(row, x, y),
        "before": shown[0],
        "now": shown[1],
        "moved by": number(moved, 3),
        "τ": _pair([number(float(np.sqrt(row[f"tau2_{end}"])), 3) for end in ends]),
        "I² (%)": _pair([number(row[f"i2_{end}"], 0) for end in ends]),
        "k": _pair([count(row[f"k_{end}"]) if row[f"zero_{end}"] else "–" for end in ends]),
        "interval": _pair([row[f"zero_{end}"] or "–" for end in ends]),
        "verdict": verdict,
    }


def _pair(texts: list[str]) -> str:
    return texts[0] if texts[0] == texts[1] else f"{texts[0]} → {texts[1]}"


def moderators_table(changes: Changes) -> pd.DataFrame:
    """One row per moderator, all text."""
    x, y = changes.comparison.x, changes.comparison.y
    rows = [
        {
            "effect": arrow(row["direction"], x, y),
            "moderator": row["label"],
            "change per unit": _pair([number(_float(row[f"slope_{end}"]), 3) for end in ("before", "after")]),
            "p (Holm)": _pair([p_value(_float(row[f"holm_p_value_{end}"])) for end in ("before", "after")]),
            "verdict": "flipped" if row["flipped"] else "same" if _tested(row) else "–",
        }
        for row in changes.moderators.to_dict("records")
    ]
    return pd.DataFrame(rows, columns=["effect", "moderator", "change per unit", "p (Holm)", "verdict"])


def _float(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _tested(row: dict[Any, Any]) -> bool:
    return row["related_before"] is not None and row["related_after"] is not None


def markdown(changes: Changes) -> str:
    """The changes as Markdown."""
    c, document = changes, changes.after.document
    parts = [f"# {title(c)}", f"> {myst(document.collection.note)}"]
    parts.append("\n".join(f"- {myst(line)}" for line in sentences(c)))
    parts.append(as_markdown(*rows_of(changes_table(c))))
    if len(c.moderators):
        parts += ["## Moderators", as_markdown(*rows_of(moderators_table(c)))]
    return "\n\n".join(parts) + "\n"


def title(changes: Changes) -> str:
    """What the page is about."""
    after, before = changes.after, changes.before
    ends = (f"release {release.number} ({release.document.made})" for release in (before, after))
    return f"What changed from {' to '.join(ends)}"


def history_table(versions: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Every release, newest last: date, studies, and the effects that answer the question; all text."""
    rows = []
    for (release, day), part in versions.groupby(["release", "date"], sort=True):
        cells = {"release": str(release), "date": str(day), say("studies"): str(part["studies"].iloc[0])}
        for row in part.to_dict("records"):
            if row["analysis"] == "lagged" and row["term"][0] == row["direction"][0]:
                cells[arrow(row["direction"], x, y)] = with_interval(
                    row["estimate"], row["ci_low"], row["ci_high"], 3
                )
        rows.append(cells)
    return pd.DataFrame(rows).fillna("–")
