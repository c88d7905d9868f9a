"""The command line of the table of notebooks."""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from twostage.notebooks import NOTEBOOKS
from twostage.printing import PRINT, examples
from twostage.problems import ProblemError

NOTEBOOKS_EXAMPLES = examples("twostage notebooks", "twostage notebooks --sync")


def notebooks(
    sync: Annotated[
        bool, typer.Option("--sync", help="write the parameter cells of the project's notebooks anew")
    ] = False,
) -> None:
    """Print which notebooks there are and what each reads and leaves, or put their parameter cells in order.

    A parameter's meaning, allowed values and default are defined in one place; --sync writes them into every notebook
    that takes the parameter, and replaces what was changed there.
    """
    from twostage.pipeline.entry import find_project
    from twostage.pipeline.errors import PipelineError
    from twostage.pipeline.template import sync_cells

    if not sync:
        rows = [
            (n.name, ", ".join(n.reads), ", ".join(n.leaves), n.chapter, n.needs) for n in NOTEBOOKS.values()
        ]
        typer.echo(
            PRINT["table"](pd.DataFrame(rows, columns=["notebook", "reads", "leaves", "chapter", "needs"]))
        )
        return
    try:
        changed = sync_cells(find_project(Path.cwd()) / "notebooks")
    except (ProblemError, PipelineError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    typer.echo(
        "\n".join(f"{name}: parameter cell written" for name in changed)
        or "all parameter cells are up to date"
    )
