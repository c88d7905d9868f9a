"""Known truth recovered: estimators unbiased, intervals and tests at their nominal level."""

import numpy as np
import pytest

from twostage.stats.pool.pool import pool_many
from twostage.stats.pool.tau2 import q_profile

THETA, TAU2 = 0.3, 0.08
REPLICATES = 4000
# Four Monte Carlo standard errors: a correct method fails one such comparison in 16,000 (the seed is fixed).
BAND = 4.0
COVERAGE_BAND = BAND * np.sqrt(0.95 * 0.05 / REPLICATES)
# Hartung-Knapp and the prediction interval are approximations where variances are unequal; at these k they
# are within half a percent of nominal.
APPROXIMATION = 0.005


def simulate(k, tau2, seed=11):
    """Meta-analyses of k studies, sampling variances between 0.01 and 0.09."""
    rng = np.random.default_rng(seed)
    v = rng.uniform(0.01, 0.09, (REPLICATES, k))
    y = THETA + rng.normal(size=v.shape) * np.sqrt(tau2 + v)
    return y, v, THETA + np.sqrt(tau2) * rng.normal(size=REPLICATES)


def coverage(low, high, truth):
    return np.mean((low <= truth) & (truth <= high))


@pytest.mark.parametrize("method", ["DL", "HE", "PM", "REML", "EB"])
def test_tau2_is_recovered_without_bias(method):
    """k = 30 studies, tau2 well above sampling error: truncation plays no part."""
    y, v, _ = simulate(30, TAU2)
    fit = pool_many(y, v, method=method)
    error = BAND * fit.tau2.std() / np.sqrt(REPLICATES)
    assert fit.tau2.mean() == pytest.approx(TAU2, abs=error)
    assert fit.estimate.mean() == pytest.approx(THETA, abs=BAND * fit.estimate.std() / np.sqrt(REPLICATES))


def test_maximum_likelihood_is_biased_downward_as_known():
    """By about (tau2 + v) / k: the mean is estimated too (Viechtbauer 2005)."""
    y, v, _ = simulate(10, TAU2)
    gap = pool_many(y, v, method="REML").tau2 - pool_many(y, v, method="ML").tau2
    assert gap.mean() == pytest.approx((TAU2 + 0.05) / 10, rel=0.1)


def test_tau2_standard_error_matches_the_spread():
    """The large-sample formulas at k = 80. (SJ's takes its starting value as known and is too small.)"""
    y, v, _ = simulate(80, TAU2)
    for method in ("REML", "ML", "PM", "DL", "HE"):
        fit = pool_many(y, v, method=method)
        assert fit.tau2_se.mean() == pytest.approx(fit.tau2.std(), rel=0.06), method


@pytest.mark.parametrize("k", [8, 20])
def test_hartung_knapp_covers(k):
    y, v, _ = simulate(k, TAU2)
    fit = pool_many(y, v)
    assert coverage(fit.ci_low, fit.ci_high, THETA) == pytest.approx(0.95, abs=COVERAGE_BAND + APPROXIMATION)


def test_wald_covers_too_little_with_few_studies():
    """What Hartung-Knapp is for: 5 studies, nominal 95 percent."""
    y, v, _ = simulate(5, TAU2)
    wald, hk = pool_many(y, v, ci="wald"), pool_many(y, v)
    assert coverage(wald.ci_low, wald.ci_high, THETA) < 0.92
    assert coverage(hk.ci_low, hk.ci_high, THETA) > 0.94


def test_fixed_effect_and_q_test_are_exact_without_heterogeneity():
    y, v, _ = simulate(10, 0.0)
    fit = pool_many(y, v, method="FE", ci="wald")
    assert coverage(fit.ci_low, fit.ci_high, THETA) == pytest.approx(0.95, abs=COVERAGE_BAND)
    assert np.mean(fit.q_p_value < 0.05) == pytest.approx(0.05, abs=COVERAGE_BAND)
    assert fit.q.mean() == pytest.approx(9, abs=BAND * np.sqrt(18 / REPLICATES))


def test_q_profile_is_exact():
    y, v, _ = simulate(10, TAU2)
    low, high, _, _ = q_profile(y, v, 0.95)
    assert coverage(low, high, TAU2) == pytest.approx(0.95, abs=COVERAGE_BAND)


def test_prediction_interval_covers_new_studies():
    """40 studies: the effect in another study of the same population."""
    y, v, new = simulate(40, TAU2)
    fit = pool_many(y, v)
    assert coverage(fit.pi_low, fit.pi_high, new) == pytest.approx(0.95, abs=COVERAGE_BAND + APPROXIMATION)


def test_i2_is_the_share_of_heterogeneity():
    """k = 80, variances around 0.05 and tau2 of 0.08."""
    y, v, _ = simulate(80, TAU2)
    typical = 1 / np.mean(1 / v)  # the typical variance is close to the harmonic mean
    assert pool_many(y, v).i2.mean() == pytest.approx(100 * TAU2 / (TAU2 + typical), abs=2.0)
