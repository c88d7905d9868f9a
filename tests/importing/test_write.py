"""A collection takes a study whole or stays as it was."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from import_support import FACTS, LONG, bring, empty, refused, snapshot

from twostage.collection.collection import read_collection, validate_collection
from twostage.files import JOURNAL
from twostage.importing import job, write

DATA = "id,session,wai,oq\na,1,1,2\nb,1,3,4\n"


def test_a_study_is_added_to_those_that_are_there_and_nothing_else_changes(tmp_path, small):
    small.rename(tmp_path / "c")
    before = snapshot(tmp_path / "c")
    bring(tmp_path, DATA, LONG, study="S04")
    after = snapshot(tmp_path / "c")
    new = {"sessions/S04.csv", "patients/S04.csv"}
    assert set(after) - set(before) == new
    assert {name for name in before if after[name] != before[name]} == {"studies.csv"}
    assert after["studies.csv"].startswith(before["studies.csv"])
    assert after["studies.csv"].count(b"\n") == before["studies.csv"].count(b"\n") + 1
    assert list(read_collection(tmp_path / "c").studies["study"]) == ["S01", "S02", "S03", "S04"]
    assert validate_collection(tmp_path / "c") == ()


def test_a_dry_run_writes_nothing(tmp_path):
    collection = empty(tmp_path / "c")
    before = snapshot(collection)
    report = bring(tmp_path, DATA, LONG, dry_run=True)
    assert report.files == ("sessions/S1.csv", "patients/S1.csv", "studies.csv")
    assert snapshot(collection) == before


@pytest.mark.parametrize("id", ["S1", "s1"])
def test_a_study_that_is_there_is_not_replaced(tmp_path, id):
    bring(tmp_path, DATA, LONG)
    (problem,) = refused(tmp_path, DATA, LONG, study=id)
    assert problem == (
        f"studies.csv, column 'study': found '{id}'; expected a study that is not there yet; to put this one in "
        "its place, say --study S1 --replace"
    )
    studies = tmp_path / "c" / "studies.csv"
    studies.write_text("".join(studies.read_text().splitlines(keepends=True)[:1]))
    for kind in ("sessions", "patients"):
        (tmp_path / "c" / kind / "S1.csv").unlink()
    bring(tmp_path, DATA.replace("a,1,1,2", "a,1,1,3"), LONG, study=id)
    assert "a,1,1,3" in (tmp_path / "c" / "sessions" / f"{id}.csv").read_text()


def test_a_study_twice_in_one_mapping_is_not_said_to_be_in_the_collection(tmp_path):
    data = "arm,id,session,wai,oq\nu,a,1,1,2\nv,b,1,3,4\n"
    arms = LONG | {"study_column": "arm", "studies": {"u": {"study": "U"}, "v": {"study": "u"}}}
    (problem,) = refused(tmp_path, data, arms, study=None)
    assert problem.endswith("found 'u'; expected a study that is not there yet")


def test_a_study_that_shared_its_results_keeps_its_id(tmp_path, monkeypatch):
    shared = pd.DataFrame({"study": ["S1"]})
    read = job.read_registry
    monkeypatch.setattr(job, "read_registry", lambda folder: (replace(read(folder)[0], shared=shared), []))
    (problem,) = refused(tmp_path, DATA, LONG, study="s1")
    assert problem == (
        "studies.csv, column 'study': found 's1'; expected a study that is not there yet; to import it, "
        "first remove bundles/S1"
    )


#: The same study with its patients renamed and in another order.
RENAMED = "id,session,wai,oq\nsecond,1,3,4\nfirst,1,1,2\n"


@pytest.mark.parametrize("data", [DATA, RENAMED])
def test_the_same_scores_under_another_id_are_refused_unless_meant(tmp_path, data):
    bring(tmp_path, DATA, LONG, study="S1")
    (problem,) = refused(tmp_path, data, LONG, study="S2")
    assert problem == (
        "studies.csv, row 3, column 'study': found 'S2, with the same scores as S1'; expected scores of its own: a pool "
        "would count the same patients twice (--same-data if it is meant)"
    )
    bring(tmp_path, data, LONG, study="S2", same_data=True)
    assert [str(p) for p in validate_collection(tmp_path / "c")] == [problem]
    assert validate_collection(tmp_path / "c", same_data=True) == ()
    # What was meant once is not held against the next study.
    bring(tmp_path, DATA.replace("a,1,1,2", "a,1,1,3"), LONG, study="S3")
    assert len(validate_collection(tmp_path / "c")) == 1


def test_samples_of_one_file_with_the_same_scores_are_refused(tmp_path):
    data = "arm,id,session,wai,oq\nu,a,1,1,2\nv,b,1,1,2\n"
    arms = LONG | {"study_column": "arm", "studies": {"u": {"study": "U"}, "v": {"study": "V"}}}
    (problem,) = refused(tmp_path, data, arms, study=None)
    assert "found 'V, with the same scores as U'" in problem


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_disk_that_fails_at_any_step_leaves_the_collection_as_it_was(tmp_path, monkeypatch, step):
    collection = empty(tmp_path / "c")
    before, replace, calls = snapshot(collection), os.replace, []

    def failing(source, target):
        if Path(target).name != JOURNAL:
            calls.append(target)
        if len(calls) == step:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="No space left"):
        bring(tmp_path, DATA, LONG)
    assert len(calls) == step
    assert snapshot(collection) == before


def test_a_registry_that_changes_meanwhile_is_not_overwritten(tmp_path, monkeypatch):
    collection = empty(tmp_path / "c")
    examine = write.examine_collection

    def slow(folder):
        found = examine(folder)
        with (collection / "studies.csv").open("a") as file:
            file.write("someone else's line\n")
        return found

    monkeypatch.setattr(write, "examine_collection", slow)
    with pytest.raises(write.ImportProblems, match="found 'a change during the import'"):
        bring(tmp_path, DATA, LONG)
    assert not (collection / "sessions").exists()
    assert sorted(p.name for p in collection.iterdir()) == [
        "README.md",
        "collection.yml",
        "dictionary.csv",
        "studies.csv",
    ]


def test_a_collection_with_problems_takes_no_study(tmp_path, small):
    small.rename(tmp_path / "c")
    for name, old, new in (("sessions/S02.csv", "p0001,1,", "p0001,x,"),):
        text = (tmp_path / "c" / name).read_text()
        (tmp_path / "c" / name).write_text(text.replace(old, new, 1))
    (problem,) = refused(tmp_path, DATA, LONG, study="S04")
    assert problem.startswith("sessions/S02.csv, row 2, column 'session': found 'x'")


def test_a_file_in_the_way_is_not_overwritten(tmp_path):
    collection = empty(tmp_path / "c")
    (collection / "patients").mkdir()
    (collection / "patients" / "S1.csv").write_text("precious")
    problems = refused(tmp_path, DATA, LONG)
    assert problems == ["patients/S1.csv: found 'a file of study S1'; expected a row in studies.csv for it"]


@pytest.mark.parametrize(
    "file",
    ["../real/{study}.csv", "all.csv", "{study}/{label}.csv", "sessions/{study}.csv.gz", "s/{label}.csv"],
)
def test_a_collection_without_a_place_for_a_studys_files_takes_none(tmp_path, file):
    collection = empty(tmp_path / "c")
    with (collection / "collection.yml").open("a") as yml:
        yml.write(f"sessions:\n  file: '{file}'\n")
    (problem,) = refused(tmp_path, DATA, LONG)
    assert problem.startswith(
        f"collection.yml, key 'sessions.file': found '{file}'; expected a .csv file of its own"
    )


def test_the_dictionarys_limits_are_said_in_terms_of_the_file(tmp_path):
    collection = empty(tmp_path / "c")
    text = (collection / "dictionary.csv").read_text().replace("session,0,1000,", "session,1,7,")
    (collection / "dictionary.csv").write_text(text)
    (problem,) = refused(tmp_path, DATA + "b,8,1,1\n", LONG)
    assert problem.startswith(
        "data.csv, row 4, column 'session': found 8; expected 1 to 7, as in the collection's"
    )
    bring(tmp_path, DATA + "b,8,1,1\n", LONG | {"keep_sessions": [1, 7]})


def test_columns_of_the_collections_own_and_its_names_are_kept(tmp_path):
    collection = empty(tmp_path / "c")
    yml = (collection / "collection.yml").read_text().replace("    pre: pre\n    post: post\n", "")
    (collection / "collection.yml").write_text(yml.replace("patient: patient", "patient: who"))
    with (collection / "dictionary.csv").open("a") as dictionary:
        dictionary.write("who,patient,,,,\n")
    studies = (collection / "studies.csv").read_text().replace("licence\n", "licence,wave\n")
    (collection / "studies.csv").write_text(studies)
    bring(tmp_path, DATA, LONG | {"study": FACTS | {"wave": "third, last"}})
    assert (collection / "studies.csv").read_text().splitlines()[1].endswith(',"third, last"')
    assert (collection / "patients" / "S1.csv").read_text() == "who,therapist,age,gender\na,,,\nb,,,\n"


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX systems do")
@pytest.mark.parametrize("step", [1, 2, 3])
def test_what_a_killed_import_left_is_gone_after_any_command(tmp_path, step):
    """Links to patients' data, and files that were in place already."""
    collection = empty(tmp_path / "c")
    before = snapshot(collection)
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from import_support import LONG, bring
left, replace = {step}, os.replace
def killed(source, target):
    global left
    left -= ".import." not in str(target)
    os.kill(os.getpid(), signal.SIGKILL) if left == 0 else replace(source, target)
os.replace = killed
bring(Path({str(tmp_path)!r}), {DATA!r}, LONG)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert len(snapshot(collection)) > len(before)
    assert validate_collection(collection) == ()
    assert snapshot(collection) == before
    bring(tmp_path, DATA, LONG)


def test_a_study_is_replaced_in_its_place_and_nothing_else_changes(tmp_path):
    for study, scores in (("S1", "1,2"), ("S2", "3,4"), ("S3", "5,6")):
        bring(tmp_path, f"id,session,wai,oq\na,1,{scores}\n", LONG, study=study)
    before = snapshot(tmp_path / "c")
    (problem,) = refused(tmp_path, DATA, LONG, study="S2")
    assert "say --study S2 --replace" in problem
    bring(tmp_path, "id,session,wai,oq\nb,2,7,8\nc,2,,9\n", LONG, study="S2", again=True)
    after = snapshot(tmp_path / "c")
    assert {name for name in after if after[name] != before[name]} == {
        "sessions/S2.csv",
        "patients/S2.csv",
        "studies.csv",
    }
    assert set(after) == set(before)
    assert after["sessions/S2.csv"] == b"patient,session,alliance,symptoms\nb,2,7,8\nc,2,,9\n"
    old, new = (text["studies.csv"].decode().splitlines() for text in (before, after))
    assert [line.split(",")[0] for line in new] == ["study", "S1", "S2", "S3"]
    assert [new[0], new[1], new[3]] == [old[0], old[1], old[3]]
    assert validate_collection(tmp_path / "c") == ()


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5])
def test_a_disk_that_fails_at_any_step_leaves_the_replaced_study(tmp_path, monkeypatch, step):
    bring(tmp_path, DATA, LONG)
    before, replace, calls = snapshot(tmp_path / "c"), os.replace, []

    def failing(source, target):
        if Path(target).name != JOURNAL:
            calls.append(target)
        if len(calls) == step:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="No space left"):
        bring(tmp_path, "id,session,wai,oq\nb,2,7,8\n", LONG, again=True)
    assert snapshot(tmp_path / "c") == before
