"""The commands of a site that shares results instead of data, and of the collection that accepts them."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twostage.cli.options import AllProblems, Assignments, next_run, refuse, synthetic_note
from twostage.printing import examples
from twostage.problems import Problem, ProblemError

if TYPE_CHECKING:
    from twostage.collection import Collection
    from twostage.params import Parameters
    from twostage.sharing import Bundle


SHARE_EXAMPLES = examples(
    "twostage share S03 --collection clinic",
    "twostage share S04 --collection clinic --params agreed.yml",
    "twostage share S05 --collection clinic --nfilter-tab 10 --out to-send/S05.zip",
)


ACCEPT_EXAMPLES = examples("twostage accept S03.zip --to data", "twostage accept S03.zip --to data --replace")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(epilog=SHARE_EXAMPLES)(share)
    app.command(epilog=ACCEPT_EXAMPLES)(accept)


def bundle_problems(collection: Path) -> tuple[Problem, ...]:
    """What is wrong with the bundles that a collection has accepted."""
    from twostage.collection import FOLDER, locate_collection

    if not (locate_collection(collection) / FOLDER).is_dir():
        return ()
    from twostage.sharing import stored_problems

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
        int,
        typer.Option("--round", help="significant digits of all numbers; 17: not rounded", min=2, max=17),
    ] = 2,
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
    sums: Annotated[
        bool,
        typer.Option(
            "--sums",
            help="also share exact sums for one model of all patients, once for each study, in cells that hide patients",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="replace files of these names")] = False,
    second: Annotated[
        bool,
        typer.Option(
            "--second-bundle",
            help="share although an earlier bundle of the study has other results; whoever has both can subtract them",
        ),
    ] = False,
    all_problems: AllProblems = False,
) -> None:
    """Analyse a study here and write a bundle of results that holds no participant's data.

    Beside STUDY.zip a page STUDY.html shows everything that is in it: read it before you send the bundle. Agree on the
    parameters first: a study is shared once, and the collection's shared.json notes what was.
    """
    # The other commands need not wait for what only this one imports.
    from twostage.collection import read_collection
    from twostage.sharing import Filters

    target = out or Path(f"{study}.zip")
    try:
        filters = Filters.model_validate({"tab": tab, "glm": glm, "subset": subset, "digits": digits})
        content = read_collection(collection)
        parameters = _parameters(content, params, assignments or [])
        _share(study, content, parameters, filters, target, force, second, sums)
    except (ProblemError, FileExistsError) as error:
        refuse(error, "--all-problems", all_problems)


def _share(
    study: str,
    collection: "Collection",
    parameters: "Parameters",
    filters,
    target: Path,
    force: bool,
    second: bool,
    sums: bool,
) -> None:
    """Write the bundle and its page, and say what to read."""
    from twostage.sharing import FILE, share_study

    shared = share_study(
        collection,
        study,
        parameters,
        filters,
        target,
        today=date.today(),
        replace=force,
        second=second,
        sums=sums,
    )
    withheld = sum(len(check.withheld) for check in shared.bundle.report.checks)
    typer.echo(f"{target}: results of {study}, {withheld} entries withheld")
    page = target.with_suffix(".html")
    typer.echo(f"read {page} before you send it: it shows all that is in the bundle, and what was withheld")
    say_missing(shared.bundle, f", which has {shared.n_patients} patients in the analysis,")
    if shared.again:
        typer.echo(
            f"the same results were shared before, as {collection.path / FILE} says: this is the same bundle"
        )
    else:
        typer.echo(f"noted in {collection.path / FILE}; keep that file, it is for this collection only")
    if shared.earlier:
        typer.echo(
            f"note: a bundle of {shared.earlier.study} of {shared.earlier.date} has other results. Whoever has both can "
            f"subtract one from the other: see 'What the rules do not prevent' in {page}"
        )


def say_missing(bundle: "Bundle", patients: str = "") -> None:
    """Say which analyses a shared study is missing from; what was pulled lacks what its pages name."""
    from twostage.sharing import missing

    if bundle.manifest.pulled:
        return
    lines = missing(bundle.records, bundle.manifest.x.label, bundle.manifest.y.label)
    if lines:
        typer.echo("\n  ".join([f"{bundle.study}{patients} will be missing from", *lines]))


def _parameters(collection: "Collection", file: Path | None, assignments: list[str]) -> "Parameters":
    """The collection's parameters, those of a file over them, and those given by name over both."""
    from twostage.params import make_parameters
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
    from twostage.sharing import accept_bundle, version_note

    try:
        accepted = accept_bundle(bundle, to, replace=replace)
    except ProblemError as error:
        refuse(error, "--all-problems", all_problems)
    typer.echo(f"{to}: {accepted.study} ({accepted.info['label']}) was added, with its results only")
    say_missing(accepted)
    for note in (version_note(accepted), synthetic_note(to, accepted.study)):
        typer.echo(note) if note else None
    typer.echo(next_run(to))
