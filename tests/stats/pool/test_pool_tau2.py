"""Estimators of tau2: the global maximum, monotone equations, invariances, hard data."""

import numpy as np
import pytest

from twostage.stats.pool.tau2 import (
    METHODS,
    estimate_tau2,
    generalised_q,
    log_likelihood,
    q_profile,
    score,
    search_bound,
    solve_q,
)

# A likelihood is a sum of some tens of terms of up to about 10^2: rounding.
LIKELIHOOD_ROUNDING = 1e-9
# Both sides carry the rounding of v + tau2 and of the centring of y.
EQUIVARIANCE = 1e-9
ROOT = 1e-9  # the equation Q(tau2) = k - 1, relative; the data are exact to 1e-16 and well scaled
RANDOM_SETS = 300


def hard_data(k, orders, seed):
    """Variances and tau2 over several orders of magnitude; an outlier in every third data set."""
    rng = np.random.default_rng(seed)
    v = 10 ** rng.uniform(-orders / 2, orders / 2, (RANDOM_SETS, k))
    tau2 = 10 ** rng.uniform(-orders / 2, orders / 2, (RANDOM_SETS, 1))
    y = rng.normal(size=v.shape) * np.sqrt(v + tau2)
    y[::3, 0] *= 100
    return y, v


@pytest.mark.parametrize("reml", [True, False], ids=["REML", "ML"])
@pytest.mark.parametrize("k, orders", [(2, 3), (3, 6), (5, 6), (10, 6), (30, 4)])
def test_no_grid_point_has_a_higher_likelihood(k, orders, reml):
    y, v = hard_data(k, orders, seed=k)
    search = estimate_tau2(y, v, "REML" if reml else "ML")
    assert search.converged.all()
    ours = log_likelihood(y, v, search.tau2, reml=reml)
    low, wide = v.min(axis=1), 10 * search_bound(y, v)
    for part in np.linspace(0.0, 1.0, 2001):  # dense, geometric in tau2 + min v, beyond the bound
        other = low * np.expm1(part * np.log1p(wide / low))
        assert (log_likelihood(y, v, other, reml=reml) <= ours + LIKELIHOOD_ROUNDING).all()


def test_several_maxima_do_occur_in_the_hard_data():
    """Otherwise the test above would not show that the highest one is taken."""
    y, v = hard_data(5, 6, seed=5)
    for method in ("REML", "ML"):
        search = estimate_tau2(y, v, method)
        assert (search.n_maxima > 1).sum() >= 5
        assert (search.tau2[search.n_maxima > 1] > 0).any()


@pytest.mark.parametrize("reml", [True, False])
def test_slope_and_curvature_are_derivatives(reml):
    """Against central differences: their error is about step^2 and rounding / step."""
    y, v = hard_data(6, 2, seed=1)
    tau2, step = v.mean(axis=1), 1e-5 * v.min(axis=1)
    up, down = (log_likelihood(y, v, tau2 + s, reml=reml) for s in (step, -step))
    slope, curvature = score(y, v, tau2, reml=reml)
    np.testing.assert_allclose((up - down) / step, slope, rtol=1e-4, atol=1e-4 * np.abs(slope).max())
    slopes = [score(y, v, tau2 + s, reml=reml)[0] for s in (step, -step)]
    np.testing.assert_allclose(
        (slopes[0] - slopes[1]) / (2 * step), curvature, rtol=1e-5, atol=1e-6 * np.abs(curvature).max()
    )


@pytest.mark.parametrize("k, orders", [(2, 3), (5, 6), (17, 4)])
def test_paule_mandel_solves_its_equation(k, orders):
    y, v = hard_data(k, orders, seed=k)
    for method in ("PM", "EB"):
        search = estimate_tau2(y, v, method)
        q = generalised_q(y, v, search.tau2)
        assert search.converged.all() and search.iterations.max() < 30
        np.testing.assert_allclose(q[~search.boundary], k - 1, rtol=ROOT)
        assert (q[search.boundary] <= k - 1).all() and (search.tau2[search.boundary] == 0).all()


def test_solve_q_reaches_any_target():
    y, v = hard_data(8, 3, seed=3)
    for target in (0.01, 1.0, 100.0):
        tau2, converged, _ = solve_q(y, v, target)
        q = generalised_q(y, v, tau2)
        assert converged.all()
        assert ((np.abs(q / target - 1) < ROOT) | ((tau2 == 0) & (q <= target))).all()


def test_q_profile_ends_are_ordered_and_hold_paule_mandel():
    y, v = hard_data(9, 2, seed=9)
    low, high, empty, converged = q_profile(y, v, 0.5)
    inner = estimate_tau2(y, v, "PM").tau2
    assert converged.all()
    assert (low[~empty] < high[~empty]).all() and (low <= inner).all()
    wide_low, wide_high, _, _ = q_profile(y, v, 0.95)
    assert (wide_low <= low).all() and (wide_high >= high).all()


@pytest.mark.parametrize("method", METHODS)
def test_shift_scale_order_and_sign(method):
    """tau2 ignores shifts, order and sign of y, and scales with the square of its unit."""
    y, v = hard_data(7, 1, seed=7)
    tau2 = estimate_tau2(y, v, method).tau2
    rtol, atol = EQUIVARIANCE, EQUIVARIANCE * v.min()
    np.testing.assert_allclose(estimate_tau2(y + 5.0, v, method).tau2, tau2, rtol=rtol, atol=atol)
    np.testing.assert_allclose(estimate_tau2(-y, v, method).tau2, tau2, rtol=rtol, atol=atol)
    scaled = estimate_tau2(1e-3 * y, 1e-6 * v, method).tau2
    np.testing.assert_allclose(1e6 * scaled, tau2, rtol=rtol, atol=atol)
    order = np.random.default_rng(0).permutation(7)
    np.testing.assert_allclose(
        estimate_tau2(y[:, order], v[:, order], method).tau2, tau2, rtol=rtol, atol=atol
    )


@pytest.mark.parametrize("method", METHODS)
def test_leading_axes_are_kept(method):
    y, v = hard_data(4, 1, seed=4)
    flat = estimate_tau2(y, v, method)
    boxed = estimate_tau2(y.reshape(3, 100, 4), v.reshape(3, 100, 4), method)
    assert boxed.tau2.shape == boxed.converged.shape == boxed.n_maxima.shape == (3, 100)
    np.testing.assert_array_equal(boxed.tau2.ravel(), flat.tau2)


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"FE", "SJ"}))
def test_homogeneous_estimates_are_at_the_boundary(method):
    search = estimate_tau2(np.array([0.21, 0.25, 0.18]), np.array([0.02, 0.05, 0.03]), method)
    assert search.tau2 == 0.0 and search.boundary and search.converged
