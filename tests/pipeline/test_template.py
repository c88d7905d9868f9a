"""Parameter cells follow from one definition, and a value saved in one is not passed over."""

import nbformat
import pytest
from standin import REPOSITORY, run_twostage, write_notebook, write_project

from twostage.notebooks import NOTEBOOKS
from twostage.pipeline.entry import Request, plan_run
from twostage.pipeline.errors import PipelineError
from twostage.pipeline.template import defaults_of, sync_cells
from twostage.problems import ParameterError


def save_value(notebook, line: str) -> None:
    """Change one line of a notebook's parameter cell, as somebody would in JupyterLab."""
    content = nbformat.read(notebook, as_version=4)
    (cell,) = (c for c in content.cells if "parameters" in c.metadata.get("tags", ()))
    name = line.split(" = ")[0]
    cell.source = "\n".join(line if old.startswith(f"{name} = ") else old for old in cell.source.split("\n"))
    nbformat.write(content, notebook)


@pytest.fixture
def project(tmp_path):
    return write_project(tmp_path / "p", studies=2)


def test_a_saved_value_stops_the_run_and_is_named(project):
    save_value(project / "notebooks" / "stage1_lagged.ipynb", "lag = 2")
    save_value(project / "notebooks" / "stage2_sensitivity.ipynb", "collection = 'mine'")
    with pytest.raises(ParameterError) as caught:
        plan_run(project, Request())
    found = [(p.file, p.column, p.value) for p in caught.value.problems]
    assert found == [("stage1_lagged.ipynb", "lag", 2), ("stage2_sensitivity.ipynb", "collection", "mine")]
    assert caught.value.problems[0].expected.startswith("1, which this run gives")
    assert "-p lag=2" in caught.value.problems[0].expected


def test_a_saved_value_that_the_run_has_too_is_no_problem(project):
    save_value(project / "notebooks" / "stage1_lagged.ipynb", "lag = 2")
    assert plan_run(project, Request(assignments=("lag=2",))).run.parameters["lag"] == 2


def test_which_study_was_last_looked_at_is_no_problem(project):
    save_value(project / "notebooks" / "stage1_lagged.ipynb", "study = 'S02'")
    assert plan_run(project, Request())


def test_sync_puts_cells_in_order_and_touches_nothing_else(project):
    path = project / "notebooks" / "stage1_lagged.ipynb"
    before = {p.name: p.read_bytes() for p in path.parent.iterdir()}
    save_value(path, "lag = 2")
    assert defaults_of(path)["lag"] == 2
    finished = run_twostage(project, "notebooks", "--sync")
    assert (finished.returncode, finished.stdout) == (0, "stage1_lagged: parameter cell written\n")
    assert {p.name: p.read_bytes() for p in path.parent.iterdir()} == before


def test_committed_notebooks_are_in_order(tmp_path):
    for name in NOTEBOOKS:
        (tmp_path / f"{name}.ipynb").write_bytes((REPOSITORY / "notebooks" / f"{name}.ipynb").read_bytes())
    assert sync_cells(tmp_path) == []


def test_sync_names_a_notebook_that_is_missing_or_has_no_such_cell(tmp_path):
    with pytest.raises(PipelineError, match="stage1_data.ipynb: no such notebook"):
        sync_cells(tmp_path)
    path = write_notebook(tmp_path, "stage1_data")
    content = nbformat.read(path, as_version=4)
    del content.cells[1]
    nbformat.write(content, path)
    with pytest.raises(PipelineError, match="no cell is tagged 'parameters'"):
        sync_cells(tmp_path, ["stage1_data"])
