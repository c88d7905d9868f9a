"""Commands for a collection of one's own: an empty one, and a study put into it."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from twostage.characters import terminal
from twostage.cli.options import AllProblems, SameData, next_run, refuse, synthetic_note
from twostage.collection import locate_collection
from twostage.files import write_text
from twostage.printing import examples
from twostage.problems import ProblemError

if TYPE_CHECKING:
    from twostage.importing import Asked


IMPORT_HELP = """Put a study's file into a collection, in two steps.

Reads CSV and TSV (any separator, decimal comma, encoding), Excel, SPSS, Stata and R; one row per patient (wai_1 ...
wai_7) or one row per session.

How the file has to be read is detected and printed; options such as --encoding, --sheet and --header-row overrule it.

First, without --map: proposes a mapping from the names of the columns, says why, shows what the result would be, writes it
as a YAML file for you to correct, and imports nothing. Then, with --map: imports everything, or nothing if anything
is wrong.

Exit status: 0 done (imported, or a mapping proposed and written); 1 a step failed; 2 bad input, or this file's
mapping is there already: nothing was written.
"""


IMPORT_EXAMPLES = examples(
    "twostage import clinic.sav --to my-collection --study S18",
    "twostage import clinic.sav --to my-collection --study S18 --map clinic.mapping.yml",
    "twostage import all.csv --to my-collection --study-column Sample",
)


NEW_EXAMPLES = examples(
    "twostage new-collection my-collection",
    "twostage new-collection sleep --x sleep --x-label 'hours of sleep' --y mood --y-better higher",
)


#: Bytes of a file whose reading is announced.
LARGE = 5 * 2**20


Better = Literal["higher", "lower"]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("import", help=IMPORT_HELP, epilog=IMPORT_EXAMPLES)(import_study)
    app.command("new-collection", epilog=NEW_EXAMPLES)(new_collection)


def Reading(help: str) -> Any:
    """An option that says how to read a file."""
    return Annotated[
        str | None, typer.Option(help=help, show_default=False, rich_help_panel="Reading the file")
    ]


def import_study(
    file: Annotated[Path, typer.Argument(help="the data")],
    to: Annotated[Path, typer.Option(help="folder of the collection")],
    study: Annotated[
        str | None, typer.Option(help="id of the study: letters, digits, underscores", show_default=False)
    ] = None,
    map: Annotated[
        Path | None, typer.Option(help="the mapping; without it, one is proposed", show_default=False)
    ] = None,
    study_column: Annotated[
        str | None,
        typer.Option(help="column that says which sample a row belongs to", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="do everything except writing files")] = False,
    same_data: SameData = False,
    all_problems: AllProblems = False,
    system: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="the system that exported the file, such as redcap; none: no system's special rules",
            show_default=False,
        ),
    ] = None,
    encoding: Reading("encoding of the text: utf-8, cp1252, utf-16-le ...") = None,
    sheet: Reading("sheet of an Excel workbook: its name or number") = None,
    frame: Reading("data frame of an .RData file") = None,
    header_row: Reading("row with the names of the columns: 3, or 1-2 for two rows together, or none") = None,
    skip_rows: Reading("rows that are not data: 2,3") = None,
    last_row: Reading("last row of data") = None,
    separator: Reading("sign between columns: comma, semicolon, tab, bar, blank, or another sign") = None,
    decimal: Reading("decimal sign: point or comma") = None,
    thousands: Reading("mark between thousands: point, comma, apostrophe, blank or none") = None,
    short_rows: Reading("true: a row may end early, and the cells it lacks are empty") = None,
    fill_down: Reading("columns in which an empty cell repeats the cell above: Patient,Clinic") = None,
) -> None:
    """See IMPORT_HELP."""
    # The other commands need not wait for what only this one imports.
    from twostage.importing import Asked, file_options

    folder = locate_collection(to)
    said = {
        "encoding": encoding,
        "sheet": sheet,
        "frame": frame,
        "header_row": header_row,
        "skip_rows": skip_rows,
        "last_row": last_row,
        "separator": separator,
        "decimal": decimal,
        "thousands": thousands,
        "short_rows": short_rows,
        "fill_down": fill_down,
    }
    try:
        asked = Asked(file, folder, study, study_column, file_options(said), system)
        if map is None:
            _propose(asked, dry_run)
        else:
            _import(asked, map, dry_run=dry_run, same_data=same_data)
    except ProblemError as error:
        refuse(error, "--all-problems", all_problems)


def _import(asked: "Asked", map: Path, *, dry_run: bool, same_data: bool) -> None:
    from twostage.importing import import_file

    _say_large(asked.file)
    report = import_file(
        asked.file,
        asked.folder,
        map,
        asked.study,
        asked.study_column,
        how=asked.how,
        dry_run=dry_run,
        same_data=same_data,
    )
    for line in report.found:
        typer.echo(terminal(f"{asked.file.name}: {line}"))
    _say_unused(asked.file, report.unused)
    for row in report.tidy().to_dict("records"):
        typer.echo(
            f"{row['study']}: {row['patients']} patients, {row['rows']} rows of sessions, "
            f"{row['rows_with_both']} of them with both scores"
        )
        typer.echo(terminal(f"  {row['notes']}")) if row["notes"] else None
    if dry_run:
        typer.echo(
            f"dry run; an import would write {len(report.files)} files: {', '.join(report.files[:6])}"
            + (", ..." if len(report.files) > 6 else "")
        )
        return
    n = len(report.studies)
    typer.echo(f"{asked.folder}: {n} stud{'y' if n == 1 else 'ies'} added, no problem")
    note = synthetic_note(asked.folder, *report.tidy()["study"])
    typer.echo(note) if note else None
    typer.echo(next_run(asked.folder))


def _say_large(file: Path) -> None:
    """Where reading takes longer than people wait without a word."""
    size = file.stat().st_size if file.is_file() else 0
    if size > LARGE:
        typer.echo(
            f"{file.name}: {size / 2**20:,.0f} MB; reading and checking takes a minute or so ...", err=True
        )


def _say_unused(file: Path, columns: tuple[str, ...]) -> None:
    from twostage.importing import listed

    if columns:
        text = f"{file.name}: columns that the mapping does not use: {', '.join(listed(columns))}"
        typer.echo(terminal(text))


def _propose(asked: "Asked", dry_run: bool) -> None:
    from twostage.importing import FILL_IN, mapping_place, suggest

    target, there = mapping_place(asked.file)
    if there and not dry_run:
        typer.echo(
            f"{target}: a mapping of this name is there already; it was left as it is, and nothing was imported.\n"
            f"Import with it:\n  {asked.command(target)}\n"
            "Or rename it for a new proposal, or see one with --dry-run.",
            err=True,
        )
        raise typer.Exit(2)
    _say_large(asked.file)
    suggestion = suggest(asked, target)
    for line in suggestion.source.found:
        typer.echo(terminal(f"{asked.file.name}: {line}"))
    typer.echo(terminal(f"\n{suggestion.text}\n{suggestion.preview}\n"))
    _say_unused(asked.file, suggestion.unused)
    if suggestion.unfilled:
        typer.echo(f"{FILL_IN} stands for what only you can know: {', '.join(suggestion.unfilled)}")
    if dry_run:
        typer.echo("dry run; nothing was written or imported")
        return
    write_text(target, suggestion.text)
    typer.echo(
        f"{target} written; nothing is imported yet. Check and complete the mapping, then import with it:\n"
        f"  {suggestion.command}"
    )


def new_collection(
    folder: Annotated[Path, typer.Argument(help="folder to make")],
    x: Annotated[str, typer.Option(help="name of x: a column in the files")] = "alliance",
    y: Annotated[str, typer.Option(help="name of y")] = "symptoms",
    x_label: Annotated[
        str | None, typer.Option(help="x in words; default: its name", show_default=False)
    ] = None,
    y_label: Annotated[
        str | None, typer.Option(help="y in words; default: its name", show_default=False)
    ] = None,
    x_better: Annotated[
        Better, typer.Option(help="whether higher or lower values of x are better")
    ] = "higher",
    y_better: Annotated[
        Better, typer.Option(help="whether higher or lower values of y are better")
    ] = "lower",
    title: Annotated[str, typer.Option(help="title of the book", show_default=False)] = "",
) -> None:
    """Write an empty collection: a folder into which `twostage import` puts studies."""
    from twostage.collection import Pair, VariableSettings, new_collection

    try:
        pair = Pair(
            VariableSettings.model_construct(name=x, label=x_label or x, better=x_better),
            VariableSettings.model_construct(name=y, label=y_label or y, better=y_better),
        )
        written = new_collection(folder, pair, title)
    except ProblemError as error:
        refuse(error, "")
    typer.echo(
        f"{folder}: an empty collection ({x}, {y}); edit title, note and authors in {written.name}/collection.yml"
    )
    typer.echo(f"next: twostage import FILE --to {shlex.quote(str(folder))} --study ID")
