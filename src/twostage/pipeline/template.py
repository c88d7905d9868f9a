"""The values in notebooks' parameter cells: read, written from their one definition, and held against a run's."""

import ast
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from twostage.files import write_bytes_if_changed
from twostage.notebooks import NOTEBOOKS, parameter_cell
from twostage.params import PLACES, Parameters
from twostage.pipeline.errors import PipelineError
from twostage.problems import ParameterError, Problem

#: Parameters that a run sets for each notebook, whatever its cell says: who opens a notebook may change them at will.
OF_THE_RUN = set(PLACES) - {"collection"}


def defaults_of(template: Path) -> dict[str, Any]:
    """Name -> value of each plain assignment in the cell tagged ``parameters``; empty if there is none."""
    # As it was saved: nbformat, which would check all of it, takes longer to import than this to be read.
    return assigned(json.loads(template.read_text(encoding="utf-8")), "parameters")


def assigned(notebook: Mapping[str, Any], tag: str) -> dict[str, Any]:
    """The same of a cell with another tag: ``injected-parameters`` has what an executed notebook was given."""
    for cell in notebook["cells"]:
        if tag in cell["metadata"].get("tags", ()):
            return _values("".join(cell["source"]))
    return {}


def _values(source: str) -> dict[str, Any]:
    lines = [node for node in ast.parse(source).body if isinstance(node, ast.Assign)]
    names = [(node.targets[0], node.value) for node in lines]
    return {n.id: ast.literal_eval(value) for n, value in names if isinstance(n, ast.Name)}


def check_given(name: str, given: Mapping[str, Any], intended: Mapping[str, Any]) -> None:
    """Refuse a notebook that was given something else than was intended.

    Raises
    ------
    PipelineError
        Naming the notebook, the parameter and both values.
    """
    for parameter, value in intended.items():
        if parameter not in given or given[parameter] != value:
            found = repr(given[parameter]) if parameter in given else "nothing"
            raise PipelineError(
                f"{name}: executed with {parameter} = {found}, expected {value!r}; remove it and give the command again"
            )


def check_saved(templates: Mapping[str, Path], given: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a run that would pass over a value that somebody changed and saved in a parameter cell.

    Parameters
    ----------
    templates : mapping
        Notebook -> its file.
    given : mapping
        Notebook -> what the run gives it.

    Raises
    ------
    ParameterError
        Naming the notebook, the parameter, the saved value and the run's.
    """
    problems = []
    for notebook, template in templates.items():
        try:
            saved = defaults_of(template)
        except (SyntaxError, ValueError, AttributeError, LookupError, TypeError):
            # What a cell holds beside plain values is for the kernel to judge, which names its line.
            continue
        usual = _values(parameter_cell(notebook))
        for name, value in saved.items():
            own = name in usual and name not in OF_THE_RUN and value != usual[name]
            if own and value != given[notebook].get(name):
                problems.append(Problem(template.name, None, name, value, _how(name, value, given[notebook])))
    if problems:
        raise ParameterError(problems)


def _how(name: str, value: Any, given: Mapping[str, Any]) -> str:
    use = (
        f"-p {name}={value}"
        if name in Parameters.model_fields
        else "the collection's folder on the command line"
    )
    return (
        f"{given.get(name)!r}, which this run gives the notebook: a value saved in a parameter cell does not change a run. "
        f"To use it, give {use}; to put the cells back as they were: twostage notebooks --sync"
    )


def sync_cells(folder: Path, notebooks: Iterable[str] = NOTEBOOKS) -> list[str]:
    """Write each notebook's parameter cell from the one definition, :func:`twostage.notebooks.parameter_cell`.

    Parameters
    ----------
    folder : Path
        A project's ``notebooks/``.
    notebooks : iterable of str
        Their names, without suffix.

    Returns
    -------
    list of str
        Those that were changed.

    Raises
    ------
    PipelineError
        A notebook is missing or has no cell tagged ``parameters``; nothing is written.
    """
    import nbformat

    wanted = {}
    for name in notebooks:
        path = folder / f"{name}.ipynb"
        if not path.is_file():
            raise PipelineError(f"{path}: no such notebook, though src/twostage/notebooks.yml declares it")
        content = nbformat.read(path, as_version=4)
        cell = next((c for c in content.cells if "parameters" in c.metadata.get("tags", ())), None)
        if cell is None:
            raise PipelineError(
                f"{path}: no cell is tagged 'parameters'; add an empty code cell with this tag"
            )
        if cell.source != parameter_cell(name):
            cell.source = parameter_cell(name)
            wanted[name] = nbformat.writes(content)
    for name, text in wanted.items():
        write_bytes_if_changed(folder / f"{name}.ipynb", (text.rstrip("\n") + "\n").encode())
    return list(wanted)
