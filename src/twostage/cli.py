"""The command line; thin: it reads arguments, calls the package and says what came of it.

Exit status: 0 done, 1 a step failed, 2 bad input.
"""

from pathlib import Path
from typing import Annotated

import typer

from twostage.collection import validate_collection
from twostage.problems import ProblemError
from twostage.simulate import SEED, simulate_collection, write_collection

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Two-stage IPD meta-analysis of within-person processes.",
)


@app.command()
def validate(collection: Annotated[Path, typer.Argument(help="folder of the collection")]) -> None:
    """Check every file of a collection and report all problems at once."""
    problems = validate_collection(collection)
    for problem in problems:
        typer.echo(str(problem), err=True)
    if problems:
        typer.echo(f"{collection}: {len(problems)} problem{'s' * (len(problems) > 1)}", err=True)
        raise typer.Exit(2)
    typer.echo(f"{collection}: no problem")


@app.command()
def simulate(
    out: Annotated[Path, typer.Option(help="folder to write")] = Path("data"),
    seed: Annotated[int, typer.Option(help="seed of the random numbers", min=0)] = SEED,
    studies: Annotated[int, typer.Option(help="number of studies, 1 to 17")] = 17,
    patients: Annotated[
        int | None, typer.Option(help="patients in all; default: 5,350 for 17 studies")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="replace the synthetic collection that is there")
    ] = False,
) -> None:
    """Draw a synthetic collection with known truth and write its files."""
    try:
        drawn = simulate_collection(seed, n_studies=studies, n_patients=patients)
        folder = write_collection(drawn, out, replace=force)
    except (ValueError, FileExistsError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except OSError as error:
        typer.echo(f"{out}: {error.strerror}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{folder}: {len(drawn.registry)} synthetic studies, {drawn.registry['n'].sum()} patients")


@app.command()
def run(
    collection: Annotated[
        Path | None, typer.Argument(help="folder of the collection; default: data", show_default=False)
    ] = None,
    params: Annotated[Path | None, typer.Option(help="YAML file with the parameters that differ")] = None,
    run: Annotated[str | None, typer.Option(help="name of the run, a folder in runs/")] = None,
    jobs: Annotated[
        int | None, typer.Option(help="processes on this machine; default: one per core", min=1)
    ] = None,
    dask: Annotated[
        str | None, typer.Option(help="address of a Dask scheduler to use instead, tcp://...")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only print the steps that are due")] = False,
) -> None:
    """Run every notebook whose inputs changed and build the book; print the book's path."""
    # The other commands need not wait for what only this one imports.
    from twostage.pipeline.entry import plan_run
    from twostage.pipeline.errors import PipelineError
    from twostage.pipeline.session import carry_out, steps_to_do

    try:
        planned = plan_run(Path.cwd(), collection, params, run)
    except (ProblemError, PipelineError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
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
    typer.echo(f"book: {planned.html / 'index.html'}")
