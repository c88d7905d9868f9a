"""fit_starts against lavaan (tests/reference/starts.R) on panels that both languages draw alike."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from twostage.stats.riclpm import fit_starts

sys.path.insert(0, str(Path(__file__).parents[2] / "reference"))
from starts_data import starts_panel
from tables import FOLDER, read_rows

# Of a standard error: where lavaan's criterion stands still to rounding, which is 1e-11 of log-likelihood or so, and thus a
# millionth of a standard error, its estimates are off by the square root of that times a few.
ESTIMATE = 1e-5
# Relative: lavaan's second derivatives are numerical, and with weakly determined error variances lose more digits.
STD_ERROR = 1e-3
# What the project asks for: equal, and never lower.
LOGLIK = 1e-6

LAVAAN = {case["case"]: case for case in json.loads((FOLDER / "starts_lavaan.json").read_text())["cases"]}
CASES = {case["case"]: case for case in read_rows("starts_cases.csv")}
ERROR = {"none": None, "free": "free", "x": (None, 1.0), "y": (1.0, None)}


@pytest.fixture(scope="module", params=list(CASES))
def pair(request):
    case = CASES[request.param]
    numbers = (float(case[name]) for name in ("slope", "noise"))
    Y = starts_panel(int(case["n"]), int(case["occasions"]), case["missing"], *numbers, int(case["seed"]))
    return fit_starts(
        Y, error=ERROR[case["error"]], lines=float(case["lines"]) == 1.0, se=case["se"]
    ), LAVAAN[request.param]


def test_log_likelihood(pair):
    found, expected = pair
    assert found.converged
    assert found.n_obs == expected["nobs"]
    assert found.loglik == pytest.approx(expected["loglik"], abs=LOGLIK)


def test_estimates(pair):
    found, expected = pair
    assert np.all(np.abs(found.estimate - expected["estimate"]) <= ESTIMATE * found.std_error)
    assert found.means.ravel() == pytest.approx(np.array(expected["means"]), abs=1e-5)


def test_standard_errors(pair):
    found, expected = pair
    assert found.std_error == pytest.approx(np.array(expected["std_error"]), rel=STD_ERROR)
