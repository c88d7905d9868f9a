"""``twostage export`` and ``twostage publish``: a run as files for a paper, and its book as a folder to publish."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from twostage.cli.options import AllProblems, refuse
from twostage.printing import examples
from twostage.problems import ProblemError

EXPORT_EXAMPLES = examples(
    "twostage export default --to paper", "twostage export runs/short --to paper --tiff"
)


PUBLISH_EXAMPLES = examples(
    "twostage publish default --to my-site", "twostage publish runs/short --to my-site --force"
)


Force = Annotated[
    bool, typer.Option("--force", help="also replace files that were changed since they were written")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(epilog=EXPORT_EXAMPLES)(export)
    app.command(epilog=PUBLISH_EXAMPLES)(publish)


def export(
    run: Annotated[str, typer.Argument(help="name of a finished run, or its folder")],
    to: Annotated[Path, typer.Option(help="folder to write: new, empty, or that of an earlier export")],
    tiff: Annotated[bool, typer.Option("--tiff", help="also write the figures as TIFF")] = False,
    force: Force = False,
    all_problems: AllProblems = False,
) -> None:
    """Write a run's tables, figures, methods and results, and its R syntax for a paper.

    Tables are Word and Excel files, figures SVG, PDF and PNG, texts Word and Markdown. Files of an earlier export in
    the folder are replaced unless somebody has changed them; other files are left alone.
    """
    # The other commands need not wait for what only this one imports.
    from twostage.export import export_run
    from twostage.pipeline.errors import PipelineError

    try:
        files = export_run(run, to, tiff=tiff, force=force, say=lambda words: typer.echo(words, err=True))
    except ProblemError as error:
        refuse(error, "--all-problems", all_problems)
    except PipelineError as error:
        refuse(error, "")
    typer.echo(f"{to}: {len(files)} files; {to / 'README.txt'} says what they are")


def publish(
    run: Annotated[str, typer.Argument(help="name of a run with a book, or its folder")],
    to: Annotated[Path, typer.Option(help="folder to write: new, empty, or that of an earlier publication")],
    force: Force = False,
    all_problems: AllProblems = False,
) -> None:
    """Write a run's book as a folder to publish with GitHub Pages and Zenodo.

    Beside the site the folder has a workflow, .zenodo.json, CITATION.cff, checksums, and RELEASE.md: what to check before.
    """
    from twostage.export import publish_run
    from twostage.pipeline.errors import PipelineError

    try:
        files = publish_run(
            run, to, today=date.today(), force=force, say=lambda words: typer.echo(words, err=True)
        )
    except ProblemError as error:
        refuse(error, "--all-problems", all_problems)
    except PipelineError as error:
        refuse(error, "")
    typer.echo(
        f"{to}: {len(files)} files; {to / 'RELEASE.md'} says what to check before publishing, and how to publish"
    )
