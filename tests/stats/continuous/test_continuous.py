"""The process in continuous time: by hand, against the panel model, its derivatives, what is said and refused."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import expm, solve_continuous_lyapunov
from scipy.stats import multivariate_normal

sys.path.insert(0, str(Path(__file__).parent))
from known_process import BETWEEN, DRIFT, SPREAD, drawn

from twostage.stats.base import NotEstimable
from twostage.stats.continuous import fit_continuous
from twostage.stats.continuous.likelihood import ContinuousLikelihood, group_persons
from twostage.stats.continuous.process import carried, carried_slopes, noise, settled
from twostage.stats.riclpm import fit_riclpm

# Sums and exponentials of a few numbers near 1.
ROUNDING = 1e-12
# Of central differences with a step of 1e-5, whose own error is its square.
DIFFERENCES = 1e-6
# Both maxima are found to a gain in log-likelihood of 1e-10: a hundred-thousandth of a standard error.
SAME_MAXIMUM = 1e-5
# Relative: second derivatives by forward differences on one side, exact ones on the other.
SAME_ERROR = 1e-6


def theta_of(likelihood, drift, first=None, error=(0.3, 0.2)):
    """Parameters near those that `drawn` has."""
    phi = carried(drift, np.ones(1))[0]
    theta = np.empty(likelihood.size)
    parts = {"drift": drift.ravel(), "error": np.array(error)}
    for name, matrix in (
        ("residual", SPREAD - phi @ SPREAD @ phi.T),
        ("first", SPREAD if first is None else first),
        ("intercept", BETWEEN),
    ):
        parts[name] = matrix[[0, 0, 1], [0, 1, 1]]
    for name, place in likelihood.places.items():
        theta[place] = parts[name][: place.stop - place.start]
    return theta


@pytest.mark.parametrize(
    "drift",
    [DRIFT, np.array([[-0.1, 0.2], [-0.3, -0.1]]), np.diag([-0.2, -0.2]), np.array([[-0.2, 0.1], [0, -0.2]])],
)
def test_what_is_carried_over_is_the_matrix_exponential(drift):
    intervals = np.array([0.0, 1e-6, 0.5, 7.0, 40.0])
    expected = np.array([expm(drift * d) for d in intervals])
    assert carried(drift, intervals) == pytest.approx(expected, abs=ROUNDING)


@pytest.mark.parametrize("drift", [DRIFT, np.array([[-0.1, 0.2], [-0.3, -0.1]]), np.diag([-0.2, -0.2])])
def test_derivatives_of_what_is_carried_over(drift):
    intervals, steps = np.array([0.0, 0.5, 7.0, 40.0]), 1e-5 * np.eye(4).reshape(4, 2, 2)
    ends = [np.array([[expm((drift + sign * h) * d) for d in intervals] for h in steps]) for sign in (1, -1)]
    assert carried_slopes(drift, intervals) == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=DIFFERENCES)


def test_noise_and_settled_covariance_are_lyapunovs():
    diffusion = np.array([[0.3, 0.05], [0.05, 0.4]])
    spread = solve_continuous_lyapunov(DRIFT, -diffusion)
    phi = expm(DRIFT)
    assert settled(DRIFT, spread - phi @ spread @ phi.T) == pytest.approx(spread, abs=ROUNDING)
    assert noise(DRIFT, spread) == pytest.approx(diffusion, abs=ROUNDING)


def test_one_person_two_sessions_by_hand():
    # Cov(y1) = W + B, Cov(y2, y1) = e^(3A) W + B, Cov(y2) = e^(3A) W e^(3A)' + noise of 3 days + B,
    # the noise integrated in steps.
    first, days = np.array([[0.9, 0.1], [0.1, 0.8]]), np.array([[2.0, 5.0]])
    y = np.array([[[1.0, -0.5], [0.3, 0.8]]])
    kept, step = expm(3 * DRIFT), 1e-3
    diffusion = -(DRIFT @ SPREAD + SPREAD @ DRIFT.T)
    middles = [expm(DRIFT * (k + 0.5) * step) for k in range(3000)]
    new = step * sum(m @ diffusion @ m.T for m in middles)
    sigma = np.block(
        [
            [first + BETWEEN, first @ kept.T + BETWEEN],
            [kept @ first + BETWEEN, kept @ first @ kept.T + new + BETWEEN],
        ]
    )
    likelihood = ContinuousLikelihood(group_persons(y, days, 1.0), np.tile(np.eye(2), (2, 1)), True, False)
    theta = theta_of(likelihood, DRIFT, first)
    # The middle of steps of .001 is right to their square.
    assert likelihood.covariances(theta)[0] == pytest.approx(sigma, abs=1e-6)
    design = np.tile(np.eye(2), (2, 1))
    weights = np.linalg.inv(sigma)
    mean = np.linalg.solve(design.T @ weights @ design, design.T @ weights @ y.ravel())
    expected = -multivariate_normal(design @ mean, sigma).logpdf(y.ravel())
    assert likelihood.value_and_gradient(theta)[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("free", "error", "missing"), [(True, True, 0.2), (False, False, 0.1), (True, False, 0.0)]
)
def test_gradient_and_scores(free, error, missing):
    Y, days = drawn(3, 30, 4, missing=missing)
    keep = np.isfinite(Y).any(axis=(1, 2))
    design = np.eye(8)
    likelihood = ContinuousLikelihood(group_persons(Y[keep], days[keep], 7.0), design, free, error)
    theta = theta_of(likelihood, 7 * DRIFT)
    gradient = likelihood.value_and_gradient(theta)[1]
    steps = 1e-5 * np.eye(len(theta))
    values = [[likelihood.value_and_gradient(theta + sign * h)[0] for h in steps] for sign in (1, -1)]
    assert gradient == pytest.approx((np.array(values[0]) - values[1]) / 2e-5, abs=DIFFERENCES * len(Y))
    assert likelihood.scores(theta).sum(axis=0) == pytest.approx(-gradient, abs=1e-9)


@pytest.mark.parametrize("se", ["observed", "sandwich"])
def test_equal_intervals_give_the_panel_model(se):
    Y, _ = drawn(4, 200, 5, gaps=(7, 8), missing=0.1)
    days = np.tile(7.0 * np.arange(5), (len(Y), 1)) + np.arange(len(Y))[:, None]
    fit, panel = fit_continuous(Y, days, se=se), fit_riclpm(Y, se=se)
    weekly = fit.effects([7.0])
    assert fit.converged and fit.admissible and fit.unit == 7.0
    assert fit.n_patterns == panel.n_patterns
    assert fit.loglik == pytest.approx(panel.loglik, abs=1e-8)
    assert weekly.phi[0] == pytest.approx(panel.phi, abs=SAME_MAXIMUM * panel.phi_se.min())
    assert weekly.phi_se[0] == pytest.approx(panel.phi_se, rel=SAME_ERROR)
    assert expm(7 * fit.drift) == pytest.approx(panel.phi, abs=SAME_MAXIMUM * panel.phi_se.min())
    assert fit.intercept_cov == pytest.approx(panel.intercept_cov, abs=1e-6)
    assert fit.means == pytest.approx(panel.means, abs=1e-6)
    assert fit.n_parameters == panel.n_parameters


def test_units_of_scores_and_times_change_nothing_else():
    Y, days = drawn(5, 120, 5, missing=0.1)
    fit, other = fit_continuous(Y, days), fit_continuous(Y * [10.0, 0.1] + [50.0, 3.0], days / 7 + 1000.0)
    assert other.effects([1.0]).phi[0] * [[1, 0.01], [100, 1]] == pytest.approx(
        fit.effects([7.0]).phi[0], abs=1e-8
    )
    assert other.diffusion * [[0.01, 1], [1, 100]] == pytest.approx(7 * fit.diffusion, abs=1e-7)
    assert other.std_error[0] == pytest.approx(7 * fit.std_error[0], rel=1e-5)


def test_an_average_over_intervals_is_between_them():
    Y, days = drawn(6, 150, 5)
    fit = fit_continuous(Y, days)
    one, two, both = fit.effects([4.0]), fit.effects([10.0]), fit.effects([4.0, 10.0], [3.0, 1.0])
    assert both.phi == pytest.approx(0.75 * one.phi + 0.25 * two.phi, abs=ROUNDING)
    assert both.intervals == pytest.approx([5.5])
    # By the delta method with differences instead of exact derivatives.
    turn = []
    for k in range(4):
        move = 1e-6 * np.eye(4)[k].reshape(2, 2)
        ends = [
            0.75 * expm(4 * (fit.drift + s * move)) + 0.25 * expm(10 * (fit.drift + s * move))
            for s in (1, -1)
        ]
        turn.append((ends[0] - ends[1]).ravel() / 2e-6)
    expected = np.array(turn).T @ fit.cov[:4, :4] @ np.array(turn)
    assert both.cov[0] == pytest.approx(expected, rel=1e-6)


def test_an_error_variance_at_its_bound_is_said():
    Y, days = drawn(1, 150, 5, missing=0.1)
    without, fit = fit_continuous(Y, days), fit_continuous(Y, days, error=True)
    assert fit.loglik >= without.loglik - 1e-8
    assert fit.boundary and "bound" in fit.notes()[0]
    held = [
        name.startswith("error") and np.isnan(e) for name, e in zip(fit.names, fit.std_error, strict=True)
    ]
    assert sum(held) == len(fit.boundary)
    assert np.isfinite(fit.drift_se).all()


def test_scores_that_nothing_carries_over_are_said_to_be_at_the_bound():
    rng = np.random.default_rng(8)
    days = np.cumsum(rng.integers(4, 11, (120, 5)), axis=1).astype(float)
    fit = fit_continuous(rng.normal(size=(120, 1, 2)) + rng.normal(size=(120, 5, 2)), days)
    assert fit.boundary or fit.weak or not fit.converged or not fit.admissible
    assert fit.notes()


def test_results_show_themselves():
    fit = fit_continuous(*drawn(5, 80, 4))
    assert list(fit.tidy()["term"][:4]) == ["drift x<-x", "drift x<-y", "drift y<-x", "drift y<-y"]
    assert fit.glance()["n_obs"].tolist() == [80]
    assert "Process in continuous time" in fit._repr_html_()
    assert fit.effects([7.0, 14.0]).tidy()["interval"].tolist() == [7.0] * 4 + [14.0] * 4
    assert "interval" in fit.effects([7.0])._repr_html_()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda Y, t: (Y, t[:, ::-1]), "must increase within persons; person 0, session 1"),
        (lambda Y, t: (Y, np.where(np.arange(4) == 2, np.nan, t)), "must be finite where there is a score"),
        (lambda Y, t: (Y, t[:, :3]), "must have shape"),
        (lambda Y, t: (np.where(np.arange(4)[:, None] > 1, np.nan, Y), t), "nobody has 3 sessions"),
        (lambda Y, t: (np.where([True, False], 1.0, Y), t), "x does not vary"),
        (lambda Y, t: (Y[:10], t[:10]), "10 persons for 21 parameters"),
    ],
)
def test_what_cannot_be_estimated_is_named(change, said):
    with pytest.raises(ValueError, match=said):
        fit_continuous(*change(*drawn(7, 40, 4)))


def test_wrong_intervals_are_refused():
    fit = fit_continuous(*drawn(5, 80, 4))
    for wrong in ([0.0], [-1.0], [np.inf], []):
        with pytest.raises(ValueError, match="above 0"):
            fit.effects(wrong)
    with pytest.raises(ValueError, match="as many"):
        fit.effects([1.0, 2.0], [1.0])
    assert issubclass(NotEstimable, ValueError)


def test_an_unknown_time_of_a_session_without_scores_does_not_matter():
    Y, days = drawn(5, 80, 5)
    Y[::3, 4] = np.nan
    unknown = np.where(np.isnan(Y).all(axis=2), np.nan, days)
    assert fit_continuous(Y, unknown).loglik == pytest.approx(fit_continuous(Y, days).loglik, abs=1e-8)
