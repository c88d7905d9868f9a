"""Cumulative meta-analysis by hand, its orders and errors (against metafor: test_influence_metafor.py)."""

from math import nan, sqrt

import numpy as np
import pytest

from twostage.stats.influence.cumulative import cumulative
from twostage.stats.pool.pool import pool

ROUNDING = 1e-12
# y = 0, 1, 4 with weights 1, 2, 4.
THREE = ([0.0, 1.0, 4.0], [1.0, 0.5, 0.25])


def test_by_hand():
    steps = cumulative(*THREE, method="FE", ci="wald")
    assert steps.estimate == pytest.approx([0.0, 2 / 3, 18 / 7], rel=ROUNDING)
    assert steps.std_error == pytest.approx([1.0, 1 / sqrt(3), 1 / sqrt(7)], rel=ROUNDING)
    assert steps.q == pytest.approx([0.0, 2 / 3, 138 / 7], rel=ROUNDING)
    assert steps.order.tolist() == [0, 1, 2] and steps.by == "given order"


def test_most_precise_first():
    steps = cumulative(*THREE, method="FE", ci="wald", order="precision", labels=["a", "b", "c"])
    assert steps.labels == ("c", "b", "a") and steps.by == "precision"
    assert steps.estimate == pytest.approx([4.0, 3.0, 18 / 7], rel=ROUNDING)
    assert cumulative(*THREE, order="precision", descending=True).order.tolist() == [0, 1, 2]


def test_by_year_ties_keep_their_order():
    years = [2004, 1999, 2004]
    assert cumulative(*THREE, order=years).order.tolist() == [1, 0, 2]
    assert cumulative(*THREE, order=years, descending=True, by="year").order.tolist() == [0, 2, 1]
    assert cumulative(*THREE, order=years, by="year").by == "year"


def test_ends_are_the_first_study_and_the_fit():
    rng = np.random.default_rng(3)
    fit = pool(rng.normal(size=8), rng.uniform(0.1, 1, 8))
    steps = cumulative(fit)
    assert steps.estimate[0] == fit.y[0] and steps.tau2[0] == 0.0 and steps.df[0] == np.inf
    for name in ("estimate", "std_error", "ci_low", "ci_high", "tau2", "i2", "q"):
        assert getattr(steps, name)[-1] == getattr(fit, name)
    assert steps.df[1:].tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_one_study_and_errors():
    assert cumulative([0.3], [0.1]).estimate.tolist() == [0.3]
    with pytest.raises(ValueError, match="order must be 'precision'"):
        cumulative(*THREE, order="year")
    with pytest.raises(ValueError, match="each of the 3 studies"):
        cumulative(*THREE, order=[1, 2])
    with pytest.raises(ValueError, match="missing for: b"):
        cumulative(*THREE, order=[1, nan, 2], labels=["a", "b", "c"])


def test_tables():
    steps = cumulative(
        [0.5, 0.1, 0.6, 0.7], [0.01, 0.2, 0.01, 0.01], method="FE", ci="wald", labels=list("abcd")
    )
    assert steps.tidy()[["step", "study"]].to_numpy().tolist() == [[1, "a"], [2, "b"], [3, "c"], [4, "d"]]
    assert steps.glance().loc[0, "excludes_zero_from"] == 1
    assert "<td>d</td>" in steps._repr_html_()
    late = cumulative([0.5, -0.5, 0.6, 0.7], [0.01, 0.01, 0.01, 0.01], method="FE", ci="wald")
    assert late.glance().loc[0, "excludes_zero_from"] == 3
    assert np.isnan(cumulative([0.5, -0.5], [0.1, 0.1]).glance().loc[0, "excludes_zero_from"])
