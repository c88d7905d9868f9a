"""The step-function selection model: by hand, its derivatives, against metafor, on simulated selection."""

import json
import sys
from math import inf, log, pi
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr

REFERENCE = Path(__file__).parents[2] / "reference"
sys.path.insert(0, str(REFERENCE))

from tables import data_sets, read_rows

from twostage.stats.base.checks import NotEstimable
from twostage.stats.pool.pool import pool
from twostage.stats.small_study.selection import selection_model
from twostage.stats.small_study.selection_fit import (
    climb,
    log_likelihood,
    prepare,
)

ROUNDING = 1e-12
# Central differences with a step of 1e-5: truncation 1e-10, cancellation 1e-16 / 1e-5, times second derivatives.
DIFFERENCES = 1e-6
# The log-likelihood at a maximum, refined in R.
LOGLIK = 1e-9
# What was asked for: of a standard error (effect) or of themselves (tau2, weights, standard errors). Measured: 1.3e-7
# (in "outlier", else 1e-8), at tau2 = 0 below 1e-9.
AGREEMENT = 1e-6
# tau2 = 0 within the selection model is fitted by metafor alone, whose weights stay above bounds: up to 2e-9 of the
# log-likelihood.
BOUNDED = 1e-8
# metafor's own standard errors, from derivatives with its own steps where its optimiser stopped: 2e-6 off in "normand".
OWN_HESSIAN = 1e-5
# metafor, left alone, stops at a lower maximum, its likelihood-ratio test of tau2 with it.
ELSEWHERE = {("li", "less", 0.025, "ML")}
# metafor's fit without selection sits in the lower of two maxima, so its likelihood-ratio test is larger.
TWO_MAXIMA = {"two_maxima_8"}
ALTERNATIVE = {"greater": "greater", "less": "less", "two.sided": "two-sided"}

DATA = data_sets()
ROWS = read_rows("smallstudy_selection.csv")


def fit_as(row):
    steps = [float(s) for s in str(row["steps"]).split("/")]
    alternative = ALTERNATIVE[row["alternative"]]
    return selection_model(*DATA[row["dataset"]], steps=steps, alternative=alternative, method=row["method"])


# By hand


def test_likelihood_by_hand():
    """One study at 0, one step at 1/2, weight 1/2 above it: published with probability 3/4."""
    data, p = prepare(np.zeros(1), np.ones(1), np.array([0.5]), "greater")
    assert p == [0.5] and data.interval == [0]
    assert log_likelihood(data, 0.0, 0.0, np.array([1.0, 0.5])) == pytest.approx(
        -0.5 * log(2 * pi) - log(0.75)
    )
    data, _ = prepare(np.array([-0.1]), np.ones(1), np.array([0.5]), "greater")
    value = log_likelihood(data, 0.0, 0.0, np.array([1.0, 0.5]))
    assert value == pytest.approx(log(0.5) - 0.5 * log(2 * pi) - 0.005 - log(0.75), rel=ROUNDING)


def test_probability_of_publication_by_hand():
    """Two-sided step at 2 Phi(-1): published surely beyond 1, else with weight 1/4; mean 1/2, variance 1 + 3."""
    data, _ = prepare(np.array([2.0]), np.ones(1), np.array([2 * ndtr(-1.0)]), "two-sided")
    outside = ndtr(-0.25) + ndtr(-0.75)
    chance = outside + (1 - outside) / 4
    value = log_likelihood(data, 0.5, 3.0, np.array([1.0, 0.25]))
    assert value == pytest.approx(-0.5 * (log(2 * pi * 4) + 2.25 / 4) - log(chance), rel=ROUNDING)


@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
def test_equal_weights_are_no_selection(alternative):
    y, v = DATA["bangertdrowns"]
    data, p = prepare(y, v, np.array([0.05, 0.5]), alternative)
    mu = -0.2 if alternative == "less" else 0.2
    normal = -0.5 * (np.log(2 * pi * (v + 0.1)) + (y - 0.2) ** 2 / (v + 0.1)).sum()
    assert log_likelihood(data, mu, 0.1, np.ones(3)) == pytest.approx(normal, rel=ROUNDING)
    z = y / np.sqrt(v)
    expected = {"greater": ndtr(-z), "less": ndtr(z), "two-sided": 2 * ndtr(-np.abs(z))}[alternative]
    assert p == pytest.approx(expected, rel=ROUNDING)
    assert (data.interval == (p > 0.05).astype(int) + (p > 0.5)).all()


@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
@pytest.mark.parametrize("at", [(0.1, 0.05, 0.6, 0.3), (-0.4, 0.5, 3.0, 0.1), (0.7, 0.0, 0.2, 1.5)])
def test_derivatives(alternative, at):
    rng = np.random.default_rng(1)
    data, _ = prepare(
        rng.normal(0.2, 0.4, 12), rng.uniform(0.01, 0.2, 12), np.array([0.025, 0.3]), alternative
    )

    def f(x):
        return log_likelihood(data, x[0], x[1], np.append(1.0, x[2:]), derivatives=True)

    x, h = np.array(at), 1e-5
    _, gradient, hessian = f(x)
    differences = [(np.array(f(x + h * e)[0]) - f(x - h * e)[0]) / (2 * h) for e in np.eye(4)]
    second = np.array([(f(x + h * e)[1] - f(x - h * e)[1]) / (2 * h) for e in np.eye(4)])
    assert gradient == pytest.approx(differences, rel=DIFFERENCES, abs=DIFFERENCES * np.abs(hessian).max())
    assert hessian == pytest.approx(second, rel=DIFFERENCES, abs=DIFFERENCES * np.abs(hessian).max())
    assert f(x)[0] == log_likelihood(data, x[0], x[1], np.append(1.0, x[2:]))


def test_far_means_keep_their_digits():
    """The probability of a result that is nearly impossible: no difference of ones."""
    data, _ = prepare(np.array([3.0, 0.0]), np.ones(2), np.array([0.025]), "greater")
    value = log_likelihood(data, -30.0, 0.0, np.array([1.0, 1e-300]))
    chance = ndtr(-31.959963984540054)  # 1e-224, against a weight of 1e-300 on all the rest
    assert value == pytest.approx(
        log(1e-300) - 0.5 * (2 * log(2 * pi) + 33.0**2 + 30.0**2) - 2 * log(chance), rel=1e-10
    )


# Against metafor


def test_the_grid_has_not_shrunk():
    kinds = {(r["alternative"], str(r["steps"]), r["method"]) for r in ROWS}
    assert kinds == {
        ("greater", "0.025", "ML"),
        ("less", "0.025", "ML"),
        ("two.sided", "0.05", "ML"),
        ("greater", "0.025/0.5", "ML"),
        ("less", "0.025/0.5", "ML"),
        ("greater", "0.025", "FE"),
        ("less", "0.025", "FE"),
    }
    assert len(ROWS) == 88 and len({r["dataset"] for r in ROWS}) == 23
    about = json.loads((REFERENCE / "selection_versions.json").read_text())
    assert about["R"] and about["metafor"] == "3.8.1"


def key(row):
    return row["dataset"], row["alternative"], row["steps"], row["method"]


# Where the search from weights far above 1 finds a higher maximum than metafor from the reference's starts.
HIGHER = {("two_maxima_5", "two.sided", 0.05, "ML"), ("two_maxima_5", "two.sided", "0.05", "ML")}


@pytest.mark.parametrize("row", ROWS, ids=lambda r: "-".join(map(str, key(r))))
def test_agrees_with_metafor(row):
    ours = fit_as(row)
    assert ours.converged
    if key(row) in HIGHER:
        assert ours.loglik > row["loglik"] + LOGLIK
        return
    assert ours.boundary == (row["tau2"] == 0.0 and row["method"] == "ML")
    assert ours.loglik == pytest.approx(row["loglik"], abs=LOGLIK)
    assert ours.loglik > row["own_loglik"] - LOGLIK
    assert ours.estimate == pytest.approx(row["estimate"], abs=AGREEMENT * ours.std_error)
    assert ours.tau2 == pytest.approx(row["tau2"], rel=AGREEMENT)
    assert (ours.delta[1], ours.delta[-1]) == pytest.approx(
        (row["delta_2"], row["delta_last"]), rel=AGREEMENT
    )
    for name in ("std_error", "statistic", "ci_low", "ci_high"):
        assert getattr(ours, name) == pytest.approx(
            row[name], rel=AGREEMENT, abs=AGREEMENT * ours.std_error
        ), name
    assert ours.tau2_se == pytest.approx(row["tau2_se"], rel=AGREEMENT, nan_ok=True)
    errors = ours.delta_se[1], ours.delta_se[-1]
    assert errors == pytest.approx((row["delta_2_se"], row["delta_last_se"]), rel=AGREEMENT)
    p_values = ours.p_value, ours.delta_p_value[1]
    assert p_values == pytest.approx((row["p_value"], row["delta_2_p"]), abs=AGREEMENT)
    if row["dataset"] not in TWO_MAXIMA:
        assert ours.lrt == pytest.approx(row["lrt"], abs=2 * LOGLIK)
        assert ours.lrt_p_value == pytest.approx(row["lrt_p"], abs=AGREEMENT)
        assert ours.lrt_df == row["lrt_df"]
    if row["method"] == "ML" and not np.isnan(ours.tau2_lrt) and key(row) not in ELSEWHERE:
        own = row["own_loglik"] - row["tau2_lrt"] / 2
        assert ours.loglik - ours.tau2_lrt / 2 == pytest.approx(own, abs=BOUNDED)


@pytest.mark.parametrize("row", ROWS, ids=lambda r: "-".join(map(str, key(r))))
def test_standard_errors_are_those_of_metafor(row):
    """Where tau2 is not at its bound, across which metafor takes differences, and the maximum is the same."""
    if key(row) in HIGHER:
        return
    ours = fit_as(row)
    same = row["own_loglik"] > row["loglik"] - BOUNDED
    assert same == (key(row) not in ELSEWHERE)
    if same and not ours.boundary:
        errors = (ours.std_error, ours.delta_se[1])
        assert errors == pytest.approx((row["own_std_error"], row["own_delta_2_se"]), rel=OWN_HESSIAN)
        if row["method"] == "ML":
            assert ours.tau2_se == pytest.approx(row["own_tau2_se"], rel=OWN_HESSIAN)


def test_where_the_weights_have_no_maximum():
    """One enormous estimate with tau2 = 0: given the pooled effect all others are impossible, however much favoured."""
    fit = selection_model(*DATA["outlier"], method="FE")
    assert not fit.converged and "did not converge" in fit.note
    assert np.isnan(selection_model(*DATA["outlier"]).tau2_lrt)


# Simulated selection


def simulate(k, mu, tau2, weight, seed):
    """Studies published surely where p <= 0.025 one-sided, else with probability `weight`."""
    rng = np.random.default_rng(seed)
    v = rng.uniform(0.01, 0.2, 40 * k)
    y = mu + rng.normal(size=v.size) * np.sqrt(v + tau2)
    published = (ndtr(-y / np.sqrt(v)) <= 0.025) | (rng.uniform(size=v.size) < weight)
    return y[published][:k], v[published][:k]


def test_truth_is_recovered():
    """4,000 published studies: within four standard errors, where the plain estimate is far off."""
    y, v = simulate(4000, mu=0.2, tau2=0.04, weight=0.3, seed=3)
    fit = selection_model(y, v)
    plain = pool(y, v)
    assert plain.estimate > 0.2 + 10 * plain.std_error
    assert fit.estimate == pytest.approx(0.2, abs=4 * fit.std_error) and fit.std_error < 0.02
    assert fit.tau2 == pytest.approx(0.04, abs=4 * fit.tau2_se) and fit.tau2_se < 0.01
    assert fit.delta[1] == pytest.approx(0.3, abs=4 * fit.delta_se[1]) and fit.delta_se[1] < 0.05
    assert fit.lrt_p_value < 1e-10 and fit.delta_p_value[1] < 1e-10


def test_standard_errors_match_the_spread():
    """40 meta-analyses of 100 studies; four standard errors of a mean and of a standard deviation."""
    fits = [selection_model(*simulate(100, 0.2, 0.04, 0.3, seed), method="ML") for seed in range(40)]
    z = np.array([(f.estimate - 0.2) / f.std_error for f in fits])
    assert z.mean() == pytest.approx(0.0, abs=4 / np.sqrt(40) + 0.1)  # bias of order 1/k beside it
    assert z.std() == pytest.approx(1.0, abs=4 / np.sqrt(80))


# Mirror images, boundaries, input


def test_less_is_greater_mirrored():
    y, v = DATA["collins"]
    less, greater = selection_model(y, v, alternative="less"), selection_model(-y, v)
    assert less.estimate == pytest.approx(-greater.estimate, rel=1e-9)
    assert [less.ci_low, less.ci_high] == pytest.approx([-greater.ci_high, -greater.ci_low], rel=1e-9)
    assert less.covariance[0, 2] == pytest.approx(-greater.covariance[0, 2], rel=1e-6)
    assert (less.loglik, less.delta[1]) == (
        pytest.approx(greater.loglik),
        pytest.approx(greater.delta[1], rel=1e-8),
    )


def test_boundary_is_a_field():
    fit = selection_model(*DATA["raudenbush"])
    assert fit.boundary and fit.tau2 == 0.0 and np.isnan(fit.tau2_se) and "tau2 estimated at 0" in fit.note
    fixed = selection_model(*DATA["raudenbush"], method="FE")
    assert fixed.estimate == pytest.approx(fit.estimate, rel=1e-8)
    assert fixed.std_error == pytest.approx(fit.std_error, rel=1e-8)
    assert not fixed.boundary and np.isnan(fixed.tau2_lrt) and fit.tau2_lrt == pytest.approx(0.0, abs=1e-9)


def test_intervals_have_the_level_asked_for_and_end_at_zero():
    z = 1.2815515655446004  # 90 percent of a normal distribution are below
    fit = selection_model(pool(*DATA["bangertdrowns"], level=0.8))
    for found, error, low, high in (
        (fit.estimate, fit.std_error, fit.ci_low, fit.ci_high),
        (fit.tau2, fit.tau2_se, fit.tau2_ci_low, fit.tau2_ci_high),
        (fit.delta[1], fit.delta_se[1], fit.delta_ci_low[1], fit.delta_ci_high[1]),
    ):
        assert [low, high] == pytest.approx([max(0.0, found - z * error), found + z * error], rel=ROUNDING)
    wide = selection_model(*DATA["bangertdrowns"])
    assert wide.tau2 < 1.9 * wide.tau2_se and wide.tau2_ci_low == 0.0
    assert wide.tau2_lrt_p_value == pytest.approx(2 * ndtr(-np.sqrt(wide.tau2_lrt)), rel=1e-9)


def test_lower_maxima_are_told():
    assert (
        "2 local maxima found; the highest is reported"
        in selection_model(*DATA["li"], alternative="less").note
    )
    assert selection_model(*DATA["bangertdrowns"]).note == ""


def test_a_climb_leaves_tau2_zero():
    y, v = DATA["bangertdrowns"]
    top = climb(prepare(y, v, np.array([0.025]), "greater")[0], 0.0, 0.0, np.ones(2), fixed=False)
    fit = selection_model(y, v)
    assert top.tau2 > 0.01 and top.converged
    assert top.loglik == pytest.approx(fit.loglik, abs=LOGLIK)


def test_input():
    y, v = DATA["bcg"]
    with pytest.raises(NotEstimable, match=r"no study has a p-value in 0 < p <= 0.025"):
        selection_model(y, v)
    with pytest.raises(NotEstimable, match="3 parameters need at least as many studies, got 2"):
        selection_model([0.1, 0.9], [0.1, 0.1])
    with pytest.raises(ValueError, match="alternative must be one of"):
        selection_model(y, v, alternative="two.sided")
    for steps in ([], [0.0], [1.0], [0.05, 0.05], [2.5]):
        with pytest.raises(ValueError, match="strictly between 0 and 1"):
            selection_model(y, v, steps=steps)


def test_tables():
    y, v = DATA["bangertdrowns"]
    fit = selection_model(pool(y, v, labels=[f"S{i}" for i in range(len(y))]), steps=[0.5, 0.025])
    assert fit.labels[1] == "S1" and fit.steps == (0.025, 0.5, 1.0) and fit.counts.sum() == 48
    tidy = fit.tidy()
    assert tidy["term"].tolist() == [
        "effect",
        "tau2",
        "delta 0 < p <= 0.025",
        "delta 0.025 < p <= 0.5",
        "delta 0.5 < p <= 1",
    ]
    assert tidy.loc[3, "estimate"] == fit.delta[1] and tidy.loc[4, "p_value"] == fit.delta_p_value[2]
    assert fit.glance().loc[0, "lrt_df"] == 2
    assert "test of selection" in fit._repr_html_()
    assert fit.delta[0] == 1.0 and np.isnan(fit.delta_se[0]) and (fit.delta_ci_low[1:] >= 0).all()
    assert (fit.delta_ci_high[1:] < inf).all()


# dat.collins1985a of metadat 1.2-0 (Collins et al. 1985), log odds ratios by metafor's escalc from the columns b.*: y, v.
COLLINS = np.array(
    [
        (-0.904456274227152, 0.240721288515406),
        (-0.180101800055642, 0.220854890367085),
        (1.44238382777093, 1.36783216783217),
        (-1.38629436111989, 0.861111111111111),
        (0.395895657092014, 0.269413919413919),
        (-0.0237399873030726, 0.261305293563358),
        (-0.213574100298059, 0.428113553113553),
        (-1.03369274256879, 0.336295005807201),
        (-2.06032050023306, 2.4003744003744),
        (1.20397280432594, 0.497222222222222),
        (0.22314355131421, 0.406818181818182),
        (0.316617183311233, 0.075038839555839),
        (0.0, 4.13793103448276),
        (-1.97408102602201, 1.56111111111111),
        (-0.274436845701761, 0.552631578947368),
        (-0.486810747562117, 0.151621771589992),
        (-0.0198026272961795, 0.0491772211276855),
        (1.45528723260684, 1.57619047619048),
        (-1.07880966137193, 0.348823529411765),
        (0.172752105777804, 0.183379120879121),
        (0.0865174278563463, 0.151147342995169),
        (0.0157483569681394, 0.377810846560847),
        (0.614103973219492, 0.378528138528139),
        (-2.00995251538241, 0.498070030328095),
        (-0.572519192771331, 1.0011655011655),
    ]
)


def test_a_maximum_with_weights_far_above_one_is_found():
    """Unlikely effects are more often published here: tau2 is large, and the likelihood 0.9 higher than at tau2 = 0."""
    fit = selection_model(*COLLINS.T, steps=(0.05, 0.2), alternative="two-sided")
    # To the digits in which it was reported.
    assert fit.loglik == pytest.approx(-27.57, abs=0.005)
    assert fit.tau2 == pytest.approx(1.87, abs=0.005)
    assert fit.delta[1:] == pytest.approx([24.7, 26.4], abs=0.05)
    assert "local maxima" in fit.note


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e-30, 1e-10, 1.0, 1e10, 1e29, 1e154, 1e300])
@pytest.mark.parametrize("alternative", ["greater", "two-sided"])
def test_extremes_are_refused_or_handled(size, alternative):
    """Every warning is an error here. Refused is what doubles cannot carry; the rest has numbers."""
    y, v = np.random.default_rng(0).normal(0.3, 0.4, (2, 10))
    for spread in (1e-320, 1e-300, 1e-61, 1e-30, size**2 if size < 1e150 else 1e300, 1e30, 1e60, 1e155):
        variances = 0.05 * spread * (0.5 + np.abs(v))
        try:
            fit = selection_model(y * size, variances, steps=(0.2,), alternative=alternative)
        except ValueError:
            continue
        assert np.isfinite([fit.estimate, fit.tau2, fit.loglik]).all()
