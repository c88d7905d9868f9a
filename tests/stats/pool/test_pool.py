"""`pool` by hand on tiny cases, degenerate cases, errors, results, and many at once."""

from math import atan, log, nan, pi, sqrt, tan

import numpy as np
import pytest

from twostage.stats.base.inference import INTERVALS
from twostage.stats.pool.pool import BLOCK, pool, pool_many
from twostage.stats.pool.tau2 import METHODS

ROUNDING = 1e-12  # a handful of floating-point operations
# pool_many cuts the search range into as many cells as its worst row needs, so its Newton steps start
# elsewhere than those of a single fit; both end within 1e-13 of tau2 + min(v).
BATCH_TOLERANCE = 1e-9

# y = 1, 3 with variances 1/2: mean 2, sum of squares 2, Q = 2 * (1 + 1) = 4, everything else in the head.
TWO = ([1.0, 3.0], [0.5, 0.5])
# y = 0, 1, 4 with weights 1, 2, 4: sum w = 7, sum w^2 = 21, mean 18/7, Q = 66 - 324/7 = 138/7.
THREE = ([0.0, 1.0, 4.0], [1.0, 0.5, 0.25])


@pytest.mark.parametrize(
    "method, tau2, std_error",
    [
        ("FE", 0.0, nan),
        ("DL", 1.5, sqrt(32) / 2),  # (4 - 1) / (4 - 8/4)
        ("HE", 1.5, sqrt(8)),  # 2 - 1/2
        ("HS", 0.5, sqrt(8) / 4),  # (4 - 2) / 4
        ("SJ", 4 / 3, sqrt(242 / 81)),  # t0 = 1; Q(1) = 2 / 1.5
        ("PM", 1.5, sqrt(8)),  # 2 / (t + 1/2) = 1
        ("EB", 1.5, sqrt(8)),
        ("REML", 1.5, sqrt(8)),  # 2 - 1/2
        ("ML", 0.5, 1.0),  # 2/2 - 1/2; sum w^2 = 2
    ],
)
def test_tau2_of_two_studies_by_hand(method, tau2, std_error):
    fit = pool(*TWO, method=method)
    assert fit.tau2 == pytest.approx(tau2, rel=ROUNDING)
    assert fit.tau == pytest.approx(sqrt(tau2), rel=ROUNDING)
    assert fit.tau2_se == pytest.approx(std_error, rel=ROUNDING, nan_ok=True)
    if method != "FE":
        assert fit.i2 == pytest.approx(100 * tau2 / (tau2 + 0.5), rel=ROUNDING)
        assert fit.h2 == pytest.approx(1 + 2 * tau2, rel=ROUNDING)


@pytest.mark.parametrize("method, tau2", [("DL", 31 / 7), ("HS", 117 / 49), ("HE", 13 / 3 - 7 / 12)])
def test_tau2_of_three_studies_by_hand(method, tau2):
    assert pool(*THREE, method=method).tau2 == pytest.approx(tau2, rel=ROUNDING)


def test_fixed_effect_by_hand():
    fit = pool(*THREE, method="FE", ci="wald")
    assert fit.estimate == pytest.approx(18 / 7, rel=ROUNDING)
    assert fit.std_error == pytest.approx(1 / sqrt(7), rel=ROUNDING)
    assert fit.q == pytest.approx(138 / 7, rel=ROUNDING)
    assert fit.q_df == 2
    assert fit.q_p_value == pytest.approx(np.exp(-69 / 7), rel=ROUNDING)  # chi-square with 2 df
    assert fit.h2 == pytest.approx(69 / 7, rel=ROUNDING)
    assert fit.i2 == pytest.approx(100 * (1 - 14 / 138), rel=ROUNDING)
    assert fit.weights == pytest.approx([100 / 7, 200 / 7, 400 / 7], rel=ROUNDING)
    assert np.isnan([fit.pi_low, fit.pi_high]).all() and fit.pi_rule == "none"


def test_hartung_knapp_by_hand():
    """REML: weights 1/2, variance 1, Q(tau2) = 1, so the factor is 1; t with 1 df is the Cauchy."""
    fit = pool(*TWO)
    quantile = tan(pi * 0.475)
    assert (fit.estimate, fit.df) == (2.0, 1.0)
    assert fit.std_error == pytest.approx(1.0, rel=ROUNDING)
    assert fit.statistic == pytest.approx(2.0, rel=ROUNDING)
    assert fit.p_value == pytest.approx(1 - 2 / pi * atan(2), rel=ROUNDING)
    assert [fit.ci_low, fit.ci_high] == pytest.approx([2 - quantile, 2 + quantile], rel=ROUNDING)
    assert fit.loglik == pytest.approx(-0.5 * (log(2 * pi) - log(2) + 2 * log(2) + 1), rel=ROUNDING)
    wide = pool(*TWO, prediction="k-1")
    reach = quantile * sqrt(1.5 + 1)
    assert [wide.pi_low, wide.pi_high] == pytest.approx([2 - reach, 2 + reach], rel=ROUNDING)


def test_wald_by_hand():
    """ML: tau2 = 1/2, weights 1, variance 1/2, log-likelihood -(2 log 2 pi + 0 + 2) / 2."""
    fit = pool(*TWO, method="ML", ci="wald", level=0.9)
    assert fit.std_error == pytest.approx(sqrt(0.5), rel=ROUNDING)
    assert fit.df == np.inf
    assert fit.ci_high - 2 == pytest.approx(1.6448536269514722 * sqrt(0.5), rel=ROUNDING)
    assert fit.p_value == pytest.approx(0.004677734981047266, rel=1e-9)  # 2 * Phi(-2 sqrt 2)
    assert fit.loglik == pytest.approx(-log(2 * pi) - 1, rel=ROUNDING)


def test_ad_hoc_is_never_narrower_than_without_the_factor():
    close = pool([0.2, 0.21, 0.22], [0.1, 0.1, 0.1], ci="hartung-knapp")
    adhoc = pool([0.2, 0.21, 0.22], [0.1, 0.1, 0.1], ci="hartung-knapp-adhoc")
    wald = pool([0.2, 0.21, 0.22], [0.1, 0.1, 0.1], ci="wald")
    assert close.variance_factor < 1 and close.std_error < wald.std_error
    assert adhoc.variance_factor == 1 and adhoc.std_error == wald.std_error
    apart, apart_adhoc = pool(*THREE, method="FE"), pool(*THREE, method="FE", ci="hartung-knapp-adhoc")
    assert apart.variance_factor == apart_adhoc.variance_factor == pytest.approx(69 / 7, rel=ROUNDING)


def test_normal_prediction_rule_with_hartung_knapp():
    """metafor cannot combine the two; by hand: 1.96 sqrt(tau2 + std_error^2) = 1.96 sqrt(2.5)."""
    fit = pool(*TWO, prediction="normal")
    assert fit.pi_high - 2 == pytest.approx(1.959963984540054 * sqrt(2.5), rel=ROUNDING)
    assert fit.pi_rule == "normal"


def test_default_prediction_rule_is_k_minus_2():
    """Three studies leave 1 df: the Cauchy quantile."""
    fit = pool(*THREE, method="DL", ci="wald")
    w = 1 / (np.array([1, 0.5, 0.25]) + 31 / 7)
    assert fit.pi_high - fit.estimate == pytest.approx(
        tan(pi * 0.475) * sqrt(31 / 7 + 1 / w.sum()), rel=1e-11
    )
    assert fit.pi_rule == "t with k - 2 degrees of freedom"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ci", INTERVALS)
def test_one_study_is_itself(method, ci):
    fit = pool([0.3], [0.04], method=method, ci=ci)
    assert (fit.estimate, fit.k, fit.ci, fit.df) == (0.3, 1, "wald", np.inf)
    assert fit.std_error == pytest.approx(0.2, rel=ROUNDING)
    assert fit.ci_high == pytest.approx(0.3 + 0.2 * 1.959963984540054, rel=ROUNDING)
    assert (fit.tau2, fit.q, fit.q_df, fit.q_p_value, fit.i2, fit.h2) == (0, 0, 0, 1, 0, 1)
    assert np.isnan([fit.tau2_se, fit.pi_low, fit.pi_high]).all() and fit.pi_rule == "none"
    assert fit.weights == [100.0]
    assert fit.converged and "one study" in fit.note


@pytest.mark.parametrize("prediction", ["k-2", "k-1", "normal"])
def test_one_study_has_no_prediction_interval(prediction):
    assert np.isnan(pool([0.3], [0.04], prediction=prediction).pi_low)


def test_one_study_has_no_q_profile():
    profile = pool([0.3], [0.04]).qprofile()
    assert np.isnan([profile.tau2_low, profile.tau2_high, profile.i2_low, profile.h2_high]).all()
    assert "one study" in profile.note


def test_two_studies_say_why_there_is_no_prediction_interval():
    fit = pool(*TWO)
    assert np.isnan(fit.pi_low) and "two studies" in fit.note
    assert pool(*THREE).note == ""


def test_exact_agreement_is_named():
    fit = pool([0.4, 0.4, 0.4], [0.1, 0.2, 0.3])
    assert (fit.std_error, fit.ci_low, fit.ci_high, fit.p_value) == (0.0, 0.4, 0.4, 0.0)
    assert fit.boundary and "agree exactly" in fit.note
    one_ulp_apart = pool([0.1 + 0.2, 0.3], [0.1, 0.2])  # rounding is not disagreement
    assert one_ulp_apart.std_error == 0.0 and "agree exactly" in one_ulp_apart.note
    at_zero = pool([0.0, 0.0], [0.1, 0.2])
    assert np.isnan(at_zero.statistic) and np.isnan(at_zero.p_value)
    assert pool([0.4, 0.4], [0.1, 0.2], ci="hartung-knapp-adhoc").std_error > 0


def test_fixed_effect_with_hartung_knapp_is_named_and_has_no_q_profile():
    fit = pool(*THREE, method="FE")
    assert "not meant for a fixed-effect model" in fit.note
    assert not fit.boundary
    with pytest.raises(ValueError, match="no tau2"):
        fit.qprofile()


def test_q_profile_by_hand():
    """Equal variances: Q(t) = 2 / (t + 1/2); its ends are 2 / chi-square quantile - 1/2."""
    profile = pool(*TWO).qprofile(0.5)
    low, high = 2 / 1.3233036969314664 - 0.5, 2 / 0.10153104426762159 - 0.5
    assert [profile.tau2_low, profile.tau2_high] == pytest.approx([low, high], rel=ROUNDING)
    assert [profile.tau_low, profile.tau_high] == pytest.approx([sqrt(low), sqrt(high)], rel=ROUNDING)
    assert [profile.i2_low, profile.h2_high] == pytest.approx(
        [100 * low / (low + 0.5), 1 + 2 * high], rel=ROUNDING
    )
    assert (profile.tau2, profile.level, profile.empty) == (pytest.approx(1.5), 0.5, False)
    assert pool(*TWO, level=0.8).qprofile() == pool(*TWO).qprofile(0.8)


def test_empty_q_profile_is_named():
    profile = pool([0.4, 0.4, 0.4], [0.1, 0.2, 0.3]).qprofile()
    assert profile.empty and "empty" in profile.note
    assert (profile.tau2_low, profile.tau2_high) == (0.0, 0.0)


@pytest.mark.parametrize(
    "y, v, message",
    [
        ([], [], "empty"),
        ([1, 2], [1], "equally long"),
        ([[1, 2]], [[1, 2]], "one-dimensional"),
        (1.0, 1.0, "one-dimensional"),
        ([1, nan, 3], [1, 1, 1], "study 1: estimate nan"),
        ([1, 2, np.inf], [1, 1, 1], "study 2: estimate inf"),
        ([1, 2], [1, 0], "study 1: variance 0.0"),
        ([1, 2], [-0.5, 1], "study 0: variance -0.5"),
        ([1, 2], [nan, 1], "study 0: variance nan"),
        ([1, 2], [1, np.inf], "study 1: variance inf"),
    ],
)
def test_input_errors_name_the_study(y, v, message):
    with pytest.raises(ValueError, match=message):
        pool(y, v)


def test_input_errors_are_all_listed_with_labels():
    with pytest.raises(ValueError) as caught:
        pool([nan, 2, 3], [1, 0, -1], labels=["S01", "S02", "S03"])
    text = str(caught.value)
    assert "study 0 (S01): estimate nan" in text
    assert "study 1 (S02): variance 0.0" in text and "study 2 (S03): variance -1.0" in text
    with pytest.raises(ValueError, match="and 5 more"):
        pool(np.full(15, nan), np.ones(15))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"method": "reml"}, "method must be one of FE, DL"),
        ({"ci": "knha"}, "ci must be one of wald"),
        ({"prediction": "t"}, "prediction must be one of k-2"),
        ({"level": 95}, "level must lie strictly between 0 and 1"),
        ({"level": 0.0}, "level"),
        ({"level": nan}, "level"),
        ({"labels": ["a"]}, "1 labels for 2 studies"),
    ],
)
def test_option_errors(options, message):
    with pytest.raises(ValueError, match=message):
        pool(*TWO, **options)


def test_q_profile_level_error():
    with pytest.raises(ValueError, match="level"):
        pool(*TWO).qprofile(95)


def test_result_is_frozen_and_tells_itself():
    given = np.array([0.0, 1.0, 4.0])
    fit = pool(given, THREE[1], labels=["a", "b", "c"])
    with pytest.raises(AttributeError):
        fit.tau2 = 0.0
    with pytest.raises(ValueError, match="read-only"):
        fit.weights[0] = 0.0
    given[0] = 99.0  # a copy was pooled and kept
    assert fit.y[0] == 0.0 and fit.labels == ("a", "b", "c")
    tidy, glance = fit.tidy(), fit.glance()
    columns = ["estimate", "std_error", "df", "statistic", "p_value", "ci_low", "ci_high"]
    assert list(tidy.columns) == columns and tidy.shape == (1, 7)
    assert tidy["ci_high"][0] == fit.ci_high
    assert len(glance) == 1 and glance["tau2"][0] == fit.tau2 and glance["pi_rule"][0] == fit.pi_rule
    profile = fit.qprofile().tidy()
    assert profile["term"].tolist() == ["tau2", "tau", "i2", "h2"]
    assert profile["ci_high"][0] == fit.qprofile().tau2_high
    assert "hartung-knapp" in fit._repr_html_() and "Q-profile" in fit.qprofile()._repr_html_()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ci", INTERVALS)
def test_many_at_once_equal_one_by_one(method, ci):
    rng = np.random.default_rng(20)
    v = 10 ** rng.uniform(-3, 1, (30, 6))
    y = rng.normal(size=v.shape) * np.sqrt(v + 10 ** rng.uniform(-3, 1, (30, 1)))
    many = pool_many(y, v, method=method, ci=ci)
    for i in range(len(y)):
        one = pool(y[i], v[i], method=method, ci=ci)
        for name in many.tidy().columns:
            value = many.tidy()[name][i]
            if isinstance(value, str):
                assert value == getattr(one, name)
            else:
                np.testing.assert_allclose(value, getattr(one, name), rtol=BATCH_TOLERANCE, err_msg=name)
        np.testing.assert_allclose(many.weights[i], one.weights, rtol=BATCH_TOLERANCE)


@pytest.mark.parametrize("method", ["DL", "REML"])
def test_more_than_a_block_at_once(method):
    """Rows on both sides of a block's edge and at the end are those of `pool`."""
    rng = np.random.default_rng(21)
    y = rng.normal(size=(BLOCK + 3, 5))
    many = pool_many(y, np.full(5, 0.3), method=method)
    for i in (0, BLOCK - 1, BLOCK, BLOCK + 2):
        one = pool(y[i], np.full(5, 0.3), method=method)
        for name in ("estimate", "std_error", "tau2", "q", "pi_low", "tau2_se", "loglik"):
            value = getattr(many, name)[i]
            np.testing.assert_allclose(value, getattr(one, name), rtol=BATCH_TOLERANCE, err_msg=name)
        assert many.boundary[i] == one.boundary and many.converged[i]


def test_many_at_once_shapes_and_errors():
    many = pool_many([[1, 2, 3], [2, 2, 9]], [0.1, 0.2, 0.3])
    assert many.weights.shape == (2, 3) and many.glance()["n_converged"][0] == 2
    assert "2 meta-analyses of 3" in many._repr_html_()
    assert pool_many([[0.3], [0.4]], [0.04]).ci == "wald"
    with pytest.raises(ValueError, match="meta-analysis 1, study 2: estimate nan"):
        pool_many([[1, 2, 3], [2, 2, nan]], np.ones((2, 3)))
    with pytest.raises(ValueError, match="meta-analysis 0, study 1: variance 0.0"):
        pool_many([[1, 2, 3]], [1, 0, 1])
    with pytest.raises(ValueError, match="neither empty"):
        pool_many(np.ones((0, 3)), np.ones((0, 3)))
    with pytest.raises(ValueError, match="must be"):
        pool_many([1, 2], [1, 1])
