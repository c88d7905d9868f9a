"""`pool_pair` by hand algebra, with missing effects, at the boundary, and on simulated truth."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from twostage.stats.multilevel.pair import pool_pair
from twostage.stats.pool.pool import pool

sys.path.insert(0, str(Path(__file__).parents[2] / "reference"))
from mv_cases import arrays, key, read

# The optimiser ends at a relative step of about 1e-9 in a variance.
CLOSED = 1e-8
# Asked for against metafor; see test_mv_metafor.py.
AGREEMENT = 1e-6
# Four Monte Carlo standard errors: a correct method fails one such comparison in 16,000 (the seed is fixed).
BAND = 4.0

V2 = np.array([[0.02, 0.01], [0.01, 0.03]])


def pairs(k=9, seed=2):
    """k studies with the same sampling covariance, heterogeneity well above it."""
    return np.random.default_rng(seed).multivariate_normal([0.1, -0.3], [[0.3, 0.1], [0.1, 0.2]], k)


def test_equal_sampling_covariances_by_hand():
    """All of Hotelling's one-sample theory: S / k, paired t, T2."""
    Y = pairs()
    fit = pool_pair(Y, np.array([V2] * 9))
    S, mean = np.cov(Y.T), Y.mean(axis=0)
    np.testing.assert_allclose(fit.cov, S / 9, rtol=CLOSED)
    np.testing.assert_allclose(fit.G, S - V2, rtol=CLOSED)
    assert fit.rho == pytest.approx((S - V2)[0, 1] / np.sqrt(np.prod(np.diag(S - V2))), rel=CLOSED)
    paired = stats.ttest_rel(Y[:, 0], Y[:, 1])
    assert (fit.difference.statistic, fit.difference.p_value) == pytest.approx(tuple(paired), rel=CLOSED)
    assert (fit.difference.ci_low, fit.difference.ci_high) == pytest.approx(
        tuple(paired.confidence_interval()), rel=CLOSED
    )
    single = stats.ttest_1samp(Y[:, 1], 0.0)
    assert (fit.second.statistic, fit.second.df, fit.second.p_value) == pytest.approx(
        (single.statistic, 8.0, single.pvalue), rel=CLOSED
    )
    t2 = 9 * mean @ np.linalg.solve(S, mean)
    assert (fit.joint.statistic, fit.joint.df1, fit.joint.df2) == pytest.approx(
        (t2 * 7 / 16, 2, 7), rel=CLOSED
    )
    assert fit.joint.p_value == pytest.approx(stats.f.sf(t2 * 7 / 16, 2, 7), rel=CLOSED)


def test_regions_by_hand():
    Y = pairs()
    fit = pool_pair(Y, np.array([V2] * 9))
    S = np.cov(Y.T)
    for kind, shape, n in (("confidence", S / 9, 8), ("prediction", S / 9 + S - V2, 7)):
        found = fit.region(kind, level=0.9)
        np.testing.assert_allclose(found.shape, shape, rtol=CLOSED)
        np.testing.assert_allclose(found.centre, Y.mean(axis=0), rtol=CLOSED)
        assert found.critical == pytest.approx(2 * n / (n - 1) * stats.f.ppf(0.9, 2, n - 1), rel=CLOSED)
        assert fit.region(kind, rule="F").critical == pytest.approx(2 * stats.f.ppf(0.95, 2, n), rel=CLOSED)
        assert fit.region(kind, rule="chi2").critical == pytest.approx(stats.chi2.ppf(0.95, 2), rel=CLOSED)
    assert pool_pair(Y, np.array([V2] * 9), test="z").region().rule == "chi2"


def test_the_region_and_the_joint_test_say_the_same():
    """Zero lies on the edge of the region at level 1 - p."""
    fit = pool_pair(pairs(), np.array([V2] * 9))
    found = fit.region(level=1.0 - fit.joint.p_value)
    off = -found.centre
    assert off @ np.linalg.solve(found.shape, off) == pytest.approx(found.critical, rel=1e-7)


def test_normal_tests():
    fit = pool_pair(pairs(), np.array([V2] * 9), test="z")
    assert fit.first.df == fit.joint.df2 == np.inf
    assert fit.first.p_value == pytest.approx(2 * stats.norm.sf(abs(fit.first.statistic)), rel=1e-10)
    assert fit.joint.p_value == pytest.approx(stats.chi2.sf(2 * fit.joint.statistic, 2), rel=1e-10)


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize(
    "name", ["k3", "rho_one", "rho_minus_one", "one_zero_pair", "outlier", "missing", "six_orders"]
)
def test_agrees_with_metafor(name, method):
    """The reference of `pool_mv` through the wide form."""
    theirs = next(c for c in read("mv_fits.json") if key(c).startswith(f"{name} UN {method}"))
    y, blocks, factors, columns = arrays(name)
    study = np.unique(factors["study"], return_inverse=True)[1]
    effect = columns["b"].astype(int)
    Y, V = np.full((study.max() + 1, 2), np.nan), np.full((study.max() + 1, 2, 2), np.nan)
    Y[study, effect] = y
    for block, i in zip(blocks, dict.fromkeys(study), strict=True):
        V[i][np.ix_(effect[study == i], effect[study == i])] = block
    fit = pool_pair(Y, V, method=method, test="z")
    np.testing.assert_allclose(fit.estimate, theirs["z"]["beta"], rtol=AGREEMENT, atol=AGREEMENT)
    np.testing.assert_allclose(fit.cov, theirs["vb"], rtol=AGREEMENT, atol=AGREEMENT * fit.cov.max())
    assert fit.rho == pytest.approx(theirs["rho"][0], abs=AGREEMENT)
    assert 2 * fit.joint.statistic == pytest.approx(theirs["z"]["QM"], rel=AGREEMENT)


def test_a_study_with_one_effect_informs_the_other():
    rng = np.random.default_rng(3)
    Y = rng.multivariate_normal([0.1, -0.3], [[0.3, 0.25], [0.25, 0.3]], 12)
    Y[:4, 1] = np.nan
    V = np.array([V2] * 12)
    V[:4, 1, :] = V[:4, :, 1] = np.nan
    fit = pool_pair(Y, V)
    assert fit.k == (12, 8) and fit.k_both == 8
    assert (fit.first.df, fit.second.df, fit.difference.df) == (11.0, 7.0, 7.0)
    M = fit.G + V2
    information = 8 * np.linalg.inv(M) + 4 * np.diag([1 / M[0, 0], 0.0])
    np.testing.assert_allclose(fit.cov, np.linalg.inv(information), rtol=CLOSED)
    ignoring_the_four = M[1, 1] / 8
    assert fit.second.std_error**2 < ignoring_the_four


def test_independent_effects_are_pooled_as_if_alone():
    """Diagonal V and no between-study correlation in the data."""
    Y = np.array([[0.1, 0.2], [0.5, 0.2], [0.1, 0.6], [0.5, 0.6], [0.3, 0.4]])
    V = np.array([np.diag([0.01, 0.02])] * 5)
    fit = pool_pair(Y, V)
    assert fit.rho == pytest.approx(0.0, abs=1e-7)
    for contrast, j in ((fit.first, 0), (fit.second, 1)):
        alone = pool(Y[:, j], V[:, j, j])
        assert (contrast.estimate, contrast.std_error) == pytest.approx(
            (alone.estimate, alone.std_error), rel=CLOSED
        )


def test_effects_that_do_not_vary():
    Y = np.array([[0.30, 0.10], [0.32, 0.11], [0.29, 0.09], [0.31, 0.10]])
    fit = pool_pair(Y, np.array([V2] * 4))
    assert fit.singular and fit.tau2.tolist() == [0.0, 0.0] and np.isnan(fit.rho)
    np.testing.assert_allclose(fit.cov, V2 / 4, rtol=CLOSED)
    np.testing.assert_allclose(fit.region("prediction").shape, V2 / 4, rtol=CLOSED)


def test_two_studies_have_no_joint_test():
    fit = pool_pair(pairs(2), np.array([V2] * 2))
    assert np.isnan([fit.joint.statistic, fit.joint.df2, fit.joint.p_value, fit.region().critical]).all()
    assert np.isfinite(fit.difference.p_value) and fit.difference.df == 1.0


def test_truth_is_recovered():
    """G; coverage of the intervals, the region and, heterogeneity well above sampling error, the prediction region."""
    rng = np.random.default_rng(7)
    G, theta, k, replicates = np.array([[0.09, -0.04], [-0.04, 0.06]]), np.array([0.2, -0.1]), 20, 70
    inside, found = np.zeros(4), []
    for _ in range(replicates):
        s = np.sqrt(rng.uniform(0.002, 0.012, (k, 2)))
        V = s[:, :, None] * s[:, None, :] * np.array([[1.0, 0.4], [0.4, 1.0]])
        truth = rng.multivariate_normal(theta, G, k + 1)
        Y = truth[:k] + np.einsum("kij,kj->ki", np.linalg.cholesky(V), rng.normal(size=(k, 2)))
        fit = pool_pair(Y, V)
        found.append(np.append(fit.G[np.triu_indices(2)], fit.estimate))
        inside += [
            fit.first.ci_low <= theta[0] <= fit.first.ci_high,
            fit.difference.ci_low <= 0.3 <= fit.difference.ci_high,
            fit.region().contains(theta),
            fit.region("prediction").contains(truth[k]),
        ]
    found = np.array(found)
    error = BAND * found.std(axis=0) / np.sqrt(replicates)
    assert (np.abs(found.mean(axis=0) - [0.09, -0.04, 0.06, 0.2, -0.1]) < error).all()
    np.testing.assert_allclose(inside / replicates, 0.95, atol=BAND * np.sqrt(0.95 * 0.05 / replicates))


def test_tables_and_display():
    fit = pool_pair(pairs(), np.array([V2] * 9), names=("x_to_y", "y_to_x"))
    assert fit.tidy()["term"].tolist() == ["x_to_y", "y_to_x", "x_to_y - y_to_x"]
    assert fit.glance()["tau2_y_to_x"].tolist() == [fit.tau2[1]]
    assert "correlation" in fit._repr_html_()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"Y": [0.1, 0.2]}, r"Y must be \(k, 2\)"),
        ({"V": np.ones((3, 2))}, r"Y must be \(k, 2\) and V"),
        ({"Y": [[0.1, np.nan], [0.2, np.nan], [0.3, 0.1]]}, "second has 1"),
        (
            {"Y": [[0.1, np.inf], [0.2, 0.1], [0.3, 0.1]], "labels": ["a", "b", "c"]},
            "a, second: estimate inf",
        ),
        ({"V": np.array([V2, -V2, V2])}, "study 1, first: variance -0.02"),
        ({"V": np.array([V2, [[0.01, 0.05], [0.05, 0.02]], V2])}, "not positive definite"),
        ({"test": "knha"}, "test must be one of"),
        ({"names": ("a", "a")}, "two different names"),
        ({"labels": ["a"]}, "1 labels for 3 studies"),
        ({"level": 0.0}, "level must lie"),
        ({"method": "DL"}, "method must be one of"),
    ],
)
def test_what_cannot_be_pooled_is_refused(change, message):
    arguments = {"Y": pairs(3), "V": np.array([V2] * 3)} | change
    with pytest.raises(ValueError, match=message):
        pool_pair(arguments.pop("Y"), arguments.pop("V"), **arguments)
