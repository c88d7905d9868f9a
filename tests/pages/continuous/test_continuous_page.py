"""Effects over intervals, pooled: the same as by hand from the studies' own, and words that say what there is."""

import numpy as np
import pytest

from twostage.collection import read_collection
from twostage.pages.continuous import plots
from twostage.pages.continuous.analysis import pool_intervals
from twostage.pages.continuous.tables import (
    beside_table,
    interval_sentences,
    interval_table,
    study_interval_table,
)
from twostage.params import make_parameters
from twostage.records import analyse
from twostage.simulation import simulate_collection, write_collection
from twostage.stage1 import continuous, make_panel
from twostage.stats.base import NotEstimable, attempt
from twostage.stats.pool import pool
from twostage.terms import DIRECTIONS

HOW = {"method": "REML", "ci": "hartung-knapp", "level": 0.95}


@pytest.fixture(scope="module")
def dated(tmp_path_factory):
    drawn = simulate_collection(11, n_studies=3, n_patients=240, days=True)
    return read_collection(write_collection(drawn, tmp_path_factory.mktemp("dated") / "c"))


@pytest.fixture(scope="module")
def records(dated):
    return analyse(dated, make_parameters({}), ["estimators"]).records["estimators"]


@pytest.fixture(scope="module")
def found(dated, records):
    return attempt(pool_intervals, dated, records, make_parameters({}), **HOW)


def test_each_interval_is_pooled_from_the_studies_own(found, dated):
    fits = [continuous(make_panel(dated.study(id))) for id in dated.studies["study"]]
    for days in (7.0, 14.0):
        own = [fit.effects([days]) for fit in fits]
        by_hand = pool([e.phi[0, 1, 0] for e in own], [e.phi_se[0, 1, 0] ** 2 for e in own])
        table = found.result.table.set_index(["interval", "direction", "term"])
        assert table.loc[(days, "x_to_y", "x_within"), "estimate"] == by_hand.estimate
        assert table.loc[(days, "x_to_y", "x_within"), "ci_low"] == by_hand.ci_low


def test_the_usual_interval_and_the_same_studies_beside(found, records):
    result = found.result
    assert result.usual == 7.0
    assert result.most[0] < 7 < result.most[1] and 0 < result.exact < 1
    own = result.beside.set_index(["direction", "term", "counted"])["estimate"]
    rows = [e for r in records for e in r.estimates if (e.variant, e.direction) == ("riclpm", "y_to_x")]
    plain = [e for e in rows if e.term == "y_within"]
    by_hand = pool([e.estimate for e in plain], [e.std_error**2 for e in plain])
    assert own["y_to_x", "y_within", False] == by_hand.estimate
    weekly = result.table.set_index(["interval", "direction", "term"])["estimate"]
    assert own["y_to_x", "y_within", True] == weekly[7.0, "y_to_x", "y_within"]


def test_words_and_tables_say_the_numbers(found, dated):
    words = interval_sentences(found, dated)
    assert words["x_to_y"].startswith("Over 7 days alliance → symptom severity is ")
    assert "usually 7 days apart" in words["days"] and "nine of ten are" in words["days"]
    assert "Counting days instead of sessions" in words["trust"]
    for d in DIRECTIONS:
        assert len(interval_table(found.result, dated, d)) == 20
        assert len(study_interval_table(found.result, d)) == 3
    assert len(beside_table(found.result, dated)) == 8


def test_the_picture_has_both_effects_and_where_the_intervals_lie(found, dated):
    ax = plots.over_intervals(found.result, dated)
    lines = [line for line in ax.lines if len(line.get_xdata()) > 2]
    assert len(lines) == 2
    rows = found.result.table.query("direction == 'x_to_y' and term == 'x_within'")
    assert np.array_equal(lines[0].get_ydata(), rows["estimate"])


def test_without_days_the_reason_is_said(three, found):
    records = analyse(three, make_parameters({}), ["estimators"]).records["estimators"]
    with pytest.raises(NotEstimable, match="days of the sessions are not known"):
        pool_intervals(three, records, make_parameters({}), **HOW)
    nothing = attempt(pool_intervals, three, records, make_parameters({}), **HOW)
    assert "not known" in interval_sentences(nothing, three)["days"]
