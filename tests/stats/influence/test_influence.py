"""Influence and leave-one-out by hand, in degenerate cases, and as tables."""

from math import inf, nan, sqrt

import numpy as np
import pytest

from twostage.stats.influence.casewise import flag, influence, leave_one_out
from twostage.stats.pool.pool import pool

ROUNDING = 1e-12  # a handful of floating-point operations

# Two studies, variances 1/2: pooled 2 with variance 1/4; without the first: 3 with variance 1/2.
TWO = ([1.0, 3.0], [0.5, 0.5])
# y = 0, 1, 4 with weights 1, 2, 4: pooled 18/7 with variance 1/7. Without the last: 2/3, variance 1/3, Q = 2/3.
THREE = ([0.0, 1.0, 4.0], [1.0, 0.5, 0.25])


def close(x):
    return pytest.approx(x, rel=ROUNDING, abs=1e-15)


def test_influence_of_two_studies_by_hand():
    fit = influence(*TWO, method="FE", ci="wald")
    assert fit.rstudent == close([-2.0, 2.0])  # (1 - 3) / sqrt(1/2 + 1/2)
    assert fit.dffits == close([-2.0, 2.0])  # (2 - 3) / sqrt(1/2 * 1/2)
    assert fit.dfbetas == close([-2.0, 2.0])  # (2 - 3) / sqrt(1/4)
    assert fit.cook_d == close([4.0, 4.0])  # 1 / (1/4)
    assert fit.cov_ratio == close([2.0, 2.0])
    assert fit.hat == close([0.5, 0.5]) and fit.weight == close([50.0, 50.0])
    assert (fit.tau2_del == 0).all() and (fit.q_del == 0).all()
    assert fit.is_influential.all()
    assert "one study is left" in fit.note and "one study is left" in leave_one_out(*TWO).note
    assert leave_one_out(*THREE).note == influence(*THREE).note == ""


def test_influence_of_three_studies_by_hand():
    fit = influence(*THREE, method="FE", ci="wald")
    change = 18 / 7 - 2 / 3
    assert fit.rstudent[2] == close((4 - 2 / 3) / sqrt(1 / 4 + 1 / 3))
    assert fit.dffits[2] == close(change / sqrt(4 / 7 * 1 / 4))
    assert fit.dfbetas[2] == close(change * sqrt(7))
    assert fit.cook_d[2] == close(change**2 * 7)
    assert fit.cov_ratio[2] == close(7 / 3)
    assert fit.q_del[2] == close(2 / 3)
    assert fit.hat == close([1 / 7, 2 / 7, 4 / 7])


def test_hartung_knapp_factor_enters():
    """Without the last study: Q = 2/3 with 1 df, so its variance 1/3 and its residual are scaled by 2/3."""
    fit = influence(*THREE, method="FE")
    whole = 69 / 7  # Q / 2 of all three
    change = 18 / 7 - 2 / 3
    assert fit.rstudent[2] == close((4 - 2 / 3) / sqrt(2 / 3 * (1 / 4 + 1 / 3)))
    assert fit.dffits[2] == close(change / sqrt(2 / 3 * 4 / 7 * 1 / 4))
    assert fit.dfbetas[2] == close(change * sqrt(7 / (2 / 3)))
    assert fit.cook_d[2] == close(change**2 * 7 / whole)
    assert fit.cov_ratio[2] == close(2 / 3 * 7 / 3 / whole)


@pytest.mark.parametrize("method", ["DL", "REML", "PM", "ML"])
def test_each_fit_is_that_of_the_others(method):
    rng = np.random.default_rng(4)
    y, v = rng.normal(size=9), rng.uniform(0.05, 0.4, 9)
    left = leave_one_out(y, v, method=method, level=0.9)
    fit = influence(left.fit)
    for i in range(9):
        others = pool(np.delete(y, i), np.delete(v, i), method=method, level=0.9)
        for name in ("estimate", "std_error", "ci_low", "p_value", "i2", "q"):
            assert getattr(left, name)[i] == pytest.approx(getattr(others, name), rel=1e-9), name
        assert fit.tau2_del[i] == pytest.approx(others.tau2, rel=1e-8, abs=1e-12)


def test_the_flag_follows_each_part_of_the_rule():
    """A study with nearly all the weight is flagged by hat alone."""
    y, v = np.array([0.1, 0.12, 0.09, 0.11, 0.1]), np.array([1.0, 1.0, 1.0, 1.0, 0.2])
    fit = influence(y, v, method="FE", ci="wald")
    assert fit.hat[4] == close(5 / 9) and np.abs(fit.dffits).max() < 0.1 and fit.cook_d.max() < 0.01
    assert fit.is_influential.tolist() == [False] * 5  # 5/9 < 3/5
    fit = influence(y, np.array([1.0, 1.0, 1.0, 1.0, 0.1]), method="FE", ci="wald")
    assert fit.is_influential.tolist() == [False] * 4 + [True]  # 10/14 > 3/5


@pytest.mark.parametrize(
    "dffits, cook_d, hat, dfbetas, flagged",
    [
        (1.49, 0.45, 0.59, 0.99, False),  # 3 sqrt(1/4) = 1.5; the median of chi-square(1) is 0.4549; 3/5; 1
        (-1.51, 0.0, 0.0, 0.0, True),
        (0.0, 0.46, 0.0, 0.0, True),
        (0.0, 0.0, 0.61, 0.0, True),
        (0.0, 0.0, 0.0, -1.01, True),
        (nan, nan, 0.2, nan, False),
    ],
)
def test_each_threshold(dffits, cook_d, hat, dfbetas, flagged):
    assert flag(*(np.array([x]) for x in (dffits, cook_d, hat, dfbetas)), 5).tolist() == [flagged]


def test_an_outlier_is_flagged_and_named():
    y = np.append(np.linspace(-0.1, 0.1, 9), 3.0)
    fit = influence(y, np.full(10, 0.04), labels=[f"S{i}" for i in range(10)])
    assert fit.glance().loc[0, "influential"] == "S9"
    assert fit.is_influential.sum() == 1
    left = leave_one_out(fit.fit)
    assert left.i2[9] == 0.0 and left.i2[:9].min() > 80


def test_exact_agreement_leaves_quotients_undefined():
    fit = influence([0.4, 0.4, 0.4], [0.1, 0.2, 0.3])
    assert np.isnan(fit.cook_d).all() and np.isnan(fit.rstudent).all()
    assert not fit.is_influential.any()
    one_apart = influence([0.5, 0.5, 0.9], [0.1, 0.1, 0.1])
    assert one_apart.rstudent[2] == inf and one_apart.dfbetas[2] == inf and one_apart.is_influential[2]


def test_input():
    fit = pool(*THREE)
    with pytest.raises(TypeError, match="either a fit"):
        influence(fit, THREE[1])
    with pytest.raises(TypeError, match="either a fit"):
        leave_one_out(fit, method="DL")
    with pytest.raises(TypeError, match="variances v are missing"):
        influence(THREE[0])
    with pytest.raises(ValueError, match="influence needs at least 2 studies, got 1"):
        influence([0.3], [0.1])
    with pytest.raises(ValueError, match="study 1: estimate nan"):
        leave_one_out([0.1, nan], [1, 1])


def test_tables_keep_labels():
    fit = pool(*THREE, labels=["a", "b", "c"])
    left, casewise = leave_one_out(fit), influence(fit)
    for result in (left, casewise):
        assert result.tidy()["study"].tolist() == ["a", "b", "c"]
        assert len(result.glance()) == 1 and result.labels == ("a", "b", "c")
        assert "<td>b</td>" in result._repr_html_()
    row = left.glance().iloc[0]
    assert (row["estimate_min"], row["estimate_max"]) == (left.estimate.min(), left.estimate.max())
    with pytest.raises(ValueError, match="read-only"):
        left.estimate[0] = 0.0
    with pytest.raises(AttributeError):
        casewise.hat = None


def test_changes_of_sign_and_significance_are_noticed():
    left = leave_one_out([1.0, -0.9, -0.1], [0.01, 0.01, 0.01], method="FE", ci="wald")
    assert left.glance().loc[0, "sign_changes"] and left.glance().loc[0, "significance_changes"]
    steady = leave_one_out([1.0, 1.1, 0.9], [0.01, 0.01, 0.01], method="FE", ci="wald")
    assert not steady.glance().loc[0, "sign_changes"] and not steady.glance().loc[0, "significance_changes"]
