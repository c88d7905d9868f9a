"""A mapping says what is what; whatever is wrong with it is named by its key."""

import sys
from pathlib import Path

import pytest
import yaml
from import_support import FACTS, LONG, WIDE, bring, refused

from twostage.importing.mapping import FILL_IN, check_mapping, read_mapping
from twostage.importing.source import ImportProblems

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from import_fuzz import run_fuzz

DATA = "id,session,wai,oq,arm\na,1,1,2,u\nb,1,3,4,v\n"
ITEMS = {"items": ["wai", "oq"], "score": "sum", "item_min": 0, "item_max": 3}
ARMS = LONG | {"study_column": "arm", "studies": {"u": {"study": "A"}, "v": {"study": "B", "label": "Other"}}}


@pytest.mark.parametrize(("line", "hint"), [("label: Clinic: ward 2", True), ("label: [Clinic", False)])
def test_a_colon_in_a_text_is_told_to_need_quotes(tmp_path, line, hint):
    (tmp_path / "m.yml").write_text(f"layout: long\nstudy:\n  {line}\n")
    with pytest.raises(ImportProblems) as caught:
        read_mapping(tmp_path / "m.yml")
    (problem,) = caught.value.problems
    assert ("a text with a colon in it needs quotes" in problem.expected) is hint
    assert not hint or problem.row == 3


def without(content: dict, key: str) -> dict:
    return {k: v for k, v in content.items() if k != key}


BAD = {
    "unknown key": (LONG | {"pateint": "id"}, "m.yml, key 'pateint': found 'id'; expected only keys"),
    "no patient": (without(LONG, "patient"), "m.yml, key 'patient': found 'nothing'; expected this key"),
    "layout": (
        LONG | {"layout": "broad"},
        "m.yml, key 'layout': found 'broad'; expected 'wide' or 'long'",
    ),
    "a list": (LONG | {"x": ["wai"]}, "m.yml, key 'x': found ['wai']; expected keys and their values"),
    "two ways": (LONG | {"x": {"column": "wai", "items": ["oq"]}}, "one of column, columns or items"),
    "no way": (LONG | {"x": {"missing": [9]}}, "found none"),
    "no key": (LONG | {"x": {"items": ["wai", "oq"]}}, "score, item_min and item_max beside items"),
    "key without items": (LONG | {"x": {"column": "wai", "score": "sum"}}, "belong to items"),
    "item twice": (LONG | {"x": ITEMS | {"items": ["wai", "wai"]}}, "items, each once"),
    "upside down": (LONG | {"x": ITEMS | {"item_min": 3}}, "item_max greater than item_min"),
    "strange reversed": (
        LONG | {"x": ITEMS | {"reversed": ["q"]}},
        "reversed items among the items; q is not",
    ),
    "proportion": (LONG | {"x": ITEMS | {"min_answered": 80}}, "key 'x.min_answered': found 80"),
    "no session": (without(LONG, "session"), "session or date (one of them) in the layout long"),
    "date too": (LONG | {"date": "d", "date_format": "ISO"}, "session or date (one of them)"),
    "format": (without(LONG, "session") | {"date": "arm"}, "date_format beside date"),
    "no year": (without(LONG, "session") | {"date": "arm", "date_format": "%d.%m."}, "a format with a year"),
    "session in wide": (WIDE | {"session": "session"}, "neither session nor date in the layout wide"),
    "no pattern": (WIDE | {"x": "wai"}, "x: {session} in the name of each column, in the layout wide"),
    "pattern in long": (LONG | {"x": "wai_{session}"}, "only for x and y in the layout wide"),
    "studies only": (LONG | {"studies": {"u": {"study": "A"}}}, "an entry for each value of study_column"),
    "bad id": (ARMS | {"studies": {"u": {"study": "A B"}}}, "key 'studies.u.study': found 'A B'"),
    "no id": (ARMS | {"studies": {"u": {"label": "A"}}}, "a study id, or skip: true"),
    "separator": (LONG | {"file": {"separator": "::"}}, "key 'file.separator': found '::'"),
    "year": (
        LONG | {"study": FACTS | {"year": 20}},
        "m.yml, key 'study.year': found 20; expected a year of four",
    ),
    "no label": (
        LONG | {"study": without(FACTS, "label")},
        "key 'study.label': found 'nothing'; expected the study",
    ),
    "empty label": (
        LONG | {"study": FACTS | {"label": " "}},
        "key 'study.label': found ' '; expected the study",
    ),
    "Norway": (
        LONG | {"study": FACTS | {"country": False}},
        "found False; expected a country (in quotes: YAML",
    ),
    "a list for a fact": (
        LONG | {"study": FACTS | {"label": ["a"]}},
        "'study.label': found \"['a']\"; expected",
    ),
    "strange list": (
        LONG | {"study": FACTS | {"n": [1]}},
        "key 'study.n': found '[1]'; expected a column of",
    ),
    "strange fact": (
        LONG | {"study": FACTS | {"colour": 1}},
        "key 'study.colour': found 1; expected a column of",
    ),
    "scale": (
        LONG | {"study": FACTS | {"x_min": 100}},
        "key 'study.x_max': found '100'; expected more than x_min",
    ),
    "its own n": (
        LONG | {"study": FACTS | {"n": 2}},
        "key 'study.n': found 2; expected a column of studies.csv",
    ),
    "a surrogate": (
        LONG | {"study": FACTS | {"label": "\ud800"}},
        "it has U+D800 at place 1",
    ),
    "unlisted sample": (
        ARMS | {"studies": {"u": {"study": "A"}}},
        "data.csv, row 3, column 'arm': found 'v'; expected one of",
    ),
    "absent sample": (
        ARMS | {"studies": ARMS["studies"] | {"w": {"study": "C"}}},
        "m.yml, key 'studies.w': found 'w'; expected a value of the column 'arm'",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_named_by_its_key(tmp_path, name):
    content, message = BAD[name]
    problems = refused(tmp_path, DATA, content, study=None if "study_column" in content else "S1")
    assert len(problems) == 1, problems
    assert message in problems[0]


def test_what_is_left_to_fill_in_is_named_and_nothing_else(tmp_path):
    facts = FACTS | {"year": FILL_IN, "label": f" {FILL_IN} "}
    assert refused(tmp_path, DATA, WIDE | {"x": {"column": FILL_IN}, "study": facts}) == [
        f"{tmp_path}/m.yml, key 'study.label': found 'FILL IN'; expected the study's name; only you can know it",
        f"{tmp_path}/m.yml, key 'study.year': found 'FILL IN'; expected a year of four digits; only you can know it",
        f"{tmp_path}/m.yml, key 'x.column': found 'FILL IN'; expected a column of the file; only you can know it",
    ]


@pytest.mark.parametrize(
    ("text", "row"),
    [
        (b"a: [", 1),
        (b"\xff\xfe", 1),
        (b"a: 0x10", 1),
        (b"- a\n- b", None),
        (b"", None),
        (b"a: *b", 1),
    ],
)
def test_what_is_no_mapping_is_refused(tmp_path, text, row):
    (tmp_path / "m.yml").write_bytes(text)
    with pytest.raises(ImportProblems) as caught:
        read_mapping(tmp_path / "m.yml")
    assert [p.row for p in caught.value.problems] == [row]


def test_an_absent_mapping_is_refused(tmp_path):
    with pytest.raises(
        ImportProblems, match=r"no\.yml: found 'No such file or directory'; expected a mapping"
    ):
        read_mapping(tmp_path / "no.yml")


def test_a_mapping_that_contains_itself_is_refused():
    content = yaml.safe_load("&a\nx: *a\nlayout: long\n")
    with pytest.raises(ImportProblems):
        check_mapping(content, "m.yml")


def test_several_samples_become_several_studies(tmp_path):
    report = bring(tmp_path, DATA, ARMS, study=None)
    assert report.tidy()[["study", "patients"]].to_numpy().tolist() == [["A", 1], ["B", 1]]
    rows = (tmp_path / "c" / "studies.csv").read_text().splitlines()[1:]
    assert [row.split(",")[:2] for row in rows] == [["A", "Clinic"], ["B", "Other"]]


def test_one_sample_of_several_and_one_skipped(tmp_path):
    bring(tmp_path, DATA, ARMS, study="B")
    assert [f.name for f in (tmp_path / "c" / "sessions").iterdir()] == ["B.csv"]
    (problem,) = refused(tmp_path, DATA, ARMS, study="C")
    assert problem == "command line, option '--study': found 'C'; expected one of A, B"
    bring(tmp_path, DATA, ARMS | {"studies": ARMS["studies"] | {"v": {"skip": True}}}, study=None)
    assert sorted(f.name for f in (tmp_path / "c" / "sessions").iterdir()) == ["A.csv", "B.csv"]


@pytest.mark.parametrize("study", [None, "A B", "", "../x", "ä"])
def test_a_study_has_an_id(tmp_path, study):
    (problem,) = refused(tmp_path, DATA, LONG, study=study)
    assert problem.startswith(f"command line, option '--study': found {study!r}; expected letters, digits")


def test_a_study_column_must_be_the_mappings(tmp_path):
    (problem,) = refused(tmp_path, DATA, LONG, study_column="arm")
    assert problem.startswith("command line, option '--study-column': found 'arm'; expected none, as in ")


#: Malformed mappings that the unit test tries; benchmarks/import_fuzz.py tries as many as it is told.
TRIED = 100


def test_malformed_mappings_leave_neither_traceback_nor_trace(tmp_path):
    counts = run_fuzz(tmp_path, TRIED, seed=1)
    assert counts.tracebacks == []
    assert counts.half_written == []
    assert counts.refused + counts.imported == TRIED
    assert counts.refused > TRIED / 2, "most mutants are malformed, otherwise this tests little"
    assert counts.imported > 0, "some survive, otherwise the collection could not be half-written"
