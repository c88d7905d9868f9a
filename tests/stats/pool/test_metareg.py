"""`metareg` by hand on a tiny case, degenerate cases, errors, results, invariances, simulated truth."""

from math import atan, log, nan, pi, sqrt, tan

import numpy as np
import pandas as pd
import pytest

from twostage.stats.base.checks import NotEstimable
from twostage.stats.base.inference import INTERVALS
from twostage.stats.pool.design import make_design
from twostage.stats.pool.metareg import metareg, regress
from twostage.stats.pool.pool import pool
from twostage.stats.pool.tau2 import METHODS, log_likelihood, maximise_likelihood, score, search_bound

ROUNDING = 1e-12  # a handful of floating-point operations
# metareg and pool go different ways (orthogonal factors; sums) to the same numbers: rounding of some more operations.
TWO_WAYS = 1e-9
LIKELIHOOD_ROUNDING = 1e-9  # a sum of some tens of terms of up to about 10^2

# x = -1, 0, 1; variances 1/2: mean 3, slope 5/2, residuals 1/2, -1, 1/2: RSS 3/2, QE = 3, 1 degree of freedom.
Y, V, X = [1.0, 2.0, 6.0], [0.5, 0.5, 0.5], [-1.0, 0.0, 1.0]
SJ_START = 14 / 3  # sum of squares of y about its mean over 3


@pytest.mark.parametrize(
    "method, tau2, std_error",
    [
        ("FE", 0.0, nan),
        ("DL", 1.0, sqrt(18) / 2),  # (3 - 1) / tr P = 2 / 2; sqrt(2 + 4 * 2 + 2 * 4) / 2
        ("HE", 1.0, sqrt(4.5)),  # 3/2 - 1/2
        ("HS", 0.0, sqrt(2) / 6),  # (3 - 3) / 6
        ("SJ", 42 / 31, SJ_START * 6 / 31 * sqrt(2) * (42 / 31 + 0.5)),  # t0 * 1.5 / (t0 + 0.5)
        ("PM", 1.0, sqrt(18) / 2),  # 1.5 / (t + 0.5) = 1
        ("EB", 1.0, sqrt(18) / 2),
        ("REML", 1.0, sqrt(4.5)),
        ("ML", 0.0, sqrt(1 / 6)),  # 1.5 / 3 - 0.5
    ],
)
def test_tau2_by_hand(method, tau2, std_error):
    fit = metareg(Y, V, X, method=method)
    assert fit.tau2 == pytest.approx(tau2, rel=ROUNDING, abs=1e-15)
    assert fit.tau2_se == pytest.approx(std_error, rel=ROUNDING, nan_ok=True)
    assert fit.coef == pytest.approx([3.0, 2.5], rel=ROUNDING)
    assert (fit.qe_df, fit.k) == (1, 3)
    assert fit.qe == pytest.approx(3.0, rel=ROUNDING)
    if method != "FE":
        assert fit.i2 == pytest.approx(100 * tau2 / (tau2 + 0.5), rel=ROUNDING, abs=1e-12)
        assert fit.h2 == pytest.approx(1 + 2 * tau2, rel=ROUNDING)


def test_inference_by_hand():
    """REML: weights 2/3, variances 1/2 and 3/4, Hartung-Knapp's factor 1.5 / 1.5 = 1; t with 1 df is the Cauchy."""
    fit = metareg(Y, V, X, names=["dose"])
    t = 2.5 / sqrt(0.75)
    assert fit.names == ("intercept", "dose")
    assert fit.df == 1.0 and fit.variance_factor == pytest.approx(1.0, rel=ROUNDING)
    assert fit.std_error == pytest.approx([sqrt(0.5), sqrt(0.75)], rel=ROUNDING)
    assert fit.statistic[1] == pytest.approx(t, rel=ROUNDING)
    assert fit.p_value[1] == pytest.approx(1 - 2 / pi * atan(t), rel=ROUNDING)
    assert fit.ci_high[1] == pytest.approx(2.5 + tan(pi * 0.475) * sqrt(0.75), rel=ROUNDING)
    assert (fit.qm_df, fit.qm_df2) == (1, 1.0)
    assert fit.qm == pytest.approx(25 / 3, rel=ROUNDING)
    assert fit.qm_p_value == pytest.approx(fit.p_value[1], rel=ROUNDING)
    assert fit.test("dose").statistic == pytest.approx(25 / 3, rel=ROUNDING)
    assert fit.test(["intercept", "dose"]).statistic == pytest.approx((18 + 25 / 3) / 2, rel=ROUNDING)
    assert fit.r2 == pytest.approx(100 * 5.5 / 6.5, rel=ROUNDING)  # without: 7 - 1/2
    assert fit.loglik == pytest.approx(-0.5 * (log(2 * pi) + log(1.5) + 1), rel=ROUNDING)
    assert fit.hat == pytest.approx([5 / 6, 1 / 3, 5 / 6], rel=ROUNDING)
    assert fit.residuals == pytest.approx([0.5, -1, 0.5], rel=ROUNDING)


def test_prediction_by_hand():
    """At 2: 3 + 5 = 8, variance 1/2 + 4 * 3/4 = 7/2."""
    fit = metareg(Y, V, X)
    at = fit.predict(2.0 * np.ones((1, 1)), prediction="k-p")
    assert (at.estimate[0], at.std_error[0]) == pytest.approx((8.0, sqrt(3.5)), rel=ROUNDING)
    assert at.ci_high[0] == pytest.approx(8 + tan(pi * 0.475) * sqrt(3.5), rel=ROUNDING)
    assert at.pi_high[0] == pytest.approx(8 + tan(pi * 0.475) * sqrt(4.5), rel=ROUNDING)
    normal = fit.predict([[2.0]], prediction="normal", level=0.9)
    assert normal.pi_low[0] == pytest.approx(8 - 1.6448536269514722 * sqrt(4.5), rel=ROUNDING)
    assert np.isnan(fit.predict([[2.0]]).pi_low[0])  # k - p - 1 = 0 degrees of freedom
    assert fit.predict().estimate == pytest.approx(fit.fitted)
    two = metareg([*Y, 5.0], [*V, 0.5], [*X, 2.0]).predict([[0.0], [1.0]])
    assert two.pi_rule == "t with k - p - 1 degrees of freedom" and (two.pi_low < two.ci_low).all()


def test_wald_is_chi_square():
    fit = metareg(Y, V, X, ci="wald", method="FE")
    assert fit.std_error[1] == pytest.approx(0.5, rel=ROUNDING)  # 1 / sqrt(2 * 2)
    assert fit.qm == pytest.approx(25.0, rel=ROUNDING) and np.isinf(fit.qm_df2)
    assert fit.qm_p_value == pytest.approx(5.733031437583866e-07, rel=1e-9)  # 2 Phi(-5)
    assert fit.r2 == pytest.approx(100 * (1 - (1.5 / 1) / (14 / 2)), rel=ROUNDING)  # adjusted R2


@pytest.mark.parametrize("method", ["FE", "DL", "REML"])
def test_nothing_to_account_for(method):
    """Equal estimates: no heterogeneity with or without moderators, so that R2 is 0."""
    fit = metareg([0.3] * 5, [0.01, 0.02, 0.03, 0.04, 0.05], [0, 1, 2, 3, 5], method=method, ci="wald")
    assert fit.r2 == 0.0 and fit.tau2 == 0.0


def test_ad_hoc_is_never_narrower_than_wald():
    y, v, x = [0.2, 0.31, 0.4, 0.5], [0.1] * 4, [0.0, 1.0, 2.0, 3.0]
    plain, adhoc, wald = (metareg(y, v, x, ci=c) for c in ("hartung-knapp", "hartung-knapp-adhoc", "wald"))
    assert plain.variance_factor < 1 == adhoc.variance_factor
    assert (plain.std_error < wald.std_error).all() and (adhoc.std_error == wald.std_error).all()
    assert adhoc.qm_df2 == 2.0  # still F


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ci", INTERVALS)
def test_intercept_alone_is_pool(method, ci):
    rng = np.random.default_rng(3)
    for k in (2, 5, 30):
        v = 10 ** rng.uniform(-3, 1, k)
        y = rng.normal(2, np.sqrt(v + 0.3))
        ours, theirs = metareg(y, v, method=method, ci=ci), pool(y, v, method=method, ci=ci)
        for here, there in (
            ("tau2", "tau2"),
            ("tau2_se", "tau2_se"),
            ("i2", "i2"),
            ("h2", "h2"),
            ("qe", "q"),
        ):
            assert getattr(ours, here) == pytest.approx(
                getattr(theirs, there), rel=TWO_WAYS, abs=1e-13, nan_ok=True
            )
        for name in ("std_error", "ci_low", "ci_high", "p_value"):
            assert getattr(ours, name)[0] == pytest.approx(getattr(theirs, name), rel=TWO_WAYS)
        assert ours.loglik == pytest.approx(theirs.loglik, rel=TWO_WAYS)
        assert ours.hat * 100 == pytest.approx(theirs.weights, rel=TWO_WAYS)
        assert ours.qm == pytest.approx(theirs.statistic**2, rel=TWO_WAYS) and np.isnan(ours.r2)
        at = ours.predict()
        assert at.pi_low[0] == pytest.approx(theirs.pi_low, rel=TWO_WAYS, nan_ok=True)


@pytest.mark.parametrize("method", METHODS)
def test_units_order_and_origin_of_moderators_do_not_matter(method):
    rng = np.random.default_rng(5)
    x, v = rng.normal(size=(12, 2)), rng.uniform(0.01, 0.2, 12)
    y = 1 + x @ [0.5, 0.0] + rng.normal(size=12) * np.sqrt(v + 0.1)
    fit = metareg(y, v, x, method=method)
    moved = metareg(1e-3 * y, 1e-6 * v, (x * [1e4, 1e-3] + [1e4, 3.0])[:, ::-1], method=method)
    assert 1e6 * moved.tau2 == pytest.approx(fit.tau2, rel=TWO_WAYS, abs=1e-12)
    assert 1e3 * moved.coef[:0:-1] * [1e4, 1e-3] == pytest.approx(fit.coef[1:], rel=1e-8)
    for name in ("qe", "qm", "qm_p_value", "r2", "i2"):
        assert getattr(moved, name) == pytest.approx(getattr(fit, name), rel=TWO_WAYS, abs=1e-10)
    flipped = metareg(-y, v, x, method=method)
    assert -flipped.coef == pytest.approx(fit.coef, rel=TWO_WAYS)


def hard_data(k, seed):
    rng = np.random.default_rng(seed)
    v = 10 ** rng.uniform(-3, 3, (150, k))
    tau2 = 10 ** rng.uniform(-3, 3, (150, 1))
    design = make_design(rng.normal(size=k), k, names=None, intercept=True, labels=None)
    y = rng.normal(size=v.shape) * np.sqrt(v + tau2)
    y[::3, 0] *= 100
    return y - (y @ design.U) @ design.U.T, v, design.U


@pytest.mark.parametrize("reml", [True, False], ids=["REML", "ML"])
@pytest.mark.parametrize("k", [3, 6, 12])
def test_no_grid_point_has_a_higher_likelihood(k, reml):
    y, v, U = hard_data(k, seed=k)
    tau2, _, converged, _, n_maxima = maximise_likelihood(y, v, U, reml=reml)
    ours = log_likelihood(y, v, tau2, U, reml=reml)
    low, wide = v.min(axis=1), 10 * search_bound(y, v, U)
    assert converged.all() and (k == 3 or (n_maxima > 1).any())
    for part in np.linspace(0.0, 1.0, 501):
        other = low * np.expm1(part * np.log1p(wide / low))
        assert (log_likelihood(y, v, other, U, reml=reml) <= ours + LIKELIHOOD_ROUNDING).all()


@pytest.mark.parametrize("reml", [True, False])
def test_slope_and_curvature_are_derivatives(reml):
    """Against central differences: their error is about step^2 and rounding / step."""
    rng = np.random.default_rng(1)
    v = rng.uniform(0.5, 2, (20, 6))
    U = np.linalg.qr(rng.normal(size=(6, 2)))[0]
    y, tau2, step = rng.normal(size=v.shape), np.full(20, 0.7), 1e-4
    up, down = (log_likelihood(y, v, tau2 + s, U, reml=reml) for s in (step, -step))
    slope, curvature = score(y, v, tau2, U, reml=reml)
    np.testing.assert_allclose((up - down) / step, slope, rtol=1e-6, atol=1e-7)
    slopes = [score(y, v, tau2 + s, U, reml=reml)[0] for s in (step, -step)]
    np.testing.assert_allclose((slopes[0] - slopes[1]) / (2 * step), curvature, rtol=1e-6, atol=1e-7)


def test_many_at_once_as_one_by_one():
    rng = np.random.default_rng(8)
    v, x = rng.uniform(0.01, 0.3, (6, 9)), rng.normal(size=(9, 2))
    y = rng.normal(size=v.shape)
    design = make_design(x, 9, names=None, intercept=True, labels=None)
    for method in METHODS:
        numbers, _ = regress(y, v, design, method, "hartung-knapp")
        for i in range(6):
            one = metareg(y[i], v[i], x, method=method)
            assert numbers["tau2"][i] == pytest.approx(one.tau2, rel=TWO_WAYS, abs=1e-13)
            assert numbers["statistic"][i] == pytest.approx(one.statistic, rel=1e-8)
            assert numbers["qm"][i] == pytest.approx(one.qm, rel=1e-8)


def test_a_given_column_of_ones_is_the_intercept():
    given = metareg(Y, V, np.column_stack([X, [1, 1, 1]]), names=["dose", "one"], intercept=False)
    added = metareg(Y, V, X, names=["dose"])
    assert given.names == ("one", "dose")
    assert given.coef == pytest.approx(added.coef) and given.qm == pytest.approx(added.qm)
    assert given.r2 == pytest.approx(added.r2)
    assert given.predict([[1.0, 2.0]]).estimate == pytest.approx(added.predict([[2.0]]).estimate)


def test_data_frames_bring_their_names():
    assert metareg(Y, V, pd.DataFrame({"dose": X})).names == ("intercept", "dose")


FOUR = dict(y=[0.1, 0.4, 0.2, 0.6, 0.5], v=[0.1] * 5)


@pytest.mark.parametrize(
    "X, names, message",
    [
        ([[1, 2], [2, 4], [3, 6], [4, 8], [5, 10]], ["a", "b"], "b is a linear combination of a"),
        ([[1, 3], [2, 3], [3, 3], [5, 3], [4, 3]], ["a", "b"], "moderator b is constant"),
        ([[0.1 + 0.2], [0.3], [0.3], [0.3], [0.3]], ["a"], "moderator a is constant"),
        (
            [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]],
            ["a", "b", "c"],
            "c is a linear combination of a, b, the intercept",
        ),
        (
            [[1, 2, 1], [2, 4, 1], [3, 6, 1], [4, 8, 1], [6, 12, 1]],
            ["a", "b", "c"],
            "c is constant.*b is a lin",
        ),
    ],
)
def test_what_moderators_cannot_determine_is_named(X, names, message):
    with pytest.raises(NotEstimable, match=message):
        metareg(**FOUR, X=X, names=names)


def test_only_those_columns_are_named_that_take_part():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 3))
    x = np.column_stack([x, x[:, 0] - 2 * x[:, 2]])
    with pytest.raises(NotEstimable) as error:
        metareg(rng.normal(size=8), np.ones(8), x, names=list("abcd"))
    assert "d is a linear combination of a, c, the intercept" in str(error.value)


def test_a_zero_moderator_without_intercept_is_named():
    with pytest.raises(NotEstimable, match="b is zero for every study"):
        metareg(**FOUR, X=[[1, 0], [2, 0], [3, 0], [4, 0], [4, 0]], names=["a", "b"], intercept=False)


def test_too_few_studies():
    with pytest.raises(NotEstimable, match="2 studies cannot determine 2 coefficients"):
        metareg([0.1, 0.2], [0.1, 0.1], [0, 1])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"y": [nan, 1, 2, 3, 4]}, "study 0: estimate nan is not finite"),
        (
            {"v": [0.1, -1, 0.1, 0, 0.1], "labels": list("ABCDE")},
            r"study 1 \(B\): variance -1.0.*study 3 \(D\)",
        ),
        ({"X": [1, 2, nan, 4, 5], "names": ["year"]}, "study 2: moderator year is nan"),
        ({"X": [1, 2, 3]}, r"must have shape \(5, q\)"),
        ({"v": [0.1] * 4}, "equally long"),
        ({"y": [], "v": []}, "at least one study, not empty"),
        ({"labels": ["a"]}, "1 labels for 5 studies"),
        ({"X": np.eye(5)[:, :2], "names": ["a"]}, "1 names for 2 moderators"),
        ({"X": np.eye(5)[:, :2], "names": ["a", "a"]}, "same name: a"),
        ({"X": None, "intercept": False}, "nothing to estimate"),
        ({"method": "XX"}, "method must be one of"),
        ({"ci": "t"}, "ci must be one of"),
        ({"level": 95}, "level must lie"),
    ],
)
def test_input_that_cannot_be_used(change, message):
    with pytest.raises(ValueError, match=message) as error:
        metareg(**(FOUR | {"X": [1, 2, 3, 4, 6]} | change))
    assert not isinstance(error.value, NotEstimable)


def test_methods_refuse_what_they_cannot_do():
    fit = metareg(**FOUR, X=[1, 2, 3, 4, 6], names=["year"])
    with pytest.raises(ValueError, match="coefficients are intercept, year; got weeks"):
        fit.test(["weeks"])
    with pytest.raises(ValueError, match="got none"):
        fit.test([])
    with pytest.raises(ValueError, match=r"1 columns \(year\)"):
        fit.predict([[1.0, 2.0]])
    with pytest.raises(ValueError, match="row 1: moderator 0 is nan"):
        fit.predict([[1.0], [nan]])
    with pytest.raises(ValueError, match="prediction must be one of"):
        fit.predict(prediction="k-2")
    with pytest.raises(ValueError, match="fixed-effect"):
        metareg(**FOUR, X=[1, 2, 3, 4, 6], method="FE").qprofile()


def test_results_are_frozen_and_become_tables():
    fit = metareg(**FOUR, X=[1, 2, 3, 4, 6], names=["year<"])
    assert list(fit.tidy().columns) == [
        *("term", "estimate", "std_error", "df", "statistic", "p_value", "ci_low", "ci_high")
    ]
    assert fit.tidy()["term"].tolist() == ["intercept", "year<"]
    assert fit.glance().shape == (1, 21) and fit.glance()["k"].item() == 5
    html = fit._repr_html_()
    assert "year&lt;" in html and "QM: F(1, 3)" in html
    assert "chi-square(1)" in metareg(**FOUR, X=[1, 2, 3, 4, 6], ci="wald")._repr_html_()
    assert fit.predict().tidy().shape == (5, 6) and fit.predict().glance().shape == (1, 4)
    assert "pi low" in fit.predict()._repr_html_() and "F" not in fit.test("year<")._repr_html_()[:5]
    with pytest.raises(AttributeError):
        fit.tau2 = 1.0
    with pytest.raises(ValueError, match="read-only"):
        fit.coef[0] = 1.0


def test_truth_is_recovered():
    """2,000 meta-regressions of 25 studies in one call; bands of four Monte Carlo standard errors (seed fixed)."""
    rng = np.random.default_rng(11)
    n, k, tau2, beta = 2000, 25, 0.05, np.array([0.3, -0.2])
    x = np.linspace(-1, 1, k)
    design = make_design(x, k, names=None, intercept=True, labels=None)
    v = rng.uniform(0.01, 0.09, (n, k))
    y = design.X @ beta + rng.normal(size=(n, k)) * np.sqrt(v + tau2)
    for method in ("REML", "PM", "DL", "HE"):
        numbers, search = regress(y, v, design, method, "hartung-knapp")
        found = numbers["coef"]
        assert search.converged.all()
        assert found.mean(axis=0) == pytest.approx(beta, abs=4 * found.std(axis=0).max() / sqrt(n))
        assert search.tau2.mean() == pytest.approx(tau2, abs=4 * search.tau2.std() / sqrt(n))
        covered = np.abs(found - beta) <= 2.0686576104190406 * numbers["std_error"]  # t with 23 df
        # Hartung-Knapp is an approximation with unequal variances: half a percent at this k.
        assert covered.mean(axis=0) == pytest.approx([0.95, 0.95], abs=4 * sqrt(0.95 * 0.05 / n) + 0.005)
        rejected = np.abs(found[:, 1] / numbers["std_error"][:, 1]) > 2.0686576104190406
        np.testing.assert_array_equal(rejected, numbers["qm"] > 2.0686576104190406**2)
