"""Known truth recovered by `pool_mv`: variances without bias, correlation, coverage."""

import numpy as np
import pytest

from twostage.stats.multilevel.model import pool_mv
from twostage.stats.multilevel.terms import inner_outer, nested

# Four Monte Carlo standard errors: a correct method fails one such comparison in 16,000 (the seed is fixed).
BAND = 4.0


def covers(inside, replicates, level=0.95):
    return inside / replicates == pytest.approx(level, abs=BAND * np.sqrt(level * (1 - level) / replicates))


def test_nested_variances_and_mean():
    """15 countries of 2 to 4 studies; variances off 0, so that truncation plays no part."""
    rng = np.random.default_rng(21)
    country = np.repeat(np.arange(15), rng.integers(2, 5, 15))
    n, replicates = len(country), 60
    found, inside, ml = [], 0, []
    for _ in range(replicates):
        v = rng.uniform(0.01, 0.05, n)
        y = 0.3 + rng.normal(0, 0.5, 15)[country] + rng.normal(0, 0.4, n) + rng.normal(size=n) * np.sqrt(v)
        terms = nested(country=country, study=np.arange(n))
        fit = pool_mv(y, v, random=terms, test="t", dfs="contain")
        found.append([*fit.g, fit.coef[0]])
        if len(ml) < 30:
            ml.append(pool_mv(y, v, random=terms, method="ML").g[0])
        inside += fit.ci_low[0] <= 0.3 <= fit.ci_high[0]
    found = np.array(found)
    error = BAND * found.std(axis=0) / np.sqrt(replicates)
    assert (np.abs(found.mean(axis=0) - [0.25, 0.16, 0.3]) < error).all()
    assert covers(inside, replicates)
    assert np.mean(ml) < found[:30, 0].mean() - 0.01  # ML's known bias, about (total variance) / 15


def test_covariances_of_three_outcomes_with_missing_ones():
    rng = np.random.default_rng(22)
    s = np.array([0.5, 0.4, 0.6])
    G = np.outer(s, s) * np.array([[1.0, 0.5, -0.2], [0.5, 1.0, 0.1], [-0.2, 0.1, 1.0]])
    k, replicates, found = 40, 30, []
    study, outcome = np.repeat(np.arange(k), 3), np.tile([0, 1, 2], k)
    for _ in range(replicates):
        V = np.array([0.02 * (0.5 + 0.5 * np.eye(3))] * k)
        Y = rng.multivariate_normal([0.1, 0.2, 0.3], G + V[0], k).ravel()
        keep = (rng.uniform(size=3 * k) < 0.85) | (outcome == study % 3)
        blocks = [V[i][np.ix_(p, p)] for i, p in enumerate(keep.reshape(k, 3))]
        terms = inner_outer(outcome[keep], study[keep])
        found.append(pool_mv(Y[keep], blocks, np.eye(3)[outcome[keep]], random=terms, struct="UN").G)
    found = np.array(found)
    assert (np.abs(found.mean(axis=0) - G) < BAND * found.std(axis=0) / np.sqrt(replicates)).all()


def test_profile_interval_covers():
    """Variance between 12 studies of two estimates each."""
    rng = np.random.default_rng(23)
    study, replicates, inside = np.repeat(np.arange(12), 2), 40, 0
    for _ in range(replicates):
        y = rng.normal(0, 0.4, 12)[study] + rng.normal(0, 0.2, 24)
        interval = pool_mv(y, np.full(24, 0.04), random=nested(study=study)).profile("sigma2[study]", 0.9)
        inside += interval.low <= 0.16 <= interval.high
    assert covers(inside, replicates, 0.9)
