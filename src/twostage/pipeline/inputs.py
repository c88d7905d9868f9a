"""What a run depends on, as files that change exactly when some steps must be done again.

pytask compares files. A study's row in the registry or one parameter is not a file, so each set of
inputs that belongs to some steps only is written to a file of its own.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import twostage
from twostage.collection import Collection, Study, read_collection
from twostage.collection_part import FILE as PART_FILE
from twostage.collection_part import Part, part_text
from twostage.params import NOTEBOOKS, make_parameters
from twostage.pipeline.errors import PipelineError
from twostage.pipeline.files import keep_only, write_if_changed, write_json
from twostage.pipeline.run import PART_FOLDER, POOLED_FOLDER, TUTORIAL_FOLDER, Run
from twostage.pipeline.shared import fitting_bundles, write_shared
from twostage.problems import CollectionError, Problem, distinct
from twostage.recovery.store import recovery_files
from twostage.skeleton import unedited

#: Modules of what the book and a command say of finished results.
ADDITION = ("addition.py", "addition_page.py", "plots_addition.py", "cli_addition.py")

#: Parts of the package that results do not depend on.
NOT_RESULTS = (
    *("cli.py", "cli_compare.py", "cli_import.py", "cli_options.py", "cli_recovery.py", "cli_run.py"),
    "cli_share.py",
    *ADDITION,
    *("examples.py", "importing", "pipeline", "project.py", "sharing", "skeleton.py", "tutorial.py"),
)


def prepare(
    project: Path,
    folder: Path,
    collection: Path,
    values: Mapping[str, Any],
    source: str,
    only: Sequence[str] = (),
) -> Run:
    """Check a collection and its parameters, and lay out the run; nothing is written if they are wrong.

    Parameters
    ----------
    project : Path
        Folder with ``notebooks/``, ``book/`` and ``_config.yml``.
    folder : Path
        The run's folder.
    collection : Path
        The collection's folder.
    values : mapping
        Parameters that differ from the collection's defaults.
    source : str
        Where the values came from, for the messages.
    only : sequence of str, optional
        Ids of some studies, if not all; notebooks are then given a folder of the run that names them.

    Raises
    ------
    CollectionError, ParameterError, BundleError
        Naming every problem.
    PipelineError
        The project lacks a notebook.
    """
    content = read_collection(collection)
    folder = Path(folder).resolve()
    if only:
        content = content.only(only)
    studies = _read_studies(content)
    chosen = make_parameters({**content.defaults, **values}, source)
    bundles = fitting_bundles(content, chosen)
    run = Run(
        folder=folder,
        project=Path(project).resolve(),
        collection=folder / PART_FOLDER if only else Path(collection).resolve(),
        parameters=chosen.model_dump(),
        studies=tuple(content.studies["study"]),
        has_outcome=bool(content.pre and content.post),
        shared=content.shared,
        # It is of all studies; a run of some has none.
        has_recovery=not only and all(path.is_file() for path in recovery_files(content.path)),
    )
    _check_notebooks(run)
    if only:
        part = Part(Path(collection).resolve(), run.studies)
        write_if_changed(run.collection / PART_FILE, part_text(run.collection, part))
    run.save()
    _write_inputs(run, content, studies)
    write_shared(run, content, bundles)
    return run


def _check_notebooks(run: Run) -> None:
    wanted = (*run.stage1, *run.stage2, *run.tutorials)
    missing = [name for name in wanted if not run.template(name).is_file()]
    if missing:
        raise PipelineError(f"{run.project / 'notebooks'}: no notebook {', '.join(missing)}")
    for name in (POOLED_FOLDER, TUTORIAL_FOLDER):
        if name in run.studies:
            raise PipelineError(f"{run.collection}: a study may not be called {name!r}")


def _read_studies(collection: Collection) -> dict[str, Study]:
    studies, problems = {}, unedited(collection.path)
    for study in (id for id in collection.studies["study"] if id not in collection.shared):
        try:
            studies[study] = collection.study(study)
        except CollectionError as error:
            problems += error.problems
    if not len(collection.studies):
        expected = "at least one study; `twostage import` adds one"
        problems.append(Problem("studies.csv", None, "study", "no study yet", expected))
    if problems:
        # A file that studies share has the same problems for each of them.
        raise CollectionError(distinct(problems))
    return studies


def _write_inputs(run: Run, collection: Collection, studies: Mapping[str, Study]) -> None:
    about = _about(collection)
    for name, study in studies.items():
        write_json(run.study_file(name), {"checksum": study.checksum, "info": study.info, **about})
    registry = json.loads(collection.studies.to_json(orient="records"))
    book = {"title": collection.title, "authors": collection.authors}
    write_json(run.input_file("collection"), {"studies": registry, **book, **about})
    write_json(run.input_file("package"), package_checksum(NOT_RESULTS))
    write_json(run.input_file("source"), package_checksum(()))
    for notebook in (*run.stage1, *run.stage2, *run.tutorials):
        values = {name: run.parameters[name] for name in NOTEBOOKS[notebook] if name in run.parameters}
        write_json(run.parameter_file(notebook), values)


def _about(collection: Collection) -> dict[str, Any]:
    return {
        "note": collection.note,
        "x": vars(collection.x),
        "y": vars(collection.y),
        "pre": collection.pre,
        "post": collection.post,
    }


def package_checksum(without: tuple[str, ...]) -> dict[str, str]:
    """SHA-256 over the package's modules, some left out."""
    package = Path(twostage.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package)
        if name.parts[0] not in without:
            digest.update(f"{name.as_posix()}\0".encode() + path.read_bytes())
    return {"sha256": digest.hexdigest()}


def forget_removed(run: Run) -> None:
    """Remove what earlier runs left of studies and notebooks that are no longer there, and of failures."""
    keep_only(run.folder / "records", run.studies)
    keep_only(run.folder / "inputs" / "studies", [f"{study}.json" for study in run.studies])
    executed = run.folder / "notebooks"
    keep_only(executed, [*run.analysed, POOLED_FOLDER, TUTORIAL_FOLDER])
    for study in run.analysed:
        keep_only(executed / study, [f"{name}.ipynb" for name in run.stage1])
    keep_only(executed / POOLED_FOLDER, [f"{name}.ipynb" for name in run.stage2])
    keep_only(executed / TUTORIAL_FOLDER, [f"{name}.ipynb" for name in run.tutorials])
    keep_only(run.folder / "output", [f"{name}{end}" for name in run.stage2 for end in ("", ".json")])
    keep_only(run.unfinished, [])
    keep_only(run.failed, [])
