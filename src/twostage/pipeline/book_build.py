"""Turns the assembled source into pages: Jupyter Book, with every warning an error."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from twostage.characters import terminal
from twostage.pipeline.book_source import assemble
from twostage.pipeline.errors import ANSI, PipelineError
from twostage.pipeline.run import RUN_VARIABLE, Run

#: How many of the messages of a failed build are shown; all are in the log.
SHOWN_MESSAGES = 20

_MAIN = "from jupyter_book.cli.main import main; main()"


def build_book(run: Run) -> Path:
    """Assemble and build a run's book, then put it in the place of the earlier one.

    Parameters
    ----------
    run : Run
        A run whose notebooks are executed.

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
    assemble(run, source)
    shutil.rmtree(built, ignore_errors=True)
    _jupyter_book(source, built, run.folder / "book.log")
    _put_in_place(built / "_build" / "html", run.html)
    shutil.rmtree(built)
    return run.html / "index.html"


def _jupyter_book(source: Path, built: Path, log: Path) -> None:
    # Incremental builds keep removed pages and old numbers, hence --all. A relative --toc is not found.
    options = ["--config", str(source / "_config.yml"), "--toc", str(source / "_toc.yml")]
    options += ["--path-output", str(built), "--all", "--warningiserror", "--keep-going", "--quiet"]
    environment = {name: value for name, value in os.environ.items() if name != RUN_VARIABLE}
    finished = subprocess.run(
        [sys.executable, "-c", _MAIN, "build", str(source), *options],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=environment | {"PYTHONUTF8": "1", "NO_COLOR": "1"},
    )
    said = ANSI.sub("", finished.stdout + finished.stderr)
    log.write_text(said, encoding="utf-8")
    if finished.returncode != 0:
        lines = [terminal(line) for line in said.splitlines() if line.strip()]
        telling = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines
        shown = "\n".join(f"    {line}" for line in telling[-SHOWN_MESSAGES:])
        raise PipelineError(f"the book could not be built (all messages: {log}):\n{shown}")


def _put_in_place(new: Path, target: Path) -> None:
    """Replace a folder; it is missing only between two renamings."""
    old = target.with_name(f"{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)
