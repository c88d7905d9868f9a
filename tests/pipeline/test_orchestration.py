"""What is due after which change; who is in; what an error leaves behind."""

import os
import shutil

import pytest
from standin import (
    WITHOUT_RECOVERY,
    all_steps,
    change_scores,
    default_steps,
    due,
    readers,
    run_twostage,
    sizes,
    stage1_steps,
    steps,
    takers,
    write_notebook,
)

from twostage.simulation.simulate import simulate_collection, write_collection

pytestmark = pytest.mark.slow

ALL = all_steps("S01", "S02")
OUTCOME = stage1_steps("S01", "S02", notebooks=["stage1_outcome"])


def replace(path, old, new):
    """Change a text in a file that has it."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_everything_is_done_once(finished_project):
    again = run_twostage(finished_project, "run")
    assert again.returncode == 0, again.stderr
    assert steps(again.stdout) == set()
    total = len(default_steps("S01", "S02"))
    assert f"{total} steps: {total} unchanged" in again.stdout
    assert again.stdout.rstrip().endswith(str(finished_project / "runs" / "default" / "html" / "index.html"))


def test_equal_data_with_a_new_date_make_nothing_due(project):
    os.utime(project / "data" / "sessions" / "S02.csv")
    assert due(project) == set()


def test_changed_data_make_their_study_and_the_pool_due(project):
    change_scores(project, "S02")
    assert due(project) == all_steps("S02")


def test_changed_row_of_the_registry_makes_its_study_and_the_pool_due(project):
    replace(project / "data" / "studies.csv", "Synthetic study 02", "Another study")
    assert due(project) == all_steps("S02")


def test_changed_note_makes_all_pages_due(project):
    replace(project / "data" / "collection.yml", "No participant", "Nobody")
    assert due(project) == ALL


def test_changed_notebook_makes_what_reads_its_records_due(project):
    write_notebook(project / "notebooks", "stage1_outcome", pause=0.01)
    assert due(project) == OUTCOME | readers("stage1_outcome")


def test_changed_parameter_makes_the_notebooks_that_take_it_due(project):
    (project / "p.yml").write_text("tau2_method: DL\n")
    assert due(project, "--params", "p.yml", "--run", "default") == takers("tau2_method") | {"book"}
    (project / "p.yml").write_text("early_last_session: 2\n")
    expected = OUTCOME | readers("stage1_outcome")
    assert due(project, "--params", "p.yml", "--run", "default") == expected


def test_changed_page_makes_the_book_due(project):
    replace(project / "book" / "references.md", "References", "Literature")
    assert due(project) == {"book"}


def test_lost_record_is_made_again(project):
    (project / "runs" / "default" / "records" / "S01" / "lagged.json").unlink()
    assert due(project) == {"stage1_lagged S01"} | readers("stage1_lagged")


def test_added_study_comes_in_and_removed_one_leaves(project):
    shutil.rmtree(project / "data")
    write_collection(simulate_collection(1, n_studies=3, n_patients=60), project / "data")
    registry = (project / "data" / "studies.csv").read_text().splitlines(keepends=True)
    (project / "data" / "studies.csv").write_text("".join([registry[0], *registry[2:]]))
    for kind in ("sessions", "patients"):
        (project / "data" / kind / "S01.csv").unlink()
    finished = run_twostage(project, "run")
    assert finished.returncode == 0, finished.stderr
    assert all_steps("S03") <= steps(finished.stdout)
    for notebook in WITHOUT_RECOVERY:
        assert list(sizes(project, notebook)) == ["S02", "S03"]
    html = project / "runs" / "default" / "html"
    assert "Synthetic study 03" in (html / "index.html").read_text()
    assert "Synthetic study 01" not in (html / "index.html").read_text()
    assert (html / "notebooks" / "S03" / "stage1_lagged.html").is_file()
    assert not (html / "notebooks" / "S01").exists()
    assert not (project / "runs" / "default" / "records" / "S01").exists()


def test_errors_name_study_and_cell_and_leave_the_earlier_book(project):
    code = "import os\nif study == 'S02':\n    1 / 0\nos.remove(f'{record_folder}/outcome.json')"
    write_notebook(project / "notebooks", "stage1_outcome", code=code)
    book = project / "runs" / "default" / "html" / "index.html"
    before = book.stat().st_mtime_ns
    finished = run_twostage(project, "run")
    assert finished.returncode == 1
    assert steps(finished.stdout, "FAILED") == {"stage1_outcome S01", "stage1_outcome S02"}
    assert "error: stage1_outcome (S02), cell 4:" in finished.stderr
    assert "ZeroDivisionError: division by zero" in finished.stderr
    copy = "runs/default/failed/S02/stage1_outcome.ipynb"
    assert f"executed so far: {copy}" in finished.stderr
    assert "ZeroDivisionError" in (project / copy).read_text()
    # A notebook that comes to its end without its record has failed too.
    assert "did not produce" in finished.stderr
    assert "records/S01/outcome.json" in finished.stderr
    assert book.stat().st_mtime_ns == before
    assert due(project) >= OUTCOME | readers("stage1_outcome")


def test_bad_data_stop_everything_before_it_begins(project):
    with (project / "data" / "sessions" / "S02.csv").open("a") as scores:
        scores.write("P001,1,abc,2\n")
    finished = run_twostage(project, "run", "--run", "never")
    assert finished.returncode == 2
    assert "abc" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not (project / "runs" / "never").exists()


def test_bad_parameters_stop_everything_before_it_begins(project):
    (project / "p.yml").write_text("last_sesion: 5\nlag: 0\n")
    finished = run_twostage(project, "run", "--params", "p.yml", "--run", "never")
    assert finished.returncode == 2
    assert "did you mean 'last_session'?" in finished.stderr
    assert "'lag'" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not (project / "runs" / "never").exists()


def test_run_of_some_studies_goes_elsewhere_and_leaves_the_default_run(project, tmp_path):
    before = sizes(project)
    folder = tmp_path / "elsewhere" / "run"
    finished = run_twostage(project, "run", "--study", "S02", "--out", str(folder))
    assert finished.returncode == 0, finished.stderr
    # A single study has no page that leaves one out, and no model of several.
    assert steps(finished.stdout) == all_steps("S02", k=1)
    assert finished.stdout.rstrip().endswith(str(folder / "html" / "index.html"))
    assert "Only 1 of 2 studies: S02." in (folder / "html" / "index.html").read_text()
    assert list(before) == ["S01", "S02"]
    assert sizes(project) == before
    assert due(project) == set()
    assert run_twostage(project, "run", "--study", "S02", "--out", str(folder)).stdout.count("unchanged") == 1
    assert not list((project / "runs").glob("only*"))
