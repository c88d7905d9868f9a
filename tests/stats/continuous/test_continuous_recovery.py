"""A process in continuous time whose values are known is found, where sessions are not equally far apart."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import expm

sys.path.insert(0, str(Path(__file__).parent))
from known_process import DRIFT, drawn

from twostage.stats.continuous import fit_continuous
from twostage.stats.riclpm import fit_riclpm

REPLICATES = 30


@pytest.fixture(scope="module")
def fits():
    # Gaps from 2 to 20 days. The error of a spread over 30 is 13 %: three of them.
    panels = [drawn(100 + r, 150, 5, gaps=(2, 21), missing=0.1) for r in range(REPLICATES)]
    return [(fit_continuous(Y, days), fit_riclpm(Y)) for Y, days in panels]


def test_weekly_effects_are_found_and_covered(fits):
    truth = expm(7 * DRIFT)
    weekly = [fit.effects([7.0]) for fit, _ in fits if fit.converged]
    assert len(weekly) >= 0.95 * REPLICATES
    phi, error = (np.array([getattr(w, name)[0] for w in weekly]) for name in ("phi", "phi_se"))
    # Means of so many are within 3.5 of their own standard errors, of 4 effects each, in all but 1 of 500 runs.
    assert np.all(np.abs(phi.mean(axis=0) - truth) <= 3.5 * phi.std(axis=0, ddof=1) / np.sqrt(len(phi)))
    assert error.mean(axis=0) == pytest.approx(phi.std(axis=0, ddof=1), rel=0.4)
    covered = (np.abs(phi - truth) <= 1.96 * error).mean()
    # 120 intervals, of which those of one data set depend on each other: three times the binomial error of 2 %.
    assert covered == pytest.approx(0.95, abs=0.06)


def test_who_takes_the_sessions_for_equally_spaced_mixes_the_intervals(fits):
    # The panel model's autoregressions are those of no interval there is in particular; a week's are more.
    truth = expm(7 * DRIFT)
    plain = np.array([panel.phi for _, panel in fits]).mean(axis=0)
    assert np.all(np.diag(plain) < np.diag(truth) - 0.02)
