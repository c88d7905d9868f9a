"""The commands of a site that shares results instead of data, and of the collection that accepts them."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from twostage.cli_options import AllProblems, Assignments, next_run, refuse, synthetic_note
from twostage.collection import Collection, locate_collection, read_collection
from twostage.params import Parameters, make_parameters
from twostage.printing import examples
from twostage.problems import Problem, ProblemError
from twostage.shared_studies import FOLDER

SHARE_EXAMPLES = examples(
    "twostage share S03",
    "twostage share S03 --collection clinic -p last_session=5 --out S03-short.zip",
    "twostage share S03 --collection clinic --params agreed.yml",
    "twostage share S03 --collection clinic --round 6 --nfilter-tab 10",
)
ACCEPT_EXAMPLES = examples("twostage accept S03.zip --to data", "twostage accept S03.zip --to data --replace")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(epilog=SHARE_EXAMPLES)(share)
    app.command(epilog=ACCEPT_EXAMPLES)(accept)


def bundle_problems(collection: Path) -> tuple[Problem, ...]:
    """What is wrong with the bundles that a collection has accepted."""
    if not (locate_collection(collection) / FOLDER).is_dir():
        return ()
    from twostage.sharing.stored import stored_problems

    return stored_problems(collection)


def share(
    study: Annotated[str, typer.Argument(help="id of the study")],
    collection: Annotated[Path, typer.Option(help="folder of the collection")] = Path("data"),
    out: Annotated[
        Path | None, typer.Option(help="file to write; default: STUDY.zip", show_default=False)
    ] = None,
    assignments: Assignments = None,
    params: Annotated[Path | None, typer.Option(help="YAML file with the parameters that differ")] = None,
    digits: Annotated[
        int | None,
        typer.Option("--round", help="significant digits; default: numbers are not rounded", min=3, max=15),
    ] = None,
    tab: Annotated[
        int, typer.Option("--nfilter-tab", help="nfilter.tab: fewest patients in a cell", min=3, max=1000)
    ] = 5,
    glm: Annotated[
        float,
        typer.Option(
            "--nfilter-glm", help="nfilter.glm: most coefficients of a model per patient", min=0.01, max=1
        ),
    ] = 0.33,
    subset: Annotated[
        int,
        typer.Option(
            "--nfilter-subset", help="nfilter.subset: fewest patients of a study or model", min=3, max=1000
        ),
    ] = 10,
    force: Annotated[bool, typer.Option("--force", help="replace files of these names")] = False,
    all_problems: AllProblems = False,
) -> None:
    """Analyse a study here and write a bundle of results that holds no participant's data.

    Beside STUDY.zip a page STUDY.html shows everything that is in it: read it before you send the bundle.
    """
    # The other commands need not wait for what only this one imports.
    from twostage.sharing.layout import Filters

    target = out or Path(f"{study}.zip")
    try:
        filters = Filters(tab=tab, glm=glm, subset=subset, digits=digits)
        _share(study, read_collection(collection), (params, assignments or []), filters, target, force)
    except (ProblemError, FileExistsError) as error:
        refuse(error, "--all-problems", all_problems)


def _share(study: str, collection: Collection, changes: tuple, filters, target: Path, force: bool) -> None:
    """Write the bundle and its page, and say what to read."""
    from twostage.sharing.share import free, make_bundle, replaced_differs, write_bundle

    free(target, replace=force)
    content = make_bundle(collection, study, _parameters(collection, *changes), filters, date.today())
    earlier = replaced_differs(target, content)
    bundle = write_bundle(content, target, replace=force)
    withheld = sum(len(check.withheld) for check in bundle.report.checks)
    typer.echo(f"{target}: results of {study}, {withheld} entries withheld")
    page = target.with_suffix(".html")
    typer.echo(f"read {page} before you send it: it shows all that is in the bundle, and what was withheld")
    if earlier:
        typer.echo(
            "note: the replaced bundle had other numbers. If it was sent, who has both can subtract one from the other: "
            f"see 'What the rules do not prevent' in {page}"
        )


def _parameters(collection: Collection, file: Path | None, assignments: list[str]) -> Parameters:
    """The collection's parameters, those of a file over them, and those given by name over both."""
    from twostage.pipeline.entry import parse_assignments, read_parameters

    given = parse_assignments(assignments)
    changed = dict(read_parameters(file)) if file else {}
    source = " and ".join([str(file or "collection.yml"), *(["-p"] if given else [])])
    return make_parameters(collection.defaults | changed | given, source)


def accept(
    bundle: Annotated[Path, typer.Argument(help="the bundle, a zip file")],
    to: Annotated[Path, typer.Option(help="folder of the collection")],
    replace: Annotated[
        bool, typer.Option("--replace", help="replace an earlier bundle of the study")
    ] = False,
    all_problems: AllProblems = False,
) -> None:
    """Check a bundle and add it to a collection as a study without participants' data.

    A bundle that is damaged, inconsistent or does not fit is refused with every reason, and nothing is written.
    """
    from twostage.sharing.accept import accept_bundle

    try:
        accepted = accept_bundle(bundle, to, replace=replace)
    except ProblemError as error:
        refuse(error, "--all-problems", all_problems)
    typer.echo(f"{to}: {accepted.study} ({accepted.info['label']}) is in, results only")
    note = synthetic_note(to, accepted.study)
    typer.echo(note) if note else None
    typer.echo(next_run(to))
