"""What leaves the house: no small cell, none by subtraction, and the estimates as they are."""

import json

import numpy as np
import pytest

from twostage.params import make_parameters
from twostage.problems import Problem
from twostage.records.record import ANALYSES, Exclusion, Failure, Record, make_record
from twostage.sharing.disclosure import WHOLE, protect
from twostage.sharing.layout import DisclosureError, Filters
from twostage.sharing.local import Local, look
from twostage.sharing.summaries import Counts, protect_summary
from twostage.stage1 import sensitivity
from twostage.stage1.panel import make_panel

STUDIES = ["S01", "S02", "S03"]


#: Many patients with rows in one direction only: no matrix is withheld for it.
MANY = Local(1000)


def shared(records: dict[str, Record], local: Local = MANY, **filters) -> dict[str, Record]:
    return protect(records, exact(**filters), local)[0]


def exact(**filters) -> Filters:
    """Filters that do not round unless they are told to."""
    return Filters(**{"digits": None} | filters)


def patient_counts(record: Record) -> list[int]:
    """Every number of patients that a record shows or that its shown numbers give by one subtraction."""
    counts = [record.n_enrolled, *[e.n_patients for e in record.exclusions]]
    counts += [v for name, v in record.summary.items() if name.startswith("n_") and name not in OBSERVED]
    counts += [v for row in record.sessions for name, v in row.items() if name.startswith("n_")]
    left = record.n_enrolled
    for e in record.exclusions:
        left = None if left is None or e.n_patients is None else left - e.n_patients
        counts.append(left)
    return [int(n) for n in counts if n is not None]


OBSERVED = {"n_sessions", "n_transitions"}


@pytest.mark.parametrize("least", [3, 5, 12])
@pytest.mark.parametrize("study", STUDIES)
def test_no_count_is_small_and_none_can_be_had_by_subtraction(true_records, study, least):
    records = shared(true_records[study], tab=least)
    models = {e.n_patients for r in records.values() for e in r.estimates}
    cells = {e.n_patients for r in records.values() for e in r.exclusions if e.n_patients}
    totals = {n for r in records.values() for n in patient_counts(r)} - cells - {0}
    assert all(n >= least for n in cells | totals)
    for total in totals - models:
        near = {other for other in totals | models if 0 < abs(other - total) < least}
        assert not near, f"{total} and {near}"


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("analysis", ANALYSES)
def test_estimates_and_covariances_are_shared_as_they_are(true_records, study, analysis):
    true, record = true_records[study][analysis], shared(true_records[study], glm=1.0, tab=3)[analysis]
    assert record.estimates == true.estimates
    assert record.joint_covariances == true.joint_covariances
    assert record.fits == tuple(f.model_copy(update={"loglik": None}) for f in true.fits)
    for ours, theirs in zip(record.covariances, true.covariances, strict=True):
        assert (ours == with_intercept_of(theirs, ours)) == (analysis in {*WHOLE, "outcome"})
        assert np.diag(ours.matrix).tolist() == np.diag(theirs.matrix).tolist()


def with_intercept_of(matrix, ours):
    """A matrix without the covariances of the intercept, where ours has none."""
    if "intercept" not in matrix.terms:
        return matrix
    rows = [list(row) for row in matrix.matrix]
    at = matrix.terms.index("intercept")
    for i in (i for i in range(len(rows)) if i != at):
        assert ours.matrix[at][i] is ours.matrix[i][at] is None
        rows[at][i] = rows[i][at] = None
    return matrix.model_copy(update={"matrix": tuple(map(tuple, rows))})


ORDER = ["intercept", "x_within", "y_within", "x_mean", "y_mean"]


def subtracted(record: Record, variant: str) -> np.ndarray:
    """X'X of y -> x less that of x -> y, as whoever has both covariance matrices can compute."""
    sigma2 = {(f.variant, f.direction): f.sigma2 for f in record.fits}
    x, y = (
        sigma2[variant, d] * np.linalg.inv(record.covariance(d, variant).loc[ORDER, ORDER].to_numpy())
        for d in ("x_to_y", "y_to_x")
    )
    return y - x


#: Digits that two inversions of a 5 x 5 matrix leave of a score.
SCORE_DIGITS = 1e-6


def test_two_matrices_would_give_a_patients_scores_and_are_not_shared(three, true_records):
    variant, session_5 = "sessions 1-5", make_parameters({"last_session": 5})
    rows = make_panel(three.study("S03"), session_5).transitions()
    few = rows[rows[["x_next", "y_next"]].isna().any(axis=1)]
    assert len(few) == 1, "one patient lacks one outcome"
    # The model's errors: those with patients as clusters are no function of the predictors alone.
    study, model = three.study("S03"), make_parameters({"stage1_errors": "model"})
    record, row = make_record(make_panel(study, model), sensitivity(study, model)), few.iloc[0]
    difference = subtracted(record, variant)[0] * (-1 if np.isnan(row["x_next"]) else 1)
    assert difference == pytest.approx([1.0, *row[ORDER[1:]]], abs=SCORE_DIGITS)
    for analysis in set(ANALYSES) - {*WHOLE, "outcome"}:
        for c in shared(true_records["S02"])[analysis].covariances:
            assert {v for i, r in enumerate(c.matrix) for j, v in enumerate(r) if i != j} == {None}


@pytest.mark.parametrize(("apart", "whole"), [(0, True), (1, False), (4, False), (5, True)])
def test_matrices_of_both_directions_are_shared_only_if_many_patients_tell_them_apart(
    true_records, apart, whole
):
    records, report = protect(true_records["S02"], exact(), Local(apart))
    for analysis in WHOLE:
        for ours, theirs in zip(
            records[analysis].covariances, true_records["S02"][analysis].covariances, strict=True
        ):
            assert (ours == with_intercept_of(theirs, ours)) == whole
        assert (
            records[analysis].joint_covariances == true_records["S02"][analysis].joint_covariances
        ) == whole
        assert [e.std_error for e in records[analysis].estimates] == [
            e.std_error for e in true_records["S02"][analysis].estimates
        ]
        note = f"records/{analysis}.json: covariances between coefficients"
        withheld = next(check.withheld for check in report.checks if check.name == "covariances")
        assert (note in withheld) != whole


def test_patients_with_one_direction_only_are_counted(three):
    study, parameters = three.study("S02"), make_parameters({})
    rows = make_panel(study, parameters).transitions()
    lacking = rows[rows["x_next"].isna() | rows["y_next"].isna()]
    assert look(study, parameters, 5).one_sided == len(set(lacking["patient"])) > 0


def test_a_session_count_that_equals_a_models_size_is_not_shown_beside_another_near_it(true_records):
    data = true_records["S02"]["data"]
    row = {**data.sessions[0], "n_x": 53.0, "n_y": 40.0}
    record = data.model_copy(update={"sessions": (row,)})
    _, (near,) = protect_summary(record, Counts((53, 51), 5), Counts((), 5), 5, MANY)
    _, (far,) = protect_summary(record, Counts((53, 60), 5), Counts((), 5), 5, MANY)
    assert [(r["n_x"], r["n_y"]) for r in (near, far)] == [(None, 40), (53, 40)]


def test_a_mean_of_equal_scores_is_each_ones_score_and_withheld(true_records):
    data = true_records["S02"]["data"]
    row = {**data.sessions[0], "x_mean": 6.0, "x_sd": 0.0}
    record = data.model_copy(
        update={
            "sessions": (row,),
            "summary": data.summary | {"n_pre": 50.0, "pre_mean": 9.0, "pre_sd": 0.0},
        }
    )
    summary, (shown,) = protect_summary(record, Counts((), 5), Counts((), 5), 5, MANY)
    assert (shown["x_mean"], shown["x_sd"]) == (None, None)
    assert (summary["pre_mean"], summary["pre_sd"]) == (None, None)
    assert shown["y_mean"] is not None


def test_models_that_few_patients_are_missing_from_are_named_in_the_report(true_records):
    records = true_records["S02"]
    n = int(records["data"].summary["n_patients"])
    fits = tuple(f.model_copy(update={"n_patients": n - 2}) for f in records["outcome"].fits)
    rows = tuple(e.model_copy(update={"n_patients": n - 2}) for e in records["outcome"].estimates)
    outcome = records["outcome"].model_copy(update={"fits": fits, "estimates": rows})
    remains = protect(records | {"outcome": outcome}, exact(), MANY)[1].remains[0]
    assert "fewer than nfilter.tab patients of the panel are missing" in remains
    assert "outcome (2)" in remains


def with_flow(records, enrolled: int, excluded: dict[str, int]):
    """Records whose patients were excluded in this way."""
    rows = tuple(Exclusion(reason=r, n_patients=n) for r, n in excluded.items())
    left = enrolled - sum(excluded.values())
    change = {"n_enrolled": enrolled, "exclusions": rows, "estimates": (), "covariances": (), "fits": ()}
    made = {a: r.model_copy(update=change) for a, r in records.items()}
    summary = {"n_enrolled": float(enrolled), "n_patients": float(left)}
    return made | {"data": made["data"].model_copy(update={"summary": summary, "sessions": ()})}


@pytest.mark.parametrize(
    ("enrolled", "excluded", "expected"),
    [
        # 3 is small, and would be 100 - 90 - 7: both go, the totals stay.
        (100, {"a": 3, "b": 7}, (100, [None, None], 90)),
        # All are large.
        (100, {"a": 10, "b": 20}, (100, [10, 20], 70)),
        # 100 - 97 would be the small cell: the later total goes too.
        (100, {"a": 0, "b": 3}, (100, [0, None], None)),
        (100, {"a": 0, "b": 0}, (100, [0, 0], 100)),
    ],
)
def test_small_exclusions_take_with_them_what_would_give_them_away(
    true_records, enrolled, excluded, expected
):
    records = shared(with_flow(true_records["S02"], enrolled, excluded))
    for record in records.values():
        assert (record.n_enrolled, [e.n_patients for e in record.exclusions]) == expected[:2]
    assert records["data"].summary["n_patients"] == expected[2]


def test_a_small_study_is_refused(true_records):
    n = int(true_records["S01"]["data"].summary["n_patients"])
    with pytest.raises(DisclosureError) as refused:
        shared(true_records["S01"], subset=n + 1)
    expected = f"at least nfilter.subset = {n + 1} patients in the panel, or nothing is shared"
    assert refused.value.problems == (Problem("S01", None, "n_patients", n, expected),)
    assert shared(true_records["S01"], subset=n)


def test_an_equation_with_too_many_coefficients_is_withheld_and_named(true_records):
    records = true_records["S02"]
    n = records["lagged"].estimates[0].n_patients
    just_enough = 5.001 / n
    assert shared(records, glm=just_enough)["lagged"].estimates == records["lagged"].estimates
    record = shared(records, glm=just_enough * 0.999)["lagged"]
    assert (record.estimates, record.covariances, record.fits) == ((), (), ())
    needed = int(np.ceil(5 / (just_enough * 0.999)))
    reason = f"withheld by the site: too few patients (nfilter.glm), at least {needed} are needed"
    assert {(f.direction, f.reason) for f in record.failures} == {("x_to_y", reason), ("y_to_x", reason)}


def test_a_model_that_tells_a_small_exclusion_is_withheld(true_records):
    records = true_records["S02"]
    n = int(records["data"].summary["n_patients"])
    larger = tuple(
        e.model_copy(update={"n_patients": n + 3 * (e.variant == "riclpm")})
        for e in records["estimators"].estimates
    )
    record = records["estimators"].model_copy(update={"estimates": larger, "fits": ()})
    kept = protect(records | {"estimators": record}, exact(), MANY)[0]["estimators"]
    assert {e.variant for e in larger} - {e.variant for e in kept.estimates} == {"riclpm"}
    assert "withheld by the site: too few patients (nfilter.tab)" in {f.reason for f in kept.failures}
    assert shared(records | {"estimators": record}, tab=3)["estimators"].estimates == larger


def test_the_report_names_what_was_withheld(true_records):
    records, report = protect(true_records["S02"], exact(glm=0.01), MANY)
    notes = {check.name: check.withheld for check in report.checks}
    assert "records/lagged.json: main, x_to_y" in notes["nfilter.glm"]
    data = records["data"]
    lost = [
        n for n, v in data.summary.items() if v is None and true_records["S02"]["data"].summary[n] is not None
    ]
    assert [f"records/data.json: {name}" in notes["nfilter.tab"] for name in lost] == [True] * len(lost)
    assert not shared(true_records["S02"], glm=0.01)["lagged"].estimates


def test_reasons_do_not_count_patients(true_records):
    reason = "3 patients are too few for 5 coefficients, r = 1.00"
    failures = (Failure(variant="main", direction="x_to_y", reason=reason),)
    record = true_records["S02"]["outcome"].model_copy(update={"failures": failures})
    said = shared(true_records["S02"] | {"outcome": record})["outcome"].failures[0].reason
    assert said == "… patients are too few for … coefficients, r = …"


def test_a_summary_that_no_rule_knows_is_withheld(true_records):
    data = true_records["S02"]["data"]
    extra = {
        "x_max": 60.0,
        "age_median": 33.0,
        "n_old": 2.0,
        "age_mean": 40.123,
        "age_sd": 9.876,
        "n_age": 30.0,
        "female_share": 0.05,
    }
    record = data.model_copy(update={"summary": data.summary | extra})
    summary, _ = protect_summary(record, Counts((), 5), Counts((), 5), 5, MANY)
    assert {name: summary[name] for name in ("x_max", "age_median", "n_old")} == dict.fromkeys(
        ("x_max", "age_median", "n_old")
    )
    assert summary["age_mean"] == 40.1
    assert summary["age_sd"] == 9.9
    assert summary["female_share"] is None, "5 % of the patients are fewer than 5"


def test_a_mean_does_not_tell_how_many_it_is_of(true_records):
    data = true_records["S02"]["data"]
    for record in (shared(true_records["S02"])["data"], shared(true_records["S02"], digits=8)["data"]):
        for name in ("pre_mean", "pre_sd"):
            expected = (
                float(f"{data.summary[name]:.2g}") if name == "pre_sd" else round(data.summary[name], 2)
            )
            assert record.summary[name] == expected != data.summary[name]


def test_sessions_show_no_small_group_and_no_shares(true_records):
    data = true_records["S02"]["data"]
    few = dict(data.sessions[0]) | {"n_x": 4.0, "n_both": 4.0}
    record = data.model_copy(update={"sessions": (few, *data.sessions[1:])})
    first = shared(true_records["S02"] | {"data": record})["data"].sessions[0]
    assert [first[name] for name in ("n_x", "n_both", "x_mean", "x_sd", "share_both")] == [None] * 5
    assert 0.1 <= few["y_sd"] < 1
    assert first["y_mean"] == round(few["y_mean"], 2)


def test_the_checksum_of_the_data_stays_at_home(true_records, members):
    checksum = true_records["S02"]["data"].data_checksum.encode()
    assert not any(checksum in content for content in members.values())


def test_no_patient_and_no_score_is_in_a_bundle(three, members):
    study = three.study("S02")
    text = b"\n".join(members.values()).decode()
    assert not any(f'"{patient}"' in text for patient in study.sessions["patient"].unique())
    low, high = study.sessions["x"].min(), study.sessions["x"].max()
    data = json.loads(members["records/data.json"])
    assert not {low, high} & {v for row in data["sessions"] for name, v in row.items() if name[0] in "xy"}


@pytest.mark.parametrize("digits", [2, 3, 4, 6])
def test_rounded_numbers_fit_each_other(true_records, digits):
    true, records = true_records["S02"], shared(true_records["S02"], digits=digits)
    for analysis in ANALYSES:
        for ours, theirs in zip(records[analysis].estimates, true[analysis].estimates, strict=True):
            # To so many digits, or to a tenth of the first digit of its standard error.
            finer = round(theirs.estimate, 1 - int(np.floor(np.log10(ours.std_error))))
            assert ours.estimate in {float(f"{theirs.estimate:.{digits}g}"), finer}
            assert abs(ours.estimate - theirs.estimate) <= 0.5000001 * ours.std_error / 10
            assert ours.std_error == pytest.approx(theirs.std_error, rel=10.0 ** (1 - digits))
            assert ours.statistic == ours.estimate / ours.std_error
            assert (ours.ci_low + ours.ci_high) / 2 == pytest.approx(ours.estimate, abs=1e-12)
            assert (ours.n_patients, ours.n_transitions) == (theirs.n_patients, theirs.n_transitions)
        for ours in records[analysis].covariances:
            errors = {e.term: e.std_error for e in records[analysis].estimates if key(e) == key(ours)}
            assert np.diag(np.array(ours.matrix, dtype=float)) == pytest.approx(
                [errors[t] ** 2 for t in ours.terms], rel=1e-12
            )


def key(row) -> tuple[str, str]:
    return row.variant, row.direction
