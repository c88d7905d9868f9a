"""Performance measures by hand, by their own Monte Carlo error."""

import numpy as np
import pandas as pd
import pytest

from twostage.recovery.measures import MEASURES, performance, summarise

#: Sums of a few numbers.
EXACT = 1e-14


def test_measures_by_hand():
    """Estimates 1, 2, 3 of a truth of 1, intervals of half width 1.5."""
    estimate = np.array([1.0, 2.0, 3.0])
    found = performance(estimate, np.array([0.5, 0.5, 0.8]), estimate - 1.5, estimate + 1.5, 1.0)
    hand = {
        "n_replicates": 3,
        "truth": 1.0,
        "bias": 1.0,
        "bias_mcse": 1 / np.sqrt(3),
        "empirical_se": 1.0,
        "empirical_se_mcse": 0.5,
        "rmse": np.sqrt(5 / 3),
        # d^2 = 0, 1, 4: variance 13/3
        "rmse_mcse": np.sqrt(13 / 3 / 3) / (2 * np.sqrt(5 / 3)),
        "coverage": 2 / 3,
        "coverage_mcse": np.sqrt(2 / 27),
        "rejection": 2 / 3,
        "rejection_mcse": np.sqrt(2 / 27),
        "mean_std_error": 0.6,
        "mean_width": 3.0,
    }
    assert tuple(found) == MEASURES == tuple(hand)
    for name, value in hand.items():
        assert found[name] == pytest.approx(value, abs=EXACT), name


def test_monte_carlo_errors_are_the_spread_of_the_measures():
    """Over 2,000 simulation studies of 200 replicates; a spread from 2,000 is known to 1.6 %."""
    rng = np.random.default_rng(1)
    draws = rng.normal(0.1, 1.0, (2000, 200))
    tables = pd.DataFrame([performance(d, np.ones(200), d - 1.7, d + 1.7, 0.0) for d in draws])
    for name in ("bias", "empirical_se", "rmse", "coverage", "rejection"):
        spread, claimed = tables[name].std(), tables[f"{name}_mcse"].mean()
        assert abs(spread / claimed - 1) < 4 * 0.016, name


def test_a_replicate_without_an_estimate_is_counted_not_used():
    rows = pd.DataFrame(
        {
            "condition": "plain",
            "pool": "all",
            "replicate": [0, 1, 2],
            "estimator": "centred",
            "direction": "x_to_y",
            "term": "x_within",
            "k": [3, 3, 1],
            "estimate": [0.1, 0.3, np.nan],
            "std_error": [0.1, 0.1, np.nan],
            "ci_low": [0.0, 0.2, np.nan],
            "ci_high": [0.2, 0.4, np.nan],
        }
    )
    found = summarise(rows, lambda *key: 0.2).iloc[0]
    assert (found["n_replicates"], found["n_failed"]) == (2, 1)
    assert found["bias"] == pytest.approx(0.0, abs=EXACT)
    assert found["mean_k"] == pytest.approx(7 / 3)


def test_one_replicate_has_no_spread():
    found = performance(np.array([1.0]), np.array([1.0]), np.array([0.0]), np.array([2.0]), 1.0)
    assert np.isnan(found["empirical_se"]) and np.isnan(found["bias_mcse"])
    assert found["coverage"] == 1.0
