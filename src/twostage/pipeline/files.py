"""Writing files so that a reader never sees half of one, and only when something changed."""

import json
import os
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def write_if_changed(path: Path, text: str) -> bool:
    """Replace a file in one step unless it already says the same; return whether it was written."""
    return write_bytes_if_changed(path, text.encode())


def write_bytes_if_changed(path: Path, content: bytes) -> bool:
    """The same of a file that need not be text."""
    if path.is_file() and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return True


def as_json(value: Any) -> str:
    """A value as JSON, with sorted keys."""
    return json.dumps(value, indent=1, sort_keys=True, default=str) + "\n"


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def emptied(folder: Path) -> Path:
    """Make sure that a folder exists and that nothing is in it."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def keep_only(folder: Path, names: Iterable[str]) -> None:
    """Remove everything from a folder except the entries with these names."""
    wanted = set(names)
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.name not in wanted:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
