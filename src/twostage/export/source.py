"""What an export reads: a finished run, its collection, and what its pages may quote."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twostage.collection import Collection, Settings, read_collection, read_settings
from twostage.notebooks import HOME
from twostage.params import Parameters, make_parameters
from twostage.pipeline.book.manuscript import book_context
from twostage.pipeline.run import Run, load_run
from twostage.problems import CollectionError, Problem, RecordError
from twostage.stage2 import PooledTable, find_results, pool_records, read_records
from twostage.words import speak


@dataclass(frozen=True)
class Source:
    """A finished run to make files for a paper from.

    Attributes
    ----------
    run : Run
    collection : Collection
    settings : Settings
        Of the collection: files and columns.
    parameters : Parameters
    context : dict
        What the manuscript's pages may quote of the run.
    """

    run: Run
    collection: Collection
    settings: Settings
    parameters: Parameters
    context: dict[str, Any]

    @property
    def name(self) -> str:
        """Of the run."""
        return self.run.folder.name

    @property
    def caution(self) -> str:
        """What every table, figure and text says of the data; empty where there is nothing to say."""
        return "The data are synthetic." if self.collection.synthetic else ""

    def pooled(self, analysis: str) -> PooledTable:
        """An analysis pooled again from the run's records, as the run does."""
        p = self.parameters
        how: dict[str, Any] = {"method": p.tau2_method, "ci": p.ci_method, "level": p.level}
        return pool_records(read_records(self.run.folder / "records", self.run.studies, analysis), **how)

    def analyses(self) -> Iterator[str]:
        """Analyses of stage 1 that the run pooled."""
        outcome = ["outcome"] if self.run.has_outcome else []
        yield from ["lagged", "crosslevel", *outcome, "transition", "sensitivity", "estimators"]


def open_source(run: str, say: Callable[[str], None] = lambda words: None) -> Source:
    """Open a run by its name or its folder.

    Parameters
    ----------
    run : str
    say : callable
        Told what is being done.

    Raises
    ------
    RecordError
        There is no such run, or it has pages that were not made.
    CollectionError
        Its collection is gone, or its files are wrong.
    """
    folder, _ = find_results(run)
    found = load_run(folder)
    missing = [name for name in found.stage2 if not found.output_folder(name).is_dir()]
    if missing or not (found.output_folder(HOME["lagged"]) / "flow.csv").is_file():
        expected = "a finished run with its pages: give the command 'twostage run' again, without --no-book"
        raise RecordError([Problem(str(folder), None, None, f"no {', '.join(missing) or 'flow'}", expected)])
    say(f"reading {found.shown(folder)}")
    collection, parameters = read_collection(found.collection), make_parameters(found.parameters, "run.json")
    settings, problems = read_settings(Path(collection.path))
    if settings is None:
        raise CollectionError(problems)
    speak(collection.words)
    context = book_context(folder, collection, parameters, found.manuscript)
    return Source(found, collection, settings, parameters, context)
