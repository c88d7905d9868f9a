"""Every number of `pool_mv` against metafor's rma.mv (tests/reference/mv.R), on published and extreme data sets."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "reference"))
from mv_cases import fit, key, read

# The likelihoods may differ by rounding only, unless ours is higher.
LOWER = 1e-8
# What was asked for. The reference's pattern search ends on a mesh of 1e-12 in log variances, where the
# likelihood is flat to rounding (1e-14): about 1e-7 of a variance, and half of that in a standard error.
AGREEMENT = 1e-6
# A variance that is small beside the sampling variances is that precise in their units.
COMPONENT_FLOOR = 1e-7
# The reference's profile likelihoods are maximised to about 1e-9. Measured: ends within 4e-8 of themselves.
PROFILE = 1e-7
# metafor's QE, and what follows from it, is a closed form.
CLOSED = 1e-10

CASES = {key(c): c for c in read("mv_fits.json")}
PUBLISHED = {
    *("konstantopoulos", "berkey", "assink", "assink_subset", "fine", "kalaian", "ishak", "bcg_arms"),
    *("riley", "craft", "knapp", "bornmann", "crede", "tannersmith", "nakagawa"),
}
EXTREME = {
    *("k3", "rho_one", "rho_minus_one", "tau2_zero_pair", "one_zero_pair", "outlier", "offset", "missing"),
    *("six_orders", "tau2_zero_nested", "inner_zero_nested", "three_outcomes"),
}
NUMBERS = {
    "beta": "coef",
    "se": "std_error",
    "zval": "statistic",
    "pval": "p_value",
    "ci_low": "ci_low",
    "ci_high": "ci_high",
}
PREDICTIONS = {
    "pred": "estimate",
    "pred_se": "std_error",
    "pred_low": "ci_low",
    "pred_high": "ci_high",
    "pi_low": "pi_low",
    "pi_high": "pi_high",
}


def test_the_grid_has_not_shrunk():
    assert set(read("mv_data.json")) == PUBLISHED | EXTREME
    assert {c["data"] for c in CASES.values()} == PUBLISHED | EXTREME
    assert len(CASES) == len(read("mv_fits.json")) == 78
    assert {c.get("struct") for c in CASES.values()} == {None, "CS", "HCS", "UN", "DIAG"}
    assert sum(c["method"] == "ML" for c in CASES.values()) == 34
    assert sum(bool(c.get("profiles")) for c in CASES.values()) == 16


def test_versions_and_sources_are_recorded():
    about = read("mv_versions.json")
    assert about["R"] and about["metafor"] == "3.8.1" and about["metadat"]
    assert all(d["source"] and d["measure"] for d in read("mv_data.json").values())


@pytest.mark.parametrize("name", CASES)
def test_likelihood_is_not_lower(name):
    ours, theirs = fit(name), CASES[name]
    assert ours.converged
    assert ours.loglik >= theirs["loglik"] - LOWER
    if not theirs["outside"]:
        assert ours.loglik >= (theirs["default_loglik"] or -np.inf) - LOWER


def test_where_metafor_leaves_the_covariance_matrices():
    """There its correlation is lower than possible, its likelihood higher, and the reference is held at the edge."""
    outside = [name for name, case in CASES.items() if case["outside"]]
    assert outside == [f"fine CS {method} t1+t2+t3+t4" for method in ("REML", "ML")]
    assert CASES[outside[0]]["default_loglik"] > fit(outside[0]).loglik + LOWER


@pytest.mark.parametrize("name", CASES)
def test_components_agree(name):
    ours, theirs = fit(name), CASES[name]
    unit, rtol = np.diag(ours.V).min(), AGREEMENT
    for kind in ("sigma2", "tau2"):
        values = [c.estimate for c in ours.components if c.kind == kind]
        np.testing.assert_allclose(values, theirs.get(kind) or [], rtol=rtol, atol=COMPONENT_FLOOR * unit)
    rho = np.array([c.estimate for c in ours.components if c.kind == "rho"])
    known = np.isfinite(rho)
    np.testing.assert_allclose(rho[known], np.array(theirs.get("rho") or [])[known], atol=rtol)


@pytest.mark.parametrize("name", CASES)
def test_coefficients_and_tests_agree(name):
    theirs = CASES[name]
    for form, options in {
        "z": {},
        "residual": {"test": "t"},
        "contain": {"test": "t", "dfs": "contain"},
    }.items():
        ours, numbers = fit(name, **options), theirs[form]
        for number, field in NUMBERS.items():
            np.testing.assert_allclose(
                getattr(ours, field),
                np.atleast_1d(numbers[number]),
                rtol=AGREEMENT,
                atol=AGREEMENT,
                err_msg=number,
            )
        assert ours.qm == pytest.approx(numbers["QM"], rel=AGREEMENT)
        assert ours.qm_p_value == pytest.approx(numbers["QMp"], rel=10 * AGREEMENT, abs=1e-12)
        if form != "z":
            np.testing.assert_array_equal(ours.df, np.atleast_1d(numbers["ddf"]))
            assert [ours.qm_df1, ours.qm_df2] == numbers["QMdf"]


@pytest.mark.parametrize("name", CASES)
def test_likelihood_and_criteria_agree(name):
    ours, theirs = fit(name), CASES[name]
    np.testing.assert_allclose(
        ours.cov_coef, theirs["vb"], rtol=AGREEMENT, atol=AGREEMENT * ours.cov_coef.max()
    )
    for field in ("loglik_ml", "loglik_reml", "aic", "bic", "aicc"):
        theirs_name = {"loglik_ml": "ll_ml", "loglik_reml": "ll_reml"}.get(field, field)
        assert getattr(ours, field) == pytest.approx(theirs[theirs_name], rel=AGREEMENT, abs=AGREEMENT), field
    assert ours.n_parameters == theirs["parms"]
    assert (ours.qe, ours.qe_p_value) == pytest.approx((theirs["QE"], theirs["QEp"]), rel=CLOSED, abs=1e-300)


@pytest.mark.parametrize("name", CASES)
def test_heterogeneity_shares_agree(name):
    """In metafor's order; where coefficients are not one per level, its page gives no formula."""
    ours, theirs = list(fit(name).i2.values()), CASES[name]["i2"]
    if theirs != [None] * len(theirs):
        np.testing.assert_allclose(ours, theirs, rtol=AGREEMENT, atol=100 * AGREEMENT)


@pytest.mark.parametrize("name", CASES)
def test_predictions_agree(name):
    """At each column alone (with the intercept); prediction intervals with the first level's variance."""
    X = np.eye(len(fit(name).coef))
    if (CASES[name]["columns"] or ["1"])[0] == "1":
        X[:, 0] = 1.0
    for form, options in {"z": {}, "residual": {"test": "t"}}.items():
        ours = fit(name, **options)
        levels = next((p.levels for p in ours.pieces if p.kind != "nested"), None)
        predicted = ours.predict(X, inner=levels and levels[0])
        for number, field in PREDICTIONS.items():
            theirs = np.atleast_1d(CASES[name][form][number])
            np.testing.assert_allclose(
                getattr(predicted, field), theirs, rtol=AGREEMENT, atol=AGREEMENT, err_msg=number
            )


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.get("profiles")])
def test_profile_intervals_agree(name):
    ours, theirs = fit(name), CASES[name]["profiles"]
    ends = {kind: iter(theirs.get(kind) or []) for kind in ("sigma2", "tau2", "rho")}
    for component in ours.components:
        low, high = next(ends[component.kind])
        interval = ours.profile(component.term)
        assert interval.converged
        assert (interval.low, interval.high) == pytest.approx((low, high), rel=PROFILE, abs=1e-12), (
            component.term
        )
    assert all(next(rest, None) is None for rest in ends.values())


@pytest.mark.parametrize(
    "name", ["rho_one", "rho_minus_one", "tau2_zero_pair", "tau2_zero_nested", "inner_zero_nested"]
)
def test_boundaries_are_flagged(name):
    for case in CASES:
        if case.startswith(name):
            assert fit(case).singular


def test_interior_fits_are_not_flagged():
    for case in ("konstantopoulos nested REML", "berkey UN REML AL+PD", "outlier UN REML a+b"):
        assert not fit(case).singular
