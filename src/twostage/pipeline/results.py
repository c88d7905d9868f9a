"""A run's ``results/``: what it leaves for machines and other people's software, when everything is pooled."""

from collections.abc import Mapping
from pathlib import Path

from twostage.collection import Collection
from twostage.files import replace_folder, unfinished_folder, write_files
from twostage.interchange import FOLDER, How, result_files
from twostage.pipeline.book.rerun import run_command
from twostage.pipeline.content import digest
from twostage.pipeline.day import today
from twostage.pipeline.run import Run


def results_of(run: Run, collection: Collection, *, executed: bool) -> dict[str, bytes]:
    """The files of a run's ``results/``; none where it has pooled nothing.

    Parameters
    ----------
    run : Run
    collection : Collection
        As analysed.
    executed : bool
        Whether notebooks were.
    """
    if not any((run.folder / "output").glob("*/pooled_*.csv")):
        return {}
    wanted = (*run.stage1, *run.stage2) if executed else ()
    notebooks = {name: str(digest(run.template(name))) for name in wanted}
    command = run_command(run, collection.defaults) + ("" if executed else " --no-book")
    return result_files(run.folder, collection, How(today(), command, notebooks))


def write_results(run: Run, contents: Mapping[str, bytes]) -> Path:
    """Put files in the place of those of an earlier run."""
    target = run.folder / FOLDER
    with unfinished_folder(target) as new:
        write_files({new / name: content for name, content in contents.items()})
        replace_folder(new, target)
    return target
