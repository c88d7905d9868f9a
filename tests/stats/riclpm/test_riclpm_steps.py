"""One-step prediction of the RI-CLPM: moments, likelihood and search against hand algebra, brute force and the way by
missingness pattern.
"""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from twostage.stats.fiml.likelihood import (
    evaluate,
    expected_information,
    group_patterns,
    observed_information,
)
from twostage.stats.riclpm import fit as riclpm_fit
from twostage.stats.riclpm.fit import fit_riclpm, fit_riclpm_many
from twostage.stats.riclpm.model import RiclpmStructure, only_dropout, stack_panels, starts
from twostage.stats.riclpm.steps import (
    StepLikelihood,
    StepMoments,
    _quasi_newton,
    joined,
    profiled_means,
    search,
    step_moments,
    value_and_gradient,
)

EXACT = 1e-10  # rounding of sums over some hundred persons
# Second derivatives by differences with step 2e-8: 1e-7 of the largest, ten times that for flat directions.
DIFFERENCES = 1e-6
# Standard errors of one fit: its second derivatives may be those 1e-5 standard errors from the maximum.
ALONE = 1e-5
# Standard errors of a batch: differences where no direction is flat (least eigenvalue above 1e-2), so 1e-7 / 1e-2.
BATCH = 1e-5
FREE = np.array([1.0, 0.2, 0.5, 0.3, -0.1, 0.2, 0.4, 2.0, 0.3, 1.0, 0.7, 0.1, 0.9])
STATIONARY = np.r_[FREE[:7], FREE[10:]]
# A negative variance of the random intercepts, which the model allows as long as the data's covariance is proper.
INADMISSIBLE = np.r_[-0.05, 0.02, 0.1, FREE[3:]]


def panel(seed, n=60, T=5, dropout=0.15, shift=0.0):
    """Synthetic data from the model, with drop-out."""
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky([[1.0, -0.3], [-0.3, 1.0]])
    intercept, w = (rng.normal(size=(n, 2)) @ root.T for _ in range(2))
    Y = np.empty((n, T, 2))
    for t in range(T):
        w = w if t == 0 else w @ [[0.3, -0.1], [-0.07, 0.4]] + rng.normal(size=(n, 2)) @ root.T
        Y[:, t] = intercept + w + [0.3 * t + shift, -0.1 * t]
    if dropout:
        Y[np.arange(T) >= rng.geometric(dropout, n)[:, None]] = np.nan
    return Y


def moments_of(*sets):
    stacked = stack_panels(list(sets), ("x", "y"), 13)
    return step_moments(stacked.rows, stacked.seen, stacked.set_of, len(sets))


def scaled_patterns(sets, moments):
    return group_patterns([(Y / s).reshape(len(Y), -1) for Y, s in zip(sets, moments.spread, strict=True)])


def by_pattern(monkeypatch):
    """Switch the search by one-step prediction off."""
    monkeypatch.setattr(riclpm_fit, "only_dropout", lambda seen, set_of, b: np.zeros(b, dtype=bool))


def test_moments_by_hand():
    """Three persons and three occasions; the second leaves after the first occasion, the third after the second."""
    Y = np.array(
        [[[1.0, 2], [3, 5], [4, 4]], [[5, 1], [np.nan] * 2, [np.nan] * 2], [[3, 6], [7, 1], [np.nan] * 2]]
    )
    rows = Y.reshape(3, 6)
    found = step_moments(rows, ~np.isnan(rows), np.zeros(3, dtype=int), 1)
    assert found.n[:, 0].tolist() == [3.0, 2.0, 1.0]
    assert found.n_patterns.tolist() == [3]
    np.testing.assert_allclose(found.centre[0], [3, 3, 5, 3, 4, 4])
    # Squares about the means of the occasions: x 8 + 8 + 0 over 6 values, y 14 + 8 + 0 over 6.
    np.testing.assert_allclose(found.spread[0], np.sqrt([16 / 6, 22 / 6]))
    a, b = found.spread[0]
    np.testing.assert_allclose(found.first[..., 0], [[8 / a**2, -2 / (a * b)], [-2 / (a * b), 14 / b**2]])
    # At the second occasion y_2 of the two who are there is (-2, 2), (2, -2), their y_1 (-2, -1), (0, 3) about (-1, 1).
    np.testing.assert_allclose(found.mean[:, 0, 0], [0, 0, -1 / a, 1 / b, -1 / a, 1 / b, 0, 0], atol=EXACT)
    np.testing.assert_allclose(found.lagged[0, 2, 0, 0], 4 / a**2)
    np.testing.assert_allclose(found.lagged[0, 3, 0, 0], 8 / (a * b))
    np.testing.assert_allclose(found.lagged[6:, :, 0, 0], 0.0, atol=EXACT)
    # One person has nothing about their own mean.
    np.testing.assert_allclose(found.lagged[..., 1, 0], 0.0, atol=EXACT)


@pytest.mark.parametrize("T", [3, 4, 7])
def test_moments_are_those_of_the_persons_who_are_there(T):
    sets = [panel(1, T=T), panel(2, n=35, T=T, dropout=0.3), panel(3, n=80, T=T, dropout=0)]
    found = moments_of(*sets)
    for b, Y in enumerate(sets):
        Y = (Y - np.nanmean(Y, axis=0)) / found.spread[b]
        for t in range(1, T):
            own = Y[~np.isnan(Y[:, t, 0])]
            X = np.column_stack([own[:, t], own[:, t - 1], own[:, 0], own[:, 1:t].sum(axis=1)])
            np.testing.assert_allclose(found.mean[:, t - 1, b], X.mean(axis=0), atol=EXACT)
            X -= X.mean(axis=0)
            np.testing.assert_allclose(found.lagged[..., t - 1, b], X.T @ X, atol=EXACT * len(Y))


def test_covariances_are_those_of_pairs_of_occasions():
    """Averages over pairs of occasions 0, 1 and more apart, about the means of those who are there at the later one."""
    Y = panel(21, n=80, T=5, dropout=0.2)
    moments = moments_of(Y)
    X = (Y - np.nanmean(Y, axis=0)) / moments.spread[0]
    sums, counts = np.zeros((3, 2, 2)), np.zeros(3)
    for t in range(5):
        own = X[~np.isnan(X[:, t, 0])]
        own = own - own.mean(axis=0)
        for s in range(t + 1):
            apart = min(t - s, 2)
            sums[apart] += own[:, t].T @ own[:, s]
            counts[apart] += len(own)
    for found, total, count in zip(moments.covariances(), sums, counts, strict=True):
        np.testing.assert_allclose(found[..., 0], total / count, atol=EXACT)


def test_which_panels_have_drop_out_only():
    Y = panel(4)
    skipped, half, late = Y.copy(), Y.copy(), Y.copy()
    skipped[0, :3] = [[1, 1], [np.nan] * 2, [1, 1]]
    half[1, 0, 1] = np.nan
    late[2, 0] = np.nan
    late[2, 1] = 1.0
    sets = [Y, skipped, panel(5, dropout=0), half, late]
    stacked = stack_panels(sets, ("x", "y"), 13)
    assert only_dropout(stacked.seen, stacked.set_of, 5).tolist() == [True, False, True, False, False]
    assert only_dropout(np.ones((4, 6), dtype=bool), np.array([0, 0, 1, 1]), 2).all()


def test_two_occasions_of_likelihood_by_hand():
    """log density of (y_1, y_2, y_3) as the joint normal with the covariances written out, means profiled."""
    Y = panel(6, n=40, T=3, dropout=0)
    moments = moments_of(Y)
    value, _ = value_and_gradient(FREE[:, None], moments)
    R, W, Q = (np.array([[a, b], [b, c]]) for a, b, c in (FREE[:3], FREE[7:10], FREE[10:]))
    phi = FREE[3:7].reshape(2, 2)
    W2 = phi @ W @ phi.T + Q
    W3 = phi @ W2 @ phi.T + Q
    sigma = np.block(
        [
            [R + W, R + W @ phi.T, R + W @ phi.T @ phi.T],
            [R + phi @ W, R + W2, R + W2 @ phi.T],
            [R + phi @ phi @ W, R + phi @ W2, R + W3],
        ]
    )
    X = (Y / moments.spread[0]).reshape(40, 6)
    by_hand = -multivariate_normal(X.mean(axis=0), sigma).logpdf(X).sum()
    np.testing.assert_allclose(value, [by_hand], rtol=1e-12)


@pytest.mark.parametrize("first", ["free", "stationary"])
@pytest.mark.parametrize("T", [3, 5, 8])
def test_the_likelihood_is_that_by_pattern(T, first):
    sets = [panel(7, T=T), panel(8, n=90, T=T, dropout=0), panel(9, n=50, T=T, dropout=0.4)]
    moments = moments_of(*sets)
    patterns = scaled_patterns(sets, moments)
    model = RiclpmStructure(T, "equal", "equal", first)
    thetas = (
        [FREE, INADMISSIBLE, 0.9 * FREE]
        if first == "free"
        else [STATIONARY, 1.1 * STATIONARY, 0.9 * STATIONARY]
    )
    theta = np.array(thetas)
    at = evaluate(model, patterns, theta)
    assert np.isfinite(at.value).all()
    likelihood = StepLikelihood(model, moments)
    value, gradient, differences = likelihood.expanded(theta.T)
    H = likelihood.by_complex_step(theta.T)
    np.testing.assert_allclose(value, at.value, rtol=1e-12)
    np.testing.assert_allclose(gradient.T, at.gradient, atol=EXACT * np.abs(at.gradient).max())
    observed = observed_information(model, patterns, at)
    np.testing.assert_allclose(H, observed, atol=EXACT * np.abs(observed).max())
    np.testing.assert_allclose(differences, observed, atol=DIFFERENCES * np.abs(observed).max())
    means = profiled_means(model.full(theta).T, moments) + moments.centre / np.tile(moments.spread, T)
    expected = np.where(patterns.column_counts() > 0, at.means + patterns.centre, means)
    np.testing.assert_allclose(means, expected, atol=EXACT)


@pytest.mark.parametrize("first", ["free", "stationary"])
def test_second_derivatives_of_few_and_of_many_are_near_the_exact_ones(first):
    sets = [panel(seed, n=70) for seed in range(20)]
    likelihood = StepLikelihood(RiclpmStructure(5, "equal", "equal", first), moments_of(*sets))
    theta = np.tile((FREE if first == "free" else STATIONARY)[:, None], 20)
    exact = likelihood.by_complex_step(theta)
    for some in (np.arange(20), np.arange(5), np.array([19])):
        found = likelihood.select(some).expanded(theta[:, some])[2]
        np.testing.assert_allclose(found, exact[some], atol=DIFFERENCES * np.abs(exact).max())


def test_flat_directions_are_left_to_the_complex_step():
    """All but no intercepts and lags: what is a trait and what is carried over can hardly be told apart."""
    likelihood = StepLikelihood(
        RiclpmStructure(3, "equal", "equal", "free"), moments_of(panel(20, T=3, n=200))
    )
    theta = np.r_[0.2, 0, 0.2, 0.95, 0, 0, 0.95, 1.0, 0, 1.0, 0.1, 0, 0.1][:, None]
    assert np.linalg.cond(likelihood.by_complex_step(theta)[0]) > 1e3
    np.testing.assert_array_equal(likelihood.expanded(theta)[2], likelihood.by_complex_step(theta))


def test_expected_information_is_that_of_complete_data():
    sets = [panel(10, dropout=0), panel(11, n=90, dropout=0)]
    moments = moments_of(*sets)
    model, theta = RiclpmStructure(5, "equal", "equal", "free"), np.tile(FREE, (2, 1))
    patterns = scaled_patterns(sets, moments)
    expected = expected_information(model, patterns, evaluate(model, patterns, theta))
    found = StepLikelihood(model, moments).expected_information(theta.T)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=EXACT * np.abs(expected).max())


def test_an_improper_covariance_has_infinite_value():
    moments = moments_of(panel(12), panel(13))
    improper = FREE.copy()
    improper[[0, 7]] = -1.0
    value, _ = value_and_gradient(np.column_stack([improper, FREE]), moments)
    assert np.isinf(value[0])
    assert np.isfinite(value[1])


def test_an_occasion_without_anybody_says_nothing():
    Y = panel(14, T=5)
    longer = np.concatenate([Y, np.full((len(Y), 1, 2), np.nan)], axis=1)
    short, long = (value_and_gradient(FREE[:, None], moments_of(one)) for one in (Y, longer))
    for a, b in zip(short, long, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    assert np.isnan(fit_riclpm(longer).means[5]).all()
    np.testing.assert_allclose(fit_riclpm(longer).means[:5], fit_riclpm(Y).means, rtol=1e-9)


@pytest.mark.parametrize("options", [{}, {"first": "stationary"}])
def test_one_fit_is_that_by_pattern(monkeypatch, options):
    for Y in (panel(15, n=200), panel(16, n=120, T=3, dropout=0), panel(17, n=300, T=7, shift=1e4)):
        quick = fit_riclpm(Y, **options)
        with monkeypatch.context() as patch:
            by_pattern(patch)
            slow = fit_riclpm(Y, **options)
        assert quick.converged
        assert quick.optimiser != slow.optimiser  # it was the other way
        assert (quick.n_patterns, quick.n_obs, quick.n_dropped) == (
            slow.n_patterns,
            slow.n_obs,
            slow.n_dropped,
        )
        assert quick.loglik == pytest.approx(slow.loglik, rel=1e-12)
        for name in ("estimate", "means", "within_cov", "phi_std"):
            np.testing.assert_allclose(getattr(quick, name), getattr(slow, name), rtol=1e-7, atol=1e-9)
        for name in ("std_error", "phi_std_se"):
            np.testing.assert_allclose(getattr(quick, name), getattr(slow, name), rtol=ALONE)


def test_a_long_batch_is_its_members_and_that_by_pattern(monkeypatch):
    """Sixty panels of different sizes: enough for quasi-Newton steps and differences; some inadmissible."""
    sets = [panel(seed, n=30 + seed, T=4, dropout=0.1 * (seed % 3)) for seed in range(60)]
    together = fit_riclpm_many(sets)
    with monkeypatch.context() as patch:
        by_pattern(patch)
        slow = fit_riclpm_many(sets)
    good = together.converged
    np.testing.assert_array_equal(good, slow.converged)
    assert good.sum() > 55
    assert 0 < together.admissible[good].sum() < good.sum()
    np.testing.assert_allclose(together.loglik[good], slow.loglik[good], rtol=1e-12)
    np.testing.assert_allclose(together.estimate[good], slow.estimate[good], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(together.std_error[good], slow.std_error[good], rtol=BATCH)
    np.testing.assert_array_equal(together.n_patterns, slow.n_patterns)
    np.testing.assert_array_equal(together.admissible, slow.admissible)
    for b in (0, 30, 59):
        alone = fit_riclpm(sets[b])
        np.testing.assert_allclose(together.estimate[b], alone.estimate, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(together.std_error[b], alone.std_error, rtol=BATCH)


def test_more_panels_than_are_fitted_at_once(monkeypatch):
    sets = [panel(seed, n=40, T=4) for seed in range(25)]
    sets[3], sets[20] = sets[3][:5], sets[20].copy()
    sets[20][0, :3, 0] = [1.0, np.nan, 1.0]
    whole = fit_riclpm_many(sets)
    monkeypatch.setattr("twostage.stats.riclpm.fit._CHECKED", 4)
    monkeypatch.setattr(riclpm_fit, "_FITTED", 8)
    parts = fit_riclpm_many(sets)
    np.testing.assert_array_equal(whole.converged, np.arange(25) != 3)
    np.testing.assert_array_equal(parts.converged, whole.converged)
    np.testing.assert_allclose(parts.estimate, whole.estimate, rtol=1e-6, atol=1e-9)
    assert "5 persons" in parts.messages[3]


def test_a_search_that_gives_up_leaves_it_to_the_slower_way(monkeypatch):
    """Panels for which the quick search has no answer get it by pattern, in their own places."""
    sets = [panel(seed, n=60) for seed in range(20)]
    plain = fit_riclpm_many(sets)

    def forgetful(likelihood, start):
        found = search(likelihood, start)
        found.reached[[2, 7]] = False
        found.theta[[2, 7]] = np.nan
        return found

    monkeypatch.setattr(riclpm_fit, "search", forgetful)
    found = fit_riclpm_many(sets)
    assert found.converged.all()
    np.testing.assert_allclose(found.estimate, plain.estimate, rtol=1e-6, atol=1e-9)


def test_quasi_newton_steps_arrive_by_themselves():
    """Thirty ordinary panels from the usual start: none needs Newton's steps to come within 1e-6 standard errors."""
    model, moments = (
        RiclpmStructure(5, "equal", "equal", "free"),
        moments_of(*[panel(s, n=200) for s in range(30)]),
    )
    likelihood = StepLikelihood(model, moments)
    start = starts(model, *(np.moveaxis(one, -1, 0) for one in moments.covariances())).T
    theta, steps = _quasi_newton(likelihood, start)
    _, gradient, second = likelihood.expanded(theta)
    decrement = np.einsum("kb,bkl,lb->b", gradient, np.linalg.inv(second), gradient)
    assert decrement.max() < 1e-12
    assert 5 < steps.min() <= steps.max() < 30


def test_far_from_the_maximum_the_search_still_arrives():
    """Starting values without regard to the data: second derivatives that are not positive definite, steps too long."""
    likelihood = StepLikelihood(RiclpmStructure(5, "equal", "equal", "free"), moments_of(panel(18, n=300)))
    good = search(likelihood, FREE[:, None])
    far = search(likelihood, np.r_[3.0, 0, 3.0, -0.5, 0, 0, -0.5, 0.2, 0, 0.2, 3.0, 0, 3.0][:, None])
    assert good.reached.all()
    assert far.reached.all()
    assert far.iterations[0] > good.iterations[0]
    np.testing.assert_allclose(far.theta, good.theta, rtol=1e-6)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_where_a_panel_stops_being_plainly_sound(factor):
    """Each bound of 1e-6 from either side: spread against size, change against both, what two variables do not share."""
    n = 200
    rng = np.random.default_rng(22)
    base = rng.normal(size=(n, 4, 2))
    base /= np.sqrt(((base - base.mean(axis=0)) ** 2).sum(axis=(0, 1)) / (4 * n))
    sound = factor > 1.0
    # Size is the greatest mean and, for what lies about it, the spread times the root of the number of values.
    offset = 1e6 - np.sqrt(4 * n)
    assert moments_of(base + [offset / factor, 0.0]).plainly_sound().tolist() == [sound]
    assert moments_of(base + [0.0, -offset / factor]).plainly_sound().tolist() == [sound]
    # Sums of squared changes over the number of values: 3 transitions of 4 occasions of independent normal values.
    trait = rng.normal(size=(n, 1, 2)) * np.ones((1, 4, 1))
    trait = (trait - trait.mean(axis=0)) / trait.std(axis=0)
    change = np.diff(base, axis=1)
    change = np.sqrt(((change - change.mean(axis=0)) ** 2).sum(axis=(0, 1)) / (4 * n))
    bound = 1e-6 * np.sqrt(4 * n) / change  # the size of values of mean 0 and spread 1
    both = trait + base * [[bound[0] * factor, 1.0]]
    assert moments_of(both).plainly_sound().tolist() == [sound]
    # Share of the variance that two variables do not share.
    other = base - base.mean(axis=0)
    other[..., 1] -= other[..., 0] * (other[..., 0] * other[..., 1]).sum() / (other[..., 0] ** 2).sum()
    other[..., 1] *= np.sqrt((other[..., 0] ** 2).sum() / (other[..., 1] ** 2).sum())
    twin = np.stack([other[..., 0], other[..., 0] + np.sqrt(1e-6 * factor) * other[..., 1]], axis=-1)
    assert moments_of(twin).plainly_sound().tolist() == [sound]


def test_each_bound_counts_by_itself():
    """Values that change more than they spread are too thin all the same; two variables may mirror each other at first."""
    rng = np.random.default_rng(23)
    there_and_back = rng.normal(size=(100, 1, 2)) * np.array([1.0, -1, 1, -1])[:, None]
    there_and_back = (there_and_back - there_and_back.mean(axis=0)) / there_and_back.std(axis=0)
    assert moments_of(there_and_back + 0.6e6).plainly_sound().tolist() == [True]
    assert moments_of(there_and_back + 1.5e6).plainly_sound().tolist() == [False]
    mirrored = np.repeat(rng.normal(size=(100, 4, 1)), 2, axis=2)
    mirrored[:, 0, 1] *= -1.0
    assert moments_of(mirrored).plainly_sound().tolist() == [True]


def test_a_panel_that_only_just_varies_gets_a_closer_look():
    """A spread of 1e-7 of the values' size, a trait but for 1e-8, two variables that differ by 1e-8."""
    Y = panel(19)
    thin, trait, twin = Y.copy(), Y.copy(), Y.copy()
    thin[..., 0] = 1e9 + 100 * Y[..., 0]
    trait[..., 1] = np.where(np.isnan(Y[..., 1]), np.nan, Y[:, :1, 1]) + 1e-8 * Y[..., 1]
    twin[..., 1] = Y[..., 0] + 1e-8 * Y[..., 1]
    moments = moments_of(Y, thin, trait, twin)
    assert moments.plainly_sound().tolist() == [True, False, False, False]
    # With enough digits left it is fitted all the same.
    np.testing.assert_allclose(fit_riclpm(thin).phi_std, fit_riclpm(Y).phi_std, atol=1e-5)


def test_moments_can_be_joined_and_chosen():
    sets = [panel(seed) for seed in range(3)]
    whole, parts = moments_of(*sets), joined([moments_of(*sets[:2]), moments_of(sets[2])])
    chosen = whole.select(np.array([False, True, True]))
    for name in StepMoments.__dataclass_fields__:
        one = getattr(parts, name)
        np.testing.assert_allclose(one, getattr(whole, name), atol=EXACT)
        last = name in ("n", "mean", "first", "lagged")
        np.testing.assert_array_equal(
            getattr(chosen, name), getattr(whole, name)[..., 1:] if last else getattr(whole, name)[1:]
        )
