"""Grids: the default, a file's, and what is wrong with one."""

from dataclasses import replace

import numpy as np
import pytest

from twostage.multiverse.grid import CHOICES, FILE, GridError, make_grid
from twostage.multiverse.specifications import specify


def test_the_default_grid_of_the_default_collection_is_large_and_has_the_main_analysis(default):
    specs = specify(make_grid(default))
    assert len(specs) >= 5000
    assert specs.chosen == 0
    row = specs.table().iloc[0]
    assert (row["window"], row["estimator"], row["studies"]) == ("1-7", "centred", "all studies")
    assert len(specs.table().drop_duplicates(list(CHOICES))) == len(specs)


def test_what_is_dropped_is_counted(three):
    specs = specify(make_grid(three))
    every = np.prod([len(specs.grid.values[name]) for name in CHOICES])
    assert len(specs) + sum(n for _, n in specs.dropped) == every
    assert all(reason.startswith(("the same", "impossible", "not reasonable")) for reason, _ in specs.dropped)


def test_a_file_changes_what_it_names(small, three):
    from twostage.collection.collection import read_collection

    text = "window: [[1, 4]]\nestimator: [dpm]\nstudies:\n- words: two of three\n  without: [S03]\n"
    (small / FILE).write_text(text)
    grid = make_grid(read_collection(small))
    # The main analysis comes first, whatever the file says.
    assert grid.values["window"] == ((1, 7), (1, 4))
    assert grid.values["estimator"] == ("centred", "dpm")
    assert grid.sets["two of three"].studies == ("S01", "S02")
    assert grid.values["standardize"] == ("total", "within")
    assert grid.told()["window"] == ["1-7", "1-4"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("windows: [[1, 4]]", "windows"),
        ("window: [[1]]", "at least 2"),
        ("estimator: [ols]", "estimator.0"),
        ("studies: [the oldest]", "the oldest"),
        ("studies:\n- words: a\n  without: [S99]", "S99"),
        ("studies:\n- words: a\n  only: {planet: Mars}", "planet"),
        ("studies:\n- words: a\n  only: {country: Mars}", "a set with a study in it"),
        ("lag: [0]", "at least 1"),
        ("a: [", "multiverse.yml"),
    ],
)
def test_a_wrong_file_is_refused_by_name(small, three, text, says):
    (small / FILE).write_text(text)
    with pytest.raises(GridError, match=says):
        make_grid(three, small / FILE)


def test_a_file_that_is_not_there_is_refused(three, tmp_path):
    with pytest.raises(GridError, match="readable file"):
        make_grid(three, tmp_path / "none.yml")


def test_kinds_of_errors_count_once_where_they_are_the_same(three):
    grid = make_grid(three)
    values = dict(grid.values) | {"stage1_errors": ("patients", "model", "robust")}
    table = specify(replace(grid, values=values)).table()
    kinds = {e: set(of["stage1_errors"]) for e, of in table.groupby("estimator")}
    assert kinds["centred"] == {"patients", "model"}
    assert kinds["riclpm"] == kinds["dpm"] == {"patients", "robust"}
    assert kinds["jackknife"] == {"patients"}
