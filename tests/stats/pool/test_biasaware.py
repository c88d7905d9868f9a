"""Intervals that know of a bias: by hand, and their coverage where the plain interval fails."""

import numpy as np
import pytest
from scipy.stats import norm, t

from twostage.stats.pool.biasaware import bias_aware
from twostage.stats.pool.pool import pool, pool_many

EXACT = 1e-12

FIT = pool([0.1, 0.2, 0.4, 0.1], [0.01, 0.02, 0.01, 0.03])


def test_shift_by_hand():
    found = bias_aware(FIT, -0.05, 0.02)
    half = np.sqrt((t.ppf(0.975, 3) * FIT.std_error) ** 2 + (norm.ppf(0.975) * 0.02) ** 2)
    assert found.estimate == pytest.approx(FIT.estimate + 0.05, abs=EXACT)
    assert found.ci_low == pytest.approx(FIT.estimate + 0.05 - half, abs=EXACT)
    assert found.ci_high == pytest.approx(FIT.estimate + 0.05 + half, abs=EXACT)
    assert (found.plain_low, found.plain_high) == (FIT.ci_low, FIT.ci_high)


def test_without_bias_nothing_moves():
    for rule in ("shift", "widen"):
        found = bias_aware(FIT, 0.0, rule=rule)
        assert found.ci_low == pytest.approx(FIT.ci_low, abs=EXACT)
        assert found.ci_high == pytest.approx(FIT.ci_high, abs=EXACT)


@pytest.mark.parametrize("bias", [-0.1, 0.1])
def test_widening_keeps_the_estimate_and_both_intervals(bias):
    wide, moved = bias_aware(FIT, bias, 0.01, rule="widen"), bias_aware(FIT, bias, 0.01)
    assert wide.estimate == FIT.estimate
    assert wide.ci_low == min(FIT.ci_low, moved.ci_low)
    assert wide.ci_high == max(FIT.ci_high, moved.ci_high)


def test_it_covers_where_the_plain_interval_does_not():
    """400 pools of 17 studies of an estimator that is 0.1 too high, known from 20 other pools."""
    rng = np.random.default_rng(2)
    v = np.linspace(0.01, 0.04, 17)

    covered = np.zeros(3)
    for _ in range(400):
        known = pool_many(rng.normal(0.1, np.sqrt(v), (20, 17)), v, method="DL").estimate
        fit = pool(rng.normal(0.1, np.sqrt(v)), v, method="DL")
        intervals = [
            bias_aware(fit, known.mean(), known.std(ddof=1) / np.sqrt(20), rule=r) for r in ("shift", "widen")
        ]
        ends = [(fit.ci_low, fit.ci_high), *((i.ci_low, i.ci_high) for i in intervals)]
        covered += [low <= 0 <= high for low, high in ends]
    plain, shifted, widened = covered / 400
    assert plain < 0.5
    # Four standard errors of a proportion of 95 % in 400, and the interval's normal quantile for 20 pools.
    assert abs(shifted - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 400)
    assert widened >= shifted


@pytest.mark.parametrize(
    ("bias", "error", "rule"), [(np.nan, 0, "shift"), (0, -1, "shift"), (0, np.inf, "shift"), (0, 0, "move")]
)
def test_what_makes_no_sense_is_refused(bias, error, rule):
    with pytest.raises(ValueError, match="bias|rule"):
        bias_aware(FIT, bias, error, rule=rule)
