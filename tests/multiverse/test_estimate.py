"""Stage 1 and the pools of a multiverse give the numbers of a run with the same parameters."""

import numpy as np
import pytest

from twostage.multiverse.estimate import CROSS, TRENDS, estimate_all, scaled, without_common_slope
from twostage.multiverse.grid import make_grid
from twostage.multiverse.pools import pool_all
from twostage.multiverse.specifications import specify
from twostage.records.analyse import analyse
from twostage.stage1.panel import make_panel
from twostage.stage2.results import pool_results
from twostage.terms import DIRECTIONS, HEADLINE

#: Sums in another order: a few units in the last of 16 digits, times what Newton's last step leaves.
SAME = {"rtol": 1e-10, "atol": 0}

UNIVERSES = 20


@pytest.fixture(scope="module")
def specs(three):
    return specify(make_grid(three))


@pytest.fixture(scope="module")
def pools(three, specs):
    found = []
    for study in three.studies["study"]:
        panel = make_panel(three.study(study), standardize="none")
        about = {"reliability": panel.reliability, "reliability_kind": panel.reliability_kind}
        found.append(estimate_all([panel.wide()[0]], 1, specs.stage1, **about))
    arrays = (np.stack([getattr(e, name) for e in found]) for name in ("estimate", "std_error"))
    return pool_all(*arrays, specs, list(three.studies["study"]))


@pytest.mark.parametrize("detrend", ["none", "session", "patient"])
@pytest.mark.parametrize("standardize", ["total", "within"])
def test_panels_are_those_of_a_run(three, standardize, detrend):
    study = three.study("S01")
    raw = make_panel(study, standardize="none", first_session=2).wide()[0]
    wanted = make_panel(study, standardize=standardize, detrend=detrend, first_session=2).wide()[0]
    np.testing.assert_allclose(TRENDS[detrend](scaled(raw, standardize)), wanted, rtol=0, atol=1e-13)


def test_a_variable_that_never_varies_keeps_its_unit():
    panel = np.stack([np.full((5, 4), 3.0), np.arange(20.0).reshape(5, 4)], axis=2)
    np.testing.assert_array_equal(scaled(panel, "total")[..., 0], panel[..., 0])
    assert np.isfinite(without_common_slope(panel)).all()


@pytest.mark.slow
def test_random_universes_are_those_of_runs(three, specs, pools):
    """Every number of twenty specifications, estimators at random, both directions."""
    rng = np.random.default_rng(18)
    table = specs.table()
    for at in rng.choice(len(specs), UNIVERSES, replace=False):
        row = table.iloc[at]
        one = specs.stage1[at // (len(specs.stage2) * len(specs.grid.sets))]
        change = {"tau2_method": row["tau2_method"], "ci_method": row["ci_method"]}
        parameters = one.parameters(three_parameters := specs.grid.parameters).model_copy(update=change)
        assert three_parameters.level == parameters.level
        some = three.only(list(specs.grid.sets[row["studies"]].studies))
        analyses = ["estimators"] + ["lagged"] * (one.estimator == HEADLINE)
        results = pool_results("run", some, parameters, analyse(some, parameters, analyses).records).table
        for d, direction in enumerate(DIRECTIONS.values()):
            rows = results[(results["direction"] == direction.name) & (results["term"] == direction.cross)]
            rows = rows[rows["estimator"] == one.estimator]
            assert len(rows) == len(analyses)
            for name in ("estimate", "std_error", "ci_low", "ci_high", "p_value", "tau2"):
                found = getattr(pools, name)[0, at, d]
                np.testing.assert_allclose(rows[name], found, err_msg=f"{at} {name}", **SAME)
            assert (rows["k"] == pools.k[0, at, d]).all()


def test_a_study_without_estimate_has_a_reason(three, specs):
    raw = make_panel(three.study("S01"), standardize="none").wide()[0][:8]
    found = estimate_all([raw, raw * [0.0, 1.0]], 1, specs.stage1[:9])
    missing = np.isnan(found.estimate)
    assert (missing == (found.reasons != "")).all()
    assert set(found.reasons[1].ravel()) == {"x does not vary within patients"}


def test_coefficients_are_the_cross_lags():
    assert CROSS == (0, 2)
