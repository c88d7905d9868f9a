"""The values in a notebook's parameter cells."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat

from twostage.pipeline.errors import PipelineError


def defaults_of(template: Path) -> dict[str, Any]:
    """Name -> value of each plain assignment in the cell tagged ``parameters``; empty if there is none."""
    return assigned(nbformat.read(template, as_version=4), "parameters")


def assigned(notebook: Mapping[str, Any], tag: str) -> dict[str, Any]:
    """The same of a cell with another tag: ``injected-parameters`` has what an executed notebook was given."""
    for cell in notebook["cells"]:
        if tag in cell["metadata"].get("tags", ()):
            lines = [node for node in ast.parse("".join(cell["source"])).body if isinstance(node, ast.Assign)]
            names = [(node.targets[0], node.value) for node in lines]
            return {n.id: ast.literal_eval(value) for n, value in names if isinstance(n, ast.Name)}
    return {}


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
