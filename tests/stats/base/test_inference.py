"""What all families' tests, tables and searches rest on."""

import numpy as np
import pytest
from scipy import stats

from twostage.stats.base import WaldTest, check_choice, critical_value, html, maximise, wald

ROUNDING = 1e-12


def test_wald_against_the_distributions():
    estimate, error = np.array([1.0, -2.0, 0.0]), np.array([0.5, 1.0, 2.0])
    found = wald(estimate, error, np.array([3.0, np.inf, 7.0]), 0.9)
    assert found["statistic"].tolist() == [2.0, -2.0, 0.0]
    expected = [2 * stats.t.sf(2, 3), 2 * stats.norm.sf(2), 1.0]
    np.testing.assert_allclose(found["p_value"], expected, rtol=ROUNDING)
    reach = [stats.t.ppf(0.95, 3) * 0.5, stats.norm.ppf(0.95), stats.t.ppf(0.95, 7) * 2]
    np.testing.assert_allclose(found["ci_high"] - found["ci_low"], 2 * np.array(reach), rtol=ROUNDING)
    assert np.isnan(critical_value(0.9, 0.95))


def test_joint_test_by_hand():
    """b' C^-1 b of (1, 2) with variances 1 and 4 and covariance 1 is (4 - 4 + 4) / 3."""
    b, cov = np.array([1.0, 2.0]), np.array([[1.0, 1.0], [1.0, 4.0]])
    chi = WaldTest.of(b, cov, np.inf, ("a", "b"))
    assert chi.statistic == pytest.approx(4 / 3, rel=ROUNDING) and chi.df1 == 2
    assert chi.p_value == pytest.approx(stats.chi2.sf(4 / 3, 2), rel=ROUNDING)
    f = WaldTest.of(b, cov, 5.0)
    assert (f.statistic, f.p_value) == pytest.approx((2 / 3, stats.f.sf(2 / 3, 2, 5)), rel=ROUNDING)
    assert chi.tidy()["names"].item() == "a, b" and chi.numbers("x_")["x_df1"] == 2


def test_joint_test_of_what_the_data_do_not_determine():
    assert np.isnan(WaldTest.of(np.ones(2), np.ones((2, 2)), 4.0).p_value)  # one is the other
    assert np.isnan(WaldTest.of(np.ones(2), np.diag([1.0, 0.0]), 4.0).statistic)
    exact = WaldTest.of(np.ones(2), np.zeros((2, 2)), 4.0)
    assert exact.statistic == np.inf and exact.p_value == 0.0


def test_a_search_tells_how_it_went():
    """A quadratic: one Newton step, held at the bound where the top lies outside the box."""
    calls = []

    def at(x):
        calls.append(x)
        return -0.5 * float(((x - 1) ** 2).sum()), 1 - x, -np.eye(2), np.eye(2)

    found = maximise(at, np.zeros(2), np.full(2, -5.0), np.array([5.0, 0.5]))
    assert found.theta.tolist() == [1.0, 0.5] and found.converged
    assert found.record.evaluations == len(calls) and found.record.iterations <= 3
    assert found.record.gradient_norm == 0.0 and "below rounding" in found.record.message
    stopped = maximise(at, np.zeros(2), np.full(2, -5.0), np.full(2, 5.0), limit=1)
    assert not stopped.converged and "1 iterations did not suffice" in stopped.record.message


def test_a_table_escapes_and_leaves_out_empty_facts():
    text = html("a < b", {"std_error": [0.123456, "<i>"]}, [("x", ""), ("y&", "z")], "note<")
    assert "a &lt; b" in text and "std error" in text and "0.1235" in text and "&lt;i&gt;" in text
    assert "y&amp;" in text and ">x<" not in text and "note&lt;" in text


def test_an_unknown_option_is_refused_with_those_that_are_known():
    assert check_choice("rule", "a", ("a", "b")) == "a"
    with pytest.raises(ValueError, match="rule must be one of a, b; got 'c'"):
        check_choice("rule", "c", ("a", "b"))
