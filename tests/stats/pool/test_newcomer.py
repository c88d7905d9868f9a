"""A new study's estimate against a pool: by hand, against metafor's deleted residuals, and its error rate."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from twostage.stats.pool import newcomer, pool, pool_many
from twostage.stats.pool.newcomer import expected_error

REFERENCE = Path(__file__).parents[2] / "reference"

#: Sums of a few numbers.
ROUNDING = 1e-10
#: metafor's scoring stops at a step of 1e-14 in tau2; a residual carries its root.
METAFOR = 1e-7
#: Collections; three standard errors of a share of 5 % of them, 3 sqrt(.05 .95 / 20000) = .0046, and .003 more because
#: the t distribution is exact only where all variances agree.
COLLECTIONS, NEAR = 20_000, 0.0076


@pytest.mark.parametrize("v", [0.01, 0.5, 100.0])
def test_with_equal_variances_it_is_the_interval_for_one_more_draw(v):
    # mean -+ t_(k-1) s sqrt(1 + 1/k), whatever tau2 is: the factor makes v + tau2 the sample's variance.
    y = np.array([0.2, 0.5, -0.4, 0.9, 0.1])
    found = newcomer(pool(y, np.full(5, v)), 1.7, v)
    half = t.ppf(0.975, 4) * y.std(ddof=1) * np.sqrt(1 + 1 / 5)
    assert (found.low, found.high) == pytest.approx((y.mean() - half, y.mean() + half), abs=ROUNDING)
    assert found.residual == pytest.approx((1.7 - y.mean()) / (y.std(ddof=1) * np.sqrt(1.2)), abs=ROUNDING)
    assert found.p_value == pytest.approx(2 * t.sf(found.residual, 4), abs=ROUNDING)
    assert found.inside == (found.p_value > 0.05)


def test_the_intervals_rule_of_the_pool_does_not_change_it():
    y, v = np.array([0.2, 0.5, -0.4, 0.9]), np.array([0.02, 0.1, 0.05, 0.2])
    fits = [pool(y, v, ci=ci) for ci in ("wald", "hartung-knapp", "hartung-knapp-adhoc")]
    assert len({newcomer(fit, 0.7, 0.03).residual for fit in fits}) == 1
    # A fixed effect: known variances, a normal distribution.
    fixed = newcomer(pool(y, v, method="FE", ci="wald"), 0.7, 0.03)
    total = 1 / (1 / v).sum()
    expected = (0.7 - (y / v).sum() * total) / np.sqrt(0.03 + total)
    assert (fixed.residual, fixed.df) == (pytest.approx(expected, abs=ROUNDING), np.inf)


def test_against_metafors_deleted_residuals():
    # rstudent(rma(test = "knha")) has the same factor; its residual with test = "z" has not, and is another number.
    expected = pd.read_csv(REFERENCE / "addition.csv").query("ci == 'hartung-knapp'")
    data = pd.read_csv(REFERENCE / "pool_data.csv")
    assert len(expected) > 70
    for row in expected.to_dict("records"):
        of_set, i = data[data["dataset"] == row["dataset"]], row["study"]
        y, v = of_set["y"].to_numpy(), of_set["v"].to_numpy()
        found = newcomer(pool(np.delete(y, i), np.delete(v, i), method=row["method"]), y[i], v[i])
        assert found.residual == pytest.approx(row["rstudent"], rel=METAFOR, abs=METAFOR)


@pytest.mark.parametrize("k", [5, 17])
@pytest.mark.parametrize("tau", [0.0, 0.03, 0.15])
def test_five_of_a_hundred_estimates_of_one_process_lie_outside(k, tau):
    # Sampling errors of .025 to .08, as of cross-lagged effects of 40 to 400 patients.
    rng = np.random.default_rng([k, int(100 * tau)])
    v = 1 / (4 * rng.integers(40, 400, (COLLECTIONS, k)))
    y = rng.normal(-0.07, np.sqrt(v + tau**2))
    fits = pool_many(y[:, 1:], v[:, 1:])
    error, df = expected_error(y[:, 1:], v[:, 1:], fits.estimate, fits.tau2, v[:, 0])
    outside = np.abs(y[:, 0] - fits.estimate) > t.ppf(0.975, df) * error
    assert outside.mean() == pytest.approx(0.05, abs=NEAR)
    one = newcomer(pool(y[0, 1:], v[0, 1:]), y[0, 0], v[0, 0])
    assert (one.residual, one.inside) == (
        pytest.approx((y[0, 0] - fits.estimate[0]) / error[0]),
        not outside[0],
    )


def test_a_single_other_study_lets_one_expect_nothing():
    found = newcomer(pool([0.3], [0.01]), 0.5, 0.01)
    assert found.inside is None
    assert np.isnan(found.p_value)


@pytest.mark.parametrize(("estimate", "variance"), [(np.nan, 1.0), (np.inf, 1.0), (0.0, 0.0), (0.0, -1.0)])
def test_numbers_that_are_none_are_refused(estimate, variance):
    with pytest.raises(ValueError, match="expected a finite estimate and a positive variance"):
        newcomer(pool([0.1, 0.2, 0.3], [0.01] * 3), estimate, variance)
