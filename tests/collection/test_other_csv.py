"""Files as Excel and Windows save them give the same collection as plain ones, and it is said."""

import csv
import io
import shutil
from unittest.mock import patch

import pytest

from twostage.collection import examine_collection, read_collection, validate_collection
from twostage.collection.other_csv import plain_content
from twostage.collection.study_files import StudyFiles


def separated(text: str, separator: str, decimal: str) -> str:
    """The same table with another separator and decimal mark."""
    target = io.StringIO()
    rows = csv.reader(io.StringIO(text))
    writer = csv.writer(target, delimiter=separator, lineterminator="\n")

    def number(cell: str) -> str:
        return cell.replace(".", decimal) if cell.replace(".", "").lstrip("-").isdigit() else cell

    writer.writerows([number(cell) for cell in row] for row in rows)
    return target.getvalue()


SAVED = {
    "CRLF": (lambda t: t.replace("\n", "\r\n").encode(), "Windows line ends"),
    "CR": (lambda t: t.replace("\n", "\r").encode(), "Windows line ends"),
    "BOM": (lambda t: b"\xef\xbb\xbf" + t.encode(), "a byte order mark"),
    "cp1252": (lambda t: t.encode("cp1252"), "text in Windows-1252"),
    "semicolons": (
        lambda t: separated(t, ";", ",").encode(),
        "semicolons between columns and decimal commas",
    ),
    "semicolons, points": (lambda t: separated(t, ";", ".").encode(), "semicolons between columns"),
    "tabs": (lambda t: separated(t, "\t", ",").encode(), "tabs between columns and decimal commas"),
    "Excel": (
        lambda t: b"\xef\xbb\xbf" + separated(t, ";", ",").replace("\n", "\r\n").encode(),
        "a byte order mark, Windows line ends, semicolons between columns and decimal commas",
    ),
    "sep": (
        lambda t: b"sep=;\n" + separated(t, ";", ",").encode(),
        "a first line sep=;, which is not counted as a row, semicolons between columns and decimal commas",
    ),
    "sep of Excel": (
        lambda t: b"\xef\xbb\xbf" + ('"sep=|"\n' + separated(t, "|", ",")).replace("\n", "\r\n").encode(),
        'a byte order mark, Windows line ends, a first line "sep=|", which is not counted as a row, the sign | between '
        "columns and decimal commas",
    ),
    "sep, plain": (
        lambda t: b"SEP=,\n" + t.encode(),
        "a first line SEP=,, which is not counted as a row",
    ),
    "old Excel": (
        lambda t: separated(t, ";", ",").replace("\n", "\r\n").encode("cp1252"),
        "Windows line ends, text in Windows-1252, semicolons between columns and decimal commas",
    ),
}


@pytest.fixture
def lettered(small):
    """A collection with decimals, and letters beyond ASCII in every file."""
    for file in ("sessions/S02.csv", "patients/S02.csv"):
        text = (small / file).read_text(encoding="utf-8").replace("p0", "pä")
        (small / file).write_text(text, encoding="utf-8")
    for file in ("studies.csv", "dictionary.csv"):
        rows = list(csv.reader((small / file).read_text(encoding="utf-8").splitlines()))
        rows[-1][1] += "; \u201eZürich\u201c"
        target = io.StringIO()
        csv.writer(target, lineterminator="\n").writerows(rows)
        (small / file).write_text(target.getvalue(), encoding="utf-8")
    assert validate_collection(small) == ()
    return small


FILES = ("sessions/S02.csv", "patients/S02.csv", "studies.csv", "dictionary.csv")


@pytest.mark.parametrize("how", SAVED)
def test_each_way_of_saving_gives_the_same_study_and_is_said(lettered, tmp_path, how):
    save, said = SAVED[how]
    before = read_collection(lettered)
    other = shutil.copytree(lettered, tmp_path / "saved")
    for file in FILES:
        (other / file).write_bytes(save((lettered / file).read_text(encoding="utf-8")))
    found = examine_collection(other)
    assert found.problems == ()
    notes = found.notes()
    for file in FILES[:2]:
        assert f"{file}: read although it has {said}" in notes
    # Tables without a decimal have no decimal comma either.
    assert all(any(note.startswith(f"{file}: read although") for note in notes) for file in FILES)
    collection = read_collection(other)
    assert collection.studies.equals(before.studies)
    assert collection.dictionary.equals(before.dictionary)
    checksum = before.study("S02").checksum
    assert collection.study("S02").checksum == checksum
    with patch.object(StudyFiles, "_plain", lambda *_: None):
        assert read_collection(other).study("S02").checksum == checksum


def test_a_plain_file_is_said_nothing_of(small):
    assert examine_collection(small).saved == {}


@pytest.mark.parametrize(
    ("content", "row", "column", "found"),
    [
        # 1.525 may be one and a half, or more than a thousand.
        (b"id;x\na;4,42\nb;1.525\n", 3, "x", "1.525"),
        (b'id;x\na;"4,42\n', 2, None, "unexpected end of data"),
        (b"id,x\n\xc3\xa9,1\n\xe9,2\n", 3, None, "byte 0xe9 in a text that is UTF-8 otherwise"),
        (b"id,x\n\x81,1\n", 2, None, "byte 0x81"),
        (b"i\0d,x\n\xe9,1\n", 2, None, "byte 0xe9"),
    ],
)
def test_what_may_mean_two_things_is_a_problem(content, row, column, found):
    made = plain_content(content, "t.csv")
    assert made.plain is None
    (problem,) = made.problems
    assert (problem.row, problem.column, problem.value) == (row, column, found)


def test_rows_keep_their_numbers_and_texts_their_separators():
    made = plain_content(b'id;note;x\n"a\r\nb";"p;q, r";"1,5"\n\nc;;2\n', "t.csv")
    assert made.plain == b'id,note,x\n"a\nb","p;q, r",1.5\n\nc,,2\n'


def test_a_file_with_commas_keeps_its_semicolons():
    content = b"id,a;b\n1,2;3\n"
    made = plain_content(content, "t.csv")
    assert (made.plain, made.said) == (content, "")
