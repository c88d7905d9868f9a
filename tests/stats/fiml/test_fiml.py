"""The generic likelihood of incomplete Gaussian data against brute force."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from twostage.stats.fiml.likelihood import (
    LinearStructure,
    curvature,
    evaluate,
    expected_information,
    group_patterns,
    inverse_positive,
    observed_information,
    positive_definite,
    score_products,
    solve_positive,
)
from twostage.stats.fiml.maximum import maximise

# Sums of a few dozen terms of order one: rounding only.
EXACT = 1e-11
# Central differences of step 1e-5: truncation near 1e-10 of the third derivative, rounding near 1e-16 / 1e-5.
DIFFERENCE, STEP = 1e-6, 1e-5
# A general-purpose minimiser with numerical gradient against ours; it is the loose one.
MINIMISER = 1e-4

#: x -> m -> y chain with equal paths: z1, z2 = b z1 + e, z3 = b z2 + e; theta = (b, var z1, var e, cov(z1, e2)).
CHAIN = LinearStructure(np.eye(3), {0: [(1, 0), (2, 1)]}, {1: [(0, 0)], 2: [(1, 1), (2, 2)], 3: [(1, 0)]}, 4)
THETA = np.array([[0.4, 1.3, 0.8, 0.1]])


def holed(rng, n, p=3, share=0.25):
    data = rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) * 0.5 + rng.normal(size=(n, p)) + np.arange(p)
    data[rng.random((n, p)) < share] = np.nan
    return data


def brute_value(data, sigma, means):
    """Minus log-likelihood, person by person."""
    total = 0.0
    for row in data:
        at = np.flatnonzero(~np.isnan(row))
        if len(at):
            total -= multivariate_normal(means[at], sigma[np.ix_(at, at)]).logpdf(row[at])
    return total


@pytest.fixture(scope="module")
def data():
    return holed(np.random.default_rng(3), 40)


def test_a_chain_by_hand():
    b, v, e, c = THETA[0]
    var2 = b * b * v + e + 2 * b * c
    sigma = [
        [v, b * v + c, b * (b * v + c)],
        [b * v + c, var2, b * var2],
        [b * (b * v + c), b * var2, b * b * var2 + e],
    ]
    np.testing.assert_allclose(CHAIN.sigma(THETA)[0], sigma, rtol=EXACT)


def test_derivatives_of_a_structure_are_those_of_its_sigma():
    moved = THETA + 1e-30j * np.eye(4)
    J = CHAIN.sigma(moved).imag / 1e-30
    np.testing.assert_allclose(CHAIN.jacobian(THETA)[0], J, atol=EXACT)
    G = np.array([[1.0, 0.3, -0.2], [0.3, 2.0, 0.5], [-0.2, 0.5, -1.0]])
    np.testing.assert_allclose(CHAIN.pullback(THETA, G)[0], np.einsum("kab,ab->k", J, G), atol=EXACT)
    bend = [(CHAIN.pullback(t, G) - CHAIN.pullback(s, G)) / (2 * STEP) for t, s in sides(THETA[0])]
    np.testing.assert_allclose(curvature(CHAIN, THETA, G[None])[0], bend, atol=DIFFERENCE)


def sides(theta):
    return [(theta + STEP * unit, theta - STEP * unit) for unit in np.eye(len(theta))]


def test_a_parameter_without_a_place_is_refused():
    with pytest.raises(ValueError, match=r"parameters \[1\] stand nowhere"):
        LinearStructure(np.eye(2), {0: [(1, 0)]}, {2: [(0, 0)]}, 3)


def test_patterns_of_a_tiny_case_by_hand():
    nan = np.nan
    found = group_patterns(
        [[[1.0, 2.0, 3.0], [3.0, 4.0, nan], [5.0, nan, nan], [nan, nan, nan], [7.0, 8.0, nan]]]
    )
    assert found.mask.tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert found.count.tolist() == [1, 2, 1]
    assert found.n_obs.tolist() == [4]
    np.testing.assert_allclose(found.centre, [[4.0, 14 / 3, 3.0]])
    np.testing.assert_allclose(found.mean[1] + found.centre[0], [5.0, 6.0, 3.0])
    np.testing.assert_allclose(found.cross[1], [[8.0, 8.0, 0.0], [8.0, 8.0, 0.0], [0.0, 0.0, 0.0]])
    assert found.leaf.tolist() == [0, 0, 0], "drop-out shares one factorisation"


def test_patterns_that_do_not_begin_one_another_have_leaves_of_their_own():
    nan = np.nan
    found = group_patterns(
        [[[nan, 1.0, 2.0], [1.0, nan, 2.0], [1.0, nan, nan], [1.0, 2.0, nan]], [[1.0, 2.0, 3.0]]]
    )
    assert found.mask.tolist() == [[0, 1, 1], [1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 1, 1]]
    assert found.leaf.tolist() == [0, 1, 1, 2, 3], "no sharing across data sets"


def test_more_columns_than_bits_of_a_code():
    rng = np.random.default_rng(1)
    wide = rng.normal(size=(30, 70))
    wide[::2, 66:] = np.nan
    wide[::3, 0] = np.nan
    found = group_patterns([wide])
    assert sorted(found.count.tolist()) == [5, 5, 10, 10]
    assert found.n_obs.tolist() == [30]


def test_data_sets_that_cannot_be_grouped():
    with pytest.raises(ValueError, match="same p"):
        group_patterns([np.zeros((2, 3)), np.zeros((2, 4))])
    with pytest.raises(ValueError, match="data set 1 has no observed value"):
        group_patterns([np.zeros((2, 3)), np.full((2, 3), np.nan)])


def test_likelihood_is_the_sum_of_the_persons_densities(data):
    patterns = group_patterns([data])
    point = evaluate(CHAIN, patterns, THETA)
    sigma, means = CHAIN.sigma(THETA)[0], point.means[0] + patterns.centre[0]
    np.testing.assert_allclose(point.value[0], brute_value(data, sigma, means), rtol=EXACT)


def test_profiled_means_minimise(data):
    patterns = group_patterns([data])
    point = evaluate(CHAIN, patterns, THETA)
    sigma, means = CHAIN.sigma(THETA)[0], point.means[0] + patterns.centre[0]
    best = minimize(lambda m: brute_value(data, sigma, m), np.zeros(3))
    np.testing.assert_allclose(means, best.x, atol=MINIMISER)


def test_gradient_and_information_are_differences_of_the_likelihood(data):
    patterns = group_patterns([data])
    at = evaluate(CHAIN, patterns, THETA)
    pairs = [
        (evaluate(CHAIN, patterns, a[None]), evaluate(CHAIN, patterns, b[None])) for a, b in sides(THETA[0])
    ]
    slope = [(a.value[0] - b.value[0]) / (2 * STEP) for a, b in pairs]
    np.testing.assert_allclose(at.gradient[0], slope, atol=DIFFERENCE * len(data))
    bend = [(a.gradient[0] - b.gradient[0]) / (2 * STEP) for a, b in pairs]
    np.testing.assert_allclose(
        observed_information(CHAIN, patterns, at)[0], bend, atol=DIFFERENCE * len(data)
    )


def test_expected_information_is_half_the_trace(data):
    patterns = group_patterns([data])
    point = evaluate(CHAIN, patterns, THETA)
    sigma, J = CHAIN.sigma(THETA)[0], CHAIN.jacobian(THETA)[0]
    total = np.zeros((4, 4))
    for row in data[~np.isnan(data).all(axis=1)]:
        at = np.ix_(np.flatnonzero(~np.isnan(row)), np.flatnonzero(~np.isnan(row)))
        moved = [np.linalg.solve(sigma[at], one[at]) for one in J]
        total += [[0.5 * np.trace(a @ b) for b in moved] for a in moved]
    np.testing.assert_allclose(expected_information(CHAIN, patterns, point)[0], total, rtol=1e-10, atol=EXACT)


def test_scores_are_the_persons_slopes(data):
    """Each person's slope in theta, less the part that the means' slopes explain."""
    patterns = group_patterns([data])
    point = evaluate(CHAIN, patterns, THETA)
    means = point.means[0] + patterns.centre[0]

    def slopes(row):
        at = np.r_[THETA[0], means]
        values = [
            [brute_value([row], CHAIN.sigma(s[None, :4])[0], s[4:]) for s in pair] for pair in sides(at)
        ]
        return -np.diff(values, axis=1)[:, 0] / (2 * STEP)

    each = np.array([slopes(row) for row in data])
    joint = joint_information(data, np.r_[THETA[0], means])
    effective = each[:, :4] - each[:, 4:] @ np.linalg.solve(joint[4:, 4:], joint[4:, :4])
    np.testing.assert_allclose(
        score_products(CHAIN, patterns, point)[0], effective.T @ effective, rtol=1e-4, atol=1e-4
    )


def joint_information(data, at, step=1e-4):
    """Second differences of minus log-likelihood in theta and means."""

    def f(z):
        return brute_value(data, CHAIN.sigma(z[None, :4])[0], z[4:])

    units = step * np.eye(len(at))
    return np.array(
        [
            [
                (f(at + a + b) - f(at + a - b) - f(at - a + b) + f(at - a - b)) / (4 * step * step)
                for b in units
            ]
            for a in units
        ]
    )


def test_optimum_is_that_of_a_general_minimiser(data):
    patterns = group_patterns([data])
    found = maximise(CHAIN, patterns, THETA)
    assert found.converged.all(), found.message(0)

    def value(theta):
        return evaluate(CHAIN, patterns, theta[None]).value[0]

    best = minimize(
        value, THETA[0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12, "maxiter": 5000}
    )
    assert found.point.value[0] <= best.fun + 1e-9
    np.testing.assert_allclose(found.point.theta[0], best.x, atol=MINIMISER)


def test_a_batch_is_its_members_and_an_impossible_start_touches_no_other():
    rng = np.random.default_rng(8)
    sets = [holed(rng, n, share=share) for n, share in ((40, 0.2), (60, 0.0), (50, 0.4), (45, 0.1))]
    start = np.repeat(THETA, 4, axis=0)
    start[1, 1] = -1.0
    found = maximise(CHAIN, group_patterns(sets), start)
    assert found.converged.tolist() == [True, False, True, True]
    assert "starting values" in found.message(1)
    for b in (0, 2, 3):
        alone = maximise(CHAIN, group_patterns([sets[b]]), THETA)
        np.testing.assert_allclose(found.point.theta[b], alone.point.theta[0], rtol=1e-10)


def test_a_step_too_far_is_taken_back():
    """From a poor start some step must overshoot; the search still ends at the maximum and never at a loss."""
    data = holed(np.random.default_rng(5), 60)
    patterns = group_patterns([data])
    near = maximise(CHAIN, patterns, THETA)
    far = maximise(CHAIN, patterns, np.array([[-3.0, 20.0, 0.05, 0.3]]))
    assert far.converged[0], far.message(0)
    np.testing.assert_allclose(far.point.value, near.point.value, rtol=1e-12)


def test_too_few_steps_are_no_convergence(data):
    found = maximise(CHAIN, group_patterns([data]), THETA, max_iterations=1)
    assert not found.converged[0]
    assert "within 1 steps" in found.message(0)


def test_parameters_that_data_cannot_tell_apart_are_no_convergence():
    twice = LinearStructure(np.eye(2), {0: [(1, 0)]}, {1: [(0, 0)], 2: [(1, 1)], 3: [(1, 0)]}, 4)
    data = np.random.default_rng(2).normal(size=(50, 2))
    found = maximise(twice, group_patterns([data]), np.array([[0.1, 1.0, 1.0, 0.1]]))
    assert not found.converged[0]


def test_stacks_with_a_matrix_that_is_not_positive_definite():
    stack = np.array([[[2.0, 1.0], [1.0, 3.0]], [[1.0, 2.0], [2.0, 1.0]], [[np.nan, 0.0], [0.0, 1.0]]])
    assert positive_definite(stack).tolist() == [True, False, False]
    found, good = solve_positive(stack, np.array([[3.0, 4.0]] * 3))
    np.testing.assert_allclose(found[0], [1.0, 1.0], rtol=EXACT)
    assert good.tolist() == [True, False, False]
    assert np.isnan(found[1:]).all()
    np.testing.assert_allclose(inverse_positive(stack)[0], [[0.6, -0.2], [-0.2, 0.4]], rtol=EXACT)


def test_sums_before_the_parameters_are_the_same_information(monkeypatch):
    rng = np.random.default_rng(6)
    model = LinearStructure(np.eye(3), {0: [(2, 0)], 1: [(2, 1)]}, {2: [(0, 0)], 3: [(1, 1)], 4: [(2, 2)]}, 5)
    sets = [rng.normal(size=(n, 3)) for n in (60, 80)]
    for one in sets:
        one[rng.random(one.shape) < 0.2] = np.nan
    patterns, theta = group_patterns(sets), np.array([[0.2, -0.1, 1.0, 1.2, 0.9], [0.0, 0.3, 0.8, 1.0, 1.1]])
    point = evaluate(model, patterns, theta)
    found = {}
    for pays in (True, False):
        monkeypatch.setattr("twostage.stats.fiml.likelihood.pairs_pay", lambda *_, pays=pays: pays)
        ways = (expected_information, observed_information, score_products)
        found[pays] = [way(model, patterns, point) for way in ways]
    for before, after in zip(found[True], found[False], strict=True):
        np.testing.assert_allclose(before, after, rtol=EXACT, atol=EXACT * np.abs(after).max())
