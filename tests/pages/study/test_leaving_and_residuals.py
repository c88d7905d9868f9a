"""Who leaves, and what residuals look like, in data of which it is known."""

import numpy as np
import pandas as pd
import pytest

from twostage.collection.collection import Study
from twostage.collection.settings import Variable
from twostage.pages.study.leaving import leaving, leaving_sentence
from twostage.pages.study.residuals import residual_table
from twostage.params import make_parameters
from twostage.stage1 import lagged, make_panel
from twostage.stats.base import NotEstimable

VARIABLES = Variable("a", "alpha", "higher"), Variable("b", "beta", "lower")


def panel_of(scores: np.ndarray):
    n, T, _ = scores.shape
    rows = pd.DataFrame(
        {"patient": np.repeat([f"p{i}" for i in range(n)], T), "session": np.tile(range(1, T + 1), n)}
    )
    rows = rows.assign(x=scores[..., 0].ravel(), y=scores[..., 1].ravel()).dropna().reset_index(drop=True)
    info = {"label": "Tiny", "x_min": -99, "x_max": 99, "y_min": -99, "y_max": 99}
    study = Study("T", info, *VARIABLES, rows, None, "0" * 64, 1, 1)
    return make_panel(study, make_parameters({"standardize": "none", "last_session": T}))


@pytest.fixture(scope="module")
def leavers():
    """Each session is the last with a chance of 10 %, and 6 points more for each unit of y; x has nothing to do with it."""
    rng = np.random.default_rng(4)
    scores = rng.normal(size=(3000, 5, 2))
    leaves = rng.random((3000, 5)) < np.clip(0.10 + 0.06 * scores[..., 1], 0, 1)
    gone = np.cumsum(np.pad(leaves, ((0, 0), (1, 0)))[:, :-1], axis=1) > 0
    return panel_of(np.where(gone[..., None], np.nan, scores))


def test_what_leaving_depends_on_is_found(leavers):
    table = leaving(leavers).set_index("term")
    assert abs(table.loc["y", "estimate"] - 0.06) < 4 * table.loc["y", "std_error"] + 0.01
    assert table.loc["y", "std_error"] < 0.005
    assert table.loc["x", "ci_low"] < 0 < table.loc["x", "ci_high"]
    said = leaving_sentence(leaving(leavers), leavers)
    assert "Leaving depends on beta." in said
    assert f"{table['n_left'].iloc[0]} of 3000 patients" in said


def test_where_nobody_leaves_it_is_said():
    with pytest.raises(NotEstimable, match="0 patients left"):
        leaving(panel_of(np.random.default_rng(1).normal(size=(100, 4, 2))))


def test_residuals_by_hand(leavers):
    estimates = lagged(leavers)
    row = residual_table(estimates, leavers).iloc[0]
    table = estimates.table[estimates.table["direction"] == "x_to_y"].set_index("term")["estimate"]
    rows = leavers.transitions()
    e = (
        rows["y_next"]
        - table["intercept"]
        - sum(table[t] * rows[t] for t in ("x_within", "y_within", "x_mean", "y_mean"))
    )
    variance = e.groupby(rows["session"]).var()
    assert row["largest over smallest variance of a session"] == pytest.approx(
        variance.max() / variance.min()
    )
    assert row["skewness"] == pytest.approx(((e - e.mean()) ** 3).mean() / e.std(ddof=0) ** 3)
    wide = pd.DataFrame({"p": rows["patient"], "s": rows["session"], "e": e}).pivot(
        index="p", columns="s", values="e"
    )
    first, second = (wide[[1, 2, 3]].to_numpy().ravel(), wide[[2, 3, 4]].to_numpy().ravel())
    known = np.isfinite(first) & np.isfinite(second)
    assert row["from one session to the next"] == pytest.approx(
        np.corrcoef(first[known], second[known])[0, 1]
    )
