"""The command line of the table of notebooks."""

from pathlib import Path
from typing import Annotated

import typer

from twostage.printing import as_text, examples
from twostage.problems import ProblemError

NOTEBOOKS_EXAMPLES = examples("twostage notebooks", "twostage notebooks --sync")


def notebooks(
    sync: Annotated[
        bool, typer.Option("--sync", help="write the parameter cells of the project's notebooks anew")
    ] = False,
) -> None:
    """Print the notebooks with what each one reads and leaves, or write their parameter cells anew.

    A parameter's meaning, allowed values and default are defined in one place; --sync writes them into every notebook
    that takes the parameter, and replaces what was changed there.
    """
    if not sync:
        from twostage.notebooks import NOTEBOOKS

        rows = [
            (n.name, ", ".join(n.reads), ", ".join(n.leaves), n.chapter, n.needs) for n in NOTEBOOKS.values()
        ]
        typer.echo(as_text(["notebook", "reads", "leaves", "chapter", "needs"], rows))
        return
    from twostage.pipeline.entry import find_project
    from twostage.pipeline.errors import PipelineError
    from twostage.pipeline.template import sync_cells

    try:
        changed = sync_cells(find_project(Path.cwd()) / "notebooks")
    except (ProblemError, PipelineError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    typer.echo(
        "\n".join(f"{name}: parameter cell written" for name in changed)
        or "all parameter cells are up to date"
    )
