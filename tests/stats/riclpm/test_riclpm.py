"""fit_riclpm by hand algebra and brute force, its options, its results, and what it refuses."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from twostage.stats.base.checks import NotEstimable
from twostage.stats.fiml.likelihood import evaluate, group_patterns, observed_information
from twostage.stats.riclpm.fit import fit_riclpm, fit_riclpm_many
from twostage.stats.riclpm.model import RiclpmStructure, standardized_expansion, starting_values

EXACT = 1e-12  # rounding of a few sums of order one
# Central differences with step 1e-5 (truncation and rounding near 1e-10), relative to the largest entry.
DIFFERENCE, STEP = 1e-7, 1e-5
# The same fit in other units or another order: both end within 1e-6 standard errors of the maximum.
SAME = 1e-7
OPTIONS = [
    {},
    {"residuals": "free"},
    {"lags": "free"},
    {"residuals": "free", "lags": "free"},
    {"first": "stationary"},
]


def structure(T, residuals="equal", lags="equal", first="free"):
    return RiclpmStructure(T, residuals, lags, first)


def simulate(rng, n, T, *, phi=((0.3, -0.07), (-0.1, 0.4)), missing=0.0, dropout=0.0):
    """A panel from the model with unit-variance intercepts, first occasion and residuals."""
    root = np.linalg.cholesky([[1.0, -0.3], [-0.3, 1.0]])
    intercept, w = (rng.normal(size=(n, 2)) @ root.T for _ in range(2))
    Y = np.empty((n, T, 2))
    for t in range(T):
        w = w if t == 0 else w @ np.transpose(phi) + rng.normal(size=(n, 2)) @ root.T
        Y[:, t] = intercept + w + 0.1 * t
    Y[rng.random(Y.shape) < missing] = np.nan
    leaves = rng.geometric(dropout, n) if dropout else np.full(n, T)
    Y[np.arange(T) >= leaves[:, None]] = np.nan
    return Y


@pytest.fixture(scope="module")
def panel():
    return simulate(np.random.default_rng(4), 250, 5, missing=0.1, dropout=0.05)


@pytest.fixture(scope="module")
def fit(panel):
    return fit_riclpm(panel)


def test_three_occasions_by_hand():
    """cov(y1), cov(y2, y1), cov(y3, y1), cov(y2), cov(y3, y2), cov(y3) written out."""
    R, W, Q = (
        np.array(m) for m in ([[1.0, 0.2], [0.2, 0.5]], [[2.0, 0.3], [0.3, 1.0]], [[0.7, 0.1], [0.1, 0.9]])
    )
    phi = np.array([[0.3, -0.1], [0.2, 0.4]])
    W2 = phi @ W @ phi.T + Q
    W3 = phi @ W2 @ phi.T + Q
    by_hand = np.block(
        [
            [R + W, R + (phi @ W).T, R + (phi @ phi @ W).T],
            [R + phi @ W, R + W2, R + (phi @ W2).T],
            [R + phi @ phi @ W, R + phi @ W2, R + W3],
        ]
    )
    theta = np.r_[1.0, 0.2, 0.5, 0.3, -0.1, 0.2, 0.4, 2.0, 0.3, 1.0, 0.7, 0.1, 0.9]
    model = structure(3)
    np.testing.assert_allclose(model.sigma(theta), by_hand, rtol=EXACT)
    np.testing.assert_allclose(model.within(theta), [W, W2, W3], rtol=EXACT)
    ratio = np.sqrt(np.diag(W))[None, :] / np.sqrt(np.diag(W2))[:, None]
    np.testing.assert_allclose(model.standardized(theta)[0], phi * ratio, rtol=EXACT)


def test_a_stationary_model_has_the_same_within_covariance_at_every_occasion():
    theta = np.r_[1.0, 0.2, 0.5, 0.3, -0.1, 0.2, 0.4, 0.7, 0.1, 0.9]
    within = structure(4, first="stationary").within(theta)
    phi, Q = theta[3:7].reshape(2, 2), np.array([[0.7, 0.1], [0.1, 0.9]])
    series = sum(np.linalg.matrix_power(phi, k) @ Q @ np.linalg.matrix_power(phi, k).T for k in range(60))
    for one in within:
        np.testing.assert_allclose(one, series, rtol=1e-12)


@pytest.mark.parametrize("options", OPTIONS)
def test_derivatives_are_differences(panel, options):
    model = structure(5, **options)
    patterns = group_patterns([panel.reshape(len(panel), -1)])
    theta = starting_values(model, patterns)
    at = evaluate(model, patterns, theta)
    K = theta.shape[1]
    assert len(model.names("xy")) == K == model.n_parameters
    pairs = [[evaluate(model, patterns, theta + s * STEP * unit) for s in (1, -1)] for unit in np.eye(K)]
    slope = [(a.value[0] - b.value[0]) / (2 * STEP) for a, b in pairs]
    np.testing.assert_allclose(at.gradient[0], slope, atol=DIFFERENCE * np.abs(slope).max())
    bend = np.array([(a.gradient[0] - b.gradient[0]) / (2 * STEP) for a, b in pairs])
    found = observed_information(model, patterns, at)[0]
    np.testing.assert_allclose(found, bend, atol=DIFFERENCE * np.abs(bend).max())
    J = [
        (model.sigma(theta[0] + STEP * u) - model.sigma(theta[0] - STEP * u)) / (2 * STEP) for u in np.eye(K)
    ]
    np.testing.assert_allclose(model.jacobian(theta[0]), J, atol=DIFFERENCE)
    std = [
        (model.standardized(theta[0] + STEP * u) - model.standardized(theta[0] - STEP * u)) / (2 * STEP)
        for u in np.eye(K)
    ]
    within, value, slopes = standardized_expansion(model, theta[0])
    np.testing.assert_allclose(slopes, std, atol=DIFFERENCE)
    np.testing.assert_allclose(within, model.within(theta[0]), rtol=EXACT)
    np.testing.assert_allclose(value, model.standardized(theta[0]), rtol=EXACT)


def test_log_likelihood_is_the_sum_of_the_persons_densities(panel, fit):
    sigma, means = structure(5).sigma(fit.estimate), fit.means.ravel()
    total = 0.0
    for row in panel.reshape(len(panel), -1):
        at = np.flatnonzero(~np.isnan(row))
        if len(at):
            total += multivariate_normal(means[at], sigma[np.ix_(at, at)]).logpdf(row[at])
    assert fit.loglik == pytest.approx(total, rel=1e-11)
    assert fit.aic == pytest.approx(2 * (13 + 10) - 2 * total, rel=1e-11)
    assert fit.bic == pytest.approx(np.log(fit.n_obs) * 23 - 2 * total, rel=1e-11)


def test_phi_is_outcome_by_predictor():
    """Only x at t moves y at t + 1."""
    Y = simulate(np.random.default_rng(1), 4000, 4, phi=((0.2, 0.0), (0.5, 0.1)))
    found = fit_riclpm(Y)
    np.testing.assert_allclose(found.phi, [[0.2, 0.0], [0.5, 0.1]], atol=4 * found.phi_se.max())
    assert found.names[5] == "x->y"
    assert found.estimate[5] == found.phi[1, 0]


def test_exchanging_the_variables_exchanges_the_results(panel, fit):
    other = fit_riclpm(panel[:, :, ::-1])
    np.testing.assert_allclose(other.phi, fit.phi[::-1, ::-1], atol=SAME)
    np.testing.assert_allclose(other.phi_se, fit.phi_se[::-1, ::-1], atol=SAME)
    assert other.loglik == pytest.approx(fit.loglik, abs=1e-9)


def test_units_and_offsets_only_rescale(panel, fit):
    """A millionfold unit and an offset of 10^4 standard deviations cost no digits that matter."""
    other = fit_riclpm(panel * [1e6, 1e-3] + [1e10, -10.0])
    ratio = np.array([[1.0, 1e9], [1e-9, 1.0]])
    np.testing.assert_allclose(other.phi / ratio, fit.phi, atol=SAME)
    np.testing.assert_allclose(other.phi_se / ratio, fit.phi_se, atol=SAME)
    np.testing.assert_allclose(other.phi_std, fit.phi_std, atol=SAME)
    np.testing.assert_allclose(other.phi_std_se, fit.phi_std_se, atol=SAME)
    lost = np.log(1e6) * np.isfinite(panel[..., 0]).sum() + np.log(1e-3) * np.isfinite(panel[..., 1]).sum()
    assert other.loglik + lost == pytest.approx(fit.loglik, abs=1e-6)


def test_persons_in_any_order_and_empty_persons(panel, fit):
    shuffled = np.random.default_rng(0).permutation(panel)
    empty = np.full((7, 5, 2), np.nan)
    already = int(np.isnan(panel).all(axis=(1, 2)).sum())
    other = fit_riclpm(np.concatenate([empty, shuffled]))
    assert (other.n_dropped, other.n_obs) == (7 + already, fit.n_obs)
    np.testing.assert_allclose(other.phi, fit.phi, atol=SAME)


@pytest.mark.parametrize("options", OPTIONS[1:])
def test_a_freer_model_has_no_lower_likelihood(panel, fit, options):
    other = fit_riclpm(panel, **options)
    assert other.converged
    free = options.get("first") != "stationary"
    assert (other.loglik - fit.loglik) * (1 if free else -1) > 0
    assert other.phi.shape == ((4, 2, 2) if "lags" in options else (2, 2))
    assert other.residual_cov.shape == ((4, 2, 2) if "residuals" in options else (2, 2))
    assert other.phi_std.shape == (4, 2, 2)
    assert len(other.names) == len(other.estimate) == len(set(other.names))


def test_an_occasion_nobody_has_is_no_obstacle():
    Y = simulate(np.random.default_rng(6), 400, 5)
    Y[:, 2, 1] = np.nan
    found = fit_riclpm(Y)
    assert found.converged
    assert np.isnan(found.means[2, 1])
    assert np.isfinite(found.means).sum() == 9
    assert found.n_parameters == 13 + 9


def test_inadmissible_estimates_are_reported_not_hidden():
    """Without stable differences between persons, about half of all data sets have a negative variance there."""
    rng = np.random.default_rng(0)
    fits = [fit_riclpm(simulate(rng, 80, 4) - 0.0 * k) for k in range(1)]
    fits += [fit_riclpm(within_only(rng)) for _ in range(12)]
    bad = [one for one in fits if not one.admissible]
    assert bad
    for one in bad:
        assert one.problems
        least = min(np.linalg.eigvalsh(m).min() for m in (one.intercept_cov, one.first_cov, one.residual_cov))
        assert least < 0
    assert all(not one.problems for one in fits if one.admissible)
    assert any("random intercepts: variance of x is negative" in p for one in bad for p in one.problems)


def within_only(rng, n=80, T=4):
    w = rng.normal(size=(n, 2))
    Y = np.empty((n, T, 2))
    for t in range(T):
        Y[:, t] = w
        w = w @ np.array([[0.5, 0.1], [0.1, 0.5]]) + rng.normal(size=(n, 2))
    return Y


def test_tables(fit):
    table = fit.tidy()
    columns = "term estimate std_error df statistic p_value ci_low ci_high converged admissible"
    assert list(table.columns) == columns.split()
    assert table["term"].tolist() == list(fit.names)
    np.testing.assert_allclose(table["ci_high"] - table["ci_low"], 2 * 1.959963984540054 * fit.std_error)
    np.testing.assert_allclose(table["statistic"], fit.estimate / fit.std_error)
    standardized = fit.tidy_standardized()
    assert standardized["term"][:4].tolist() == ["x->x[2]", "y->x[2]", "x->y[2]", "y->y[2]"]
    assert standardized["estimate"][5] == fit.phi_std[1, 0, 1]
    assert fit.glance().loc[0, "n_patterns"] == fit.n_patterns
    html = fit._repr_html_()
    assert "x-&gt;y" in html
    assert "converged" in html


def test_names_of_variables_reach_the_terms(panel):
    found = fit_riclpm(panel, variables=("alliance", "symptoms"))
    assert found.names[4] == "symptoms->alliance"
    assert found.names[1] == "cov(intercept_alliance,intercept_symptoms)"


@pytest.mark.parametrize("level", [0.8, 0.99])
def test_the_level_is_that_of_the_intervals(panel, level):
    found = fit_riclpm(panel, level=level)
    inside = np.prod(found.conf_int() - found.estimate[:, None], axis=1)
    wider = np.prod(fit_riclpm(panel).conf_int(level) - found.estimate[:, None], axis=1)
    np.testing.assert_allclose(inside, wider, rtol=1e-6)


def test_what_is_refused(panel):
    for options, text in (
        ({"residuals": "some"}, "residuals must be one of equal, free; got 'some'"),
        ({"se": "hc3"}, "se must be one of observed, sandwich"),
        ({"first": "stationary", "lags": "free"}, "stationary first occasion needs equal lags"),
        ({"level": 95}, "level"),
        ({"variables": ("x", "x")}, "two different names"),
    ):
        with pytest.raises(ValueError, match=text):
            fit_riclpm(panel, **options)
    with pytest.raises(ValueError, match=r"\(persons, occasions, 2 variables\), got \(250, 5\)"):
        fit_riclpm(panel[:, :, 0])
    with pytest.raises(ValueError, match="at least 3 occasions, got 2"):
        fit_riclpm(panel[:, :2])
    broken = panel.copy()
    broken[3, 1, 1] = -np.inf
    with pytest.raises(ValueError, match="person 3, occasion 2, y: -inf"):
        fit_riclpm(broken)


def test_what_cannot_be_estimated(panel):
    with pytest.raises(NotEstimable, match="13 persons with an observation for 13 parameters"):
        fit_riclpm(panel[~np.isnan(panel).all(axis=(1, 2))][:13])
    with pytest.raises(NotEstimable, match="0 persons with an observation"):
        fit_riclpm(panel[:0])
    constant = panel.copy()
    constant[..., 1] = 4.0
    with pytest.raises(NotEstimable, match="y never varies between persons"):
        fit_riclpm(constant)
    trait = panel.copy()
    trait[..., 0] = np.where(np.isnan(panel[..., 0]), np.nan, np.arange(len(panel))[:, None] / 7)
    with pytest.raises(NotEstimable, match="x never varies within persons"):
        fit_riclpm(trait)
    twin = panel.copy()
    twin[..., 1] = 3 - 2 * twin[..., 0]
    with pytest.raises(NotEstimable, match="x and y are the same variable"):
        fit_riclpm(twin)
    apart = panel.copy()
    apart[:, ::2, 0] = np.nan
    apart[:, 1::2, 1] = np.nan
    with pytest.raises(NotEstimable, match="nobody has x at an occasion and x at the next"):
        fit_riclpm(apart)


def test_a_likelihood_without_maximum_is_no_convergence():
    """A variable observed at two occasions only: its three variances and lag cannot all be told apart."""
    Y = simulate(np.random.default_rng(2), 300, 4)
    Y[:, 2:, 1] = np.nan
    found = fit_riclpm(Y, residuals="free")
    assert not found.converged
    assert "NOT CONVERGED" in found._repr_html_()


def test_long_panels():
    found = fit_riclpm(simulate(np.random.default_rng(7), 60, 40, dropout=0.02))
    assert found.converged
    np.testing.assert_allclose(found.phi, [[0.3, -0.07], [-0.1, 0.4]], atol=4 * found.phi_se.max())


@pytest.mark.parametrize("options", [{}, {"se": "sandwich"}, {"lags": "free", "residuals": "free"}])
def test_a_batch_is_its_members(options):
    rng = np.random.default_rng(9)
    sets = [
        simulate(rng, n, 4, missing=m, dropout=d) for n, m, d in ((60, 0, 0), (90, 0.1, 0), (120, 0.05, 0.1))
    ]
    batch = fit_riclpm_many(sets, **options)
    assert len(batch) == 3
    for b, Y in enumerate(sets):
        alone = fit_riclpm(Y, **options)
        np.testing.assert_allclose(batch.phi[b], alone.phi, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(batch.phi_se[b], alone.phi_se, rtol=1e-5)
        np.testing.assert_allclose(batch.cov[b], alone.cov, rtol=1e-4, atol=1e-7)
        assert batch.loglik[b] == pytest.approx(alone.loglik, rel=1e-12)
        assert (batch.converged[b], batch.n_patterns[b]) == (alone.converged, alone.n_patterns)


def test_failures_of_a_batch_are_their_own():
    rng = np.random.default_rng(9)
    sets = [simulate(rng, n, 4) for n in (60, 10, 80, 70)]
    sets[3][0, 0, 0] = np.inf
    batch = fit_riclpm_many(sets)
    assert batch.converged.tolist() == [True, False, True, False]
    assert "10 persons" in batch.messages[1]
    assert "inf" in batch.messages[3]
    assert np.isnan(batch.phi[[1, 3]]).all()
    np.testing.assert_allclose(batch.phi[2], fit_riclpm(sets[2]).phi, rtol=1e-9)
    assert batch.glance()["message"][1] == batch.messages[1]
    assert len(batch.tidy()) == 4 * 13
    assert "4 random-intercept" in batch._repr_html_()


def test_a_batch_of_different_lengths_or_of_nothing_is_refused():
    rng = np.random.default_rng(9)
    with pytest.raises(ValueError, match=r"same number of occasions; found \[4, 5\]"):
        fit_riclpm_many([simulate(rng, 60, 4), simulate(rng, 60, 5)])
    with pytest.raises(ValueError, match="same number of occasions"):
        fit_riclpm_many([])
