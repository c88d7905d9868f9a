"""What the manuscript's pages may quote of estimators side by side and of the recovery study."""

from pathlib import Path

import pandas as pd

from twostage.collection import Collection
from twostage.display import html_table, interval, number
from twostage.recovery.intervals import CONDITION
from twostage.recovery.store import Recovery, read_recovery
from twostage.tables_estimators import believe_rule, bias_aware_sentence, bias_aware_table, how_made
from twostage.tabular import read_own
from twostage.terms import ESTIMATORS

HOME = {"estimators": "stage2_estimators", "recovery": "stage2_recovery"}


def estimator_context(output: Path, collection: Collection) -> dict:
    """The part of :func:`twostage.manuscript.book_context` on estimators.

    Parameters
    ----------
    output : Path
        A run's ``output/``.
    collection : Collection

    Returns
    -------
    dict
        has_recovery, estimator_words (name -> words); functions: estimators(direction, term) that were pooled,
        difference(estimator, direction, term) from the headline, bias_aware(), recovery_made(), recovery_rule().
    """
    recovery = read_recovery(collection)
    return {
        "has_recovery": recovery is not None,
        "estimator_words": ESTIMATORS,
        "estimators": lambda direction, term: _names(output, direction, term),
        "difference": lambda *key: _difference(output, *key),
        "bias_aware": lambda: _bias_aware(output, collection, recovery),
        "recovery_made": lambda: how_made(recovery),
        "recovery_rule": believe_rule,
    }


def _comparison(output: Path) -> pd.DataFrame:
    return read_own(output / HOME["estimators"] / "comparison.csv")


def _names(output: Path, direction: str, term: str) -> list[str]:
    table = _comparison(output)
    return list(table.loc[(table["direction"] == direction) & (table["term"] == term), "estimator"])


def _difference(output: Path, estimator: str, direction: str, term: str) -> str:
    table = _comparison(output).set_index(["estimator", "direction", "term"])
    row = table.loc[(estimator, direction, term)]
    ends = interval(row["difference_ci_low"], row["difference_ci_high"], 3)
    return f"{number(row['difference_estimate'], 3)} {ends}"


def _bias_aware(output: Path, collection: Collection, recovery: Recovery | None) -> str:
    rows = read_own(output / HOME["estimators"] / "bias_aware.csv")
    return f"{bias_aware_sentence(rows, recovery, CONDITION)}\n\n{html_table(bias_aware_table(rows, collection))}"
