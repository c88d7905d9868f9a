"""From what a user asks for to a prepared run."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from twostage.params import ParameterError, Problem
from twostage.pipeline.errors import PipelineError
from twostage.pipeline.inputs import prepare
from twostage.pipeline.run import Run

#: The run that is made when nothing is asked for, and the collection it is made from.
DEFAULT_RUN, DEFAULT_COLLECTION = "default", "data"

RUN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def plan_run(
    start: Path, collection: Path | None = None, params: Path | None = None, name: str | None = None
) -> Run:
    """Check everything a user asked for and lay out the run.

    Parameters
    ----------
    start : Path
        The project or a folder below it.
    collection : Path, optional
        Folder of the collection; default: the project's ``data``.
    params : Path, optional
        YAML file with the parameters that differ.
    name : str, optional
        Name of the run; default: made from the collection's folder and the parameter file, so that the
        default run is only ever made from the default collection and parameters.

    Raises
    ------
    CollectionError, ParameterError
        Naming every problem; nothing is written.
    PipelineError
        There is no project, or the run cannot have that name.
    """
    project = find_project(start)
    path = (collection or project / DEFAULT_COLLECTION).resolve()
    values = read_parameters(params) if params else {}
    name = name or run_name(project, path, params)
    if not RUN_NAME.fullmatch(name):
        raise PipelineError(f"run {name!r}: expected letters, digits, and . _ - after the first")
    source = str(params) if params else "collection.yml"
    return prepare(project, project / "runs" / name, path, values, source)


def find_project(start: Path) -> Path:
    """The nearest folder upwards that has a ``_config.yml`` and ``notebooks/``.

    Raises
    ------
    PipelineError
        If there is none.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / "_config.yml").is_file() and (folder / "notebooks").is_dir():
            return folder
    raise PipelineError(f"{start}: neither this folder nor one above it has _config.yml and notebooks/")


def read_parameters(path: Path) -> Mapping[str, Any]:
    """Read a parameter file: a mapping in YAML; nothing in it means no change.

    Raises
    ------
    ParameterError
        If the file cannot be read or is no mapping.
    """
    expected = "a file with lines like 'last_session: 5'"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        found = " ".join(str(error).split())
        raise ParameterError([Problem(str(path), None, None, found, expected)]) from None
    values = {} if values is None else values
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ParameterError([Problem(str(path), None, None, values, expected)])
    return values


def run_name(project: Path, collection: Path, params: Path | None) -> str:
    """The name of a run for which none was given.

    Raises
    ------
    PipelineError
        If it would be the default run's although something else was asked for.
    """
    parts = [] if collection == project / DEFAULT_COLLECTION else [collection.name]
    parts += [params.stem] if params else []
    if parts == [DEFAULT_RUN]:
        raise PipelineError(f"name this run (RUN=name or --run): {DEFAULT_RUN!r} is the default run's name")
    return "-".join(parts) or DEFAULT_RUN
