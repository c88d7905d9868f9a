"""Estimates and variances of any size: pooling and selection models refuse them or handle them, and never warn.

Every warning is an error in these tests. 600 draws were tried by hand with all estimators of tau2.
"""

import numpy as np
import pytest

from twostage.stats.pool import pool, pool_many
from twostage.stats.small_study import selection_model

#: What doubles have at their ends, and what was reported to warn.
ODD = (1e154, -1e154, 1e-300, 5e-324, 1e300, 0.0, np.inf, np.nan)


def drawn(seed: int):
    """Estimates and variances whose units and ratios go over all orders of magnitude."""
    rng = np.random.default_rng([9, seed])
    k, unit, spread = int(rng.integers(2, 12)), rng.uniform(-160, 160), rng.choice([0, 1, 5, 30, 150])
    with np.errstate(all="ignore"):
        y = rng.normal(size=k) * 10.0 ** (unit * (seed % 2) + rng.uniform(-spread, spread, k))
        v = 10.0 ** (2 * unit * (seed % 2) + rng.uniform(-2 * spread, 2 * spread, k))
    if seed % 5 == 0:
        y[0] = rng.choice(ODD)
    if seed % 7 == 0:
        v[0] = rng.choice(ODD)
    return y, v


def fits(y, v):
    """Whatever can be fitted to them."""
    yield lambda: pool(y, v)
    yield lambda: pool(y, v, method="DL", ci="wald")
    yield lambda: pool_many(y[None], v[None])
    yield lambda: selection_model(y, v, steps=(0.2,), alternative="greater")
    yield lambda: selection_model(y, v, steps=(0.05, 0.5), alternative="two-sided")


def test_any_size_is_refused_or_handled():
    refused = handled = 0
    for seed in range(60):
        y, v = drawn(seed)
        for fit in fits(y, v):
            try:
                found = fit()
            except ValueError:
                refused += 1
                continue
            handled += 1
            assert np.isfinite(found.estimate).all()
            assert np.isfinite(found.tau2).all()
            assert (np.asarray(found.tau2) >= 0).all()
    assert refused > 60
    assert handled > 30


@pytest.mark.parametrize(("y", "v"), [([1e154, -1e154], [1.0, 1.0]), ([0.1, 0.2], [1e-300, 1e-300])])
def test_what_was_reported_is_refused_with_its_study(y, v):
    with pytest.raises(ValueError, match="study 0"):
        pool(y, v)
