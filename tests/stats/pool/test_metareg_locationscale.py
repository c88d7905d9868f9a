"""Location-scale models: by hand, derivatives, no finite maximum, errors, simulated truth."""

import sys
from math import exp, log, sqrt
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "reference"))

from metareg_tables import DATA

from twostage.stats.base.checks import NotEstimable
from twostage.stats.pool import locationscale_likelihood as metareg_scale_likelihood
from twostage.stats.pool.locationscale import locationscale
from twostage.stats.pool.locationscale_likelihood import ScaleProblem
from twostage.stats.pool.metareg import metareg


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


def test_omnibus_tests_of_three_groups_by_hand():
    """Sums of squares 2, 32, 8 about three means, 2 df each: v + tau2 = 1, 16, 4, of all 7."""
    y, v = [-1.0, 0.0, 1.0, -4.0, 0.0, 4.0, -2.0, 0.0, 2.0], [0.5] * 9
    groups = np.eye(3)[np.repeat([0, 1, 2], 3), 1:]
    wald, hk = (locationscale(y, v, groups, groups, ci=ci) for ci in ("wald", "hartung-knapp"))
    tau2, total = np.array([0.5, 15.5, 3.5]), np.array([1.0, 16.0, 4.0])
    log_tau2, weight = np.log(tau2), (tau2 / total) ** 2  # the information
    qs = weight @ (log_tau2 - weight @ log_tau2 / weight.sum()) ** 2
    assert (wald.qs, hk.qs) == pytest.approx((qs, qs / 2), rel=1e-9)
    assert (wald.qs_df, hk.qs_df, hk.qs_df2, wald.qs_df2) == (2, 2, 6.0, np.inf)
    assert (wald.qs_p_value, hk.qs_p_value) == pytest.approx((exp(-qs / 2), (1 + qs / 6) ** -3), rel=1e-9)
    lr = 6 * log(7) - 2 * np.log(total).sum()
    assert (wald.lr, wald.lr_df, wald.lr_p_value) == pytest.approx((lr, 2, exp(-lr / 2)), rel=1e-9)
    assert (wald.qe, wald.qe_df) == pytest.approx((84.0, 6), rel=1e-9)
    assert wald.qe_p_value == pytest.approx(exp(-42) * (1 + 42 + 42**2 / 2), rel=1e-9, abs=0.0)


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
    at = fit.predict([[0.5]], [[0.5]])  # tau2 there depends on where the search ended
    assert np.isnan([at.tau2[0], at.pi_low[0], at.pi_high[0]]).all() and at.pi_rule == "none"
    assert at.estimate == pytest.approx(fit.coef[0] + fit.coef[1] / 2) and np.isfinite(at.ci_low).all()


def test_a_maximum_that_is_not_the_highest():
    """Study 4 alone differs, and the others agree: the likelihood rises without end as tau2 tends to 0 in these."""
    y, v, z = [0.1, 0.9, 0.3, -0.6, 0.4], [0.02, 0.05, 0.01, 0.03, 0.02], [0, 1, 2.5, 3, 1]
    fit = locationscale(y, v, None, z, method="ML")
    assert not fit.converged and fit.search.finite < fit.loglik - 0.5
    assert "a finite maximum of the log-likelihood is lower by" in fit.note
    # The supremum: all but one at tau2 = 0, its own tau2 as it alone would have it.
    others = np.arange(5) != 3
    w = 1 / np.array(v)[others]
    mean = w @ np.array(y)[others] / w.sum()
    assert fit.coef == pytest.approx(mean, rel=0.05) and fit.tau2[others].max() < 1e-6
    assert fit.tau2[3] == pytest.approx((y[3] - fit.coef[0]) ** 2 - v[3], rel=1e-6)


OK = {
    "y": [0.5, -0.5, 0.9, 1.4, 0.1, -0.6],
    "v": [0.01] * 6,
    "X": [1, 2, 3, 4, 5, 7],
    "Z": [0, 1, 0, 1, 1, 0],
}


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"method": "DL"}, ValueError, "fitted by REML or ML"),
        ({"Z": [1] * 6, "scale_names": ["n"]}, NotEstimable, "scale moderator n is constant"),
        ({"Z": [0, 1, 0, float("nan"), 1, 0]}, ValueError, "study 3: scale moderator z1 is nan"),
        ({"Z": np.eye(6)[:, :5]}, NotEstimable, "6 studies cannot determine 6 coefficients"),
        ({"v": [0.01] * 5 + [0]}, ValueError, "study 5: variance 0.0"),
        (
            {"X": np.eye(6)[:, :3], "Z": np.eye(6)[:, 3:5]},
            NotEstimable,
            "REML: 2 residual degrees of freedom cannot determine 3 scale coefficients",
        ),
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
    one = locationscale(OK["y"], OK["v"], OK["X"]).predict(prediction="k-p")
    t = 2.7764451051977987  # 97.5 percent with 6 - 2 df
    assert one.pi_high - one.estimate == pytest.approx(t * np.sqrt(one.tau2 + one.std_error**2), rel=1e-9)
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


def test_of_runs_as_high_as_one_another_the_one_that_ended_at_a_maximum_is_taken(monkeypatch):
    """Heights differ in the last digits: a run towards tau2 = 0 must not win by rounding, nor a lower maximum at all."""
    problem = ScaleProblem(
        np.array([0.1, -0.2, 0.3]), np.full(3, 0.1), np.ones((3, 1)), np.ones((3, 1)), False
    )
    lost = [(np.array([-9.0]), 1.0 + 1e-12, np.eye(1), False, 5)]
    regular = [(np.array([-1.0]), 1.0, np.eye(1), True, 5)]
    lower = [(np.array([2.0]), 0.5, np.eye(1), True, 5)]

    def found(runs):
        results = iter(runs * 20)
        monkeypatch.setattr(metareg_scale_likelihood, "_climb", lambda problem, g: next(results))
        return metareg_scale_likelihood.maximise(problem, 0.1)

    assert found(lost + regular + lower).g == -1.0
    away = found(lost + lower)
    assert away.g == -9.0 and not away.converged and away.finite == 0.5
