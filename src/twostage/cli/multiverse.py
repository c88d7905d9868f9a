"""``twostage multiverse``: every reasonable combination of choices."""

from pathlib import Path
from typing import Annotated

import typer

from twostage.printing import examples
from twostage.problems import ProblemError
from twostage.project import COLLECTION

MULTIVERSE_EXAMPLES = examples(
    "twostage multiverse",
    "twostage multiverse path/to/collection --grid choices.yml --out specifications.csv",
    "twostage multiverse --null 500",
)


def multiverse(
    collection: Annotated[
        Path | None, typer.Argument(help="folder of the collection; default: data", show_default=False)
    ] = None,
    grid: Annotated[
        Path | None,
        typer.Option(
            help="file with the choices; default: the collection's multiverse.yml, else a built-in grid"
        ),
    ] = None,
    null: Annotated[
        int,
        typer.Option(
            "--null", help="number of simulated collections without lagged effects, a multiple of 25", min=0
        ),
    ] = 0,
    out: Annotated[
        Path | None, typer.Option(help="file for all specifications with all digits: .csv or .parquet")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="processes on this machine; default: one per core", min=1)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="seed of the draws", min=0)] = None,
) -> None:
    """Answer the question under every reasonable combination of choices, and store the answers.

    After an interruption the same command continues where it stopped; with more draws it adds only the new ones. The next
    run of the collection shows the result.
    """
    # The other commands need not wait for what only this one imports.
    from twostage.pipeline.entry import find_project
    from twostage.pipeline.errors import PipelineError
    from twostage.pipeline.multiverse import SEED, carry_out_multiverse, plan_multiverse
    from twostage.stats.base import NotEstimable

    try:
        project = find_project(Path.cwd())
        place = collection or project / COLLECTION
        plan = plan_multiverse(project, place, grid=grid, draws=null, seed=SEED if seed is None else seed)
        typer.echo(f"{len(plan.specs):,} specifications of {len(plan.studies)} studies, both directions")
        folder = carry_out_multiverse(plan, jobs=jobs, out=out)
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command continues where this one stopped", err=True)
        raise typer.Exit(130) from None
    except (ProblemError, PipelineError, NotEstimable, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    typer.echo(f"multiverse: {folder}")
