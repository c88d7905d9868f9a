"""Commands for a collection of one's own: an empty one, and a study put into it."""

import inspect
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from twostage.characters import terminal
from twostage.cli.options import AllProblems, SameData, next_run, refuse, synthetic_note
from twostage.files import write_text
from twostage.printing import examples
from twostage.problems import Problem, ProblemError

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
    "twostage import openesm:7 --to diaries --study S07",
)


NEW_EXAMPLES = examples(
    "twostage new-collection my-collection",
    "twostage new-collection sleep --x sleep --x-label 'hours of sleep' --y mood --y-better higher",
    "twostage new-collection diary --x sleep --y mood --person student --occasion day",
)


#: Bytes of a file whose reading is announced.
LARGE = 5 * 2**20


Better = Literal["higher", "lower"]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("import", help=IMPORT_HELP, epilog=IMPORT_EXAMPLES)(import_study)
    app.command("new-collection", epilog=NEW_EXAMPLES)(new_collection)


#: How to read the file: option -> what it says. As keys of a mapping's `file`, with an underscore for each hyphen.
READING = {
    "encoding": "encoding of the text: utf-8, cp1252, utf-16-le ...",
    "sheet": "sheet of an Excel workbook: its name or number",
    "frame": "data frame of an .RData file",
    "header_row": "row with the names of the columns: 3, or 1-2 for two rows together, or none",
    "skip_rows": "rows that are not data: 2,3",
    "last_row": "last row of data",
    "separator": "sign between columns: comma, semicolon, tab, bar, blank, or another sign",
    "decimal": "decimal sign: point or comma",
    "thousands": "mark between thousands: point, comma, apostrophe, blank or none",
    "short_rows": "true: a row may end early, and the cells it lacks are empty",
    "fill_down": "columns in which an empty cell repeats the cell above: Patient,Clinic",
}


def _reading(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of :data:`READING`; what they say arrives together, as `said`."""

    @wraps(command)
    def with_options(**given: Any) -> None:
        command(said={key: given.pop(key) for key in READING}, **given)

    own = [p for p in inspect.signature(command).parameters.values() if p.name != "said"]
    for key, help in READING.items():
        option = typer.Option(help=help, show_default=False, rich_help_panel="Reading the file")
        kind = Annotated[str | None, option]
        own.append(inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind))
    with_options.__signature__ = inspect.Signature(own)  # type: ignore[attr-defined]
    with_options.__annotations__ = {p.name: p.annotation for p in own}
    return with_options


Study = Annotated[
    str | None, typer.Option(help="id of the study: letters, digits, underscores", show_default=False)
]


StudyColumn = Annotated[
    str | None, typer.Option(help="column that says which sample a row belongs to", show_default=False)
]


Mapping = Annotated[
    Path | None, typer.Option(help="the mapping; without it, one is proposed", show_default=False)
]


System = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="the system that exported the file, such as redcap; none: use no system's rules",
        show_default=False,
    ),
]


DryRun = Annotated[bool, typer.Option("--dry-run", help="do everything except writing files")]


Again = Annotated[bool, typer.Option("--replace", help="replace the study of this id that is there already")]


@_reading
def import_study(
    file: Annotated[Path, typer.Argument(help="the data; or openesm:NUMBER, a data set of openESM")],
    to: Annotated[Path, typer.Option(help="folder of the collection")],
    said: dict[str, str | None],
    study: Study = None,
    map: Mapping = None,
    study_column: StudyColumn = None,
    dry_run: DryRun = False,
    replace: Again = False,
    same_data: SameData = False,
    all_problems: AllProblems = False,
    system: System = None,
) -> None:
    """See IMPORT_HELP."""
    # The other commands need not wait for what only this one imports.
    from twostage.collection import locate_collection
    from twostage.importing import Asked, file_options, openesm_file

    try:
        path, facts = openesm_file(file)
        folder, how = locate_collection(to), file_options(said)
        asked = Asked(path, folder, study, study_column, how, system, facts)
        with _progress(asked.file):
            if map is None:
                _propose(asked, dry_run)
            else:
                _import(asked, map, dry_run=dry_run, same_data=same_data, again=replace)
    except ProblemError as error:
        refuse(error, "--all-problems", all_problems)


def _import(asked: "Asked", map: Path, *, dry_run: bool, same_data: bool, again: bool) -> None:
    from twostage.importing import import_file

    if asked.system is not None:
        expected = (
            "no --from beside --map: a system's rules make the proposal, and the mapping has them already; "
            "for a new proposal leave out --map"
        )
        raise ProblemError([Problem("command line", None, "--from", asked.system, expected)])
    report = import_file(
        asked.file,
        asked.folder,
        map,
        asked.study,
        asked.study_column,
        how=asked.how,
        dry_run=dry_run,
        same_data=same_data,
        again=again,
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


@contextmanager
def _progress(file: Path) -> Iterator[None]:
    """Say each step where all of it takes longer than people wait without a word."""
    from rich.console import Console

    from twostage.importing import listening

    if not file.is_file() or file.stat().st_size <= LARGE:
        yield
        return
    console = Console(stderr=True)
    console.print(f"{terminal(file.name)}: {file.stat().st_size / 2**20:,.0f} MB", markup=False)
    if not console.is_terminal:
        with listening(lambda words: typer.echo(terminal(words), err=True)):
            yield
        return
    with console.status("") as status, listening(lambda words: status.update(escape(terminal(words)))):
        yield


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
    folder: Annotated[Path, typer.Argument(help="folder to write; must not exist, or be empty")],
    x: Annotated[str, typer.Option(help="name of x: a column in the files")] = "alliance",
    y: Annotated[str, typer.Option(help="name of y")] = "symptoms",
    x_label: Annotated[
        str | None, typer.Option(help="label of x on the pages; default: its name", show_default=False)
    ] = None,
    y_label: Annotated[
        str | None, typer.Option(help="label of y on the pages; default: its name", show_default=False)
    ] = None,
    x_better: Annotated[
        Better, typer.Option(help="whether higher or lower values of x are better")
    ] = "higher",
    y_better: Annotated[
        Better, typer.Option(help="whether higher or lower values of y are better")
    ] = "lower",
    title: Annotated[str, typer.Option(help="title of the book", show_default=False)] = "",
    person: Annotated[
        str, typer.Option(help="what a person who is observed is called, such as patient or student")
    ] = "patient",
    occasion: Annotated[
        str, typer.Option(help="what an occasion of observation is called, such as session or day")
    ] = "session",
) -> None:
    """Write an empty collection: a folder into which `twostage import` puts studies."""
    from twostage.collection import Pair, VariableSettings, new_collection
    from twostage.words import Words, plural

    try:
        pair = Pair(
            VariableSettings.model_construct(name=x, label=x_label or x, better=x_better),
            VariableSettings.model_construct(name=y, label=y_label or y, better=y_better),
        )
        words = Words(person, plural(person), occasion, plural(occasion))
        written = new_collection(folder, pair, title, words)
    except ProblemError as error:
        refuse(error, "")
    typer.echo(
        f"{folder}: an empty collection ({x}, {y}); edit title, note and authors in {written.name}/collection.yml"
    )
    typer.echo(f"next: twostage import FILE --to {shlex.quote(str(folder))} --study ID")
