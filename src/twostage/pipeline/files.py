"""Writing files so that a reader never sees half of one, and only when something changed."""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def write_if_changed(path: Path, text: str) -> bool:
    """Replace a file in one step unless it already says the same; return whether it was written."""
    content = text.encode()
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


def write_json(path: Path, value: Any) -> bool:
    """Write a value as JSON, with sorted keys, if it differs from what the file says."""
    return write_if_changed(path, json.dumps(value, indent=1, sort_keys=True, default=str) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def checksums(folder: Path, files: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of each file, by its path relative to a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
    }


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
