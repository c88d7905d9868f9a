"""The command line; thin: it reads arguments, calls the package and says what came of it.

Exit status: 0 done, 1 a step failed, 2 bad input.
"""

from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from twostage.cli import addition as cli_addition
from twostage.cli import export as cli_export
from twostage.cli import import_file as cli_import
from twostage.cli import pull as cli_pull
from twostage.cli import update as cli_update
from twostage.cli.compare import COMPARE_EXAMPLES, compare
from twostage.cli.edge import Edge
from twostage.cli.multiverse import MULTIVERSE_EXAMPLES, multiverse
from twostage.cli.notebooks import NOTEBOOKS_EXAMPLES, notebooks
from twostage.cli.options import AllProblems, SameData
from twostage.cli.recovery import RECOVERY_EXAMPLES, recovery
from twostage.cli.run import RUN_EXAMPLES, run
from twostage.cli.share import bundle_problems
from twostage.cli.share import register as register_sharing
from twostage.printing import PRINT, examples
from twostage.problems import summarised
from twostage.project import SEED

app = typer.Typer(
    cls=Edge,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Two-stage IPD meta-analysis of within-person processes. 'twostage COMMAND --help' has examples.",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"twostage {version('twostage')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version and exit")
    ] = False,
) -> None:
    """See the help of `app`."""


cli_import.register(app)


cli_addition.register(app)


register_sharing(app)


cli_pull.register(app)


cli_update.register(app)


@app.command(
    epilog=examples(
        "twostage validate data", "twostage validate path/to/collection && twostage run path/to/collection"
    )
)
def validate(
    collection: Annotated[Path, typer.Argument(help="folder of the collection")],
    same_data: SameData = False,
    all_problems: AllProblems = False,
) -> None:
    """Check every file of a collection and report all problems at once.

    Studies with the same scores are a problem too, whatever their patients are called.
    """
    from twostage.collection import examine_collection, unedited

    found = examine_collection(collection)
    problems = (
        *found.problems,
        *(() if same_data else found.same_data()),
        *unedited(collection),
        *bundle_problems(collection),
        *cli_update.release_problems(collection),
    )
    if problems:
        lines = [str(problem) for problem in problems] if all_problems else summarised(problems)
        how = "" if len(lines) == len(problems) else " (each of them: --all-problems)"
        typer.echo("\n".join(lines), err=True)
        typer.echo(f"{collection}: {len(problems):,} problem{'s' * (len(problems) > 1)}{how}", err=True)
        raise typer.Exit(2)
    empty = not found.lines
    typer.echo(f"{collection}: no problem" + "; no study yet (twostage import adds one)" * empty)
    for note in found.notes():
        typer.echo(f"note: {note}")


@app.command(
    epilog=examples(
        "twostage simulate --out small --studies 4 --patients 320 --seed 7",
        "twostage simulate --out data --force",
    )
)
def simulate(
    out: Annotated[Path, typer.Option(help="folder to write")] = Path("data"),
    seed: Annotated[int, typer.Option(help="seed of the random numbers", min=0)] = SEED,
    studies: Annotated[int, typer.Option(help="number of studies, 1 to 17")] = 17,
    patients: Annotated[
        int | None, typer.Option(help="total number of patients; default: 5,350 for 17 studies")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="replace the synthetic collection that is there")
    ] = False,
    days: Annotated[bool, typer.Option(help="write on which day each session was")] = True,
) -> None:
    """Draw a synthetic collection with known truth and write its files."""
    from twostage.simulation import simulate_collection, write_collection

    try:
        drawn = simulate_collection(seed, n_studies=studies, n_patients=patients, days=days)
        folder = write_collection(drawn, out, replace=force)
    except (ValueError, FileExistsError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    n, total = len(drawn.registry), drawn.registry["n"].sum()
    typer.echo(f"{folder}: {n} synthetic stud{'y' if n == 1 else 'ies'}, {total} patients")


class Format(StrEnum):
    """How to print a table."""

    table, csv, json, md = "table", "csv", "json", "md"


@app.command(epilog=examples("twostage params", "twostage params --format csv > parameters.csv"))
def params(
    format: Annotated[Format, typer.Option(help="format of the table")] = Format.table,
) -> None:
    """Print every analysis parameter: meaning, unit, allowed values, default, notebooks that take it."""
    from twostage.notebooks import PARAMETER_COLUMNS, parameter_rows

    typer.echo(PRINT[format](PARAMETER_COLUMNS, parameter_rows()))


app.command(epilog=NOTEBOOKS_EXAMPLES)(notebooks)


app.command(epilog=RUN_EXAMPLES)(run)


app.command(epilog=COMPARE_EXAMPLES)(compare)


cli_export.register(app)


app.command(epilog=RECOVERY_EXAMPLES)(recovery)


app.command(epilog=MULTIVERSE_EXAMPLES)(multiverse)
