"""From sessions to model rows, on studies small enough to do by hand."""

import numpy as np
import pandas as pd
import pytest

from twostage.collection.collection import Study
from twostage.collection.settings import Variable
from twostage.params import make_parameters
from twostage.records.record import make_record
from twostage.stage1.describe import describe
from twostage.stage1.each_transition import transition
from twostage.stage1.equations import crosslevel, lagged, outcome
from twostage.stage1.panel import Panel, make_panel, varies
from twostage.stage1.sensitivity import sensitivity
from twostage.stage2.pool import pool_records

#: The numbers below are done by hand with fractions; only rounding may differ.
ROUNDING = dict(rel=1e-12, abs=1e-12)
NAN = float("nan")


def study(rows, patients=None, *, x_direction=1, y_direction=1) -> Study:
    """A study of the given (patient, session, x, y); x on a scale of 0 to 10, y of 1 to 20."""
    types = {"patient": str, "session": int, "x": float, "y": float}
    sessions = pd.DataFrame(rows, columns=list(types)).astype(types)
    info = {"study": "T", "label": "Tiny", "x_min": 0, "x_max": 10, "y_min": 1, "y_max": 20}
    variables = Variable("a", "alpha", "higher"), Variable("b", "beta", "lower")
    return Study("T", info, *variables, sessions, patients, "0" * 64, x_direction, y_direction)


def panel_of(rows, patients=None, *, x_direction=1, y_direction=1, **changes) -> Panel:
    """The panel of a tiny study, in scale points unless asked otherwise."""
    made = study(rows, patients, x_direction=x_direction, y_direction=y_direction)
    return make_panel(made, make_parameters({"standardize": "none", "min_sessions": 2} | changes))


def scores(panel: Panel, column: str, patient: str) -> list[float]:
    rows = panel.sessions[panel.sessions["patient"] == patient]
    return rows.sort_values("session")[column].tolist()


def counts(panel: Panel) -> list[int]:
    return panel.exclusions["n_patients"].tolist()


def pairs(panel: Panel) -> list[tuple]:
    """(patient, t, x at t + lag, y at t + lag) of every transition."""
    rows = panel.transitions()[["patient", "session", "x_next", "y_next"]]
    return list(rows.itertuples(index=False, name=None))


FOUR = [
    ("a", 1, 2, 10),
    ("a", 2, 4, 8),
    ("a", 3, 3, 6),
    ("b", 1, 6, 5),
    ("b", 2, 7, 9),
]


# --- window and orientation


def test_window_keeps_both_ends_and_nothing_beyond():
    rows = [("a", t, t, 2 * t) for t in range(8)]
    panel = panel_of(rows, first_session=2, last_session=5)
    assert scores(panel, "x", "a") == [2, 3, 4, 5]
    assert set(scores(panel, "x_mean", "a")) == {3.5}


def test_session_zero_can_be_in_the_window():
    panel = panel_of([("a", t, t, t) for t in range(4)], first_session=0, last_session=2)
    assert scores(panel, "y", "a") == [0, 1, 2]


def test_measures_scored_the_other_way_are_reflected_within_their_range():
    patients = pd.DataFrame({"patient": ["a", "b"], "pre": [1.0, 20.0], "post": [4.0, NAN]})
    panel = panel_of(FOUR, patients, x_direction=-1, y_direction=-1)
    assert scores(panel, "x", "a") == [8, 6, 7]
    assert scores(panel, "y", "a") == [11, 13, 15]
    assert panel.patients["pre"].tolist() == [20, 1]
    assert panel.patients["post"].iloc[0] == 17
    assert np.isnan(panel.patients["post"].iloc[1])


def test_only_the_measure_scored_the_other_way_is_reflected():
    patients = pd.DataFrame({"patient": ["a", "b"], "pre": [1.0, 20.0]})
    panel = panel_of(FOUR, patients, x_direction=-1)
    assert scores(panel, "x", "b") == [4, 3]
    assert scores(panel, "y", "b") == [5, 9]
    assert panel.patients["pre"].tolist() == [1, 20]


def test_reflection_changes_the_sign_of_deviations_only():
    straight, turned = (
        panel_of(FOUR, standardize="total"),
        panel_of(FOUR, standardize="total", x_direction=-1),
    )
    assert turned.scale == pytest.approx(straight.scale, **ROUNDING)
    assert scores(turned, "x_within", "a") == pytest.approx(
        [-v for v in scores(straight, "x_within", "a")], **ROUNDING
    )


def test_what_a_panel_is_made_of_is_not_changed():
    made = study(
        FOUR, pd.DataFrame({"patient": ["a", "b"], "pre": [1.0, 20.0]}), x_direction=-1, y_direction=-1
    )
    before = made.sessions.copy(), made.patients.copy()
    make_panel(made, make_parameters({"detrend": "patient"}))
    pd.testing.assert_frame_equal(made.sessions, before[0])
    pd.testing.assert_frame_equal(made.patients, before[1])


# --- standardization


def test_total_sd_by_hand():
    """x = 2, 4, 3, 6, 7: mean 22/5, squares about it (114 - 484/5) = 17.2 on 4 degrees of freedom."""
    panel = panel_of(FOUR, standardize="total")
    assert panel.scale["x"] == pytest.approx(np.sqrt(17.2 / 4), **ROUNDING)
    assert panel.scale["y"] == pytest.approx(np.sqrt((306 - 38**2 / 5) / 4), **ROUNDING)
    assert scores(panel, "x", "b") == pytest.approx([6 / np.sqrt(4.3), 7 / np.sqrt(4.3)], **ROUNDING)
    assert scores(panel, "x_within", "b") == pytest.approx(
        [-0.5 / np.sqrt(4.3), 0.5 / np.sqrt(4.3)], **ROUNDING
    )


def test_within_sd_by_hand():
    """Deviations -1, 1, 0 and -1/2, 1/2: squares 5/2 on 5 - 2 degrees of freedom."""
    panel = panel_of(FOUR, standardize="within")
    assert panel.scale["x"] == pytest.approx(np.sqrt(2.5 / 3), **ROUNDING)
    assert panel.scale["y"] == pytest.approx(np.sqrt((8 + 8) / 3), **ROUNDING)


def test_scale_points_are_left_alone():
    panel = panel_of(FOUR)
    assert panel.scale == {"x": 1.0, "y": 1.0}
    assert scores(panel, "y", "a") == [10, 8, 6]


@pytest.mark.parametrize("how", ["total", "within"])
def test_the_unit_does_not_depend_on_who_is_excluded(how):
    strict = panel_of(FOUR, standardize=how, min_sessions=3)
    assert strict.sessions["patient"].unique().tolist() == ["a"]
    assert strict.scale == panel_of(FOUR, standardize=how).scale


def test_the_unit_is_that_of_the_window():
    rows = [*FOUR, ("a", 4, 100, 100)]
    assert (
        panel_of(rows, standardize="total", last_session=3).scale == panel_of(FOUR, standardize="total").scale
    )


def test_missing_scores_do_not_enter_the_unit():
    rows = [*FOUR, ("b", 3, NAN, 7)]
    panel = panel_of(rows, standardize="within")
    assert panel.scale["x"] == pytest.approx(np.sqrt(2.5 / 3), **ROUNDING)
    assert panel.scale["y"] == pytest.approx(np.sqrt((8 + 8) / 4), **ROUNDING)


# --- trends


def test_own_lines_removed_by_hand():
    """a: y = 10, 8, 6 is a line, its mean 8 is left. x = 2, 4, 3: slope 1/2, so 2.5, 4, 2.5."""
    panel = panel_of(FOUR, detrend="patient")
    assert scores(panel, "y", "a") == pytest.approx([8, 8, 8], **ROUNDING)
    assert scores(panel, "x", "a") == pytest.approx([2.5, 4, 2.5], **ROUNDING)
    assert scores(panel, "x", "b") == pytest.approx([6.5, 6.5], **ROUNDING)


def test_own_lines_go_through_observed_sessions_only():
    """Scores 1, 5, 3 at sessions 1, 3, 4: slope (-5/3 * -2 + 1/3 * 2 + 4/3 * 0) / (42/9) = 6/7."""
    panel = panel_of([("a", 1, 1, 0), ("a", 3, 5, 0), ("a", 4, 3, 0), ("a", 2, NAN, 0)], detrend="patient")
    left = [1 + 5 / 3 * 6 / 7, 5 - 1 / 3 * 6 / 7, 3 - 4 / 3 * 6 / 7]
    observed = [v for v in scores(panel, "x", "a") if not np.isnan(v)]
    assert observed == pytest.approx(left, **ROUNDING)


def test_a_single_score_has_no_line_and_stays():
    panel = panel_of([*FOUR, ("c", 2, 9, 4)], detrend="patient")
    alone = panel.everyone[panel.everyone["patient"] == "c"]
    assert alone[["x", "y"]].to_numpy().tolist() == [[9, 4]]


def test_common_trend_removed_by_hand():
    """Within patients: x slope (-1*-1 + 1*0 + .5*.5*2) / (2 + .5) = 3/5; session mean 9/5."""
    panel = panel_of(FOUR, detrend="session")
    slope, middle = 1.5 / 2.5, 9 / 5
    by_hand = [x - slope * (t - middle) for t, x in ((1, 2), (2, 4), (3, 3))]
    assert scores(panel, "x", "a") == pytest.approx(by_hand, **ROUNDING)
    assert scores(panel, "x", "b") == pytest.approx([6 + slope * 0.8, 7 - slope * 0.2], **ROUNDING)


def test_common_trend_is_one_for_all_and_between_differences_are_no_trend():
    """b is higher and seen later; only changes within a patient count."""
    rows = [("a", 1, 0, 1), ("a", 2, 1, 1), ("b", 3, 9, 5), ("b", 4, 10, 5)]
    panel = panel_of(rows, detrend="session")
    assert scores(panel, "x_within", "a") == pytest.approx([0, 0], **ROUNDING)
    assert scores(panel, "x_within", "b") == pytest.approx([0, 0], **ROUNDING)
    assert scores(panel, "x", "b")[0] - scores(panel, "x", "a")[0] == pytest.approx(9 - 2, **ROUNDING)


# --- person means


def test_person_means_are_over_own_observed_sessions_of_each_variable():
    rows = [("a", 1, 2, 10), ("a", 2, NAN, 4), ("a", 3, 6, 1), ("b", 1, 1, 1), ("b", 2, 3, 2)]
    panel = panel_of(rows)
    assert scores(panel, "x_mean", "a") == [4, 4, 4]
    assert scores(panel, "y_mean", "a") == [5, 5, 5]
    assert scores(panel, "y_within", "a") == [5, -1, -4]
    assert scores(panel, "x_mean", "b") == [2, 2]


def test_deviations_sum_to_zero_and_restore_the_scores(panels):
    for panel in panels.values():
        rows = panel.sessions
        for v in ("x", "y"):
            assert (rows[f"{v}_within"] + rows[f"{v}_mean"]).to_numpy() == pytest.approx(
                rows[v].to_numpy(), nan_ok=True, **ROUNDING
            )
            assert rows.groupby("patient")[f"{v}_within"].sum().abs().max() < 1e-9


# --- the gap-safe lag


def test_neighbouring_sessions_are_paired():
    assert pairs(panel_of(FOUR)) == [("a", 1, 4, 8), ("a", 2, 3, 6), ("b", 1, 7, 9)]


def test_a_skipped_session_never_pairs_its_neighbours():
    rows = [("a", 1, 1, 1), ("a", 2, 2, 2), ("a", 4, 4, 4), ("a", 5, 5, 5), ("b", 1, 1, 2), ("b", 3, 3, 3)]
    assert pairs(panel_of(rows)) == [("a", 1, 2, 2), ("a", 4, 5, 5)]


def test_patients_are_never_paired_with_each_other():
    rows = [("a", 1, 1, 1), ("a", 2, 2, 2), ("b", 3, 3, 3), ("b", 4, 4, 4)]
    assert pairs(panel_of(rows)) == [("a", 1, 2, 2), ("b", 3, 4, 4)]


def test_order_of_rows_does_not_matter():
    rows = [("a", 3, 3, 6), ("b", 2, 7, 9), ("a", 1, 2, 10), ("b", 1, 6, 5), ("a", 2, 4, 8)]
    assert sorted(pairs(panel_of(rows))) == pairs(panel_of(FOUR))


def test_both_are_needed_now_but_only_the_outcome_later():
    rows = [
        ("a", 1, 1, 1),
        ("a", 2, NAN, 2),
        ("a", 3, 3, 3),
        ("a", 4, 4, NAN),
        ("a", 5, 5, 5),
        ("a", 6, 6, 6),
    ]
    found = panel_of(rows).transitions().set_index("session")
    # Session 2 lacks x and session 4 lacks y: neither predicts; each is an outcome for the variable it has.
    assert found.index.tolist() == [1, 3, 5]
    assert found["y_next"].tolist()[0] == 2
    assert np.isnan(found["x_next"].tolist()[0])
    assert found["x_next"].tolist()[1] == 4
    assert np.isnan(found["y_next"].tolist()[1])
    assert found.loc[5, ["x_next", "y_next"]].tolist() == [6, 6]


def test_a_session_with_neither_score_is_as_good_as_skipped():
    rows = [("a", 1, 1, 1), ("a", 2, NAN, NAN), ("a", 3, 3, 3), ("a", 4, 4, 4)]
    assert pairs(panel_of(rows)) == [("a", 3, 4, 4)]


def test_a_lag_of_two():
    rows = [("a", t, t, 10 * t) for t in (1, 2, 3, 5, 6)]
    assert pairs(panel_of(rows, lag=2)) == [("a", 1, 3, 30), ("a", 3, 5, 50)]


def test_pairs_carry_the_predictors_of_the_earlier_session():
    found = panel_of(FOUR).transitions()
    first = found[found["patient"] == "a"].iloc[0]
    assert first[["x_within", "y_within", "x_mean", "y_mean"]].tolist() == [-1, 2, 3, 8]
    assert {"x", "y"}.isdisjoint(found)


# --- eligibility


ELIGIBILITY = [
    *[("full", t, t, t + 1) for t in (1, 2, 3)],
    *[("exactly two", t, t, 2 * t) for t in (1, 3)],
    ("x only", 1, 5, NAN),
    ("x only", 2, 6, NAN),
    ("x only", 3, 7, 3),
    ("empty", 1, NAN, NAN),
    ("later", 9, 5, 5),
    ("later", 10, 6, 5),
]


def test_eligibility_counts_sessions_with_both_variables():
    panel = panel_of(ELIGIBILITY, min_sessions=2)
    assert sorted(panel.sessions["patient"].unique()) == ["exactly two", "full"]
    assert counts(panel) == [2, 1]
    assert counts(panel_of(ELIGIBILITY, min_sessions=3)) == [2, 2]


def test_every_patient_is_counted_once():
    patients = pd.DataFrame({"patient": [*dict.fromkeys(r[0] for r in ELIGIBILITY), "never came"]})
    panel = panel_of(ELIGIBILITY, patients, min_sessions=3)
    assert panel.n_enrolled == 6
    assert counts(panel) == [3, 2]
    assert panel.n_enrolled - sum(counts(panel)) == panel.sessions["patient"].nunique()
    flow = panel.flow()
    assert flow["n_patients"].tolist() == [6, -3, -2, 1]
    assert flow["n_patients"].iloc[:-1].sum() == flow["n_patients"].iloc[-1]


def test_reasons_name_the_window_and_the_limit():
    reasons = panel_of(ELIGIBILITY, min_sessions=3, last_session=6)
    assert reasons.exclusions["reason"].tolist() == [
        "no score in sessions 1 to 6",
        "fewer than 3 sessions with both variables",
    ]


def test_counts_add_up_in_every_synthetic_study(panels):
    for panel in panels.values():
        assert panel.n_enrolled - sum(counts(panel)) == panel.sessions["patient"].nunique() > 0


# --- studies that cannot be analysed: named, never a NaN and never an error from below


def block(x=None, y=None, *, n=12, sessions=7):
    """n patients, a grid of sessions; x and y are functions of (patient, session), else small random whole numbers."""
    rng = np.random.default_rng(4)
    cells = [(i, t) for i in range(n) for t in range(1, sessions + 1)]
    draw = {v: (f or (lambda i, t: float(rng.integers(0, 10)))) for v, f in (("x", x), ("y", y))}
    return [(f"p{i:02d}", t, draw["x"](i, t), draw["y"](i, t)) for i, t in cells]


def everyone(**columns) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"patient": [f"p{i:02d}" for i in range(12)]})
    return (
        frame.assign(pre=rng.integers(1, 20, 12), post=rng.integers(1, 20, 12))
        .astype({"pre": float, "post": float})
        .assign(**columns)
    )


FEW = "are too few"
FLAT = "x does not vary within patients"
EXACT = "reproduce the outcome exactly"
ONE_EACH = "every group has one observation"

#: rows, parameters, part of the reason for which the lagged models cannot be fitted.
IMPOSSIBLE = {
    "x constant": (block(x=lambda i, t: 5.0), {}, FLAT),
    "x constant and not a binary fraction": (block(x=lambda i, t: 0.1), {}, FLAT),
    "x constant, within SD": (block(x=lambda i, t: 0.1), {"standardize": "within"}, FLAT),
    "x constant in each patient": (block(x=lambda i, t: 0.1 * i), {}, FLAT),
    "x constant in each patient, within SD": (block(x=lambda i, t: 0.1 * i), {"standardize": "within"}, FLAT),
    "x constant in each patient, scale points": (
        block(x=lambda i, t: 0.1 * i),
        {"standardize": "none"},
        FLAT,
    ),
    "x constant in each patient, slopes": (block(x=lambda i, t: 0.1 * i), {"random_slopes": True}, FLAT),
    "y constant": (block(y=lambda i, t: 3.0), {}, "y does not vary within patients"),
    "x never observed": (block(x=lambda i, t: NAN), {}, FEW),
    "neither observed": (block(x=lambda i, t: NAN, y=lambda i, t: NAN), {}, FEW),
    "x is y": ([(p, t, x, x) for p, t, x, _ in block()], {}, "collinear"),
    "x a line, own trends removed": (block(x=lambda i, t: 1.0 * t), {"detrend": "patient"}, FLAT),
    "x a line, common trend removed": (block(x=lambda i, t: 1.0 * t), {"detrend": "session"}, FLAT),
    "both lines": (block(x=lambda i, t: 1.0 * t, y=lambda i, t: 2.0 * t), {}, EXACT),
    "three sessions, own trends removed": (block(sessions=3), {"detrend": "patient"}, EXACT),
    "one session": (block(sessions=1), {}, FEW),
    "one session, common trend": (block(sessions=1), {"detrend": "session"}, FEW),
    "one session, own trends": (block(sessions=1), {"detrend": "patient"}, FEW),
    "one session, within SD": (block(sessions=1), {"standardize": "within"}, FEW),
    "two sessions": (block(sessions=2), {"min_sessions": 2}, ONE_EACH),
    "two sessions, own trends": (block(sessions=2), {"min_sessions": 2, "detrend": "patient"}, FLAT),
    "longest lag": (block(), {"lag": 6}, ONE_EACH),
    "two transitions and random slopes": (block(sessions=3), {"random_slopes": True}, "3 random effects"),
    "one patient": (block(n=1), {}, FEW),
    "two patients": (block(n=2), {}, "collinear"),
    "nobody has enough sessions": (block(), {"min_sessions": 50}, FEW),
    "nobody in the window": (
        block(),
        {"first_session": 20, "last_session": 25, "early_last_session": 21},
        FEW,
    ),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_what_cannot_be_estimated_is_named(case):
    rows, changes, reason = IMPOSSIBLE[case]
    made = study(rows, everyone())
    parameters = make_parameters(changes)
    panel = make_panel(made, parameters)
    assert panel.n_enrolled - sum(counts(panel)) == panel.sessions["patient"].nunique()
    for fit in (lagged, crosslevel):
        result = fit(panel)
        assert len(result.table) == 0
        assert set(result.failures["direction"]) == {"x_to_y", "y_to_x"}
        assert result.failures["reason"].str.contains(reason).all(), result.failures["reason"].tolist()
    for result in (lagged(panel), crosslevel(panel), transition(panel), outcome(panel)):
        check_complete(panel, result)
    check_complete(panel, sensitivity(made, parameters))
    assert make_record(panel, describe(panel)).analysis == "data"


def check_complete(panel: Panel, result) -> None:
    """Each equation ends in numbers or in a reason, and stage 2 names what is left out."""
    numbers = result.table[["estimate", "std_error", "statistic", "p_value", "ci_low", "ci_high"]]
    assert np.isfinite(numbers.to_numpy(dtype=float)).all()
    assert (result.table["df"].astype(float) > 0).all()
    assert len(result.fits) + len(result.failures) > 0
    assert (result.failures["reason"].str.len() > 10).all()
    left_out = pool_records([make_record(panel, result)]).left_out
    assert len(left_out) == len(result.failures)


def test_every_transition_of_the_window_is_estimated_or_named():
    """A study that ends after session 4 says so for the transitions it does not have."""
    result = transition(make_panel(study(block(n=40, sessions=4)), make_parameters({})))
    named = result.failures["reason"] == "one of its two sessions has no scores"
    assert set(result.fits["variant"]) == {"1 to 2", "2 to 3", "3 to 4"}
    assert set(result.failures.loc[named, "variant"]) == {"4 to 5", "5 to 6", "6 to 7"}


#: Patients' data and why their outcome cannot be analysed.
NO_OUTCOME = {
    "no patient file": (None, FEW),
    "no posttreatment column": (everyone().drop(columns="post"), FEW),
    "no posttreatment score": (everyone(post=NAN), FEW),
    "no intake score": (everyone(pre=NAN), FEW),
    "posttreatment constant": (everyone(post=0.1), "post does not vary"),
    "intake constant": (everyone(pre=0.1), "pre does not vary"),
    "posttreatment is intake": (everyone().assign(post=lambda d: d["pre"]), EXACT),
}


@pytest.mark.parametrize("case", NO_OUTCOME)
def test_an_outcome_that_cannot_be_analysed_is_named(case):
    patients, reason = NO_OUTCOME[case]
    panel = make_panel(study(block(), patients), make_parameters({}))
    result = outcome(panel)
    assert result.failures["reason"].tolist()[0].find(reason) >= 0
    check_complete(panel, result)
    assert len(lagged(panel).failures) == 0


def test_early_x_that_repeats_intake_is_named():
    patients = everyone()
    rows = [(p, t, patients["pre"][int(p[1:])] if t < 4 else t, y) for p, t, _, y in block()]
    result = outcome(make_panel(study(rows, patients), make_parameters({})))
    assert result.failures["reason"].tolist() == ["early x and intake are the same up to scale"]


def test_rounding_is_not_variation():
    assert not varies([0.1 * 3, 0.3], [0.3])
    assert not varies([5.0], [5.0])
    assert not varies([], [])
    assert varies([0.3, 0.3 + 1e-9], [0.3])
