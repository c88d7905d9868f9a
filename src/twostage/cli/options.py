"""Options that several commands have, and how they refuse an input."""

import shlex
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from twostage.problems import ProblemError
from twostage.project import project_folder

AllProblems = Annotated[
    bool,
    typer.Option("--all-problems", help="print a line for each problem, not one for each kind of problem"),
]


SameData = Annotated[
    bool,
    typer.Option("--same-data", help="accept a study that has the same scores as another one"),
]


def _names(incomplete: str) -> list[str]:
    """Parameters for the shell to complete."""
    from twostage.params import Parameters

    return [f"{name}=" for name in Parameters.model_fields if name.startswith(incomplete)]


Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "-p",
        "--parameter",
        metavar="NAME=VALUE",
        help="a parameter that differs from its default; overrules --params; may be repeated (see 'twostage params')",
        autocompletion=_names,
    ),
]


def refuse(error: Exception, how: str, everything: bool = False) -> NoReturn:
    """Say what is wrong with an input and end with status 2.

    Parameters
    ----------
    error : Exception
        Raised before anything was written.
    how : str
        How to see each problem, where only kinds are shown.
    everything : bool
        Whether to show each.
    """
    short = error.summary(how) if isinstance(error, ProblemError) and not everything else ""
    typer.echo(short or str(error), err=True)
    typer.echo("nothing was written", err=True)
    raise typer.Exit(2) from None


def next_run(collection: Path) -> str:
    """What to type next for a run of a collection, from where the user stands."""
    if project_folder(Path.cwd()) is None:
        words = shlex.join(["twostage", "run", str(collection.resolve())])
        return f"next, in the project's folder (it has _config.yml and notebooks): {words}"
    return f"next: {shlex.join(['twostage', 'run', str(collection)])}"


def synthetic_note(collection: Path, *studies: str) -> str:
    """What to say when studies that do not call themselves simulated join a synthetic collection; empty if nothing."""
    from twostage.collection import read_collection

    content = read_collection(collection)
    if not content.synthetic:
        return ""
    table = content.studies.set_index("study").loc[list(studies), "source"].astype(str)
    real = table.index[~table.str.contains("simulat|synthetic", case=False)]
    return (
        f"note: {collection} says that all its data are synthetic, and its book says so on every page; the source of "
        f"{', '.join(real)} does not. Put real studies into a collection of their own (twostage new-collection), or "
        f"correct 'synthetic' and 'note' in {collection / 'collection.yml'}"
        if len(real)
        else ""
    )
