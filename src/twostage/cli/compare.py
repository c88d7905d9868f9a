"""``twostage compare``: two runs, or specifications of a multiverse, side by side."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twostage.printing import as_text, examples, rows_of
from twostage.problems import ProblemError

if TYPE_CHECKING:
    from twostage.stage2 import Results

COMPARE_EXAMPLES = examples(
    "twostage compare last_session-3 default",
    "twostage compare default runs/short --all",
    "twostage compare default ../elsewhere --out comparison",
    "twostage compare default data#4711",
)


def _runs(incomplete: str) -> list[str]:
    """Names of runs for the shell to complete."""
    folders = sorted(path.parent.name for path in Path("runs").glob("*/run.json"))
    return [name for name in folders if name.startswith(incomplete)]


def _found(run: str) -> "tuple[Path, Results]":
    """A run, or a specification of a multiverse, and the folder of what belongs to it."""
    from twostage.stage2 import find_results

    place, mark, number = run.rpartition("#")
    if not mark or not number.isdecimal() or Path(run).exists():
        return find_results(run)
    # Most comparisons are of runs.
    from twostage.collection import locate_collection, read_collection
    from twostage.multiverse.universe import universe_results

    results = universe_results(read_collection(locate_collection(place)), int(number))
    return Path("runs") / "multiverse" / results.name, results


def compare(
    run_a: Annotated[
        str,
        typer.Argument(
            help="name of a run, or its folder; or COLLECTION#NUMBER, a specification of its multiverse",
            autocompletion=_runs,
        ),
    ],
    run_b: Annotated[str, typer.Argument(help="name of the other run, or its folder", autocompletion=_runs)],
    out: Annotated[
        Path | None, typer.Option(help="folder for page, figure and table; default: RUN_B/comparisons/RUN_A")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="print every coefficient, not only the main ones")
    ] = False,
) -> None:
    """Set the pooled results of two runs side by side.

    Prints both runs' estimates, the differences, the parameters that differ, on which side of zero the intervals
    lie, which signs change and what else matters; writes the same as a page, a figure (SVG, PNG) and a table (CSV).
    """
    import matplotlib as mpl

    from twostage.pages.compare.analysis import compare
    from twostage.pages.compare.page import write_comparison
    from twostage.pages.compare.tables import notes, side_by_side
    from twostage.words import speak

    mpl.use("agg")
    try:
        (folder_a, a), (folder_b, b) = _found(run_a), _found(run_b)
        found = compare(a, b)
    except ProblemError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    speak(b.words)
    typer.echo(as_text(*rows_of(side_by_side(found, everything))))
    chosen = [
        f"{row.parameter}: {row.a} in {found.a}, {row.b} in {found.b}"
        for row in found.parameters.itertuples()
    ]
    typer.echo("\n" + "\n".join(chosen or ["all parameters are equal"]))
    typer.echo("\n".join(notes(found)))
    page = write_comparison(found, out or folder_b / "comparisons" / folder_a.name, folder_b / "html")
    typer.echo(f"page: {page.resolve()}")
