"""Location-scale models against metafor: every data set with a moderator, and what happens without a finite maximum."""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "reference"))

from metareg_tables import DATA, read

from twostage.stats.base.checks import NotEstimable
from twostage.stats.pool.locationscale import locationscale
from twostage.stats.pool.locationscale_likelihood import ScaleProblem, _climb

# What was asked for. alpha and its standard errors are refined in R by Newton steps with numerical derivatives of
# metafor's own log-likelihood (numDeriv). Measured: alpha within 3e-9 standard errors, the rest within 1e-7.
AGREEMENT = 1e-6
# Flat at the maximum, so rounding only; with one estimate of 1000 among ten, sums of 10^6.
LIKELIHOOD = 1e-9
# Without a finite maximum both searches stop where less than this is left to gain.
SUPREMUM = 1e-8
# The coefficients are as near to their limits: up to 3e-6 standard errors in "viechtbauer", where ours is 8e-10 higher.
LIMIT = 1e-5
# metafor's own Hessian (r = 8, steps down to 1e-6 of a coefficient, years of the calendar in X) loses up to 3 percent of
# the test statistic, in "offset".
OWN_HESSIAN = 5e-2
# Standard errors, per standard deviation of a moderator, of a coefficient that has run off; at a maximum below 60.
RUN_OFF = 1e3
# By how much metafor, left alone, ends lower where it ends at another maximum.
ELSEWHERE = 1e-4

CASES = {(c["dataset"], c["form"], c["method"]): c for c in read("metareg_locationscale.json.gz")}
REGULAR = [name for name, case in CASES.items() if case["regular"]]
# One contrast of three estimates cannot determine two scale coefficients; metafor's standard errors are NaN.
REFUSED = ("k3", "both", "REML")
OTHERS = [name for name, case in CASES.items() if not case["regular"] and name != REFUSED]
RULE = {(d["name"], f) for d in DATA.values() for f in ("location", "scale", "both")}
RICHER = {
    *(("bcg_all", "two"), ("curtis", "three"), ("mcdaniel", "two scale"), ("landenberger", "two scale")),
    *(("linde", "two scale"), ("molloy", "two"), ("molloy", "quality"), ("cell_means", "cells")),
    *(("bcg_ablat", "origin"), ("raudenbush", "scale cells")),
}


def arguments(case):
    k = len(case["y"])
    X, Z = (np.array(case[c], dtype=float).reshape(k, -1) for c in "XZ")
    options = {o: case[o] for o in ("method", "intercept", "scale_intercept")}
    return (np.array(case["y"]), np.array(case["v"]), X, Z), options


@cache
def ours(name, ci):
    positional, options = arguments(CASES[name])
    return locationscale(*positional, ci=ci, **options)


def each(names):
    """Name, our fit and metafor's numbers, for both ways of inference where both parts have moderators (to save time)."""
    for name in names:
        yield name, ours(name, "wald"), CASES[name]["z"]
        if name[1] not in ("location", "scale"):
            yield name, ours(name, "hartung-knapp"), CASES[name]["knha"]


def test_no_data_set_is_left_out():
    without = {d["name"] for d in DATA.values() if not d["names"] or not d["intercept"]}
    rule = {(n, f) for n, f in RULE if n not in without | {"bcg_all"}}
    assert set(CASES) == {(*model, m) for model in rule | RICHER for m in ("REML", "ML")}
    assert len({n for n, _ in rule}) == 26
    assert all(CASES[name]["last_step"] < 1e-7 for name in REGULAR)


def test_the_maxima_agree():
    for name in REGULAR:
        fit, case = ours(name, "wald"), CASES[name]
        assert fit.converged and fit.note == "", name
        assert fit.loglik == pytest.approx(case["loglik"], abs=LIKELIHOOD), name
        error = np.abs(fit.alpha - case["alpha"]) / fit.alpha_std_error
        assert (error < AGREEMENT).all(), name
        theirs = np.atleast_1d(case["std_error"])
        np.testing.assert_allclose(fit.alpha_std_error, theirs, rtol=AGREEMENT, err_msg=str(name))


def location_agrees(name, fit, theirs, rtol=AGREEMENT):
    for numbers, column in ((fit.coef, "coef"), (fit.ci_low, "ci_low"), (fit.std_error, "std_error")):
        expected, little = np.atleast_1d(theirs[column]), rtol * fit.std_error.min()
        np.testing.assert_allclose(numbers, expected, rtol=rtol, atol=little, err_msg=f"{name} {column}")
    if theirs["qm"] is None:
        assert fit.variance_factor == 0.0 and fit.qm == np.inf  # estimates on a line
    else:
        assert fit.qm == pytest.approx(theirs["qm"], rel=rtol, abs=rtol), name
        assert fit.qm_p_value == pytest.approx(theirs["qm_p_value"], rel=100 * rtol, abs=rtol), name
    # Without an intercept metafor takes QE of the centred estimates.
    centred = (
        fit
        if name[1] != "origin"
        else locationscale(fit.y - fit.y.mean(), fit.v, fit.design.X, intercept=False)
    )
    assert centred.qe == pytest.approx(theirs["qe"], rel=AGREEMENT, abs=1e-20), name


def test_location_agrees():
    for name, fit, theirs in each(REGULAR):
        location_agrees(name, fit, theirs)
        little = AGREEMENT * fit.v.min()
        np.testing.assert_allclose(fit.tau2, theirs["tau2"], rtol=AGREEMENT, atol=little, err_msg=str(name))


def test_tests_of_alpha_agree():
    for name, fit, theirs in each(REGULAR):
        assert fit.qs == pytest.approx(theirs["qs"], rel=AGREEMENT, abs=AGREEMENT), name
        assert fit.qs_p_value == pytest.approx(theirs["qs_p"], rel=AGREEMENT, abs=AGREEMENT), name
        np.testing.assert_allclose(fit.alpha_p_value, np.atleast_1d(theirs["alpha_p"]), atol=AGREEMENT)
        error = (fit.alpha_ci_low - theirs["alpha_low"]) / fit.alpha_std_error
        assert np.abs(error).max() < 10 * AGREEMENT, name  # two standard errors, each that precise
        # The same definitions as metafor's.
        assert fit.qs == pytest.approx(theirs["own_qs"], rel=OWN_HESSIAN), name
        assert fit.qs_p_value == pytest.approx(theirs["own_qs_p"], rel=OWN_HESSIAN), name


def test_likelihood_ratio_agrees():
    names = [name for name in REGULAR if "loglik_without" in CASES[name]]
    assert len(names) > 80
    for name in names:
        fit = ours(name, "wald")
        without = 2 * (fit.loglik - CASES[name]["loglik_without"])
        assert fit.lr == pytest.approx(max(0.0, without), abs=10 * LIKELIHOOD), name
        assert fit.lr_df == len(fit.alpha) - 1


def test_predictions_agree():
    for name, fit, numbers in each(REGULAR):
        if "predict" in numbers:
            theirs = numbers["predict"]
            rules = {"k-p-q": "riley", "k-p": "t"} | ({"normal": "default"} if fit.ci == "wald" else {})
            for rule, column in rules.items():
                at = fit.predict(theirs["X"], theirs["Z"], prediction=rule)
                for found, c in ((at.estimate, "estimate"), (at.ci_low, "ci_low"), (at.pi_low, column)):
                    expected, little = np.array(theirs[c], dtype=float), AGREEMENT * at.std_error.min()
                    np.testing.assert_allclose(
                        found, expected, rtol=AGREEMENT, atol=little, err_msg=f"{name} {c}"
                    )


# Without a finite maximum


def test_no_finite_maximum_is_said():
    assert len(OTHERS) > 30
    for name, fit, theirs in each(OTHERS):
        assert not fit.converged and fit.note.startswith("no finite maximum"), name
        assert fit.loglik == pytest.approx(CASES[name]["loglik"], abs=SUPREMUM), name
        assert np.isnan(fit.alpha_std_error).all() and np.isnan(fit.qs), name
        assert np.isnan(fit.predict().pi_low).all() and fit.predict().pi_rule == "none"
        location_agrees(name, fit, theirs, LIMIT)


def test_metafor_says_so_too_or_runs_off_or_ends_lower():
    for name in (*OTHERS, REFUSED):
        alone = CASES[name]["alone"]
        if "error" in alone:
            continue
        error = np.nan if alone["largest_std_error"] is None else alone["largest_std_error"]
        lower = CASES[name]["loglik"] - alone["loglik"] > ELSEWHERE
        assert np.isnan(error) or error > RUN_OFF or lower, name


def test_at_a_maximum_metafor_does_not():
    for name in REGULAR:
        alone = CASES[name]["alone"]
        assert "error" not in alone and alone["largest_std_error"] < RUN_OFF / 10, name
        assert ours(name, "wald").loglik >= alone["loglik"] - LIKELIHOOD, name


def test_a_lower_finite_maximum_is_mentioned():
    """metafor stops there, without a word, and so did our search before it started from the ends of the moderators."""
    for name in (("saturated", "scale", "ML"), ("viechtbauer", "both", "ML"), ("molloy", "quality", "ML")):
        fit, alone = ours(name, "wald"), CASES[name]["alone"]
        assert fit.search.finite == pytest.approx(alone["loglik"], abs=LIKELIHOOD)
        assert f"lower by {fit.loglik - fit.search.finite:.3g}" in fit.note


def test_too_few_contrasts_are_refused():
    positional, options = arguments(CASES[REFUSED])
    with pytest.raises(NotEstimable, match="1 residual degrees of freedom cannot determine 2 scale"):
        locationscale(*positional, **options)


@pytest.mark.parametrize("name", [n for n in CASES if n[1] == "both" and n != REFUSED], ids="-".join)
def test_no_start_is_higher(name):
    """Random starts over the plane, half of them with heterogeneity at one end of the moderator only."""
    fit, (y, v, _, Z) = ours(name, "wald"), arguments(CASES[name])[0]
    residual = y - fit.design.U @ (fit.design.U.T @ y)
    problem = ScaleProblem(residual, v, fit.design.U, fit.scale.U, fit.method == "REML")
    rng, z = np.random.default_rng(1), (Z - Z.mean()) / Z.std()
    for one_end in (False, True):
        for _ in range(2):
            shape = 3 * rng.standard_t(2) * z
            start = rng.normal(np.log(v.mean() + y.var()), 3) + shape - one_end * shape.max()
            assert _climb(problem, fit.scale.U.T @ start[:, 0])[1] <= fit.loglik + SUPREMUM
