"""Shares of variance over a grid: theory, hand algebra, R."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from twostage.stats.multiverse.decompose import decompose

REFERENCE = Path(__file__).resolve().parents[2] / "reference"

#: Both sum a few dozen squares in doubles.
EXACT = {"rtol": 0, "atol": 1e-13}


def grid(*sizes: int) -> np.ndarray:
    return np.array(list(itertools.product(*map(range, sizes))))


@pytest.mark.parametrize("which", ["full", "part"])
def test_shares_are_those_of_r(which):
    data = pd.read_csv(REFERENCE / "multiverse_data.csv").query("grid == @which")
    shares = pd.read_csv(REFERENCE / "multiverse_shares.csv").query("grid == @which")
    found = decompose(data[["a", "b", "c"]].to_numpy(), data["y"], ["a", "b", "c"])
    np.testing.assert_allclose(found.first, shares["first"], **EXACT)
    np.testing.assert_allclose(found.total, shares["total"], **EXACT)
    assert found.balanced == (which == "full")
    if found.balanced:
        np.testing.assert_allclose(found.first, shares["aov_first"], **EXACT)
        np.testing.assert_allclose(found.total, shares["aov_total"], **EXACT)


def test_additive_effects_have_no_interaction_and_add_up():
    levels = grid(3, 4, 2)
    y = 0.5 * levels[:, 0] + 0.2 * levels[:, 1] ** 2
    found = decompose(levels, y, ["a", "b", "nothing"])
    np.testing.assert_allclose(found.first, found.total, **EXACT)
    variances = np.array([0.25 * np.var([0, 1, 2]), 0.04 * np.var([0, 1, 4, 9]), 0.0])
    np.testing.assert_allclose(found.first, variances / variances.sum(), **EXACT)
    assert abs(found.interactions) < 1e-13


def test_a_pure_interaction_belongs_to_both_and_to_neither_alone():
    levels = grid(2, 2, 3)
    y = np.where(levels[:, 0] == levels[:, 1], 1.0, -1.0)
    found = decompose(levels, y, ["a", "b", "nothing"])
    np.testing.assert_allclose(found.first, 0.0, **EXACT)
    np.testing.assert_allclose(found.total, [1.0, 1.0, 0.0], **EXACT)
    assert found.interactions == pytest.approx(1.0)


def test_both_sums_have_their_bounds_on_full_grids():
    rng = np.random.default_rng(1)
    for _ in range(20):
        levels = grid(*rng.integers(2, 5, 3))
        found = decompose(levels, rng.standard_normal(len(levels)), "abc")
        assert found.first.sum() <= 1 + 1e-12 <= found.total.sum() + 2e-12
        assert (found.first <= found.total + 1e-12).all()


def test_a_grid_that_lacks_combinations_says_so():
    levels = grid(2, 2)[:3]
    found = decompose(levels, [0.0, 1.0, 2.0], ["a", "b"])
    assert found.n_missing == 1
    assert not found.balanced and np.isnan(found.interactions)
    # By hand: means 0.5 and 2 of a's values, over the variance 2 / 3.
    assert found.first[0] == pytest.approx((2 * 0.25 + 1) / 3 / (2 / 3))
    assert "lacks 1 combinations" in found._repr_html_()


def test_estimates_that_are_all_the_same_have_no_shares():
    found = decompose(grid(2, 2), [0.1 + 0.2, 0.3, 0.3, 0.3], ["a", "b"])
    assert np.isnan(found.first).all()


@pytest.mark.parametrize(
    ("levels", "y", "says"),
    [
        ([(0, 0), (0, 0)], [1.0, 2.0], "twice"),
        ([(0, 0), (0, 1)], [1.0, np.nan], "finite"),
        ([(0,), (1,)], [1.0, 2.0], "2 rows of 2"),
    ],
)
def test_what_is_no_grid_is_refused(levels, y, says):
    with pytest.raises(ValueError, match=says):
        decompose(levels, y, ["a", "b"])
