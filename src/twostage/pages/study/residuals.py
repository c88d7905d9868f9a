"""What the residuals of one study's lagged equations look like: what the model takes for granted and data may not."""

import numpy as np
import pandas as pd

from twostage.pages.common.style import pair
from twostage.stage1 import LargePanel, Panel, StudyEstimates
from twostage.stats.base import NotEstimable
from twostage.terms import DIRECTIONS, arrow


def residual_table(estimates: StudyEstimates, panel: Panel) -> pd.DataFrame:
    """Checks of the residuals of the lagged analysis, the patients' own intercepts left in them.

    Parameters
    ----------
    estimates : StudyEstimates
        Of :func:`twostage.stage1.equations.lagged`.
    panel : Panel

    Returns
    -------
    pandas.DataFrame
        One row per equation: `from one session to the next` (correlation of a patient's successive residuals), `largest
        over smallest variance of a session`, `skewness`, `excess kurtosis`, and `with the predictor's square` (correlation:
        a curve instead of a line).

    Raises
    ------
    NotEstimable
        A study that is read in pieces; no equation was fitted.
    """
    if isinstance(panel, LargePanel):
        raise NotEstimable("residuals are looked at in studies that are in memory")
    rows, found = panel.transitions(), []
    for d in DIRECTIONS.values():
        own = estimates.table[
            (estimates.table["direction"] == d.name) & (estimates.table["variant"] == "main")
        ]
        if own.empty:
            continue
        known = rows.dropna(subset=[f"{d.outcome}_next"]).assign(intercept=1.0)
        fitted = known[own["term"].tolist()].to_numpy() @ own["estimate"].to_numpy(float)
        known = known.assign(e=known[f"{d.outcome}_next"].to_numpy() - fitted)
        found.append(
            {"equation": arrow(d.name, *pair(panel))} | _checks(known, d.cross, panel.parameters.lag)
        )
    if not found:
        raise NotEstimable("no equation was fitted")
    return pd.DataFrame(found)


def _checks(rows: pd.DataFrame, predictor: str, lag: int) -> dict[str, float]:
    later = rows[["patient", "session", "e"]].assign(session=rows["session"] - lag)
    both = rows[["patient", "session", "e"]].merge(later, on=["patient", "session"], suffixes=("", "_next"))
    e = rows["e"].to_numpy() - rows["e"].mean()
    of_sessions = rows.groupby("session")["e"].agg(["var", "size"])
    variances = of_sessions.loc[of_sessions["size"] > 2, "var"]
    sd = e.std()
    square = (rows[predictor] - rows[predictor].mean()) ** 2
    return {
        "from one session to the next": _correlation(both["e"], both["e_next"]),
        "largest over smallest variance of a session": float(variances.max() / variances.min())
        if len(variances)
        else np.nan,
        "skewness": float((e**3).mean() / sd**3),
        "excess kurtosis": float((e**4).mean() / sd**4 - 3),
        "with the predictor's square": _correlation(rows["e"], square),
    }


def _correlation(a: pd.Series, b: pd.Series) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if len(a) > 2 and a.std() > 0 and b.std() > 0 else np.nan
