"""A panel on which the search from the usual start ends at a lower maximum (tests/reference/snmesp.R)."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from twostage.stats.riclpm import fit_riclpm, fit_riclpm_many

sys.path.insert(0, str(Path(__file__).parents[2] / "reference"))
from tables import FOLDER

SNMESP = json.loads((FOLDER / "snmesp.json").read_text())


@pytest.fixture(scope="module")
def panel():
    """738 firms with the covariances of wages and capital that the reference has; means do not matter."""
    rows = np.random.default_rng(1).standard_normal((SNMESP["n"], 16))
    rows -= rows.mean(axis=0)
    own = np.linalg.cholesky(rows.T @ rows / len(rows))
    there = np.linalg.cholesky(np.array(SNMESP["covariance"]))
    return (rows @ np.linalg.inv(own).T @ there.T).reshape(-1, 8, 2)


def test_the_higher_maximum_is_found(panel):
    fit = fit_riclpm(panel, residuals="free")
    assert fit.converged
    assert fit.admissible
    # Without the second start: 6323.40, the first wages' variance negative. lavaan stops at its default tolerances.
    assert fit.loglik == pytest.approx(SNMESP["loglik"], abs=1e-6)
    assert fit.phi.ravel() == pytest.approx(SNMESP["phi"], abs=1e-6)


def test_it_is_found_side_by_side(panel):
    other = np.random.default_rng(2).standard_normal((100, 8, 2))
    many = fit_riclpm_many([other, panel, other], residuals="free")
    assert many.loglik[1] == pytest.approx(SNMESP["loglik"], abs=1e-6)
    assert many.loglik[0] == pytest.approx(fit_riclpm(other, residuals="free").loglik, abs=1e-6)
