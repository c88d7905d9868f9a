"""The command that takes up another group's results."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twostage.cli.options import AllProblems, next_run, refuse, synthetic_note
from twostage.printing import examples
from twostage.problems import ProblemError

if TYPE_CHECKING:
    from twostage.sharing import Bundle

PULL_EXAMPLES = examples(
    "twostage pull their-results --to data",
    "twostage pull their-results --to data --study S03 --study S07 --prefix theirs_",
    "twostage pull effects.csv --mapping mapping.yml --to data",
)


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("pull", epilog=PULL_EXAMPLES)(pull)


def pull(
    source: Annotated[
        Path, typer.Argument(help="folder results/ of another run; with --mapping a table of effects (CSV)")
    ],
    to: Annotated[Path, typer.Option(help="folder of the collection")],
    mapping: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML file that says what a plain table's columns are")
    ] = None,
    study: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="only this study of theirs; may be repeated")
    ] = None,
    prefix: Annotated[
        str, typer.Option(help="text to put before their ids where the collection has the same ids already")
    ] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="replace earlier results of the studies")
    ] = False,
    all_problems: AllProblems = False,
) -> None:
    """Check another group's results and add their studies to a collection, without participants' data.

    Every run leaves such results in its folder, in results/. Files that were changed, numbers that do not fit each other,
    another pair, other parameters or a study that is there already are refused with every reason, and nothing is written.
    Pulled studies are marked wherever they are shown.
    """
    # The other commands need not wait for what only this one imports.
    from twostage.interchange import pull

    studies = tuple(study or ())
    try:
        added = pull(
            source, to, today=date.today(), mapping=mapping, studies=studies, prefix=prefix, replace=replace
        )
    except ProblemError as error:
        refuse(error, "--all-problems", all_problems)
    for bundle in added:
        typer.echo(f"{to}: {bundle.study} ({bundle.info['label']}) was added, from {origin(bundle)}")
    if note := synthetic_note(to, *(bundle.study for bundle in added)):
        typer.echo(note)
    typer.echo(next_run(to))


def origin(bundle: "Bundle") -> str:
    """Where a pulled study is from, in a few words."""
    pulled = bundle.manifest.pulled
    if pulled is None:
        return "the site"
    theirs = f" (there {pulled.study})" if pulled.study != bundle.study else ""
    return f"{pulled.title}{theirs}"
