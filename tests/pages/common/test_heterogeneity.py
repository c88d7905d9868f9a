"""The words about heterogeneity hold the numbers of the fit and nothing else."""

from pathlib import Path

import numpy as np
import pytest

from twostage.display import interval, number, p_value
from twostage.pages.common.heterogeneity import (
    heterogeneity_words,
    simulated_prediction,
    words_list,
    words_table,
)
from twostage.recovery.simulations import read_simulation
from twostage.stats.pool.exceedance import exceedance
from twostage.stats.pool.pool import pool

BOOK = Path(__file__).resolve().parents[3] / "book"
Y, V = [0.1, 0.4, 0.6, 0.2, -0.1, 0.3], [0.01, 0.02, 0.03, 0.02, 0.02, 0.01]


def test_every_number_is_that_of_the_fit():
    fit = pool(Y, V)
    ends, share = fit.qprofile(), exceedance(fit)
    low, high = 100 * share.ci_low, 100 * share.ci_high
    assert 99.5 < high < 100
    assert heterogeneity_words(fit) == (
        f"The true effects of the 6 studies differ with an estimated standard deviation of {number(fit.tau, 3)} "
        f"(95 % interval {interval(ends.tau_low, ends.tau_high, 3)}). "
        f"Test that they do not differ: Q(5) = {number(fit.q)}, p = {p_value(fit.q_p_value)}. "
        "Nominally, in 95 of 100 new studies like these the true effect is expected in "
        f"{interval(fit.pi_low, fit.pi_high)}; with few studies, or where they hardly differ, it is in fewer; "
        "effects of both signs lie in this range. "
        f"An estimated {100 * share.estimate:.0f} of 100 true effects lie above 0 "
        f"(95 % interval {low:.0f} to more than 99 of 100)."
    )


def test_another_threshold_level_and_unit():
    fit = pool(Y, V, level=0.9)
    words = heterogeneity_words(fit, threshold=0.5, back=np.tanh, scale="in z")
    assert "Nominally, in 90 of 100" in words and "standard deviation of 0.177 in z (90 % interval" in words
    below = exceedance(fit, 0.5, above=False)
    assert f"{100 * below.estimate:.0f} of 100 true effects lie below {number(np.tanh(0.5))}" in words
    assert interval(np.tanh(fit.pi_low), np.tanh(fit.pi_high)) in words


def test_no_heterogeneity_is_said_as_estimated_not_as_known():
    fit = pool([0.5, 0.6, 0.3], [0.04] * 3)
    words, share = heterogeneity_words(fit), exceedance(fit)
    assert "differ no more than sampling error alone would make them" in words
    assert "estimated at 0 (95 % interval [0.000, " in words
    low = f"95 % interval {100 * share.ci_low:.0f} to 100 of 100"
    assert f"An estimated 100 of 100 true effects lie above 0 ({low})" in words
    agree = heterogeneity_words(pool([0.5, 0.5001, 0.5], [0.04] * 3))
    assert "no interval: the estimates agree more closely than their sampling errors" in agree


def test_same_sign_only_where_the_range_excludes_zero():
    assert "have the same sign" in heterogeneity_words(pool([0.5, 0.52, 0.51, 0.5], [0.001] * 4))
    assert "both signs" in heterogeneity_words(pool([0.5, 0.1, 0.3, -0.5], [0.001] * 4))


def test_what_is_missing_is_said():
    assert "nothing can be said" in heterogeneity_words(pool([0.5], [0.1]))
    assert "No prediction interval" in heterogeneity_words(pool([0.5, 0.9], [0.01, 0.01]))
    fixed = heterogeneity_words(pool(Y, V, method="FE", ci="wald"))
    assert "is not estimated" in fixed and "of 100" not in fixed


def test_words_of_an_analysis(pooled, three):
    table = words_table(pooled["lagged"], three, ["x_within"])
    assert table["direction"].tolist() == ["x_to_y", "y_to_x"]
    fit = pooled["lagged"].fits["main", "x_to_y", "x_within"]
    assert table.loc[0, "words"] == heterogeneity_words(fit)
    assert words_list(table).count("\n- **") == 1
    z = words_table(pooled["outcome"], three, ["partial_r_z"])
    assert "Fisher's z" in z.loc[0, "words"] and "partial r" in z.loc[0, "effect"]


@pytest.mark.parametrize(
    "share, words", [(1.0, "100"), (0.999, "more than 99"), (0.001, "fewer than 1"), (0.0, "0")]
)
def test_counts_of_100_never_round_to_certainty(share, words):
    from twostage.pages.common.heterogeneity import _of_100

    assert _of_100(share) == words


def test_the_simulated_share_is_of_the_nearest_cell():
    """17 studies, I2 of 29 % on average: 84 of 100, where 95 are claimed."""
    cover = read_simulation(BOOK / "simulations", "coverage")
    how = {"method": "REML", "ci": "hartung-knapp", "level": 0.95}
    row = {"k": 15, "i2": 31.0, "pi_low": -1.0, "pi_high": 1.0, "pi_rule": pool(Y, V).pi_rule}
    cell = cover.rows(k=17, heterogeneity="small", interval="prediction", rule="t(k-2), Hartung-Knapp").iloc[
        0
    ]
    assert round(100 * cell["coverage"]) == 84
    text = simulated_prediction(row, how, cover)
    assert f"meta-analyses of 17 studies with an I² of {cell['mean_i2']:.0f} % on average" in text
    assert text.endswith("in 84 %.")
    assert "in 94 %" in simulated_prediction(row | {"i2": 90.0}, how, cover)
    for other in ({"method": "DL"}, {"level": 0.9}, {"ci": "hartung-knapp-adhoc"}):
        assert simulated_prediction(row, how | other, cover) == ""
    assert simulated_prediction(row | {"pi_low": float("nan")}, how, cover) == ""
