"""A multiverse is resumable after whatever ended it, is stored with its collection, and shows in a run."""

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from standin import write_project
from typer.testing import CliRunner

from twostage.cli.app import app
from twostage.collection.collection import read_collection
from twostage.multiverse.null import CHUNK
from twostage.multiverse.store import read_multiverse
from twostage.pipeline.inputs import prepare
from twostage.pipeline.multiverse import carry_out_multiverse, plan_multiverse
from twostage.pipeline.run import load_run

GRID = """
window: [[1, 7]]
min_sessions: [3]
standardize: [total]
detrend: [none]
estimator: [centred, detrended]
"""


@pytest.fixture
def plan(small, tmp_path):
    (small / "multiverse.yml").write_text(GRID)
    return plan_multiverse(tmp_path, small, draws=CHUNK)


@pytest.mark.slow
def test_finished_pieces_are_kept_and_the_result_is_stored(plan, small, tmp_path):
    out = tmp_path / "all.csv"
    assert carry_out_multiverse(plan, jobs=1, out=out) == small / "multiverse"
    pieces = [*map(plan.study_file, plan.studies), plan.null_file(0)]
    made = {piece: piece.stat().st_mtime_ns for piece in pieces}
    first = read_multiverse(read_collection(small))
    assert first.caution() == "" and len(first) == len(plan.specs) and first.draws == CHUNK
    assert pd.read_csv(out)["estimate"].round(7).equals(first.table["estimate"].round(7))
    lost = pieces[1]
    lost.unlink()
    carry_out_multiverse(plan, jobs=1)
    assert {p: p.stat().st_mtime_ns for p in pieces if p != lost} == {
        p: t for p, t in made.items() if p != lost
    }
    pd.testing.assert_frame_equal(read_multiverse(read_collection(small)).table, first.table)
    # Without draws asked for, those that are there stay.
    again = plan_multiverse(tmp_path, small)
    carry_out_multiverse(again, jobs=1)
    assert read_multiverse(read_collection(small)).draws == CHUNK


@pytest.mark.slow
def test_a_killed_process_loses_the_piece_at_work_only(plan, small, tmp_path):
    project = write_project(tmp_path / "project")
    command = [
        sys.executable,
        "-m",
        "twostage",
        "multiverse",
        str(small),
        "--null",
        str(4 * CHUNK),
        "--jobs",
        "1",
    ]
    process = subprocess.Popen(command, cwd=project, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    pieces = lambda: sorted(project.glob("runs/multiverse/*/null-*/*.json"))  # noqa: E731
    deadline = time.monotonic() + 120
    while not pieces() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    there = {piece: piece.stat().st_mtime_ns for piece in pieces()}
    assert there and not (small / "multiverse").exists()
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {piece: piece.stat().st_mtime_ns for piece in there} == there
    assert read_multiverse(read_collection(small)).draws == 4 * CHUNK


def test_another_grid_and_other_data_have_pieces_of_their_own(plan, small, tmp_path):
    assert plan_multiverse(tmp_path, small, draws=CHUNK).folder == plan.folder
    (tmp_path / "grid.yml").write_text(GRID.replace("detrended", "riclpm"))
    other = plan_multiverse(tmp_path, small, grid=tmp_path / "grid.yml")
    assert other.folder != plan.folder and other.grid_from == "given"
    sessions = small / "sessions" / "S01.csv"
    sessions.write_text("\n".join(sessions.read_text().splitlines()[:-1]) + "\n")
    changed = plan_multiverse(tmp_path, small, draws=CHUNK)
    assert changed.study_file("S01") != plan.study_file("S01")
    assert changed.study_file("S02") == plan.study_file("S02")
    assert changed.null_folder != plan.null_folder


@pytest.mark.parametrize(
    ("arguments", "says"), [(["--null", "30"], "multiple of 25"), (["--grid", "no.yml"], "readable")]
)
def test_what_cannot_be_done_is_refused(small, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(write_project(tmp_path / "project"))
    found = CliRunner().invoke(app, ["multiverse", str(small), *arguments])
    assert found.exit_code == 2 and says in found.output
    assert not (small / "multiverse").exists()


def test_a_run_shows_what_is_stored(small, tmp_path):
    project = write_project(tmp_path / "project")
    without = prepare(project, project / "runs" / "a", small, {}, "test").run
    assert not without.has_multiverse and "stage2_multiverse" not in without.stage2
    (small / "multiverse").mkdir()
    for name in ("specifications.csv.gz", "priors.csv", "null.csv", "about.json"):
        (small / "multiverse" / name).write_text("stored")
    plan = prepare(project, project / "runs" / "b", small, {}, "test")
    assert plan.run.has_multiverse and "stage2_multiverse" in plan.run.stage2
    assert plan.run.stored_inputs("stage2_multiverse") == ["multiverse"]
    plan.write()
    assert load_run(plan.run.folder) == plan.run
    part = prepare(project, project / "runs" / "c", small, {}, "test", only=["S01"])
    assert not part.run.has_multiverse
