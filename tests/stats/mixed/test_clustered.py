"""Errors with groups as clusters: by hand, against clubSandwich (tests/reference/clustered.R), on simulated truth."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from twostage.stats.base import NotEstimable
from twostage.stats.mixed import fit_mixed, fit_mixed_many
from twostage.stats.mixed.clustered import (
    SMALL,
    WorkingModels,
    _by_eigenvalues,
    _by_series,
    _of_groups,
    cluster_sums,
    clustered,
    with_clustered_errors,
)

REFERENCE = Path(__file__).parents[2] / "reference"

#: Sums of a few dozen numbers.
ROUNDING = 1e-10
#: lme4 stops at 1e-10 of theta, which is the root of the variance ratio; an error moves by less than that relative to
#: itself, its df by some more.
LME4, LME4_DF = 1e-5, 1e-3
#: The symmetric root in other coordinates, where the intercept's variance is not 0.
OTHER_ROOT = 0.01


def robust(y, X, groups, Z=None, **options):
    fit = fit_mixed(y, X, groups, Z, **options)
    return with_clustered_errors(fit, clustered(fit, y, X, groups, Z))


def test_a_mean_of_equal_groups_has_the_variance_of_their_means():
    # (I - H B H')^(-1/2) makes the sandwich sum_i (m_i - m)^2 / (N (N - 1)), on N - 1 df, whatever the model says.
    rng = np.random.default_rng(1)
    y = rng.normal(size=(9, 4)) + rng.normal(size=(9, 1))
    fit = robust(y.ravel(), np.ones((36, 1)), np.repeat(np.arange(9), 4))
    means = y.mean(axis=1)
    assert fit.std_error[0] == pytest.approx(means.std(ddof=1) / 3, rel=ROUNDING)
    assert fit.df[0] == pytest.approx(8, rel=ROUNDING)


@pytest.mark.parametrize("name", ["zero", "intercept", "uneven", "few"])
def test_against_clubsandwich(name):
    rows = pd.read_csv(REFERENCE / "clustered_rows.csv").query("set == @name").sample(frac=1, random_state=3)
    expected = pd.read_csv(REFERENCE / "clustered_fits.csv").query("set == @name")
    X = rows.assign(intercept=1.0)[["intercept", "x", "z", "m"]]
    fit = robust(rows["y"], X, rows["patient"].tolist())
    assert fit.std_error == pytest.approx(expected["std_error"].to_numpy(), rel=LME4)
    assert fit.df == pytest.approx(expected["df"].to_numpy(), rel=LME4_DF)
    assert fit.std_error == pytest.approx(expected["model_std_error"].to_numpy(), rel=OTHER_ROOT)
    assert (expected["theta2"].iloc[0] > 0.1) == (name == "intercept")


def test_sums_of_parts_and_of_many_models_are_those_of_one():
    rows = pd.read_csv(REFERENCE / "clustered_rows.csv")
    X = rows.assign(intercept=1.0)[["intercept", "x", "z", "m"]].to_numpy()
    which = pd.factorize(rows["set"])[0]
    batch = fit_mixed_many(rows["y"], X, rows["patient"], which)
    sizes = rows.groupby([which, rows["patient"]]).size()
    models = WorkingModels(batch.coef, batch.cov_coef, batch.re_variance[:, None, None], batch.sigma2)
    of = sizes.index.get_level_values(0).to_numpy()
    one = np.ones((len(rows), 1))
    sums = cluster_sums(models, rows["y"].to_numpy(), X, one, sizes.to_numpy(), of, np.arange(4))
    for b, (_, own) in enumerate(rows.groupby(which)):
        y, x, patient = own["y"].to_numpy(), X[own.index], own["patient"].to_numpy()
        fit = fit_mixed(y, x, patient)
        first = patient <= 5
        parts = clustered(fit, y[first], x[first], patient[first]) + clustered(
            fit, y[~first], x[~first], patient[~first]
        )
        single = with_clustered_errors(fit, parts)
        assert single.cov_coef == pytest.approx(robust(y, x, patient).cov_coef, rel=ROUNDING)
        # Two optimisers: their variance ratios agree to 1e-8.
        assert sums.meat[b] == pytest.approx(single.cov_coef, rel=1e-6, abs=1e-9)
        assert sums.degrees_of_freedom()[b] == pytest.approx(single.df, rel=1e-5)


def test_random_slopes_enter_the_working_model():
    # By the definition, group by group: whitened rows, the symmetric inverse root, the scores' covariance.
    rng = np.random.default_rng(4)
    groups, X = np.repeat(np.arange(25), 6), np.column_stack([np.ones(150), rng.normal(size=(150, 2))])
    y = X @ [1, 0.5, -0.2] + rng.normal(size=25)[groups] * X[:, 1] + rng.normal(size=150)
    Z = X[:, :2]
    plain, fit = fit_mixed(y, X, groups, Z), robust(y, X, groups, Z)
    white, residual = np.empty_like(X), np.empty(150)
    for g in range(25):
        at = groups == g
        L = np.linalg.cholesky(plain.sigma2 * np.eye(6) + Z[at] @ plain.cov_re @ Z[at].T)
        white[at], residual[at] = np.linalg.solve(L, X[at]), np.linalg.solve(L, y[at] - X[at] @ plain.coef)
    B = np.linalg.inv(white.T @ white)
    arms = np.zeros((25, 150, 3))
    for g in range(25):
        at = groups == g
        values, vectors = np.linalg.eigh(np.eye(6) - white[at] @ B @ white[at].T)
        arms[g, at] = (vectors / np.sqrt(values)) @ vectors.T @ white[at] @ B
    scores = np.einsum("gnp,n->gp", arms, residual)
    assert fit.cov_coef == pytest.approx(scores.T @ scores, rel=1e-8, abs=1e-12)
    left = np.eye(150) - white @ B @ white.T
    P = np.einsum("gnp,nm,hmp->pgh", arms, left, arms)
    df = np.trace(P, axis1=1, axis2=2) ** 2 / (P**2).sum(axis=(1, 2))
    assert fit.df == pytest.approx(df, rel=1e-8)


def test_it_is_right_where_the_models_errors_are_too_small():
    # An effect that varies between patients and is not in the model: the model's error of it is too small.
    rng, n, size, draws = np.random.default_rng(5), 40, 5, 800
    groups = np.repeat(np.arange(n), size)
    x = rng.normal(size=(draws, n * size))
    slope = rng.normal(0, 0.4, (draws, n))[:, groups]
    y = slope * x + rng.normal(size=x.shape)
    inside = np.zeros((draws, 2), bool)
    for b in range(draws):
        X = np.column_stack([np.ones(n * size), x[b]])
        fit = fit_mixed(y[b], X, groups)
        for j, own in enumerate((fit, with_clustered_errors(fit, clustered(fit, y[b], X, groups)))):
            low, high = own.conf_int()[1]
            inside[b, j] = low <= 0 <= high
    assert inside[:, 0].mean() < 0.89
    # Three standard errors of a share of 95 % of 800.
    assert inside[:, 1].mean() == pytest.approx(0.95, abs=0.023)


def test_what_cannot_be_seen_between_groups_is_refused_by_name():
    rng = np.random.default_rng(6)
    groups, X = np.repeat(np.arange(6), 5), np.column_stack([np.ones(30), rng.normal(size=30), np.zeros(30)])
    X[:3, 2] = [1.0, -2.0, 0.5]
    y = rng.normal(size=30)
    with pytest.raises(NotEstimable, match="only_one: most of what is known of it"):
        robust(y, X, groups, names=["intercept", "x", "only_one"])
    few = groups < 3
    with pytest.raises(NotEstimable, match="3 patients for 3 coefficients"):
        X[:, 2] = rng.normal(size=30)
        robust(y[few], X[few], groups[few])


def test_groups_that_say_little_have_the_parts_that_eigenvalues_give():
    # A hundred patients of the largest trace that is summed as a series, and in between some that are not.
    rng = np.random.default_rng(5)
    half = rng.normal(size=(100, 6, 4))
    H = half.swapaxes(1, 2) @ half
    H *= (SMALL / np.trace(H, axis1=1, axis2=2))[:, None, None]
    g, C, which = (
        rng.normal(size=(100, 4)),
        np.broadcast_to(rng.normal(size=(4, 4)), H.shape),
        np.array([1, 3]),
    )
    # Sums of a few products of numbers near 1: `own` and `known` are up to SMALL, and differ in its digits.
    for series, other in zip(_by_series(H, g, C, which), _by_eigenvalues(H, g, C, which), strict=True):
        np.testing.assert_allclose(series, other, rtol=1e-11, atol=1e-15)
    H[::3] *= 300.0
    for mixed, other in zip(_of_groups(H, g, C, which), _by_eigenvalues(H, g, C, which), strict=True):
        np.testing.assert_allclose(mixed, other, rtol=1e-11, atol=1e-15)
