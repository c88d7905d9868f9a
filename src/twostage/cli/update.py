"""``twostage update``: a release of a collection's results, and what it changed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twostage.cli.options import AllProblems, refuse
from twostage.printing import as_text, examples, rows_of
from twostage.problems import Problem, ProblemError

if TYPE_CHECKING:
    from twostage.pipeline.entry import Request
    from twostage.pipeline.update import Update


UPDATE_EXAMPLES = examples(
    "twostage update data",
    "twostage update my-collection --no-book",
    "twostage update data --since 1",
    "twostage update data --finished runs/default",
)


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("update", epilog=UPDATE_EXAMPLES)(update)


def release_problems(collection: Path) -> tuple[Problem, ...]:
    """What is wrong with the releases of a collection."""
    from twostage.collection import VERSIONS, locate_collection

    folder = locate_collection(collection)
    if not (folder / VERSIONS).is_file():
        return ()
    from twostage.interchange import ReleaseError, read_releases

    try:
        read_releases(folder)
    except ReleaseError as error:
        return error.problems
    return ()


def update(
    collection: Annotated[Path, typer.Argument(help="folder of the collection")],
    since: Annotated[
        int | None,
        typer.Option(metavar="RELEASE", help="compare with this release; default: the last one", min=1),
    ] = None,
    finished: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="folder of a finished run of it, which is not run again"),
    ] = None,
    no_book: Annotated[
        bool, typer.Option("--no-book", help="only the main results, in seconds: no notebooks, no book")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="folder for everything the run makes; default: runs/NAME")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="processes on this machine", min=1)] = None,
    dask: Annotated[str | None, typer.Option(help="address of a Dask scheduler to use instead")] = None,
    all_problems: AllProblems = False,
) -> None:
    """Run a collection, compare its results with the last release, and add a release if they differ.

    When a study or a bundle has joined, was replaced or withdrawn, this says what it changed: pooled effects,
    heterogeneity, verdicts, moderators, estimators. Each release is kept in the collection's folder releases/, with the
    changes as a page, as Markdown and as JSON; versions.csv has a row for each release and main effect, and the book shows
    the answer over time. Nothing is overwritten.
    """
    from twostage.pipeline.entry import Request
    from twostage.pipeline.errors import PipelineError
    from twostage.pipeline.update import finished_run, known_releases, release_run

    try:
        known_releases(collection, since)
        if finished is not None:
            found = release_run(finished_run(finished, collection), since)
        else:
            found = _run(Request(collection, out=out, tables_only=no_book), since, jobs, dask)
    except ProblemError as error:
        refuse(error, "--all-problems", all_problems)
    except PipelineError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    _say(found)


def _run(request: "Request", since: int | None, jobs: int | None, dask: str | None) -> "Update":
    """Everything but the book, then the release, then the book, which shows it."""
    from twostage.pipeline.entry import plan_run
    from twostage.pipeline.session import carry_out
    from twostage.pipeline.tables_only import write_tables
    from twostage.pipeline.update import release_run

    plan = plan_run(Path.cwd(), request)
    if request.tables_only:
        write_tables(plan, dask)
        return release_run(plan.run, since)
    _done(carry_out(plan, jobs=jobs, dask=dask, book=False))
    found = release_run(plan.run, since)
    _done(carry_out(plan_run(Path.cwd(), request), jobs=jobs, dask=dask))
    typer.echo(f"book: {plan.run.html / 'index.html'}")
    return found


def _done(status: int) -> None:
    if status:
        raise typer.Exit(status)


def _say(found: "Update") -> None:
    from twostage.pages.history.tables import changes_table, sentences
    from twostage.words import speak

    number = found.release.number
    speak(found.release.results.words)
    if not found.new:
        typer.echo(
            f"nothing changed since release {number} ({found.release.document.made}): no release was added"
        )
    if found.changes is not None:
        typer.echo("\n".join(sentences(found.changes)))
        typer.echo(as_text(*rows_of(changes_table(found.changes))))
    elif found.new:
        typer.echo("the first release: the next update is compared with it")
    if found.folder is not None:
        typer.echo(f"release {number}: {found.folder}")
