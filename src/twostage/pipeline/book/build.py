"""Turns the assembled source into pages: Jupyter Book, with every warning an error."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from twostage.characters import terminal
from twostage.files import replace_folder, write_text
from twostage.pipeline.book.source import assemble
from twostage.pipeline.book.trim import trim
from twostage.pipeline.child import child_command
from twostage.pipeline.errors import ANSI, PipelineError
from twostage.pipeline.results import write_results
from twostage.pipeline.run import Run

#: How many of the messages of a failed build are shown; all are in the log.
SHOWN_MESSAGES = 20


def build_book(run: Run, confirm: Callable[[], None] = lambda: None) -> Path:
    """Assemble and build a run's book, then put it, and the results that it offers, in the place of earlier ones.

    Parameters
    ----------
    run : Run
        A run whose notebooks are executed.
    confirm : callable, optional
        Called when the book is built; raises if it may not take the earlier one's place.

    Returns
    -------
    Path
        The book's first page.

    Raises
    ------
    PipelineError
        If a page cannot be filled or the build warns; the earlier book stays as it was.
    """
    source, built = run.folder / "book", run.folder / "book_build"
    results = assemble(run, source)
    shutil.rmtree(built, ignore_errors=True)
    _jupyter_book(source, built, run.folder / "book.log")
    trim(built / "_build" / "html")
    confirm()
    write_results(run, results)
    replace_folder(built / "_build" / "html", run.html)
    shutil.rmtree(built)
    return run.html / "index.html"


def _jupyter_book(source: Path, built: Path, log: Path) -> None:
    # Incremental builds keep removed pages and old numbers, hence --all. A relative --toc is not found.
    options = ["--config", str(source / "_config.yml"), "--toc", str(source / "_toc.yml")]
    options += ["--path-output", str(built), "--all", "--warningiserror", "--keep-going", "--quiet"]
    finished = subprocess.run(
        child_command("jupyter_book.cli.main:main", "build", str(source), *options),
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=os.environ | {"PYTHONUTF8": "1", "NO_COLOR": "1"},
    )
    said = ANSI.sub("", finished.stdout + finished.stderr)
    write_text(log, said)
    if finished.returncode != 0:
        lines = [terminal(line) for line in said.splitlines() if line.strip()]
        telling = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines
        shown = "\n".join(f"    {line}" for line in telling[-SHOWN_MESSAGES:])
        raise PipelineError(f"the book could not be built (all messages: {log}):\n{shown}")
