"""The values in a notebook's parameter cell."""

import ast
from pathlib import Path
from typing import Any

import nbformat


def defaults_of(template: Path) -> dict[str, Any]:
    """Name -> value of each plain assignment in the cell tagged ``parameters``; empty if there is none."""
    for cell in nbformat.read(template, as_version=4).cells:
        if "parameters" in cell.metadata.get("tags", ()):
            assigned = [node for node in ast.parse(cell.source).body if isinstance(node, ast.Assign)]
            return {node.targets[0].id: ast.literal_eval(node.value) for node in assigned}
    return {}
