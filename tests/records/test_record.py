"""Records: what is written is read back identically, and nothing malformed gets through."""

import json
import os
import pickle
import re
from importlib.metadata import version
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd
import pydantic
import pytest

from twostage.params import make_parameters
from twostage.problems import RecordError
from twostage.records import record as records
from twostage.records.record import ANALYSES, find_record, make_record, read_record, save_record, write_record
from twostage.stage1.aggregates import OUTCOME, onestage
from twostage.stage1.describe import describe
from twostage.stage1.each_transition import transition
from twostage.stage1.equations import crosslevel, lagged, outcome
from twostage.stage1.estimators import estimators
from twostage.stage1.panel import make_panel
from twostage.stage1.sensitivity import sensitivity
from twostage.stats.mixed import MixedSums
from twostage.stats.onestage import StudySums, fit_onestage
from twostage.stats.pool import pool
from twostage.terms import DIRECTIONS

#: Parsing a printed double gives the same double.
SAME_BITS = 0.0


@pytest.fixture(scope="module")
def all_records(panels, three) -> dict[str, records.Record]:
    """One record of each analysis of one study."""
    study = "S02"
    panel = panels[study]
    results = [
        fit(panel) for fit in (describe, lagged, crosslevel, transition, outcome, estimators, onestage)
    ]
    results.append(sensitivity(three.study(study), panel.parameters))
    made = [make_record(panel, result) for result in results]
    return {record.analysis: record for record in made}


@pytest.fixture
def written(all_records, tmp_path):
    """The lagged record on disk and its content, free to be damaged."""
    path = write_record(all_records["lagged"], tmp_path / "S02")
    return path, json.loads(path.read_text())


# --- writing and reading back


@pytest.mark.parametrize("analysis", ANALYSES)
def test_what_is_written_is_read_back(all_records, tmp_path, analysis):
    record = all_records[analysis]
    path = write_record(record, tmp_path / "run" / "S02")
    assert path == tmp_path / "run" / "S02" / f"{analysis}.json"
    assert read_record(path) == record
    assert find_record(tmp_path / "run", "S02", analysis) == record


def test_estimates_survive_to_the_last_bit(panels, tmp_path):
    panel = panels["S02"]
    result = lagged(panel)
    back = read_record(write_record(make_record(panel, result), tmp_path))
    ours, theirs = result.tidy(), back.tidy()
    pd.testing.assert_frame_equal(theirs, ours, rtol=SAME_BITS, atol=SAME_BITS, check_dtype=False)
    for (variant, direction), covariance in result.covariances.items():
        pd.testing.assert_frame_equal(
            back.covariance(direction, variant), covariance, rtol=SAME_BITS, atol=SAME_BITS
        )


def test_a_record_from_before_errors_could_be_chosen_has_the_models(all_records, tmp_path):
    written = write_record(all_records["lagged"], tmp_path)
    content = json.loads(written.read_text(encoding="utf-8"))
    assert read_record(written).parameters.stage1_errors == "patients"
    del content["parameters"]["stage1_errors"]
    written.write_text(json.dumps(content), encoding="utf-8")
    assert read_record(written).parameters.stage1_errors == "model"


def test_infinite_degrees_of_freedom_survive(all_records, tmp_path):
    path = write_record(all_records["outcome"], tmp_path)
    assert '"df": null' in path.read_text()
    assert np.isinf(read_record(path).tidy().set_index("term").loc["partial_r_z", "df"]).all()


def test_covariances_that_are_not_known_survive(all_records, tmp_path):
    matrix = read_record(write_record(all_records["outcome"], tmp_path)).covariance("x_to_y")
    assert np.isnan(matrix.iloc[0, 1])
    assert (np.diag(matrix) > 0).all()


def test_a_record_says_where_it_comes_from(all_records, panels):
    for record in all_records.values():
        assert record.schema_version == records.SCHEMA_VERSION
        assert record.package_version == version("twostage")
        assert record.parameters == make_parameters({})
        assert record.data_checksum == panels["S02"].checksum
        assert (record.study, record.n_enrolled) == ("S02", panels["S02"].n_enrolled)


def test_no_equation_of_that_name(all_records):
    with pytest.raises(KeyError, match=r"S02/lagged has no equation x_to_y \(other\)"):
        all_records["lagged"].covariance("x_to_y", "other")


def test_records_cannot_be_changed(all_records):
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        all_records["lagged"].study = "S01"


def test_nothing_is_written_without_a_folder(panels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_record(panels["S02"], lagged(panels["S02"]), "")
    assert list(tmp_path.iterdir()) == []
    save_record(panels["S02"], lagged(panels["S02"]), "out")
    assert read_record("out/lagged.json").study == "S02"


# --- writing is whole or not at all


@pytest.mark.parametrize("there", [False, True])
def test_a_failed_write_leaves_what_was(all_records, tmp_path, monkeypatch, there):
    if there:
        write_record(all_records["lagged"], tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_record(all_records["lagged"], tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_reader_sees_the_old_or_the_new_record(all_records, tmp_path, monkeypatch):
    """Until the last step, which is one rename, the old file is untouched and complete."""
    path = write_record(all_records["lagged"], tmp_path)
    old, seen = path.read_bytes(), []
    rename = os.replace

    def spy(source, target):
        assert path.read_bytes() == old
        seen.append(json.loads(Path(source).read_text())["study"])
        rename(source, target)

    monkeypatch.setattr(os, "replace", spy)
    write_record(all_records["lagged"].model_copy(update={"label": "new"}), tmp_path)
    assert seen == ["S02"]
    assert read_record(path).label == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["lagged.json"]


def test_a_record_is_as_readable_as_any_other_file(all_records, tmp_path):
    other = tmp_path / "other"
    other.write_text("")
    assert write_record(all_records["lagged"], tmp_path).stat().st_mode == other.stat().st_mode


# --- no participant in a record


def test_records_hold_nothing_of_a_participant(all_records, panels, three):
    """No patient's name and no list as long as a patient's or the sample's scores."""
    names = set(panels["S02"].sessions["patient"])
    assert len(names) > 20
    study = three.study("S02")
    means = panels["S02"].sessions[["x_mean", "y_mean"]].to_numpy().ravel()
    for record in all_records.values():
        content = record.model_dump()
        texts, numbers = set(), set()
        collect(content, texts, numbers)
        assert not texts & names
        assert not texts & set(study.patients["therapist"])
        assert not numbers & set(means)
        # Lists are of estimates, matrices, fits and sessions, never of patients.
        assert len(record.sessions) <= 7
        assert all(len(c.matrix) <= 7 for c in record.covariances)
        assert all(len(c.matrix) <= 14 for c in record.joint_covariances)


def collect(value, texts: set, numbers: set) -> None:
    """All texts and all fractional numbers in a nested value."""
    if isinstance(value, dict):
        texts.update(value)
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            collect(item, texts, numbers)
    elif isinstance(value, str):
        texts.add(value)
    elif isinstance(value, float) and value != int(value):
        numbers.add(value)


def test_that_check_would_find_a_participant(all_records, panels):
    texts, numbers = set(), set()
    leak = panels["S02"].sessions.head(1)[["patient", "x_mean"]].to_dict("records")
    collect(all_records["lagged"].model_dump() | {"sessions": leak}, texts, numbers)
    assert leak[0]["patient"] in texts
    assert leak[0]["x_mean"] in numbers


# --- malformed records


def change(*path, value):
    """Set one field of a record's content."""

    def apply(content):
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return apply


def drop(*path):
    """Remove one field."""

    def apply(content):
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return apply


def asymmetric(content):
    content["covariances"][0]["matrix"][0][1] += 1.0


def indefinite(content):
    """Symmetric, variances as they were, a correlation beyond 1."""
    matrix = content["covariances"][1]["matrix"]
    matrix[0][1] = matrix[1][0] = 1.1 * (matrix[0][0] * matrix[1][1]) ** 0.5


def negative_variance(content):
    content["covariances"][0]["matrix"][2][2] *= -1


def ragged(content):
    content["covariances"][0]["matrix"].pop()


NAN, INFINITE = float("nan"), float("inf")
E0 = "estimates.0."

#: What is done to a good record; the field that must be named; a part of what must be said.
MALFORMED = {
    "unknown key": (change("scores", value=[1, 2]), "scores", "no such key"),
    "unknown key of an estimate": (
        change("estimates", 0, "patient", value="p1"),
        E0 + "patient",
        "no such key",
    ),
    "unknown parameter": (change("parameters", "windows", value=3), "parameters.windows", "no such key"),
    "impossible parameter": (change("parameters", "lag", value=0), "parameters.lag", "at least"),
    "no study": (drop("study"), "study", "this key"),
    "no covariances' terms": (drop("covariances", 0, "terms"), "covariances.0.terms", "this key"),
    "estimate NaN": (change("estimates", 0, "estimate", value=NAN), E0 + "estimate", "finite"),
    "estimate infinite": (change("estimates", 0, "estimate", value=INFINITE), E0 + "estimate", "finite"),
    "estimate a text": (change("estimates", 0, "estimate", value="0.3"), E0 + "estimate", "a number"),
    "estimate null": (change("estimates", 0, "estimate", value=None), E0 + "estimate", "a number"),
    "standard error negative": (
        change("estimates", 0, "std_error", value=-0.1),
        E0 + "std_error",
        "more than 0",
    ),
    "standard error zero": (
        change("estimates", 0, "std_error", value=0.0),
        E0 + "std_error",
        "more than 0",
    ),
    "standard error NaN": (change("estimates", 0, "std_error", value=NAN), E0 + "std_error", "finite"),
    "degrees of freedom zero": (change("estimates", 0, "df", value=0), E0 + "df", "more than 0"),
    "degrees of freedom NaN": (change("estimates", 0, "df", value=NAN), E0 + "df", "finite"),
    "statistic NaN": (change("estimates", 0, "statistic", value=NAN), E0 + "statistic", "finite"),
    "p value beyond 1": (
        change("estimates", 0, "p_value", value=1.2),
        E0 + "p_value",
        "at most 1",
    ),
    "interval end infinite": (change("estimates", 0, "ci_low", value=-INFINITE), E0 + "ci_low", "finite"),
    "patients negative": (change("estimates", 0, "n_patients", value=-3), E0 + "n_patients", "at least"),
    "patients not whole": (
        change("estimates", 0, "n_patients", value=3.5),
        E0 + "n_patients",
        "whole number",
    ),
    "converged a text": (change("estimates", 0, "converged", value="yes"), E0 + "converged", "true or false"),
    "unknown direction": (change("estimates", 0, "direction", value="up"), E0 + "direction", "x_to_y"),
    "covariance asymmetric": (asymmetric, "covariances.0", "not symmetric"),
    "covariance indefinite": (indefinite, "covariances.1", "not positive semidefinite"),
    "variance negative": (negative_variance, "covariances.0", "not positive semidefinite"),
    "covariance NaN": (
        change("covariances", 0, "matrix", 0, 0, value=NAN),
        "covariances.0.matrix.0.0",
        "finite",
    ),
    "covariance ragged": (ragged, "covariances.0", "4 rows for 5 terms"),
    "likelihood NaN": (change("fits", 0, "loglik", value=NAN), "fits.0.loglik", "finite"),
    "excluded negative": (
        change("exclusions", 0, "n_patients", value=-1),
        "exclusions.0.n_patients",
        "at least",
    ),
    "enrolled negative": (change("n_enrolled", value=-1), "n_enrolled", "at least"),
    "older schema": (change("schema_version", value=0), "schema_version", "1"),
    "newer schema": (change("schema_version", value=2), "schema_version", "1"),
    "unknown analysis": (change("analysis", value="guess"), "analysis", "lagged"),
    "checksum cut": (change("data_checksum", value="abc"), "data_checksum", "of the form"),
    "estimates of another study": (
        change("estimates", 3, "study", value="S07"),
        None,
        "S07/lagged in this record",
    ),
    "estimates of another analysis": (
        change("estimates", 3, "analysis", value="outcome"),
        None,
        "S02/outcome in this record",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_record_is_refused_with_file_and_field(written, case):
    path, content = written
    spoil, field, words = MALFORMED[case]
    spoil(content)
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError) as caught:
        read_record(path)
    problems = caught.value.problems
    assert [p.file for p in problems] == [str(path)] * len(problems)
    assert field in [p.column for p in problems]
    assert words in " ".join(p.expected for p in problems)
    assert str(path) in str(caught.value)
    assert len(str(problems[0].value)) <= 80


def test_the_undamaged_record_is_read(written):
    path, content = written
    path.write_text(json.dumps(content))
    assert read_record(path).study == "S02"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"study": "S02"}', "study: S02", '{"schema_version": 1,}', "\x00"]
)
def test_what_is_no_record_at_all_is_refused(tmp_path, text):
    path = tmp_path / "lagged.json"
    path.write_text(text)
    with pytest.raises(RecordError, match=re.escape(str(path))):
        read_record(path)


def test_half_a_record_is_refused(written):
    path, _ = written
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(RecordError, match="EOF|Invalid JSON"):
        read_record(path)


def test_other_bytes_than_utf8_are_refused(written):
    path, _ = written
    path.write_bytes(path.read_bytes().replace(b"Synthetic", b"Synth\xe9tic"))
    with pytest.raises(RecordError, match=re.escape(str(path))):
        read_record(path)


def test_a_missing_record_says_what_to_do(tmp_path):
    with pytest.raises(RecordError, match="run stage 1 first") as caught:
        read_record(tmp_path / "S09" / "lagged.json")
    assert caught.value.problems[0].file.endswith("S09/lagged.json")


def test_every_problem_is_named_at_once(written):
    path, content = written
    content["estimates"][0]["std_error"] = -1
    content["estimates"][4]["p_value"] = 7
    content["extra"] = 1
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError) as caught:
        read_record(path)
    assert {p.column for p in caught.value.problems} == {
        "estimates.0.std_error",
        "estimates.4.p_value",
        "extra",
    }


def test_a_record_in_another_study_s_place_is_refused(all_records, tmp_path):
    content = write_record(all_records["lagged"], tmp_path / "S02").read_bytes()
    for study, analysis, field in (("S03", "lagged", "study"), ("S02", "crosslevel", "analysis")):
        path = tmp_path / study / f"{analysis}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        with pytest.raises(RecordError) as caught:
            find_record(tmp_path, study, analysis)
        assert [(p.file, p.column) for p in caught.value.problems] == [(str(path), field)]


def test_errors_survive_the_way_between_processes(tmp_path):
    with pytest.raises(RecordError) as caught:
        read_record(tmp_path / "nothing.json")
    assert pickle.loads(pickle.dumps(caught.value)).problems == caught.value.problems


def test_an_estimate_that_is_not_a_number_never_becomes_a_record(panels):
    """In particular not a NaN among degrees of freedom, where null would mean infinite."""
    result = lagged(panels["S02"])
    for column in ("df", "estimate", "ci_high"):
        table = result.tidy()
        table.loc[0, column] = np.nan
        spoilt = type(result)(
            result.study, result.analysis, table, result.covariances, result.fits, result.exclusions
        )
        with pytest.raises(pydantic.ValidationError, match=rf"estimates\.0\.{column}"):
            make_record(panels["S02"], spoilt)


def test_a_panel_of_another_study_cannot_lend_its_name(panels):
    with pytest.raises(pydantic.ValidationError, match="S02/lagged in this record"):
        make_record(panels["S03"], lagged(panels["S02"]))


def test_parameters_travel_with_the_record(three, tmp_path):
    parameters = make_parameters({"last_session": 5, "detrend": "session", "random_slopes": True})
    panel = make_panel(three.study("S03"), parameters)
    assert read_record(write_record(make_record(panel, describe(panel)), tmp_path)).parameters == parameters


@pytest.mark.slow
def test_a_thousand_studies_in_one_stage_and_in_two_take_seconds():
    rng, texts, d = np.random.default_rng(3), [], DIRECTIONS["x_to_y"]
    patient = np.repeat(np.arange(40), 5)
    for _ in range(1000):
        X = np.ones((200, 7))
        X[:, 1:3], X[:, 3:5] = rng.normal(size=(200, 2)), rng.normal(size=(40, 2))[patient]
        X[:, 5:] = X[:, [1]] * X[:, 3:5]
        slopes = np.r_[0.0, rng.normal([-0.1, 0.2], 0.1), 0.1, 0.3, rng.normal(0.0, 0.05, size=2)]
        y = X @ slopes + rng.normal(size=40)[patient] + rng.normal(size=200)
        sums = StudySums.of(MixedSums(d.crosslevel).add(y, X, patient), OUTCOME)
        texts.append(records.Aggregate.of("x_to_y", sums).model_dump_json())
    begin = process_time()
    for _ in DIRECTIONS:
        studies = [records.Aggregate.model_validate_json(text).sums() for text in texts]
        narrow = [one.columns(records.aggregate_terms("x_to_y")) for one in studies]
        fit, products = fit_onestage(narrow, (d.cross, d.auto)), fit_onestage(studies, d.interactions)
        pooled = pool(fit.slopes[:, 0], fit.slope_errors[:, 0] ** 2)
    assert process_time() - begin < 5.0
    assert fit.converged and products.converged and pooled.converged
