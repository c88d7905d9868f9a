"""What was checked of each study, and its risk of bias, as tables."""

from collections.abc import Sequence

import pandas as pd

from twostage.collection import JUDGEMENTS
from twostage.display import MISSING, count, percent
from twostage.records import Record
from twostage.words import say

#: A judgement's sign, so that a table can be read without colours.
SIGNS = dict(zip(JUDGEMENTS, ("+", "–", "×", "?"), strict=True))


def integrity_table(records: Sequence[Record]) -> pd.DataFrame:
    """One row per study: what its files hold, and which data these are.

    Parameters
    ----------
    records : sequence of Record
        Of the analysis ``data``.
    """
    rows = []
    for record in records:
        summary = record.summary
        share = summary.get("missing_share")
        rows.append(
            {
                "study": record.label,
                say("patients in the files"): _count(summary.get("n_enrolled")),
                say("sessions with a score"): _count(summary.get("n_sessions")),
                "scores missing": MISSING if share is None else percent(share, 1),
                "checksum of the data": record.data_checksum[:12],
            }
        )
    return pd.DataFrame(rows)


def _count(value: float | None) -> str:
    return MISSING if value is None else count(value)


def bias_table(judgements: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame:
    """Studies in rows, domains in columns, each cell a sign and the judgement.

    Parameters
    ----------
    judgements : pandas.DataFrame
        study, domain, judgement, as in ``risk_of_bias.csv``.
    labels : dict
        Study -> its name, for the studies to show.
    """
    shown = judgements[judgements["study"].isin(list(labels))]
    wide = shown.pivot(index="study", columns="domain", values="judgement")
    wide = wide.reindex(index=[s for s in labels if s in set(wide.index)], columns=shown["domain"].unique())
    cells = wide.map(lambda word: MISSING if pd.isna(word) else f"{SIGNS[word]} {word}")
    return cells.rename(index=labels).rename_axis("study").reset_index().rename_axis(columns=None)


def bias_shares(judgements: pd.DataFrame, studies: Sequence[str]) -> pd.DataFrame:
    """How many of some studies have each judgement: one row per domain."""
    shown = judgements[judgements["study"].isin(list(studies))]
    counts = pd.crosstab(shown["domain"], shown["judgement"]).reindex(columns=list(JUDGEMENTS), fill_value=0)
    return counts.reindex(shown["domain"].unique()).rename_axis(columns=None).reset_index()


def bias_reasons(judgements: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame:
    """Why a domain of a study was judged so, where somebody said it."""
    shown = judgements[judgements["study"].isin(list(labels)) & (judgements["reason"].str.strip() != "")]
    return shown.assign(study=shown["study"].map(labels))[["study", "domain", "judgement", "reason"]]
