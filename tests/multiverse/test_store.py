"""A stored multiverse comes back, says when it is out of date, and is refused where it is damaged."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from multiverse_support import made_up

from twostage.collection.collection import read_collection
from twostage.multiverse.store import (
    ABOUT,
    FOLDER,
    NULL,
    TABLE,
    MultiverseError,
    read_multiverse,
    write_multiverse,
    write_table,
)


@pytest.fixture
def stored(small):
    made = made_up(read_collection(small))
    write_multiverse(small, made.table, made.priors, made.null, made.about)
    return made


def test_what_is_written_is_read(small, stored):
    found = read_multiverse(read_collection(small))
    pd.testing.assert_frame_equal(found.tidy(), stored.tidy(), rtol=1e-7, check_dtype=False)
    assert found.caution() == ""
    assert len(found) == len(stored) and found.draws == 50
    # The numbers of values are found again from their names.
    np.testing.assert_array_equal(found.levels, stored.levels)
    assert (found.levels[0] == 0).all()


def test_the_same_numbers_are_the_same_bytes(small, stored):
    before = (small / FOLDER / TABLE).read_bytes()
    write_multiverse(small, stored.table, stored.priors, stored.null, stored.about)
    assert (small / FOLDER / TABLE).read_bytes() == before


def test_there_need_not_be_one(small):
    assert read_multiverse(read_collection(small)) is None


def test_other_code_data_and_grid_are_noticed(small, stored):
    def caution(**change):
        write_multiverse(small, stored.table, stored.priors, stored.null, stored.about | change)
        return read_multiverse(read_collection(small)).caution()

    assert "code" in caution(code="0" * 64)
    assert "grid" in caution(grid_from="default")
    # A grid that was given on the command line is nobody's standard.
    assert caution() == ""
    sessions = small / "sessions" / "S01.csv"
    lines = sessions.read_text().splitlines()
    sessions.write_text("\n".join(lines[:-1]) + "\n")
    assert "studies" in caution()


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        (TABLE, b"no gzip", "gzip"),
        (NULL, b"direction\n", "median"),
        (ABOUT, json.dumps({"sets": {}}).encode(), "values"),
        (ABOUT, b"{", "what twostage multiverse writes"),
    ],
)
def test_a_damaged_file_is_refused_by_name(small, stored, file, content, says):
    (small / FOLDER / file).write_bytes(content)
    with pytest.raises(MultiverseError, match=says):
        read_multiverse(read_collection(small))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_all_digits_are_exported(stored, tmp_path, suffix):
    path = write_table(stored.table, tmp_path / f"all{suffix}")
    if suffix == ".csv":
        found = pd.read_csv(path)
    else:
        duckdb = pytest.importorskip("duckdb")
        found = duckdb.connect().read_parquet(str(path)).df()
    # Reading a text as a number may be off in its last digit.
    np.testing.assert_allclose(found["estimate"], stored.table["estimate"], rtol=1e-15)
    assert list(found.columns) == list(stored.table.columns)
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, "small"]
