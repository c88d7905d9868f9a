"""Ordinary names of columns become proposals with a reason; where two could be meant, nothing is proposed."""

import pandas as pd
import pytest
from import_support import SETTINGS

from twostage.collection.settings import Variable
from twostage.importing.instruments import CONCEPTS, INSTRUMENTS, find_score, items_of, measuring
from twostage.importing.mapping import FILL_IN
from twostage.importing.names import at_moment, bare, listed
from twostage.importing.propose import Proposal, mapping_text, propose
from twostage.importing.source import FileOptions, Source

ALLIANCE = Variable("alliance", "alliance", "higher")
SYMPTOMS = Variable("symptoms", "symptom severity", "lower")


def proposal(columns: list[str], *rows: list[str], study_column=None, **how) -> Proposal:
    cells = pd.DataFrame(rows or [["1"] * len(columns)], columns=columns, dtype=str)
    source = Source("f.csv", cells, FileOptions("utf-8", ",", "."), **how)
    return propose(source, SETTINGS, {"x": [], "y": []}, study_column)


def wide(*stems: str, sessions=range(1, 8)) -> list[str]:
    return [f"{stem}{session}" for session in sessions for stem in stems]


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ("wai_", "oq_"),
        ("WAI.", "OQ45."),
        ("wai_session", "phq9_"),
        ("wai_sr_s", "phq_9_s"),
        ("WAItotal_t", "BDI_II_total_t"),
        ("haq2_", "bsi_"),
        ("srs", "bsi18_"),
        ("alliance_", "core_om_"),
        ("bpsr_w", "scl90r_w"),
        ("wai_p_", "gad7_"),
    ],
)
def test_a_row_per_patient(x, y):
    stem = y.rstrip("_.tsw")
    columns = ["patient", "therapist", *wide(x, y), f"{stem}_pre", f"post_{stem}", "shoe"]
    found = proposal(columns)
    assert (found.content["layout"], found.content["patient"]) == ("wide", "patient")
    assert found.content["x"] == {"column": f"{x}{{session}}"}
    assert found.content["y"] == {"column": f"{y}{{session}}"}
    patients = found.content["patients"]
    assert [patients[k]["column"] for k in ("therapist", "pre", "post")] == ["therapist", *columns[-3:-1]]
    assert found.unused == ("shoe",)
    assert found.remarks["x"].startswith(f"{x}{{session}} for sessions 1 to 7: ")
    assert all(found.remarks[k] for k in ("layout", "patient", "y", "patients.therapist", "patients.pre"))


def test_a_row_per_session():
    rows = [["1", s, "1", "2", "3", "4", "5"] for s in "12"]
    found = proposal(["id", "session", "wai", "oq", "oq_pre", "oq_post", "note"], *rows)
    assert (found.content["layout"], found.remarks["layout"]) == ("long", "values of id come in several rows")
    assert (found.content["x"], found.content["y"]) == ({"column": "wai"}, {"column": "oq"})
    assert found.content["patients"] == {"pre": {"column": "oq_pre"}, "post": {"column": "oq_post"}}
    assert found.unused == ("note",)
    assert found.remarks["x"] == "'wai' stands for: Working Alliance Inventory"


def test_two_measures_of_one_thing_are_no_proposal_and_both_are_named():
    found = proposal(["patient", *wide("wai_", "phq9_", "bdi_"), "phq9_pre", "bdi_pre"])
    assert found.content["y"] == {"column": FILL_IN}
    assert found.remarks["y"] == "several could be it: phq9_{session}, bdi_{session}"
    assert found.content["patients"]["pre"] == {"column": FILL_IN}
    assert "one of phq9_pre, bdi_pre; or delete this entry" in found.remarks["patients.pre"]
    assert set(found.unused) == {*wide("phq9_", "bdi_"), "phq9_pre", "bdi_pre"}


def test_patients_and_therapists_forms_are_two():
    assert proposal(["patient", *wide("wai_p_", "wai_t_", "oq_")]).content["x"] == {"column": FILL_IN}
    alone = proposal(["patient", *wide("wai_t_", "oq_")])
    assert "therapist's form" in alone.remarks["x"]


def test_the_intake_score_is_that_of_the_proposed_y():
    found = find_score(SYMPTOMS, ["PHQ-9"], ["phq9_{session}", "bdi_{session}"])
    assert (found.name, found.why) == (
        "phq9_{session}",
        "named like PHQ-9, which other studies of the collection have",
    )
    assert at_moment("pre", ["bdi_pre", "phq9_pre", "phq_intake"], found.words) == ["phq9_pre", "phq_intake"]
    assert at_moment("pre", ["bdi_pre", "phq9_pre"], found.words) == ["phq9_pre"]


def test_items_are_not_taken_for_a_score():
    columns = [f"wai{item}_{session}" for session in (1, 2) for item in range(1, 14)]
    found = proposal(["patient", *columns, *wide("oq_", sessions=(1, 2))])
    assert found.content["x"] == {"column": FILL_IN}
    assert "look like items: give them with their key, as above" in found.remarks["x"]
    assert items_of(["phq9_{session}", "gad7_{session}"], INSTRUMENTS) == []


def test_items_in_rows_of_sessions_are_no_sessions():
    rows = [["a", s, *"123"] for s in "12"]
    found = proposal(["id", "session", "wai_1", "wai_2", "oq"], *rows)
    assert (found.content["layout"], found.content["x"]) == ("long", {"column": FILL_IN})
    assert "wai_1, wai_2 look like items" in found.remarks["x"]


def test_as_many_columns_as_items_raise_a_doubt():
    found = proposal(["patient", *wide("wai_", "gad7_")])
    assert "NOT if these are its 7 items" in found.remarks["y"]
    assert "NOT" not in found.remarks["x"]


def test_instruments_belong_to_what_the_collection_is_about():
    columns = ["patient", *wide("wai_", "oq_")]
    source = Source("f.csv", pd.DataFrame([["1"] * len(columns)], columns=columns, dtype=str))
    other = type(SETTINGS)(**{**vars(SETTINGS), "x": Variable("sleep", "hours of sleep", "higher")})
    assert propose(source, other, {"x": [], "y": []}).content["x"] == {"column": FILL_IN}
    assert {i.title for i in measuring("anx", "anxiety")} < {i.title for i in measuring("y", "symptoms")}
    assert not measuring("sleep", "hours of sleep")
    assert {m for i in INSTRUMENTS for m in i.measures} == set(CONCEPTS)
    names = [name for i in INSTRUMENTS for name in i.names]
    assert len(set(names)) == len(names)


def test_one_column_for_both_is_neither():
    both = type(SETTINGS)(
        **{
            **vars(SETTINGS),
            "x": Variable("mood", "mood", "higher"),
            "y": Variable("mood2", "mood", "higher"),
        }
    )
    source = Source("f.csv", pd.DataFrame([["a", "1", "2"]], columns=["id", "session", "mood"], dtype=str))
    found = propose(source, both, {"x": [], "y": []})
    assert (found.content["x"], found.content["y"]) == ({"column": FILL_IN}, {"column": FILL_IN})
    assert found.remarks["x"] == "mood could be x as well as y"


def test_patients_are_numbered_within_samples():
    rows = [["u", "1", "1", "2"], ["v", "1", "1", "2"]]
    assert proposal(["arm", "id", "wai_1", "wai_2"], *rows, study_column="arm").content["layout"] == "wide"
    assert proposal(["arm", "id", "wai_1", "wai_2"], *rows).content["layout"] == "long"


def test_rows_of_sessions_without_a_number_or_date_need_one():
    found = proposal(["id", "nth", "wai", "oq"], ["a", "1", "1", "1"], ["a", "2", "1", "1"])
    assert (found.content["layout"], found.content["session"]) == ("long", FILL_IN)
    assert found.remarks["session"] == "one of id, nth, wai, oq"


def test_labels_of_the_file_are_told():
    found = proposal(["patient", *wide("wai_", "oq_")], labels={"wai_1": "bond, goals, tasks"})
    assert found.remarks["x"].endswith("; the file's label of wai_1: bond, goals, tasks")


@pytest.mark.parametrize(
    ("name", "essence"),
    [
        ("WAI_total_s{session}", "wai"),
        ("wai_session{session}", "wai"),
        ("wai_{session}", "wai"),
        ("t{session}_wai", "wai"),
        ("alliance_{session}", "alliance"),
        ("sum_oq_45", "oq45"),
        ("s{session}", "s"),
        ("total_{session}", "total"),
    ],
)
def test_a_name_without_its_announcements(name, essence):
    assert bare(name) == essence


def test_columns_that_differ_in_a_number_are_listed_as_one():
    assert listed(["id", "q1", "q2", "q3", "x", "z1", "z2"]) == ["id", "q1 ... q3", "x", "z1", "z2"]


def test_the_file_lists_what_it_does_not_use():
    columns = ["patient", *wide("wai_", "oq_"), *(f"unused{i}" for i in range(1, 90)), "shoe"]
    found = proposal(columns)
    text = mapping_text(found, "f.csv", columns, "twostage import", "alliance", "symptoms")
    assert "# Not used by this mapping (90):\n#   unused1 ... unused89, shoe\n" in text
    assert "#   patient, wai_1 ... wai_7, oq_1 ... oq_7, unused1 ... unused89, shoe\n" in text
