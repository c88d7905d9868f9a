"""Reading: what is right is read as it stands, what is wrong is named, all of it, with its place."""

import gzip
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from twostage.collection import csv_table, study_files
from twostage.collection.collection import locate_collection, read_collection, validate_collection
from twostage.collection.csv_table import read_table
from twostage.problems import CollectionError
from twostage.words import PLAIN


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


def packed(collection: Path, content: bytes) -> None:
    for study in ("S01", "S02", "S03"):
        (collection / f"{study}.gz").write_bytes(gzip.compress(content)[:-8])


PACKED = "sessions:\n  file: '{study}.gz'\n"
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
    "score beyond all numbers": Bad(
        lambda c: edit_line(c / SESSIONS, 2, cell(3, "1e999")),
        SESSIONS,
        2,
        "symptoms",
        float("inf"),
        "1 to 4",
    ),
    "score of four hundred digits": Bad(
        lambda c: edit_line(c / SESSIONS, 2, cell(3, "9" * 400)),
        SESSIONS,
        2,
        "symptoms",
        "9" * 400,
        "a number",
    ),
    "age of four hundred digits": Bad(
        lambda c: edit_line(c / "patients/S02.csv", 2, cell(2, "9" * 400)),
        "patients/S02.csv",
        2,
        "age",
        "9" * 400,
        "a number",
    ),
    "age without limits beyond all numbers": Bad(
        lambda c: (
            edit(c / "dictionary.csv", ",18,80,", ",,,"),
            edit_line(c / "patients/S02.csv", 2, cell(2, "1e999")),
        ),
        "patients/S02.csv",
        2,
        "age",
        float("inf"),
        "finite",
    ),
    "end of a scale beyond all numbers": Bad(
        lambda c: edit(c / "studies.csv", ",60,", ",1e999,"),
        "studies.csv",
        None,
        "x_max",
        "1e999",
        "the highest possible score",
    ),
    "non-integer session": Bad(
        lambda c: edit_line(c / SESSIONS, 2, cell(1, "1.5")),
        SESSIONS,
        2,
        "session",
        "1.5",
        "a whole number",
    ),
    "session beyond the dictionary's range": Bad(
        lambda c: edit_line(c / SESSIONS, 2, cell(1, "8")),
        SESSIONS,
        2,
        "session",
        8.0,
        "1 to 7",
    ),
    "patient with blanks": Bad(
        lambda c: edit_line(c / SESSIONS, 2, cell(0, " p0001")),
        SESSIONS,
        2,
        "patient",
        " p0001",
        "without blanks",
    ),
    "ragged row": Bad(
        lambda c: edit_line(c / SESSIONS, 3, lambda line: line.rsplit(",", 1)[0]),
        SESSIONS,
        3,
        None,
        "3 cells",
        "4 cells, as in the header",
    ),
    "column twice": Bad(
        lambda c: edit(c / SESSIONS, "alliance", "symptoms"),
        SESSIONS,
        1,
        "symptoms",
        "twice in the header",
        "each column once",
    ),
    "empty first line": Bad(
        lambda c: (c / SESSIONS).write_text("\n" + (c / SESSIONS).read_text()),
        SESSIONS,
        1,
        None,
        "an empty line",
        "the header",
    ),
    "nothing but a byte order mark": Bad(
        lambda c: (c / SESSIONS).write_bytes(b"\xef\xbb\xbf"),
        SESSIONS,
        None,
        None,
        "an empty file",
        "a header",
    ),
    "folder in place of a file": Bad(
        lambda c: ((c / SESSIONS).unlink(), (c / SESSIONS).mkdir()),
        SESSIONS,
        None,
        None,
        "IsADirectoryError",
        "a readable file",
    ),
    "links in a circle": Bad(
        lambda c: ((c / SESSIONS).unlink(), (c / SESSIONS).symlink_to("S02.csv")),
        SESSIONS,
        None,
        None,
        "OSError",
        "a readable file",
    ),
    "link to a device": Bad(
        lambda c: ((c / SESSIONS).unlink(), (c / SESSIONS).symlink_to("/dev/zero")),
        SESSIONS,
        None,
        None,
        "a device or a pipe",
        "a readable file",
    ),
    "settings that are a list": Bad(
        lambda c: (c / "collection.yml").write_text("- a\n"),
        "collection.yml",
        None,
        None,
        ["a"],
        "lines such as",
    ),
    "packed file cut short": Bad(
        lambda c: (packed(c, b"patient,session"), edit(c / "collection.yml", "x:", f"{PACKED}x:")),
        "S02.gz",
        None,
        None,
        "EOFError",
        "a readable file",
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
        lambda c: (c / SESSIONS).write_bytes(
            (c / SESSIONS).read_bytes().replace(b"p0001", b"\xc3\xa9\xe9", 1)
        ),
        SESSIONS,
        2,
        None,
        "byte 0xe9 in a text that is UTF-8 otherwise",
        "UTF-8",
    ),
    "unclosed quote": Bad(
        lambda c: edit_line(c / SESSIONS, 2, cell(2, '"3')),
        SESSIONS,
        2,
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
        lambda c: edit_line(c / "patients/S02.csv", 4, lambda line: ""),
        SESSIONS,
        None,
        "patient",
        "p0003",
        "a patient of patients/S02.csv",
    ),
    "patient who was never seen": Bad(
        lambda c: edit(c / "patients/S02.csv", "p0003,", "p9999,t001,40,other,2,2\np0003,"),
        "patients/S02.csv",
        4,
        "patient",
        "p9999",
        "a patient of sessions/S02.csv",
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
    "empty collection.yml": Bad(
        lambda c: (c / "collection.yml").write_text(""),
        "collection.yml",
        None,
        None,
        None,
        "lines such as",
    ),
    "collection.yml not UTF-8": Bad(
        lambda c: (c / "collection.yml").write_bytes(b"title: \xe9\n"),
        "collection.yml",
        None,
        None,
        "byte 0xe9",
        "UTF-8",
    ),
    "unknown key": Bad(
        lambda c: edit(c / "collection.yml", "synthetic:", "synthetisch:"),
        "collection.yml",
        None,
        "synthetisch",
        True,
        "only keys that a collection has",
    ),
    "missing key": Bad(
        lambda c: edit(c / "collection.yml", "synthetic: true\n", ""),
        "collection.yml",
        None,
        "synthetic",
        "nothing",
        "this key",
    ),
    "unknown parameter": Bad(
        lambda c: edit(c / "collection.yml", "last_session: 7", "lst_session: 7"),
        "collection.yml",
        None,
        "parameters.lst_session",
        7,
        "did you mean 'last_session'",
    ),
    "impossible parameters": Bad(
        lambda c: edit(c / "collection.yml", "first_session: 1", "first_session: 7"),
        "collection.yml",
        None,
        "parameters.last_session",
        7,
        "at least first_session + lag = 8",
    ),
    "unknown placeholder": Bad(
        lambda c: edit(c / "collection.yml", "patients/{study}", "patients/{stduy}"),
        "collection.yml",
        None,
        "patients",
        "stduy",
        "a column of studies.csv",
    ),
    "two variables in one column": Bad(
        lambda c: edit(c / "collection.yml", "post: post", "post: pre"),
        "collection.yml",
        None,
        "patients.columns",
        "pre",
        "a column of its own",
    ),
    "truth without a number": Bad(
        lambda c: edit_line(c / "truth.csv", 2, lambda line: line.rsplit(",", 1)[0] + ",about 0.4"),
        "truth.csv",
        2,
        "value",
        "about 0.4",
        "a number",
    ),
    "no folder": Bad(shutil.rmtree, None, None, None, "no such folder", "the folder of a collection"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_each_problem_is_named_with_its_place(small, bad):
    bad.spoil(small)
    problems = validate_collection(small)
    file = bad.file or str(small)
    matching = [
        p for p in problems if (p.file, p.column) == (file, bad.column) and bad.expected in p.expected
    ]
    assert matching, problems
    if bad.row is not None:
        assert matching[0].row == bad.row
    if bad.value is not None:
        assert matching[0].value == bad.value
    with pytest.raises(CollectionError) as caught:
        collection = read_collection(small)
        for study in collection.studies["study"]:
            collection.study(study)
    assert caught.value.problems[0] in problems


def test_all_problems_of_all_files_at_once(small):
    names = (
        "ragged row",
        "non-numeric score",
        "impossible age",
        "file of an unknown study",
        "blank country",
    )
    for name in reversed(names):
        BAD[name].spoil(small)
    edit_line(small / "sessions/S03.csv", 5, cell(3, "-7"))
    edit_line(small / "sessions/S03.csv", 7, cell(2, "?"))
    edit(
        small / "dictionary.csv",
        "post,symptom score after treatment on the study's symptom instrument",
        "post,",
    )
    found = [(p.file, p.row, p.column) for p in validate_collection(small)]
    assert sorted(found, key=str) == sorted(
        [
            ("dictionary.csv", 10, "meaning"),
            ("studies.csv", 3, "country"),
            ("sessions/S99.csv", None, None),
            (SESSIONS, 3, None),
            (SESSIONS, 2, "alliance"),
            ("patients/S02.csv", 2, "age"),
            ("sessions/S03.csv", 5, "symptoms"),
            ("sessions/S03.csv", 7, "alliance"),
        ],
        key=str,
    )


def test_a_study_beyond_use_hides_no_other(small):
    BAD["unknown direction"].spoil(small)
    BAD["non-numeric score"].spoil(small)
    assert {p.file for p in validate_collection(small)} == {"studies.csv", SESSIONS}


def test_a_row_that_cannot_be_read_is_not_counted_as_missing(small):
    text = (small / SESSIONS).read_text()
    (small / SESSIONS).write_text(text.replace("p0002,", "p0002,,"))
    rows = [i for i, line in enumerate(text.split("\n"), start=1) if line.startswith("p0002,")]
    assert [p.row for p in validate_collection(small)] == rows


def test_rows_are_counted_as_an_editor_counts(small):
    edit_line(small / SESSIONS, 2, lambda line: f"\n{line}\n")
    edit_line(small / SESSIONS, 6, cell(2, '"a\nb"'))
    edit_line(small / SESSIONS, 9, cell(2, "c"))
    assert [p.row for p in validate_collection(small)] == [6, 9]


def test_a_shared_file_is_read_once_and_its_problems_are_told_once(small, monkeypatch):
    shared(small)
    reads = []
    read = study_files.read_table
    monkeypatch.setattr(study_files, "read_table", lambda path, name: reads.append(name) or read(path, name))
    text = gzip.decompress((small / "all.csv.gz").read_bytes()).decode()
    (small / "all.csv.gz").write_bytes(gzip.compress(text.replace("\n", "\nodd,row\n", 1).encode()))
    problems = validate_collection(small)
    assert [(p.file, p.row, p.value) for p in problems] == [("all.csv.gz", 2, "2 cells")]
    assert reads.count("all.csv.gz") == 1


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
    for path in (small / "patients/S02.csv", small / SESSIONS):
        header, *rows = path.read_text().strip().split("\n")
        path.write_text("\n".join([header, *reversed(rows)]) + "\n")
    assert read_collection(small).study("S02").checksum == before
    edit_line(path, 2, cell(3, "2.2"))
    assert read_collection(small).study("S02").checksum != before


def shared(small: Path) -> None:
    """Put the sessions of all studies into one packed file with other names."""
    tables = [
        pd.read_csv(small / f"sessions/S0{i}.csv", dtype=str).assign(Site=f"Synthetic study 0{i}")
        for i in (1, 2, 3)
    ]
    table = pd.concat(tables).rename(columns={"patient": "pid", "session": "wave"})
    (small / "all.csv.gz").write_bytes(gzip.compress(table.to_csv(index=False, lineterminator="\n").encode()))
    with (small / "collection.yml").open("a") as file:
        file.write(
            "sessions: {file: all.csv.gz, columns: {patient: pid, session: wave}, where: {Site: label}}\n"
        )
    with (small / "dictionary.csv").open("a") as file:
        file.write("pid,patient,,,,\nwave,session,,,,\n")


def test_a_shared_packed_file_with_other_names(small):
    apart = read_collection(small).study("S02")
    shared(small)
    together = read_collection(small).study("S02")
    pd.testing.assert_frame_equal(together.sessions, apart.sessions)
    assert together.checksum == apart.checksum


def test_the_checksum_does_not_see_the_other_studies_of_a_file(small):
    shared(small)
    before = {study: read_collection(small).study(study).checksum for study in ("S02", "S03")}
    text = gzip.decompress((small / "all.csv.gz").read_bytes()).decode()
    last = text.rstrip("\n").rsplit("\n", 1)[1]
    cells = last.split(",")
    changed = text.replace(last, ",".join([*cells[:2], "13", *cells[3:]]))
    assert changed != text
    (small / "all.csv.gz").write_bytes(gzip.compress(changed.encode()))
    after = {study: read_collection(small).study(study).checksum for study in ("S02", "S03")}
    assert after["S02"] == before["S02"]
    assert after["S03"] != before["S03"]


def test_rows_of_a_study_that_a_shared_file_lacks(small):
    shared(small)
    edit(small / "studies.csv", "Synthetic study 02", "Another name")
    assert [(p.file, p.value, p.expected) for p in validate_collection(small)] == [
        ("all.csv.gz", "no row", "rows of study S02"),
    ]


def test_a_column_that_selects_must_be_in_the_registry(small):
    shared(small)
    edit(small / "collection.yml", "Site: label", "Site: site")
    assert [(p.file, p.column, p.value) for p in validate_collection(small)] == [
        ("collection.yml", "sessions", "site")
    ]


def test_a_relative_path_is_found_from_below(small, monkeypatch):
    (small.parent / "notebooks").mkdir()
    monkeypatch.chdir(small.parent / "notebooks")
    assert locate_collection("small").samefile(small)
    assert locate_collection("elsewhere") == Path("elsewhere")


def test_missing_codes_come_from_the_dictionary(small):
    edit(small / "dictionary.csv", "scale points,,,\nsymptoms", "scale points,,,-9\nsymptoms")
    edit_line(small / SESSIONS, 2, cell(2, "-9"))
    edit_line(small / "patients/S02.csv", 2, cell(3, ""))
    study = read_collection(small).study("S02")
    assert study.sessions["x"].isna().iloc[0]
    assert study.patients["gender"].isna().iloc[0]


def test_a_dictionary_need_not_give_a_range(small):
    edit(small / "dictionary.csv", "years,18,80", "years,,")
    edit(small / "dictionary.csv", "session,1,7", "session,,")
    edit_line(small / "patients/S02.csv", 2, cell(2, "7"))
    edit_line(small / SESSIONS, 2, cell(1, "0"))
    assert validate_collection(small) == ()


def test_a_collection_without_patients(small):
    text = (small / "collection.yml").read_text()
    (small / "collection.yml").write_text(text[: text.index("patients:")])
    collection = read_collection(small)
    study = collection.study("S01")
    assert (collection.pre, collection.post, study.patients, study.has_outcome) == (None, None, None, False)


#: name -> folder of the data in ../shared/real, studies, patients in all.
REAL = {
    "gametime": ("gametime", 7, 38_935),
    "openesm_anx_dep": ("openesm", 6, 500),
    "openesm_pa_na": ("openesm", 9, 1_831),
}


@pytest.mark.parametrize("name", REAL)
def test_the_real_collections_are_read(name):
    data, n_studies, n_patients = REAL[name]
    if not (Path(__file__).parents[3] / "shared" / "real" / data).is_dir():
        pytest.skip(f"the folder ../shared/real/{data} with the real data is absent")
    folder = Path(__file__).parents[1] / "collections" / name
    assert validate_collection(folder) == ()
    collection = read_collection(folder)
    assert not collection.synthetic
    # None of them is about what the article is about, so none speaks of it.
    assert "alliance" not in collection.note and collection.words != PLAIN
    assert (len(collection.studies), collection.studies["n"].sum()) == (n_studies, n_patients)
    for study in map(collection.study, collection.studies["study"]):
        assert study.sessions["patient"].nunique() == study.info["n"]
        assert study.sessions["session"].between(1, 7).all()
        assert study.sessions[["x", "y"]].notna().any().all()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("[A. Author, ' B. Author ']", "A. Author, B. Author"),
        ("\n- A. Author\n- B. Author", "A. Author, B. Author"),
        ("", ""),
        ("One", "One"),
    ],
)
def test_authors_are_a_text_or_a_list_of_texts(small, given, text):
    edit(small / "collection.yml", "authors: The twostage authors", f"authors: {given}")
    assert validate_collection(small) == ()
    assert read_collection(small).authors == text


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("authors", "{a: 1}", "or a list of texts"),
        ("authors", "[1, 2]", "or a list of texts"),
        ("title", "[a, b]", "a text"),
        ("first_session", "010", "programs read this one differently"),
    ],
)
def test_a_list_where_none_is_expected_is_a_problem_and_no_crash(small, key, value, expected):
    lines = (small / "collection.yml").read_text(encoding="utf-8").splitlines()
    at = next(i for i, line in enumerate(lines) if line.strip().startswith(f"{key}:"))
    lines[at] = f"{lines[at].partition(':')[0]}: {value}"
    (small / "collection.yml").write_text("\n".join(lines), encoding="utf-8")
    (problem,) = validate_collection(small)
    assert expected in problem.expected
    assert problem.row == (at + 1 if value == "010" else None)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_that_would_fill_the_memory_is_refused_by_its_size(tmp_path, monkeypatch, pack):
    path = tmp_path / ("t.csv.gz" if pack is gzip.compress else "t.csv")
    path.write_bytes(pack(b"a,b\n1,2\n"))
    monkeypatch.setattr(csv_table, "MOST_BYTES", 8)
    assert read_table(path, "t").problems == ()
    monkeypatch.setattr(csv_table, "MOST_BYTES", 7)
    (problem,) = read_table(path, "t").problems
    assert (problem.value, problem.expected) == ("a larger file", "at most 0 MB when unpacked")


def test_a_lowest_value_above_the_highest_is_a_problem(three, tmp_path):
    folder = shutil.copytree(three.path, tmp_path / "crossed")
    lines = (folder / "dictionary.csv").read_text(encoding="utf-8").splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("age,"))
    cells = lines[at].split(",")
    low, high = list(lines[0].split(",")).index("min"), list(lines[0].split(",")).index("max")
    cells[low], cells[high] = "18", "1.5"
    lines[at] = ",".join(cells)
    (folder / "dictionary.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    problems = validate_collection(folder)
    assert [(p.file, p.row, p.column, p.value) for p in problems] == [
        ("dictionary.csv", at + 1, "max", "1.5")
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_in_place_of_the_collections_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "collection.yml")
    assert "collection.yml: found 'a device or a pipe'" in str(validate_collection(tmp_path)[0])


def test_what_the_data_are_like_is_one_of_the_kinds_of_data(small):
    """The collection knows the names of the recovery study's kinds, and no others."""
    from typing import get_args

    from twostage.collection.settings import Kind
    from twostage.recovery.verdict import kinds

    assert get_args(Kind) == tuple(present.name for present, _ in kinds())
    assert read_collection(small).condition == "realistic"
    file = small / "collection.yml"
    text = file.read_text(encoding="utf-8")
    file.write_text(f"{text}condition: floors\n", encoding="utf-8")
    assert read_collection(small).condition == "floors"
    file.write_text(f"{text}condition: sunny\n", encoding="utf-8")
    (problem,) = validate_collection(small)
    assert (problem.column, problem.value) == ("condition", "sunny")
    assert "realistic" in problem.expected
