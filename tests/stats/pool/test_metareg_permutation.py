"""Permutation tests: by hand, against metafor's exact ones, Monte Carlo against exact, uniform under the null."""

import sys
from itertools import permutations
from math import comb, factorial
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "reference"))

from metareg_tables import arguments, read

from twostage.stats.pool.metareg import metareg
from twostage.stats.pool.permutation import permutation_test

# p-values are counts over counts; the permuted statistics carry what metafor's scoring leaves (thresholds of 1e-13).
STATISTICS = 1e-7
CASES = read("metareg_permutation.json.gz")
SIZES = {"hart": 360, "signs": 256, "binary": comb(8, 3), "two": 720, "cells": 210}


def fitted(case):
    positional, keywords = arguments(case)
    return metareg(*positional, method=case["method"], ci=case["ci"], **keywords)


def test_the_grid_has_not_shrunk():
    found = {(c["dataset"], c["method"], c["ci"]) for c in CASES}
    assert found == {
        (d, m, c) for d in SIZES for m in ("FE", "DL", "REML") for c in ("wald", "hartung-knapp")
    }
    assert all(c["n"] == SIZES[c["dataset"]] for c in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['dataset']}-{c['method']}-{c['ci']}")
def test_exact_tests_agree_with_permutest(case):
    result = permutation_test(fitted(case))
    assert result.exact and result.converged and result.n == result.n_possible == case["n"]
    np.testing.assert_allclose(result.p_value, case["p_value"], rtol=1e-12)
    assert result.qm_p_value == pytest.approx(case["qm_p_value"], rel=1e-12)
    np.testing.assert_allclose(np.sort(result.permuted_qm), case["qm"], rtol=STATISTICS, atol=STATISTICS)
    for ours, theirs in zip(result.permuted_statistic.T, case["statistic"].values(), strict=True):
        np.testing.assert_allclose(np.sort(ours), theirs, rtol=STATISTICS, atol=STATISTICS)
    assert (result.p_value_se == 0.0).all() and result.seed is None


def test_sign_flips_by_hand():
    """Equal variances and signs: only the two arrangements with all signs equal are as extreme as observed."""
    result = permutation_test(metareg([0.5, 0.7, 0.6], [0.1] * 3, ci="wald", method="FE"))
    assert (result.n, result.exact) == (8, True)
    assert result.p_value[0] == 2 / 8 and result.qm_p_value == 2 / 8
    assert [permutation_test(result.fit, n=n).exact for n in (7, 8)] == [False, True]


def test_row_permutations_by_hand():
    """Four studies on a line: of 24 orders only it and its mirror have as steep a slope."""
    result = permutation_test(metareg([0.0, 1.0, 2.0, 3.1], [0.1] * 4, [0, 1, 2, 3], ci="wald", method="FE"))
    assert (result.n, result.n_possible) == (24, 24)
    assert result.p_value[1] == 2 / 24 == result.qm_p_value


def test_estimates_keep_their_variances():
    """A precise study that carries the slope: exchanging estimates without their variances gives another p."""
    y, v, x = [0.0, 0.1, 0.2, 2.0, 0.0], [0.01, 0.5, 0.3, 0.02, 0.9], [0, 1, 2, 3, 3]
    result = permutation_test(metareg(y, v, x, method="FE", ci="wald"))
    orders = {tuple(np.array(x)[list(p)]): p for p in permutations(range(5))}
    direct = [abs(metareg(y, v, list(o), method="FE", ci="wald").statistic[1]) for o in orders]
    observed = abs(metareg(y, v, x, method="FE", ci="wald").statistic[1])
    assert result.n == len(orders) == factorial(5) // 2
    assert result.p_value[1] == np.mean(np.array(direct) >= observed - 1e-8)


@pytest.mark.parametrize("name", ["signs", "two", "binary"])
def test_monte_carlo_agrees_with_exact(name):
    case = next(c for c in CASES if c["dataset"] == name and c["method"] == "DL" and c["ci"] == "wald")
    exact, sampled = (
        permutation_test(fitted(case)),
        permutation_test(fitted(case), n=3000, exact=False, seed=4),
    )
    assert not sampled.exact and sampled.n == 3000 and sampled.seed == 4
    # Four Monte Carlo standard errors, the seed is fixed.
    error = 4 * np.sqrt(exact.p_value * (1 - exact.p_value) / 3000) + 1e-9
    assert (np.abs(sampled.p_value - exact.p_value) <= error).all()
    assert sampled.p_value_se == pytest.approx(np.sqrt(sampled.p_value * (1 - sampled.p_value) / 3000))


def test_the_observed_arrangement_counts_and_seeds_repeat():
    rng = np.random.default_rng(2)
    x = np.arange(12.0)
    fit = metareg(5 * x + rng.normal(size=12), np.full(12, 0.1), x, method="DL")
    result = permutation_test(fit, n=50, seed=1)
    assert result.p_value[1] == 1 / 50 == result.qm_p_value  # never 0
    assert result.permuted_statistic[0] == pytest.approx(fit.statistic)
    again, other = permutation_test(fit, n=50, seed=1), permutation_test(fit, n=50, seed=2)
    np.testing.assert_array_equal(again.permuted_qm, result.permuted_qm)
    assert (other.permuted_qm[1:] != result.permuted_qm[1:]).any()


def test_chunks_do_not_matter(monkeypatch):
    case = next(c for c in CASES if c["dataset"] == "hart" and c["method"] == "DL")
    whole = permutation_test(fitted(case))
    monkeypatch.setattr("twostage.stats.pool.permutation.CHUNK", 7)
    np.testing.assert_allclose(permutation_test(fitted(case)).permuted_qm, whole.permuted_qm, rtol=1e-12)
    signs = next(c for c in CASES if c["dataset"] == "signs" and c["method"] == "DL")
    assert permutation_test(fitted(signs)).p_value[0] == signs["p_value"]
    assert permutation_test(fitted(case), n=20, exact=False).n == 20


def test_p_values_are_uniform_without_an_effect():
    """A test that permutes is exact: 200 data sets of 5 studies (60 distinct orders, p = 1/60, 2/60, ...)."""
    rng = np.random.default_rng(6)
    p = []
    for _ in range(200):
        v = rng.uniform(0.05, 0.5, 5)
        y = rng.normal(size=5) * np.sqrt(v + 0.2)
        p.append(permutation_test(metareg(y, v, [0, 0, 1, 2, 3], method="DL", ci="wald")).p_value[1])
    for level in (0.1, 0.3, 0.5):
        assert np.mean(np.array(p) <= level) == pytest.approx(
            level, abs=4 * np.sqrt(level * (1 - level) / 200)
        )


def test_refusals_and_tables():
    fit = metareg([0.1, 0.5, 0.3, 0.9], [0.1] * 4, [0, 1, 2, 3], names=["year"])
    with pytest.raises(ValueError, match="n >= 2"):
        permutation_test(fit, n=1)
    result = permutation_test(fit)
    assert result.tidy()["term"].tolist() == ["intercept", "year"]
    assert result.glance()["n"].item() == 24
    assert "exact: all 24" in result._repr_html_()
    assert "10 of 24 (seed 1)" in permutation_test(fit, n=10)._repr_html_()
