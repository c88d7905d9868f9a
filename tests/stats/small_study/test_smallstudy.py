"""Egger's test, rank test, trim-and-fill and funnel by hand, in degenerate cases, and as tables."""

from math import erfc, inf, nan, sqrt

import numpy as np
import pytest

from twostage.stats.base.checks import NotEstimable
from twostage.stats.pool.pool import pool
from twostage.stats.small_study.egger import egger
from twostage.stats.small_study.funnel import funnel
from twostage.stats.small_study.rank import exact_p, kendall, normal_p, rank_test
from twostage.stats.small_study.trimfill import missing_studies, trimfill

ROUNDING = 1e-12  # a handful of floating-point operations


def close(x, **options):
    return pytest.approx(x, rel=ROUNDING, abs=1e-15, **options)


def asymmetric(k=60, seed=8, effect=0.2, bias=1.5):
    """Estimates that grow with their standard error."""
    rng = np.random.default_rng(seed)
    se = rng.uniform(0.05, 0.6, k)
    return effect + bias * se + se * rng.normal(size=k), se**2


# Egger


def test_egger_by_hand():
    """Equal variances 1, n = 1, 2, 3, y = 0, 1, 0: slope 0, intercept 1/3, residual variance 2/3 with 1 df."""
    test = egger([0, 1, 0], [1, 1, 1], model="lm", predictor="ni", n=[1, 2, 3])
    assert (test.slope, test.p_value, test.df) == (close(0.0), close(1.0), 1.0)
    assert test.slope_se == close(sqrt(1 / 3))  # 2/3 over a sum of squares of 2
    assert test.intercept == close(1 / 3)
    assert test.intercept_se == close(sqrt(2 / 3 * (1 / 3 + 4 / 2)))
    assert np.isnan([test.limit, test.limit_ci_low, test.limit_ci_high, test.tau2]).all()
    fixed = egger([0, 1, 0], [1, 1, 1], predictor="ni", n=[1, 2, 3], method="FE", ci="wald")
    assert fixed.slope_se == close(sqrt(1 / 2)) and fixed.df == inf and fixed.tau2 == 0.0
    assert fixed.intercept_se == close(sqrt(1 / 3 + 4 / 2))


@pytest.mark.parametrize("model, quantile", [("mixed", 1.2815515655446004), ("lm", 1.372183641110336)])
def test_the_limit_has_the_level_asked_for(model, quantile):
    """Normal, and t with 10 df, at 90 percent."""
    test = egger(*asymmetric(k=12), model=model, method="FE", ci="wald", level=0.8)
    ends = [test.limit - quantile * test.intercept_se, test.limit + quantile * test.intercept_se]
    assert [test.limit_ci_low, test.limit_ci_high] == pytest.approx(ends, rel=1e-9)


@pytest.mark.parametrize(
    "predictor, x, has_limit",
    [
        ("sei", [1, 2, 3], True),
        ("vi", [1, 4, 9], True),
        ("ni", [4, 9, 16], False),
        ("ninv", [1 / 4, 1 / 9, 1 / 16], True),
        ("sqrtni", [2, 3, 4], False),
        ("sqrtninv", [1 / 2, 1 / 3, 1 / 4], True),
    ],
)
@pytest.mark.parametrize("model", ["lm", "mixed"])
def test_predictors_are_what_they_say(predictor, x, has_limit, model):
    """Estimates on a line in the predictor: its coefficients come back."""
    test = egger(1 + 2 * np.array(x, dtype=float), [1, 4, 9], model=model, predictor=predictor, n=[4, 9, 16])
    assert [test.intercept, test.slope] == pytest.approx([1, 2], rel=1e-9)
    assert np.isnan(test.limit) == (not has_limit)
    if model == "lm":
        assert (
            test.slope_se == 0.0 and test.statistic == inf and test.p_value == 0.0 and "exactly" in test.note
        )


@pytest.mark.parametrize("model", ["lm", "mixed"])
def test_egger_finds_asymmetry_and_the_limit(model):
    y, v = asymmetric(400)
    test = egger(y, v, model=model)
    assert test.p_value < 1e-6
    assert test.slope == pytest.approx(1.5, abs=4 * test.slope_se)
    assert test.limit_ci_low < 0.2 < test.limit_ci_high
    straight = egger(*asymmetric(400, bias=0.0), model=model)
    assert straight.p_value > 0.05


def test_egger_holds_its_level():
    """Exact without heterogeneity: 1,000 symmetric data sets, four Monte Carlo standard errors."""
    rng = np.random.default_rng(12)
    v = rng.uniform(0.02, 0.5, 12)
    p = [
        egger(0.3 + np.sqrt(v) * rng.normal(size=12), v, model="lm", method="FE").p_value for _ in range(1000)
    ]
    assert np.mean(np.array(p) < 0.1) == pytest.approx(0.1, abs=4 * sqrt(0.09 / 1000))


def test_egger_input():
    three = ([0.1, 0.2, 0.5], [0.1, 0.2, 0.4])
    with pytest.raises(ValueError, match="Egger's test needs at least 3 studies, got 2"):
        egger([0.1, 0.2], [0.1, 0.2])
    with pytest.raises(ValueError, match="model must be one of mixed, lm"):
        egger(*three, model="rma")
    with pytest.raises(ValueError, match="needs the sample sizes"):
        egger(*three, predictor="ninv")
    with pytest.raises(ValueError, match="each of the 3 studies"):
        egger(*three, predictor="ni", n=[1, 2])
    with pytest.raises(ValueError, match="positive: b: 0; c: nan"):
        egger(*three, predictor="ni", n=[1, 0, nan], labels=["a", "b", "c"])
    for model in ("lm", "mixed"):
        with pytest.raises(NotEstimable, match="sei"):
            egger([0.1, 0.2, 0.5], [0.1, 0.1, 0.1], model=model)
    with pytest.raises(TypeError, match="either a fit"):
        egger(pool(*three), method="DL")


# Rank test


def test_rank_test_by_hand():
    """Estimates that fall as variances rise: every pair discordant, p = 2 / 4!."""
    test = rank_test([4.0, 3.0, 2.0, 1.0], [0.1, 0.2, 0.3, 0.4])
    assert (test.tau, test.p_value, test.exact) == (-1.0, close(2 / 24), True)
    assert rank_test([4.0, 3.0, 2.0, 1.0], [0.1, 0.2, 0.3, 0.4], exact=False).p_value == close(
        normal_p(-6, 4, [np.ones(4)] * 2)
    )


def test_deviates_are_standardized():
    """Raw estimates rise with the variance; divided by sqrt(v - 1 / sum w), the second exceeds the third."""
    y, v = np.array([0.0, 1.0, 1.2]), np.array([0.01, 0.2, 10.0])
    assert rank_test(y, v).tau == close(1 / 3)


def test_exact_distribution():
    """Permutations of 4 by inversions: 1 3 5 6 5 3 1 of 24."""
    assert [exact_p(s, 4) for s in (6, 4, 2, 0)] == [close(2 / 24), close(8 / 24), close(18 / 24), 1.0]
    assert exact_p(-4, 4) == exact_p(4, 4)
    assert exact_p(20, 100) == pytest.approx(normal_p(20, 100, [np.ones(100)] * 2), abs=0.01)


def test_ties():
    """tau-b and the variance of the score: scipy's formulas, here by hand for one tied pair of four."""
    score, ties = kendall(np.array([1.0, 2, 3, 4]), np.array([1.0, 1, 2, 3]))
    assert score == 5 and sorted(ties[1].tolist()) == [1, 1, 2]
    assert normal_p(score, 4, ties) == close(
        erfc(5 / sqrt(26 / 3 - 1) / sqrt(2))
    )  # variance 26/3 without the tie
    test = rank_test([5.0, 3.0, 2.0, 1.0], [0.1, 0.1, 0.3, 0.4])
    assert not test.exact and "ties" in test.note and test.tau == close(-5 / sqrt(30))


def test_nothing_to_rank():
    for y, v in (([0.4, 0.4, 0.4], [0.1, 0.2, 0.3]), ([0.1, 0.2, 0.3], [0.1, 0.1, 0.1])):
        test = rank_test(y, v)
        assert np.isnan([test.tau, test.p_value]).all() and "nothing to rank" in test.note


# Trim-and-fill


def test_missing_studies_by_hand():
    """Ranks 3 2 1 4 5 6, the last three and the smallest above: S = 16, two runs beyond the largest below."""
    deviation = np.array([-1.0, -0.5, 0.2, 1.5, 2.0, 3.0])
    assert missing_studies(deviation, "R0") == (2, close(sqrt(6)))  # 6 - 3 - 1
    assert missing_studies(deviation, "L0") == (2, close(4 * sqrt(23) / 11))  # (64 - 42) / 11
    k0 = 5.5 - sqrt(8.25)
    cubic = 10 * k0**3 + 27 * k0**2 + 17 * k0 - 108 * k0**2 - 108 * k0 + 216 * k0
    error = 2 * sqrt((546 + cubic) / 24) / sqrt(5.5**2 - k0 * (11 - k0))
    assert missing_studies(deviation, "Q0") == (3, close(error))
    assert missing_studies(-deviation[::-1], "L0")[0] == 0


def test_filling_by_hand():
    """Fixed effects, equal variances: the two largest are mirrored about 1/4, the mean of the others."""
    y = [-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 2.0, 3.0, 4.0]
    result = trimfill(y, [0.04] * 10, estimator="R0", side="left", method="FE", ci="wald")
    assert result.k0 == 2 and result.converged
    assert result.filled.y[10:] == close([-2.5, -3.5])  # 1/2 - y
    assert result.filled.estimate == close(0.25)
    assert result.filled.std_error == close(sqrt(0.04 / 12))
    assert result.k0_p_value == 0.125 and result.k0_se == close(sqrt(6))
    assert result.labels[10:] == ("Filled 1", "Filled 2")
    assert result.is_filled.tolist() == [False] * 10 + [True] * 2
    mirrored = trimfill([-x for x in y], [0.04] * 10, estimator="R0", side="right", method="FE", ci="wald")
    assert mirrored.filled.y[10:] == close([2.5, 3.5])


def test_nothing_missing_returns_the_fit():
    fit = pool([-0.2, -0.1, 0.0, 0.1, 0.2], [0.1] * 5)
    result = trimfill(fit, side="left")
    assert result.k0 == 0 and result.filled is fit and not result.is_filled.any()


def test_two_and_identical_studies():
    """Signs that would be rounding: an estimate equal to the centre has none."""
    result = trimfill([-0.2, 1.1], [0.04, 0.09], side="left", method="FE")
    assert result.k0 == 1 and result.filled.y[2] == close(-1.5)  # 1.1 mirrored about -0.2
    assert trimfill([0.4] * 5, [0.1, 0.2, 0.3, 0.1, 0.2], side="left").k0 == 0
    with pytest.raises(NotEstimable, match="R0 is not defined"):
        trimfill([0.4] * 5, [0.1, 0.2, 0.3, 0.1, 0.2], side="left", estimator="R0")
    with pytest.raises(NotEstimable, match="give the side"):
        trimfill([-0.2, 1.1], [0.04, 0.09])


def test_suppressed_studies_are_found():
    """100 studies without those of the 30 smallest estimates: nearly as many are filled in, the bias shrinks."""
    rng = np.random.default_rng(21)
    v = rng.uniform(0.02, 0.3, 100)
    y = np.sqrt(v) * rng.normal(size=100)
    seen = np.argsort(y)[30:]
    result = trimfill(y[seen], v[seen], side="left", method="FE", ci="wald")
    assert 10 <= result.k0 <= 40
    assert abs(result.filled.estimate) < 0.5 * abs(result.unadjusted.estimate)


def test_trimfill_input():
    with pytest.raises(ValueError, match="estimator must be one of L0, R0, Q0"):
        trimfill([0.1, 0.2, 0.3], [0.1, 0.2, 0.3], estimator="l0")
    with pytest.raises(ValueError, match="side must be left, right or None"):
        trimfill([0.1, 0.2, 0.3], [0.1, 0.2, 0.3], side="both")
    with pytest.raises(NotEstimable, match="std_error"):
        trimfill([0.1, 0.2, 0.3], [0.1, 0.1, 0.1])


def test_studies_are_missing_where_small_ones_tend_not_to_be():
    """Estimates grow with their standard errors by 0.41, less than 1."""
    y, v = asymmetric(bias=0.5)
    assert 0.0 < egger(y, v).slope < 1.0
    assert (trimfill(y, v).side, trimfill(-y, v).side) == ("left", "right")


# Funnel


def test_funnel_by_hand():
    """Standard errors 1 and 2; 1.7 is beyond 90 percent (1.645), -6 beyond 99 percent (3.29 of 2.576 2)."""
    data = funnel([1.7, -6.0, 0.1], [1.0, 4.0, 1.0], labels=["a", "b", "c"])
    assert data.levels.tolist() == [0.9, 0.95, 0.99] and data.reference == 0.0
    assert data.region.tolist() == [1, 3, 0]
    assert data.p_value == pytest.approx(
        [0.08913092551708611, 0.0026997960632601965, 0.920344325445942], rel=1e-9
    )
    assert [data.grid[0], data.grid[-1]] == [0.0, 2.0]
    assert data.high[1, -1] == pytest.approx(1.959963984540054 * 2, rel=ROUNDING)
    assert (data.low == -data.high).all() and (data.high[:, 0] == 0).all()
    assert data.contours().iloc[-1].tolist() == [0.99, 2.0, data.low[2, -1], data.high[2, -1]]


def test_funnel_around_the_pooled_effect_with_tau2():
    fit = pool([1.0, 3.0], [0.5, 0.5])  # 2, tau2 = 3/2
    data = funnel(fit, reference="pooled", levels=[0.95], add_tau2=True)
    reach = 1.959963984540054 * sqrt(2.0)
    assert [data.low[0, -1], data.high[0, -1]] == close([2 - reach, 2 + reach])
    assert data.region.tolist() == [0, 0] and data.estimate == 2.0
    assert data.p_value == pytest.approx([erfc(0.5)] * 2, rel=1e-9)  # 1 in sqrt 2, beyond 1.28 without tau2
    assert funnel(fit, reference="pooled", levels=[0.8], add_tau2=True).region.tolist() == [0, 0]
    assert funnel(fit, reference="pooled", levels=[0.5]).region.tolist() == [1, 1]


def test_a_study_on_a_contour_is_inside():
    edge = funnel([0.0], [1.0], levels=[0.95]).high[0, -1]
    assert funnel([edge, edge * (1 + ROUNDING)], [1.0, 1.0], levels=[0.95]).region.tolist() == [0, 1]


def test_funnel_input():
    for options, message in (
        ({"reference": "mean"}, "'pooled'"),
        ({"reference": nan}, "finite"),
        ({"levels": []}, "at least one level"),
        ({"levels": [95]}, "strictly between"),
    ):
        with pytest.raises(ValueError, match=message):
            funnel([0.1, 0.2], [0.1, 0.2], **options)


def test_tables_keep_labels():
    y, v = asymmetric(6)
    fit = pool(y, v, labels=list("abcdef"))
    for result in (egger(fit), rank_test(fit), trimfill(fit, side="left"), funnel(fit)):
        assert result.labels[:6] == tuple("abcdef")
        assert len(result.glance()) == 1 and len(result.tidy()) >= 1
        assert result._repr_html_().startswith("<table>")
        with pytest.raises(AttributeError):
            result.labels = ()
    assert egger(fit).tidy()["term"].tolist() == ["sei", "intercept"]
    studies = trimfill(fit, side="left").studies()
    assert studies["study"].tolist()[:6] == list("abcdef")
    assert studies["std_error"].to_numpy()[:6] == pytest.approx(np.sqrt(fit.v), rel=ROUNDING)
    assert funnel(fit).glance().filter(like="e").shape[0] == 1
