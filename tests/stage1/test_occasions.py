"""The centred model with session effects: against lme4 (tests/reference/occasions.R), and what it is blind to."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from twostage.collection.collection import Study
from twostage.collection.settings import Variable
from twostage.params import make_parameters
from twostage.stage1.equations import lagged
from twostage.stage1.panel import Panel, make_panel

REFERENCE = Path(__file__).parents[1] / "reference"
# lme4's optimiser stops within about 1e-8 of its optimum; the panels are written with 15 digits.
AGREEMENT = 1e-6
# lmerTest's degrees of freedom come from numerical second derivatives.
DF_AGREEMENT = 1e-3
# Session effects take up a shift of a whole session exactly; its size costs digits.
SAME = 1e-9


def panel_of(sessions: pd.DataFrame) -> Panel:
    sessions = sessions.assign(patient=[f"p{i:03d}" for i in sessions["patient"]])
    sessions = sessions.sort_values(["patient", "session"]).reset_index(drop=True)
    info = {"label": "T", "x_min": -9, "x_max": 9, "y_min": -9, "y_max": 9}
    variables = Variable("a", "alpha", "higher"), Variable("b", "beta", "lower")
    study = Study("T", info, *variables, sessions, None, "0" * 64, 1, 1)
    return make_panel(study, make_parameters({"standardize": "none", "stage1_errors": "model"}))


@pytest.fixture(scope="module")
def drawn() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "jackknife_panels.csv.gz")


@pytest.mark.parametrize("name", ["seven", "six"])
def test_agrees_with_lme4(drawn, name):
    panel = panel_of(drawn[drawn["panel"] == name].drop(columns="panel"))
    result = lagged(panel, occasions=True).tidy()
    recorded = pd.read_csv(REFERENCE / "occasions_estimates.csv").query("panel == @name")
    assert set(result["estimator"]) == {"centred_occasions"} and len(result) == len(recorded)
    for direction, outcome in (("x_to_y", "y"), ("y_to_x", "x")):
        ours = result[result["direction"] == direction].set_index("term")
        theirs = recorded[recorded["outcome"] == outcome].set_index("term").loc[ours.index]
        for column in ("estimate", "std_error"):
            np.testing.assert_allclose(ours[column], theirs[column], atol=AGREEMENT)
        np.testing.assert_allclose(ours["df"], theirs["df"], rtol=DF_AGREEMENT)
        for column in ("n_transitions", "n_patients"):
            assert (ours[column] == theirs[column]).all()


def test_blind_to_what_moves_everybody_alike(drawn):
    """Complete panel: adding a number of its own to every session changes the plain model, not this one."""
    complete = drawn[drawn["panel"] == "seven"].dropna().groupby("patient").filter(lambda d: len(d) == 7)
    complete = complete.drop(columns="panel")
    wave = np.array([0.0, 2.0, -1.0, 3.0, 5.0, -2.0, 1.0])
    moved = complete.assign(y=complete["y"] + wave[complete["session"] - 1])
    terms = ["x_within", "y_within"]

    def effects(sessions, **options):
        table = lagged(panel_of(sessions), **options).tidy()
        return table[table["term"].isin(terms)][["estimate", "std_error"]].to_numpy()

    np.testing.assert_allclose(effects(moved, occasions=True), effects(complete, occasions=True), atol=SAME)
    assert np.abs(effects(moved) - effects(complete)).max() > 0.1


def test_by_least_squares(drawn):
    """Where no variance is left between patients, the estimates are those of least squares with dummies."""
    panel = panel_of(drawn[drawn["panel"] == "six"].drop(columns="panel"))
    result = lagged(panel, occasions=True)
    assert result.glance()["singular"].all()
    rows = panel.transitions().dropna(subset=["y_next"])
    dummies = np.array([rows["session"] == t for t in range(2, 6)]).T
    X = np.column_stack([np.ones(len(rows)), rows[["x_within", "y_within", "x_mean", "y_mean"]], dummies])
    by_hand = np.linalg.lstsq(X, rows["y_next"])[0]
    ours = result.table[result.table["direction"] == "x_to_y"]
    names = ["session_3", "session_4", "session_5", "session_6"]
    assert ours["term"].tolist() == ["intercept", "x_within", "y_within", "x_mean", "y_mean", *names]
    np.testing.assert_allclose(ours["estimate"], by_hand, atol=SAME)


def test_a_session_that_cannot_be_told_apart_is_a_reason(drawn):
    few = drawn[(drawn["panel"] == "seven") & (drawn["patient"] < 4)].drop(columns="panel")
    result = lagged(panel_of(few), occasions=True)
    assert result.table.empty and result.failures["reason"].str.contains("too few|fewer|collinear").all()
