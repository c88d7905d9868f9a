"""What the steps of a run depend on, each set of inputs by itself, so that a change makes due what it can change.

A study's row in the registry or one parameter is not a file; each set that belongs to some steps only is a text of
its own, which the run's folder keeps below ``inputs/``.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twostage.collection import FILE as PART_FILE
from twostage.collection import (
    REGISTRY_OPTIONAL,
    VERSIONS,
    Collection,
    Part,
    Study,
    part_text,
    read_collection,
    unedited,
)
from twostage.files import as_json
from twostage.interchange import read_releases
from twostage.multiverse.store import multiverse_files
from twostage.notebooks import NOTEBOOKS
from twostage.params import Parameters, check_early, make_parameters
from twostage.pipeline.code import book_libraries, code
from twostage.pipeline.content import digest, digest_of
from twostage.pipeline.errors import PipelineError
from twostage.pipeline.plan import SOURCES, Plan
from twostage.pipeline.run import PART_FOLDER, POOLED_FOLDER, TUTORIAL_FOLDER, Run, sources_of
from twostage.pipeline.shared import fitting_bundles, shared_files, shared_study
from twostage.pipeline.template import check_saved
from twostage.problems import CollectionError, Problem, distinct
from twostage.recovery.store import recovery_files

#: Facts of the registry that a study's notebooks show or use.
STUDY_FACTS = (
    *("label", "x_instrument", "x_min", "x_max", "x_direction"),
    *("y_instrument", "y_min", "y_max", "y_direction"),
)


def prepare(
    project: Path,
    folder: Path,
    collection: Path,
    values: Mapping[str, Any],
    source: str,
    only: Sequence[str] = (),
) -> Plan:
    """Check a collection and its parameters, and plan the run; nothing is written.

    Parameters
    ----------
    project : Path
        The project's folder, or, without a checkout, the one in which runs are made.
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
    project, folder = Path(project).resolve(), Path(folder).resolve()
    if only:
        content = content.only(only)
    # Before the data are read: what is written after that is noticed by the steps.
    registry = {file: digest(file) for file in content.files()}
    there = [id for id in content.studies["study"] if id not in content.shared]
    data = {id: {file: digest(file) for file in content.files(id)} for id in there}
    stored = _stored(content.path)
    studies = _read_studies(content)
    chosen = make_parameters({**content.defaults, **values}, source)
    if content.pre and content.post:
        check_early(chosen, source)
    bundles = fitting_bundles(content, chosen)
    history = {} if only else _history(content, chosen)
    run = Run(
        folder=folder,
        project=project,
        collection=folder / PART_FOLDER if only else Path(collection).resolve(),
        parameters=chosen.model_dump(),
        studies=tuple(content.studies["study"]),
        has_outcome=bool(content.pre and content.post),
        shared=content.shared,
        # They are of all studies; a run of some has none.
        has_recovery=not only and bool(stored["recovery"]),
        has_multiverse=not only and bool(stored["multiverse"]),
        has_days=content.day is not None,
        has_history=bool(history),
        sources=sources_of(project),
    )
    _check_notebooks(run)
    wanted = (*run.stage1, *run.stage2)
    given = {name: {"collection": run.shown(run.collection)} | run.own_parameters(name) for name in wanted}
    check_saved({name: run.template(name) for name in wanted}, given)
    found = {"registry": registry, "data": data, "stored": {**stored["recovery"], **stored["multiverse"]}}
    found |= {"code": code(results=True), "all_code": code(results=False)}
    sets = _of_studies(content, studies) | _of_notebooks(run, content) | _of_book(content)
    sets |= {f"studies/{id}": shared_study(bundle, content) for id, bundle in bundles.items()}
    sets |= {"package": found["code"], "source": found["all_code"], "libraries": book_libraries()}
    shown = {name: files if run.has(name) else {} for name, files in stored.items()} | {"history": history}
    sets |= {name: {file.name: sha for file, sha in files.items()} for name, files in shown.items()}
    files = _files(run, sets, Path(collection)) | {
        n: t.encode() for n, t in shared_files(content, bundles).items()
    }
    return Plan(run, files, **found, studies=studies, bundles=bundles, history=history)


def _history(collection: Collection, parameters: Parameters) -> dict[Path, str | None]:
    """The list of releases, if they were made with the run's parameters: a page shows how the answer went over time."""
    path = collection.path.resolve() / VERSIONS
    usual = make_parameters(collection.defaults)
    return (
        {path: digest(path)}
        if parameters == usual and path.is_file() and read_releases(collection.path)
        else {}
    )


def _stored(collection: Path) -> dict[str, dict[Path, str | None]]:
    """What is stored with a collection -> the digests of its files; nothing where one is missing."""
    files = {"recovery": recovery_files(collection), "multiverse": multiverse_files(collection)}
    found = {name: {file: digest(file) for file in paths} for name, paths in files.items()}
    return {name: {} if None in digests.values() else digests for name, digests in found.items()}


def _files(run: Run, sets: dict[str, Any], collection: Path) -> dict[str, bytes]:
    """What the run's folder is to hold before anything is done: name -> content."""
    copies = _copies(run)
    # One set, so that a page that is no longer there is noticed too.
    pages = {name: digest_of(copies[name]) for name in copies if not name.endswith(".ipynb")}
    texts = {"run.json": run.text()}
    texts |= {f"inputs/{name}.json": as_json(value) for name, value in {**sets, "pages": pages}.items()}
    if run.collection == run.folder / PART_FOLDER:
        part = Part(collection.resolve(), run.studies)
        texts[f"{PART_FOLDER}/{PART_FILE}"] = part_text(run.collection, part)
    return {name: text.encode() for name, text in texts.items()} | copies


def _check_notebooks(run: Run) -> None:
    wanted = (*run.stage1, *run.stage2, *run.tutorials)
    missing = [name for name in wanted if not run.template(name).is_file()]
    if missing:
        raise PipelineError(f"{(run.sources or run.project) / 'notebooks'}: no notebook {', '.join(missing)}")
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


def _facts(study: Study) -> dict[str, Any]:
    """What a study's notebooks take from the registry."""
    # Without a cell, or with an empty one, there is no reliability.
    given = {f: study.info[f] for f in REGISTRY_OPTIONAL if study.info.get(f)}
    return {f: study.info[f] for f in STUDY_FACTS} | given


def _of_studies(collection: Collection, studies: Mapping[str, Study]) -> dict[str, Any]:
    about = _about(collection)
    return {
        f"studies/{id}": {"checksum": study.checksum, "facts": _facts(study)} | about
        for id, study in studies.items()
    }


def _of_notebooks(run: Run, collection: Collection) -> dict[str, Any]:
    """The parameters of each notebook; and what each that pools the studies reads in the registry."""
    wanted = (*run.stage1, *run.stage2, *run.tutorials)
    sets = {f"parameters/{notebook}": run.own_parameters(notebook) for notebook in wanted}
    for notebook in run.stage2:
        columns = ["study", *NOTEBOOKS[notebook].facts]
        more = {"truth": _truth(collection)} if "truth" in NOTEBOOKS[notebook].uses else {}
        more |= {"defaults": collection.defaults} if run.stored_inputs(notebook) else {}
        sets[f"pooled/{notebook}"] = {"studies": _rows(collection, columns)} | _about(collection) | more
    return sets


def _of_book(collection: Collection) -> dict[str, Any]:
    book = {
        name: getattr(collection, name)
        for name in ("title", "authors", "synthetic", "defaults", "introduction")
    }
    book |= {"pre": collection.pre, "post": collection.post, "truth": _truth(collection)}
    bias = collection.risk_of_bias
    book |= {"review": collection.review.model_dump()}
    book |= {"risk_of_bias": None if bias is None else json.loads(bias.to_json(orient="records"))}
    rows = _rows(collection, list(collection.studies))
    return {"collection": {"studies": rows} | _about(collection) | book}


def _about(collection: Collection) -> dict[str, Any]:
    """What every page says of the collection."""
    about = {name: vars(getattr(collection, name)) for name in ("x", "y", "words")}
    return {"note": collection.note} | about


def _rows(collection: Collection, columns: list[str]) -> list[dict[str, Any]]:
    return json.loads(collection.studies[columns].to_json(orient="records"))


def _truth(collection: Collection) -> list[dict[str, Any]] | None:
    """The generating values that are shown: the means over studies."""
    if collection.truth is None:
        return None
    return json.loads(collection.truth[collection.truth["study"] == "mean"].to_json(orient="records"))


def _copies(run: Run) -> dict[str, bytes]:
    """The project's files that people edit and steps read."""
    templates = [run.template(name) for name in (*run.stage1, *run.stage2, *run.tutorials)]
    files = [*templates, *sorted(run.manuscript.rglob("*")), run.config]
    names = {path: path.relative_to(run.sources or run.project) for path in files if path.is_file()}
    # Editors leave hidden files beside the one that is open.
    seen = {path: name for path, name in names.items() if not any(part[0] == "." for part in name.parts)}
    return {f"{SOURCES}/{name.as_posix()}": path.read_bytes() for path, name in seen.items()}
