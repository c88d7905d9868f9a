"""Turns the assembled source into pages: Jupyter Book, with every warning an error.

A run keeps its last build; the next one writes only the pages that differ (:mod:`twostage.pipeline.book.incremental`).
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from twostage.characters import terminal
from twostage.files import replace_folder, unfinished_folder, write_text
from twostage.pipeline.book.footer import FILE, place_footers
from twostage.pipeline.book.incremental import dates, frame, keep_dates
from twostage.pipeline.book.source import assemble
from twostage.pipeline.book.trim import trim
from twostage.pipeline.child import child_command
from twostage.pipeline.errors import ANSI, PipelineError
from twostage.pipeline.results import write_results
from twostage.pipeline.run import Run

#: How many of the messages of a failed build are shown; all are in the log.
SHOWN_MESSAGES = 20


#: File of a build with its frame; there only where the build was finished.
FRAME = "frame.json"


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
    before = dates(source)
    results = assemble(run, source)
    keep_dates(before)
    with _built_on(built, frame(source, run.manuscript / "assets")):
        _jupyter_book(source, built, run.folder / "book.log")
    with unfinished_folder(run.html) as new:
        # The build stays as it is, for the next one.
        shutil.copytree(built / "_build" / "html", new, dirs_exist_ok=True)
        trim(new)
        place_footers(new, (source / FILE).read_text(encoding="utf-8"))
        confirm()
        write_results(run, results)
        replace_folder(new, run.html)
    return run.html / "index.html"


@contextmanager
def _built_on(built: Path, frame: str) -> Iterator[None]:
    """Keep an earlier build if it was finished and has the same frame; else begin from nothing."""
    said = built / FRAME
    if not said.is_file() or said.read_text(encoding="utf-8") != frame:
        shutil.rmtree(built, ignore_errors=True)
    said.unlink(missing_ok=True)
    # Sphinx copies them anyway, and marks styles by their content only where they are there before.
    shutil.rmtree(built / "_build" / "html" / "_static", ignore_errors=True)
    yield
    write_text(said, frame)


def _jupyter_book(source: Path, built: Path, log: Path) -> None:
    # A relative --toc is not found.
    options = ["--config", str(source / "_config.yml"), "--toc", str(source / "_toc.yml")]
    options += ["--path-output", str(built), "--warningiserror", "--keep-going", "--quiet"]
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
