"""fit_dpm: by hand algebra, against lavaan (tests/reference/dpm.R), by simulation, its options and refusals."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

from twostage.stats.base.checks import NotEstimable
from twostage.stats.dpm.fit import DpmStructure, check_dpm, fit_dpm, fit_dpm_many, starting_values
from twostage.stats.fiml.likelihood import group_patterns
from twostage.stats.fiml.maximum import maximise
from twostage.stats.riclpm.model import RiclpmStructure
from twostage.stats.riclpm.model import starting_values as special

REFERENCE = Path(__file__).parents[2] / "reference"
EXACT = 1e-12  # rounding of a few sums of order one
# Log-likelihoods and estimates: lavaan's optimiser stops within this of the maximum.
AGREEMENT = 1e-5
# lavaan's information is differentiated numerically.
SE_AGREEMENT = 1e-4
# The same fit in other units or company: both end within 1e-6 standard errors of the maximum.
SAME = 1e-7
# Central differences with step 1e-5 (truncation and rounding near 1e-10), relative to the largest entry.
DIFFERENCE, STEP = 1e-7, 1e-5
# A correct statement about replicates lies this many Monte Carlo errors off in one of 16,000.
Z = 4.0
PHI = np.array([[0.3, -0.05], [-0.07, 0.3]])
CASES = {
    "complete": {"T": 7, "k": 0},
    "incomplete": {"T": 7, "k": 0},
    "package": {"T": 5, "k": 2, "residuals": "free", "simultaneous": False},
    "short": {"T": 3, "k": 0},
    "large": {"T": 4, "k": 1, "simultaneous": False},
}


def simulated(seed, n, T=5, missing=0.0, dropout=0.0):
    """A synthetic stationary panel: PHI, correlated shocks, correlated intercepts, a common trend."""
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky([[1.0, -0.3], [-0.3, 1.0]])
    intercept, w = (rng.normal(size=(n, 2)) @ root.T for _ in range(2))
    Y = np.empty((n, T, 2))
    for t in range(-20, T):
        w = w @ PHI.T + rng.normal(size=(n, 2)) @ root.T
        Y[:, max(t, 0)] = intercept + w + 0.1 * t
    Y[rng.random(Y.shape) < missing] = np.nan
    Y[np.arange(T) >= (rng.geometric(dropout, n) if dropout else np.full(n, T))[:, None]] = np.nan
    return Y


@pytest.fixture(scope="module")
def recorded():
    tables = {name: pd.read_csv(REFERENCE / f"dpm_{name}.csv") for name in ("estimates", "fits")}
    return tables | {"panels": pd.read_csv(REFERENCE / "dpm_panels.csv.gz")}


def of(table, case, direction):
    return table[(table["case"] == case) & (table["direction"] == direction)]


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_lavaan(recorded, case):
    options = dict(CASES[case])
    T, k = options.pop("T"), options.pop("k")
    data = recorded["panels"][recorded["panels"]["case"] == case]
    Y = data[[f"{v}{t}" for t in range(1, T + 1) for v in "xy"]].to_numpy().reshape(-1, T, 2)
    fit = fit_dpm(Y, covariates=data[[f"z{j}" for j in range(1, k + 1)]].to_numpy(), **options)
    assert fit.converged.all()
    for outcome, direction in ((0, "y_to_x"), (1, "x_to_y")):
        theirs = of(recorded["fits"], case, direction).iloc[0]
        assert fit.loglik[outcome] == pytest.approx(theirs["loglik"], abs=AGREEMENT)
        assert (fit.n_parameters[outcome], fit.n_obs[outcome]) == (theirs["n_parameters"], theirs["n_obs"])
        table = of(recorded["estimates"], case, direction).set_index("term")
        residuals = [f"v{t}" for t in range(2, T + 1)] if "residuals" in options else ["v"]
        table = table.loc[["b1", "b2", *(f"c{j}" for j in range(1, k + 1)), "a", *residuals]]
        scale = np.maximum(table["estimate"].abs(), 1.0)
        np.testing.assert_allclose(fit.estimate[outcome] / scale, table["estimate"] / scale, atol=AGREEMENT)
        np.testing.assert_allclose(fit.std_error[outcome], table["std_error"], rtol=SE_AGREEMENT)
        np.testing.assert_array_equal(fit.phi[outcome, [1 - outcome, outcome]], fit.estimate[outcome, :2])
        np.testing.assert_array_equal(fit.phi_se[outcome, [1 - outcome, outcome]], fit.std_error[outcome, :2])


def test_three_occasions_by_hand():
    """Covariances of x1, y1, x2, y2, y3 written out for one theta."""
    model = DpmStructure(3, 0, "equal", True)
    b1, b2, A, V, g_y, g_1, g_2 = 0.2, 0.5, 0.6, 1.5, 0.3, 0.1, -0.2
    x11, x21, x22, y1x1, y1x2, y11, late = 1.0, 0.4, 1.2, 0.15, 0.25, 2.0, 0.35
    sigma = model.sigma(np.array([b1, b2, A, V, g_y, g_1, g_2, x11, x21, x22, y1x1, y1x2, y11, late]))
    y2x1 = b1 * x11 + b2 * y1x1 + g_1
    y2y1 = b1 * y1x1 + b2 * y11 + g_y
    y2x2 = b1 * x21 + b2 * y1x2 + late
    y2u3 = b1 * g_1 + b2 * g_y + A
    y22 = b1 * y2x1 + b2 * y2y1 + (b1 * g_1 + b2 * g_y + V)
    y3x1, y3y1 = b1 * x21 + b2 * y2x1 + g_1, b1 * y1x2 + b2 * y2y1 + g_y
    y3x2, y3y2 = b1 * x22 + b2 * y2x2 + g_2, b1 * y2x2 + b2 * y22 + y2u3
    y33 = b1 * y3x2 + b2 * y3y2 + (b1 * g_2 + b2 * y2u3 + V)
    by_hand = [[x11], [y1x1, y11], [x21, y1x2, x22], [y2x1, y2y1, y2x2, y22], [y3x1, y3y1, y3x2, y3y2, y33]]
    lower = sigma[np.tril_indices(5)]
    np.testing.assert_allclose(lower, [value for row in by_hand for value in row], atol=EXACT)


@pytest.mark.parametrize("residuals", ["equal", "free"])
@pytest.mark.parametrize("simultaneous", [True, False])
def test_start_is_proper_and_derivatives_are_right(residuals, simultaneous):
    model = DpmStructure(4, 2, residuals, simultaneous)
    Y = simulated(2, 200, T=4, missing=0.1)
    spread = np.nanstd(Y, axis=(0, 1))
    theta = starting_values(model, group_patterns([(Y / spread).reshape(len(Y), -1)]))
    assert np.linalg.eigvalsh(model.sigma(theta))[0].min() > 0.05
    G = np.random.default_rng(1).normal(size=(model.n_columns, model.n_columns))
    G = G + G.T
    moved = STEP * np.eye(model.n_parameters)
    slope = (model.sigma(theta + moved) - model.sigma(theta - moved)) / (2 * STEP)
    np.testing.assert_allclose(model.jacobian(theta[0]), slope, atol=DIFFERENCE * np.abs(slope).max())
    pulled = (slope * G).sum(axis=(1, 2))
    np.testing.assert_allclose(model.pullback(theta[0], G), pulled, atol=DIFFERENCE * np.abs(pulled).max())


def test_the_random_intercept_model_is_a_special_case():
    """Its implied covariance matrix is one of this model's: the starting values reproduce it."""
    Y = simulated(3, 300, T=5)
    scaled = group_patterns([(Y / Y.std(axis=(0, 1))).reshape(300, -1)])
    model = DpmStructure(5, 0, "equal", True)
    theta = starting_values(model, scaled)
    inside = RiclpmStructure(5, "equal", "equal", "free")
    kept = [0, 1, 2, 3, 4, 5, 6, 7, 9]
    expected = inside.sigma(special(inside, scaled))[0][np.ix_(kept, kept)]
    np.testing.assert_allclose(model.sigma(theta)[0], expected, atol=EXACT)


def test_likelihood_is_the_gaussian_one_person_by_person():
    Y = simulated(4, 60, T=4, missing=0.15, dropout=0.05)
    fit = fit_dpm(Y)
    model = DpmStructure(4, 0, "equal", True)
    columns = [0, 1, 2, 3, 4, 5, 7]
    rows = Y.reshape(60, -1)[:, columns]
    panel = check_dpm(Y, np.empty((60, 0)), ("x", "y"), (), model.n_parameters)
    scaled, spread = panel.direction(1)
    patterns = group_patterns([scaled])
    optimum = maximise(model, patterns, starting_values(model, group_patterns([panel.scores])))
    sigma = model.sigma(optimum.point.theta)[0] * spread[:, None] * spread
    means = (optimum.point.means[0] + patterns.centre[0]) * spread
    total = 0.0
    for row in rows:
        seen = ~np.isnan(row)
        if seen.any():
            total += multivariate_normal(means[seen], sigma[np.ix_(seen, seen)]).logpdf(row[seen])
    assert fit.loglik[1] == pytest.approx(total, abs=1e-8)


def test_units_and_roles():
    Y = simulated(5, 150, missing=0.1)
    z = np.random.default_rng(3).normal(size=150)
    fit = fit_dpm(Y, covariates=z)
    other = fit_dpm(Y * [10.0, 0.01] + [5.0, -3.0], covariates=100 * z)
    ratio = np.array([[1.0, 1000.0], [0.001, 1.0]])
    np.testing.assert_allclose(other.phi, fit.phi * ratio, rtol=SAME, atol=SAME)
    np.testing.assert_allclose(other.phi_se, fit.phi_se * ratio, rtol=1e-5)
    np.testing.assert_allclose(other.estimate[:, 2], fit.estimate[:, 2] * [0.1, 0.0001], rtol=1e-5)
    swapped = fit_dpm(Y[:, :, ::-1], covariates=z)
    np.testing.assert_allclose(swapped.phi, fit.phi[::-1, ::-1], atol=SAME)
    np.testing.assert_allclose(swapped.loglik, fit.loglik[::-1], rtol=1e-10)


def test_many_are_the_single_fits_and_bad_ones_disturb_nobody():
    sets = [simulated(seed, 80 + seed, missing=0.1, dropout=0.05) for seed in range(5)]
    sets[2] = np.full((50, 5, 2), 3.0)
    sets[4] = sets[4][:9]
    batch = fit_dpm_many(sets)
    assert batch.converged.all(axis=1).tolist() == [True, True, False, True, False]
    assert (
        "never varies" in batch.messages[2]
        and "9 persons with an observation for 30 parameters" in batch.messages[4]
    )
    assert np.isnan(batch.phi[[2, 4]]).all()
    for b in (0, 1, 3):
        fit = fit_dpm(sets[b])
        for name in ("phi", "phi_se", "loglik"):
            np.testing.assert_allclose(getattr(batch, name)[b], getattr(fit, name), rtol=SAME, atol=SAME)
        for name in ("admissible", "n_obs"):
            np.testing.assert_array_equal(getattr(batch, name)[b], getattr(fit, name))
    assert len(batch.tidy()) == 5 * 2 * 4 and len(batch.glance()) == 10
    assert "5 pairs of dynamic panel models: 3 converged" in batch._repr_html_()


@pytest.mark.parametrize("options", [{}, {"missing": 0.1, "dropout": 0.06}], ids=["complete", "incomplete"])
def test_recovers_the_truth_with_calibrated_errors(options):
    sets = [simulated(seed, 200, T=6, **options) for seed in range(60)]
    batch = fit_dpm_many(sets)
    assert batch.converged.all()
    error = batch.phi.std(axis=0, ddof=1) / np.sqrt(len(sets))
    assert (np.abs(batch.phi.mean(axis=0) - PHI) < Z * error).all()
    covered = (np.abs(batch.phi - PHI) < 1.959963984540054 * batch.phi_se).mean(axis=0)
    assert (np.abs(covered - 0.95) < Z * np.sqrt(0.95 * 0.05 / len(sets))).all()


def test_shocks_to_both_variables_at_once_mislead_the_model_that_forbids_them():
    sets = [simulated(seed, 400, T=6) for seed in range(20)]
    wrong = fit_dpm_many(sets, simultaneous=False).phi[:, 1, 0]
    assert np.abs(wrong.mean() - PHI[1, 0]) > Z * wrong.std(ddof=1) / np.sqrt(len(sets))


def test_covariates_are_recovered_and_persons_without_scores_left_out():
    rng = np.random.default_rng(80)
    Y, z = simulated(8, 2000, T=4), rng.normal(size=(2000, 2))
    # z stays in y: y_t - z = 0.3 (y_{t-1} - z) + ..., so c is 1 - 0.3 for y, and 0.05 for x.
    Y[:, :, 1] += z[:, :1]
    Y[:7] = np.nan
    fit = fit_dpm(Y, covariates=z, covariate_names=("age", "other"))
    assert fit.n_dropped == 7 and fit.n_obs.tolist() == [1993, 1993]
    c, se = fit.estimate[:, 2:4], fit.std_error[:, 2:4]
    assert (np.abs(c - [[0.05, 0.0], [0.7, 0.0]]) < Z * se).all()
    assert [term for term in fit.names[1] if "age" in term] == ["age->y"]


def test_tables_and_sandwich():
    Y = simulated(9, 300)
    fit = fit_dpm(Y, variables=("alliance", "symptoms"))
    tidy = fit.tidy()
    assert tidy["term"].tolist()[:2] == ["alliance->symptoms", "symptoms->symptoms"]
    assert tidy["direction"].tolist() == ["x_to_y"] * 4 + ["y_to_x"] * 4
    assert tidy["estimate"][0] == fit.phi[1, 0] and tidy["estimate"][4] == fit.phi[0, 1]
    np.testing.assert_allclose(tidy["ci_high"] - tidy["ci_low"], 2 * 1.959963984540054 * tidy["std_error"])
    assert fit.glance()["converged"].all() and "Dynamic panel models" in fit._repr_html_()
    robust = fit_dpm(Y, se="sandwich")
    np.testing.assert_array_equal(robust.phi, fit.phi)
    # Normal data: the two errors estimate the same thing.
    np.testing.assert_allclose(robust.phi_se, fit.phi_se, rtol=0.3)
    assert not np.array_equal(robust.phi_se, fit.phi_se)


def test_a_negative_variance_is_reported_not_hidden():
    rng = np.random.default_rng(12)
    w, Y = rng.normal(size=(200, 2)), np.empty((200, 4, 2))
    for t in range(4):
        w = -0.5 * w + rng.normal(size=(200, 2))
        Y[:, t] = w
    fits = [fit_dpm(Y), fit_dpm(Y[:100]), fit_dpm(Y[100:]), fit_dpm(Y[50:150])]
    values = np.concatenate([fit.estimate[:, 2] for fit in fits])
    flags = np.concatenate([fit.admissible for fit in fits])
    assert (values < 0).any() and not flags[values < 0].any()
    assert any("is negative" in text for fit in fits for text in fit.problems)


def test_occasions_nobody_came_to_are_left_out_at_the_ends_and_named_between():
    Y = simulated(6, 100, T=6)
    Y[:, [0, 5]] = np.nan
    fit, inner = fit_dpm(Y), fit_dpm(Y[:, 1:5])
    assert fit.occasions == (2, 5) and inner.occasions == (1, 4)
    np.testing.assert_array_equal(fit.phi, inner.phi)
    whole, gap, flat = simulated(6, 100, T=6), simulated(6, 100, T=6), simulated(6, 100, T=6)
    gap[:, 3, 1] = np.nan
    flat[:, 2, 0] = 1.0
    batch = fit_dpm_many([Y, gap, whole, flat])
    np.testing.assert_allclose(batch.phi[0], inner.phi, rtol=SAME, atol=SAME)
    np.testing.assert_allclose(batch.phi[2], fit_dpm(whole).phi, rtol=SAME, atol=SAME)
    assert batch.messages[1] == "nobody has y at occasion 4"
    assert batch.messages[3] == "x does not vary at occasion 3"
    assert "nobody has a score" in fit_dpm_many([Y, whole], residuals="free").messages[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Y": np.zeros((50, 4))}, "persons, occasions"),
        ({"Y": np.zeros((50, 2, 2))}, "at least 3 occasions"),
        ({"residuals": "none"}, "residuals must be"),
        ({"se": "robust"}, "se must be"),
        ({"covariates": np.zeros((3, 1))}, "one row per person"),
        ({"covariates": np.full((50, 1), np.inf)}, "finite"),
        ({"covariates": np.ones((50, 1)), "covariate_names": ("a", "b")}, "1 different names"),
        ({"variables": ("a", "a")}, "two different names"),
        ({"level": 95}, "level"),
    ],
)
def test_wrong_input_is_refused(change, message):
    given = {"Y": simulated(1, 50)} | change
    with pytest.raises(ValueError, match=message) as caught:
        fit_dpm(**given)
    assert not isinstance(caught.value, NotEstimable)


def test_what_cannot_be_estimated_says_why():
    Y = simulated(1, 50)
    with pytest.raises(
        NotEstimable, match="30 persons with an observation for 30 parameters besides the means"
    ):
        fit_dpm(Y[:30])
    twice = Y.copy()
    twice[:, 2:] = np.nan
    with pytest.raises(NotEstimable, match="scores at 2 occasions only"):
        fit_dpm(twice)
    with pytest.raises(NotEstimable, match="no persons"):
        fit_dpm(Y[:0])
    with pytest.raises(NotEstimable, match="covariate z1 never varies"):
        fit_dpm(Y, covariates=np.ones(50))
    with pytest.raises(ValueError, match="same number of occasions"):
        fit_dpm_many([Y, Y[:, :4]])
