"""What leaves the house: no small cell, none by subtraction, and the estimates as they are."""

import json

import numpy as np
import pytest

from twostage.problems import Problem
from twostage.records import ANALYSES, Exclusion, Failure, Record
from twostage.sharing.counts import Counts
from twostage.sharing.disclosure import protect
from twostage.sharing.errors import DisclosureError
from twostage.sharing.layout import Filters
from twostage.sharing.summaries import protect_summary

STUDIES = ["S01", "S02", "S03"]


def shared(records: dict[str, Record], **filters) -> dict[str, Record]:
    return protect(records, Filters(**filters))[0]


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


@pytest.mark.parametrize("least", [2, 5, 12])
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
    true, record = true_records[study][analysis], shared(true_records[study], glm=1.0, tab=1)[analysis]
    assert record.estimates == true.estimates
    assert record.covariances == true.covariances
    assert record.fits == true.fits


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
    reason = "withheld by the site: too few patients (nfilter.glm)"
    assert {(f.direction, f.reason) for f in record.failures} == {("x_to_y", reason), ("y_to_x", reason)}


def test_a_model_that_tells_a_small_exclusion_is_withheld(true_records):
    records = true_records["S02"]
    n = int(records["data"].summary["n_patients"])
    larger = tuple(
        e.model_copy(update={"n_patients": n + 3 * (e.variant == "riclpm")})
        for e in records["estimators"].estimates
    )
    record = records["estimators"].model_copy(update={"estimates": larger, "fits": ()})
    kept = protect(records | {"estimators": record}, Filters())[0]["estimators"]
    assert {e.variant for e in larger} - {e.variant for e in kept.estimates} == {"riclpm"}
    assert "withheld by the site: too few patients (nfilter.tab)" in {f.reason for f in kept.failures}
    assert protect(records | {"estimators": record}, Filters(tab=3))[0]["estimators"].estimates == larger


def test_the_report_names_what_was_withheld(true_records):
    records, report = protect(true_records["S02"], Filters(glm=0.01))
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
        "n_age": 30.0,
        "female_share": 0.05,
    }
    record = data.model_copy(update={"summary": data.summary | extra})
    summary, _ = protect_summary(record, Counts((), 5), Counts((), 5), 5)
    assert {name: summary[name] for name in ("x_max", "age_median", "n_old")} == dict.fromkeys(
        ("x_max", "age_median", "n_old")
    )
    assert summary["age_mean"] == 40.1
    assert summary["female_share"] is None, "5 % of the patients are fewer than 5"


def test_a_mean_does_not_tell_how_many_it_is_of(true_records):
    data = true_records["S02"]["data"]
    for record in (shared(true_records["S02"])["data"], shared(true_records["S02"], digits=8)["data"]):
        for name in ("pre_mean", "pre_sd"):
            assert record.summary[name] == float(f"{data.summary[name]:.3g}") != data.summary[name]


def test_sessions_show_no_small_group_and_no_shares(true_records):
    data = true_records["S02"]["data"]
    few = dict(data.sessions[0]) | {"n_x": 4.0, "n_both": 4.0}
    record = data.model_copy(update={"sessions": (few, *data.sessions[1:])})
    first = shared(true_records["S02"] | {"data": record})["data"].sessions[0]
    assert [first[name] for name in ("n_x", "n_both", "x_mean", "x_sd", "share_both")] == [None] * 5
    assert first["y_mean"] == float(f"{few['y_mean']:.3g}")


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


@pytest.mark.parametrize("digits", [3, 4, 6])
def test_rounded_numbers_fit_each_other(true_records, digits):
    true, records = true_records["S02"], shared(true_records["S02"], digits=digits)
    for analysis in ANALYSES:
        for ours, theirs in zip(records[analysis].estimates, true[analysis].estimates, strict=True):
            assert ours.estimate == float(f"{theirs.estimate:.{digits}g}")
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
