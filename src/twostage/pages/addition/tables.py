"""A study against the others in words: for its chapter of the book, a terminal, and a pull request."""

from dataclasses import replace

import numpy as np
import pandas as pd

from twostage.display import inference, interval, number, p_value, with_interval
from twostage.pages.addition.analysis import Addition
from twostage.printing import as_markdown, rows_of
from twostage.terms import DIRECTIONS, term_label
from twostage.text import code, myst


def addition_table(result: Addition, x: str, y: str) -> pd.DataFrame:
    """The comparison as text, one row per coefficient.

    Returns
    -------
    pandas.DataFrame
        effect, this study, where the others let one expect it, whether it lies inside, p, without it, with it, moved by,
        τ without → with, conclusion; partial correlations as such, their τ in Fisher's z.
    """
    percent = f"{100 * result.level:g} %"
    rows = []
    for row in result.table.to_dict("records"):
        back = np.tanh if row["term"] == "partial_r_z" else float
        taus = [number(float(np.sqrt(row[f"{when}_tau2"])), 3) for when in ("before", "after")]
        rows.append(
            {
                "effect": _label(row, x, y),
                "this study": _with_interval(row, "study", back),
                "expected by the others": _ends(row, "expected", back),
                "inside": {True: "yes", False: "no", None: "–"}[row["inside"]],
                "p": p_value(row["residual_p"]),
                f"pooled without it ({percent} CI)": _with_interval(row, "before", back),
                f"pooled with it ({percent} CI)": _with_interval(row, "after", back),
                "moved by": _signed(float(back(row["after_estimate"])) - float(back(row["before_estimate"]))),
                "τ": " → ".join(taus),
                "zero": _conclusion(row),
            }
        )
    return pd.DataFrame(rows)


def _label(row: dict, x: str, y: str) -> str:
    return term_label(row["direction"], row["term"], x, y).replace("Fisher z", "partial r")


def _with_interval(row: dict, what: str, back) -> str:
    value = float(back(row[f"{what}_estimate"]))
    low, high = _ends_of(row, f"{what}_ci", back)
    return with_interval(value, low, high) if np.isfinite(low) else f"{number(value)} –"


def _ends_of(row: dict, what: str, back) -> tuple[float, float]:
    return float(back(row[f"{what}_low"])), float(back(row[f"{what}_high"]))


def _ends(row: dict, what: str, back) -> str:
    low, high = _ends_of(row, what, back)
    return interval(low, high) if np.isfinite(low) else "–"


def _p(row: dict) -> str:
    text = p_value(row["residual_p"])
    return text if text.startswith("<") else f"= {text}"


def _signed(value: float) -> str:
    text = number(value, 3)
    return text if text.startswith("−") or float(text) == 0 else f"+{text}"


def _conclusion(row: dict) -> str:
    before, after = row["before_verdict"], row["after_verdict"]
    return before if before == after else f"{before} → {after}"


def main_effects(result: Addition) -> Addition:
    """The same with the two cross-lagged effects and the outcome only, for the figure."""
    t = result.table
    cross = t["direction"].map({name: d.cross for name, d in DIRECTIONS.items()})
    plain = (t["term"] == "partial_r_z") & (t["variant"] == "main")
    wanted = (t["analysis"] == "lagged") & (t["term"] == cross) | plain
    return replace(result, table=t[wanted].reset_index(drop=True))


def sentences(result: Addition, x: str, y: str) -> list[str]:
    """What to know first: is the study as predicted, and did it change a conclusion."""
    t = result.table
    if not result.n_others:
        return [
            f"{result.label} is the only study of this run, so there is nothing to compare it with: add another study "
            "to the collection (twostage import, twostage accept), run it again, then repeat this command."
        ]
    if t.empty:
        return [f"{result.label} shares no coefficient with another study of the pool."]
    known = [row for row in main_effects(result).table.to_dict("records") if row["inside"] is not None]
    lines = [
        f"{_label(row, x, y)}: the study's estimate lies "
        f"{'inside' if row['inside'] else 'outside'} the range in which the other {row['before_k']} studies let one expect "
        f"it, sampling error included (deleted residual {number(row['residual'])}, p {_p(row)})."
        for row in known
    ]
    if t["before_k"].max() < 2:
        text = "The other study is a single one, so there is no pool to join: the table shows the two side by side."
        return [*lines, text]
    changed = t[t["conclusion_changed"]]
    many = f"{len(t)} coefficients" if len(t) > 1 else "one coefficient"
    if changed.empty:
        lines.append(f"Adding it changes for no confidence interval of {many} whether zero is included.")
    for row in changed.to_dict("records"):
        lines.append(f"Conclusion changed: {_label(row, x, y)}, {_conclusion(row)}.")
    flagged = t[t["is_influential"]]
    if len(flagged):
        named = "; ".join(_label(row, x, y) for row in flagged.to_dict("records"))
        lines.append(f"Influential by the rule of Viechtbauer and Cheung (2010): {named}.")
    return lines


def how(result: Addition) -> str:
    """How it was pooled, in a sentence."""
    text = f"τ² by {result.method}, {inference(result.ci)} inference, {100 * result.level:g} % intervals."
    share = 100 * (1 - result.level)
    text += (
        f" The range expected of the study's estimate has an error rate of {share:g} % for each coefficient: "
    )
    text += (
        f"where all studies follow the same process, {share:g} of 100 estimates lie outside of it by chance."
    )
    return text if result.converged else f"{text} Not every pooled fit converged."


def markdown(result: Addition, x: str, y: str, run: str) -> str:
    """A comment for a pull request that adds the study."""
    table = addition_table(result, x, y)
    parts = [f"## {myst(result.label)} ({myst(result.study)}) against the others", ""]
    parts += [f"- {myst(line)}" for line in sentences(result, x, y)]
    if len(table):
        parts += ["", as_markdown(*rows_of(table))]
    parts += [
        "",
        f"{myst(how(result))} Run {code(run)}; intervals of this study and of the pools in brackets.",
        "",
    ]
    return "\n".join(parts)


def alternative(result: Addition, x: str, y: str) -> str:
    """Text for those who cannot see the figure."""
    table = addition_table(result, x, y)
    parts = [
        f"{row['effect']}: this study {row['this study']}, expected {row['expected by the others']}"
        for row in table.to_dict("records")
    ]
    return f"{result.label} against the other studies. " + "; ".join(parts) + "."
