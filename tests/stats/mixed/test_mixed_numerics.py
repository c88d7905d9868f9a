"""The engine's parts: criterion, derivatives, cross-products, invariances, digits kept in hard cases."""

import sys
from pathlib import Path

import numpy as np
import pytest

from twostage.stats.mixed.criterion import symmetric_basis, to_matrix, to_vector
from twostage.stats.mixed.design import check_design
from twostage.stats.mixed.fit import fit_mixed, prepare
from twostage.stats.mixed.optimiser import minimise_deviance

sys.path.insert(0, str(Path(__file__).parent))
from mixed_oracle import dense_deviance, dense_information, random_panel

# A deviance of some hundreds in double precision.
ROUNDING = 1e-10
# Central differences of the gradient with a step of 1e-5 are good to about 1e-9.
DIFFERENCES = 1e-7
# The optimiser's last Newton step leaves about 1e-9; changed units change its rounding, not more.
SAME_FIT = 1e-7
# Two local searches ending in one minimum agree in the deviance to its rounding.
SAME_MINIMUM = 1e-9


def parts(panel, reml=True, intercept=False):
    """The prepared model and its criterion."""
    y, X, group, Z = panel
    working = prepare(check_design(y, X, group, None if intercept else Z, None))
    return working, working.criterion(reml)


def random_T(rng, q, rank=None):
    factor = rng.normal(size=(q, rank or q))
    return factor @ factor.T


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("q", [1, 2, 3])
def test_criterion_is_the_dense_one(q, reml):
    rng = np.random.default_rng(q)
    for seed in range(5):
        y, X, group, Z = panel = random_panel(seed, q=q)
        working, criterion = parts(panel, reml)
        for rank in range(1, q + 1):
            T = random_T(rng, q, rank)
            value = criterion(T).value
            turned = working.z_turn @ T @ working.z_turn.T
            assert value == pytest.approx(dense_deviance(y, X, group, Z, turned, reml), abs=ROUNDING)


def test_collapsed_groups_are_the_stacked_ones():
    y, X, group, Z = random_panel(4, q=1)
    collapsed = parts((y, X, group, Z), intercept=True)[1]
    jitter = Z + 0.0
    jitter[:, 0] *= np.where(group % 2 == 0, 1.0, -1.0)  # another basis of the same random intercept
    stacked = parts((y, X, group, jitter))[1]
    for T in (0.0, 0.3, 40.0):
        matrix = np.full((1, 1), T)
        one, other = collapsed(matrix), stacked(matrix)
        assert one.value == pytest.approx(other.value, abs=ROUNDING)
        np.testing.assert_allclose(one.gradient, other.gradient, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(one.hessian, other.hessian, rtol=1e-9)
        np.testing.assert_allclose(one.information, other.information, rtol=1e-9)


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("q", [1, 2, 3])
def test_gradient_and_hessian_are_derivatives(q, reml):
    _, criterion = parts(random_panel(10 + q, q=q), reml, intercept=q == 1)
    x = to_vector(random_T(np.random.default_rng(q), q) + 0.2 * np.eye(q))
    at, step = criterion(to_matrix(x, q)), 1e-5
    sides = [[criterion(to_matrix(x + s * step * e, q)) for s in (1, -1)] for e in np.eye(len(x))]
    slopes = [(up.value - down.value) / (2 * step) for up, down in sides]
    bends = [(up.gradient - down.gradient) / (2 * step) for up, down in sides]
    np.testing.assert_allclose(at.gradient, slopes, atol=DIFFERENCES * 10)
    np.testing.assert_allclose(at.hessian, bends, atol=DIFFERENCES * np.abs(at.hessian).max())


@pytest.mark.parametrize("q", [1, 3])
def test_information_is_the_expected_hessian(q):
    y, X, group, Z = panel = random_panel(20 + q, q=q)
    working, criterion = parts(panel)
    T = random_T(np.random.default_rng(5), q)
    basis = [working.z_turn @ E @ working.z_turn.T for E in symmetric_basis(q)]
    expected = dense_information(X, group, Z, basis, working.z_turn @ T @ working.z_turn.T)
    np.testing.assert_allclose(
        criterion(T).information, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max()
    )


@pytest.mark.parametrize("seed", range(8))
def test_other_starts_and_other_points_are_no_better(seed):
    rng = np.random.default_rng(seed)
    q = 1 + seed % 3
    working, criterion = parts(random_panel(100 + seed, q=q, slope_sd=0.1), intercept=q == 1)
    best = minimise_deviance(criterion, working.start())
    assert best.converged
    for scale in (0.01, 30.0):
        other = minimise_deviance(criterion, scale * working.start())
        assert other.at.value == pytest.approx(best.at.value, abs=SAME_MINIMUM)
    for rank in range(q + 1):
        for size in (0.01, 0.3, 3.0):
            T = size * random_T(rng, q, rank) if rank else np.zeros((q, q))
            assert criterion(T).value > best.at.value - SAME_MINIMUM
            assert criterion(best.point.matrix + 0.01 * T).value > best.at.value - SAME_MINIMUM


def assert_same(fit, other):
    np.testing.assert_allclose(fit.coef, other.coef, rtol=SAME_FIT, atol=SAME_FIT * other.std_error.max())
    np.testing.assert_allclose(fit.std_error, other.std_error, rtol=SAME_FIT)
    np.testing.assert_allclose(fit.df, other.df, rtol=1e-5)
    largest = np.abs(other.cov_re).max()
    np.testing.assert_allclose(fit.cov_re, other.cov_re, rtol=SAME_FIT, atol=SAME_FIT * largest)
    assert fit.loglik == pytest.approx(other.loglik, abs=1e-8)


@pytest.mark.parametrize("q", [1, 2, 3])
def test_order_of_rows_does_not_matter(q):
    y, X, group, Z = random_panel(31, q=q)
    order = np.random.default_rng(0).permutation(len(y))
    assert_same(fit_mixed(y[order], X[order], group[order], Z[order]), fit_mixed(y, X, group, Z))


def test_blocks_of_rows_do_not_matter(monkeypatch):
    y, X, group, Z = random_panel(32, n_groups=200, q=3)
    whole = fit_mixed(y, X, group, Z)
    monkeypatch.setattr("twostage.stats.mixed.sums.CHUNK_ROWS", 50)
    monkeypatch.setattr("twostage.stats.mixed.sums.CHUNK_GROUPS", 17)
    assert_same(fit_mixed(y, X, group, Z), whole)


def test_units_and_offsets_do_not_matter():
    """y, a fixed and a random column in other units and far from zero: the same model, every number
    converts."""
    y, X, group, Z = random_panel(33, q=2)
    plain = fit_mixed(y, X, group, Z)
    moved_X, moved_Z = X.copy(), Z.copy()
    for columns in (moved_X, moved_Z):
        columns[:, 1] = 1e5 + 10.0 * columns[:, 1]
    moved = fit_mixed(1e4 + 2.0 * y, moved_X, group, moved_Z)
    assert moved.coef[1] == pytest.approx(plain.coef[1] / 5, rel=1e-6)
    assert moved.std_error[1] == pytest.approx(plain.std_error[1] / 5, rel=1e-6)
    np.testing.assert_allclose(moved.df[1:], plain.df[1:], rtol=1e-4)
    assert moved.sigma2 == pytest.approx(4 * plain.sigma2, rel=1e-6)
    assert moved.cov_re[1, 1] == pytest.approx(plain.cov_re[1, 1] / 25, rel=1e-5)
    scale = (len(y) - 4) * np.log(2.0) + np.log(10.0)
    assert moved.loglik == pytest.approx(plain.loglik - scale, abs=1e-6)


@pytest.mark.parametrize("sd", [1e2, 1e3, 1e4])
def test_high_intraclass_correlation_keeps_its_digits(sd):
    """The plain formula in extended precision; and only differences within groups are left to estimate
    slopes."""
    y, X, group, Z = random_panel(34, n_groups=10, q=1, icc_sd=sd)
    fit = fit_mixed(y, X, group)
    assert fit.converged
    exact = dense_deviance(y, X, group, Z, fit.cov_re / fit.sigma2)
    assert -2 * fit.loglik == pytest.approx(exact, abs=1e-8)
    means = np.array([[column[group == g].mean() for g in group] for column in (y, X[:, 1], X[:, 2])])
    within_y, *within_x = np.array([y, X[:, 1], X[:, 2]]) - means
    slopes = np.linalg.lstsq(np.column_stack(within_x), within_y, rcond=None)[0]
    np.testing.assert_allclose(fit.coef[1:3], slopes, atol=3 / sd)  # means of size sd, of weight 1 / sd^2


@pytest.mark.parametrize("closeness", [1e-2, 1e-4, 1e-6])
def test_nearly_collinear_columns_keep_their_digits(closeness):
    y, X, group, Z = random_panel(35, q=2)
    rng = np.random.default_rng(1)
    X = np.column_stack([X, X[:, 1] + closeness * rng.normal(size=len(y))])
    fit = fit_mixed(y, X, group, Z)
    exact = dense_deviance(y, X, group, Z, fit.cov_re / fit.sigma2)
    assert -2 * fit.loglik == pytest.approx(exact, abs=1e-8)


def test_groups_whose_random_columns_depend_are_no_trouble():
    """One row, or a predictor constant within the group: the group's own Z has less than full rank."""
    y, X, group, Z = random_panel(36, q=3, sizes=(1, 4))
    Z[group < 5, 1] = 0.7
    Z[group > 8, 2] = 0.3 - 1.7 * Z[group > 8, 1]
    Z[group == 7, 2] = Z[group == 7, 1] * (1 + 1e-9 * np.arange((group == 7).sum()))
    fit = fit_mixed(y, X, group, Z)
    assert fit.converged
    assert -2 * fit.loglik == pytest.approx(dense_deviance(y, X, group, Z, fit.cov_re / fit.sigma2), abs=1e-9)


def test_optimiser_record():
    fit = fit_mixed(*random_panel(37, q=3))
    record = fit.optimiser
    assert record.iterations < record.evaluations <= 20
    assert record.gradient_norm < 1e-6
    assert "tolerance" in record.message
