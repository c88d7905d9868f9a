"""fit_riclpm finds the truth of simulated panels, its intervals cover it, and person-mean centring does not."""

import sys
from pathlib import Path

import numpy as np
import pytest

from twostage.stats.riclpm.fit import fit_riclpm_many

sys.path.insert(0, str(Path(__file__).parents[2] / "reference"))
from riclpm_data import PHI, ROOT, panel

REPLICATES, PERSONS, OCCASIONS = 600, 250, 5
# Of a Monte Carlo mean: four of its standard errors are passed by chance once in 16,000 comparisons.
ERRORS = 4.0
# Maximum likelihood's own bias at 250 persons is of the order of its variance: a tenth of a standard error is allowed.
SMALL_SAMPLE = 0.1
TRUTH = np.concatenate([(ROOT @ ROOT.T)[[0, 1, 1], [0, 0, 1]], PHI.ravel()])
SCALES = np.array([1.0, 3.0, 9.0, 1.0, 1 / 3, 3.0, 1.0])  # the panels' second variable is in units of a third


@pytest.fixture(scope="module", params=["complete", "dropout", "waves"])
def batch(request):
    """Panels with nothing missing, with drop-out that depends on the last symptoms seen, with occasions skipped."""
    return fit_riclpm_many([panel(PERSONS, OCCASIONS, request.param, 1000 + k) for k in range(REPLICATES)])


def test_every_replicate_converges(batch):
    assert batch.converged.all(), [m for m in batch.messages if not m.startswith("converged")]


def test_bias_is_within_monte_carlo_error(batch):
    found = batch.estimate[:, :7] / SCALES
    spread = found.std(axis=0, ddof=1)
    error = np.abs(found.mean(axis=0) - TRUTH)
    assert np.all(error < ERRORS * spread / np.sqrt(REPLICATES) + SMALL_SAMPLE * spread), error / spread


def test_standard_errors_are_the_spread_of_the_estimates(batch):
    ratio = np.sqrt((batch.phi_se**2).mean(axis=0)) / batch.phi.std(axis=0, ddof=1)
    assert np.all(np.abs(ratio - 1.0) < ERRORS / np.sqrt(2 * REPLICATES)), ratio


def test_intervals_cover_the_truth_at_their_level(batch):
    truth = PHI * SCALES[3:].reshape(2, 2)
    inside = (np.abs(batch.phi - truth) < 1.959963984540054 * batch.phi_se).mean(axis=0)
    error = np.sqrt(0.95 * 0.05 / REPLICATES)
    assert np.all(np.abs(inside - 0.95) < ERRORS * error), inside


def test_centring_on_person_means_is_biased_where_the_model_is_not():
    """The same panels: least squares on person-mean centred values pulls the autoregressions down."""
    panels = [panel(PERSONS, OCCASIONS, "complete", 1000 + k) for k in range(60)]
    slopes = []
    for Y in panels:
        w = Y - Y.mean(axis=0) - (Y - Y.mean(axis=0)).mean(axis=1, keepdims=True)
        slopes.append(np.linalg.lstsq(w[:, :-1].reshape(-1, 2), w[:, 1:].reshape(-1, 2), rcond=None)[0].T)
    centred = np.mean(slopes, axis=0)
    own = fit_riclpm_many(panels).phi.mean(axis=0)
    for v in (0, 1):
        assert centred[v, v] < PHI[v, v] - 0.2
        assert abs(own[v, v] - PHI[v, v]) < 0.05
