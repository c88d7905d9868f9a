"""fit_mixed against hand algebra and against lme4 and lmerTest (tests/reference/mixed.R)."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from twostage.stats.mixed.fit import fit_mixed

REFERENCE = Path(__file__).parents[2] / "reference"
sys.path.insert(0, str(REFERENCE))
from mixed_cases import arrays, cases

# The references are lme4's optimum refined by Newton steps with numerical derivatives: good to about 1e-8.
AGREEMENT = 1e-6
# lmerTest's degrees of freedom come from numerical second derivatives.
DF_AGREEMENT = 1e-3
# Our criterion may not lie above lme4's by more than this, whatever lme4's optimiser did.
NOT_ABOVE = 1e-8
# Rounding of a deviance of some ten thousands, summed in two different orders.
SAME_CRITERION = 1e-8
# Closed forms: what the optimiser's last Newton step leaves with two groups, some 1e-9.
EXACT = 1e-8

RECORDED = {
    case["name"]: case for case in json.loads((REFERENCE / "mixed_reference.json").read_text())["cases"]
}
STORED = {case["name"]: case for case in json.loads((REFERENCE / "mixed_cases.json").read_text())}


@pytest.fixture(scope="module", params=cases(), ids=lambda case: case["name"])
def pair(request):
    """One fit and what lme4 says of the same data."""
    case = request.param
    y, X, groups, Z = arrays(case)
    Z = None if case["random"] == ["one"] else Z
    fit = fit_mixed(y, X, groups, Z, reml=case["reml"], names=case["fixed"])
    return fit, RECORDED[case["name"]], STORED[case["name"]]


def test_the_cases_are_those_recorded():
    assert {case["name"] for case in cases()} == set(RECORDED) == set(STORED)
    assert sum(case["singular"] for case in RECORDED.values()) >= 10


def test_agrees_with_lme4(pair):
    fit, lme4, _ = pair
    assert fit.converged
    np.testing.assert_allclose(fit.coef, lme4["coef"], rtol=AGREEMENT, atol=AGREEMENT * fit.std_error.min())
    np.testing.assert_allclose(fit.std_error, lme4["std_error"], rtol=AGREEMENT)
    largest = np.abs(lme4["cov_coef"]).max()
    np.testing.assert_allclose(fit.cov_coef, lme4["cov_coef"], rtol=AGREEMENT, atol=AGREEMENT * largest)
    cov_re = np.reshape(lme4["cov_re"], fit.cov_re.shape)
    np.testing.assert_allclose(fit.cov_re, cov_re, rtol=AGREEMENT, atol=AGREEMENT * np.abs(cov_re).max())
    assert fit.sigma2 == pytest.approx(lme4["sigma2"], rel=AGREEMENT)
    assert fit.loglik == pytest.approx(lme4["loglik"], rel=AGREEMENT)
    assert (fit.n_obs, fit.n_groups, fit.singular) == (lme4["n_obs"], lme4["n_groups"], lme4["singular"])


def test_degrees_of_freedom_agree_with_lmertest(pair):
    fit, lme4, _ = pair
    np.testing.assert_allclose(fit.df, lme4["df"], rtol=DF_AGREEMENT)


def test_criterion_is_lme4s_and_never_above_its_optimum(pair):
    fit, lme4, stored = pair
    relative = fit.cov_re / fit.sigma2
    largest = np.abs(stored["T"]).max()
    np.testing.assert_allclose(relative, stored["T"], rtol=AGREEMENT, atol=AGREEMENT * largest)
    deviance = -2 * fit.loglik
    assert deviance == pytest.approx(lme4["criterion_ours"], abs=SAME_CRITERION)
    assert deviance <= lme4["criterion_default"] + NOT_ABOVE
    assert deviance <= lme4["criterion_polished"] + NOT_ABOVE


def test_balanced_one_way_by_hand():
    """Groups {1, 3} and {7, 9}: MSW = 2, MSB = 36: sigma2 = 2, variance (36 - 2) / 2, SE sqrt(36 / 4), df 1."""
    fit = fit_mixed([1.0, 3.0, 7.0, 9.0], np.ones((4, 1)), ["a", "a", "b", "b"])
    assert fit.coef[0] == pytest.approx(5, rel=EXACT)
    assert fit.std_error[0] == pytest.approx(3, rel=EXACT)
    assert fit.sigma2 == pytest.approx(2, rel=EXACT)
    assert fit.cov_re[0, 0] == pytest.approx(17, rel=EXACT)
    assert fit.df[0] == pytest.approx(1, rel=EXACT)
    deviance = np.log(2**2 * 36**2) + np.log(4 / 36) + 3 * np.log(2 * np.pi) + 3
    assert fit.loglik == pytest.approx(-deviance / 2, rel=EXACT)
    assert not fit.singular


def test_balanced_one_way_by_hand_maximum_likelihood():
    """The same by ML: the between mean square is 36 / 2, its degrees of freedom not given up for the mean."""
    fit = fit_mixed([1.0, 3.0, 7.0, 9.0], np.ones((4, 1)), [1, 1, 2, 2], reml=False)
    assert fit.sigma2 == pytest.approx(2, rel=EXACT)
    assert fit.cov_re[0, 0] == pytest.approx(8, rel=EXACT)
    assert fit.std_error[0] == pytest.approx(np.sqrt(18 / 4), rel=EXACT)
    assert fit.loglik == pytest.approx(-(np.log(2**2 * 18**2) + 4 * np.log(2 * np.pi) + 4) / 2, rel=EXACT)


def test_boundary_by_hand():
    """Groups {1, 9} and {3, 7} have equal means: the variance is exactly 0 and the fit is ordinary
    least squares."""
    fit = fit_mixed([1.0, 9.0, 3.0, 7.0], np.ones((4, 1)), [1, 1, 2, 2])
    assert fit.singular and fit.converged
    assert fit.cov_re[0, 0] == 0.0
    assert fit.sigma2 == pytest.approx(40 / 3, rel=EXACT)
    assert fit.std_error[0] == pytest.approx(np.sqrt(10 / 3), rel=EXACT)
    assert fit.df[0] == pytest.approx(3, rel=EXACT)


def test_result_tables():
    y, X, groups, _ = arrays(cases()[0])
    fit = fit_mixed(y, X, groups, names=["(Intercept)", "Days"])
    table = fit.tidy(level=0.9)
    columns = ["term", "estimate", "std_error", "df", "statistic", "p_value", "ci_low", "ci_high"]
    assert list(table.columns) == columns
    assert list(table["term"]) == ["(Intercept)", "Days"]
    assert (table["ci_low"] < table["estimate"]).all() and (table["estimate"] < table["ci_high"]).all()
    assert table["statistic"].tolist() == (fit.coef / fit.std_error).tolist()
    assert fit.conf_int(0.99)[1, 0] < fit.conf_int(0.9)[1, 0] == table["ci_low"][1]
    row = fit.glance()
    assert len(row) == 1 and row["n_groups"][0] == 18 and bool(row["converged"][0])
    assert "Days" in fit._repr_html_() and "18 groups" in fit._repr_html_()
    with pytest.raises(AttributeError):
        fit.sigma2 = 1.0
    with pytest.raises(ValueError, match="level"):
        fit.conf_int(95)


def test_interval_and_p_value_follow_the_t_distribution():
    """One observation of t with 1 df: p = 1 - 2 atan(t) / pi, and the 95 % quantile is tan(0.475 pi)."""
    fit = fit_mixed([1.0, 3.0, 7.0, 9.0], np.ones((4, 1)), [1, 1, 2, 2])
    assert fit.p_value[0] == pytest.approx(1 - 2 * np.arctan(5 / 3) / np.pi, rel=1e-8)
    assert fit.conf_int()[0, 1] == pytest.approx(5 + 3 * np.tan(0.475 * np.pi), rel=1e-8)
