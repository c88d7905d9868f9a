"""``twostage run``: notebooks and book, or only the tables; and what came of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twostage.cli.options import Assignments, refuse
from twostage.cli.report import report
from twostage.printing import examples
from twostage.problems import ProblemError

if TYPE_CHECKING:
    from twostage.pipeline.entry import Request
    from twostage.pipeline.plan import Plan


RUN_EXAMPLES = examples(
    "twostage run",
    "twostage run -p last_session=3 -p standardize=within",
    "twostage run path/to/collection --params short.yml --run short",
    "twostage run --study S01 --study S03 --jobs 2",
    "twostage run --without S03",
    "twostage run --out ../somewhere/else",
    "twostage run -p last_session=3 --no-book",
    "twostage run --pdf",
    "twostage run my-collection --project path/to/project",
)


Collection = Annotated[
    Path | None,
    typer.Argument(help="folder of the collection; default: the project's data", show_default=False),
]


Params = Annotated[Path | None, typer.Option(help="YAML file with the parameters that differ")]


Studies = Annotated[list[str] | None, typer.Option(metavar="ID", help="only this study; may be repeated")]


Without = Annotated[
    list[str] | None, typer.Option(metavar="ID", help="all studies but this one; may be repeated")
]


Out = Annotated[Path | None, typer.Option(help="folder for everything the run makes; default: runs/NAME")]


Name = Annotated[str | None, typer.Option(metavar="NAME", help="name of the run, a folder in runs/")]


Jobs = Annotated[int | None, typer.Option(help="processes on this machine; default: one per core", min=1)]


Dask = Annotated[str | None, typer.Option(help="address of a Dask scheduler to use instead, tcp://...")]


NoBook = Annotated[
    bool, typer.Option("--no-book", help="only the main results as tables, in seconds: no notebooks")
]


DryRun = Annotated[bool, typer.Option("--dry-run", help="only print the steps that are due")]


Pdf = Annotated[
    bool, typer.Option("--pdf", help="also print the manuscript as one PDF, which takes a browser")
]


Project = Annotated[
    Path | None,
    typer.Option(
        help="the project's folder; default: the nearest one at or above the current folder, else the installed package's",
        show_default=False,
    ),
]


def run(
    collection: Collection = None,
    assignments: Assignments = None,
    params: Params = None,
    study: Studies = None,
    without: Without = None,
    out: Out = None,
    run: Name = None,
    jobs: Jobs = None,
    dask: Dask = None,
    no_book: NoBook = False,
    dry_run: DryRun = False,
    pdf: Pdf = False,
    project: Project = None,
) -> None:
    """Run every notebook whose inputs changed and build the book.

    Prints what was done and what was up to date, the pooled effects and the book's path. A run that differs
    from the default one in anything goes into a folder of its own, named after what differs.
    """
    # The other commands need not wait for what only this one imports.
    from twostage.pipeline.entry import Request

    some = {"studies": tuple(study or ()), "without": tuple(without or ())}
    planned = _planned(
        Request(
            collection,
            params,
            tuple(assignments or ()),
            name=run,
            out=out,
            project=project,
            tables_only=no_book,
            **some,
        )
    )
    if no_book and dry_run:
        typer.echo("the tables of the main results, which are always made anew")
    elif no_book:
        _tables_only(planned, dask)
    else:
        _notebooks(planned, jobs, dask, dry_run)
        if pdf and not dry_run:
            _pdf(planned)


def _planned(request: "Request") -> "Plan":
    from twostage.pipeline.entry import plan_run
    from twostage.pipeline.errors import PipelineError

    try:
        planned = plan_run(Path.cwd(), request)
    except (ProblemError, PipelineError) as error:
        refuse(error, f"twostage validate {request.collection or 'data'} --all-problems")
    project = planned.run.project
    if project not in (Path.cwd().resolve(), *Path.cwd().resolve().parents):
        typer.echo(f"project: {project}")
    _warn_of_twins(planned)
    _say_missing(planned)
    return planned


def _say_missing(planned: "Plan") -> None:
    """Say which analyses the studies without data are missing from."""
    from twostage.cli.share import say_missing

    for bundle in planned.bundles.values():
        say_missing(bundle)


def _warn_of_twins(planned: "Plan") -> None:
    from twostage.collection import duplicates

    for pair in duplicates(planned.checksums):
        typer.echo(
            f"warning: {' and '.join(pair)} have the same data: pools count these patients twice", err=True
        )


def _notebooks(planned: "Plan", jobs: int | None, dask: str | None, dry_run: bool) -> None:
    from twostage.pipeline.errors import PipelineError
    from twostage.pipeline.session import carry_out, steps_to_do

    try:
        if dry_run:
            typer.echo("\n".join(steps_to_do(planned)) or "nothing is due")
            return
        status = carry_out(planned, jobs=jobs, dask=dask)
    except PipelineError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    if status:
        raise typer.Exit(status)
    typer.echo(f"book: {planned.run.html / 'index.html'}")
    report(planned.run.folder)


def _pdf(planned: "Plan") -> None:
    from twostage.pipeline.book.pdf import write_pdf
    from twostage.pipeline.errors import PipelineError

    try:
        typer.echo(f"manuscript: {write_pdf(planned.run)}")
    except PipelineError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def _tables_only(planned: "Plan", dask: str | None) -> None:
    from twostage.pipeline.errors import PipelineError
    from twostage.pipeline.tables_only import write_tables

    try:
        write_tables(planned, dask)
    except PipelineError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"tables: {planned.run.folder / 'output'}")
    report(planned.run.folder)
