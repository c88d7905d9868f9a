"""What a study's data look like before any model: who is in, what is missing, how x and y vary and covary."""

from dataclasses import dataclass
from functools import singledispatch

import numpy as np
import pandas as pd

from twostage.display import html_table
from twostage.stage1.panel import Panel, varies


@dataclass(frozen=True)
class Description:
    """Description of one panel.

    Attributes
    ----------
    study : str
    flow : pandas.DataFrame
        step, n_patients.
    exclusions : pandas.DataFrame
        reason, n_patients.
    sessions : pandas.DataFrame
        Per session of the window: session, n_x, n_y, n_both, share_both (of the patients in the window),
        x_mean, x_sd, y_mean, y_sd in the panel's unit.
    summary : dict
        n_enrolled, n_patients, n_sessions (with both), n_transitions, sessions_per_patient, missing_share,
        icc_x, icc_y, r_between, r_within, scale_x, scale_y, floor_x, ceiling_x, floor_y, ceiling_y; where known n_pre,
        n_post, pre_mean, pre_sd.
    """

    study: str
    flow: pd.DataFrame
    exclusions: pd.DataFrame
    sessions: pd.DataFrame
    summary: dict[str, float]

    def tidy(self) -> pd.DataFrame:
        """One row per quantity: study, quantity, value."""
        rows = [(self.study, name, value) for name, value in self.summary.items()]
        return pd.DataFrame(rows, columns=["study", "quantity", "value"])

    def glance(self) -> pd.DataFrame:
        """The summary as one row."""
        return pd.DataFrame([{"study": self.study} | self.summary])

    def _repr_html_(self) -> str:
        return html_table(self.flow) + html_table(self.tidy().drop(columns="study"))


@singledispatch
def describe(panel: Panel) -> Description:
    """Describe a panel.

    Parameters
    ----------
    panel : Panel

    Returns
    -------
    Description

    Notes
    -----
    ICC is the one-way analysis-of-variance estimator for unequal group sizes (Donner 1986,
    International Statistical Review 54, 67-82), which may be negative; r_between is the correlation of the person
    means, r_within of the deviations from them (both variables observed).
    """
    return Description(
        study=panel.study,
        flow=panel.flow(),
        exclusions=panel.exclusions,
        sessions=_by_session(panel),
        summary=_summary(panel) | _patients_summary(panel),
    )


def _by_session(panel: Panel) -> pd.DataFrame:
    rows = panel.everyone.assign(both=panel.everyone[["x", "y"]].notna().all(axis=1))
    table = rows.groupby("session").agg(
        n_x=("x", "count"),
        n_y=("y", "count"),
        n_both=("both", "sum"),
        x_mean=("x", "mean"),
        x_sd=("x", "std"),
        y_mean=("y", "mean"),
        y_sd=("y", "std"),
    )
    table.insert(3, "share_both", table["n_both"] / rows["patient"].nunique())
    return table.reset_index()


def icc(scores: pd.Series, groups: pd.Series) -> float:
    """One-way ANOVA intraclass correlation for unequal group sizes.

    Parameters
    ----------
    scores : Series (n,)
    groups : Series (n,)

    Returns
    -------
    float
        (MSB - MSW) / (MSB + (n0 - 1) MSW), n0 = (n - sum(n_i^2)/n) / (m - 1); nan where it is not defined.
    """
    known = scores.notna()
    scores, groups = scores[known], groups[known]
    sizes = scores.groupby(groups).size()
    n, m = len(scores), len(sizes)
    if m < 2 or n <= m:
        return float("nan")
    means = scores.groupby(groups).transform("mean")
    within = ((scores - means) ** 2).sum() / (n - m)
    between = ((means - scores.mean()) ** 2).sum() / (m - 1)
    n0 = (n - (sizes**2).sum() / n) / (m - 1)
    if not varies(scores, scores):
        return float("nan")
    return float((between - within) / (between + (n0 - 1) * within))


def _correlation(a: pd.Series, b: pd.Series) -> float:
    both = a.notna() & b.notna()
    a, b = a[both], b[both]
    if len(a) < 3 or not (varies(a, a) and varies(b, b)):
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def _summary(panel: Panel) -> dict[str, float]:
    rows = panel.sessions
    both = rows.dropna(subset=["x", "y"])
    persons = rows.drop_duplicates("patient")
    n_window = panel.parameters.last_session - panel.parameters.first_session + 1
    n = len(persons)
    return {
        "n_enrolled": panel.n_enrolled,
        "n_patients": n,
        "n_sessions": len(both),
        "n_transitions": len(panel.transitions()),
        "sessions_per_patient": len(both) / n if n else float("nan"),
        "missing_share": 1 - len(both) / (n * n_window) if n else float("nan"),
        "icc_x": icc(rows["x"], rows["patient"]),
        "icc_y": icc(rows["y"], rows["patient"]),
        "r_between": _correlation(persons["x_mean"], persons["y_mean"]),
        "r_within": _correlation(both["x_within"], both["y_within"]),
        "scale_x": panel.scale["x"],
        "scale_y": panel.scale["y"],
        **panel.at_ends,
    }


def _patients_summary(panel: Panel) -> dict[str, float]:
    if panel.patients is None:
        return {}
    known = {c: panel.patients[c].dropna() for c in ("pre", "post") if c in panel.patients}
    numbers: dict[str, float] = {f"n_{name}": len(scores) for name, scores in known.items()}
    if "pre" in known and len(known["pre"]) > 1:
        numbers |= {"pre_mean": float(known["pre"].mean()), "pre_sd": float(known["pre"].std(ddof=1))}
    return numbers
