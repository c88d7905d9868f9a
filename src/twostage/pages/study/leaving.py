"""Who leaves early: the chance that a session was a patient's last one, by the scores at it."""

import numpy as np
import pandas as pd

from twostage.display import interval, number, rows_of
from twostage.pages.common.style import pair
from twostage.stage1 import LargePanel, Panel
from twostage.stats.base import NotEstimable
from twostage.stats.mixed import clustered, fit_mixed, with_clustered_errors
from twostage.words import say

#: Fewest patients who leave, and who stay, for each coefficient that is looked at.
FEWEST = 10


def leaving(panel: Panel) -> pd.DataFrame:
    """Regression of leaving after a session on both scores at it, with a level of each session.

    A linear model of the chance, so that a coefficient is a difference of chances per unit; standard errors take patients
    as clusters (CR2, Satterthwaite's degrees of freedom).

    Parameters
    ----------
    panel : Panel
        Everyone with a score in the window, before eligibility.

    Returns
    -------
    pandas.DataFrame
        term (x, y), estimate, std_error, df, p_value, ci_low, ci_high, n_patients, n_left.

    Raises
    ------
    NotEstimable
        A study that is read in pieces, too few patients who leave or stay, or nothing that varies.
    """
    if isinstance(panel, LargePanel):
        raise NotEstimable("who leaves is looked at in studies that are in memory")
    rows = _rows(panel)
    left = int(rows["left"].sum())
    stay = rows["patient"].nunique() - left
    if min(left, stay) < 2 * FEWEST:
        raise NotEstimable(
            f"{left} patients left before the last session and {stay} stayed: {2 * FEWEST} of each are needed"
        )
    sessions = sorted(rows["session"].unique())[1:]
    X = np.column_stack(
        [np.ones(len(rows)), rows[["x", "y"]], *(rows["session"] == s for s in sessions)]
    ).astype(float)
    names = ("intercept", "x", "y", *(f"session_{s}" for s in sessions))
    y, patients = rows["left"].to_numpy(float), rows["patient"].to_numpy()
    fit = fit_mixed(y, X, patients, names=names)
    table = with_clustered_errors(fit, clustered(fit, y, X, patients)).tidy(panel.parameters.level)
    kept = ["term", "estimate", "std_error", "df", "p_value", "ci_low", "ci_high"]
    return table.loc[table["term"].isin(["x", "y"]), kept].assign(
        n_patients=rows["patient"].nunique(), n_left=left
    )


def _rows(panel: Panel) -> pd.DataFrame:
    """Sessions with both scores but those at the window's end, and whether each was the patient's last with any score."""
    everyone = panel.everyone
    last = everyone.groupby("patient")["session"].max().rename("last").reset_index()
    rows = everyone.dropna(subset=["x", "y"]).merge(last, on="patient")
    rows = rows[rows["session"] < panel.parameters.last_session]
    return rows.assign(left=rows["session"] == rows["last"])


def leaving_sentence(table: pd.DataFrame, panel: Panel) -> str:
    """What :func:`leaving` found, and what it means for the analysis."""
    labels = dict(zip("xy", pair(panel), strict=True))
    found = "; ".join(
        f"{number(100 * r.estimate, 1)} percentage points {interval(100 * r.ci_low, 100 * r.ci_high, 1)} for each unit of "
        f"{labels[r.term]}"
        for r in rows_of(table)
    )
    clear = [labels[r.term] for r in rows_of(table) if r.ci_low > 0 or r.ci_high < 0]
    depends = f"Leaving depends on {' and '.join(clear)}" if clear else "Neither interval excludes zero"
    first = say(
        f"{table['n_left'].iloc[0]} of {table['n_patients'].iloc[0]} patients had no score after a session before the last "
        "one. The chance that a session was the last differs by "
    )
    return (
        f"{first}{found}. {depends}. The panel models allow for that where nothing but the scores seen so far decides; "
        "whether the scores nobody saw decide too, no data can tell."
    )
