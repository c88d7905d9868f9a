"""The command that sets a study against the pool of the others."""

import os
from pathlib import Path
from typing import Annotated

import typer

from twostage.files import write_text
from twostage.printing import as_text, examples, rows_of
from twostage.problems import ProblemError

ADDITION_EXAMPLES = examples(
    "twostage addition S18",
    "twostage addition S18 --run my-collection --markdown S18.md",
)


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("addition", epilog=ADDITION_EXAMPLES)(addition)


def addition(
    study: Annotated[str, typer.Argument(help="id of the study")],
    run: Annotated[
        str, typer.Option(metavar="NAME", help="a finished run: a folder in runs/, or its path")
    ] = "default",
    markdown: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="also write the comparison to this file as Markdown, for a pull request"
        ),
    ] = None,
) -> None:
    """Compare a study of a finished run with the others.

    Prints its estimates beside what the others let one expect of them, and how pooled effects, heterogeneity
    and conclusions move when it joins. The study's chapter of the book shows the same with a figure.
    """
    # The other commands need not wait for what only this one imports.
    from twostage.pages.addition.analysis import read_addition
    from twostage.pages.addition.tables import addition_table, how, sentences
    from twostage.pages.addition.tables import markdown as as_page
    from twostage.pipeline.entry import find_project
    from twostage.pipeline.errors import PipelineError
    from twostage.stage2 import read_words
    from twostage.words import speak

    try:
        folder = Path(run) if os.sep in run else find_project(Path.cwd()) / "runs" / run
        result, names = read_addition(folder, study)
    except (ProblemError, PipelineError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    speak(read_words(folder))
    typer.echo("\n".join(sentences(result, **names)))
    if len(result.table):
        table = as_text(*rows_of(addition_table(result, **names)))
        typer.echo(f"\n{table}\n\n{how(result)}")
    if markdown is None:
        return
    write_text(markdown, as_page(result, **names, run=folder.name))
    typer.echo(f"written: {markdown}")
