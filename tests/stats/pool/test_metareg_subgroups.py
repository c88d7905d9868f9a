"""Subgroups: by hand, against metafor, degenerate groups, errors, simulated truth."""

import sys
from dataclasses import replace
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "reference"))

from metareg_tables import DATA, read

from twostage.stats.base.checks import NotEstimable
from twostage.stats.pool.metareg import metareg
from twostage.stats.pool.pool import pool
from twostage.stats.pool.subgroups import subgroups

ROUNDING = 1e-12
AGREEMENT = {"FE": 1e-10, "DL": 1e-10, "REML": 1e-8}  # closed forms; metafor's scoring
ABSOLUTE = 1e-12  # where tau2 is 0, metafor's scoring stops short of it
CASES = read("metareg_subgroups.json.gz")


def fitted(case, rule):
    data = DATA[case["dataset"]]
    options = {"method": case["method"], "ci": case["ci"], "tau2": rule}
    return subgroups(data["y"], data["v"], data["group"], **options)


def test_the_grid_has_not_shrunk():
    found = {(c["dataset"], c["method"], c["ci"]) for c in CASES}
    names = {n for n, d in DATA.items() if d["group"]}
    assert names == {"bcg_all", "raudenbush", "hackshaw", "curtis", "landenberger", "cell_means"}
    assert found == {
        (d, m, c) for d in names for m in AGREEMENT for c in ("wald", "hartung-knapp", "hartung-knapp-adhoc")
    }


@pytest.mark.parametrize("rule", ["separate", "common"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['dataset']}-{c['method']}-{c['ci']}")
def test_agrees_with_metafor(case, rule):
    fit, theirs, rtol = fitted(case, rule), case[rule], AGREEMENT[case["method"]]
    assert fit.converged and fit.groups == tuple(case["groups"])
    for name, numbers in theirs.items():
        expected = np.array(numbers, dtype=float)
        if name in ("pi_low", "pi_high") and case["method"] == "FE":
            assert np.isnan(getattr(fit, name)).all()
        elif name.endswith("p_value"):
            np.testing.assert_allclose(getattr(fit, name), expected, rtol=1e3 * rtol, err_msg=name)
        else:
            np.testing.assert_allclose(getattr(fit, name), expected, rtol=rtol, atol=ABSOLUTE, err_msg=name)


def test_by_hand():
    """Two pairs, fixed effect: means 1 and 4, variances 1/4; difference 3, variance 1/2: QM = 18."""
    y, v, groups = [0.0, 2.0, 3.0, 5.0], [0.5] * 4, ["a", "a", "b", "b"]
    for rule in ("separate", "common"):
        fit = subgroups(y, v, groups, method="FE", ci="wald", tau2=rule)
        assert fit.groups == ("a", "b") and fit.k.tolist() == [2, 2]
        assert fit.estimate == pytest.approx([1.0, 4.0], rel=ROUNDING)
        assert fit.std_error == pytest.approx([0.5, 0.5], rel=ROUNDING)
        assert fit.q == pytest.approx([4.0, 4.0], rel=ROUNDING)  # 2 * (1 + 1)
        assert fit.qm == pytest.approx(18.0, rel=ROUNDING)
        assert fit.qm_p_value == pytest.approx(2.2090496998585441e-05, rel=1e-9)  # 2 Phi(-sqrt 18)
        assert (fit.qm_df, fit.qm_df2) == (1, np.inf)


def test_separate_is_pool_and_common_is_metareg():
    rng = np.random.default_rng(4)
    groups = np.array(["x", "y", "z"])[np.arange(20) % 3]
    v = rng.uniform(0.01, 0.1, 20)
    y = rng.normal(0.4, np.sqrt(v + 0.05)) + 0.3 * (groups == "z")
    separate, common = (subgroups(y, v, groups, tau2=rule) for rule in ("separate", "common"))
    for i, group in enumerate(separate.groups):
        one = pool(y[groups == group], v[groups == group])
        for name in ("estimate", "std_error", "tau2", "i2", "pi_low", "ci_high", "q_p_value"):
            assert getattr(separate, name)[i] == getattr(one, name)
    model = metareg(y, v, np.column_stack([groups == "y", groups == "z"]))
    assert (common.tau2 == model.tau2).all() or common.tau2 == pytest.approx(np.full(3, model.tau2), rel=1e-9)
    assert common.qm == pytest.approx(model.qm, rel=1e-9) and common.qm_df2 == 17.0
    assert common.estimate[2] - common.estimate[0] == pytest.approx(model.coef[2], rel=1e-9)
    assert (common.overall.estimate, common.overall.k) == (pool(y, v).estimate, 20)
    reach = common.pi_high - common.estimate
    assert reach == pytest.approx(
        2.1199052992210112 * np.sqrt(common.tau2 + common.std_error**2), rel=1e-9
    )  # 16 df


def test_single_studies_and_exact_agreement_are_named():
    fit = subgroups([0.1, 0.5, 0.2], [0.1, 0.1, 0.1], ["a", "a", "b"])
    assert "tau2 is 0 by definition: b" in fit.note and fit.std_error[1] == pytest.approx(sqrt(0.1))
    same = subgroups([0.1, 0.1, 0.2, 0.4], [0.1] * 4, ["a", "a", "b", "b"])
    assert np.isnan(same.qm) and np.isnan(same.qm_p_value) and "no test between subgroups: a" in same.note


# The face's name `subgroups` is the function.
MODULE = sys.modules[subgroups.__module__]


def test_one_search_without_an_end_is_told(monkeypatch):
    data = [0.0, 2.0, 3.0, 5.0], [0.5] * 4, ["a", "a", "b", "b"]
    assert subgroups(*data).converged and subgroups(*data, tau2="common").converged
    for lost in (0.0, 3.0):
        monkeypatch.setattr(
            MODULE, "pool", lambda y, v, x=lost, **o: replace(pool(y, v, **o), converged=y[0] != x)
        )
        assert not subgroups(*data).converged
    for lost in (True, False):
        monkeypatch.setattr(
            MODULE,
            "metareg",
            lambda *a, intercept=True, x=lost, **o: replace(
                metareg(*a, intercept=intercept, **o), converged=intercept != x
            ),
        )
        assert not subgroups(*data, tau2="common").converged


def test_groups_need_not_be_text():
    assert subgroups([0.1, 0.5, 0.2, 0.4], [0.1] * 4, [2, 1, 2, 1]).groups == ("2", "1")


@pytest.mark.parametrize(
    "groups, options, error, message",
    [
        (["a", "a", "a"], {}, NotEstimable, "one group, a"),
        (["a", "b", "c"], {"tau2": "common"}, NotEstimable, "3 studies cannot determine 3"),
        (["a", "b"], {}, ValueError, "2 groups for 3 studies"),
        (["a", None, float("nan")], {}, ValueError, "no group for study 1, 2"),
        (["a", "b", "b"], {"tau2": "same"}, ValueError, "tau2 must be one of"),
        (["a", "b", "b"], {"ci": "t"}, ValueError, "ci must be one of"),
    ],
)
def test_refusals(groups, options, error, message):
    with pytest.raises(error, match=message):
        subgroups([0.1, 0.2, 0.4], [0.1] * 3, groups, **options)


def test_a_missing_group_of_pandas_is_refused():
    import pandas as pd

    with pytest.raises(ValueError, match="no group for study 1"):
        subgroups([0.1, 0.2, 0.4], [0.1] * 3, pd.array(["a", None, "b"], dtype="string"))


def test_tables():
    fit = subgroups([0.1, 0.5, 0.2, 0.4], [0.1] * 4, ["a<", "a<", "b", "b"])
    assert fit.tidy().shape == (2, 16) and fit.glance().shape == (1, 10)
    assert "a&lt;" in fit._repr_html_() and "chi-square(1)" in fit._repr_html_()


def test_the_test_between_groups_keeps_its_level():
    """300 meta-analyses of two equal groups of 15: 5 percent rejected, within four Monte Carlo standard errors."""
    rng = np.random.default_rng(9)
    groups = ["a"] * 15 + ["b"] * 15
    rejected = 0
    for _ in range(300):
        v = rng.uniform(0.01, 0.09, 30)
        y = rng.normal(size=30) * np.sqrt(v + 0.05)
        rejected += subgroups(y, v, groups, method="DL").qm_p_value < 0.05
    assert rejected / 300 == pytest.approx(0.05, abs=4 * sqrt(0.05 * 0.95 / 300))
