"""What a finished run says on the terminal: the pooled effects, who is in none of them, and why there may be none."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from twostage.characters import terminal
from twostage.problems import ProblemError

if TYPE_CHECKING:
    from twostage.params import Parameters

#: Analyses whose effects are printed.
HEADLINES = ("lagged", "outcome")


def report(folder: Path) -> None:
    """Print what came of a run.

    Raises
    ------
    typer.Exit
        With status 1, if nothing could be estimated.
    """
    from twostage.pages.common.tables import headline_text
    from twostage.stage2 import read_results
    from twostage.words import speak

    try:
        results = read_results(folder)
        speak(results.words)
        lines = headline_text(results)
    except ProblemError as error:
        typer.echo(str(error), err=True)
        return
    for line in [*lines, *map(terminal, left_out(folder))]:
        typer.echo(line)
    if not lines:
        said = f"nothing could be estimated{nobody(results.parameters)}; other parameters: 'twostage params'"
        typer.echo(f"error: {said}", err=True)
        raise typer.Exit(1)


def left_out(folder: Path) -> Iterator[str]:
    """Which studies are not in the pools of the effects that are printed, in sentences with the reason."""
    # The other commands need not wait for what only this one imports.
    from twostage.text import read_csv
    from twostage.words import say

    for analysis in HEADLINES:
        for file in (folder / "output").glob(f"*/left_out_{analysis}.csv"):
            table = read_csv(file, texts=True)
            for reason, rows in table[table["variant"] == "main"].groupby("reason", sort=False):
                studies = ", ".join(dict.fromkeys(rows["study"]))
                yield f"not in the pool ({analysis}): {studies}: {say(str(reason))}"


def nobody(parameters: "Parameters") -> str:
    """Why no patient can be in the analysis, where the parameters alone say it."""
    first, last, least = parameters.first_session, parameters.last_session, parameters.min_sessions
    from twostage.words import say

    n = last - first + 1
    if n >= least:
        return ""
    return say(
        f": the window of sessions {first} to {last} has {n} sessions, and min_sessions={least} leaves out "
        "every patient with fewer"
    )
