"""The notebooks of a run as pytask tasks: each study's own, then those that pool all studies.

pytask imports this module in the process that plans the run; workers import it to find the functions
and declare nothing.
"""

from functools import partial
from pathlib import Path

from pytask import task

from twostage.files import checksums, emptied, write_json
from twostage.pipeline.run import Run, declared_run, load_run


def run_on_study(folder: str, study: str, notebook: str, needs: list[Path], produces: list[Path]) -> None:
    """Execute a stage-1 notebook; it leaves its records."""
    # Imported where it is used: a run in which nothing changed shall not wait for papermill.
    from twostage.pipeline.runner import run_notebook

    run_notebook(load_run(Path(folder)), notebook, study)


def run_on_all(folder: str, notebook: str, needs: list[Path], produces: list[Path]) -> None:
    """Execute a stage-2 notebook, and list the tables and figures that it leaves."""
    from twostage.pipeline.runner import run_notebook

    run = load_run(Path(folder))
    output = emptied(run.output_folder(notebook))
    run_notebook(run, notebook)
    write_json(run.output_list(notebook), checksums(output, (p for p in output.rglob("*") if p.is_file())))


def run_tutorial(folder: str, notebook: str, needs: list[Path], produces: list[Path]) -> None:
    """Execute a tutorial."""
    from twostage.pipeline.runner import run_notebook

    run_notebook(load_run(Path(folder)), notebook)


def declare(run: Run) -> None:
    """Declare a task per notebook and study, and one per notebook of all studies."""
    package = run.input_file("package")
    for notebook in run.stage1:
        common = [run.template(notebook), run.parameter_file(notebook), package]
        for study in run.analysed:
            needs = [*common, run.study_file(study)]
            makes = [run.executed(notebook, study), *run.records(notebook, study)]
            values = {"folder": str(run.folder), "study": study, "notebook": notebook}
            _declare(f"{notebook} {study}", run_on_study, **values, needs=needs, produces=makes)
    for notebook in run.stage2:
        common = [run.template(notebook), run.parameter_file(notebook), package]
        needs = [*common, run.input_file("collection"), *run.pooled_records(notebook), *run.stored(notebook)]
        makes = [run.executed(notebook), run.output_list(notebook)]
        _declare(notebook, run_on_all, folder=str(run.folder), notebook=notebook, needs=needs, produces=makes)
    for notebook in run.tutorials:
        # A tutorial shows commands: it depends on all of the package.
        needs = [run.template(notebook), run.parameter_file(notebook), run.input_file("source")]
        values = {"folder": str(run.folder), "notebook": notebook}
        _declare(notebook, run_tutorial, **values, needs=needs, produces=[run.executed(notebook)])


def _declare(name: str, function, **values) -> None:
    # A new object each time: pytask keeps what it knows about a task on the function itself.
    task(name=name, kwargs=values)(partial(function))


if (RUN := declared_run()) is not None:
    declare(RUN)
