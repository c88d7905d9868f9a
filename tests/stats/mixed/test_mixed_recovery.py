"""A simulated truth comes back: estimates unbiased, intervals with their coverage, on many small unbalanced
panels."""

import numpy as np
import pytest

from twostage.stats.mixed.fit import fit_mixed

REPLICATES = 300
# Averages over replicates may miss by this many of their own standard errors (one run in 15,000).
SURE = 4.0


@pytest.fixture(scope="module")
def fits():
    """300 panels of 40 patients, 2 to 6 sessions: coefficients (1, 0.5), intercept sd 0.8, slope sd
    0.6, sigma 1."""
    rng = np.random.default_rng(77)
    found = []
    for _ in range(REPLICATES):
        group = np.repeat(np.arange(40), rng.integers(2, 7, 40))
        X = np.column_stack([np.ones(len(group)), rng.normal(size=len(group))])
        effects = rng.normal(size=(40, 2)) * [0.8, 0.6]
        y = X @ [1.0, 0.5] + (X * effects[group]).sum(axis=1) + rng.normal(size=len(group))
        found.append(fit_mixed(y, X, group, X))
    return found


def assert_mean(values, truth):
    values = np.asarray(values)
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean() - truth) < SURE * error


def test_all_converge(fits):
    assert all(fit.converged for fit in fits)


@pytest.mark.parametrize(("term", "truth"), [(0, 1.0), (1, 0.5)])
def test_coefficients_and_their_intervals(fits, term, truth):
    assert_mean([fit.coef[term] for fit in fits], truth)
    covered = [low <= truth <= high for low, high in (fit.conf_int()[term] for fit in fits)]
    assert abs(np.mean(covered) - 0.95) < SURE * np.sqrt(0.95 * 0.05 / REPLICATES)


def test_standard_errors_are_the_spread(fits):
    spread = np.std([fit.coef for fit in fits], axis=0, ddof=1)
    claimed = np.mean([fit.std_error for fit in fits], axis=0)
    np.testing.assert_allclose(claimed, spread, rtol=SURE / np.sqrt(2 * REPLICATES))


def test_restricted_likelihood_is_unbiased_for_variances(fits):
    """Truncation at zero is rare at these variances, so REML's averages are the truth."""
    assert_mean([fit.sigma2 for fit in fits], 1.0)
    assert_mean([fit.cov_re[0, 0] for fit in fits], 0.64)
    assert_mean([fit.cov_re[1, 1] for fit in fits], 0.36)
    assert_mean([fit.cov_re[0, 1] for fit in fits], 0.0)
