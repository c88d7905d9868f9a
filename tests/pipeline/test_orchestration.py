"""What runs again after which change; who is in; what an error leaves behind."""

import json
import os
import shutil

import pytest
from standin import change_scores, run_twostage, sizes, steps, write_notebook

from twostage.pipeline.run import load_run
from twostage.simulate import simulate_collection, write_collection

pytestmark = pytest.mark.slow

POOLED = {"stage2_outcome", "stage2_lagged", "stage2_crosslevel", "stage2_sensitivity", "book"}
STAGE1 = ("stage1_data", "stage1_outcome", "stage1_lagged", "stage1_crosslevel")


def test_everything_is_done_once(project):
    again = run_twostage(project, "run")
    assert again.returncode == 0, again.stderr
    assert steps(again.stdout) == set()
    assert "13 steps: 13 unchanged" in again.stdout
    assert again.stdout.rstrip().endswith(str(project / "runs" / "default" / "html" / "index.html"))


def test_changed_data_rerun_their_study_and_the_pool(project):
    before = sizes(project)
    change_scores(project, "S02")
    again = run_twostage(project, "run")
    assert steps(again.stdout) == {f"{notebook} S02" for notebook in STAGE1} | POOLED
    assert sizes(project)["S01"] == before["S01"]
    assert sizes(project)["S02"] < before["S02"]


def test_touched_but_equal_data_rerun_nothing(project):
    os.utime(project / "data" / "sessions" / "S02.csv")
    assert steps(run_twostage(project, "run").stdout) == set()


def test_changed_notebook_reruns_what_reads_its_records(project):
    write_notebook(project / "notebooks", "stage1_crosslevel", pause=0.01)
    again = run_twostage(project, "run")
    crosslevel = {"stage1_crosslevel S01", "stage1_crosslevel S02", "stage2_crosslevel", "book"}
    # The stand-in's records came out as before, so what pools them has nothing new to read.
    assert steps(again.stdout) == crosslevel - {"stage2_crosslevel"}


def test_changed_parameter_reruns_the_notebooks_that_take_it(project, tmp_path):
    (tmp_path / "p.yml").write_text("tau2_method: DL\n")
    again = run_twostage(project, "run", "--params", str(tmp_path / "p.yml"), "--run", "default")
    assert steps(again.stdout) == POOLED
    notebook = json.loads((project / "runs/default/notebooks/pooled/stage2_lagged.ipynb").read_text())
    assert 'tau2_method = "DL"' in "".join(notebook["cells"][2]["source"])


def test_added_study_gets_its_chapter_and_removed_one_leaves(project):
    shutil.rmtree(project / "data")
    write_collection(simulate_collection(1, n_studies=3, n_patients=60), project / "data")
    for name in ("sessions/S01.csv", "patients/S01.csv", "patients/S02.csv", "sessions/S02.csv"):
        assert (project / "data" / name).is_file()
    more = run_twostage(project, "run")
    assert more.returncode == 0, more.stderr
    assert {f"{notebook} S03" for notebook in STAGE1} | POOLED <= steps(more.stdout)
    assert list(sizes(project)) == ["S01", "S02", "S03"]
    html = project / "runs" / "default" / "html"
    assert "Synthetic study 03" in (html / "index.html").read_text()

    registry = (project / "data" / "studies.csv").read_text().splitlines(keepends=True)
    (project / "data" / "studies.csv").write_text("".join([registry[0], *registry[2:]]))
    fewer = run_twostage(project, "run")
    assert steps(fewer.stdout) == POOLED
    assert list(sizes(project)) == ["S02", "S03"]
    assert "Synthetic study 01" not in (html / "index.html").read_text()
    assert not (html / "notebooks" / "S01").exists()
    assert not (project / "runs" / "default" / "records" / "S01").exists()


def test_collection_without_outcome_has_no_outcome_analysis(project):
    shutil.copytree(project / "data", project / "plain")
    settings = (project / "plain" / "collection.yml").read_text().split("patients:")[0]
    (project / "plain" / "collection.yml").write_text(settings)
    shutil.rmtree(project / "plain" / "patients")
    _fix_sizes(project / "plain")
    default = (project / "runs" / "default" / "run.json").read_bytes()
    finished = run_twostage(project, "run", "plain")
    assert finished.returncode == 0, finished.stderr
    assert not any("outcome" in step for step in steps(finished.stdout))
    assert not (project / "runs" / "plain" / "html" / "results_outcome.html").exists()
    assert (project / "runs" / "default" / "run.json").read_bytes() == default
    assert load_run(project / "runs" / "plain").collection == project / "plain"


def _fix_sizes(collection):
    """Set n to the patients who have a session, which is all that is known without a patient file."""
    lines = (collection / "studies.csv").read_text().splitlines()
    column = lines[0].split(",").index("n")
    rows = [line.split(",") for line in lines]
    for row in rows[1:]:
        sessions = (collection / "sessions" / f"{row[0]}.csv").read_text().splitlines()[1:]
        row[column] = str(len({line.split(",")[0] for line in sessions}))
    (collection / "studies.csv").write_text("\n".join(",".join(row) for row in rows) + "\n")


def test_failing_notebook_fails_the_run_and_says_where(project):
    code = "from pathlib import Path\nif study == 'S02':\n    1 / 0\n"
    write_notebook(project / "notebooks", "stage1_crosslevel", code=code)
    index = project / "runs" / "default" / "html" / "index.html"
    before = index.stat().st_mtime_ns
    finished = run_twostage(project, "run")
    assert finished.returncode == 1
    # The other study's notebook does not leave the record it should: that is an error too.
    assert steps(finished.stdout, "FAILED") == {"stage1_crosslevel S02"}
    assert "error: stage1_crosslevel (S02), cell 4:" in finished.stderr
    assert "ZeroDivisionError: division by zero" in finished.stderr
    assert "executed so far: runs/default/failed/S02/stage1_crosslevel.ipynb" in finished.stderr
    assert (project / "runs/default/failed/S02/stage1_crosslevel.ipynb").is_file()
    assert index.stat().st_mtime_ns == before

    write_notebook(project / "notebooks", "stage1_crosslevel")
    repaired = run_twostage(project, "run")
    assert repaired.returncode == 0, repaired.stderr
    assert not (project / "runs/default/failed/S02/stage1_crosslevel.ipynb").exists()


def test_notebook_that_leaves_no_record_fails_the_run(project):
    write_notebook(project / "notebooks", "stage1_crosslevel", code="pass")
    shutil.rmtree(project / "runs" / "default" / "records" / "S01")
    finished = run_twostage(project, "run")
    assert finished.returncode == 1
    assert "crosslevel.json" in finished.stderr


def test_bad_data_stop_everything_before_it_begins(project):
    scores = project / "data" / "sessions" / "S02.csv"
    scores.write_text(scores.read_text() + "P001,1,abc,2\n")
    finished = run_twostage(project, "run", "--run", "never")
    assert finished.returncode == 2
    assert "abc" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not (project / "runs" / "never").exists()


def test_bad_parameters_stop_everything_before_it_begins(project, tmp_path):
    (tmp_path / "p.yml").write_text("last_sesion: 5\nlag: 0\n")
    finished = run_twostage(project, "run", "--params", str(tmp_path / "p.yml"), "--run", "never")
    assert finished.returncode == 2
    assert "did you mean 'last_session'?" in finished.stderr
    assert "'lag'" in finished.stderr
    assert not (project / "runs" / "never").exists()
