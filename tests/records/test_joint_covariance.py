"""Covariance of both directions' coefficients: against R from the files in data/ on, in records, and what is refused."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twostage.params import make_parameters
from twostage.problems import RecordError
from twostage.records.record import make_record, read_record, write_record
from twostage.stage1.each_transition import transition
from twostage.stage1.equations import crosslevel, lagged
from twostage.stage1.panel import make_panel

sys.path.insert(0, str(Path(__file__).parents[1] / "reference"))
from tables import FOLDER, grouped  # noqa: E402, RUF100  (the reference folder is not a package)

# What was asked for. Measured: 2e-9 with a random intercept, 4e-7 with random slopes, whose optimum lme4 knows to that.
AGREEMENT = 1e-6
# clubSandwich and the formula in R are the same arithmetic.
SAME = 1e-10

CASES = {
    key[0]: case for key, case in grouped("stage1_joint.csv.gz", "case").items() if key[0] != "sleepstudy"
}
CROSS = [("x_to_y", "x_within"), ("y_to_x", "y_within")]


def test_the_reference_is_whole():
    assert list(CASES) == [f"{s} {r}" for r in ("intercept", "slopes") for s in ("S01", "S14", "S16")]
    about = json.loads((FOLDER / "stage1_joint_versions.json").read_text())
    assert about["clubSandwich"] == "0.5.8" and about["compared_blocks"] == 14
    assert about["worst_block"] < SAME


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_lme4_and_clubsandwich(default, name):
    study, random = name.split()
    panel = make_panel(default.study(study), make_parameters({"random_slopes": random == "slopes"}))
    found, theirs = lagged(panel).joint_covariances["main"], CASES[name]
    assert list(dict.fromkeys(theirs["row"])) == [" ".join(key) for key in found.matrix.index]
    scale = np.sqrt(np.diag(found.matrix))
    difference = (found.matrix.to_numpy() - theirs["value"].reshape(10, 10)) / np.outer(scale, scale)
    assert np.abs(difference).max() < AGREEMENT
    assert (found.n_patients, found.n_both) == (theirs["n_patients"][0], theirs["n_both"][0])


def test_which_analyses_have_one(panels):
    assert lagged(panels["S02"]).joint_covariances["main"].matrix.shape == (10, 10)
    assert crosslevel(panels["S02"]).joint_covariances["main"].matrix.shape == (14, 14)
    assert transition(panels["S02"]).joint_covariances == {}


def test_too_few_patients_have_none(panels):
    """Five coefficients: with five patients nothing is left to estimate their covariance from."""
    panel = panels["S02"]
    few = panel.sessions["patient"].drop_duplicates().iloc[:5]
    sessions = panel.sessions[panel.sessions["patient"].isin(few)].reset_index(drop=True)
    # Errors with patients as clusters need more patients too: then there is no estimate at all.
    model = panel.parameters.model_copy(update={"stage1_errors": "model"})
    assert "need more patients" in lagged(replace(panel, sessions=sessions)).failures["reason"].iloc[0]
    small = replace(panel, sessions=sessions, parameters=model)
    result = lagged(small)
    assert len(result.fits) == 2 and result.joint_covariances == {}
    assert make_record(small, result).joint_covariances == ()


@pytest.fixture
def written(panels, tmp_path):
    """A lagged record on disk and its content, free to be damaged."""
    path = write_record(make_record(panels["S02"], lagged(panels["S02"])), tmp_path / "S02")
    return path, json.loads(path.read_text())


def test_it_survives_to_the_last_bit(panels, written):
    ours, record = lagged(panels["S02"]).joint_covariances["main"], read_record(written[0])
    back = record.joint_covariance()
    np.testing.assert_array_equal(back.to_numpy(), ours.matrix.to_numpy())
    assert list(back.columns) == list(ours.matrix.columns)
    assert (record.joint_covariances[0].n_patients, record.joint_covariances[0].n_both) == (
        ours.n_patients,
        ours.n_both,
    )
    assert back.loc[CROSS, CROSS].shape == (2, 2)
    with pytest.raises(KeyError, match=r"S02/lagged has no joint covariance \(other\)"):
        record.joint_covariance("other")


def test_a_record_without_one_is_read(written):
    path, content = written
    del content["joint_covariances"]
    path.write_text(json.dumps(content))
    assert read_record(path).joint_covariances == ()


def indefinite(joint):
    joint["matrix"][0][9] = joint["matrix"][9][0] = 2 * (joint["matrix"][0][0] * joint["matrix"][9][9]) ** 0.5


SPOILT = {
    "asymmetric": (lambda j: j["matrix"][0].__setitem__(1, 3.0), "not symmetric"),
    "indefinite": (indefinite, "not positive semidefinite"),
    "unknown entry": (lambda j: j["matrix"][0].__setitem__(0, None), "a number"),
    "not a number": (lambda j: j["matrix"][0].__setitem__(0, float("nan")), "finite"),
    "ragged": (lambda j: j["matrix"].pop(), "9 rows for 10 terms"),
    "a direction too few": (lambda j: j["directions"].pop(), "9 directions for 10 terms"),
    "a coefficient twice": (lambda j: j["terms"].__setitem__(1, j["terms"][0]), "twice"),
    "unknown direction": (lambda j: j["directions"].__setitem__(0, "up"), "x_to_y"),
    "more in both than at all": (lambda j: j.update(n_both=10**6), "n_both"),
    "unknown field": (lambda j: j.update(patients=["a"]), "no such key"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_malformed_one_is_refused(written, case):
    path, content = written
    spoil, words = SPOILT[case]
    spoil(content["joint_covariances"][0])
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError) as caught:
        read_record(path)
    assert any("joint_covariances.0" in p.column for p in caught.value.problems)
    assert words in " ".join(p.expected for p in caught.value.problems)
