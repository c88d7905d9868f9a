"""Panels near a unit root, on which the usual steps creep (tests/reference/unit_roots.R)."""

import json
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from twostage.stats.dpm import fit_dpm_many
from twostage.stats.dpm.fit import DpmStructure, unrelated
from twostage.stats.fiml import group_patterns, maximise

sys.path.insert(0, str(Path(__file__).parents[2] / "reference"))
from tables import FOLDER

REFERENCE = json.loads((FOLDER / "unit_roots.json").read_text())
# Of log-likelihood: where lavaan's search stands still. Ours may be higher where there are several maxima, never lower.
LOGLIK = 1e-5
# Of coefficients, where both have the same maximum.
AGREEMENT = 1e-4
PAIRS = list(combinations(REFERENCE["variables"], 2))


@pytest.fixture(scope="module")
def firms():
    """738 firms with the covariances that the reference has, (n, 8, variables); means do not matter."""
    covariance = np.array(REFERENCE["covariance"])
    rows = np.random.default_rng(1).standard_normal((REFERENCE["n"], len(covariance)))
    rows -= rows.mean(axis=0)
    own = np.linalg.cholesky(rows.T @ rows / len(rows))
    rows = rows @ np.linalg.inv(own).T @ np.linalg.cholesky(covariance).T
    return rows.reshape(len(rows), -1, len(REFERENCE["variables"]))


def never_lower(firms, pairs, residuals):
    places = REFERENCE["variables"]
    batch = fit_dpm_many(
        [firms[:, :, [places.index(a), places.index(b)]] for a, b in pairs], residuals=residuals
    )
    assert batch.converged.all()
    compared = 0
    for fit in REFERENCE["fits"]:
        pair = tuple(sorted((fit["predictor"], fit["outcome"]), key=places.index))
        if fit["residuals"] != residuals or pair not in pairs:
            continue
        b, outcome = pairs.index(pair), pair.index(fit["outcome"])
        gained = batch.loglik[b, outcome] - fit["loglik"]
        assert gained > -LOGLIK
        if gained < LOGLIK:
            assert batch.estimate[b, outcome, :2] == pytest.approx([fit["b1"], fit["b2"]], abs=AGREEMENT)
        compared += 1
    assert compared == 2 * len(pairs)


def test_never_lower_than_lavaan(firms):
    """Employment and output: without shortened steps neither direction ends at a maximum."""
    never_lower(firms, [("n", "y")], "free")


@pytest.mark.slow
@pytest.mark.parametrize("residuals", ["equal", "free"])
def test_never_lower_than_lavaan_on_all_pairs(firms, residuals):
    never_lower(firms, PAIRS, residuals)


def test_neighbours_are_not_disturbed(firms):
    """One panel needs shortened steps, its neighbours do not."""
    easy = np.random.default_rng(2).standard_normal((200, 8, 2))
    batch = fit_dpm_many([easy, firms[:, :, [0, 2]], easy])
    assert batch.converged.all()
    np.testing.assert_array_equal(batch.loglik[0], batch.loglik[2])
    np.testing.assert_allclose(batch.loglik[0], fit_dpm_many([easy]).loglik[0], rtol=1e-10)


def test_usual_steps_creep_and_shortened_ones_do_not(firms):
    """The reason for two kinds: from one start, one ends within its limit at a maximum, the other does not."""
    model = DpmStructure(8, 0, "equal", True)
    Y = firms[:, :, :3:2] - firms[:, :, :3:2].mean(axis=0)
    Y = Y / Y.std(axis=(0, 1))
    patterns = group_patterns([np.delete(Y.reshape(len(Y), -1), -2, axis=1)])
    start = unrelated(model, patterns, 0.9)
    assert not maximise(model.base, patterns, start).converged[0]
    assert maximise(model.base, patterns, start, shorten=True).converged[0]
