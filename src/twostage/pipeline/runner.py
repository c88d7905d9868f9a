"""Runs one notebook with papermill: all of it, with parameters it knows, or not at all."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from twostage.pipeline.errors import ANSI, NotebookError
from twostage.pipeline.kernel import ThisInterpreterKernelManager
from twostage.pipeline.places import without_places
from twostage.pipeline.run import POOLED_FOLDER, Run
from twostage.pipeline.template import assigned, check_given
from twostage.problems import ParameterError, Problem

#: How long a kernel may take to start, and a cell's last output to arrive: long, because a machine with more
#: work than cores is no reason for an error.
KERNEL_START_SECONDS, OUTPUT_SECONDS = 300, 120


#: What the collapsed parameter cells are called in the book, by tag.
COLLAPSED = {
    "parameters": "Parameters and their defaults",
    "injected-parameters": "Parameters of this run",
}


def run_notebook(run: Run, notebook: str, study: str | None = None) -> Path:
    """Execute a notebook of a run on one study or on all, and put the result in its place.

    Parameters
    ----------
    run : Run
        The run.
    notebook : str
        Name of the notebook, without suffix.
    study : str, optional
        The study; None for a notebook of stage 2.

    Returns
    -------
    Path
        The executed notebook.

    Raises
    ------
    ParameterError
        The notebook does not know a parameter.
    NotebookError
        A cell failed. The partly executed copy is below ``failed/``, and no earlier result is replaced.
    """
    template, target = run.template(notebook), run.executed(notebook, study)
    values = run.notebook_parameters(notebook, study)
    check_names(template, values)
    failed = run.failed / (study or POOLED_FOLDER) / target.name
    failed.unlink(missing_ok=True)
    run.unfinished.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=run.unfinished, prefix=f"{study or POOLED_FOLDER}-{notebook}-"))
    try:
        unfinished = scratch / target.name
        try:
            executed = execute(template, unfinished, values, run.project)
        except (PapermillExecutionError, DeadKernelError) as error:
            _move(unfinished, failed)
            raise _explained(error, notebook, study, run.shown(failed)) from None
        check_given(target.name, assigned(executed, "injected-parameters"), values)
        nbformat.write(without_places(run, tidied(executed)), unfinished)
        _move(unfinished, target)
    finally:
        shutil.rmtree(scratch)
    return target


def check_names(template: Path, values: Mapping[str, Any]) -> None:
    """Refuse parameters that the notebook's parameter cell does not have; papermill only warns.

    Raises
    ------
    ParameterError
        With one problem per unknown name.
    """
    known = papermill.inspect_notebook(_literal(template))
    expected = f"one of {', '.join(known)}" if known else "a cell tagged 'parameters'"
    problems = [
        Problem(template.name, None, name, value, expected)
        for name, value in values.items()
        if name not in known
    ]
    if problems:
        raise ParameterError(problems)


def execute(template: Path, output: Path, values: Mapping[str, Any], folder: Path) -> nbformat.NotebookNode:
    """Execute a notebook in a folder; the output is written cell by cell, also when one fails."""
    return papermill.execute_notebook(
        _literal(template),
        _literal(output),
        parameters=dict(values),
        cwd=folder,
        progress_bar=False,
        start_timeout=KERNEL_START_SECONDS,
        iopub_timeout=OUTPUT_SECONDS,
        kernel_manager_class=ThisInterpreterKernelManager,
        shutdown_kernel="immediate",
        record_timing=False,
        coalesce_streams=True,
    )


def _literal(path: Path) -> str:
    """A path as papermill has to be given it: it puts parameters in the place of names in braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


def tidied(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Remove what differs between two equal executions, and collapse the parameter cells."""
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        for tag, title in COLLAPSED.items():
            if tag in cell.metadata.get("tags", ()):
                cell.id = tag
                cell.metadata.tags = list(dict.fromkeys([*cell.metadata.tags, "hide-input"]))
                cell.metadata.mystnb = {"code_prompt_show": title, "code_prompt_hide": title}
    return notebook


def _move(source: Path, target: Path) -> None:
    if source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, target)


def _explained(
    error: PapermillExecutionError | DeadKernelError, notebook: str, study: str | None, copy: str
) -> NotebookError:
    study = study or "all studies"
    if isinstance(error, DeadKernelError):
        detail = "the kernel died; was it out of memory?"
        return NotebookError(notebook, study, None, copy, detail)
    traceback = ANSI.sub("", "\n".join(error.traceback) or f"{error.ename}: {error.evalue}")
    return NotebookError(notebook, study, error.cell_index + 1, copy, traceback)
