"""What pages and notebooks show instead of folders of the machine on which they were made."""

import re
from pathlib import Path
from typing import Any

from twostage.collection import read_part
from twostage.pipeline.run import Run


def public(run: Run, path: Path) -> str:
    """A path as readers see it: in the project relative to it, elsewhere only what it is called."""
    return run.shown(path) if path.is_relative_to(run.project) else path.name


def without_places(run: Run, content: Any) -> Any:
    """Values as JSON has them, such as a notebook, with the run's folders called as :func:`public` does.

    Parameters
    ----------
    run : Run
    content : object
        Changed in place where it is a list or a mapping.

    Returns
    -------
    object
        The same, or the changed text.
    """
    return _replaced(content, _names(run))


def _names(run: Run) -> list[tuple[str, str]]:
    part = read_part(run.collection)
    folders = [run.folder, run.collection, *([part.collection] if part else [])]
    names = {str(folder): public(run, folder) for folder in folders}
    names |= {str(run.project): ".", str(Path.home()): "~"}
    # Python code has a path as a literal. A short path such as the file system's root is no place.
    names |= {path.replace("\\", "\\\\"): name for path, name in names.items()}
    return sorted(((p, n) for p, n in names.items() if len(p) > 3), key=lambda item: -len(item[0]))


def _replaced(content: Any, names: list[tuple[str, str]]) -> Any:
    if isinstance(content, str):
        for path, name in names:
            # Between the places, as a name may have what stands for something in a replacement.
            content = name.join(re.split(rf"(?<!\w){re.escape(path)}(?!\w)", content))
        return content
    inner = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content if isinstance(content, list) else ())
    )
    for key, value in list(inner):
        content[key] = _replaced(value, names)
    return content
