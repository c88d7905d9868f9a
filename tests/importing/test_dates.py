"""Dates of diaries: a day that was skipped is not the neighbour of the next one without a word."""

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from import_support import bring, refused, written

from twostage.importing.sessions import skipped_days

DIARY = {"layout": "long", "patient": "id", "date": "day", "date_format": "ISO", "x": "wai", "y": "oq"}


def diary(*days: int) -> str:
    """Two patients' diaries of the same days of January."""
    rows = [f"{p},2024-01-{day:02},{day},{day}\n" for p in "ab" for day in days]
    return "id,day,wai,oq\n" + "".join(rows)


def numbers(folder) -> list[int]:
    lines = written(folder)[0].splitlines()[1:]
    return [int(line.split(",")[1]) for line in lines if line.startswith("a,")]


def test_a_diary_with_a_skipped_day_is_asked_about_and_keeps_the_distance_if_said_so(tmp_path):
    data = diary(3, 4, 5, 7, 8)
    (problem,) = refused(tmp_path / "r", data, DIARY)
    assert "found '2 of 8 steps of more than one day in dates of every day'" in problem
    assert "date_numbers: days in the mapping" in problem
    bring(tmp_path / "d", data, DIARY | {"date_numbers": "days"})
    assert numbers(tmp_path / "d") == [1, 2, 3, 5, 6]
    bring(tmp_path / "o", data, DIARY | {"date_numbers": "order"})
    assert numbers(tmp_path / "o") == [1, 2, 3, 4, 5]


def test_weekly_sessions_and_whole_diaries_are_no_question(tmp_path):
    for name, days in (("weekly", (1, 8, 15, 22, 29)), ("whole", (3, 4, 5, 6, 7))):
        bring(tmp_path / name, diary(*days), DIARY)
        assert numbers(tmp_path / name) == [1, 2, 3, 4, 5]


@settings(deadline=None, max_examples=25)
@given(st.sets(st.integers(1, 28), min_size=2, max_size=28))
def test_distances_of_days_are_those_of_the_calendar(tmp_path_factory, days):
    folder = tmp_path_factory.mktemp("d")
    bring(folder, diary(*sorted(days)), DIARY | {"date_numbers": "days"})
    first = min(days)
    assert numbers(folder) == [day - first + 1 for day in sorted(days)]


def test_several_rows_a_day_are_no_diary_of_days():
    days = pd.Series([1, 1, 1, 2, 2, 2, 4, 4, 4], dtype=float)
    assert skipped_days(days, pd.Series(["a"] * 9)) == ""
