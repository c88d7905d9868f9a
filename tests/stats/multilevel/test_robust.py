"""Cluster-robust inference: by hand, against metafor and clubSandwich (tests/reference/robust.R), by simulation."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from twostage.stats.multilevel.likelihood import marginal
from twostage.stats.multilevel.model import pool_mv
from twostage.stats.multilevel.robust import KINDS, robust, sandwich
from twostage.stats.multilevel.terms import nested

sys.path.insert(0, str(Path(__file__).parents[2] / "reference"))
from mv_cases import arrays, fit, key, read  # noqa: E402, RUF100  (the reference folder is not a package)

# The working model's variances agree with the reference's to about 1e-7.
AGREEMENT = 1e-6
# Same arithmetic in another order.
ROUNDING = 1e-9
# Four Monte Carlo standard errors: a correct method fails one such comparison in 16,000 (the seed is fixed).
BAND = 4.0

CASES = {key(c): c for c in read("robust_fits.json")}
NUMBERS = {
    "se": "std_error",
    "zval": "statistic",
    "pval": "p_value",
    "ci_low": "ci_low",
    "ci_high": "ci_high",
    "df": "df",
}


def cluster_of(case):
    return arrays(case["data"])[2][case["cluster"]]


def test_the_grid_has_not_shrunk():
    assert len(CASES) == len(read("robust_fits.json")) == 36
    assert len({c["data"] for c in CASES.values()}) == 20
    assert sum(len(c["beta"]) > 1 for c in CASES.values()) == 28
    about = read("robust_versions.json")
    assert about["metafor"] == "3.8.1" and about["clubSandwich"] == "0.5.8"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CASES)
def test_agrees_with_metafor_and_clubsandwich(name, kind):
    ours, theirs = robust(fit(name), cluster_of(CASES[name]), kind), CASES[name][kind]
    np.testing.assert_allclose(
        ours.cov_coef, theirs["vb"], rtol=AGREEMENT, atol=AGREEMENT * ours.cov_coef.max()
    )
    for number, field in NUMBERS.items():
        reference = np.broadcast_to(theirs[number], ours.coef.shape)
        np.testing.assert_allclose(
            getattr(ours, field), reference, rtol=10 * AGREEMENT, atol=AGREEMENT, err_msg=number
        )


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_the_formulas_done_slowly(name):
    ours, theirs = robust(fit(name), cluster_of(CASES[name])), CASES[name]["slow"]
    np.testing.assert_allclose(
        ours.cov_coef, theirs["vb"], rtol=AGREEMENT, atol=AGREEMENT * ours.cov_coef.max()
    )
    np.testing.assert_allclose(ours.df, np.atleast_1d(theirs["df"]), rtol=10 * AGREEMENT)


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if len(c["beta"]) > 1])
def test_hotelling_tests_agree(name):
    theirs = CASES[name]["CR2"]
    ours = robust(fit(name), cluster_of(CASES[name])).wald(range(len(CASES[name]["beta"])))
    if theirs["F"] is None or theirs["df2"] <= 0:
        assert np.isnan(ours.p_value)
        return
    assert (ours.df1, ours.df2) == pytest.approx((theirs["df1"], theirs["df2"]), rel=10 * AGREEMENT)
    assert (ours.statistic, ours.p_value) == pytest.approx(
        (theirs["F"], theirs["p"]), rel=10 * AGREEMENT, abs=1e-12
    )


def equal_clusters(J=7, size=3, seed=1):
    """J clusters of equal structure: the sandwich is the variance of their means."""
    rng = np.random.default_rng(seed)
    y = (0.3 + rng.normal(0, 0.4, J)[:, None] + rng.normal(0, 0.3, (J, size))).ravel()
    cluster = np.repeat(np.arange(J), size)
    return pool_mv(y, np.full(y.size, 0.04), random=nested(study=cluster, row=np.arange(y.size))), cluster, y


def test_equal_clusters_by_hand():
    """CR0: sum of squared deviations over J^2; CR1 and CR2: over J (J - 1); J - 1 degrees of freedom."""
    model, cluster, y = equal_clusters()
    means = y.reshape(7, 3).mean(axis=1)
    squares = ((means - means.mean()) ** 2).sum()
    found = {kind: robust(model, cluster, kind) for kind in KINDS}
    for kind, variance in (("CR0", squares / 49), ("CR1", squares / 42), ("CR2", squares / 42)):
        assert found[kind].cov_coef[0, 0] == pytest.approx(variance, rel=ROUNDING)
        assert found[kind].df[0] == pytest.approx(6.0, rel=ROUNDING)
    single = stats.ttest_1samp(means, 0.0)
    ours = found["CR2"]
    assert (ours.statistic[0], ours.p_value[0]) == pytest.approx(
        (single.statistic, single.pvalue), rel=ROUNDING
    )
    assert ours.omnibus.statistic == pytest.approx(single.statistic**2, rel=ROUNDING)


def test_two_estimates_of_unequal_precision_by_hand():
    """Weights w1, w2 with shares s and 1 - s, adjustment 1 / sqrt(1 - share), each its own cluster."""
    v = np.array([0.04, 0.01])
    y = np.array([0.5, 0.1])
    share = (1 / v) / (1 / v).sum()
    e = y - share @ y
    scores, shares, _ = sandwich(np.ones((2, 1)), np.diag(v), e, np.array([0, 1]), True)
    np.testing.assert_allclose(scores[:, 0], share * e / np.sqrt(1 - share), rtol=ROUNDING)
    own = share**2 / (1 - share) * (v - 1 / (1 / v).sum())
    np.testing.assert_allclose(np.diag(shares[:, :, 0, 0]), own, rtol=ROUNDING)
    # two clusters: the two residuals are one random number, one degree of freedom
    assert np.trace(shares[:, :, 0, 0]) ** 2 / (shares**2).sum() == pytest.approx(1.0, rel=ROUNDING)


def test_unbiased_under_the_working_model():
    """E(CR2) is the model's covariance: sum of the clusters' own shares."""
    for name in ("konstantopoulos nested REML 1+year", "fine HCS REML t1+t2+t3+t4", "six_orders UN REML a+b"):
        ours = robust(fit(name), cluster_of(CASES[name]))
        np.testing.assert_allclose(
            np.einsum("jjst->st", ours.shares),
            fit(name).cov_coef,
            rtol=1e-7,
            atol=1e-7 * fit(name).cov_coef.max(),
        )


def test_satterthwaite_is_the_moment_ratio():
    """df = 2 mean^2 / variance of the variance estimates that the working model generates."""
    name = "konstantopoulos nested REML 1+year"
    model = fit(name)
    codes = np.unique(cluster_of(CASES[name]), return_inverse=True)[1]
    M = marginal(model.blocks, model.g)
    W = np.linalg.inv(M)
    hat = model.X @ np.linalg.solve(model.X.T @ W @ model.X, model.X.T @ W)
    E = np.random.default_rng(3).normal(size=(6000, len(M))) @ np.linalg.cholesky(M).T
    E = E - E @ hat.T
    # scores are linear in the residuals: one unit residual at a time gives the matrix
    unit = [sandwich(model.X, M, e, codes, True)[0] for e in np.eye(len(M))]
    v = (np.einsum("rn,njp->rjp", E, np.array(unit)) ** 2).sum(axis=1)
    df = 2 * v.mean(axis=0) ** 2 / v.var(axis=0)
    np.testing.assert_allclose(
        df, robust(model, codes).df, rtol=0.15
    )  # kurtosis of v: standard error near 4 %


def test_a_cluster_fitted_exactly_adds_nothing():
    """A coefficient that only one cluster has: its residual is 0, CR2 takes a generalised inverse."""
    rng = np.random.default_rng(5)
    y, cluster = rng.normal(size=12), np.repeat(np.arange(6), 2)
    X = np.c_[np.ones(12), cluster == 5].astype(float)
    X[11, 1] = 0.0  # one of the cluster's two estimates
    model = pool_mv(y, np.full(12, 0.1), X, random=None)
    ours = robust(model, cluster)
    assert np.isfinite(ours.std_error).all() and ours.n_clusters == 6


def test_covers_where_the_model_is_wrong():
    """Sampling errors of a study correlated .8, ignored by the model: CR2 covers, the model's own interval not."""
    rng = np.random.default_rng(9)
    J, size, replicates = 10, 3, 150
    cluster = np.repeat(np.arange(J), size)
    root = np.linalg.cholesky(np.kron(np.eye(J), 0.05 * (0.8 + 0.2 * np.eye(size))) + 0.0)
    inside = np.zeros(2)
    for _ in range(replicates):
        y = 0.2 + root @ rng.normal(size=J * size)
        model = pool_mv(y, np.full(J * size, 0.05), random=None)
        ours = robust(model, cluster)
        inside += [ours.ci_low[0] <= 0.2 <= ours.ci_high[0], model.ci_low[0] <= 0.2 <= model.ci_high[0]]
    assert inside[0] / replicates == pytest.approx(0.95, abs=BAND * np.sqrt(0.95 * 0.05 / replicates))
    assert inside[1] / replicates < 0.85


def test_tables_and_display():
    model, cluster, _ = equal_clusters()
    ours = robust(model, cluster)
    assert ours.tidy()["term"].tolist() == ["intercept"] and ours.glance()["n_clusters"].tolist() == [7]
    assert "CR2" in ours._repr_html_()
    wide = robust(model, cluster, level=0.99)
    assert wide.ci_low[0] < ours.ci_low[0]


def test_what_is_no_cluster_is_refused():
    model, cluster, _ = equal_clusters()
    with pytest.raises(ValueError, match="kind must be one of"):
        robust(model, cluster, "CR3")
    with pytest.raises(ValueError, match="21 labels"):
        robust(model, cluster[:3])
    with pytest.raises(ValueError, match="row 1 shares one with another cluster"):
        robust(model, np.arange(21))
    with pytest.raises(ValueError, match="more clusters than coefficients"):
        robust(model, np.zeros(21))
    with pytest.raises(ValueError, match="level must lie"):
        robust(model, cluster, level=2.0)
    paired = pool_mv([0.1, 0.2, 0.3, 0.5], [np.eye(2) * 0.1 + 0.01] * 2, random=None)
    with pytest.raises(ValueError, match="row 1 shares one"):
        robust(paired, [0, 1, 2, 3])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("v", [np.full(18, 0.03), np.linspace(0.01, 0.05, 18)], ids=["equal", "unequal"])
def test_a_coefficient_that_rests_on_one_cluster_has_no_inference(v, kind):
    """Its cluster is fitted exactly; the other coefficient has the numbers that it has without that cluster's column."""
    group, y = np.repeat(np.arange(6), 3), np.random.default_rng(4).normal(0, 0.4, 18)
    last = (group == 5).astype(float)
    model = pool_mv(y, v, np.column_stack([1 - last, last]), random=nested(study=group))
    found = robust(model, group, kind)
    for name in ("std_error", "statistic", "df", "p_value", "ci_low", "ci_high"):
        assert np.isnan(getattr(found, name)[1]) and np.isfinite(getattr(found, name)[0])
    assert np.isnan([found.omnibus.statistic, found.omnibus.p_value]).all()
    assert found.wald([0]).p_value == pytest.approx(found.p_value[0], rel=ROUNDING)
    assert found.coef[1] == pytest.approx(np.average(y[group == 5], weights=1 / v[group == 5]), rel=0.1)


ALONE = pd.read_csv(Path(__file__).parents[2] / "reference" / "robust_alone.csv").set_index(
    ["design", "type", "term"]
)


@pytest.mark.parametrize("kind", ["CR0", "CR2"])
@pytest.mark.parametrize(("design", "rests"), [("alone", True), ("other_value", False)])
def test_beside_a_coefficient_that_rests_on_one_cluster_the_others_are_clubsandwichs(design, rests, kind):
    """clubSandwich has SE 0 and no df for the coefficient (tests/reference/robust_alone.R), numbers for the others.

    A dummy that is 1 in one cluster only, beside an intercept, does not rest on it: the others' mean is in it.
    """
    y, v = [0.2, 0.5, -0.1, 0.4, 0.3, 0.9, 0.6], [0.04, 0.05, 0.06, 0.05, 0.03, 0.04, 0.02]
    one, z, cluster = np.eye(7)[6], np.array([1, 3, 2, 5, 4, 6, 2.0]), np.array([0, 0, 1, 1, 2, 2, 3])
    X, terms = (
        (np.column_stack([1 - one, one]), ["others", "one"])
        if rests
        else (np.column_stack([np.ones(7), one, z]), ["intercept", "one", "z"])
    )
    M = np.diag(v) + 0.05 * (cluster[:, None] == cluster)
    bread = np.linalg.inv(X.T @ np.linalg.solve(M, X))
    coef = bread @ X.T @ np.linalg.solve(M, y)
    scores, shares, alone = sandwich(X, M, y - X @ coef, cluster, kind == "CR2")
    assert alone.tolist() == [rests and term == "one" for term in terms]
    for j, term in enumerate(terms):
        r = ALONE.loc[(design, kind, term)]
        assert coef[j] == pytest.approx(r["estimate"], rel=ROUNDING)
        assert np.sqrt((scores.T @ scores)[j, j]) == pytest.approx(r["std_error"], rel=ROUNDING, abs=1e-15)
        if alone[j]:
            assert np.isnan(r["df"]) and np.isnan(r["p_value"])
        elif kind == "CR2":
            own = np.diagonal(shares[..., j, j]).sum() ** 2 / (shares[..., j, j] ** 2).sum()
            assert own == pytest.approx(r["df"], rel=ROUNDING)
