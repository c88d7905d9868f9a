"""Dates of diaries: a day that was skipped is not the neighbour of the next one without a word."""

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from import_support import bring, empty, refused, written

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


def keeping_days(folder):
    """An empty collection that has a column for days."""
    collection = empty(folder / "c")
    with (collection / "collection.yml").open("a", encoding="utf-8") as file:
        file.write("sessions:\n  columns:\n    day: when\n")
    with (collection / "dictionary.csv").open("a", encoding="utf-8") as file:
        file.write("when,day of the session,days,,,\n")
    return folder


def days(folder) -> list[str]:
    head, *lines = written(folder)[0].splitlines()
    assert head == "patient,session,alliance,symptoms,when"
    return [line.split(",")[4] for line in lines if line.startswith("a,")]


def test_dates_are_kept_as_days_since_the_first_one(tmp_path):
    bring(keeping_days(tmp_path), diary(2, 9, 17, 23), DIARY)
    assert numbers(tmp_path) == [1, 2, 3, 4]
    assert days(tmp_path) == ["0", "7", "15", "21"]


def test_times_of_a_day_are_parts_of_it(tmp_path):
    rows = "".join(
        f"{p},2024-01-0{d}T{h}:00:00,{d},{d}\n" for p in "ab" for d in (1, 2) for h in ("06", "18")
    )
    bring(keeping_days(tmp_path), "id,day,wai,oq\n" + rows, DIARY)
    assert days(tmp_path) == ["0", "0.5", "1", "1.5"]


def test_sessions_without_dates_have_no_days(tmp_path):
    content = {"layout": "long", "patient": "id", "session": "s", "x": "wai", "y": "oq"}
    rows = "".join(f"{p},{s},{s},{s}\n" for p in "ab" for s in (1, 2, 3))
    bring(keeping_days(tmp_path), "id,s,wai,oq\n" + rows, content)
    assert days(tmp_path) == ["", "", ""]
