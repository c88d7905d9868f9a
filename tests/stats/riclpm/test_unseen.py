"""fit_unseen: by hand, against lavaan (unseen.R), exactly without a shift, by simulated dropout that is not at random."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from twostage.stats.base import NotEstimable
from twostage.stats.riclpm import fit_riclpm, fit_unseen
from twostage.stats.riclpm.model import riclpm_structure
from twostage.stats.riclpm.unseen import _after_last, _completed

sys.path.insert(0, str(Path(__file__).parents[2] / "reference"))
from tables import FOLDER

# Both stop where the likelihood stands still to rounding, which leaves coefficients 1e-8 from the maximum.
SAME = 1e-7
# Of a coefficient: where lavaan's two searches stand still.
AGREEMENT = 1e-5
EXACT = 1e-12  # rounding of sums of order one
# A correct statement about replicates lies this many Monte Carlo errors off in one of 16,000.
Z = 4.0
PHI = np.array([[0.3, -0.1], [-0.15, 0.3]])


def drawn(seed, n, T=5, shift=0.0):
    """A panel with dropout, and the same with all scores; later y of those who leave are `shift` SD from their process."""
    rng = np.random.default_rng(seed)
    level, w = rng.normal(size=(n, 2)), rng.normal(size=(n, 2))
    whole = np.empty((n, T, 2))
    for t in range(-10, T):
        w = w @ PHI.T + rng.normal(size=(n, 2))
        whole[:, max(t, 0)] = level + w
    # Leaving depends on the last score seen: missing at random, but for the shift.
    gone = np.zeros((n, T), bool)
    for t in range(1, T):
        gone[:, t] = gone[:, t - 1] | (rng.random(n) < 0.1 + 0.15 * (whole[:, t - 1, 1] > 1.0))
    deviation = whole - whole.mean(axis=0)
    moved = whole.copy()
    moved[gone, 1] += shift * np.sqrt((deviation**2).mean(axis=(0, 1)))[1]
    seen = moved.copy()
    seen[gone] = np.nan
    return seen, moved


def test_completed_moments_by_hand():
    """Three occasions, two persons: one complete, one who left after the first."""
    structure = riclpm_structure(3, "equal", "equal", "free")
    theta = np.array([0.5, 0.1, 0.6, 0.3, -0.1, -0.2, 0.4, 1.0, 0.2, 1.1, 0.9, 0.1, 0.8])
    sigma = structure.sigma(theta)
    Y = np.array([[[1.0, -1.0], [0.5, 0.2], [-0.3, 0.4]], [[-1.0, 1.0], [np.nan, np.nan], [np.nan, np.nan]]])
    found = _completed(structure, Y, theta, np.array([[0.0, 0.0], [0.2, -0.4]]))
    # The means' estimates: of the first occasion, averages; of later ones, the first person's score less what its first
    # scores predict of it beyond the mean.
    slope = sigma[2:, :2] @ np.linalg.inv(sigma[:2, :2])
    first = Y[:, 0].mean(axis=0)
    later = Y[0, 1:].ravel() - slope @ (Y[0, 0] - first)
    filled = later + slope @ (Y[1, 0] - first)
    spare = np.zeros((6, 6))
    spare[2:, 2:] = sigma[2:, 2:] - slope @ sigma[:2, 2:]
    for shift, C in zip(([0.0, 0.0], [0.2, -0.4]), found, strict=True):
        rows = np.array([Y[0].ravel(), [*Y[1, 0], *(filled + np.tile(shift, 2))]])
        np.testing.assert_allclose(C, np.cov(rows.T, bias=True) + spare / 2, atol=EXACT)


def test_agrees_with_lavaan():
    there = json.loads((FOLDER / "unseen.json").read_text())
    Y = np.array(there["panel"], dtype=float).reshape(-1, 5, 2)
    fit = fit_unseen(Y, there["shifts"])
    np.testing.assert_allclose(fit.phi.reshape(-1, 4), there["phi"], atol=AGREEMENT)
    assert (fit.n_obs, fit.n_left) == (len(Y), there["left"])


def test_without_a_shift_it_is_the_plain_fit():
    seen, _ = drawn(1, 150)
    seen[np.random.default_rng(2).random(seen.shape) < 0.05] = np.nan
    plain, fit = fit_riclpm(seen), fit_unseen(seen, [[0.0, 0.0], [0.3, 0.0]])
    np.testing.assert_allclose(fit.phi[0], plain.phi, atol=SAME)
    np.testing.assert_allclose(fit.phi_se[0], plain.phi_se, rtol=SAME)
    assert np.abs(fit.phi[1] - plain.phi).max() > 1e-3
    # Other units, same shifts in SD.
    other = fit_unseen(seen * [10.0, 0.1] + 5.0, [[0.3, 0.0]])
    np.testing.assert_allclose(other.phi[0] * [[1.0, 0.01], [100.0, 1.0]], fit.phi[1], atol=SAME)


def test_nothing_changes_where_nobody_left():
    _, whole = drawn(3, 120)
    whole[5, 2] = np.nan
    fit = fit_unseen(whole, [[0.0, 0.0], [1.0, -1.0]])
    assert fit.n_left == 0
    np.testing.assert_allclose(fit.phi[1], fit.phi[0], atol=SAME)


def test_recovers_what_the_whole_panel_gives_where_the_shift_is_right():
    """Unseen y of those who left are 1 SD higher: with that shift the fit gives what all scores would have given."""
    right, plain = [], []
    for seed in range(30):
        seen, moved = drawn(seed, 300, shift=1.0)
        told = fit_unseen(seen, [[0.0, 0.0], [0.0, 1.0]])
        whole = fit_riclpm(moved).phi
        plain.append(told.phi[0] - whole)
        right.append(told.phi[1] - whole)
    off = np.mean(right, axis=0) / (np.std(right, axis=0, ddof=1) / np.sqrt(len(right)))
    # A shift in units of the whole panel's spread is one of the seen scores' but for a few percent.
    assert (
        np.abs(np.mean(right, axis=0)) < Z * np.std(right, axis=0, ddof=1) / np.sqrt(len(right)) + 0.01
    ).all(), off
    assert np.abs(np.mean(plain, axis=0)).max() > 0.03


@pytest.mark.slow
def test_errors_are_those_of_repeated_studies():
    fits = [fit_unseen(drawn(seed, 150)[0], [[0.0, 0.75]]) for seed in range(60)]
    phi = np.array([fit.phi[0] for fit in fits])
    ratio = np.mean([fit.phi_se[0] for fit in fits], axis=0) / phi.std(axis=0, ddof=1)
    # The spread of 60 is known to 1 / sqrt(2 * 59) of itself.
    assert (np.abs(ratio - 1.0) < Z / np.sqrt(2 * 59)).all()


def test_after_last_is_after_the_last_of_either_variable():
    Y = np.full((2, 4, 2), np.nan)
    Y[0, 1, 0] = Y[1, 0, 1] = Y[1, 3, 0] = 1.0
    assert _after_last(Y)[:, :, 0].tolist() == [[False, False, True, True], [False] * 4]


def test_what_cannot_be_estimated_says_why():
    seen, _ = drawn(1, 100)
    seen[:, 4] = np.nan
    with pytest.raises(NotEstimable, match="at some occasion"):
        fit_unseen(seen, [[0.0, 0.0]])
    with pytest.raises(NotEstimable):
        fit_unseen(seen[:8, :4], [[0.0, 0.0]])
