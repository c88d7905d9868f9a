"""Description of a study before any model, by hand."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.formula.api import ols

from twostage.collection.collection import Study
from twostage.collection.settings import Variable
from twostage.params import make_parameters
from twostage.stage1.describe import describe, icc
from twostage.stage1.panel import make_panel

#: Hand arithmetic; only rounding may differ.
EXACT = 1e-12
NAN = float("nan")


def described(rows, patients=None, **changes):
    types = {"patient": str, "session": int, "x": float, "y": float}
    sessions = pd.DataFrame(rows, columns=list(types)).astype(types)
    info = {"label": "Tiny", "x_min": 0, "x_max": 10, "y_min": 0, "y_max": 20}
    variables = Variable("a", "alpha", "higher"), Variable("b", "beta", "lower")
    study = Study("T", info, *variables, sessions, patients, "0" * 64, 1, changes.pop("y_direction", 1))
    parameters = {"standardize": "none", "min_sessions": 2, "last_session": 3}
    return describe(make_panel(study, make_parameters(parameters | changes)))


TINY = [
    ("a", 1, 2, 10),
    ("a", 2, 4, 8),
    ("a", 3, 3, NAN),
    ("b", 1, 6, 5),
    ("b", 3, 8, 9),
    ("c", 1, 1, 1),
]


# --- the intraclass correlation


def test_icc_by_hand_with_equal_groups():
    """Groups (1, 3), (5, 7): MSB = 16, MSW = 2, n0 = 2: (16 - 2) / (16 + 2) = 7/9."""
    value = icc(pd.Series([1.0, 3.0, 5.0, 7.0]), pd.Series(["a", "a", "b", "b"]))
    assert value == pytest.approx(7 / 9, rel=EXACT)


def test_icc_by_hand_with_unequal_groups():
    """Groups (1, 2, 3), (7): means 2 and 7, grand 13/4; MSB = 75/4, MSW = 1, n0 = 4 - 10/4 = 3/2."""
    value = icc(pd.Series([1.0, 2.0, 3.0, 7.0]), pd.Series(["a", "a", "a", "b"]))
    assert value == pytest.approx((75 / 4 - 1) / (75 / 4 + 0.5 * 1), rel=EXACT)


def test_icc_may_be_negative():
    """Groups that agree more between than within: (1, 3), (3, 1) gives -1 at two per group."""
    assert icc(pd.Series([1.0, 3.0, 3.0, 1.0]), pd.Series(["a", "a", "b", "b"])) == pytest.approx(
        -1, rel=EXACT
    )


def test_icc_leaves_missing_scores_out():
    scores, groups = [1.0, 3.0, NAN, 5.0, 7.0, NAN], ["a", "a", "a", "b", "b", "c"]
    assert icc(pd.Series(scores), pd.Series(groups)) == pytest.approx(7 / 9, rel=EXACT)


def test_icc_agrees_with_an_analysis_of_variance(panels):
    """Mean squares by statsmodels' one-way ANOVA on a study with patients of all lengths."""
    rows = panels["S02"].sessions.dropna(subset=["x"])
    table = sm.stats.anova_lm(ols("x ~ C(patient)", rows).fit())
    between, within = table["mean_sq"]
    sizes = rows.groupby("patient").size()
    n0 = (len(rows) - (sizes**2).sum() / len(rows)) / (len(sizes) - 1)
    by_anova = (between - within) / (between + (n0 - 1) * within)
    assert icc(rows["x"], rows["patient"]) == pytest.approx(by_anova, rel=1e-9)


@pytest.mark.parametrize(
    ("scores", "groups"),
    [
        ([1.0, 2.0, 3.0], ["a", "a", "a"]),
        ([1.0, 2.0, 3.0], ["a", "b", "c"]),
        ([2.0, 2.0, 2.0, 2.0], ["a", "a", "b", "b"]),
        ([0.1, 0.1, 0.1 + 1e-17, 0.1], ["a", "a", "b", "b"]),
        ([NAN, NAN], ["a", "b"]),
        ([], []),
    ],
    ids=["one group", "one score each", "constant", "constant to rounding", "all missing", "nothing"],
)
def test_icc_that_is_not_defined_is_missing(scores, groups):
    assert np.isnan(icc(pd.Series(scores, dtype=float), pd.Series(groups, dtype=str)))


def test_icc_recovers_the_share_between_patients():
    """2,000 patients of 2 to 7 sessions, true share .4; four standard errors (Donner's large-sample formula)."""
    rng = np.random.default_rng(2)
    sizes = rng.integers(2, 8, 2000)
    groups = np.repeat(np.arange(2000), sizes)
    scores = np.sqrt(0.4) * rng.normal(size=2000)[groups] + np.sqrt(0.6) * rng.normal(size=len(groups))
    n0 = sizes.mean()
    error = np.sqrt(2 * (1 - 0.4) ** 2 * (1 + (n0 - 1) * 0.4) ** 2 / (n0 * (n0 - 1) * 2000))
    assert icc(pd.Series(scores), pd.Series(groups)) == pytest.approx(0.4, abs=4 * error)


# --- the summary


def test_summary_by_hand():
    """a and b have two joint sessions each; c has one and is out. a's mean x counts session 3, without y."""
    found = described(TINY).summary
    assert found["n_enrolled"] == 3
    assert found["n_patients"] == 2
    assert found["n_sessions"] == 4
    assert found["sessions_per_patient"] == 2
    assert found["missing_share"] == pytest.approx(1 - 4 / 6, rel=EXACT)
    # a 1 -> 2 both, a 2 -> 3 (x only); b's sessions 1 and 3 are not neighbours.
    assert found["n_transitions"] == 2
    assert (found["scale_x"], found["scale_y"]) == (1.0, 1.0)
    # Means: a (3, 9), b (7, 7), two patients: no correlation is defined by two points.
    assert np.isnan(found["r_between"])
    # Deviations with both: a (-1, 1), (1, -1); b (-1, -2), (1, 2): sum of products 2, squares 4 and 10.
    assert found["r_within"] == pytest.approx(2 / np.sqrt(4 * 10), rel=EXACT)


def test_correlations_on_a_study(panels):
    rows = panels["S02"].sessions
    found = describe(panels["S02"]).summary
    means = rows.groupby("patient")[["x", "y"]].mean()
    assert found["r_between"] == pytest.approx(means["x"].corr(means["y"]), rel=1e-9)
    both = rows.dropna(subset=["x", "y"])
    assert found["r_within"] == pytest.approx(both["x_within"].corr(both["y_within"]), rel=1e-9)


@pytest.mark.parametrize(
    "x", [lambda i: 0.1, lambda i: 0.1 * i], ids=["constant", "constant in each patient"]
)
def test_rounding_is_not_correlated_with_anything(x):
    """The mean of three times 0.1 is not 0.1; what is left over is no deviation."""
    rng = np.random.default_rng(1)
    rows = [(f"p{i}", t, x(i), float(rng.integers(0, 9))) for i in range(9) for t in (1, 2, 3)]
    for standardize in ("none", "within"):
        assert np.isnan(described(rows, standardize=standardize).summary["r_within"])
    assert np.isnan(described([(p, t, 0.1, y) for p, t, _, y in rows]).summary["r_between"])


def test_sessions_by_hand():
    table = described(TINY).sessions.set_index("session")
    assert table["n_x"].tolist() == [3, 1, 2]
    assert table["n_y"].tolist() == [3, 1, 1]
    assert table["n_both"].tolist() == [3, 1, 1]
    assert table["share_both"].tolist() == pytest.approx([1, 1 / 3, 1 / 3], rel=EXACT)
    assert table.loc[1, "x_mean"] == pytest.approx(3, rel=EXACT)
    assert table.loc[1, "x_sd"] == pytest.approx(np.sqrt((1 + 9 + 4) / 2), rel=EXACT)
    assert table.loc[3, "y_mean"] == 9
    assert np.isnan(table.loc[3, "y_sd"])


def test_sessions_are_in_the_unit_of_the_panel():
    plain, scaled = described(TINY), described(TINY, standardize="total")
    assert scaled.sessions["x_mean"].tolist() == pytest.approx(
        (plain.sessions["x_mean"] / scaled.summary["scale_x"]).tolist(), rel=EXACT
    )


PATIENTS = pd.DataFrame(
    {"patient": ["a", "b", "c", "d"], "pre": [12.0, 8.0, 10.0, NAN], "post": [NAN, 4.0, NAN, 3.0]}
)


def test_intake_and_outcome_are_counted():
    found = described(TINY, PATIENTS)
    assert found.summary["n_pre"] == 3
    assert found.summary["n_post"] == 2
    assert found.summary["pre_mean"] == 10
    assert found.summary["pre_sd"] == 2
    assert found.summary["n_enrolled"] == 4
    assert found.flow["n_patients"].tolist() == [4, -1, -1, 2]


def test_intake_is_oriented_like_the_sessions():
    assert described(TINY, PATIENTS, y_direction=-1).summary["pre_mean"] == 10
    shifted = PATIENTS.assign(pre=[12.0, 8.0, 13.0, NAN])
    assert described(TINY, shifted, y_direction=-1).summary["pre_mean"] == 9


def test_without_patients_nothing_is_said_of_intake():
    assert {"n_pre", "n_post", "pre_mean"}.isdisjoint(described(TINY).summary)
    assert "n_post" not in described(TINY, PATIENTS.drop(columns="post")).summary


def test_nobody_left_is_described_without_numbers():
    found = described(TINY, min_sessions=9)
    assert found.summary["n_patients"] == found.summary["n_sessions"] == found.summary["n_transitions"] == 0
    assert np.isnan(
        [found.summary[k] for k in ("sessions_per_patient", "missing_share", "icc_x", "r_within")]
    ).all()
    assert found.flow["n_patients"].iloc[-1] == 0


def test_a_description_shows_itself(panels):
    found = describe(panels["S02"])
    assert "<table" in found._repr_html_()
    tidy = found.tidy().set_index("quantity")["value"]
    assert tidy.to_dict() == found.summary
    assert found.glance().iloc[0]["n_patients"] == found.summary["n_patients"]
    assert set(found.tidy()["study"]) == {"S02"}


def test_description_and_analysis_speak_of_the_same_patients(panels):
    for panel in panels.values():
        found = describe(panel)
        assert found.summary["n_patients"] == found.flow["n_patients"].iloc[-1]
        assert found.summary["n_transitions"] == len(panel.transitions())
        assert found.exclusions.equals(panel.exclusions)


# --- ends of the scales


def test_shares_at_the_ends_by_hand():
    """Of x (0 to 10): 0, 10, 10, 5, 5; of y (0 to 20), scored the other way: 20, 0, 20 become 0, 20, 0."""
    rows = [("a", 1, 0, 20), ("a", 2, 10, NAN), ("a", 3, 10, 0), ("b", 1, 5, 20), ("b", 2, 5, NAN)]
    found = described(rows, y_direction=-1, standardize="total").summary
    assert [found[end] for end in ("floor_x", "ceiling_x", "floor_y", "ceiling_y")] == [
        0.2,
        0.4,
        2 / 3,
        1 / 3,
    ]
    assert np.isnan(described([("a", 1, 1, NAN), ("b", 1, 2, NAN)]).summary["floor_y"])
