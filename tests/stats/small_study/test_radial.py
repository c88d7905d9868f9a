"""Radial plots: by hand, against metafor (tests/reference/radial.R), on simulated studies."""

import sys
from pathlib import Path

import numpy as np
import pytest

REFERENCE = Path(__file__).parents[2] / "reference"
sys.path.insert(0, str(REFERENCE))

from tables import data_sets, grouped

from twostage.stats.pool.pool import pool
from twostage.stats.small_study.radial import radial

ROUNDING = 1e-12
# Same arithmetic in another order; metafor's REML stops at a step of 1e-13 of the variance of y.
TOLERANCE = {"FE": 1e-10, "DL": 1e-10, "REML": 1e-8}

DATA = data_sets()
CASES = grouped("radial.csv", "dataset", "method")


def test_two_studies_by_hand():
    """y = 1, 3 with variances 1/2, REML: tau2 = 3/2, so both have variance 2; the pooled effect is 2."""
    plot = radial([1.0, 3.0], [0.5, 0.5], labels=["a", "b"])
    assert plot.precision == pytest.approx([np.sqrt(0.5)] * 2, rel=ROUNDING)
    assert plot.statistic == pytest.approx([np.sqrt(0.5), 3 * np.sqrt(0.5)], rel=ROUNDING)
    assert plot.distance == pytest.approx([-np.sqrt(0.5), np.sqrt(0.5)], rel=ROUNDING)
    assert plot.slope == pytest.approx(2.0, rel=ROUNDING) and not plot.outside.any()
    fixed = radial([1.0, 3.0], [0.5, 0.1], method="FE", ci="wald")
    assert fixed.outside.tolist() == [
        True,
        False,
    ]  # line at 16/6: (1 - 2.67) sqrt(2) = -2.36, (3 - 2.67) sqrt(10)
    assert fixed.distance == pytest.approx([-5 / 3 * np.sqrt(2), np.sqrt(10) / 3], rel=ROUNDING)


def test_the_grid_has_not_shrunk():
    sets = {n for n, (y, _) in DATA.items() if 2 <= len(y) <= 24}
    skipped = {("two_maxima_8", "REML"), ("two_maxima_5", "REML")}
    assert set(CASES) == {(d, m) for d in sets for m in TOLERANCE} - skipped and len(sets) == 22
    assert all(len(c["study"]) == len(DATA[d][0]) for (d, _), c in CASES.items())


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_coordinates_agree_with_metafor(case):
    name, method = case
    ours = radial(*DATA[name], method=method)
    for number in ("precision", "statistic"):
        np.testing.assert_allclose(getattr(ours, number), CASES[case][number], rtol=TOLERANCE[method])


def test_as_many_studies_outside_as_the_level_says():
    """4,000 studies around one effect: 10 percent beyond a 90 percent band, within four standard errors."""
    rng = np.random.default_rng(2)
    v = rng.uniform(0.01, 0.2, 4000)
    plot = radial(rng.normal(0.2, np.sqrt(v)), v, method="FE", ci="wald", level=0.9)
    assert plot.outside.mean() == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / 4000))


def test_tables():
    fit = pool([0.1, 0.3, 4.0], [0.02, 0.03, 0.01], method="FE", labels=["a", "b", "c"])
    plot = radial(fit)
    assert plot.tidy()["study"].tolist() == ["a", "b", "c"] and plot.labels == fit.labels
    assert plot.glance().loc[0, "n_outside"] == plot.outside.sum() == 3
    assert "Radial plot" in plot._repr_html_()
    assert radial([0.5], [0.1]).distance[0] == 0.0
