"""A study in pieces is checked as one in memory: what is wrong is named, with file, column and row."""

import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from twostage.collection import LargeStudy, large_study, read_collection, validate_collection
from twostage.problems import CollectionError

duckdb = pytest.importorskip("duckdb")


def store(table, path):
    """Write a table as Parquet."""
    connection = duckdb.connect()
    connection.register("given", table)
    connection.execute(f"COPY given TO '{path}' (FORMAT parquet)")


@pytest.fixture
def tables(small):
    """The first study's sessions and patients, to be damaged, and a function that stores and validates them."""
    sessions = pd.read_csv(small / "sessions" / "S01.csv", dtype={"patient": str})
    patients = pd.read_csv(small / "patients" / "S01.csv", dtype={"patient": str, "therapist": str})
    settings = yaml.safe_load((small / "collection.yml").read_text())
    settings["sessions"] = {"file": "sessions/{study}.parquet", "in_pieces": True}
    settings["patients"]["file"] = "patients/{study}.parquet"
    (small / "collection.yml").write_text(yaml.safe_dump(settings))
    registry = pd.read_csv(small / "studies.csv")
    registry[registry["study"] == "S01"].to_csv(small / "studies.csv", index=False)
    shutil.rmtree(small / "truth", ignore_errors=True)

    def problems(new_sessions=sessions, new_patients=patients):
        """What is wrong, as text."""
        store(new_sessions, small / "sessions" / "S01.parquet")
        store(new_patients, small / "patients" / "S01.parquet")
        return [str(p) for p in validate_collection(small) if "truth" not in p.file]

    return small, sessions, patients, problems


def test_sound_files_have_no_problems(tables):
    folder, sessions, patients, problems = tables
    assert problems() == []
    study = read_collection(folder).study("S01")
    assert isinstance(study, LargeStudy)
    assert study.n_enrolled == patients["patient"].nunique()


def test_each_fault_is_named(tables):
    _, sessions, patients, problems = tables
    name = sessions.columns[2]

    def one(table=None, other=None):
        """The only problem."""
        found = problems(sessions if table is None else table, patients if other is None else other)
        assert len(found) == 1, found
        return found[0]

    far = sessions.assign(**{name: sessions[name].where(sessions.index != 4, 1e6)})
    assert one(far).startswith(
        f"sessions/S01.parquet, row 6, column '{name}': found 1000000.0; expected 12 to 60"
    )
    endless = sessions.assign(**{name: sessions[name].where(sessions.index != 4, np.inf)})
    assert "found inf" in one(endless)
    again = pd.concat([sessions, sessions.iloc[[3]]])
    assert "1 patients with a session that comes again" in one(again)
    assert "each patient once" in one(None, pd.concat([patients, patients.iloc[[0]]]))
    assert "1 patients" in one(None, patients.iloc[1:])
    assert "a column 'session'" in one(sessions.rename(columns={"session": "visit"}))
    assert "a column of numbers" in one(sessions.assign(**{name: "many"}))
    blank = sessions.assign(
        patient=sessions["patient"].where(sessions["patient"] != sessions["patient"][0], " a")
    )
    assert any("without blanks around the name" in text for text in problems(blank))


def test_wrong_count_in_the_registry(tables):
    folder, sessions, _, problems = tables
    registry = pd.read_csv(folder / "studies.csv").assign(n=7)
    registry.to_csv(folder / "studies.csv", index=False)
    assert [text for text in problems() if "the patients in the study's files" in text]


def test_what_needs_all_at_once_is_refused(tables):
    folder, *_, problems = tables
    problems()
    study = read_collection(folder).study("S01")
    with pytest.raises(CollectionError, match="read in pieces"):
        study.sessions  # noqa: B018


def test_size_decides_unless_told(tables, monkeypatch):
    folder, *_, problems = tables
    problems()
    path = folder / "sessions" / "S01.parquet"
    assert not large_study.is_large(path, None)
    assert large_study.is_large(path, True)
    monkeypatch.setattr(large_study, "LARGE_ROWS", 10)
    assert large_study.is_large(path, None)
    assert not large_study.is_large(path, False)


def test_missing_codes_and_nan_are_missing(tables):
    folder, sessions, _, problems = tables
    name = sessions.columns[2]
    dictionary = pd.read_csv(folder / "dictionary.csv", dtype=str, keep_default_na=False)
    dictionary.loc[dictionary["variable"] == name, "missing"] = "-99"
    dictionary.to_csv(folder / "dictionary.csv", index=False)
    gaps = sessions.assign(**{name: sessions[name].astype(float)})
    gaps.loc[[0, 1], name] = [-99.0, np.nan]
    assert problems(gaps) == []
    piece = read_collection(folder).study("S01").pieces.piece(0, 1, 7)
    known = gaps[name].notna().sum() - 1
    assert np.isfinite(piece.scores[:, :, 0]).sum() == known


def test_a_damaged_file_is_a_problem_of_that_file(tables, monkeypatch):
    folder, _, _, problems = tables
    assert problems() == []
    path = folder / "sessions" / "S01.parquet"
    whole = path.read_bytes()
    half, middle = len(whole) // 2, bytearray(whole)
    middle[8:half] = bytes(half - 8)
    for content in (whole[:half], b"x" * len(whole), bytes(middle)):
        path.write_bytes(content)
        found = [str(p) for p in validate_collection(folder)]
        assert found and all("a Parquet file that can be read" in p for p in found), found
        assert found[0].startswith("sessions/S01.parquet")
    # Its size decides how it is read, where nothing else does.
    settings = yaml.safe_load((folder / "collection.yml").read_text())
    del settings["sessions"]["in_pieces"]
    (folder / "collection.yml").write_text(yaml.safe_dump(settings))
    monkeypatch.setattr(large_study, "LARGE_ROWS", 8)
    path.write_bytes(whole[:half])
    (found,) = (str(p) for p in validate_collection(folder))
    assert found.endswith("expected a Parquet file that can be read")
