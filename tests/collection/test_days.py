"""The day of each session: read where the collection names its column, checked, kept to the panel."""

import numpy as np
import pytest

from twostage.collection.collection import read_collection, validate_collection
from twostage.stage1.continuous import continuous, day_gaps
from twostage.stage1.panel import make_panel
from twostage.stats.base import NotEstimable


def with_days(folder, days, study="S01"):
    """Name the column, and write `days` into a study's sessions, a function of row and cells."""
    settings, dictionary = folder / "collection.yml", folder / "dictionary.csv"
    if "day: day" not in settings.read_text(encoding="utf-8"):
        with settings.open("a", encoding="utf-8") as file:
            file.write("sessions:\n  columns:\n    day: day\n")
        with dictionary.open("a", encoding="utf-8") as file:
            file.write("day,day of the session,days,,,\n")
    for path in sorted((folder / "sessions").glob("*.csv")):
        first, *rows = path.read_text(encoding="utf-8").splitlines()
        own = days if path.stem == study else lambda row, cells: str(7 * int(cells[1]))
        lines = [f"{first},day", *(f"{row},{own(i + 2, row.split(','))}" for i, row in enumerate(rows))]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def weekly(row, cells):
    return "" if row == 3 else f"{7.5 * int(cells[1])}"


def test_days_reach_the_panel_and_missing_ones_are_missing(small):
    before = make_panel(read_collection(small).study("S01"))
    collection = read_collection(with_days(small, weekly))
    panel = make_panel(collection.study("S01"))
    assert collection.day == "day"
    assert panel.sessions.drop(columns="day").equals(before.sessions)
    days, (scores, _) = panel.days(), panel.wide()
    observed = np.isfinite(scores).any(axis=2)
    sessions = np.broadcast_to(np.arange(1, days.shape[1] + 1), days.shape)
    assert (days[observed & np.isfinite(days)] == 7.5 * sessions[observed & np.isfinite(days)]).all()
    assert (observed & np.isnan(days)).sum() == 1
    assert set(day_gaps(panel)) <= {7.5 * k for k in range(1, 7)}
    assert continuous(panel).n_obs > 0


def test_other_rows_of_the_file_find_the_same(small):
    """A file with quotes is read cell by cell, the plain one in columns."""
    collection = read_collection(with_days(small, weekly))
    plain = collection.study("S01").sessions
    path = small / "sessions" / "S01.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("session,", '"session",', 1), encoding="utf-8")
    assert read_collection(small).study("S01").sessions.equals(plain)


@pytest.mark.parametrize(
    "days, expected",
    [
        (lambda row, cells: "2024-03-01" if row == 3 else "7", "a number"),
        (lambda row, cells: str(-7 * int(cells[1])), "a day after"),
        (lambda row, cells: "7", "a day after 7, that of the session before"),
    ],
)
def test_what_is_no_day_is_named(small, days, expected):
    problems = validate_collection(with_days(small, days))
    assert {(p.file, p.column) for p in problems} == {("sessions/S01.csv", "day")}
    assert problems[0].row == 3
    assert expected in problems[0].expected


def test_without_days_there_is_no_process_and_the_reason(small):
    panel = make_panel(read_collection(small).study("S01"))
    assert read_collection(small).day is None
    with pytest.raises(NotEstimable, match="days of the sessions are not known"):
        continuous(panel)


def test_sessions_without_a_day_are_left_out_until_too_few_are_left(small):
    folder = with_days(small, lambda row, cells: "" if row % 3 else str(7 * int(cells[1])))
    with pytest.raises(NotEstimable, match="% of the sessions are not known"):
        continuous(make_panel(read_collection(folder).study("S01")))
