"""The command line of the recovery study."""

from pathlib import Path
from typing import Annotated

import typer

from twostage.printing import examples
from twostage.problems import ProblemError
from twostage.project import COLLECTION

RECOVERY_EXAMPLES = examples(
    "twostage recovery --replicates 20",
    "twostage recovery path/to/collection --replicates 1000 --jobs 8",
    "twostage recovery --lags --replicates 200",
)


def recovery(
    collection: Annotated[
        Path | None, typer.Argument(help="folder of the collection; default: data", show_default=False)
    ] = None,
    replicates: Annotated[
        int, typer.Option(help="number of simulated collections for each condition, a multiple of 20", min=20)
    ] = 500,
    jobs: Annotated[
        int | None, typer.Option(help="processes on this machine; default: one per core", min=1)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="seed of the random numbers", min=0)] = None,
    condition: Annotated[
        list[str] | None, typer.Option(help="only this condition; may be repeated", show_default=False)
    ] = None,
    lags: Annotated[
        bool,
        typer.Option(
            "--lags", help="study the estimators at longer lags instead; the results are stored separately"
        ),
    ] = False,
) -> None:
    """Simulate a collection many times with known true effects, analyse each one, and store how well the estimators did.

    After an interruption the same command continues where it stopped; with more replicates it adds only the new ones.
    """
    # The other commands need not wait for what only this one imports.
    from twostage.pipeline.entry import find_project
    from twostage.pipeline.errors import PipelineError
    from twostage.pipeline.recovery import SEED, carry_out_recovery, plan_recovery
    from twostage.recovery.conditions import CONDITIONS, LAG_CONDITIONS

    try:
        project = find_project(Path.cwd())
        plan = plan_recovery(
            project,
            collection or project / COLLECTION,
            replicates=replicates,
            seed=SEED if seed is None else seed,
            conditions=tuple(condition or (LAG_CONDITIONS if lags else CONDITIONS)),
        )
    except (ProblemError, PipelineError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    try:
        folder = carry_out_recovery(plan, jobs=jobs)
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command continues where this one stopped", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"recovery study: {folder}")
