"""fit_starts by hand algebra, against the model without error, at its boundary, side by side, and by recovery."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from twostage.stats.base import NotEstimable
from twostage.stats.riclpm import (
    fit_riclpm,
    fit_starts,
    fit_starts_many,
    profile_effects,
    reliability_curve,
)

PHI = np.array([[0.45, -0.10], [-0.15, 0.40]])


def draw(rng, n, occasions, *, reliability=0.7, slope=0.0, leaving=0.0, skipped=0.0, phi=PHI):
    """A stationary process with within-person variances 1, random levels and lines, and errors."""
    within = np.array([[1.0, -0.3], [-0.3, 1.0]])
    noise = np.linalg.cholesky(within - phi @ within @ phi.T)
    w = rng.standard_normal((n, 2)) @ np.linalg.cholesky(within).T
    level, own = rng.standard_normal((n, 2)), slope * rng.standard_normal((n, 2))
    Y = np.empty((n, occasions, 2))
    for t in range(occasions):
        error = np.sqrt((1.0 - reliability) / reliability) * rng.standard_normal((n, 2))
        Y[:, t] = [0.2 * t, -0.3 * t] + level + t * own + w + error
        w = w @ phi.T + rng.standard_normal((n, 2)) @ noise.T
    Y[rng.random(Y.shape) < skipped] = np.nan
    gone = np.cumsum(rng.random((n, occasions)) < leaving, axis=1) > 0
    gone[:, 0] = False
    Y[gone] = np.nan
    return Y


def covariance(fit, occasions):
    """Sigma from the covariances that a fit reports, block by block."""
    line, T = fit.line_cov, occasions
    levels = line[:2, :2]
    slopes = line[2:, 2:] if fit.lines else np.zeros((2, 2))
    both = line[:2, 2:] if fit.lines else np.zeros((2, 2))
    within = [fit.first_cov]
    for _ in range(T - 1):
        within.append(fit.phi @ within[-1] @ fit.phi.T + fit.residual_cov)
    out = np.empty((T, 2, T, 2))
    for s in range(T):
        for t in range(s, T):
            block = levels + t * both + s * both.T + s * t * slopes
            block = block + within[s] @ np.linalg.matrix_power(fit.phi, t - s).T
            block = block + (s == t) * np.diag(fit.error_var)
            out[s, :, t], out[t, :, s] = block, block.T
    return out.reshape(2 * T, 2 * T), within


def direct(Y, means, sigma):
    """Log-likelihood of all available data, person by person."""
    total = 0.0
    for row in Y.reshape(len(Y), -1):
        seen = np.isfinite(row)
        if seen.any():
            some = sigma[np.ix_(seen, seen)]
            total += multivariate_normal(means.ravel()[seen], some).logpdf(row[seen])
    return total


@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize("error", [None, "free", (0.7, 0.8), (0.75, None)])
def test_likelihood_is_that_of_the_model_written_out(lines, error):
    Y = draw(np.random.default_rng(3), 250, 6, slope=0.3 * lines, skipped=0.08)
    fit = fit_starts(Y, error=error, lines=lines)
    assert fit.converged
    sigma, _ = covariance(fit, 6)
    # Sums of 250 terms of about 10, each to rounding.
    assert direct(Y, fit.means, sigma) == pytest.approx(fit.loglik, abs=1e-8)


@pytest.mark.parametrize("kind", ["within", "total"])
def test_error_is_what_the_reliability_leaves_of_the_variances_averaged_over_sessions(kind):
    Y = draw(np.random.default_rng(4), 300, 5, slope=0.3)
    fit = fit_starts(Y, error=(0.7, 0.85), kind=kind, lines=True)
    _, within = covariance(fit, 5)
    for v, reliability in enumerate((0.7, 0.85)):
        line = fit.line_cov[np.ix_([v, v + 2], [v, v + 2])]
        own = [np.array([1.0, t]) @ line @ [1.0, t] for t in range(5)]
        middle = np.array([1.0, 2.0]) @ line @ [1.0, 2.0]
        true = np.mean(own) - (middle if kind == "within" else 0.0) + np.mean([w[v, v] for w in within])
        assert fit.error_var[v] == pytest.approx((1 - reliability) / reliability * true, rel=1e-10)


def written_out(theta, occasions, reliability, kind):
    """Sigma of the model with reliabilities given, by loops over sessions: R, Phi, W, Q in this order."""
    R, W, Q = (np.array([[a, b], [b, c]]) for a, b, c in (theta[:3], theta[7:10], theta[10:13]))
    phi = theta[3:7].reshape(2, 2)
    within = [W]
    for _ in range(occasions - 1):
        within.append(phi @ within[-1] @ phi.T + Q)
    true = np.mean(within, axis=0) + (R if kind == "total" else 0.0)
    error = np.diag((1 - np.array(reliability)) / reliability * np.diag(true))
    out = np.empty((occasions, 2, occasions, 2))
    for s in range(occasions):
        for t in range(s, occasions):
            block = R + within[s] @ np.linalg.matrix_power(phi, t - s).T + (s == t) * error
            out[s, :, t], out[t, :, s] = block, block.T
    return out.reshape(2 * occasions, -1)


@pytest.mark.parametrize("kind", ["within", "total"])
def test_maximum_and_errors_are_those_of_the_likelihood_written_out(kind):
    """Complete data: n log|Sigma| + n tr(Sigma^-1 S), differentiated numerically at the estimates."""
    Y = draw(np.random.default_rng(15), 400, 4)
    fit = fit_starts(Y, error=(0.7, 0.8), kind=kind)
    S = np.cov(Y.reshape(len(Y), -1).T, bias=True)

    def minus(theta):
        sigma = written_out(theta, 4, (0.7, 0.8), kind)
        return 0.5 * len(Y) * (np.linalg.slogdet(sigma)[1] + np.trace(np.linalg.solve(sigma, S)))

    K, h = len(fit.estimate), 1e-4
    e = h * np.eye(K)
    at = lambda *moves: minus(fit.estimate + sum(moves))  # noqa: E731
    gradient = np.array([(at(e[k]) - at(-e[k])) / (2 * h) for k in range(K)])
    # In standard errors; the third derivatives leave h^2 of the information, 1e-5 or so.
    assert np.all(np.abs(gradient * fit.std_error) < 1e-3)
    second = np.array([[(at(a, b) - at(a, -b) - at(-a, b) + at(-a, -b)) / (4 * h * h) for a in e] for b in e])
    # Rounding: 1e-13 of 1e3 over h^2, which is 1e-2 beside curvatures of 1e2 and more.
    assert np.sqrt(np.diag(np.linalg.inv(second))) == pytest.approx(fit.std_error, rel=1e-3)


@pytest.mark.parametrize("kind", ["within", "total"])
def test_from_one_kind_of_reliability_to_the_other(kind):
    """The formula that the estimators' page gives, with the model's own share of variance between persons."""
    Y = draw(np.random.default_rng(5), 300, 6, leaving=0.05)
    fit = fit_starts(Y, error=(0.7, 0.8), kind=kind)
    given = fit.reliability_within if kind == "within" else fit.reliability_total
    assert given == pytest.approx([0.7, 0.8], rel=1e-12)
    _, within = covariance(fit, 6)
    true = np.mean([np.diag(w) for w in within], axis=0)
    between = np.diag(fit.line_cov) / (np.diag(fit.line_cov) + true)
    odds = (1 - fit.reliability_total) / fit.reliability_total
    assert odds / (1 - between) == pytest.approx(
        (1 - fit.reliability_within) / fit.reliability_within, rel=1e-10
    )


@pytest.mark.parametrize("leaving, skipped", [(0.0, 0.0), (0.08, 0.0), (0.0, 0.1)])
@pytest.mark.parametrize("se", ["observed", "sandwich"])
def test_without_error_it_is_the_random_intercept_model(leaving, skipped, se):
    Y = draw(np.random.default_rng(6), 200, 5, leaving=leaving, skipped=skipped)
    plain = fit_riclpm(Y, se=se)
    for error in (None, (1.0, 1.0)):
        fit = fit_starts(Y, error=error, se=se)
        assert fit.estimate == pytest.approx(plain.estimate, abs=1e-6)
        assert fit.std_error == pytest.approx(plain.std_error, rel=1e-5)
        assert fit.loglik == pytest.approx(plain.loglik, abs=1e-8)
        assert fit.means == pytest.approx(plain.means, abs=1e-6)


def test_error_variances_stop_at_zero_and_that_is_said():
    Y = draw(np.random.default_rng(14), 300, 6, reliability=1.0)
    fit = fit_starts(Y)
    assert fit.converged
    assert fit.boundary
    for name in fit.boundary:
        row = fit.tidy().set_index("term").loc[f"var(error_{name})"]
        assert row["estimate"] == 0.0
        assert np.isnan(row["std_error"])
    known = [1.0 if name in fit.boundary else None for name in ("x", "y")]
    same = fit_starts(Y, error=known)
    assert fit.loglik == pytest.approx(same.loglik, abs=1e-9)
    assert fit.phi_se == pytest.approx(same.phi_se, rel=1e-9)
    # On either side of the bound the likelihood is lower: no reliability below 1 has a higher one.
    for lower in (0.98, 0.9):
        less = [lower if name in fit.boundary else None for name in ("x", "y")]
        assert fit_starts(Y, error=less).loglik < fit.loglik
    assert "bound" in fit._repr_html_()


@pytest.mark.parametrize("error", ["free", (0.7, 0.7), None])
def test_side_by_side_as_one_by_one(error):
    rng = np.random.default_rng(21)
    sets = [draw(rng, n, 7, leaving=0.06) for n in (150, 220, 300, 180)]
    sets += [draw(rng, 150, 7, skipped=0.05), sets[0][:10]]
    many = fit_starts_many(sets, error=error)
    for b, Y in enumerate(sets[:5]):
        one = fit_starts(Y, error=error)
        assert many.converged[b] == one.converged
        assert many.loglik[b] == pytest.approx(one.loglik, abs=1e-8)
        # What the class of many promises.
        assert many.phi[b] == pytest.approx(one.phi, abs=1e-6)
        assert many.phi_se[b] == pytest.approx(one.phi_se, rel=1e-5)
        assert many.boundary[b].tolist() == [v in one.boundary for v in ("x", "y")]
        assert many.reliability_within[b] == pytest.approx(one.reliability_within, abs=1e-6)
    assert np.isnan(many.loglik[5])
    assert "10 persons" in many.messages[5]


@pytest.mark.parametrize("missing", [{"leaving": 0.06}, {"skipped": 0.05}])
def test_each_data_set_has_its_own_reliability(missing):
    """With skipped sessions those with the same one are searched together, whatever lies between them."""
    rng = np.random.default_rng(22)
    sets = [draw(rng, 200, 6, **missing) for _ in range(6)]
    alike = [0.7, 0.8]
    known = np.array([alike, [0.9, np.nan], [0.6, 0.7], [np.nan, np.nan], alike, [0.5, 0.5]])
    many = fit_starts_many(sets, error=known)
    for b, Y in enumerate(sets):
        one = fit_starts(Y, error=tuple(known[b]))
        assert many.loglik[b] == pytest.approx(one.loglik, abs=1e-8)
        assert many.estimate[b, -2:] == pytest.approx(one.error_var, abs=1e-6)
        # By the delta method where it is implied; NaN at the bound for both.
        assert many.std_error[b, -2:] == pytest.approx(one.error_se, rel=1e-4, nan_ok=True)


def test_curve_ends_at_the_model_without_error():
    Y = draw(np.random.default_rng(8), 250, 7, leaving=0.06)
    curve = reliability_curve(Y, (0.6, 0.8, 1.0))
    plain, known = fit_riclpm(Y), fit_starts(Y, error=(0.6, 0.6))
    assert curve.phi[2] == pytest.approx(plain.phi, abs=1e-6)
    assert curve.phi[0] == pytest.approx(known.phi, abs=1e-6)
    table = curve.tidy()
    assert len(table) == 12
    assert (table["ci_low"] < table["estimate"]).all()


def test_profile_is_the_likelihood_ratio_interval():
    Y = draw(np.random.default_rng(9), 4000, 5)
    wald = fit_starts(Y, error=(0.7, 0.7)).tidy().set_index("term").loc[["x->y", "y->x"]]
    profile = profile_effects(Y, error=(0.7, 0.7)).tidy().set_index("term")
    half = (wald["ci_high"] - wald["ci_low"]) / 2
    # With 4,000 persons the likelihood is nearly normal; skewness is of the order of one over their root.
    for end in ("ci_low", "ci_high"):
        assert np.all(np.abs(profile[end] - wald[end]) < 0.05 * half)


@pytest.mark.slow
def test_profile_is_wider_where_error_is_estimated_at_its_bound():
    Y = draw(np.random.default_rng(14), 300, 6, reliability=1.0)
    assert fit_starts(Y).boundary
    wald = fit_starts(Y).tidy().set_index("term").loc[["x->y", "y->x"]]
    profile = profile_effects(Y).tidy().set_index("term")
    ratio = (profile["ci_high"] - profile["ci_low"]) / (wald["ci_high"] - wald["ci_low"])
    assert ratio.max() > 1.1


@pytest.mark.slow
def test_recovery_with_known_reliability():
    """True values are covered, and the model without error is far off: 200 panels of 300."""
    rng = np.random.default_rng(31)
    phi = np.array([[0.4, 0.0], [0.0, 0.4]])
    sets = [draw(rng, 300, 7, leaving=0.05, phi=phi) for _ in range(200)]
    fit = fit_starts_many(sets, error=(0.7, 0.7))
    assert fit.converged.all()
    off = fit.phi - phi
    # Four Monte Carlo standard errors, and for coverage three of them.
    assert np.all(np.abs(off.mean(axis=0)) < 4 * off.std(axis=0) / np.sqrt(200) + 0.01)
    covered = (np.abs(off) < 1.96 * fit.phi_se).mean(axis=0)
    assert np.all(np.abs(covered - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 200))
    plain = fit_starts_many(sets, error=None)
    assert (np.abs(plain.phi[:, 1, 0]) > 1.96 * plain.phi_se[:, 1, 0]).mean() > 0.15


@pytest.mark.slow
@pytest.mark.parametrize("reliability", [1.0, 0.7])
def test_recovery_with_lines(reliability):
    """With own lines, and errors known by the share that they have of what varies within persons, lines included."""
    rng = np.random.default_rng(32)
    # With errors the lines leave little to tell the process by: with 300 persons 95 % intervals of autoregressions cover
    # 82 %, with 1,500 of them 87 to 94; those of cross-lags are right.
    n = 300 if reliability == 1.0 else 1500
    sets = [draw(rng, n, 7, slope=0.25, reliability=reliability, leaving=0.05) for _ in range(100)]
    true = 1.0 + 0.25**2 * np.var(np.arange(7))
    share = true / (true + (1.0 - reliability) / reliability)
    fit = fit_starts_many(sets, error=(share, share), lines=True)
    used = fit.converged
    assert used.mean() > 0.95
    off = (fit.phi - PHI)[used]
    # Four Monte Carlo standard errors and a bias of a fifth of the estimates' spread; for coverage three of them.
    assert np.all(np.abs(off.mean(axis=0)) < (4 / np.sqrt(len(off)) + 0.2) * off.std(axis=0))
    covered = (np.abs(off) < 1.96 * fit.phi_se[used]).mean(axis=0)
    allowed = 3 * np.sqrt(0.95 * 0.05 / 100)
    assert np.all(covered[[0, 1], [1, 0]] > 0.95 - allowed)
    assert np.all(covered > (0.95 if reliability == 1.0 else 0.85) - allowed)


def test_what_cannot_be_is_refused():
    Y = draw(np.random.default_rng(1), 60, 4)
    for wrong in ((0.0, 0.7), (1.2, 0.7), (0.7, -0.1)):
        with pytest.raises(ValueError, match="reliability must lie above 0"):
            fit_starts(Y, error=wrong)
    with pytest.raises(ValueError, match="two reliabilities"):
        fit_starts(Y, error=(0.7, 0.7, 0.7))
    with pytest.raises(ValueError, match="must be one of free"):
        fit_starts(Y, error="known")
    with pytest.raises(NotEstimable, match="needs 4 occasions, got 3"):
        fit_starts(Y[:, :3])
    with pytest.raises(NotEstimable, match="own lines and unknown error needs 5 occasions"):
        fit_starts(Y, lines=True)
    few = fit_starts_many([Y[:, :3]] * 2)
    assert not few.converged.any()
    assert "needs 4 occasions" in few.messages[0]


def test_results_show_themselves():
    Y = draw(np.random.default_rng(2), 120, 5, leaving=0.05)
    fit = fit_starts(Y, error=(0.8, 0.8), variables=("a<b", "c"))
    assert "a&lt;b" in fit._repr_html_()
    assert fit.glance().loc[0, "reliability_within_x"] == pytest.approx(0.8)
    many = fit_starts_many([Y, Y], error=(0.8, 0.8))
    assert len(many.tidy()) == 2 * len(many.names)
    assert len(many.glance()) == 2
    assert "2 converged" in many._repr_html_()
    assert "reliability" in reliability_curve(Y, (0.8,))._repr_html_()
