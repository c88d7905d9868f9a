"""All specifications at once, by hand and where the null hypothesis is true."""

import numpy as np
import pytest

from twostage.stats.multiverse.joint import joint_statistics, joint_test


def test_statistics_by_hand():
    estimate = [-0.3, -0.1, 0.2, np.nan, -0.2]
    low, high = [-0.5, -0.2, 0.1, np.nan, -0.4], [-0.1, 0.1, 0.3, np.nan, -0.1]
    np.testing.assert_allclose(joint_statistics(estimate, low, high), [-0.15, 3 / 4, 2 / 4])


def test_no_estimate_at_all_is_refused():
    with pytest.raises(ValueError, match="no specification"):
        joint_statistics([np.nan], [np.nan], [np.nan])


def test_p_values_by_hand():
    null = np.array([[0.1, 0.5, 0.0], [-0.1, 0.8, 0.2], [0.3, 0.9, 0.4]])
    found = joint_test([0.2, 0.8, 0.5], null)
    np.testing.assert_allclose(found.p_value, [1.0, 3 / 4, 1 / 4])
    np.testing.assert_allclose(found.mcse, np.sqrt(found.p_value * (1 - found.p_value) / 3))
    assert found.draws == 3 and list(found.tidy()["statistic"]) == ["median", "same_signed", "significant"]


def test_a_median_that_is_biased_under_the_null_hypothesis_is_no_evidence():
    rng = np.random.default_rng(5)
    null = np.column_stack([0.5 + rng.standard_normal(999), np.full((999, 2), 0.5)])
    assert joint_test([0.5, 0.5, 0.5], null).p_value[0] > 0.9
    assert joint_test([-3.0, 0.5, 0.5], null).p_value[0] < 0.01


def test_rejects_as_often_as_it_says():
    """Observed and drawn alike, p <= .05 happens in 5 %: 2,000 tests, four Monte Carlo errors of 0.5 points."""
    rng = np.random.default_rng(6)
    y = rng.standard_normal((2000, 100, 7)) + rng.standard_normal((2000, 100, 1))
    statistics = joint_statistics(y, y - 1.5, y + 1.5)
    p = np.array([joint_test(s[0], s[1:]).p_value for s in statistics])
    assert abs((p[:, 0] <= 0.05).mean() - 0.04) < 0.02  # 100 draws: twice 2 / 100 or less
    # Shares are of seven: ties make the test conservative.
    assert ((p[:, 1:] <= 0.05).mean(axis=0) < 0.07).all()
