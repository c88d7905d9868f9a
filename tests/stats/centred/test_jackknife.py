"""The half-panel jackknife: by hand, against lme4 fits of the parts (tests/reference/jackknife.R), by simulation."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from twostage.stats.base.checks import NotEstimable
from twostage.stats.centred.jackknife import fit_jackknife, split_panel

REFERENCE = Path(__file__).parents[2] / "reference"
# lme4's optimiser stops within about 1e-8 of its optimum; the panels are written with 15 digits.
AGREEMENT = 1e-6
# Least squares and REML at a variance of zero are the same sums in another order.
EXACT = 1e-9
# A correct statement about replicates lies this many Monte Carlo errors off in one of 16,000.
Z = 4.0
PHI = np.array([[0.3, -0.05], [-0.07, 0.3]])


def simulated(seed, n, T=7, sd=0.8):
    """A synthetic stationary panel: within-person lagged effects PHI, residual variances 1, intercepts."""
    rng = np.random.default_rng(seed)
    w = np.zeros((n, 2))
    Y = np.empty((n, T, 2))
    intercept = rng.normal(size=(n, 2)) * sd
    for t in range(-20, T):
        w = w @ PHI.T + rng.normal(size=(n, 2))
        Y[:, max(t, 0)] = intercept + w
    return Y


def reference():
    panels = pd.read_csv(REFERENCE / "jackknife_panels.csv.gz")
    estimates = pd.read_csv(REFERENCE / "jackknife_estimates.csv")
    for name, table in panels.groupby("panel"):
        Y = np.full((table["patient"].max(), table["session"].max(), 2), np.nan)
        Y[table["patient"] - 1, table["session"] - 1] = table[["x", "y"]].to_numpy()
        yield pytest.param(Y, estimates[estimates["panel"] == name], id=name)


@pytest.mark.parametrize(("Y", "recorded"), list(reference()))
def test_agrees_with_lme4_fits_of_the_parts(Y, recorded):
    fit = fit_jackknife(Y, replicates=20)
    for k, outcome in enumerate("xy"):
        of_outcome = recorded[recorded["outcome"] == outcome]
        parts, combined = of_outcome.dropna(subset=["first"]), of_outcome[of_outcome["first"].isna()]
        assert [tuple(p) for p in parts[["first", "last"]].astype(int).to_numpy()] == list(fit.parts)
        theirs = parts[["x_within", "y_within"]].to_numpy()
        np.testing.assert_allclose(fit.estimates[:, k], theirs, atol=AGREEMENT)
        np.testing.assert_allclose(
            fit.phi[k], combined[["x_within", "y_within"]].to_numpy()[0], atol=AGREEMENT
        )
        sizes = fit.n_transitions[k], fit.n_patients[k]
        assert sizes == tuple(parts[["n_transitions", "n_patients"]].iloc[0])


def test_by_hand():
    """Five sessions, no gap: halves 1-3 and 3-5. No variance between patients, so least squares will do."""
    Y = simulated(1, 12, T=5, sd=0.0)
    fit = fit_jackknife(Y, replicates=4)
    assert fit.parts == ((1, 5), (1, 3), (3, 5)) and fit.shares.tolist() == [2.0, -0.5, -0.5]
    assert fit.singular
    estimates = []
    for first, last in ((0, 5), (0, 3), (2, 5)):
        X, following = [], []
        for scores in Y[:, first:last]:
            mean = scores.mean(axis=0)
            for now, then in zip(scores[:-1], scores[1:], strict=True):
                X.append([1.0, *(now - mean), *mean])
                following.append(then)
        estimates.append(np.linalg.lstsq(np.array(X), np.array(following))[0][1:3].T)
    np.testing.assert_allclose(fit.estimates, estimates, atol=EXACT)
    np.testing.assert_allclose(fit.phi, 2 * estimates[0] - (estimates[1] + estimates[2]) / 2, atol=EXACT)
    np.testing.assert_array_equal(fit.centred, fit.estimates[0])


def test_odd_numbers_of_transitions_are_split_both_ways():
    assert split_panel(7) == ([(0, 7), (0, 4), (3, 7)], pytest.approx([2, -1 / 2, -1 / 2]))
    parts, shares = split_panel(6)
    assert parts == [(0, 6), (0, 3), (2, 6), (0, 4), (3, 6)]
    assert shares == pytest.approx([2, -0.2, -0.3, -0.3, -0.2])
    parts, shares = split_panel(8, lag=2)
    assert parts == [(0, 8), (0, 5), (3, 8)] and shares.sum() == pytest.approx(1)


def test_a_bias_that_falls_with_the_number_of_transitions_is_removed_exactly():
    """Truth 0.3 and bias -1/m in every part: the combination gives 0.3 back, for even and odd m."""
    for T in range(5, 30):
        parts, shares = split_panel(T)
        assert shares @ [0.3 - 1 / (last - first - 1) for first, last in parts] == pytest.approx(0.3)


def test_one_replicate_is_the_estimate_of_the_drawn_patients():
    Y = simulated(3, 40)
    Y[np.random.default_rng(1).random(Y.shape) < 0.1] = np.nan
    fit = fit_jackknife(Y, replicates=3, seed=5)
    n = np.unique(np.nonzero(~np.isnan(Y[:, :6]).any(axis=2) & ~np.isnan(Y[:, 1:]).all(axis=2))[0])
    counts = np.random.default_rng(5).multinomial(len(n), np.full(len(n), 1 / len(n)), size=3)
    for drawn, times in zip(fit.replicates, counts, strict=True):
        again = fit_jackknife(Y[np.repeat(n, times)], replicates=2, seed=1)
        np.testing.assert_allclose(drawn, again.phi, atol=EXACT)
    np.testing.assert_allclose(fit.phi_se, fit.replicates.std(axis=0, ddof=1))


def test_less_biased_than_the_centred_model_and_its_errors_are_right():
    fits = [fit_jackknife(simulated(seed, 300), replicates=100, seed=seed) for seed in range(50)]
    phi = np.array([fit.phi for fit in fits])
    bias, error = phi.mean(axis=0) - PHI, phi.std(axis=0, ddof=1) / np.sqrt(len(fits))
    centred = np.array([fit.centred for fit in fits]).mean(axis=0) - PHI
    assert (np.abs(bias) + Z * error < np.abs(centred))[[0, 1], [0, 1]].all()
    assert (np.abs(bias) < Z * error)[[0, 1], [1, 0]].all()
    ratio = np.mean([fit.phi_se for fit in fits], axis=0) / phi.std(axis=0, ddof=1)
    assert (np.abs(ratio - 1) < Z / np.sqrt(2 * (len(fits) - 1))).all()
    ends = np.array([fit.conf_int() for fit in fits])
    covered = ((ends[..., 0] < PHI) & (ends[..., 1] > PHI)).mean(axis=0)[[0, 1], [1, 0]]
    assert (covered > 0.95 - Z * np.sqrt(0.95 * 0.05 / len(fits))).all()


def test_tables_and_intervals():
    fit = fit_jackknife(simulated(4, 80), replicates=100)
    tidy = fit.tidy(0.9, kind="percentile")
    expected = [
        ("x_to_y", "x_within"),
        ("x_to_y", "y_within"),
        ("y_to_x", "y_within"),
        ("y_to_x", "x_within"),
    ]
    assert list(zip(tidy["direction"], tidy["term"], strict=True)) == expected
    np.testing.assert_array_equal(tidy["estimate"], fit.phi[[1, 1, 0, 0], [0, 1, 1, 0]])
    assert tidy["ci_low"][0] == pytest.approx(np.quantile(fit.replicates[:, 1, 0], 0.05))
    half = (fit.conf_int()[..., 1] - fit.conf_int()[..., 0]) / 2
    np.testing.assert_allclose(half, 1.959963984540054 * fit.phi_se)
    assert fit.glance()["n_transitions"].tolist() == [480, 480] and fit.n_failed == 0
    assert "sessions 1-4, 4-7" in fit._repr_html_()
    for wrong in ({"level": 95}, {"kind": "bca"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            fit.conf_int(**wrong)


def test_sessions_nobody_came_to_are_no_part_of_the_panel():
    Y = simulated(7, 60, T=7)
    Y[:, [0, 6]] = np.nan
    fit, inner = fit_jackknife(Y, replicates=5), fit_jackknife(Y[:, 1:6], replicates=5)
    assert fit.parts == ((2, 6), (2, 4), (4, 6)) and inner.parts == ((1, 5), (1, 3), (3, 5))
    np.testing.assert_array_equal(fit.replicates, inner.replicates)


def test_the_seed_decides():
    Y = simulated(5, 50)
    same = fit_jackknife(Y, replicates=5, seed=1), fit_jackknife(Y, replicates=5, seed=1)
    np.testing.assert_array_equal(same[0].replicates, same[1].replicates)
    assert not np.array_equal(same[0].replicates, fit_jackknife(Y, replicates=5, seed=2).replicates)


def test_what_cannot_be_halved_says_why():
    Y = simulated(6, 50)
    with pytest.raises(NotEstimable, match="4 sessions are too few to halve at lag 1: 5 are needed"):
        fit_jackknife(Y[:, :4])
    late = Y.copy()
    late[:, 4:, 1] = np.nan
    with pytest.raises(NotEstimable, match="sessions 4 to 7, y_to_x"):
        fit_jackknife(late)
    with pytest.raises(NotEstimable, match="no session"):
        fit_jackknife(np.full((3, 7, 2), np.nan))
    once = Y.copy()
    once[:, 5:] = np.nan
    once[0, 6] = 0.0
    with pytest.raises(
        NotEstimable, match="sessions 4 to 7, x_to_y: 50 transitions of 50 patients|y_to_x: 50"
    ):
        fit_jackknife(once)
    alone = Y.copy()
    alone[3:, 4:] = np.nan
    with pytest.raises(NotEstimable, match=r"replicates could not be fitted|sessions 4 to 7"):
        fit_jackknife(alone, replicates=20)
    with pytest.raises(ValueError, match="replicates"):
        fit_jackknife(Y, replicates=1)
