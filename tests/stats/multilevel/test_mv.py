"""`pool_mv` by hand algebra, at the boundary, under transformations, and what it refuses."""

from types import SimpleNamespace

import numpy as np
import pytest

from twostage.stats.base.newton import maximise
from twostage.stats.multilevel.blocks import cut
from twostage.stats.multilevel.likelihood import evaluate, marginal
from twostage.stats.multilevel.model import pool_mv
from twostage.stats.multilevel.pieces import make_pieces
from twostage.stats.multilevel.profile import _end
from twostage.stats.multilevel.search import criterion, expand
from twostage.stats.multilevel.structure import heteroscedastic, unstructured
from twostage.stats.multilevel.terms import STRUCTURES, inner_outer, nested
from twostage.stats.pool.pool import pool

# Closed forms: the optimiser ends at a relative step of about 1e-9 in a variance, to first order in coefficients
# of unbalanced data only. Measured: below 1e-9.
CLOSED = 1e-8
# The same sums in another order.
ROUNDING = 1e-10
# Central differences with a step of 1e-5 have an error of about 1e-9 of the third derivative.
DIFFERENCE = 1e-5


def balanced(groups=4, size=3, v=0.02, seed=3):
    """Equal sampling variances, equal group sizes: REML is the analysis of variance."""
    rng = np.random.default_rng(seed)
    y = 0.5 + rng.normal(0, 0.6, groups)[:, None] + rng.normal(0, 0.4, (groups, size))
    group = np.repeat(np.arange(groups), size)
    return y.ravel(), np.full(y.size, v), group, y


def multivariate(k=12, q=3, seed=5):
    """k studies with up to q outcomes, sampling errors correlated, some outcomes missing."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(q, q)) * 0.3
    study, outcome, blocks, y = [], [], [], []
    for i in range(k):
        seen = np.sort(rng.choice(q, size=q if i < 5 else q - 1, replace=False))
        s = np.sqrt(rng.uniform(0.01, 0.05, q))
        V = (np.outer(s, s) * (0.4 + 0.6 * np.eye(q)))[np.ix_(seen, seen)]
        truth = (root @ rng.normal(size=q))[seen] + 0.1 * seen
        y.append(truth + np.linalg.cholesky(V) @ rng.normal(size=len(seen)))
        study += [i] * len(seen)
        outcome += list(seen)
        blocks.append(V)
    outcome = np.array(outcome)
    return np.concatenate(y), blocks, np.eye(q)[outcome], outcome, np.array(study)


def values(fit):
    return {c.term: c.estimate for c in fit.components}


def test_balanced_nested_groups_by_hand():
    """sigma2 within = MSW - v, between = (MSB - MSW) / size, variance of the mean = MSB / n."""
    y, v, group, table = balanced()
    msw = ((table - table.mean(axis=1, keepdims=True)) ** 2).sum() / (4 * 2)
    msb = 3 * table.mean(axis=1).var(ddof=1)
    fit = pool_mv(y, v, random=nested(country=group, study=np.arange(12)))
    assert values(fit) == pytest.approx(
        {"sigma2[country]": (msb - msw) / 3, "sigma2[country/study]": msw - 0.02}, rel=CLOSED
    )
    assert fit.coef[0] == pytest.approx(y.mean(), rel=ROUNDING)
    assert fit.std_error[0] == pytest.approx(np.sqrt(msb / 12), rel=CLOSED)
    assert fit.qe == pytest.approx(((y - y.mean()) ** 2).sum() / 0.02, rel=ROUNDING)
    assert fit.i2["total"] == pytest.approx(
        100 * (1 - 0.02 / (0.02 + (msb - msw) / 3 + msw - 0.02)), rel=CLOSED
    )
    assert fit.converged and not fit.singular and fit.note == ""


def test_maximum_likelihood_divides_by_the_number_of_groups():
    """Balanced ML: the mean square between groups has the divisor a, not a - 1."""
    y, v, group, table = balanced()
    msw = ((table - table.mean(axis=1, keepdims=True)) ** 2).sum() / (4 * 2)
    msb = 3 * table.mean(axis=1).var(ddof=0)
    fit = pool_mv(y, v, random=nested(country=group, study=np.arange(12)), method="ML")
    assert list(values(fit).values()) == pytest.approx([(msb - msw) / 3, msw - 0.02], rel=CLOSED)


def test_equal_sampling_covariances_by_hand():
    """G is the sample covariance less V; the covariance of the means is the sample covariance over k."""
    rng = np.random.default_rng(2)
    Y = rng.multivariate_normal([0.1, -0.3], [[0.3, 0.1], [0.1, 0.2]], 9)
    V = np.array([[0.02, 0.01], [0.01, 0.03]])
    S = np.cov(Y.T)
    effect, study = np.tile([0, 1], 9), np.repeat(np.arange(9), 2)
    fit = pool_mv(Y.ravel(), [V] * 9, np.eye(2)[effect], random=inner_outer(effect, study), struct="UN")
    np.testing.assert_allclose(fit.G, S - V, rtol=CLOSED)
    np.testing.assert_allclose(fit.cov_coef, S / 9, rtol=CLOSED)
    np.testing.assert_allclose(fit.coef, Y.mean(axis=0), rtol=ROUNDING)
    at, quartile = fit.predict(np.eye(2), inner=["0", "1"], level=0.5), 0.6744897501960817
    np.testing.assert_allclose(at.ci_high - fit.coef, quartile * np.sqrt(np.diag(S / 9)), rtol=CLOSED)
    np.testing.assert_allclose(at.pi_high - fit.coef, quartile * np.sqrt(np.diag(S / 9 + S - V)), rtol=CLOSED)


def test_one_grouping_factor_is_the_univariate_model():
    rng = np.random.default_rng(4)
    v = rng.uniform(0.01, 0.2, 10)
    y = rng.normal(0.2, np.sqrt(v + 0.1))
    for method in ("REML", "ML"):
        fit, simple = (
            pool_mv(y, v, random=nested(study=np.arange(10)), method=method),
            pool(y, v, method=method, ci="wald"),
        )
        assert fit.g[0] == pytest.approx(simple.tau2, rel=CLOSED)
        assert fit.loglik == pytest.approx(simple.loglik, abs=ROUNDING)
        assert (fit.ci_low[0], fit.ci_high[0]) == pytest.approx((simple.ci_low, simple.ci_high), rel=CLOSED)
        assert fit.i2["total"] == pytest.approx(simple.i2, rel=CLOSED)
        prediction = fit.predict()
        normal = pool(y, v, method=method, ci="wald", prediction="normal")
        assert (prediction.pi_low[0], prediction.pi_high[0]) == pytest.approx(
            (normal.pi_low, normal.pi_high), rel=CLOSED
        )


def test_without_random_effects_it_is_generalized_least_squares():
    y, blocks, X, _, _ = multivariate()
    fit = pool_mv(y, blocks, X, random=None)
    W = np.linalg.inv(fit.V)
    cov = np.linalg.inv(X.T @ W @ X)
    np.testing.assert_allclose(fit.coef, cov @ X.T @ W @ y, rtol=ROUNDING)
    np.testing.assert_allclose(fit.cov_coef, cov, rtol=ROUNDING)
    assert fit.components == () and fit.converged and not fit.singular


def test_compound_symmetry_is_nested_effects_in_other_words():
    y, v, group, _ = balanced()
    v = v * np.linspace(0.3, 2.0, 12)
    pair = values(pool_mv(y, v, random=nested(country=group, study=np.arange(12)))).values()
    cs = values(pool_mv(y, v, random=inner_outer(np.arange(12), group)))
    between, within = pair
    assert cs["tau2"] == pytest.approx(between + within, rel=CLOSED)
    assert cs["rho"] == pytest.approx(between / (between + within), rel=CLOSED)


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("struct", STRUCTURES)
def test_derivatives_are_those_of_the_likelihood(struct, method):
    y, blocks, X, outcome, study = multivariate()
    terms = (nested(lab=study // 3), inner_outer(outcome, study))
    from twostage.stats.multilevel.blocks import full_covariance

    V = full_covariance(blocks, len(y))
    data, pieces = cut(y, V, X, terms, struct), make_pieces(terms, struct)
    function = criterion(data, [p.map for p in pieces], method == "REML")
    r = sum(len(p.map.lower) for p in pieces)
    theta = np.random.default_rng(1).uniform(0.1, 0.4, r)
    _, gradient, hessian, _ = function(theta)
    step = 1e-5 * np.eye(r)
    slope = [(function(theta + h)[0] - function(theta - h)[0]) / 2e-5 for h in step]
    bend = [(function(theta + h)[1] - function(theta - h)[1]) / 2e-5 for h in step]
    np.testing.assert_allclose(gradient, slope, rtol=DIFFERENCE, atol=DIFFERENCE)
    np.testing.assert_allclose(hessian, bend, rtol=DIFFERENCE, atol=DIFFERENCE * np.abs(hessian).max())


def test_expected_information_is_the_mean_of_the_observed():
    """E(-Hessian) under the model, by simulation at known parameters."""
    y, blocks, X, outcome, study = multivariate()
    terms = (inner_outer(outcome, study),)
    V = pool_mv(y, blocks, X, random=terms).V
    g = np.array([0.09, 0.03])
    L = np.linalg.cholesky(marginal(cut(y, V, X, terms, "CS"), g))
    rng = np.random.default_rng(8)
    draws = [evaluate(cut(L @ rng.normal(size=len(y)), V, X, terms, "CS"), g, reml=True) for _ in range(400)]
    observed = -np.array([d.hessian for d in draws])
    error = observed.std(axis=0) / np.sqrt(len(draws))
    assert (np.abs(observed.mean(axis=0) - draws[0].information) < 4.0 * error).all()


def test_blocks_of_unequal_size_give_the_dense_likelihood():
    y, blocks, X, outcome, study = multivariate()
    fit = pool_mv(y, blocks, X, random=[nested(lab=study // 3), inner_outer(outcome, study)], struct="HCS")
    M = marginal(fit.blocks, fit.g)
    s = np.sqrt(np.array([values(fit)[f"tau2[{o}]"] for o in range(3)]))
    G = np.outer(s, s) * (values(fit)["rho"] + (1 - values(fit)["rho"]) * np.eye(3))
    same = study[:, None] == study[None, :]
    lab = (study // 3)[:, None] == (study // 3)[None, :]
    np.testing.assert_allclose(
        M, fit.V + same * G[np.ix_(outcome, outcome)] + lab * values(fit)["sigma2[lab]"], rtol=ROUNDING
    )
    np.testing.assert_allclose(G, fit.G, rtol=ROUNDING)
    W = np.linalg.inv(M)
    r = y - X @ fit.coef
    parts = len(y) * np.log(2 * np.pi), np.linalg.slogdet(M)[1], r @ W @ r
    assert fit.loglik_ml == pytest.approx(-0.5 * sum(parts), abs=ROUNDING)
    extra = 3 * np.log(2 * np.pi) + np.linalg.slogdet(X.T @ X)[1] - np.linalg.slogdet(X.T @ W @ X)[1]
    assert fit.loglik_reml == pytest.approx(-0.5 * sum(parts) + 0.5 * extra, abs=ROUNDING)


@pytest.mark.parametrize("struct", STRUCTURES)
def test_rows_in_another_order_and_other_units(struct):
    y, blocks, X, outcome, study = multivariate()
    fit = pool_mv(y, blocks, X, random=inner_outer(outcome, study), struct=struct)
    order = np.random.default_rng(0).permutation(len(y))
    V = fit.V[np.ix_(order, order)]
    other = pool_mv(
        1000 * y[order], 1e6 * V, X[order], random=inner_outer(outcome[order], study[order]), struct=struct
    )
    np.testing.assert_allclose(other.coef, 1000 * fit.coef, rtol=CLOSED)
    np.testing.assert_allclose(other.g, 1e6 * fit.g, rtol=1e-6, atol=1e-3)  # g at a stationary point: flat
    assert other.singular == fit.singular


def test_model_matrix_in_another_basis():
    y, blocks, X, outcome, study = multivariate()
    change = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    fit = pool_mv(y, blocks, X, random=inner_outer(outcome, study), struct="UN")
    other = pool_mv(y, blocks, X @ change, random=inner_outer(outcome, study), struct="UN")
    np.testing.assert_allclose(change @ other.coef, fit.coef, rtol=CLOSED)
    np.testing.assert_allclose(change @ other.cov_coef @ change.T, fit.cov_coef, rtol=CLOSED)
    assert other.loglik == pytest.approx(fit.loglik + np.log(abs(np.linalg.det(change))), abs=CLOSED)


def test_no_heterogeneity_is_exactly_zero_and_flagged():
    v = np.array([0.02, 0.05, 0.03, 0.08, 0.01, 0.04])
    y = np.array([0.21, 0.25, 0.18, 0.30, 0.22, 0.26])
    fit = pool_mv(y, v, random=nested(country=[1, 1, 2, 2, 3, 3], study=np.arange(6)))
    assert fit.g.tolist() == [0.0, 0.0]
    assert fit.singular and fit.on_edge == (True, True) and fit.converged
    assert fit.coef[0] == pytest.approx(np.average(y, weights=1 / v), rel=ROUNDING)


def test_a_correlation_of_effects_that_do_not_vary_is_not_a_number():
    v = np.array([0.02, 0.05, 0.03, 0.08, 0.01, 0.04])
    y = np.array([0.21, 0.25, 0.18, 0.30, 0.22, 0.26])
    fit = pool_mv(y, v, random=inner_outer([1, 2, 1, 2, 1, 2], [1, 1, 2, 2, 3, 3]))
    assert values(fit)["tau2"] == 0.0 and np.isnan(values(fit)["rho"]) and fit.singular
    with pytest.raises(ValueError, match="rho is not determined"):
        fit.profile("rho")


def test_negative_correlation_ends_where_the_group_stops_being_a_covariance():
    """Three outcomes that sum to almost a constant in each study: rho = -1/2."""
    rng = np.random.default_rng(6)
    raw = rng.normal(size=(10, 3))
    y = (raw - raw.mean(axis=1, keepdims=True)).ravel()
    fit = pool_mv(
        y, np.full(30, 0.01), random=inner_outer(np.tile([0, 1, 2], 10), np.repeat(np.arange(10), 3))
    )
    assert values(fit)["rho"] == pytest.approx(-0.5, abs=1e-12)
    assert fit.singular and np.linalg.eigvalsh(fit.G)[0] == pytest.approx(0.0, abs=1e-12)


def test_a_lower_maximum_is_not_reported():
    """Two maxima in the univariate model of `pool`; a nested fit with one factor has the same likelihood."""
    y = np.array([0.13, 0.50, 0.34, 0.49, 0.50, 0.12, 0.88, 0.90])
    v = np.array([0.001, 0.225, 0.019, 0.483, 0.064, 0.001, 0.065, 0.151])
    fit = pool_mv(y, v, random=nested(study=np.arange(8)))
    assert fit.g[0] == pytest.approx(pool(y, v).tau2, rel=CLOSED) and fit.g[0] > 0
    assert fit.search.n_maxima == 2 and "2 local maxima" in fit.note


def test_flat_likelihoods_are_noted():
    """A level with one estimate and its own coefficient says nothing about its variance."""
    y, v, group, _ = balanced()
    level = np.where(np.arange(12) == 0, "alone", "rest")
    X = np.eye(2)[(level == "rest").astype(int)]
    fit = pool_mv(y, v, X, random=inner_outer(level, np.arange(12)), struct="DIAG")
    assert "flat" in fit.note


def test_newton_leaves_a_saddle():
    """f = x^2 - x^4 - y^2 is stationary at (0, 0) but no maximum there."""

    def saddle(t):
        x, y = t
        gradient = np.array([2 * x - 4 * x**3, -2 * y])
        return x**2 - x**4 - y**2, gradient, np.diag([2 - 12 * x**2, -2.0]), np.eye(2)

    found = maximise(saddle, np.zeros(2), np.array([0.0, -1.0]), np.ones(2))
    assert found.converged
    np.testing.assert_allclose(found.theta, [np.sqrt(0.5), 0.0], atol=1e-7)


def test_newton_stays_in_the_box():
    """A concave quadratic whose summit lies outside: the best point of the edge."""
    H = np.array([[-2.0, 1.0], [1.0, -3.0]])
    summit = np.array([-1.0, 2.0])

    def hill(t):
        return 0.5 * (t - summit) @ H @ (t - summit), H @ (t - summit), H, -H

    found = maximise(hill, np.array([0.5, 0.5]), np.zeros(2), np.array([np.inf, np.inf]))
    np.testing.assert_allclose(found.theta, [0.0, 2.0 + 1.0 / 3.0], rtol=ROUNDING)


@pytest.mark.parametrize(
    "made",
    [
        unstructured(3),
        unstructured(3, [1, 0, 2], tau2=0.3),
        unstructured(3, [2, 0, 1], rho=-0.4),
        heteroscedastic(3, 3),
    ],
)
def test_structures_encode_what_they_expand(made):
    theta = np.random.default_rng(3).uniform(0.2, 0.6, len(made.lower))
    g = made.expand(theta)[0]
    np.testing.assert_allclose(made.expand(made.encode(g))[0], g, rtol=ROUNDING)


def test_restricted_structures_hold_what_they_fix():
    theta = np.array([0.3, 0.2, -0.1, 0.5, 0.4])
    for rho in (-1.0, -0.4, 1.0):
        g, _, _ = expand([unstructured(3, [2, 0, 1], rho=rho)], theta)
        assert g[4] / np.sqrt(g[0] * g[2]) == pytest.approx(rho, abs=ROUNDING)  # entries 00 11 22 01 02 12
    assert expand([unstructured(3, [1, 0, 2], tau2=0.3)], theta)[0][1] == pytest.approx(0.3, rel=ROUNDING)


def test_profile_ends_lie_on_the_critical_likelihood():
    """Fitting with the variance held at an end loses half the chi-square quantile."""
    y, v, group, _ = balanced()
    fit = pool_mv(y, v, random=nested(country=group, study=np.arange(12)))
    interval = fit.profile("sigma2[country/study]", 0.9)
    assert interval.low < fit.g[1] < interval.high and interval.converged
    for end in (interval.low, interval.high):
        between = np.linspace(0, 4, 4001)
        best = max(
            evaluate(fit.blocks, np.array([b, end]), reml=True, derivatives=False).reml for b in between
        )
        assert 2 * (fit.loglik - best) == pytest.approx(2.705543454, abs=1e-4)  # grid of the nuisance: 1e-3
    wide = fit.profile("sigma2[country/study]")
    assert wide.low < interval.low and wide.high > interval.high


def test_profile_interval_reaches_the_bound():
    v = np.array([0.02, 0.05, 0.03, 0.08, 0.01, 0.04])
    y = np.array([0.21, 0.25, 0.18, 0.30, 0.22, 0.26])
    interval = pool_mv(y, v, random=nested(study=np.arange(6))).profile("sigma2[study]")
    assert interval.low == 0.0 and interval.low_bounded and not interval.high_bounded and interval.high > 0.0


def test_profiles_of_two_variances_are_those_without_restriction():
    """Two levels in every group: HCS is UN in other parameters."""
    Y = np.random.default_rng(2).multivariate_normal([0.1, -0.3], [[0.3, 0.1], [0.1, 0.2]], 9)
    effect, study = np.tile([0, 1], 9), np.repeat(np.arange(9), 2)
    random, X = inner_outer(effect, study), np.eye(2)[effect]
    hcs, un = (pool_mv(Y.ravel(), np.full(18, 0.02), X, random=random, struct=s) for s in ("HCS", "UN"))
    for term in ("tau2[0]", "tau2[1]"):
        ours, theirs = hcs.profile(term), un.profile(term)
        assert (ours.low, ours.high) == pytest.approx(
            (theirs.low, theirs.high), rel=1e-6
        )  # root and optimiser


def test_a_likelihood_that_never_falls_has_no_upper_end():
    class Flat:
        fit = SimpleNamespace(V=np.eye(1))

        def __call__(self, value):
            return -1.0

    assert _end(Flat(), 1.0, np.inf) == (np.inf, True)


def test_criteria_of_few_estimates_by_hand():
    """Three estimates, one coefficient, one variance: 2 contrasts for REML; AICc counts two more than parameters."""
    fit = pool_mv([0.1, 0.5, 0.9], [0.01] * 3, random=nested(study=np.arange(3)))
    criteria = 2 * 2, np.log(2) * 2, 2 * 2 * 4 / (4 - 2 - 1)
    assert (fit.aic, fit.bic, fit.aicc) == pytest.approx(
        [-2 * fit.loglik + c for c in criteria], rel=ROUNDING
    )


def test_containment_degrees_of_freedom():
    """4 countries of 3 studies: a column that varies between countries only has 4 - 2."""
    y, v, group, _ = balanced()
    X = np.c_[np.ones(12), np.arange(12) % 3 == 0].astype(float)
    fit = pool_mv(y, v, X, random=nested(country=group, study=np.arange(12)), test="t", dfs="contain")
    assert fit.df.tolist() == [2.0, 10.0]
    assert pool_mv(y, v, X, random=nested(country=group, study=np.arange(12)), test="t").df.tolist() == [
        10.0,
        10.0,
    ]
    assert fit.qm_df2 == 10.0 and fit.predict([1.0, 1.0]).df.tolist() == [2.0]
    X = np.c_[X, group == group[0]].astype(float)
    both = pool_mv(y, v, X, random=nested(country=group, study=np.arange(12)), test="t", dfs="contain")
    assert both.df.tolist() == [1.0, 9.0, 1.0] and both.qm_df2 == 1.0  # the fewest of those tested


def test_tables_and_display():
    y, blocks, X, outcome, study = multivariate()
    fit = pool_mv(y, blocks, X, random=inner_outer(outcome, study), struct="UN", names=("a", "b", "c"))
    assert list(fit.tidy().columns) == [
        *("term", "estimate", "std_error", "df", "statistic", "p_value", "ci_low", "ci_high")
    ]
    assert fit.tidy()["term"].tolist() == ["a", "b", "c"]
    assert fit.tidy_components()["term"].tolist()[-1] == "rho[1,2]" and len(fit.tidy_components()) == 6
    assert fit.glance()["converged"].tolist() == [True] and "QE" in fit._repr_html_()
    prediction = fit.predict(np.eye(3))
    assert np.isnan(prediction.pi_low).all() and len(prediction.tidy()) == 3
    named = fit.predict(np.eye(3), inner=["0", "1", "2"], level=0.5)
    assert (named.pi_high - named.pi_low > named.ci_high - named.ci_low).all()
    assert "Predictions" in named._repr_html_() and named.glance()["n"].tolist() == [3]
    interval = fit.profile("tau2[0]")
    assert interval.tidy()["term"].tolist() == ["tau2[0]"] and "Profile" in interval._repr_html_()


Y4, V4, G4 = [0.1, 0.5, -0.3, 0.4], [0.02, 0.05, 0.01, 0.03], [1, 1, 2, 2]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"y": [0.1, np.nan, 0.2, np.inf]}, "row 1: estimate nan is not finite; row 3: estimate inf"),
        (
            {"V": [0.02, -0.1, 0.0, 0.03]},
            "row 1: variance -0.1 is not finite and positive; row 2: variance 0.0",
        ),
        ({"V": [0.02, 0.05]}, r"V must be \(n,\)"),
        ({"V": [np.array([[0.02, 0.1], [0.1, 0.05]]), np.eye(2)]}, "rows 0, 1 is not positive definite"),
        (
            {"V": [np.array([[0.02, 0.01], [0.0, 0.05]]), np.eye(2)]},
            "row 0: its covariances are not finite and sym",
        ),
        ({"X": [[1, 0], [1, np.nan], [1, 0], [1, 1]]}, "row 1: a moderator is not finite"),
        ({"X": [[1, 2], [1, 2], [1, 2], [1, 2]], "names": ["one", "two"]}, "two is a combination of one"),
        ({"X": [[1, 0]] * 4}, "column x1 of X is zero"),
        ({"X": np.eye(4)}, "no degree of freedom is left"),
        ({"X": [1, 2, 3, 4]}, r"X must be \(n, p\)"),
        ({"method": "DL"}, "method must be one of REML, ML"),
        ({"test": "knha"}, "test must be one of z, t"),
        ({"dfs": "exact"}, "dfs must be one of"),
        ({"level": 95}, "level must lie strictly"),
        ({"names": ["a", "b"]}, "2 names for 1 columns"),
        ({"labels": ["a", "b"]}, "2 labels for 4 estimates"),
        ({"struct": "UN"}, "there is none"),
        ({"random": "study"}, "nested"),
        ({"random": nested(study=[1, 2, 3])}, "3 labels for 4 estimates"),
        ({"random": nested(study=[1, 1, 1, 1])}, "single level"),
        ({"random": [nested(study=[1, 2, 3, 4]), nested(row=[1, 2, 3, 4])]}, "are not identified"),
        ({"random": inner_outer([1, 2, 1, 2], G4), "struct": "AR"}, "struct must be one of"),
        ({"random": [inner_outer([1, 2, 1, 2], G4)] * 2}, "only one inner_outer"),
        ({"random": inner_outer([1, 2, 1, 2], [1, 2, 3, 4])}, "use DIAG"),
        ({"random": inner_outer([1, 2, 1, 3], G4), "struct": "UN"}, "no outer group has both 2 and 3"),
    ],
)
def test_what_cannot_be_pooled_is_refused(change, message):
    arguments = {"y": Y4, "V": V4, "random": nested(group=G4)} | change
    with pytest.raises(ValueError, match=message):
        pool_mv(arguments.pop("y"), arguments.pop("V"), arguments.pop("X", None), **arguments)


def test_factors_are_checked():
    with pytest.raises(ValueError, match="at least one factor"):
        nested()
    with pytest.raises(ValueError, match="no label in row 1"):
        nested(study=np.array(["a", None, "b"], dtype=object))
    with pytest.raises(ValueError, match="factor school has 2 labels, the one before it 3"):
        nested(district=[1, 1, 2], school=[1, 2])
    with pytest.raises(ValueError, match="inner has 2 labels, outer 3"):
        inner_outer([1, 2], [1, 1, 2])
    with pytest.raises(ValueError, match="one-dimensional"):
        inner_outer([[1, 2]], [[1, 1]])


def test_equal_labels_in_different_groups_are_different_groups():
    term = nested(district=["a", "a", "b", "b"], school=[1, 2, 1, 2])
    assert term.codes[1].tolist() == [0, 1, 2, 3]


def test_prediction_and_profile_refuse_what_they_do_not_know():
    y, blocks, X, outcome, study = multivariate()
    fit = pool_mv(y, blocks, X, random=inner_outer(outcome, study), struct="DIAG")
    with pytest.raises(ValueError, match="X is needed"):
        fit.predict()
    with pytest.raises(ValueError, match="must be finite"):
        fit.predict([1.0, 2.0])
    with pytest.raises(ValueError, match="levels 0, 1, 2"):
        fit.predict(np.eye(3), inner=["0", "1", "9"])
    with pytest.raises(ValueError, match=r"term must be one of tau2\[0\]"):
        fit.profile("tau2")
