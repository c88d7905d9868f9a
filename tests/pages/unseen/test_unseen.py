"""Shifts of unseen scores over studies: pools, tipping points, and what is said."""

import numpy as np
import pandas as pd
import pytest

from twostage.pages.unseen.analysis import GRID, pool_unseen, tipping
from twostage.pages.unseen.tables import unseen_sentence, unseen_table
from twostage.params import make_parameters
from twostage.stage1 import make_panel
from twostage.stats.base import NotEstimable, attempt
from twostage.stats.pool import pool
from twostage.stats.riclpm import fit_riclpm

HOW = {"method": "REML", "ci": "hartung-knapp", "level": 0.95}
# The plain fit by another path: both stop within 1e-8 of the maximum.
SAME = 1e-7


@pytest.fixture(scope="module")
def found(three):
    return pool_unseen(three, make_parameters({}), HOW)


def rows(low, high):
    shift = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    return pd.DataFrame({"shift": shift, "ci_low": low, "ci_high": high})


def test_tipping_points_by_hand():
    below = rows([-0.2, -0.2, -0.2, -0.2, -0.2], [0.1, -0.1, -0.1, -0.1, 0.1])
    assert tipping(below) == (-1.0, 1.0)
    assert tipping(rows([-0.2] * 5, [-0.1] * 5)) == (-np.inf, np.inf)
    # From neither to positive; and from negative to positive, which no interval with zero lies between.
    assert tipping(rows([-0.1, -0.1, -0.1, 0.1, 0.1], [0.2] * 5)) == (-np.inf, 0.5)
    assert tipping(rows([0.1, -0.2, -0.2, -0.2, -0.2], [0.2, -0.1, -0.1, -0.1, -0.1])) == (-1.0, np.inf)


def test_without_a_shift_it_is_the_pool_of_the_panel_model(three, found):
    fits = [fit_riclpm(make_panel(three.study(s)).wide()[0]) for s in three.studies["study"]]
    for direction, place in (("x_to_y", (1, 0)), ("y_to_x", (0, 1))):
        y, v = (np.array([getattr(fit, name)[place] for fit in fits]) for name in ("phi", "phi_se"))
        plain = pool(y, v**2, **HOW)
        for moved in ("x", "y"):
            row = found.of(direction, moved).query("shift == 0").iloc[0]
            assert row["estimate"] == pytest.approx(plain.estimate, abs=SAME)
            assert row["ci_low"] == pytest.approx(plain.ci_low, abs=SAME)
            assert row["k"] == len(fits)


def test_what_is_said(three, found):
    text = unseen_sentence(attempt(lambda: found), "x_to_y", three)
    table = unseen_table(found, "x_to_y", three)
    assert f"k = {len(three.studies)}" in text and text.count("tipping point") == 2
    assert list(table.iloc[:, 0].astype(str).str.replace("−", "-").astype(float)) == list(GRID)
    plain = table.iloc[list(GRID).index(0.0)]
    assert plain.iloc[1] == plain.iloc[2] and plain.iloc[1] in text


def test_why_there_is_none(three):
    with pytest.raises(NotEstimable, match="lag 1"):
        pool_unseen(three, make_parameters({"lag": 2}), HOW)
    one = three.only([three.studies["study"].iloc[0]])
    none = attempt(pool_unseen, one, make_parameters({}), HOW)
    assert "only 1 of the studies" in unseen_sentence(none, "x_to_y", one)
