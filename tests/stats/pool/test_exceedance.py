"""The share of true effects beyond a threshold: by hand, against R, and by simulation."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr

sys.path.insert(0, str(Path(__file__).parents[2] / "reference"))

from tables import data_sets, read_rows

from twostage.stats.pool.exceedance import NODES, exceedance
from twostage.stats.pool.pool import pool

ROUNDING = 1e-12
# metafor's tau2 is found to about 1e-10; far in a tail the share reacts a hundred times as strongly.
PLUG_IN_TOLERANCE = 1e-7
# R's numerical derivatives of fourth order.
DERIVATIVE_TOLERANCE = 1e-6
# R's integrate (absolute error 1e-11 per piece) and uniroot (1e-9 in zeta).
INTERVAL_TOLERANCE = 1e-7
DATA = data_sets()
REFERENCE = read_rows("exceedance.csv")
REPLICATES = 400
# Four Monte Carlo standard errors: a correct method falls below one such bound in 30,000 (the seed is fixed).
BAND = 4.0 * math.sqrt(0.95 * 0.05 / REPLICATES)


def test_plug_in_by_hand():
    """y = 1, 3 with v = 1/2: theta = 2, tau2 = 3/2 (REML); threshold 2 - tau gives zeta = 1."""
    fit = pool([1.0, 3.0], [0.5, 0.5], ci="wald", prediction="normal")
    share = exceedance(fit, 2.0 - math.sqrt(1.5))
    assert share.estimate == pytest.approx(0.5 * math.erfc(-1.0 / math.sqrt(2.0)), rel=ROUNDING)
    # var(theta) = 1, var(tau2) = 2 / tr(PP) = 8 at total variances of 2: phi(1) sqrt(1 / 1.5 + 8 / (4 * 2.25)).
    density = math.exp(-0.5) / math.sqrt(2.0 * math.pi)
    assert share.std_error == pytest.approx(density * math.sqrt(1 / 1.5 + 8 / 9), rel=ROUNDING)
    # theta's variance joins tau2: sqrt(1.5) / sqrt(1.5 + 1).
    assert share.predictive == pytest.approx(float(ndtr(math.sqrt(1.5 / 2.5))), rel=ROUNDING)


def test_interval_of_two_studies_by_hand():
    """Equal variances, threshold at the mean: theta is 0 either way, so the interval is symmetric about one half."""
    share = exceedance(pool([1.0, 3.0], [0.5, 0.5]), 2.0)
    assert share.ci_low + share.ci_high == pytest.approx(1.0, abs=ROUNDING)
    # Without sampling error theta = 2 + tau Z / sqrt(2), so zeta = Z / sqrt(2) whatever tau; sqrt(v) is 1e-6.
    tiny = exceedance(pool([1.0, 3.0], [1e-12, 1e-12]), 2.0)
    assert tiny.ci_high == pytest.approx(float(ndtr(1.959963984540054 / math.sqrt(2.0))), abs=1e-6)


@pytest.mark.parametrize("row", REFERENCE, ids=lambda r: f"{r['dataset']}-{r['method']}-{r['threshold']}")
def test_against_r(row):
    y, v = DATA[row["dataset"]]
    share = exceedance(pool(y, v, method=row["method"]), row["threshold"])
    assert share.estimate == pytest.approx(row["estimate"], abs=PLUG_IN_TOLERANCE)
    if not math.isnan(row["std_error"]):
        assert share.std_error == pytest.approx(row["std_error"], abs=DERIVATIVE_TOLERANCE)
    if not math.isnan(row["ci_low"]):
        assert share.ci_low == pytest.approx(row["ci_low"], abs=INTERVAL_TOLERANCE)
        assert share.ci_high == pytest.approx(row["ci_high"], abs=INTERVAL_TOLERANCE)
    for rule, column in (("k-2", "riley"), ("k-1", "t")):
        share = exceedance(pool(y, v, method=row["method"], prediction=rule), row["threshold"])
        assert share.predictive == pytest.approx(row[column], abs=PLUG_IN_TOLERANCE, nan_ok=True)


def test_the_grid_has_not_shrunk():
    assert len({r["dataset"] for r in REFERENCE}) >= 26
    assert len(REFERENCE) >= 104
    assert sum(not math.isnan(r["ci_low"]) for r in REFERENCE) >= 80


@pytest.mark.parametrize("k, tau2, q", [(5, 0.04, 0.0), (10, 0.0, 0.1), (17, 0.04, 0.2)])
def test_the_interval_covers(k, tau2, q):
    """theta = 0.3; conservative where tau2 is near 0, as it must be, and nominal elsewhere."""
    rng = np.random.default_rng(k)
    v = rng.uniform(0.01, 0.09, (REPLICATES, k))
    y = 0.3 + rng.normal(size=v.shape) * np.sqrt(v + tau2)
    truth = float(ndtr((0.3 - q) / math.sqrt(tau2))) if tau2 else 1.0
    shares = [exceedance(pool(a, b, method="DL"), q, nodes=64) for a, b in zip(y, v, strict=True)]
    covered = np.mean([s.ci_low <= truth <= s.ci_high for s in shares])
    assert covered >= 0.95 - BAND
    assert np.mean([s.ci_high - s.ci_low for s in shares]) < 0.7


def test_many_studies_recover_the_share():
    rng = np.random.default_rng(3)
    v = rng.uniform(0.001, 0.01, 2000)
    y = 0.3 + rng.normal(size=2000) * np.sqrt(v + 0.04)
    share = exceedance(pool(y, v), 0.1)
    assert share.ci_low < ndtr(1.0) < share.ci_high
    # At large k the delta method and the confidence distribution agree.
    half = 0.5 * (share.ci_high - share.ci_low)
    assert half == pytest.approx(1.96 * share.std_error, rel=0.02)


def test_above_and_below_add_up():
    fit = pool([0.1, 0.4, 0.6, 0.2, -0.1], [0.01, 0.02, 0.03, 0.02, 0.02])
    above, below = exceedance(fit, 0.1), exceedance(fit, 0.1, above=False)
    assert above.estimate + below.estimate == pytest.approx(1.0, abs=ROUNDING)
    assert above.predictive + below.predictive == pytest.approx(1.0, abs=ROUNDING)
    assert (above.ci_low, above.ci_high) == pytest.approx((1 - below.ci_high, 1 - below.ci_low), abs=ROUNDING)


def test_the_prediction_interval_ends_where_the_predictive_share_is_its_level():
    fit = pool([0.1, 0.4, 0.6, 0.2, -0.1], [0.01, 0.02, 0.03, 0.02, 0.02])
    assert exceedance(fit, fit.pi_low).predictive == pytest.approx(0.975, rel=ROUNDING)


def test_no_heterogeneity_is_no_certainty():
    """Three studies that agree: all effects are estimated to lie above, the interval does not follow."""
    share = exceedance(pool([0.5, 0.52, 0.51], [0.04, 0.04, 0.04]))
    assert (share.estimate, share.ci_high) == (1.0, 1.0)
    assert 0.4 < share.ci_low < 0.6
    assert math.isnan(share.std_error) and "not" in share.note
    exact = exceedance(pool([0.3] * 5, [0.01] * 5))
    assert (exact.ci_low, exact.ci_high) == (0.0, 1.0)


def test_nodes_suffice():
    rng = np.random.default_rng(5)
    for k, tau2 in ((2, 1.0), (5, 0.001), (40, 0.1), (160, 0.5)):
        v = rng.uniform(0.001, 0.1, k)
        fit = pool(rng.normal(size=k) * np.sqrt(v + tau2) + 0.2, v)
        coarse, fine = exceedance(fit), exceedance(fit, nodes=2 * NODES)
        assert coarse.converged
        assert (coarse.ci_low, coarse.ci_high) == pytest.approx((fine.ci_low, fine.ci_high), abs=1e-9)


def test_one_study_and_impossible_requests():
    alone = exceedance(pool([0.2], [0.01]))
    assert math.isnan(alone.estimate) and "one study" in alone.note
    fit = pool([0.1, 0.2, 0.5], [0.01, 0.01, 0.01])
    with pytest.raises(ValueError, match="fixed-effect"):
        exceedance(pool([0.1, 0.2], [0.01, 0.01], method="FE", ci="wald"))
    with pytest.raises(ValueError, match="finite"):
        exceedance(fit, math.nan)
    with pytest.raises(ValueError, match="level"):
        exceedance(fit, level=1.0)


def test_tables():
    share = exceedance(pool([0.1, 0.2, 0.5], [0.01, 0.01, 0.01]), 0.2)
    assert share.tidy().loc[0, ["threshold", "above"]].tolist() == [0.2, True]
    assert share.glance().loc[0, "k"] == 3
    assert "above 0.2" in share._repr_html_()
