"""Arguments are numbers within what doubles carry, or refused; a mask never vanishes."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from twostage.stats.base.checks import check_panel, faults, real_array
from twostage.stats.base.inference import holm
from twostage.stats.dpm.fit import fit_dpm
from twostage.stats.mixed.fit import fit_mixed
from twostage.stats.multilevel.pair import pool_pair
from twostage.stats.pool.design import project
from twostage.stats.pool.metareg import metareg
from twostage.stats.pool.paired import paired_difference
from twostage.stats.pool.pool import pool, pool_many
from twostage.stats.pool.tau2 import METHODS
from twostage.stats.riclpm.fit import fit_riclpm
from twostage.stats.small_study.egger import egger
from twostage.stats.small_study.selection import selection_model

Y, V = np.array([0.21, 0.1, 0.3, 0.25, 0.18, 0.4]), np.array([0.01, 0.02, 0.015, 0.01, 0.03, 0.02])
MASKED = np.ma.array([1e5, *Y[1:]], mask=[True, False, False, False, False, False])
PANEL = np.ma.masked_greater(np.random.default_rng(1).normal(size=(60, 5, 2)), 2.0)

ENTRIES = {
    "pool": lambda: pool(MASKED, V),
    "pool's variances": lambda: pool(Y, MASKED),
    "pool_many": lambda: pool_many(MASKED[None], V),
    "metareg": lambda: metareg(MASKED, V),
    "metareg's moderator": lambda: metareg(Y, V, MASKED),
    "selection": lambda: selection_model(MASKED, V),
    "egger": lambda: egger(MASKED, V),
    "paired": lambda: paired_difference(MASKED, V, Y, V),
    "holm": lambda: holm(np.ma.array([0.1, 0.2], mask=[True, False])),
    "mixed": lambda: fit_mixed(MASKED, np.ones((6, 1)), [1, 1, 2, 2, 3, 3]),
    "groups": lambda: fit_mixed(Y, np.ones((6, 1)), np.ma.array([1, 1, 2, 2, 3, 3], mask=[0, 0, 0, 0, 0, 1])),
    "riclpm": lambda: fit_riclpm(PANEL),
    "dpm": lambda: fit_dpm(PANEL),
    "centring": lambda: check_panel(PANEL),
    "a pair": lambda: pool_pair(PANEL[:, 0], np.tile(np.eye(2), (60, 1, 1))),
    "a list": lambda: pool([0.1, np.ma.masked, 0.3], [0.1, 0.1, 0.1]),
}


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_a_mask_is_refused_wherever_numbers_come_in(entry):
    with pytest.raises(ValueError, match="masked value"):
        entry()


def test_an_array_without_masked_values_is_an_array():
    assert pool(np.ma.array(Y), V).estimate == pool(Y, V).estimate


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["0.1", "0.2"], "texts"),
        (np.array(["0.1", "0.2"], dtype=object), "'0.1', a str"),
        ([True, False], "truth values"),
        (np.array([0.1, True], dtype=object), "True, a bool"),
        ([0.1 + 0j, 0.2], "complex"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "datetime64"),
        ([0.1, None], "None"),
        ([[0.1], [0.1, 0.2]], "equal length"),
        ([0.1, Decimal(1)], "Decimal"),
        (pd.Series(["a", "b"], dtype="category"), "'a', a str|texts"),
    ],
)
def test_what_is_no_real_number_is_refused(values, words):
    with pytest.raises(ValueError, match=words):
        real_array(values, "y")


def test_pandas_numbers_and_its_missing_value():
    values = pd.Series([1.5, None, 2], dtype="Float64")
    np.testing.assert_array_equal(real_array(values, "y"), [1.5, np.nan, 2])
    np.testing.assert_array_equal(real_array(pd.Series([1, None], dtype="Int64"), "y"), [1, np.nan])
    with pytest.raises(ValueError, match="estimate nan is not finite"):
        pool(pd.Series([0.1, None, 0.2], dtype="Float64"), [0.1] * 3)
    frame = pd.DataFrame({"a": [1, 2], "b": [True, False]})
    np.testing.assert_array_equal(real_array(frame, "X", booleans=True), [[1, 1], [2, 0]])
    np.testing.assert_array_equal(real_array([Fraction(1, 2), 2], "y"), [0.5, 2])


@pytest.mark.parametrize(
    ("estimate", "variance", "words"),
    [
        (1e154, 0.1, "estimate 1e\\+154 is beyond 1e\\+30"),
        (-1e31, 0.1, "beyond"),
        (np.inf, 0.1, "not finite"),
        (0.1, 1e-300, "variance 1e-300 is not from 1e-60 to 1e\\+60"),
        (0.1, 5e-324, "not from"),
        (0.1, 1e61, "not from"),
        (0.1, 0.0, "not finite and positive"),
        (1e3, 1e-26, "less than 1e-15 of the estimate's distance"),
    ],
)
def test_numbers_that_doubles_cannot_square_are_refused_by_study(estimate, variance, words):
    y, v = [0.1, estimate, 0.2, 0.3], [0.1, variance, 0.2, 0.1]
    for fit in (pool, metareg):
        with pytest.raises(ValueError, match=f"study 1: .*{words}"):
            fit(y, v)


@pytest.mark.parametrize("method", METHODS)
def test_whatever_passes_gives_finite_numbers(method):
    rng = np.random.default_rng(7)
    for _ in range(60):
        k = int(rng.integers(2, 9))
        v = 10.0 ** rng.uniform(-60, 60, k)
        y = rng.normal(size=k) * 10.0 ** rng.uniform(-30, 14 + np.log10(v.min()) / 2)
        assert not faults(y, v, str)
        fit = pool(y, v, method=method)
        numbers = [fit.estimate, fit.std_error, fit.ci_low, fit.ci_high, fit.tau2, fit.q, fit.i2, fit.loglik]
        assert np.isfinite(numbers).all(), (y, v, fit)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ratio", [1e10, 1e17, 1e34])
def test_a_weight_that_dominates_leaves_the_estimates_of_tau2_exact(method, ratio):
    """Two studies: tau2 and its pool are those of the formulas with nothing cancelled."""
    y, v = np.array([0.0, 1e-7]), np.array([1.0, ratio])
    fit = pool(y, v, method=method, ci="wald")
    assert fit.tau2 == 0.0 or method == "SJ"
    assert np.isfinite([fit.estimate, fit.std_error, fit.loglik, fit.i2]).all()
    total = 1.0 / (v[0] + fit.tau2) + 1.0 / (v[1] + fit.tau2)
    assert fit.std_error == pytest.approx(total**-0.5, rel=1e-12)
    if method == "DL":
        # tr(P) of two studies is 2 w1 w2 / (w1 + w2); Q is w1 w2 / (w1 + w2) times the difference squared.
        trace = 2.0 * (1.0 / ratio) / (1.0 + 1.0 / ratio)
        assert project(v, 1.0 / v).trace == pytest.approx(trace, rel=1e-12)
