"""Location-scale models: by hand, against metafor, derivatives, no finite maximum, errors, simulated truth."""

import sys
from functools import cache
from math import log, sqrt
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "reference"))

from metareg_tables import DATA, read

from twostage.stats.errors import NotEstimable
from twostage.stats.metareg import metareg
from twostage.stats.metareg_locationscale import locationscale
from twostage.stats.metareg_scale_likelihood import ScaleProblem

# alpha is refined in R by Newton steps with numerical derivatives (numDeriv): measured below 4e-9 of a standard error.
ALPHA_IN_STD_ERRORS = 1e-7
NUMERICAL_HESSIAN = 1e-6  # standard errors and tests of alpha, as metafor takes them
LOCATION = 1e-7  # what the error of alpha leaves in beta
LIKELIHOOD = 1e-9  # flat at the maximum
CASES = read("metareg_locationscale.json.gz")
NAMES = {
    *("bcg_all", "bangertdrowns", "raudenbush", "curtis", "mcdaniel", "konstantopoulos", "landenberger"),
    *("hackshaw", "linde", "viechtbauer", "bcg_year", "bcg_ablat"),
}


def arrays(case):
    k = len(case["y"])
    X, Z = (np.array(case[c], dtype=float).reshape(k, -1) for c in "XZ")
    return case["y"], case["v"], X, Z


def test_the_grid_has_not_shrunk():
    assert {(c["dataset"], c["method"]) for c in CASES} == {(n, m) for n in NAMES for m in ("REML", "ML")}
    assert sum("predict" in c["z"] for c in CASES) == 14


@cache
def ours(index, ci):
    return locationscale(*arrays(CASES[index]), method=CASES[index]["method"], ci=ci)


def each():
    """Reference, our fit and metafor's numbers for both ways of inference."""
    for index, case in enumerate(CASES):
        for ci, test in (("wald", "z"), ("hartung-knapp", "knha")):
            yield case, ours(index, ci), case[test]


def test_agrees_with_metafor():
    for case, fit, theirs in each():
        assert fit.converged and fit.note == ""
        error = np.abs(fit.alpha - case["alpha"]) / fit.alpha_std_error
        assert (error < ALPHA_IN_STD_ERRORS).all()
        np.testing.assert_allclose(fit.alpha_std_error, case["std_error"], rtol=NUMERICAL_HESSIAN)
        assert fit.loglik == pytest.approx(case["loglik"], abs=LIKELIHOOD)
        assert fit.loglik >= case["default_loglik"] - LIKELIHOOD
        for ours, name in (
            (fit.coef, "coef"),
            (fit.std_error, "std_error"),
            (fit.ci_low, "ci_low"),
            (fit.tau2, "tau2"),
        ):
            np.testing.assert_allclose(ours, theirs[name], rtol=LOCATION, atol=1e-8, err_msg=name)
        assert fit.qm == pytest.approx(theirs["qm"], rel=LOCATION)
        assert fit.qm_p_value == pytest.approx(theirs["qm_p_value"], rel=100 * LOCATION)
        assert fit.qe == pytest.approx(theirs["qe"], rel=1e-8)
        if len(fit.alpha) > 1:
            without = 2 * (fit.loglik - case["loglik_without"])
            assert fit.lr == pytest.approx(without, abs=1e-8) and fit.lr_df == len(fit.alpha) - 1


# metafor's own tests of alpha rest on where its optimiser stopped, up to 1e-4 of a standard error from the maximum.
OPTIMISER = 1e-3


def test_tests_of_alpha_are_those_of_metafor():
    for _, fit, theirs in each():
        assert fit.qs == pytest.approx(theirs["default_qs"], rel=OPTIMISER)
        assert fit.qs_p_value == pytest.approx(theirs["default_qs_p"], rel=OPTIMISER)
        np.testing.assert_allclose(fit.alpha_p_value, theirs["default_alpha_p"], rtol=OPTIMISER)
        np.testing.assert_allclose(fit.alpha_ci_low, theirs["default_alpha_low"], rtol=OPTIMISER, atol=1e-5)


def test_predictions_agree():
    for _, fit, numbers in each():
        if "predict" in numbers:
            theirs = numbers["predict"]
            rules = {"k-p-q": "riley", "k-p": "t"} | ({"normal": "default"} if fit.ci == "wald" else {})
            for rule, name in rules.items():
                at = fit.predict(theirs["X"], theirs["Z"], prediction=rule)
                for low, column in ((at.estimate, "estimate"), (at.ci_low, "ci_low"), (at.pi_low, name)):
                    np.testing.assert_allclose(low, theirs[column], rtol=LOCATION, atol=1e-8)


def test_two_groups_by_hand():
    """Means known to be equal would couple the groups; with a mean each, each has its own tau2 = RSS / 2 - v.

    Group a: -1, 0, 1: mean 0, RSS 2; group b: -4, 0, 4: RSS 32. Variances 1/2: REML tau2 = 2/2 - 1/2 and 32/2 - 1/2.
    Information of log tau2 in each: half of tau2^2 (k - 1) / (tau2 + v)^2.
    """
    y, v = [-1.0, 0.0, 1.0, -4.0, 0.0, 4.0], [0.5] * 6
    b = [0, 0, 0, 1, 1, 1]
    fit = locationscale(y, v, b, b, ci="wald")
    assert fit.tau2 == pytest.approx([0.5] * 3 + [15.5] * 3, rel=1e-9)
    assert fit.alpha == pytest.approx([log(0.5), log(31)], rel=1e-9)
    info = [0.5**2 / 1.0, 15.5**2 / 16**2]
    assert fit.alpha_std_error == pytest.approx(
        [sqrt(1 / info[0]), sqrt(1 / info[0] + 1 / info[1])], rel=1e-9
    )
    assert fit.qs == pytest.approx(log(31) ** 2 / (1 / info[0] + 1 / info[1]), rel=1e-9)
    assert fit.std_error[0] == pytest.approx(sqrt(1.0 / 3), rel=1e-9)
    hk = locationscale(y, v, b, b)
    assert (hk.alpha_df, hk.df, hk.qs_df2) == (4.0, 4.0, 4.0)
    ml = locationscale(y, v, b, b, method="ML")
    assert ml.tau2[[0, 3]] == pytest.approx([2 / 3 - 0.5, 32 / 3 - 0.5], rel=1e-8)


def test_without_scale_moderators_it_is_metareg():
    data = DATA["landenberger"]
    X = np.array(data["X"], dtype=float)
    for method in ("REML", "ML"):
        fit = locationscale(data["y"], data["v"], X, method=method)
        same = metareg(data["y"], data["v"], X, method=method)
        assert fit.tau2 == pytest.approx(np.full(len(X), same.tau2), rel=1e-8)
        assert fit.coef == pytest.approx(same.coef, rel=1e-8) and fit.loglik == pytest.approx(
            same.loglik, rel=1e-10
        )
        assert np.isnan(fit.lr) and fit.scale_names == ("intercept",)
        assert (fit.qm, fit.qe) == pytest.approx((same.qm, same.qe), rel=1e-8)


@pytest.mark.parametrize("reml", [True, False])
def test_derivatives(reml):
    """Against central differences: their error is about step^2."""
    rng = np.random.default_rng(2)
    U, S = (np.linalg.qr(rng.normal(size=(12, 2)))[0] for _ in range(2))
    problem = ScaleProblem(rng.normal(size=12), rng.uniform(0.1, 0.5, 12), U, S, reml)
    g, step = np.array([-3.0, 1.0]), 1e-5
    gradient, hessian = problem.derivatives(g)
    for a in range(2):
        e = step * np.eye(2)[a]
        assert (problem.value(g + e) - problem.value(g - e)) / (2 * step) == pytest.approx(
            gradient[a], rel=1e-6
        )
        difference = (problem.derivatives(g + e)[0] - problem.derivatives(g - e)[0]) / (2 * step)
        np.testing.assert_allclose(difference, hessian[a], rtol=1e-6)


def test_no_finite_maximum_is_said():
    """One group agrees better than its variances allow: its tau2 tends to 0, log tau2 to minus infinity."""
    y, v = [0.1, 0.1, 0.1, -4.0, 0.0, 4.0], [0.5] * 6
    fit = locationscale(y, v, [0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1])
    assert not fit.converged and "no finite maximum" in fit.note
    assert np.isnan(fit.alpha_std_error).all() and np.isnan(fit.qs) and np.isnan(fit.qs_p_value)
    assert fit.tau2[0] < 1e-3 and fit.tau2[3] == pytest.approx(15.5, rel=1e-3)
    assert "no finite maximum" in fit._repr_html_()


def test_no_start_is_higher():
    """Random starts all over the plane find nothing higher."""
    from twostage.stats.metareg_scale_likelihood import _climb, maximise

    for case in CASES[:6:2]:
        y, v, X, Z = arrays(case)
        fit = locationscale(y, v, X, Z, method=case["method"])
        residual = np.array(y) - fit.design.U @ (fit.design.U.T @ np.array(y))
        problem = ScaleProblem(residual, np.array(v), fit.design.U, fit.scale.U, case["method"] == "REML")
        rng = np.random.default_rng(1)
        for _ in range(5):
            g = fit.search.g + rng.normal(size=len(fit.search.g)) * 10
            assert _climb(problem, g)[1] <= fit.loglik + LIKELIHOOD
        assert maximise(problem, 1.0).loglik == pytest.approx(fit.loglik, abs=LIKELIHOOD)


OK = {"y": [0.1, 0.5, 0.3, 0.9, 0.2, 0.8], "v": [0.01] * 6, "X": [1, 2, 3, 4, 5, 7], "Z": [0, 1, 0, 1, 1, 0]}


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"method": "DL"}, ValueError, "fitted by REML or ML"),
        ({"Z": [1] * 6, "scale_names": ["n"]}, NotEstimable, "scale moderator n is constant"),
        ({"Z": [0, 1, 0, float("nan"), 1, 0]}, ValueError, "study 3: scale moderator z1 is nan"),
        ({"Z": np.eye(6)[:, :5]}, NotEstimable, "6 studies cannot determine 6 coefficients"),
        ({"v": [0.01] * 5 + [0]}, ValueError, "study 5: variance 0.0"),
    ],
)
def test_refusals(change, error, message):
    with pytest.raises(error, match=message):
        locationscale(**(OK | change))


def test_tables_and_predictions():
    fit = locationscale(**OK, names=["year"], scale_names=["n"])
    assert fit.tidy()[["part", "term"]].values.tolist() == [
        ["location", "intercept"],
        ["location", "year"],
        ["scale", "intercept"],
        ["scale", "n"],
    ]
    assert fit.glance().shape == (1, 21) and "QS" in fit._repr_html_()
    assert fit.predict().tau2 == pytest.approx(fit.tau2)
    with pytest.raises(ValueError, match="2 rows of moderators, 1 of scale"):
        fit.predict([[1.0], [2.0]], [[0.0]])
    with pytest.raises(ValueError, match="prediction must be one of"):
        fit.predict(prediction="k-2")
    few = locationscale([0.1, 0.9, 0.2, 0.7], [0.001] * 4, [0, 1, 2, 4], [0, 0, 1, 1])
    assert few.predict().pi_rule == "none" and np.isnan(few.predict().pi_low).all()


def test_truth_is_recovered():
    """40 data sets of 60 studies: bands of four Monte Carlo standard errors; Wald intervals cover about 95 percent."""
    rng = np.random.default_rng(7)
    z = np.linspace(-1, 1, 60)
    found, covered = [], 0
    for _ in range(40):
        v = rng.uniform(0.01, 0.05, 60)
        y = 0.2 + 0.1 * z + rng.normal(size=60) * np.sqrt(v + np.exp(-2.0 + 1.0 * z))
        fit = locationscale(y, v, z, z, ci="wald")
        assert fit.converged
        found.append(fit.alpha)
        covered += fit.alpha_ci_low[1] <= 1.0 <= fit.alpha_ci_high[1]
    found = np.array(found)
    assert found.mean(axis=0) == pytest.approx([-2.0, 1.0], abs=4 * found.std(axis=0).max() / sqrt(40))
    assert covered / 40 == pytest.approx(0.95, abs=4 * sqrt(0.95 * 0.05 / 40))
