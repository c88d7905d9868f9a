"""fit_riclpm against lavaan (tests/reference/riclpm.R) on panels that both languages draw alike."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from twostage.stats.riclpm.fit import fit_riclpm

sys.path.insert(0, str(Path(__file__).parents[2] / "reference"))
from riclpm_data import panel
from tables import FOLDER, read_rows

# What the project asks for; lavaan's criterion stands still to rounding, which leaves its estimates 1e-8 of a
# standard error or so. Estimates are compared relative to the larger of 1 and their size.
ESTIMATE = 1e-5
# lavaan's second derivatives are numerical.
STD_ERROR = 1e-4
# A log-likelihood of 4e5 has ten digits before the point's sixth.
LOGLIK = 1e-5
OPTIONS = ("residuals", "lags", "first", "se")

LAVAAN = {case["case"]: case for case in json.loads((FOLDER / "riclpm_lavaan.json").read_text())["cases"]}
CASES = {case["case"]: case for case in read_rows("riclpm_cases.csv")}


@pytest.fixture(scope="module", params=list(CASES))
def pair(request):
    case, expected = CASES[request.param], LAVAAN[request.param]
    Y = panel(int(case["n"]), int(case["occasions"]), case["missing"], int(case["seed"]))
    return fit_riclpm(Y, **{name: case[name] for name in OPTIONS}), expected


def close(found, expected, tolerance):
    expected = np.array(expected)
    assert np.all(np.abs(np.ravel(found) - expected) <= tolerance * np.maximum(1.0, np.abs(expected)))


def test_log_likelihood(pair):
    found, expected = pair
    assert found.converged
    assert found.n_obs == expected["nobs"]
    assert found.loglik == pytest.approx(expected["loglik"], abs=LOGLIK)
    assert found.aic == pytest.approx(expected["aic"], abs=2 * LOGLIK)
    assert found.bic == pytest.approx(expected["bic"], abs=2 * LOGLIK)


def test_estimates(pair):
    found, expected = pair
    close(found.estimate, expected["estimate"], ESTIMATE)
    close(found.means, expected["means"], ESTIMATE)
    close(found.phi_std, expected["std"], ESTIMATE)


def test_standard_errors(pair):
    found, expected = pair
    close(found.std_error, expected["std_error"], STD_ERROR)
    close(found.phi_std_se, expected["std_se"], STD_ERROR)
