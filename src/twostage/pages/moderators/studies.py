"""What is known of each study as a whole: the moderators of a meta-regression."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from twostage.collection import Collection
from twostage.display import number, row_of
from twostage.records import Record
from twostage.words import say


@dataclass(frozen=True)
class StudyModerator:
    """One characteristic of studies.

    Attributes
    ----------
    name : str
        Column of the table.
    label : str
        In words, with the unit.
    category : bool
        Whether it names groups (False: a number).
    """

    name: str
    label: str
    category: bool


#: Values of the registry that say that nothing is known.
UNKNOWN = {"", "not stated", "unknown"}


def study_moderators(collection: Collection) -> tuple[StudyModerator, ...]:
    """The moderators that are looked at, numbers first."""
    x, y = collection.x.label, collection.y.label
    return (
        StudyModerator("year", "year", False),
        StudyModerator("log_n", say("log₂ of the number of patients"), False),
        StudyModerator("severity", f"mean {say('intake')} {y} (% of the scale's range)", False),
        StudyModerator(
            "severity_within", f"mean {say('intake')} {y}, deviation from studies of that instrument", False
        ),
        StudyModerator("missing", say("share of sessions missing"), False),
        StudyModerator("design", "design", True),
        StudyModerator("setting", "setting", True),
        StudyModerator("country", "country", True),
        StudyModerator("x_instrument", f"instrument of {x}", True),
        StudyModerator("y_instrument", f"instrument of {y}", True),
    )


def moderator_table(collection: Collection, records: Sequence[Record]) -> pd.DataFrame:
    """Moderators of the studies, from the registry and the description of their data.

    Parameters
    ----------
    collection : Collection
    records : sequence of Record
        The studies' `data` records.

    Returns
    -------
    pandas.DataFrame
        One row per record: study, label, and the columns of :func:`study_moderators`; NaN (None for a category) where
        a study does not have it.

        - year, design, setting, country, x_instrument, y_instrument: the registry's;
        - log_n: log2 of the patients in the panel, so that a coefficient is the change per doubling;
        - severity: mean intake score as percent of the instrument's possible range (percent of maximum possible, Cohen,
          Cohen, Aiken & West 1999, doi:10.1207/S15327906MBR3403_2), oriented as y. A common range is not a common
          meaning: instruments differ in how much of their range patients use;
        - severity_within: that, minus its mean over the studies with the same instrument (at least two): differences
          between instruments cannot enter;
        - missing: share of the window's sessions of included patients without both measures.

    Raises
    ------
    ValueError
        A record of another analysis, or of a study that is not in the collection.
    """
    registry = collection.studies.set_index("study")
    strange = [
        f"{r.study}/{r.analysis}" for r in records if r.analysis != "data" or r.study not in registry.index
    ]
    if strange:
        raise ValueError(f"expected data records of the collection's studies; got {', '.join(strange)}")
    table = pd.DataFrame([_row(row_of(registry, r.study), r) for r in records])
    same = table.groupby("y_instrument")["severity"]
    alone = same.transform("count") < 2
    return table.assign(severity_within=(table["severity"] - same.transform("mean")).mask(alone))


def _row(about: pd.Series, record: Record) -> dict:
    summary = {name: np.nan if value is None else value for name, value in record.summary.items()}
    span = about["y_max"] - about["y_min"]
    n = summary["n_patients"]
    texts = {c: about[c] for c in ("design", "setting", "country", "x_instrument", "y_instrument")}
    return {
        "study": record.study,
        "label": record.label,
        "year": float(about["year"]),
        "log_n": float(np.log2(n)) if n else np.nan,
        "severity": 100.0 * (summary.get("pre_mean", np.nan) - about["y_min"]) / span,
        "missing": summary["missing_share"],
    } | {c: None if str(text).strip() in UNKNOWN else str(text) for c, text in texts.items()}


#: Heads of the columns that are no words by themselves.
_HEADS = {
    "label": "study",
    "log_n": "log₂ patients",
    "x_instrument": "instrument of x",
    "y_instrument": "instrument of y",
    "severity": "intake (% of range)",
    "severity_within": "intake, deviation within instrument (% of range)",
    "missing": "share of sessions missing",
}


def shown_moderators(table: pd.DataFrame) -> pd.DataFrame:
    """The table as text, columns in words."""
    numbers = {"log_n": 1, "severity": 1, "severity_within": 1, "missing": 3}
    cells = {c: [number(x, d) for x in table[c]] for c, d in numbers.items()}
    shown = table.assign(year=[number(x, 0) for x in table["year"]], **cells)
    texts = ["label", "setting", "design", "country", "x_instrument", "y_instrument", "year"]
    return (
        shown[[*texts, *numbers]]
        .fillna("–")
        .rename(columns=lambda name: say(_HEADS.get(str(name), str(name))))
    )
