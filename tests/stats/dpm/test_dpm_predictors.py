"""fit_dpm with further time-varying predictors: by hand, against lavaan (dpm_predictors.R), by simulation."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from twostage.stats.base import NotEstimable
from twostage.stats.dpm import dpm_indices, fit_dpm
from twostage.stats.dpm.fit import DpmStructure

sys.path.insert(0, str(Path(__file__).parents[2] / "reference"))
from tables import FOLDER

REFERENCE = json.loads((FOLDER / "dpm_predictors.json").read_text())
# Of a standard error: where lavaan's search stands still, 1e-8 of log-likelihood below the maximum.
AGREEMENT = 3e-4
# lavaan's information is differentiated numerically.
SE_AGREEMENT = 1e-4
# Of log-likelihood: never lower, and lavaan stops within this of the maximum.
LOGLIK = 1e-5
EXACT = 1e-12  # rounding of a few sums of order one
# A correct statement about replicates lies this many Monte Carlo errors off in one of 16,000.
Z = 4.0


@pytest.fixture(scope="module")
def wages():
    """595 persons with the covariances of education, union membership, weeks and log wages that the reference has."""
    there = REFERENCE["wages"]
    rows = np.random.default_rng(1).standard_normal((there["n"], len(there["columns"])))
    rows -= rows.mean(axis=0)
    own = np.linalg.cholesky(rows.T @ rows / len(rows))
    rows = rows @ np.linalg.inv(own).T @ np.linalg.cholesky(np.array(there["covariance"])).T
    return pd.DataFrame(rows, columns=there["columns"])


def wide(data, letters, T):
    return data[[f"{v}{t}" for t in range(1, T + 1) for v in letters]].to_numpy().reshape(-1, T, len(letters))


def fitted(case, wages):
    spec, T = REFERENCE["cases"][case], 7
    data = wages
    if case == "incomplete":
        data, T = pd.read_csv(FOLDER / "dpm_predictors.csv.gz"), 4
    names = np.atleast_1d(spec["w"]).tolist()
    z = data[spec["z"] if isinstance(spec["z"], list) else [spec["z"]]].to_numpy()
    given = {"covariates": z, "predictors": wide(data, names, T)}
    rules = {"residuals": spec["residuals"], "simultaneous": spec["simultaneous"]}
    marks = np.atleast_1d(spec["predetermined"]).tolist()
    Y = wide(data, "xy", T)
    return spec, Y, given, fit_dpm(Y, **given, **rules, predetermined=marks)


@pytest.mark.parametrize("case", ["published", "free", "predetermined", "incomplete"])
def test_agrees_with_lavaan(wages, case):
    spec, Y, given, fit = fitted(case, wages)
    assert fit.converged.all()
    indices = dpm_indices(Y, fit, **given)
    for outcome, direction in ((0, "y_to_x"), (1, "x_to_y")):
        theirs = spec[direction]
        assert fit.loglik[outcome] == pytest.approx(theirs["loglik"], abs=LOGLIK)
        assert (fit.n_parameters[outcome], fit.n_obs[outcome]) == (theirs["n_parameters"], theirs["n_obs"])
        table = pd.DataFrame({name: theirs[name] for name in ("terms", "estimate", "std_error")}).set_index(
            "terms"
        )
        further = [f"{letter}{j}" for letter, many in (("d", 9), ("c", 9)) for j in range(1, many)]
        order = ["b1", "b2", *(term for term in further if term in table.index), "a"]
        order += [term for term in table.index if term.startswith("v")]
        table = table.loc[order]
        off = (fit.estimate[outcome] - table["estimate"]) / table["std_error"]
        assert np.abs(off).max() < AGREEMENT
        np.testing.assert_allclose(fit.std_error[outcome], table["std_error"], rtol=SE_AGREEMENT)
        chi2, df, rmsea, cfi = theirs["chisq"]
        ours = indices[outcome]
        assert ours.df == df
        # lavaan's model without restrictions is found by EM, which stops short, where data are incomplete.
        loose = 1e-2 if case == "incomplete" else 1e-5
        assert [ours.chi2, ours.rmsea, ours.cfi] == pytest.approx([chi2, rmsea, cfi], abs=loose)


def test_the_published_model_of_weeks_worked(wages):
    """Allison, Williams & Moral-Benito (2017), table 3, as printed."""
    _, Y, given, fit = fitted("published", wages)
    printed = [(-1.206, 0.522), (0.188, 0.020), (0.588, 0.488)]
    for (estimate, error), b, se in zip(printed, fit.estimate[1], fit.std_error[1], strict=False):
        assert (round(b, 3), round(se, 3)) == (estimate, error)
    of_weeks = dpm_indices(Y, fit, **given)[1]
    assert (round(of_weeks.chi2, 3), of_weeks.df) == (138.476, 76)


def test_three_occasions_by_hand():
    """Covariances with one exogenous predictor written out: x1, w1, y1, x2, w2, y2, y3."""
    model = DpmStructure(3, 0, "equal", False, (False,))
    assert (model.n_columns, model.y(3), model.x(2, 1)) == (7, 6, 4)
    rng = np.random.default_rng(4)
    root = rng.normal(size=(6, 6))
    # alpha, x1, x2, w1, w2, y1 in the structure's order of exogenous columns.
    C = root @ root.T
    b1, b2, d, V = 0.2, 0.5, -0.3, C[0, 0] + 1.5
    past = C[1:, 1:]
    G = [C[0, 5], *C[0, 1:5]]
    theta = [b1, b2, d, C[0, 0], V, *G, *past[np.tril_indices(5)]]
    # y2 = b1 x1 + b2 y1 + d w1 + alpha + e2, y3 alike; places in (alpha, x1, x2, w1, w2, y1, e2, e3).
    S = np.zeros((8, 8))
    S[:6, :6] = C
    S[6, 6] = S[7, 7] = 1.5
    eye = np.eye(8)
    y2 = b1 * eye[1] + b2 * eye[5] + d * eye[3] + eye[0] + eye[6]
    y3 = b1 * eye[2] + b2 * y2 + d * eye[4] + eye[0] + eye[7]
    rows = np.array([eye[1], eye[3], eye[5], eye[2], eye[4], y2, y3])
    np.testing.assert_allclose(model.sigma(np.array(theta)), rows @ S @ rows.T, atol=EXACT * np.abs(S).max())
    # Predetermined, one covariance more: of e_2 with w_2, and with x_2, where shocks hit at once.
    assert DpmStructure(3, 0, "equal", True, (True,)).n_parameters == model.n_parameters + 2


def drawn(seed, n, T=5):
    """w is moved by the errors of y: predetermined, not exogenous."""
    rng = np.random.default_rng(seed)
    level, e = rng.normal(size=n), np.zeros(n)
    x, y, w = (level + rng.normal(size=n) for _ in range(3))
    Y, W = np.empty((n, T, 2)), np.empty((n, T))
    for t in range(-10, T):
        if t >= 0:
            Y[:, t, 0], Y[:, t, 1], W[:, t] = x, y, w
        e = rng.normal(size=n)
        x, y, w = (
            0.3 * x + 0.5 * level + rng.normal(size=n),
            0.15 * x + 0.3 * y - 0.2 * w + 0.5 * level + e,
            0.4 * w + 0.5 * e + 0.3 * level + rng.normal(size=n),
        )
    return Y, W


def test_recovers_the_truth_where_the_predictor_is_what_it_is_said_to_be():
    fits, wrong = [], []
    for seed in range(25):
        Y, W = drawn(seed, 400)
        fits.append(fit_dpm(Y, predictors=W))
        wrong.append(fit_dpm(Y, predictors=W, predetermined=False).estimate[1, 2])
    assert all(fit.converged.all() for fit in fits)
    found = np.array([fit.estimate[1, :3] for fit in fits])
    error = found.std(axis=0, ddof=1) / np.sqrt(len(fits))
    assert (np.abs(found.mean(axis=0) - [0.15, 0.3, -0.2]) < Z * error).all()
    assert np.abs(np.mean(wrong) + 0.2) > Z * np.std(wrong, ddof=1) / np.sqrt(len(wrong))


def test_order_units_and_people_without_scores():
    Y, W = drawn(3, 200)
    V = np.random.default_rng(5).normal(size=W.shape)
    V[4, 2] = np.nan
    both = np.stack([W, V], axis=2)
    fit = fit_dpm(Y, predictors=both, predetermined=(True, False), predictor_names=("stress", "sleep"))
    other = fit_dpm(Y, predictors=100 * both[:, :, ::-1], predetermined=(False, True))
    np.testing.assert_allclose(other.estimate[:, [3, 2]] * 100, fit.estimate[:, [2, 3]], rtol=1e-6)
    assert fit.names[1][:4] == ("x->y", "y->y", "stress->y", "sleep->y")
    # Occasions that nobody came to are left out of the predictors, too.
    longer = np.concatenate([np.full((200, 1, 2), np.nan), Y], axis=1)
    shifted = fit_dpm(
        longer, predictors=np.concatenate([np.zeros((200, 1, 2)), both], axis=1), predetermined=(True, False)
    )
    np.testing.assert_allclose(shifted.estimate, fit.estimate, rtol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"predictors": np.zeros((5, 5))}, r"predictors must be \(60, 5, m\)"),
        ({"predictors": np.full((60, 5), np.inf)}, "finite, or NaN where missing: person 0, occasion 1"),
        ({"predetermined": (True, False)}, "for each of 1 predictors"),
        ({"predictor_names": ("a", "b")}, "1 different names of predictors"),
        ({"predictor_names": ("x",)}, "different names, got"),
    ],
)
def test_wrong_input_is_refused(change, message):
    Y, W = drawn(1, 60)
    with pytest.raises(ValueError, match=message) as caught:
        fit_dpm(Y, **({"predictors": W} | change))
    assert not isinstance(caught.value, NotEstimable)


def test_what_cannot_be_estimated_says_why():
    Y, W = drawn(1, 100)
    W[:, 1] = 2.0
    with pytest.raises(NotEstimable, match="w1 does not vary at occasion 2"):
        fit_dpm(Y, predictors=W)
