"""The committed notebooks are templates: no outputs, no definitions, the parameters params.py declares."""

import ast
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from twostage.notebooks import NOTEBOOKS, parameter_cell

REPOSITORY = Path(__file__).parents[1]
FOLDER = REPOSITORY / "notebooks"


def cells(name: str, kind: str = "code") -> list[nbformat.NotebookNode]:
    """A notebook's cells of one kind."""
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == kind]


def test_each_declared_notebook_is_there_and_no_other():
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == sorted(NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_is_valid_and_without_results(name):
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert [cell.id for cell in cells(name) if cell.outputs or cell.execution_count is not None] == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_defines_nothing(name):
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    found = [
        f"{cell.id}, line {node.lineno}"
        for cell in cells(name)
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, definitions)
    ]
    assert found == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_parameter_cell_is_the_declared_one(name):
    tagged = [cell for cell in cells(name) if "parameters" in cell.metadata.get("tags", ())]
    assert len(tagged) == 1
    assert tagged[0].source == parameter_cell(name)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_begins_with_a_heading(name):
    first = cells(name, "markdown")[0]
    assert first.source.startswith("# ")


def run_hook(repository: Path) -> subprocess.CompletedProcess:
    """What the pre-commit hook says about what is staged."""
    command = [sys.executable, str(REPOSITORY / ".githooks" / "clean_notebooks.py")]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True)


def test_hook_refuses_a_notebook_with_outputs(tmp_path):
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1", id="sum")])
    nbformat.write(notebook, tmp_path / "a b.ipynb")
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    assert run_hook(tmp_path).returncode == 0
    notebook.cells[0].execution_count = 1
    nbformat.write(notebook, tmp_path / "a b.ipynb")
    # Only what is staged counts, not what lies in the folder.
    assert run_hook(tmp_path).returncode == 0
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    refused = run_hook(tmp_path)
    assert refused.returncode == 1
    assert "a b.ipynb: has outputs" in refused.stderr
