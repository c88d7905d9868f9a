"""The book of a run as a pytask task: it depends on everything that a page shows."""

from functools import partial
from pathlib import Path

from pytask import task

from twostage.pipeline.run import Run, declared_run, load_run


def make_book(folder: str, needs: list[Path], produces: Path) -> None:
    """Assemble and build the book."""
    # Imported where it is used: a run in which nothing changed shall not wait for it.
    from twostage.pipeline.book.build import build_book

    build_book(load_run(Path(folder)))


def book_needs(run: Run) -> list[Path]:
    """Every file from which the book is made."""
    executed = [run.executed(notebook, study) for notebook in run.stage1 for study in run.analysed]
    executed += [run.executed(name) for name in run.tutorials]
    records = [r for notebook in run.stage1 for study in run.analysed for r in run.records(notebook, study)]
    shared = [run.study_file(study) for study in run.shared]
    pooled = [path for name in run.stage2 for path in (run.executed(name), run.output_list(name))]
    manuscript = [path for path in sorted((run.project / "book").rglob("*")) if path.is_file()]
    inputs = [run.input_file("collection"), run.input_file("source"), run.folder / "run.json"]
    return [*executed, *records, *shared, *pooled, *manuscript, *inputs, run.project / "_config.yml"]


if (RUN := declared_run()) is not None:
    values = {"folder": str(RUN.folder), "needs": book_needs(RUN), "produces": RUN.html / "index.html"}
    task(name="book", kwargs=values)(partial(make_book))
