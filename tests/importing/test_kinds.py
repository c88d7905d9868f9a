"""The kinds of what people's software makes: any size tag, heading, spelling of ids, first session, time stamp."""

import gzip
import re
import zipfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import openpyxl
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from import_support import LONG, WIDE, bring, contents, empty, refused, written

from twostage.importing import source
from twostage.importing.identity import similar, unusual
from twostage.importing.marks import marks_of
from twostage.importing.names import item_grids
from twostage.importing.preview import Asked, suggest
from twostage.importing.read_file import read_source
from twostage.importing.recipes import recipes
from twostage.importing.sessions import label_numbers
from twostage.importing.source import FileOptions, ImportProblems
from twostage.importing.versions import VERSIONS, versions_of
from twostage.simulation.examples import write_example

FEW = settings(deadline=None, max_examples=25)

ROWS = [[f"P{p}", s, 10 + p + s, 50 - s] for p in (1, 2, 3) for s in (1, 2, 3)]
NAMES = ["id", "session", "wai", "oq"]


def csv(rows: list[list], separator: str = ",") -> str:
    return "".join(separator.join(map(str, row)) + "\n" for row in rows)


def workbook(path: Path, rows: list[list]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def edited(path: Path, change) -> Path:
    """A workbook with its sheet's XML changed."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    parts[sheet] = change(parts[sheet].decode()).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return path


@FEW
@given(st.sampled_from(["A1", "B2:C3", "A1:A1", "A1:D1048576", "A1:XFD1048576", "C5:D9", "A1:B4", "Z1:ZZ9"]))
def test_any_size_that_a_sheet_says_of_itself_gives_the_same(tag):
    with TemporaryDirectory() as folder:
        file = workbook(Path(folder, "a.xlsx"), [NAMES, *ROWS])
        expected = contents(file, LONG)
        edited(file, lambda xml: re.sub(r'<dimension ref="[^"]*"', f'<dimension ref="{tag}"', xml))
        assert contents(file, LONG) == expected


@FEW
@given(st.integers(0, 6), st.booleans(), st.sampled_from(",;\t|"))
def test_names_below_any_title_are_found_or_said(offset, padded, separator):
    title = [[f"Clinic, report {i}" if separator == ";" else f"Clinic report {i}"] for i in range(offset)]
    rows = [line + [""] * (3 * padded) for line in title] + [NAMES, *ROWS]
    with TemporaryDirectory() as folder:
        file = Path(folder, "a.csv")
        file.write_text(csv(rows, separator))
        guessed = read_source(file, FileOptions(), guess=True)
        assert list(guessed.cells) == NAMES and len(guessed.cells) == len(ROWS)
        if offset:
            with pytest.raises(ImportProblems, match=f"--header-row {offset + 1}"):
                read_source(file, FileOptions())
        said = LONG | {"file": {"header_row": offset + 1}}
        assert contents(file, said) == contents(plain_file(folder), LONG)


def plain_file(folder: str) -> Path:
    file = Path(folder, "plain.csv")
    file.write_text(csv([NAMES, *ROWS]))
    return file


SPELLINGS = st.sampled_from(
    [
        str.upper,
        str.lower,
        lambda id: f" {id}",
        lambda id: f"{id} ",
        lambda id: f"0{id}",
        lambda id: f"{id}.0",
    ]
)


@FEW
@given(st.integers(1, 10**6), SPELLINGS)
def test_any_spelling_of_an_id_is_asked_about(number, spell):
    for id in (str(number), f"p{number}"):
        other = spell(id)
        groups = similar([id, other.strip(), "q1"])
        # Blanks around a cell are gone before; a zero before a letter is none before a number.
        alike = other.strip() == id or (other[0] == "0" and id[0] == "p")
        assert groups == ([] if alike else [(id, other.strip())])


def test_ids_that_are_different_are_no_question():
    assert similar(["1", "10", "100", "P1", "P10", "1.05", "1.5", "A-1", "B-1"]) == []


def test_ids_taken_for_one_patient_and_for_two(tmp_path):
    data = "id,session,wai,oq\n01,1,1,2\n1,2,3,4\n"
    (problem,) = refused(tmp_path / "r", data, LONG)
    assert "'01' and '1'" in problem and "similar_ids: same" in problem
    bring(tmp_path / "s", data, LONG | {"similar_ids": "same"})
    assert written(tmp_path / "s")[0].splitlines()[1:] == ["01,1,1,2", "01,2,3,4"]
    bring(tmp_path / "d", data, LONG | {"similar_ids": "different"})
    assert written(tmp_path / "d")[0].splitlines()[1:] == ["01,1,1,2", "1,2,3,4"]


@FEW
@given(st.integers(0, 40))
def test_sessions_from_any_number_are_told_where_the_window_misses_them(first):
    rows = [[f"P{p}", first + s, 20, 30 + s] for p in range(5) for s in range(7)]
    with TemporaryDirectory() as folder:
        report = bring(Path(folder), csv([NAMES, *rows]), LONG)
        notes = " ".join(report.studies[0].tables.notes)
        outside = sum(not 1 <= row[1] <= 7 for row in rows)
        assert (f"{outside} of 35 rows are outside" in notes) is (first != 1)
        assert ("session_shift: 1" in notes) is (first == 0)


@pytest.mark.parametrize(
    "word", ["Mittelwert", "SD", "Summe", "Total", "Mean", "n", "moyenne", "Totaal", "Medelvärde"]
)
def test_a_row_of_totals_under_a_wide_table_is_asked_about(tmp_path, word):
    rows = [[f"P{i:02}", 50 + i, 60 + i, 40 + i, 45 + i] for i in range(12)]
    table = [["id", "wai_1", "wai_2", "oq_1", "oq_2"], *rows, [word, 55.5, 65.5, 45.5, 50.5]]
    (problem,) = refused(tmp_path, csv(table), WIDE)
    assert f"unusual_patients: {{'{word}': leave out}}" in problem
    report = bring(tmp_path, csv(table), WIDE | {"unusual_patients": {word: "leave out"}})
    assert len(report.studies[0].tables.patients) == 12


def test_an_id_unlike_the_others_is_asked_about_only_with_values_unlike_theirs():
    frame = read_frame([[f"P{i}", 50 + i] for i in range(12)] + [["XYZ", 55], ["Kasse", 3.21]])
    assert list(unusual(frame, "id", ["wai"])) == ["Kasse"]


def read_frame(rows: list[list]):
    with TemporaryDirectory() as folder:
        file = Path(folder, "a.csv")
        file.write_text(csv([["id", "wai"], *rows]))
        return read_source(file, FileOptions()).cells


@FEW
@given(st.lists(st.integers(-50_000, 50_000), min_size=4, max_size=12, unique=True), st.integers(-12, 12))
def test_time_stamps_sort_by_the_instant_whatever_their_offset(minutes, hours):
    start = datetime(2024, 3, 31, 1, 30, tzinfo=UTC)
    zones = [UTC, timezone(timedelta(hours=hours))]
    stamps = [
        (start + timedelta(minutes=m)).astimezone(zones[i % 2]).isoformat() for i, m in enumerate(minutes)
    ]
    rows = [["a", stamp, rank, 1] for stamp, rank in zip(stamps, minutes, strict=True)]
    ranks = {m: i for i, m in enumerate(sorted(minutes), 1)}
    rows = [[id, stamp, ranks[m], y] for id, stamp, m, y in rows]
    dates = {"layout": "long", "patient": "id", "date": "when", "date_format": "ISO", "x": "wai", "y": "oq"}
    dates["date_numbers"] = "order"
    with TemporaryDirectory() as folder:
        bring(Path(folder), csv([["id", "when", "wai", "oq"], *rows]), dates)
        lines = [line.split(",") for line in written(Path(folder))[0].splitlines()[1:]]
        assert all(session == score for _, session, score, _ in lines)


def test_time_stamps_with_and_without_offset_have_no_order(tmp_path):
    dates = {"layout": "long", "patient": "id", "date": "when", "date_format": "ISO", "x": "wai", "y": "oq"}
    data = "id,when,wai,oq\na,2024-01-01T10:00+02:00,1,2\na,2024-01-02T10:00,1,2\n"
    assert "an offset" in refused(tmp_path, data, dates)[0]


@pytest.mark.parametrize(
    ("texts", "options", "decimal", "thousands", "doubtful"),
    [
        (["1.525", "900"], {"decimal": ","}, ",", None, "1.525"),
        (["1.525", "900", "4,5"], {}, ",", None, "1.525"),
        (["1.525,00", "900,00"], {}, ",", ".", None),
        (["1.234.567"], {"decimal": ","}, ",", ".", None),
        (["4.125", "4.25"], {}, ".", None, None),
        (["0.125", "0.250"], {}, ".", None, None),
        (["1.525"], {"decimal": ",", "thousands": "none"}, ",", "none", None),
    ],
)
def test_marks_between_thousands_are_certain_or_asked_about(texts, options, decimal, thousands, doubtful):
    marks = marks_of({"y": texts}, FileOptions(**options), ";")
    assert (marks.decimal, marks.thousands, marks.doubtful.get("y")) == (decimal, thousands, doubtful)


def test_a_formula_without_a_value_matters_only_where_it_is_used(tmp_path):
    file = workbook(tmp_path / "a.xlsx", [[*NAMES, "sum"], *[[*row, "=C2+D2"] for row in ROWS]])
    bring(tmp_path, file, LONG)
    assert "open and save the file" in refused(tmp_path / "r", file, LONG | {"y": "sum"})[0]


def test_a_name_that_comes_twice_matters_only_where_it_is_used(tmp_path):
    data = "id,session,wai,oq,note,note\na,1,1,2,x,y\n"
    bring(tmp_path, data, LONG)
    (problem,) = refused(tmp_path / "r", data.replace("note,note", "oq,note"), LONG)
    assert "'oq (column 4)' or 'oq (column 5)'" in problem


def test_locked_and_large_files_are_refused(tmp_path, monkeypatch):
    (tmp_path / "a.xlsx").write_bytes(
        b"\xd0\xcf\x11\xe0" + bytes(99) + "EncryptedPackage".encode("utf-16-le")
    )
    assert "without password" in refused(tmp_path, tmp_path / "a.xlsx", LONG)[0]
    monkeypatch.setattr("twostage.importing.read_text.LARGEST", 10_000)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"id,session,wai,oq\n" + b"a,1,1,1\n" * 5000))
    assert "when unpacked" in refused(tmp_path, tmp_path / "a.csv.gz", LONG)[0]
    assert source.LARGEST > 10_000


def test_labels_of_sessions_are_numbers_where_each_has_one_of_its_own():
    assert label_numbers(["T1", "T2"]) == {"T1": 1, "T2": 2}
    arms = label_numbers(["baseline_arm_1", "session_1_arm_1", "session_2_arm_1", "session_1_arm_2"])
    assert arms == {
        **{"baseline_arm_1": "leave out", "session_1_arm_1": 1},
        **{"session_2_arm_1": 2, "session_1_arm_2": 1},
    }
    assert label_numbers(["3a", "3b"]) == {}


@FEW
@given(
    st.integers(2, 12),
    st.sampled_from([12, 36]),
    st.sampled_from(["wai{s}{i}", "wai_s{s}_i{i}", "wai_i{i}_t{s}"]),
)
def test_items_of_sessions_are_found_in_any_pattern(sessions, items, pattern):
    columns = [pattern.format(s=s, i=i) for s in range(1, sessions + 1) for i in range(1, items + 1)]
    found = item_grids(columns, lambda name: (12, 36))
    if pattern == "wai{s}{i}" and not found:
        # Several ways to part the numbers: nothing is guessed.
        return
    (grid,) = found
    if sessions != 12:
        assert (len(grid.sessions), len(grid.items)) == (sessions, items)


def test_every_version_of_an_instrument_is_possible_and_found_by_its_names():
    for version in VERSIONS:
        assert version.ends[0] < version.ends[1] and version.source
        assert max(version.reversed or (0,)) <= version.items
        if version.answers:
            low, high = version.answers
            times = version.items if version.score == "sum" else 1
            assert version.ends == (low * times, high * times)
        for name in version.names:
            assert versions_of(name, ()) == [version]


def test_every_recipe_is_known_by_its_signs():
    assert {"redcap", "qualtrics", "m-path", "ethica", "sema3", "expiwell", "formr", "limesurvey"} <= set(
        recipes()
    )
    for recipe in recipes().values():
        assert recipe.signs and recipe.patient


QUALTRICS = """\
StartDate,EndDate,Duration (in seconds),ResponseId,Q1,Q2,Q3,Q4
Start,End,Seconds,Response,Your personal code,Which session was this?,WAI-SR total,OQ-45 total
"{""ImportId"":""a""}","{""ImportId"":""b""}","{""ImportId"":""c""}","{""ImportId"":""d""}",1,2,3,4
2024-01-01 10:00:00,2024-01-01 10:04:00,240,R_1,A,Session 1,44,60
2024-01-08 10:00:00,2024-01-08 10:04:00,240,R_2,A,Session 2,46,58
2024-01-01 11:00:00,2024-01-01 11:04:00,240,R_3,B,Session 1,50,71
2024-01-08 11:00:00,2024-01-08 11:04:00,240,R_4,B,Session 2,51,70
"""


def test_the_texts_of_questions_tell_what_their_columns_are(tmp_path):
    """Surveys number their questions; what is asked stands below the names."""
    (tmp_path / "q.csv").write_text(QUALTRICS)
    suggestion = suggest(Asked(tmp_path / "q.csv", empty(tmp_path / "c"), "S1"), tmp_path / "m.yml")
    content = yaml.safe_load(suggestion.text)
    assert {key: content[key] for key in ("patient", "session")} == {"patient": "Q1", "session": "Q2"}
    assert (content["x"], content["y"]) == ({"column": "Q3"}, {"column": "Q4"})
    assert "patient: Q1  # by its label: Your personal code" in suggestion.text


@pytest.mark.parametrize("name", ["MOOD_RT", "STARTED_TS", "SURVEY_ID"])
def test_what_a_system_adds_is_no_score(name):
    assert recipes()["sema3"].adds(name) and not recipes()["sema3"].adds("MOOD")


def test_an_id_with_what_nobody_sees_is_refused_with_its_row(tmp_path):
    """NumPy drops a 0 character at the end of a text: such an id was looked for in vain, and otherwise written."""
    rows = [(f"p{i}", s, s + i, s * i) for i in range(1, 7) for s in (1, 2, 3)]
    for odd in ("p7\0", "p7\u200b"):
        table = pd.DataFrame([*rows, (odd, 1, 2, 3)], columns=["id", "session", "wai", "oq"])
        file = write_example(table, tmp_path / "a.parquet")
        (problem,) = refused(tmp_path, file, LONG)
        assert "row 19, column 'id'" in problem and f"U+{ord(odd[-1]):04X}" in problem


@pytest.mark.parametrize("ids", ["P{:02d}", "{}"], ids=["numbered", "initials"])
@pytest.mark.parametrize("statistic", ["mean", "sum", "std"])
@pytest.mark.parametrize("word", ["Středník", "Keskiarvo", "平均", "Rerata"])
def test_a_row_computed_from_the_others_is_asked_about_in_any_language(tmp_path, ids, statistic, word):
    """Czech, Finnish, Danish and Polish words for the mean were no words of ours: their rows became patients."""
    draw = np.random.default_rng(3)
    table = pd.DataFrame(
        draw.uniform(2, 7, (9, 6)).round(2), columns=["wai_1", "wai_2", "wai_3", "oq_1", "oq_2", "oq_3"]
    )
    names = [ids.format(i if "02" in ids else "ABCDEFGHI"[i] + "KLMNOPQRS"[i]) for i in range(9)]
    table = pd.concat([table, table.agg(statistic).round(2).to_frame().T], ignore_index=True)
    table.insert(0, "id", [*names, word])
    (problem,) = refused(tmp_path, table.to_csv(index=False), WIDE)
    assert f"unusual_patients: {{{word!r}: leave out}}" in problem
    # Without that row nobody is asked about.
    bring(tmp_path / "without", table[:-1].to_csv(index=False), WIDE)


def test_labels_to_fill_in_are_one_line(tmp_path):
    content = LONG | {"session_labels": dict.fromkeys(("I", "II", "III", "IV", "V", "VI"), "FILL IN")}
    (problem,) = refused(tmp_path, "id,session,wai,oq\na,I,1,2\n", content)
    assert "'I', 'II', 'III', 'IV', 'V' and 1 more: the number of the session, or leave out" in problem


def test_a_column_that_numbers_rows_is_no_session(tmp_path):
    """formr's session_id is one of the whole survey: taken for the session, no patient had two in the window."""
    rows = [f"{p},{100 + 7 * i},2024-01-{i + 1:02d},{i % 7},{i % 5}" for i, p in enumerate("abcabcabcabc")]
    text = "\n".join(["id,session_id,date,wai,oq", *rows])
    (tmp_path / "f.csv").write_text(text, encoding="utf-8")
    suggestion = suggest(Asked(tmp_path / "f.csv", empty(tmp_path / "c"), "S1"), tmp_path / "m.yml")
    assert "date: date" in suggestion.text and "session_id" not in yaml.safe_load(suggestion.text).values()
    (tmp_path / "f.csv").write_text(text.replace("date", "note").replace("2024-01-", "n"), encoding="utf-8")
    suggestion = suggest(Asked(tmp_path / "f.csv", tmp_path / "c", "S1"), tmp_path / "m.yml")
    assert "session: session_id" in suggestion.text and "NOT if it numbers the rows" in suggestion.text


def test_a_file_without_most_columns_is_one_line(tmp_path):
    (problem,) = refused(tmp_path, "a,b,c,d\n1,2,3,4\n", LONG)
    assert "key 'patient, session, x, y': found 'id, session, wai, oq'" in problem
    assert (
        "columns of data.csv, which has a, b, c, d: another file, sheet, header row or separator?" in problem
    )
    # Two wrong names are two slips, each with what was meant.
    problems = refused(tmp_path / "two", "id,session,WAI,OQ\n1,2,3,4\n", LONG)
    assert len(problems) == 2 and all("did you mean" in p or "a column of data.csv" in p for p in problems)
