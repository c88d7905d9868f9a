"""What the steps of a run do, in whatever process: execute a notebook, make the book."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from twostage.files import emptied
from twostage.notebooks import NOTEBOOKS
from twostage.pipeline.code import code, modules
from twostage.pipeline.content import Unchanged, digest
from twostage.pipeline.errors import PipelineError
from twostage.pipeline.run import Run
from twostage.pipeline.template import assigned, check_given


@dataclass(frozen=True)
class Watched:
    """What a step works with and nobody may change meanwhile.

    Attributes
    ----------
    files : dict
        File or folder -> its digest in the plan.
    code : dict
        The code that the run was planned with.
    results : bool
        Whether that is the code of results only.
    """

    files: Mapping[Path, str | None]
    code: Mapping[str, str]
    results: bool


class Watch:
    """Compares what a step finds with the plan, when it begins and once more when it is asked to.

    Raises
    ------
    PipelineError
        Naming the file, or the library and its versions.
    """

    def __init__(self, watched: Watched):
        self._watched = watched
        self._check_code()
        # Modules where this process has them: on a cluster that may be another place than the planner's.
        code_files = {path: digest(path) for path in modules(results=watched.results)}
        self._files = Unchanged({**watched.files, **code_files})

    def check(self) -> None:
        """Raise if anything was written since this object was made."""
        self._check_code()
        self._files.check()

    def _check_code(self) -> None:
        for name, now in code(results=self._watched.results).items():
            if (planned := self._watched.code[name]) != now:
                what = "the package's code" if name == "sha256" else f"{name} {now} instead of {planned}"
                raise PipelineError(f"{what}: changed while the run was going on; give the command again")


def execute_notebook(run: Run, notebook: str, study: str | None, watched: Watched) -> None:
    """Execute a notebook; it leaves its records, or its tables and figures."""
    # Imported where it is used: a run in which nothing changed shall not wait for papermill.
    from twostage.pipeline.runner import run_notebook

    watch = Watch(watched)
    if NOTEBOOKS[notebook].kind == "stage2":
        emptied(run.output_folder(notebook))
    run_notebook(run, notebook, study)
    watch.check()


def make_book(run: Run, watched: Watched) -> None:
    """Assemble and build the book; it takes the place of the earlier one only if it is of one run."""
    from twostage.pipeline.book.build import build_book

    watch = Watch(watched)
    _check_parameters(run)
    try:
        build_book(run, watch.check)
    except PipelineError as error:
        # What is wrong in a copy has to be mended in the file that was copied.
        raise PipelineError(str(error).replace(str(run.sources), str(run.project))) from None


def _check_parameters(run: Run) -> None:
    """Refuse a book of notebooks that were executed with other parameters than the run's."""
    executed: list[tuple[str, str | None]] = [(n, s) for n in run.stage1 for s in run.analysed]
    for notebook, study in [*executed, *((n, None) for n in run.stage2)]:
        file = run.executed(notebook, study)
        given = assigned(json.loads(file.read_text(encoding="utf-8")), "injected-parameters")
        check_given(file.relative_to(run.folder).as_posix(), given, run.own_parameters(notebook))
