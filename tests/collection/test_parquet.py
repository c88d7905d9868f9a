"""A study in Parquet is the study in CSV: the same tables, checksums, records and messages about what is wrong."""

import shutil

import pandas as pd
import pytest

from twostage.collection import read_collection, validate_collection
from twostage.params import make_parameters
from twostage.problems import CollectionError
from twostage.records import analyse

duckdb = pytest.importorskip("duckdb")


def write(table, path):
    """A table as Parquet."""
    connection = duckdb.connect()
    connection.register("given", table)
    connection.execute(f"COPY given TO '{path}' (FORMAT parquet)")


def typed(cells):
    """A CSV file's cells as a program would have them: columns of numbers where they are numbers."""
    for column in cells:
        empty = cells[column] == ""
        try:
            cells[column] = pd.to_numeric(cells[column].mask(empty))
        except ValueError:
            cells[column] = cells[column].astype(object).where(~empty, None)
    return cells


def cells_of(path):
    """The cells of a CSV file."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


@pytest.fixture
def two(written, tmp_path):
    """The same collection twice; what is done to a table is done to it in both formats."""

    def make(table="sessions", change=lambda cells: cells, study="S01"):
        folders = [tmp_path / name for name in ("csv", "parquet")]
        for folder in folders:
            shutil.copytree(written, folder)
        path = folders[0] / table / f"{study}.csv"
        change(cells_of(path)).to_csv(path, index=False)
        for file in (*folders[0].glob("sessions/*.csv"), *folders[0].glob("patients/*.csv")):
            (folders[1] / file.parent.name / file.name).unlink()
            write(typed(cells_of(file)), folders[1] / file.parent.name / f"{file.stem}.parquet")
        return folders

    return make


def test_tables_checksums_and_records_are_those_of_csv(two):
    one, other = map(read_collection, two())
    for id in one.studies["study"]:
        a, b = one.study(id), other.study(id)
        pd.testing.assert_frame_equal(a.sessions, b.sessions)
        pd.testing.assert_frame_equal(a.patients, b.patients)
        assert a.checksum == b.checksum
    parameters = make_parameters({})
    assert analyse(one, parameters).records == analyse(other, parameters).records
    assert other.files("S01")[0].name == "S01.parquet"


def with_cell(column, row, value):
    """What writes a value into a cell."""

    def change(cells):
        cells.loc[row, column] = value
        return cells

    return change


def without(column):
    """What leaves a column out."""
    return lambda cells: cells.drop(columns=column)


WRONG = {
    "out of range": ("sessions", with_cell("alliance", 4, "1000")),
    "no number": ("sessions", with_cell("symptoms", 2, "high")),
    "a decimal comma": ("sessions", with_cell("symptoms", 2, "3,5")),
    "half a session": ("sessions", with_cell("session", 3, "2.5")),
    "a negative session": ("sessions", with_cell("session", 3, "-1")),
    "a blank patient": ("sessions", with_cell("patient", 1, " ")),
    "an unknown patient": ("sessions", with_cell("patient", 1, "nobody")),
    "a session twice": ("sessions", lambda cells: pd.concat([cells, cells.tail(1)])),
    "no column": ("sessions", without("symptoms")),
    "no row": ("sessions", lambda cells: cells.head(0)),
    "a patient twice": ("patients", lambda cells: pd.concat([cells, cells.head(1)])),
    "intake out of range": ("patients", with_cell("pre", 0, "-77")),
    "a patient too few": ("patients", lambda cells: cells.iloc[1:]),
}


@pytest.mark.parametrize("case", WRONG)
def test_messages_are_those_of_csv(two, case):
    one, other = (list(map(str, validate_collection(folder))) for folder in two(*WRONG[case]))
    assert one
    said = [text.replace("columns without data", "a header without data") for text in other]
    assert [text.replace(".parquet", ".csv") for text in said] == one


def test_what_is_no_parquet_and_what_is_there_twice(two):
    _, folder = two()
    path = folder / "sessions" / "S01.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CollectionError, match=r"sessions/S01.parquet.*a Parquet file that can be read"):
        read_collection(folder).study("S01")
    path.write_bytes(whole)
    (folder / "sessions" / "S01.csv").write_text("patient,session,alliance,symptoms\n")
    with pytest.raises(CollectionError, match=r"a second file beside sessions/S01.csv"):
        read_collection(folder).study("S01")


def test_single_precision_decimals_and_missing_codes(tmp_path):
    """Every type becomes the text that one would write; what has no value becomes an empty cell."""
    from twostage.collection.parquet_file import read_table

    path = tmp_path / "some.parquet"
    query = "SELECT 1.5::FLOAT a, 2.50::DECIMAL(5,2) b, 3::UBIGINT c, NULL::DOUBLE d, 'nan'::DOUBLE e, 36.0::DOUBLE f, "
    query += "DATE '2020-01-02' g, '' h, NULL::VARCHAR i, 'inf'::DOUBLE j, true k"
    duckdb.connect().execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    cells = read_table(path, "some").cells
    assert list(cells.index) == [2]
    found = cells.iloc[0].to_dict()
    assert found == dict(
        zip(
            "abcdefghijk", ["1.5", "2.5", "3", "", "", "36", "2020-01-02", "", "", "inf", "true"], strict=True
        )
    )
