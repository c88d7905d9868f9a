"""Impulse responses of a matrix of lagged effects: by hand, against R, with the coverage that is promised."""

import json
from pathlib import Path

import numpy as np
import pytest

from twostage.stats.multilevel import impulse_responses, inner_outer, pool_mv, pool_pair, pool_several

REFERENCE = json.loads(
    (Path(__file__).parents[2] / "reference" / "responses.json").read_text(encoding="utf-8")
)
Y = np.array(REFERENCE["y"]).reshape(-1, 4)
V = np.array(REFERENCE["V"])

#: metafor's optimiser (BFGS with derivatives by differences) stops short of its maximum: ours is higher by 2e-7, and its
#: variances are known to the root of that, its coefficients somewhat better.
COEFFICIENTS, VARIANCES = 1e-4, 1e-3

#: Of R's derivatives by extrapolated differences.
DERIVATIVES = 1e-8


def test_the_pooled_matrix_is_metafors():
    fit = pool_several(Y, V)
    errors = np.sqrt(np.diag(REFERENCE["cov"]))
    assert fit.converged and not fit.singular
    assert np.abs((fit.coef - REFERENCE["coef"]) / errors).max() < COEFFICIENTS
    assert fit.loglik == pytest.approx(REFERENCE["loglik"], abs=1e-6)
    assert fit.loglik >= REFERENCE["loglik"]
    np.testing.assert_allclose(fit.G, REFERENCE["G"], rtol=VARIANCES, atol=VARIANCES * np.max(REFERENCE["G"]))


def test_responses_and_their_errors_are_rs():
    found = impulse_responses(np.reshape(REFERENCE["coef"], (2, 2)), REFERENCE["cov"], horizon=5)
    estimates = [*found.response, found.total]
    errors = [*found.response_se, found.total_se]
    for estimate, error, expected in zip(estimates, errors, REFERENCE["responses"], strict=True):
        np.testing.assert_allclose(estimate.ravel(), expected["estimate"], rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(error.ravel(), expected["std_error"], rtol=DERIVATIVES)


def test_by_hand_where_nothing_crosses():
    """Two separate processes: phi^h, h phi^(h-1) times its error, and 1 / (1 - phi) - 1."""
    variance = np.diag([0.01, 0.02, 0.03, 0.04])
    found = impulse_responses(np.diag([0.5, -0.2]), variance, horizon=3)
    assert found.response[:, 0, 0] == pytest.approx([0.5, 0.25, 0.125], rel=1e-14)
    assert found.response_se[:, 0, 0] == pytest.approx([0.1, 2 * 0.5 * 0.1, 3 * 0.25 * 0.1], rel=1e-14)
    assert np.diag(found.total) == pytest.approx([1.0, 1 / 1.2 - 1], rel=1e-14)
    assert np.diag(found.total_se) == pytest.approx([0.1 / 0.25, 0.2 / 1.44], rel=1e-14)
    # After two occasions a unit of x reaches y along two ways: phi_yx (phi_xx + phi_yy).
    assert found.response_se[1, 1, 0] == pytest.approx(np.sqrt(0.03) * 0.3, rel=1e-14)
    assert found.radius == 0.5 and found.stable
    assert found.glance()["half_life"].item() == pytest.approx(1.0)


def test_the_sum_is_that_of_all_responses():
    found = impulse_responses([[0.4, -0.2], [-0.1, 0.5]], 0.01 * np.eye(4), horizon=100)
    np.testing.assert_allclose(found.response.sum(axis=0), found.total, rtol=1e-12)


def test_a_process_that_does_not_die_out_has_no_sum():
    found = impulse_responses([[1.0, 0.1], [0.1, 0.4]], 0.01 * np.eye(4))
    assert not found.stable
    assert np.isnan(found.total).all() and np.isnan(found.total_se).all()
    assert "do not die out" in found._repr_html_()


def test_the_table_names_impulse_variable_and_occasion():
    found = impulse_responses(
        [[0.3, -0.1], [-0.2, 0.4]], 0.001 * np.eye(4), horizon=2, df=16, names=("a", "b")
    )
    table = found.tidy().set_index(["impulse", "variable", "occasion"])
    assert len(table) == 12
    assert table.loc[("a", "b", "1"), "estimate"] == -0.2
    assert table.loc[("b", "a", "1"), "estimate"] == -0.1
    assert table.loc[("a", "b", "all later"), "estimate"] == found.total[1, 0]
    # t with 16 degrees of freedom: qt(.975, 16) = 2.119905.
    assert table.loc[("a", "b", "1"), "ci_high"] == pytest.approx(-0.2 + 2.119905299 * np.sqrt(0.001))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"phi": np.eye(3)}, "phi must be"),
        ({"cov": np.arange(16.0).reshape(4, 4)}, "symmetric"),
        ({"phi": [[np.nan, 0], [0, 0]]}, "finite"),
        ({"horizon": 0}, "horizon must be a whole number from 1 to 100, got 0"),
        ({"horizon": 2.0}, "horizon"),
        ({"level": 1.5}, "level"),
    ],
)
def test_what_cannot_be_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        impulse_responses(**({"phi": np.eye(2) / 2, "cov": np.eye(4)} | change))


def test_the_pair_and_three_effects_are_the_general_models():
    pair = pool_pair(Y[:, :2], V[:, :2, :2])
    assert pool_several(Y[:, :2], V[:, :2, :2]).coef.tolist() == [pair.first.estimate, pair.second.estimate]
    long = pool_mv(
        Y[:, :3].ravel(),
        list(V[:, :3, :3]),
        np.tile(np.eye(3), (len(Y), 1)),
        random=inner_outer(np.tile(np.arange(3), len(Y)), np.repeat(np.arange(len(Y)), 3)),
        struct="UN",
        method="REML",
    )
    assert pool_several(Y[:, :3], V[:, :3, :3]).coef.tolist() == long.coef.tolist()


def test_a_study_may_lack_effects():
    some = Y.copy()
    some[0, 1:] = np.nan
    some[3] = np.nan
    fit = pool_several(some, V)
    assert fit.converged
    assert np.abs(fit.coef - pool_several(Y, V).coef).max() < 0.05


def test_intervals_of_responses_cover_as_they_promise():
    """Studies drawn around a known matrix: the interval of the response after two occasions holds the true one in 95 %."""
    rng, k, R = np.random.default_rng(7), 17, 150
    centre = np.array([0.35, -0.08, -0.12, 0.28])
    G, error = np.diag([0.05, 0.04, 0.04, 0.05]) ** 2, np.tile(0.04**2 * np.eye(4), (k, 1, 1))
    truth = np.linalg.matrix_power(centre.reshape(2, 2), 2)[1, 0]
    inside = 0
    for _ in range(R):
        drawn = centre + rng.multivariate_normal(np.zeros(4), G, k) + rng.normal(0, 0.04, (k, 4))
        fit = pool_several(drawn, error, struct="DIAG")
        found = impulse_responses(fit.coef.reshape(2, 2), fit.cov_coef, horizon=2, df=k - 1.0)
        row = found.tidy().set_index(["impulse", "variable", "occasion"]).loc[("x", "y", "2")]
        inside += row["ci_low"] <= truth <= row["ci_high"]
    # Three Monte Carlo standard errors of 150 draws at .95, and half a point for the delta method.
    assert abs(inside / R - 0.95) < 3 * np.sqrt(0.95 * 0.05 / R) + 0.005
