"""Reading: what is right is read as it stands, what is wrong is named, all of it, with its place."""

import gzip
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from twostage.collection import locate_collection, read_collection, validate_collection
from twostage.problems import CollectionError


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path.name} has no {old!r}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def edit_line(path: Path, line: int, change) -> None:
    lines = path.read_text(encoding="utf-8").split("\n")
    lines[line - 1] = change(lines[line - 1])
    path.write_text("\n".join(lines), encoding="utf-8")


def cell(position: int, value: str):
    """Change one cell of a line."""

    def change(line: str) -> str:
        cells = line.split(",")
        cells[position] = value
        return ",".join(cells)

    return change


@dataclass(frozen=True)
class Bad:
    """One way to spoil a collection and what must be said of it."""

    spoil: object
    file: str
    row: int | None
    column: str | None
    value: object
    expected: str


SESSIONS = "sessions/S02.csv"
BAD = {
    "duplicated patient-session": Bad(
        lambda c: edit_line(c / SESSIONS, 3, lambda line: "p0001,1,40,20"),
        SESSIONS,
        3,
        "session",
        "patient p0001, session 1 again",
        "each patient and session once",
    ),
    "non-numeric score": Bad(
        lambda c: edit_line(c / SESSIONS, 2, cell(2, "good")),
        SESSIONS,
        2,
        "alliance",
        "good",
        "a number",
    ),
    "out-of-range score": Bad(
        lambda c: edit_line(c / SESSIONS, 2, cell(3, "99")),
        SESSIONS,
        2,
        "symptoms",
        99.0,
        "1 to 4",
    ),
    "non-integer session": Bad(
        lambda c: edit_line(c / SESSIONS, 2, cell(1, "1.5")),
        SESSIONS,
        2,
        "session",
        "1.5",
        "a whole number",
    ),
    "file of an unknown study": Bad(
        lambda c: (c / "sessions/S99.csv").write_bytes((c / SESSIONS).read_bytes()),
        "sessions/S99.csv",
        None,
        None,
        "a file of study S99",
        "a row in studies.csv",
    ),
    "study without file": Bad(
        lambda c: (c / SESSIONS).unlink(),
        SESSIONS,
        None,
        None,
        "no such file",
        "this file",
    ),
    "missing column": Bad(
        lambda c: edit(c / SESSIONS, "alliance", "allianz"),
        SESSIONS,
        1,
        "alliance",
        "patient, session, allianz, symptoms",
        "a column 'alliance'",
    ),
    "byte order mark": Bad(
        lambda c: (c / SESSIONS).write_bytes(b"\xef\xbb\xbf" + (c / SESSIONS).read_bytes()),
        SESSIONS,
        1,
        None,
        "a byte order mark",
        "UTF-8 without",
    ),
    "semicolons": Bad(
        lambda c: (c / SESSIONS).write_text((c / SESSIONS).read_text().replace(",", ";")),
        SESSIONS,
        1,
        None,
        "semicolons between columns",
        "commas",
    ),
    "decimal comma in quotes": Bad(
        lambda c: edit_line(c / SESSIONS, 2, cell(2, '"3,5"')),
        SESSIONS,
        2,
        "alliance",
        "3,5",
        "a decimal point",
    ),
    "decimal comma without quotes": Bad(
        lambda c: edit_line(c / SESSIONS, 2, cell(2, "3,5")),
        SESSIONS,
        2,
        None,
        "5 cells",
        "decimal comma",
    ),
    "Windows line ends": Bad(
        lambda c: (c / SESSIONS).write_bytes((c / SESSIONS).read_bytes().replace(b"\n", b"\r\n")),
        SESSIONS,
        1,
        None,
        "a Windows line end (\\r\\n)",
        "\\n",
    ),
    "empty file": Bad(
        lambda c: (c / SESSIONS).write_bytes(b""), SESSIONS, None, None, "an empty file", "a header"
    ),
    "header only": Bad(
        lambda c: (c / SESSIONS).write_text("patient,session,alliance,symptoms\n"),
        SESSIONS,
        None,
        None,
        "a header without data",
        "at least one row",
    ),
    "not UTF-8": Bad(
        lambda c: (c / SESSIONS).write_bytes((c / SESSIONS).read_bytes().replace(b"p0001", b"p\xe9001", 1)),
        SESSIONS,
        2,
        None,
        "byte 0xe9",
        "UTF-8",
    ),
    "unclosed quote": Bad(
        lambda c: edit_line(c / SESSIONS, 2, cell(2, '"3')),
        SESSIONS,
        None,
        None,
        None,
        "quotes that are closed",
    ),
    "wrong n": Bad(
        lambda c: edit_line(c / "studies.csv", 3, lambda s: cell(15, "76")(s)),
        "studies.csv",
        3,
        "n",
        76,
        ", the patients",
    ),
    "duplicated study": Bad(
        lambda c: edit_line(c / "studies.csv", 3, cell(0, "S01")),
        "studies.csv",
        3,
        "study",
        "study S01 again",
        "once",
    ),
    "blank country": Bad(
        lambda c: edit_line(c / "studies.csv", 3, cell(2, "")),
        "studies.csv",
        3,
        "country",
        "",
        "a country",
    ),
    "range upside down": Bad(
        lambda c: edit_line(c / "studies.csv", 2, cell(8, "99")),
        "studies.csv",
        2,
        "x_max",
        "60",
        "more than x_min",
    ),
    "unknown direction": Bad(
        lambda c: edit_line(c / "studies.csv", 2, cell(10, "up")),
        "studies.csv",
        2,
        "x_direction",
        "up",
        "1 (higher",
    ),
    "patient without a row": Bad(
        lambda c: edit(c / "patients/S02.csv", "p0003,", "q0003,"),
        "patients/S02.csv",
        None,
        "patient",
        "p0003",
        "a row for each patient",
    ),
    "patient twice": Bad(
        lambda c: edit(c / "patients/S02.csv", "p0003,", "p0002,"),
        "patients/S02.csv",
        4,
        "patient",
        "patient p0002 again",
        "each patient once",
    ),
    "impossible age": Bad(
        lambda c: edit_line(c / "patients/S02.csv", 2, cell(2, "7")),
        "patients/S02.csv",
        2,
        "age",
        7.0,
        "18 to 80",
    ),
    "variable without meaning": Bad(
        lambda c: edit(c / "dictionary.csv", "alliance,", "allianz,"),
        "dictionary.csv",
        None,
        "variable",
        "no such row",
        "a row for 'alliance'",
    ),
    "no collection.yml": Bad(
        lambda c: (c / "collection.yml").unlink(),
        "collection.yml",
        None,
        None,
        "no such file",
        "this file",
    ),
    "broken collection.yml": Bad(
        lambda c: (c / "collection.yml").write_text("title: [\n"),
        "collection.yml",
        2,
        None,
        None,
        "valid YAML",
    ),
    "unknown key": Bad(
        lambda c: edit(c / "collection.yml", "synthetic:", "synthetisch:"),
        "collection.yml",
        None,
        "synthetisch",
        True,
        "Extra inputs",
    ),
    "unknown parameter": Bad(
        lambda c: edit(c / "collection.yml", "last_session: 7", "lst_session: 7"),
        "collection.yml",
        None,
        "parameters",
        None,
        "did you mean 'last_session'",
    ),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_each_problem_is_named_with_its_place(small, bad):
    bad.spoil(small)
    problems = validate_collection(small)
    matching = [
        p for p in problems if (p.file, p.column) == (bad.file, bad.column) and bad.expected in p.expected
    ]
    assert matching, problems
    if bad.row is not None:
        assert matching[0].row == bad.row
    if bad.value is not None:
        assert matching[0].value == bad.value


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_reading_refuses_what_validation_names(small, bad):
    bad.spoil(small)
    with pytest.raises(CollectionError) as caught:
        collection = read_collection(small)
        for study in collection.studies["study"]:
            collection.study(study)
    assert caught.value.problems[0] in validate_collection(small)


def test_all_problems_at_once(small):
    for name in ("non-numeric score", "impossible age", "file of an unknown study"):
        BAD[name].spoil(small)
    edit_line(small / "sessions/S03.csv", 5, cell(3, "-7"))
    files = {p.file for p in validate_collection(small)}
    # A file no study owns is a problem of the registry: it is told before single files are read.
    assert files == {"sessions/S99.csv"}
    (small / "sessions/S99.csv").unlink()
    assert {p.file for p in validate_collection(small)} == {SESSIONS, "patients/S02.csv", "sessions/S03.csv"}


def test_the_command_ends_with_status_2_and_no_traceback(small):
    BAD["non-numeric score"].spoil(small)
    before = sorted(p.name for p in small.parent.rglob("*"))
    command = [sys.executable, "-m", "twostage", "validate", str(small)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "row 2, column 'alliance': found 'good'; expected a number" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(p.name for p in small.parent.rglob("*")) == before


def test_what_is_right_is_read_as_it_stands(small, drawn):
    collection = read_collection(small)
    assert collection.name == "small"
    assert collection.synthetic
    assert list(collection.studies["study"]) == ["S01", "S02", "S03"]
    for name, one in drawn.studies.items():
        study = collection.study(name)
        pd.testing.assert_frame_equal(study.sessions, one.sessions, check_dtype=False)
        assert list(study.patients["patient"]) == list(one.patients["patient"])
        np.testing.assert_array_equal(study.patients["post"], one.patients["post"])
        assert study.has_outcome


def test_an_unknown_study_names_the_nearest(small):
    with pytest.raises(CollectionError, match="did you mean 'S02'"):
        read_collection(small).study("S2")


def test_checksum_is_of_the_rows_not_of_their_order(small):
    before = read_collection(small).study("S02").checksum
    path = small / SESSIONS
    header, *rows = path.read_text().strip().split("\n")
    path.write_text("\n".join([header, *reversed(rows)]) + "\n")
    assert read_collection(small).study("S02").checksum == before
    edit_line(path, 2, cell(3, "2.2"))
    assert read_collection(small).study("S02").checksum != before


def test_a_shared_packed_file_with_other_names(small):
    tables = [
        pd.read_csv(small / f"sessions/S0{i}.csv", dtype=str).assign(Site=f"Synthetic study 0{i}")
        for i in (1, 2, 3)
    ]
    shared = pd.concat(tables).rename(columns={"patient": "pid", "session": "wave"})
    (small / "all.csv.gz").write_bytes(
        gzip.compress(shared.to_csv(index=False, lineterminator="\n").encode())
    )
    with (small / "collection.yml").open("a") as file:
        file.write(
            "sessions: {file: all.csv.gz, columns: {patient: pid, session: wave}, where: {Site: label}}\n"
        )
    with (small / "dictionary.csv").open("a") as file:
        file.write("pid,patient,,,,\nwave,session,,,,\n")
    own = read_collection(small).study("S02").sessions
    expected = pd.read_csv(small / SESSIONS).rename(columns={"alliance": "x", "symptoms": "y"})
    pd.testing.assert_frame_equal(own, expected, check_dtype=False)


def test_a_relative_path_is_found_from_below(small, monkeypatch):
    (small.parent / "notebooks").mkdir()
    monkeypatch.chdir(small.parent / "notebooks")
    assert locate_collection("small").samefile(small)
    assert locate_collection("elsewhere") == Path("elsewhere")


def test_missing_codes_come_from_the_dictionary(small):
    edit(small / "dictionary.csv", "scale points,,,\nsymptoms", "scale points,,,-9\nsymptoms")
    edit_line(small / SESSIONS, 2, cell(2, "-9"))
    study = read_collection(small).study("S02")
    assert study.sessions["x"].isna().iloc[0]


REAL = ["gametime", "openesm_anx_dep", "openesm_pa_na"]


@pytest.mark.parametrize("name", REAL)
def test_the_real_collections_are_read(name, request):
    folder = Path(__file__).parent / "collections" / name
    if not (Path(__file__).parents[2] / "shared" / "real").is_dir():
        pytest.skip("the folder ../shared/real with the real data is absent")
    assert validate_collection(folder) == ()
