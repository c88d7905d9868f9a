"""Lags of each transition: what they are, and that equal effects come out equal."""

import numpy as np
import pandas as pd
import pytest

from twostage.collection.collection import Study
from twostage.collection.settings import Variable
from twostage.params import make_parameters
from twostage.stage1 import lagged, make_panel, transition
from twostage.stats.riclpm import fit_riclpm

VARIABLES = Variable("a", "alpha", "higher"), Variable("b", "beta", "lower")
PHI = np.array([[0.3, -0.1], [-0.1, 0.3]])

#: Patients of the simulated study: the standard error of an effect is then .005.
PATIENTS = 20_000

#: Standard errors from the truth: a correct estimator fails one such comparison in 16,000, and the seed is fixed.
Z = 4.0


def study(scores: np.ndarray) -> Study:
    """A study with these scores (n, T, 2)."""
    n, T, _ = scores.shape
    rows = pd.DataFrame(
        {"patient": np.repeat([f"p{i}" for i in range(n)], T), "session": np.tile(range(1, T + 1), n)}
    )
    rows = rows.assign(x=scores[..., 0].ravel(), y=scores[..., 1].ravel()).dropna(
        subset=["x", "y"], how="all"
    )
    info = {"study": "T", "label": "Tiny", "x_min": -99, "x_max": 99, "y_min": -99, "y_max": 99}
    return Study("T", info, *VARIABLES, rows.reset_index(drop=True), None, "0" * 64, 1, 1)


def process(n: int, T: int = 7, seed: int = 3) -> np.ndarray:
    """Scores with levels of their own and the same lagged effects at each transition, long under way."""
    rng = np.random.default_rng(seed)
    w = np.zeros((n, T + 30, 2))
    for t in range(1, T + 30):
        w[:, t] = w[:, t - 1] @ PHI.T + rng.normal(size=(n, 2))
    return w[:, -T:] + rng.normal(size=(n, 1, 2))


@pytest.fixture(scope="module")
def large():
    return make_panel(study(process(PATIENTS)), make_parameters({"standardize": "none"}))


def cross(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["direction"] == "x_to_y") & (table["term"] == "x_within")]


def test_equal_effects_come_out_equal(large):
    """Where centring makes a U of them: lower by a third in the middle than at the ends."""
    rows = cross(transition(large).tidy())
    assert rows["variant"].tolist() == [f"{t} to {t + 1}" for t in range(1, 7)]
    assert ((rows["estimate"] - PHI[1, 0]).abs() < Z * rows["std_error"]).all()
    assert rows["std_error"].max() < 0.011
    pairs = large.transitions()
    slopes = [
        np.linalg.lstsq(
            own[["x_within", "y_within", "x_mean", "y_mean"]].assign(one=1.0), own["y_next"], rcond=None
        )
        for _, own in pairs.groupby("session")
    ]
    centred = np.array([found[0][0] for found in slopes])
    assert centred[2] / centred[-1] < 0.67
    assert cross(lagged(large).tidy())["estimate"].item() > PHI[1, 0]


def test_numbers_are_those_of_the_panel_model(panels):
    panel = panels["S02"]
    fit = fit_riclpm(panel.wide()[0], lags="free")
    rows = transition(panel).tidy().set_index(["variant", "direction", "term"])
    for t in range(6):
        places = {("x_to_y", "x_within"): (1, 0), ("x_to_y", "y_within"): (1, 1)}
        places |= {("y_to_x", "y_within"): (0, 1), ("y_to_x", "x_within"): (0, 0)}
        for key, place in places.items():
            row = rows.loc[(f"{t + 1} to {t + 2}", *key)]
            assert (row["estimate"], row["std_error"]) == (fit.phi[t][place], fit.phi_se[t][place])
            assert row["n_patients"] == fit.n_obs


@pytest.mark.parametrize(
    ("scores", "change", "reason"),
    [
        (process(60), {"lag": 2}, "the model is for lag 1 and 3 sessions or more, not for lag 2"),
        (process(60, T=2), {"last_session": 2, "min_sessions": 2}, "not for 2 sessions"),
        (process(20), {}, "20 persons with an observation for 33 parameters"),
        (
            np.where(np.arange(7)[:, None] == 3, np.nan, process(60)),
            {},
            "a session within the window has no scores",
        ),
    ],
    ids=["lag 2", "two sessions", "few", "a gap"],
)
def test_why_there_are_none(scores, change, reason):
    result = transition(make_panel(study(scores), make_parameters({"standardize": "none"} | change)))
    assert result.table.empty
    assert result.failures["reason"].str.contains(reason, regex=False).all()
    assert len(result.failures) > 0
