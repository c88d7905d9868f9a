"""A living review's update: run, compare with the last release, add a release, and make the book that shows it."""

from dataclasses import dataclass
from pathlib import Path

from twostage.collection import Collection, read_collection
from twostage.interchange import (
    POOLED,
    Pooled,
    Release,
    ReleaseError,
    add_release,
    make_release,
    pooled_document,
    read_releases,
    same_results,
)
from twostage.pages.history.analysis import Changes, changes
from twostage.pages.history.page import change_files
from twostage.params import make_parameters
from twostage.pipeline.day import today
from twostage.pipeline.run import Run, load_run
from twostage.problems import Problem
from twostage.stage2 import read_results


@dataclass(frozen=True)
class Update:
    """What an update found.

    Attributes
    ----------
    release : Release
        The newest, which is the one before where nothing changed.
    new : bool
        Whether it was added now.
    changes : Changes or None
        From the release that was asked for; None for a first release.
    folder : Path or None
        Of the new release's files.
    """

    release: Release
    new: bool
    changes: Changes | None
    folder: Path | None


def known_releases(collection: Path, since: int | None) -> tuple[list[Release], Release | None]:
    """The releases, and the one with which to compare; read before anything is run.

    Raises
    ------
    ReleaseError
        If one was changed, or there is none of that number.
    """
    releases = read_releases(collection)
    if since is None:
        return releases, releases[-1] if releases else None
    found = {release.number: release for release in releases}
    if since not in found:
        expected = f"one of {', '.join(map(str, found))}" if found else "no number: there is no release yet"
        raise ReleaseError([Problem("--since", None, None, since, expected)])
    return releases, found[since]


def release_run(run: Run, since: int | None = None) -> Update:
    """Add a release of a run's results to its collection, unless they are those of the last one.

    Parameters
    ----------
    run : Run
        That has pooled its studies.
    since : int, optional
        Release with which to compare; default: the last one.

    Raises
    ------
    ReleaseError
        If a release was changed, or there is none of that number.
    RecordError
        If the run has pooled nothing.
    """
    collection = read_collection(run.collection)
    releases, base = known_releases(collection.path, since)
    document = _document(run, collection)
    if releases and same_results(releases[-1].document, document):
        last = releases[-1]
        return Update(last, False, changes(base, last) if base and base.number < last.number else None, None)
    release, content = make_release(len(releases) + 1, document)
    found = changes(base, release) if base else None
    files = change_files(found) if found else {}
    folder = add_release(collection.path, release, {POOLED: content} | files)
    return Update(release, True, found, folder)


def _document(run: Run, collection: Collection) -> Pooled:
    """Read back, as the file will be: a number in it is the same as in memory, an empty text is none."""
    document = pooled_document(read_results(run.folder), collection, run.folder / "output", today())
    return Pooled.model_validate_json(document.model_dump_json(by_alias=True), strict=True)


def finished_run(folder: Path, collection: Path) -> Run:
    """A run whose results are to be released.

    Raises
    ------
    PipelineError
        If it is no run.
    ReleaseError
        If it is one of another collection, of some of its studies or of other parameters.
    """
    run = load_run(folder)
    wanted = read_collection(collection)
    if run.collection != wanted.path.resolve():
        expected = f"a run of all studies of {collection}"
        raise ReleaseError([Problem(str(folder), None, "collection", run.shown(run.collection), expected)])
    usual = make_parameters(wanted.defaults).model_dump()
    other = [name for name, value in usual.items() if run.parameters.get(name) != value]
    if other:
        expected = "the collection's own parameters: a release answers its question, other choices are runs of their own"
        raise ReleaseError(
            [Problem(str(folder), None, name, run.parameters.get(name), expected) for name in other]
        )
    return run
