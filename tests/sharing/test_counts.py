"""Counts that are shown together give no small count away."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twostage.sharing.summaries import Counts


@pytest.mark.parametrize(
    ("known", "n", "shown"),
    [
        ((), 4, None),
        ((), 5, 5),
        ((), 0, 0),
        ((28,), 31, None),
        ((28,), 33, 33),
        ((28,), 28, 28),
        ((28,), 24, None),
        ((28, 38), 33, 33),
        ((28, 37), 33, None),
        ((28, 30), 28, None),
    ],
)
def test_a_count_is_shown_if_it_is_far_from_all_that_is_known(known, n, shown):
    assert Counts(known, 5).show(n) == shown


def test_a_total_that_is_the_size_of_a_model_is_of_the_models_patients():
    counts = Counts((28, 30), 5)
    assert [counts.show(n, total=True) for n in (28, 29, 33, 35)] == [28, None, None, 35]


def test_what_was_shown_is_known():
    counts = Counts((), 5)
    assert [counts.show(n) for n in (40, 37, 35, 31, 30)] == [40, None, 35, None, 30]
    assert counts.knows(35)
    assert not counts.knows(37)


def test_a_threshold_of_one_shows_everything():
    counts = Counts((10, 11), 1)
    assert [counts.show(n) for n in (12, 9, 1, 0)] == [12, 9, 1, 0]


@given(
    known=st.lists(st.integers(0, 60), max_size=6),
    wanted=st.lists(st.integers(0, 60), max_size=20),
    least=st.integers(1, 9),
)
def test_no_small_count_and_no_small_difference(known, wanted, least):
    counts = Counts(known, least)
    shown = {n for n in (counts.show(n) for n in wanted) if n}
    assert all(n >= least for n in shown)
    visible = shown | {n for n in known if n >= least}
    assert all(abs(a - b) >= least for a, b in combinations(visible, 2) if a in shown or b in shown)
