"""fit_continuous against an own solution in R (tests/reference/continuous.R) on persons with days of their own."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from twostage.stats.continuous import fit_continuous

sys.path.insert(0, str(Path(__file__).parents[2] / "reference"))
from tables import FOLDER, read_rows

# Of log-likelihood: both are sums of some hundred logarithms of normal densities, 1e-9 or so; never lower.
LOGLIK = 1e-7
# Of a standard error: R's last steps are Newton's, with gradients by differences right to 1e-7 standard errors.
ESTIMATE = 1e-5
# Relative: R's second derivatives are by differences, extrapolated.
STD_ERROR = 1e-4

R = {case["case"]: case for case in json.loads((FOLDER / "continuous_fits.json").read_text())["cases"]}
ROWS = read_rows("continuous_panels.csv")


def panel(case):
    """Scores and days of a case."""
    rows = [row for row in ROWS if row["case"] == case]
    people, sessions = (len({row[name] for row in rows}) for name in ("person", "session"))
    values = np.array([[float(row[name] or "nan") for name in ("time", "x", "y")] for row in rows])
    values = values.reshape(people, sessions, 3)
    return values[..., 1:], values[..., 0]


@pytest.fixture(scope="module", params=list(R))
def pair(request):
    case = R[request.param]
    Y, days = panel(request.param)
    return fit_continuous(Y, days, means=case["means"], first=case["first"], error=case["error"]), case


def test_log_likelihood(pair):
    found, expected = pair
    assert found.converged
    assert found.loglik == pytest.approx(expected["loglik"], abs=LOGLIK)


def test_drift(pair):
    found, expected = pair
    error = np.array(expected["drift_se"]).reshape(2, 2)
    assert np.all(np.abs(found.drift - np.reshape(expected["drift"], (2, 2))) <= ESTIMATE * error)
    assert found.drift_se == pytest.approx(error, rel=STD_ERROR)


def test_covariances(pair):
    found, expected = pair
    at = np.array([0, 0, 1]), np.array([0, 1, 1])
    # These have standard errors of .05 and more.
    assert found.diffusion[at] == pytest.approx(np.array(expected["diffusion"]), abs=1e-6)
    assert found.intercept_cov[at] == pytest.approx(np.array(expected["intercept"]), abs=1e-5)
    if found.first == "free":
        assert found.first_cov[at] == pytest.approx(np.array(expected["first_cov"]), abs=1e-5)
    if expected["error"]:
        assert found.error_var == pytest.approx(np.array(expected["error_var"]), abs=1e-5)


def test_effects_of_a_week(pair):
    found, expected = pair
    weekly = found.effects([7.0])
    assert np.all(
        np.abs(weekly.phi.ravel() - expected["weekly"]) <= ESTIMATE * np.array(expected["weekly_se"])
    )
    assert weekly.phi_se.ravel() == pytest.approx(np.array(expected["weekly_se"]), rel=STD_ERROR)
