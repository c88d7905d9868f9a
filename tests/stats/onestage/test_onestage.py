"""The one-stage model: by hand, against lme4 and nlme (tests/reference/onestage.R), on simulated truth."""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import twostage as ts
from twostage.problems import CollectionError
from twostage.stats.base import NotEstimable
from twostage.stats.mixed import MixedSums
from twostage.stats.onestage import StudySums, fit_onestage, joined_cells, search
from twostage.stats.onestage.inference import kenward_roger
from twostage.stats.onestage.likelihood import derivatives, evaluate
from twostage.stats.onestage.pieces import Pieces
from twostage.terms import DIRECTIONS

REFERENCE = Path(__file__).parents[2] / "reference"
sys.path.insert(0, str(REFERENCE))
from onestage_rows import rows as lagged_rows

COLUMNS = ("intercept", "cross", "auto", "x_mean", "y_mean")
SLOPES = ("cross", "auto")

#: Dense matrices of a few dozen rows against sums.
ROUNDING = 1e-9
#: Restricted log-likelihoods of these many rows carry some 1e-12 of themselves.
SAME_LOGLIK = 1e-8
#: Both stop where the likelihood changes by 1e-10 to 1e-9 of a unit, whose square root is some 1e-5 of a standard error;
#: where Sigma is singular nlme comes to the bound from the inside and stops earlier.
NEAR, NEAR_SINGULAR = 1e-4, 1e-3
#: pbkrtest counts the patients' and the residual variance as estimated too, from hundreds of rows.
ALSO_ESTIMATED, ALSO_ESTIMATED_DF = 3e-3, 1e-5
#: A gain in log-likelihood that means another optimum.
ANOTHER_OPTIMUM = 1e-3


def study(table: pd.DataFrame) -> StudySums:
    X = table.assign(intercept=1.0)[list(COLUMNS)].to_numpy(dtype=float)
    return StudySums.of(MixedSums(COLUMNS).add(table["outcome"].to_numpy(), X, table["patient"].to_numpy()))


def drawn(rng, *, n=30, slopes=(0.3, -0.1), intercept=0.5, sizes=(2, 6)) -> pd.DataFrame:
    """Rows of one study."""
    patient = np.repeat(np.arange(n), rng.integers(*sizes, size=n, endpoint=True))
    table = pd.DataFrame(rng.normal(size=(len(patient), 2)), columns=SLOPES).assign(patient=patient)
    for name in ("x_mean", "y_mean"):
        table[name] = rng.normal(size=n)[patient]
    level = rng.normal() + intercept * rng.normal(size=n)[patient]
    outcome = level + table[list(SLOPES)] @ slopes + 0.2 * table["x_mean"] + rng.normal(size=len(patient))
    return table.assign(outcome=outcome)


def several(seed, k, tau, **options) -> list[pd.DataFrame]:
    rng = np.random.default_rng(seed)
    return [drawn(rng, slopes=np.array([0.3, -0.1]) + tau * rng.normal(size=2), **options) for _ in range(k)]


def pieces_of(tables) -> Pieces:
    return Pieces.of([study(t).columns(("x_mean", "y_mean", *SLOPES, "outcome")) for t in tables], 2)


def dense_deviance(tables, sigma2, omega2, Sigma):
    """-2 restricted log-likelihood from the covariance matrix of all rows, written out."""
    n, at = sum(map(len, tables)), 0
    X, V, y = (
        np.zeros((n, 3 * len(tables) + 2)),
        np.zeros((n, n)),
        np.concatenate([t["outcome"] for t in tables]),
    )
    for s, table in enumerate(tables):
        part = slice(at, at := at + len(table))
        z, patient = table[list(SLOPES)].to_numpy(), table["patient"].to_numpy()
        X[part, 3 * s : 3 * s + 3] = table.assign(one=1.0)[["one", "x_mean", "y_mean"]]
        X[part, -2:] = z
        V[part, part] = sigma2[s] * np.eye(len(table)) + z @ Sigma @ z.T
        V[part, part] += omega2[s] * (patient[:, None] == patient)
    W = np.linalg.inv(V)
    H = X.T @ W @ X
    e = y - X @ np.linalg.solve(H, X.T @ W @ y)
    determinants = np.linalg.slogdet(V)[1] + np.linalg.slogdet(H)[1]
    return determinants + e @ W @ e + (n - X.shape[1]) * np.log(2 * np.pi)


def test_the_deviance_is_that_of_all_rows_written_out():
    tables = several(1, 3, 0.2, n=8)
    sigma2, t, L = np.array([0.8, 1.1, 1.4]), np.array([0.0, 0.3, 0.9]), np.array([[0.2, 0.0], [-0.1, 0.15]])
    found = evaluate(pieces_of(tables), np.log(sigma2), t, L).value
    assert found == pytest.approx(dense_deviance(tables, sigma2, sigma2 * t, L @ L.T), rel=ROUNDING)


def test_the_derivatives_are_those_of_the_deviance():
    # Those of all studies together, beta and K following: from differences of the value and of the gradient.
    pieces, k, h = pieces_of(several(2, 3, 0.2, n=12)), 3, 1e-5
    start = np.r_[0.1, -0.2, 0.3, 0.2, 0.4, 0.6, 0.2, -0.05, 0.1]

    def at(v):
        return evaluate(pieces, v[:k], v[k : 2 * k], np.array([[v[6], 0.0], [v[7], v[8]]]))

    def gradient(v):
        d = derivatives(at(v)).gradient
        return np.r_[d[:, 0], d[:, 1], d[:, 2:5].sum(axis=0)]

    steps = h * np.eye(9)
    by_value = [(at(start + e).value - at(start - e).value) / (2 * h) for e in steps]
    # Differences over 1e-5 of numbers near 300: 1e-7.
    np.testing.assert_allclose(gradient(start), by_value, atol=1e-5)
    by_gradient = np.array([(gradient(start + e) - gradient(start - e)) / (2 * h) for e in steps])
    d, whole = derivatives(at(start)), np.zeros((14, 14))
    for s in range(k):
        place = np.r_[s, k + s, 6:14]
        whole[np.ix_(place, place)] += d.hessian[s]
    whole[6:, 6:] += d.coupling[2:, 2:]
    own, rest = slice(0, 9), slice(9, 14)
    reduced = whole[own, own] - whole[own, rest] @ np.linalg.solve(whole[rest, rest], whole[rest, own])
    np.testing.assert_allclose(reduced, by_gradient, atol=1e-4)


@cache
def synthetic() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "onestage_rows.csv.gz")


@cache
def real(name: str) -> list[StudySums]:
    collection, direction = name[: -len("_x_to_y")], name[-len("x_to_y") :]
    try:
        read = ts.read_collection(REFERENCE.parent / "collections" / collection)
        return [study(table) for table in lagged_rows(read, DIRECTIONS[direction])]
    except CollectionError:
        pytest.skip(f"the folder ../shared/real with the data of {collection} is absent")


def studies_of(name: str) -> list[StudySums]:
    rows = synthetic().query("set == @name")
    return [study(table) for _, table in rows.groupby("study")] if len(rows) else real(name)


FITS = pd.read_csv(REFERENCE / "onestage_fits.csv").to_dict("records")


@pytest.mark.parametrize("theirs", FITS, ids=[f"{f['set']}-{f['by']}" for f in FITS])
def test_lme4_and_nlme(theirs):
    fit = fit_onestage(studies_of(theirs["set"]), SLOPES, variances=theirs["variances"])
    assert fit.converged
    gain = fit.loglik - theirs["loglik"]
    assert gain > -SAME_LOGLIK
    if gain > ANOTHER_OPTIMUM:
        # Theirs stopped at a bound that ours left, which the likelihood decides.
        return
    near = NEAR_SINGULAR if fit.singular and theirs["by"] == "nlme" else NEAR
    errors = np.sqrt(np.diagonal(fit.cov_model))
    np.testing.assert_allclose(fit.coef, [theirs["cross"], theirs["auto"]], atol=near * errors.min())
    np.testing.assert_allclose(errors, [theirs["cross_se"], theirs["auto_se"]], rtol=near)
    np.testing.assert_allclose(
        fit.tau, [theirs["tau_cross"], theirs["tau_auto"]], rtol=10 * near, atol=near * errors.min()
    )
    assert fit.rho[0, 1] == pytest.approx(theirs["rho"], abs=10 * near)


# In the fourth lme4 stopped at another optimum.
ADJUSTED = [f for f in FITS if not np.isnan(f["kr_cross_df"]) and f["set"] != "three"]


@pytest.mark.parametrize("theirs", ADJUSTED, ids=[f["set"] for f in ADJUSTED])
def test_kenward_and_roger_by_pbkrtest(theirs):
    how = {"variances": "common", "inference": "kenward-roger"}
    fit = fit_onestage(studies_of(theirs["set"]), SLOPES, **how)
    errors, dfs = ([theirs[f"kr_{name}_{of}"] for name in SLOPES] for of in ("se", "df"))
    np.testing.assert_allclose(fit.std_error, errors, rtol=ALSO_ESTIMATED)
    np.testing.assert_allclose(fit.df, dfs, rtol=ALSO_ESTIMATED_DF)


def test_few_of_the_references_stop_elsewhere():
    gains = [
        fit_onestage(studies_of(f["set"]), SLOPES, variances=f["variances"]).loglik - f["loglik"]
        for f in FITS
        if f["set"] in set(synthetic()["set"])
    ]
    assert sum(g > ANOTHER_OPTIMUM for g in gains) <= 1 < len(gains)


def test_equal_studies_have_the_mean_of_their_slopes_on_k_less_1_df():
    # With equal S the mean of the k slopes has their variance over k, whatever part of it is sampling.
    rng = np.random.default_rng(4)
    b, S = rng.normal(size=(6, 2)), np.array([[0.02, 0.01], [0.01, 0.03]])
    Sigma = np.cov(b.T) - S
    T = np.broadcast_to(Sigma + S, (6, 2, 2))
    W = np.linalg.inv(T)
    cov, df = kenward_roger(W, np.linalg.inv(W.sum(axis=0)))
    np.testing.assert_allclose(cov, np.cov(b.T) / 6, rtol=ROUNDING)
    np.testing.assert_allclose(df, 5.0, rtol=ROUNDING)


def test_one_slope_has_kenward_and_rogers_numbers_of_a_meta_analysis():
    # q = 1, written out with w = 1 / (tau2 + s): K = 1/S1, V = 2 / (S2 - 2 S3/S1 + (S2/S1)^2).
    w = 1.0 / (0.05 + np.array([0.01, 0.03, 0.08, 0.2]))
    S1, S2, S3 = (float((w**m).sum()) for m in (1, 2, 3))
    V = 2.0 / (S2 - 2 * S3 / S1 + (S2 / S1) ** 2)
    cov, df = kenward_roger(w[:, None, None], np.array([[1 / S1]]))
    assert df[0] == pytest.approx(2 / S1**2 / (V * (S2 / S1**2) ** 2), rel=ROUNDING)
    assert cov[0, 0] == pytest.approx(1 / S1 + 2 * V * (S3 - S2**2 / S1) / S1**2, rel=ROUNDING)


def test_one_slope_has_the_interval_of_two_stages_at_the_same_variance():
    # Hartung and Knapp's factor and k - 1 degrees of freedom, from each study's slope and its error at the same variances.
    studies = [study(t) for t in several(14, 6, 0.2)]
    fit = fit_onestage(studies, ("cross",))
    w = 1.0 / (fit.tau[0] ** 2 + fit.slope_errors[:, 0] ** 2)
    mean = w @ fit.slopes[:, 0] / w.sum()
    error = np.sqrt(w @ (fit.slopes[:, 0] - mean) ** 2 / 5 / w.sum())
    np.testing.assert_allclose([fit.coef[0], fit.std_error[0], fit.df[0]], [mean, error, 5.0], rtol=ROUNDING)
    assert fit.ci_high[0] - mean == pytest.approx(2.5705818366147395 * error, rel=1e-8)
    wald = fit_onestage(studies, ("cross",), inference="wald")
    assert (wald.std_error[0], wald.df[0]) == (pytest.approx(w.sum() ** -0.5, rel=ROUNDING), np.inf)


def test_order_unit_and_origin_of_columns_do_not_matter():
    tables = several(5, 4, 0.2)
    one = fit_onestage([study(t) for t in tables], SLOPES)
    moved = [
        t.assign(cross=10 * t["cross"], x_mean=3 * t["x_mean"] + 50, outcome=7 + 2 * t["outcome"])
        for t in tables
    ]
    other = fit_onestage([study(t) for t in reversed(moved)], ("auto", "cross"))
    np.testing.assert_allclose(other.coef, 2 * one.coef[::-1] / [1, 10], rtol=1e-9)
    np.testing.assert_allclose(other.std_error, 2 * one.std_error[::-1] / [1, 10], rtol=1e-9)
    np.testing.assert_allclose(other.df, one.df[::-1], rtol=1e-7)
    np.testing.assert_allclose(other.sigma2, 4 * one.sigma2[::-1], rtol=1e-9)


def test_a_search_that_begins_without_heterogeneity_leaves_it(monkeypatch):
    # There the derivative by L is 0 whatever the data are.
    studies = [study(t) for t in several(13, 8, 0.3)]
    usual = fit_onestage(studies, SLOPES)
    monkeypatch.setattr(search, "_starts_of_sigma", lambda *_: [np.zeros((2, 2))])
    other = fit_onestage(studies, SLOPES)
    assert other.loglik == pytest.approx(usual.loglik, abs=SAME_LOGLIK)
    np.testing.assert_allclose(other.cov_re, usual.cov_re, rtol=1e-6)


def test_weights_add_up_and_studies_are_drawn_to_the_mean():
    fit = fit_onestage([study(t) for t in several(6, 5, 0.2)], SLOPES)
    np.testing.assert_allclose(fit.weights.sum(axis=0), 1.0, rtol=ROUNDING)
    table = fit.studies()
    assert len(table) == 10 and "One-stage" in fit._repr_html_() and len(fit.glance()) == 1
    between = (table["given_all"] - table["estimate"]).abs().sum()
    assert 0 < between < (table["estimate"] - np.tile(fit.coef, 5)).abs().sum()


def test_a_simulated_truth_is_found():
    tables = several(7, 200, 0.15, n=25)
    fit = fit_onestage([study(t) for t in tables], SLOPES)
    assert np.abs((fit.coef - [0.3, -0.1]) / fit.std_error).max() < 3
    # tau of 200 studies with a standard error near tau / sqrt(2 * 200), somewhat more for sampling.
    np.testing.assert_allclose(fit.tau, 0.15, rtol=0.25)
    np.testing.assert_allclose(np.sqrt(fit.re_variance).mean(), 0.5, atol=0.1)


def test_joined_cells_are_exact_without_an_intercept_variance():
    tables = several(8, 4, 0.2, intercept=0.0, n=40)
    whole = pieces_of(tables)
    joined = Pieces.of(
        [joined_cells(study(t), 20).columns(("x_mean", "y_mean", *SLOPES, "outcome")) for t in tables], 2
    )
    assert joined.size.shape[1] < whole.size.shape[1]
    l, t, L = np.zeros(4), np.zeros(4), 0.1 * np.eye(2)
    assert evaluate(joined, l, t, L).value == pytest.approx(evaluate(whole, l, t, L).value, rel=1e-12)
    np.testing.assert_allclose(evaluate(joined, l, t, L).beta, evaluate(whole, l, t, L).beta, rtol=1e-9)


def test_joined_cells_have_enough_patients_and_say_so():
    sums = study(drawn(np.random.default_rng(9), n=60))
    for least in (1, 8, 20, 31, 60):
        joined = joined_cells(sums, least)
        assert (joined.count >= least).all()
        assert (joined.n, joined.n_groups) == (sums.n, sums.n_groups)
        np.testing.assert_allclose(joined.table().sum(axis=0), sums.table().sum(axis=0), atol=1e-9)
    assert not joined_cells(sums, 1).joined.any() and joined_cells(sums, 31).joined.all()
    assert len(joined_cells(sums, 61).size) == 0


def test_what_cannot_be_estimated_is_named():
    tables = several(10, 3, 0.1)
    fine = [study(t) for t in tables]
    with pytest.raises(NotEstimable, match="1 study"):
        fit_onestage(fine[:1], SLOPES)
    constant = study(tables[0].assign(cross=1.0))
    with pytest.raises(NotEstimable, match="B: a column does not vary"):
        fit_onestage([fine[0], constant], SLOPES, labels=("A", "B"))
    twice = study(tables[0].assign(auto=lambda t: 2 * t["cross"]))
    with pytest.raises(NotEstimable, match="reproduce each other"):
        fit_onestage([fine[0], twice], SLOPES)
    with pytest.raises(NotEstimable, match="too few"):
        fit_onestage([fine[0], study(tables[1].head(6))], SLOPES)
    with pytest.raises(ValueError, match="random must name"):
        fit_onestage(fine, ("nothing",))
    with pytest.raises(ValueError, match="different columns"):
        fit_onestage([fine[0], fine[1].columns(("cross", "auto", "outcome"))], SLOPES)
    with pytest.raises(ValueError, match="labels"):
        fit_onestage(fine, SLOPES, labels=("A",))
