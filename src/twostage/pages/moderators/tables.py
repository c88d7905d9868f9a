"""Moderators of a pooled coefficient as formatted tables and sentences."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from twostage.display import interval, number, number_in, p_value, row_of, rows_of, with_interval
from twostage.pages.moderators.analysis import ARRANGEMENTS, SEED, Moderation, capital
from twostage.pages.moderators.studies import StudyModerator
from twostage.stage2 import Attempt
from twostage.text import Markup, myst

#: Digits in which settings of a number are shown.
_DIGITS = {"year": 0, "log_n": 1, "severity": 1, "severity_within": 1, "missing": 3}


def omnibus_text(statistic: float, df: float, df2: float) -> str:
    """``F(2, 14) = 1.30`` or ``χ²(2) = 2.60``."""
    if not np.isfinite(statistic):
        return number(statistic)
    name = f"F({df:g}, {df2:g})" if np.isfinite(df2) else f"χ²({df:g})"
    return f"{name} = {number(statistic)}"


def moderation_table(moderation: Moderation, level: float) -> pd.DataFrame:
    """One row per moderator tested; all text."""
    ci = f"{100 * level:g} % CI"
    rows = []
    for row in rows_of(moderation.table):
        slope = with_interval(row.slope, row.ci_low, row.ci_high, 3) if row.slope == row.slope else "–"
        rows.append(
            {
                "k": str(row.k),
                "moderator": row.label,
                f"change per unit [{ci}]": slope,
                "test": omnibus_text(row.statistic, row.df, row.df2),
                "p": p_value(row.p_value),
                "permutation p": p_value(row.permutation_p_value),
                "p (Holm)": p_value(row.holm_p_value),
                "R² (%)": number(row.r2, 0),
                f"residual τ [{ci}]": with_interval(row.tau, row.tau_low, row.tau_high, 3),
            }
        )
    columns = ["k", "moderator", f"change per unit [{ci}]", "test", "p", "permutation p", "p (Holm)"]
    return pd.DataFrame(rows, columns=[*columns, "R² (%)", f"residual τ [{ci}]"])


def predictions_table(predictions: pd.DataFrame, level: float) -> pd.DataFrame:
    """Effects expected at some settings of the moderators; all text."""
    rows = [
        {
            "k": "" if pd.isna(row.k) else str(row.k),
            "moderator": row.label,
            "at": row.at if isinstance(row.at, str) else number(row.at, _DIGITS[row.moderator]),
            "expected effect": number_in(row.estimate, row.ci_low, row.ci_high, 3),
            f"{100 * level:g} % CI": interval(row.ci_low, row.ci_high, 3),
            "prediction interval": interval(row.pi_low, row.pi_high, 3),
        }
        for row in rows_of(predictions)
    ]
    columns = ["k", "moderator", "at", "expected effect", f"{100 * level:g} % CI", "prediction interval"]
    return pd.DataFrame(rows, columns=columns)


def scale_table(found: Mapping[str, Attempt], wanted: tuple[StudyModerator, ...]) -> pd.DataFrame:
    """Location-scale models: change of log τ² per unit of the moderator; all text."""
    labels = {m.name: m.label for m in wanted}
    rows = [
        {
            "k": str(fit.k),
            "moderator": labels[name],
            "change of log τ² per unit": number_in(
                fit.alpha[1], fit.alpha_ci_low[1], fit.alpha_ci_high[1], 2
            ),
            "interval": interval(fit.alpha_ci_low[1], fit.alpha_ci_high[1], 2),
            "p": p_value(fit.alpha_p_value[1]),
            "likelihood ratio p": p_value(fit.lr_p_value),
        }
        for name, fit in ((name, one.result) for name, one in found.items() if one)
    ]
    columns = ["k", "moderator", "change of log τ² per unit", "interval", "p", "likelihood ratio p"]
    return pd.DataFrame(rows, columns=columns)


def scale_words(found: Mapping[str, Attempt], wanted: tuple[StudyModerator, ...]) -> str:
    """What the location-scale models could not answer."""
    labels = {m.name: capital(m.label) for m in wanted}
    missing = [f"{labels[n]}: no location-scale model, {one.reason}." for n, one in found.items() if not one]
    return " ".join(missing) or "Every model was fitted."


def aside_words(moderation: Moderation) -> str:
    """What was set aside, as a Markdown list."""
    lines = [f"- {myst(sentence)}" for sentence in moderation.aside]
    return Markup("\n".join(lines)) if lines else "Every moderator could be tested with every study."


def caution_words(moderation: Moderation, level: float) -> str:
    """How many tests there are, of how many studies, and what that means."""
    m = len(moderation.table)
    if m == 0:
        return "No moderator could be tested."
    alpha, fewest, most = 1 - level, moderation.table["k"].min(), moderation.table["k"].max()
    k = f"{most}" if fewest == most else f"{fewest} to {most}"
    below = int((moderation.table["permutation_p_value"] <= alpha).sum())
    kept = int((moderation.table["holm_p_value"] <= alpha).sum())
    return (
        f"{m} moderators were tested with {k} studies each. Were none of them related to the effect, "
        f"{number(m * alpha, 1)} of {m} permutation p-values would be expected at or below {number(alpha)}; there are "
        f"{below}, and {kept} after Holm's adjustment. Permutation tests use {ARRANGEMENTS:,} arrangements of the "
        f"moderator (all, where fewer exist), seed {SEED}."
    )


def bubble_alt(moderation: Moderation, name: str) -> str:
    """Text for those who cannot see a bubble plot."""
    row = row_of(moderation.table.set_index("moderator"), name)
    change = with_interval(row["slope"], row["ci_low"], row["ci_high"], 3)
    return (
        f"Bubble plot of {row['k']} studies against {row['label']}: change of the effect per unit {change}."
    )


def moderation_words(moderations: list[Moderation], level: float) -> pd.DataFrame:
    """:func:`caution_words` of several directions: direction, term, words."""
    rows = [(m.direction, m.term, caution_words(m, level)) for m in moderations]
    return pd.DataFrame(rows, columns=["direction", "term", "words"])
