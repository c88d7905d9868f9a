"""One notebook: the parameters it is given, the kernel it runs in, what is left of it."""

import asyncio
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from jupyter_client import AsyncKernelManager
from papermill import execute_notebook
from papermill.exceptions import PapermillExecutionError
from standin import write_notebook

from twostage.params import make_parameters
from twostage.pipeline.errors import NotebookError
from twostage.pipeline.kernel import ThisInterpreterKernelManager
from twostage.pipeline.run import Run
from twostage.pipeline.runner import check_names, run_notebook
from twostage.problems import ParameterError


@pytest.fixture
def run(tmp_path):
    """A run of one study."""
    parameters = make_parameters({}).model_dump()
    return Run(tmp_path / "runs" / "r", tmp_path, tmp_path / "data", parameters, ("S01",), False)


def outputs(path, cell):
    """The text that a cell of an executed notebook printed."""
    return "".join(output["text"] for output in nbformat.read(path, as_version=4).cells[cell].outputs)


def test_notebook_runs_in_this_interpreter_with_its_parameters(run, monkeypatch, tmp_path):
    # A kernel of the same name that a user installed must not be taken instead.
    spec = tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": ["false"], "display_name": "trap", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    code = "import os, sys\nprint(sys.executable, study, collection, record_folder, last_session)\n"
    code += "print(os.getcwd(), os.environ['OPENBLAS_NUM_THREADS'])"
    write_notebook(tmp_path / "notebooks", "stage1_data", code=code)
    target = run_notebook(run, "stage1_data", "S01")
    assert target == tmp_path / "runs" / "r" / "notebooks" / "S01" / "stage1_data.ipynb"
    # A notebook shows the project's folder as the place where it is.
    executable = sys.executable.replace(str(Path.home()), "~")
    where = f"{executable} S01 data runs/r/records/S01 7\n. 1\n"
    assert outputs(target, 3) == where
    assert list(run.unfinished.iterdir()) == []


def test_braces_in_folders_are_letters(tmp_path):
    project = tmp_path / "{study} {{x}} {0}"
    parameters = make_parameters({}).model_dump()
    run = Run(project / "runs" / "{lag}", project, project / "data", parameters, ("S01",), False)
    write_notebook(project / "notebooks", "stage1_data", code="print(study)")
    target = run_notebook(run, "stage1_data", "S01")
    assert target.is_relative_to(project / "runs" / "{lag}")
    assert outputs(target, 3) == "S01\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == [project.name]


def test_equal_runs_leave_equal_notebooks(run, tmp_path):
    code = "import sys\nprint('a')\nprint('b', file=sys.stderr)\nprint('c')\n{'x', 'y', 'z'}"
    write_notebook(tmp_path / "notebooks", "stage1_data", code=code)
    first = run_notebook(run, "stage1_data", "S01").read_bytes()
    assert run_notebook(run, "stage1_data", "S01").read_bytes() == first


def test_parameter_cells_are_collapsed(run, tmp_path):
    write_notebook(tmp_path / "notebooks", "stage1_data", code="pass")
    notebook = nbformat.read(run_notebook(run, "stage1_data", "S01"), as_version=4)
    defaults, given = notebook.cells[1:3]
    assert defaults.metadata.tags == ["parameters", "hide-input"]
    assert given.metadata.tags == ["injected-parameters", "hide-input"]
    assert given.metadata.mystnb.code_prompt_show == "Parameters of this run"


def test_failed_notebook_is_kept_aside(run, tmp_path):
    write_notebook(tmp_path / "notebooks", "stage1_data", code="print('so far')\nraise KeyError('lost')")
    with pytest.raises(NotebookError, match="KeyError: 'lost'") as caught:
        run_notebook(run, "stage1_data", "S01")
    assert (caught.value.notebook, caught.value.study, caught.value.cell) == ("stage1_data", "S01", 4)
    assert not run.executed("stage1_data", "S01").exists()
    assert "so far" in (run.failed / "S01" / "stage1_data.ipynb").read_text()


def test_dead_kernel_is_an_error_of_the_notebook(run, tmp_path):
    write_notebook(tmp_path / "notebooks", "stage1_data", code="import os\nos._exit(9)")
    with pytest.raises(NotebookError, match="kernel died"):
        run_notebook(run, "stage1_data", "S01")


def test_unknown_parameter_is_an_error(tmp_path):
    template = write_notebook(tmp_path, "stage1_data", code="pass")
    check_names(template, {"last_session": 5})
    with pytest.raises(ParameterError) as caught:
        check_names(template, {"last_sesion": 5, "tau2_method": "DL"})
    assert [problem.column for problem in caught.value.problems] == ["last_sesion", "tau2_method"]


def test_paths_outside_the_project_are_absolute(run, tmp_path):
    outside = replace(run, collection=tmp_path.parent / "elsewhere")
    assert outside.notebook_parameters("stage1_data", "S01")["collection"] == str(outside.collection)


def test_errors_survive_the_way_from_a_worker():
    import pickle

    error = NotebookError("stage1_data", "S01", 4, "failed/x.ipynb", "line 1\nline 2")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_papermill_itself_ends_with_the_known_studies(tmp_path):
    repository = Path(__file__).parents[2]
    with pytest.raises(PapermillExecutionError) as caught:
        execute_notebook(
            str(repository / "notebooks" / "stage1_data.ipynb"),
            str(tmp_path / "out.ipynb"),
            {"study": "S99"},
            cwd=str(repository),
            progress_bar=False,
        )
    said = str(caught.value).strip().splitlines()
    assert said[2] == "CollectionError: 1 problem in the collection:"
    assert said[-1].startswith(
        "  - data/studies.csv, column 'study': found 'S99'; expected one of S01, S02, "
    )
    assert len(said) == 4


def test_a_long_folder_for_temporary_files_is_no_obstacle(run, tmp_path, monkeypatch):
    long = tmp_path / ("t" * 90)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    write_notebook(tmp_path / "notebooks", "stage1_data", code="print('well')")
    assert outputs(run_notebook(run, "stage1_data", "S01"), 3) == "well\n"


@pytest.mark.parametrize(("ending", "interrupts"), [(True, 0), (False, 1)])
def test_a_kernel_that_is_ended_is_not_interrupted_first(monkeypatch, ending, interrupts):
    """It would say that it caught an interruption."""
    done = []

    async def interrupt(kernel):
        done.append(kernel)

    monkeypatch.setattr(AsyncKernelManager, "_async_interrupt_kernel", interrupt)
    kernel = ThisInterpreterKernelManager()
    kernel.shutting_down = ending
    asyncio.run(kernel._async_interrupt_kernel())
    assert len(done) == interrupts
