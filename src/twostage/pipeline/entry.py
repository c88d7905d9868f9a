"""From what a user asks for to the plan of a run."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twostage.collection import is_device, read_collection
from twostage.pipeline.errors import PipelineError
from twostage.pipeline.inputs import prepare
from twostage.pipeline.plan import Plan
from twostage.pipeline.run import DEFAULT_RUN, LOCK, read_about
from twostage.problems import ParameterError, Problem
from twostage.project import MARKS, default_collection, is_project, project_folder
from twostage.text import YamlError, parse_yaml, read_yaml

RUN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


#: Longest part of a run's name that is spelt out.
LONGEST_NAME = 60


@dataclass(frozen=True)
class Request:
    """What a user asks for; everything has a default.

    Attributes
    ----------
    collection : Path or None
        Folder of the collection; the project's ``data``.
    params : Path or None
        YAML file with the parameters that differ.
    assignments : tuple of str
        ``name=value`` each, values as in YAML; they override the file.
    studies : tuple of str
        Ids of the studies, if not all.
    name : str or None
        Name of the run; made from what differs, so that the default run is only ever made from the default
        collection, its parameters and all its studies.
    out : Path or None
        The run's folder; ``runs/<name>`` of the project.
    project : Path or None
        The project's folder; found by :func:`find_project`.
    without : tuple of str
        Ids of studies to leave out.
    tables_only : bool
        Whether it will have the tables of the main results only.
    """

    collection: Path | None = None
    params: Path | None = None
    assignments: tuple[str, ...] = ()
    studies: tuple[str, ...] = ()
    name: str | None = None
    out: Path | None = None
    project: Path | None = None
    without: tuple[str, ...] = ()
    tables_only: bool = False


def plan_run(start: Path, request: Request) -> Plan:
    """Check everything a user asked for and plan the run; nothing is written.

    Parameters
    ----------
    start : Path
        Where the command was given: the project or a folder below it, or anywhere.
    request : Request

    Raises
    ------
    CollectionError, ParameterError
        Naming every problem.
    PipelineError
        There is no project, or the run cannot have that name or folder.
    """
    project = find_project(start, request.project)
    collection = (request.collection or default_collection(project)).resolve()
    values = read_parameters(request.params) if request.params else {}
    given = parse_assignments(request.assignments)
    folder = run_folder(project, collection, request)
    file = str(request.params) if request.params else "collection.yml"
    only = _those(collection, request)
    source = " and ".join([file, "-p"] if given and request.params else ["-p"] if given else [file])
    return prepare(project, folder, collection, {**values, **given}, source, only)


def _those(collection: Path, request: Request) -> tuple[str, ...]:
    """Ids of the studies of a run; none if they are all."""
    if not request.without:
        return request.studies
    if request.studies:
        raise PipelineError("--study and --without: expected one of them")
    content = read_collection(collection)
    content.only(request.without)
    left = tuple(id for id in content.studies["study"] if id not in request.without)
    if not left:
        raise PipelineError(
            f"--without {', '.join(request.without)}: expected at least one study that is left"
        )
    return left


def run_folder(project: Path, collection: Path, request: Request) -> Path:
    """Where a run goes.

    Raises
    ------
    PipelineError
        The name is none, or the folder is taken by something that is no run.
    """
    if request.out is not None:
        if request.name is not None:
            raise PipelineError(f"--run {request.name} and --out {request.out}: expected one of them")
        return _not_a_book(_free(request.out.resolve(), collection), request)
    name = request.name or run_name(project, collection, request)
    if not RUN_NAME.fullmatch(name) or is_device(name):
        raise PipelineError(
            f"run {name!r}: expected letters, digits, and . _ - after the first, and a name that Windows can have too"
        )
    folder = _not_a_book(project / "runs" / name, request)
    if not request.studies and not request.without:
        _same_collection(folder, project, collection)
    return folder


def _not_a_book(folder: Path, request: Request) -> Path:
    """A folder for tables that are not those of executed notebooks, whose own results stay as they are."""
    if not (request.tables_only and any((folder / name).exists() for name in ("notebooks", "html"))):
        return folder
    if request.out is not None or request.name is not None:
        said = f"--out {request.out}" if request.out is not None else f"--run {request.name}"
        raise PipelineError(
            f"{said} --no-book: {folder} has notebooks or a book, which would lose their tables; give another folder "
            "or name, or leave out --no-book"
        )
    return folder.with_name(f"{folder.name}-tables")


def _same_collection(folder: Path, project: Path, collection: Path) -> None:
    """Refuse to replace the run of another collection whose folder happens to have the same name."""
    if not (folder / "run.json").exists():
        return
    try:
        about = read_about(folder)
    except PipelineError as error:
        cure = f"give this run another name (RUN=name or --run), or, if {folder} is a run's, remove that file"
        raise PipelineError(f"{error}; {cure} and give the command again") from None
    earlier = (project / about["collection"]).resolve()
    if earlier != collection and earlier.parent != folder.resolve():
        raise PipelineError(
            f"{folder}: the run of {earlier}; give this one another name (RUN=name or --run), or remove that folder"
        )


def _free(folder: Path, collection: Path) -> Path:
    """A folder in which a run may write and clear away: new, empty, or an earlier run's."""
    wanted = f"--out {folder}: expected a new or empty folder, or that of an earlier run"
    if folder == collection or (folder.exists() and not folder.is_dir()):
        raise PipelineError(wanted)
    if folder.is_dir() and any(entry.name != LOCK for entry in folder.iterdir()):
        if not (folder / "run.json").exists():
            raise PipelineError(wanted)
        try:
            read_about(folder)
        except PipelineError as error:
            raise PipelineError(f"{wanted}, but {error}") from None
    return folder


def parse_assignments(texts: Iterable[str]) -> dict[str, Any]:
    """Parameters given as ``name=value``, values as YAML has them: 5, 0.9, true, within.

    Raises
    ------
    ParameterError
        For each text without a name or a plain value, and each name given twice.
    """
    values, problems = {}, []
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        try:
            found = parse_yaml(value, "-p")
        except YamlError as error:
            expected = f"name=value, as in last_session=5: {error.problems[0].expected}"
            problems.append(Problem("-p", None, name or None, text, expected))
            continue
        if not name or not equals or isinstance(found, (list, dict)):
            problems.append(Problem("-p", None, name or None, text, "name=value, as in last_session=5"))
        elif name in values:
            problems.append(Problem("-p", None, name, text, "each parameter once"))
        else:
            values[name] = found
    if problems:
        raise ParameterError(problems)
    return values


def find_project(start: Path, given: Path | None = None) -> Path:
    """The project's folder.

    Parameters
    ----------
    start : Path
        Where the command was given; see :func:`twostage.project.project_folder`.
    given : Path, optional
        The folder that must be it instead.

    Raises
    ------
    PipelineError
        If there is none.
    """
    marks = " and ".join(MARKS)
    if given is not None:
        if not is_project(given):
            raise PipelineError(f"--project {given}: expected the project's folder, which has {marks}")
        return given.resolve()
    found = project_folder(start)
    if found is None:
        raise PipelineError(
            f"{start}: neither this folder nor one above it is the project's, which has {marks}; "
            "go to that folder and give the command again, or 'twostage run --project FOLDER'"
        )
    return found


def read_parameters(path: Path) -> Mapping[str, Any]:
    """Read a parameter file: a mapping in YAML; nothing in it means no change.

    Raises
    ------
    ParameterError
        If the file cannot be read or is no mapping.
    """
    expected = "a file with lines like 'last_session: 5'"
    try:
        values = read_yaml(path, str(path))
    except OSError as error:
        raise ParameterError([Problem(str(path), None, None, error.strerror, expected)]) from None
    except YamlError as error:
        raise ParameterError(
            replace(p, expected=f"{expected}, {p.expected}") for p in error.problems
        ) from None
    values = {} if values is None else values
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ParameterError([Problem(str(path), None, None, values, expected)])
    return values


def run_name(project: Path, collection: Path, request: Request) -> str:
    """The name of a run for which none was given: what differs from the default run.

    Raises
    ------
    PipelineError
        If it would be the default run's although something else was asked for.
    """
    parts = [] if collection == default_collection(project) else [_name(collection.name)]
    parts += [_name(request.params.stem)] if request.params else []
    parts += [_short(sorted(request.assignments), "parameters")] if request.assignments else []
    for word, ids in (("only", request.studies), ("without", request.without)):
        parts += [f"{word}-{_short(sorted(set(ids)), 'studies')}"] if ids else []
    if parts == [DEFAULT_RUN]:
        raise PipelineError(f"name this run (RUN=name or --run): {DEFAULT_RUN!r} is the default run's name")
    return "-".join(parts) or DEFAULT_RUN


def _name(text: str) -> str:
    """A folder's or file's name with ``_`` for what a run's name may not have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).lstrip(".-")


def _short(texts: list[str], kind: str) -> str:
    """``last_session-3-lag-2``; a checksum where that would be long or no file name."""
    joined = "-".join(text.replace("=", "-").replace(" ", "") for text in texts)
    if len(joined) <= LONGEST_NAME and RUN_NAME.fullmatch(joined):
        return joined
    return f"{len(texts)}-{kind}-{hashlib.sha256(repr(texts).encode()).hexdigest()[:8]}"
