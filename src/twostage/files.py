"""Writing files and folders so that nothing is half-written, whenever the process that writes is ended.

Everything is written under an unfinished name in the folder where it belongs, then renamed. Unfinished names say who
writes: what a killed process left is recognised, and :func:`tidy` clears it or puts back what it had moved away.
"""

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

#: Ends of unfinished names: of what is being written or removed, and of a folder that another one replaces.
PART, OLD = "part", "old"


#: This machine, in unfinished names: on a shared disk a number of a process says nothing about other machines.
HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:6]


#: What another machine has not touched for so long is left over.
LEFT_OVER_SECONDS = 86_400


#: In an unfinished folder: which of its files are being moved into the folder that it is in.
JOURNAL = ".placing.json"


#: In an unfinished folder: where the files are that are being replaced.
REPLACED = ".replaced"


#: Where the system's folder for temporary files has a longer path, sockets go elsewhere.
LONGEST_ROOT, SHORT_ROOT = 40, Path("/tmp")


_UNFINISHED = re.compile(
    rf"\.(?P<name>.+)\.(?P<host>[0-9a-f]{{6}})-(?P<pid>\d+)-[0-9a-f]{{8}}\.({PART}|{OLD})"
)


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a file, or replace it, in one step; return its path."""
    return write_files({path: content}).pop()


def write_text(path: Path, text: str) -> Path:
    r"""Write a text file in one step: UTF-8, lines as they are in the text."""
    return write_bytes(path, text.encode())


def write_files(contents: Mapping[Path, bytes]) -> list[Path]:
    """Write files, each in one step, and none before all of them have found room on the disk."""
    unfinished = {path: _unfinished(path, PART) for path in contents}
    for folder in {path.parent for path in contents}:
        folder.mkdir(parents=True, exist_ok=True)
        tidy(folder)
    try:
        for path, content in contents.items():
            with _named(path):
                unfinished[path].write_bytes(content)
        for path, temporary in unfinished.items():
            os.replace(temporary, path)
    except BaseException:
        for temporary in unfinished.values():
            temporary.unlink(missing_ok=True)
        raise
    return list(contents)


def write_if_changed(path: Path, text: str) -> bool:
    """Write a text file in one step unless it already says the same; return whether it was written."""
    return write_bytes_if_changed(path, text.encode())


def write_bytes_if_changed(path: Path, content: bytes) -> bool:
    """The same of a file that need not be text."""
    if path.is_file() and path.read_bytes() == content:
        return False
    write_bytes(path, content)
    return True


def as_json(value: Any) -> str:
    """A value as JSON, with sorted keys."""
    return json.dumps(value, indent=1, sort_keys=True, default=str) + "\n"


def write_json(path: Path, value: Any) -> bool:
    """Write a value as JSON, with sorted keys, if it differs from what the file says."""
    return write_if_changed(path, as_json(value))


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


@contextlib.contextmanager
def unfinished_folder(target: Path, mode: int = 0o777) -> Iterator[Path]:
    """A folder beside `target` to write into; afterwards it is gone, unless :func:`replace_folder` moved it."""
    folder = _unfinished(target, PART)
    target.parent.mkdir(parents=True, exist_ok=True)
    tidy(target.parent)
    folder.mkdir(mode=mode)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def replace_folder(new: Path, target: Path) -> None:
    """Put a folder in the place of another one, or where none is yet.

    `target` is missing between two renamings only; if the process is killed there, :func:`tidy` puts it back.
    """
    old = _unfinished(target, OLD)
    try:
        if target.exists():
            os.replace(target, old)
        os.replace(new, target)
    except BaseException:
        if old.exists() and not target.exists():
            os.replace(old, target)
        raise
    finally:
        if old.exists():
            _discard(old)


def place_files(staged: Path, files: Sequence[str]) -> None:
    """Move files from an unfinished folder into the folder that it is in, in the place of others: all or none.

    Parameters
    ----------
    staged : Path
        As of :func:`unfinished_folder`.
    files : sequence of str
        Relative to both folders. The last one makes the others count: until it is moved, they are taken back, by
        :func:`tidy` if the process is killed, and files that they replaced are put back.
    """
    folder = staged.parent
    parents = {parent for file in files for parent in Path(file).parents}
    made = sorted(parent.as_posix() for parent in parents if not (folder / parent).exists())
    replaced = [file for file in files[:-1] if (folder / file).exists()]
    for file in replaced:
        (staged / REPLACED / file).parent.mkdir(parents=True, exist_ok=True)
    write_json(staged / JOURNAL, {"files": list(files), "folders": made, "replaced": replaced})
    try:
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            if file in replaced:
                os.replace(folder / file, staged / REPLACED / file)
            os.replace(staged / file, folder / file)
    except BaseException:
        _take_back(staged)
        raise


def _take_back(staged: Path) -> None:
    """Remove the files that were placed from a folder whose last one was not."""
    if not (staged / JOURNAL).is_file():
        return
    journal = read_json(staged / JOURNAL)
    *files, last = journal["files"]
    if not (staged / last).exists():
        return
    folder = staged.parent.resolve()
    # A collection from elsewhere may have such a list too; it can name its own files only.
    for target in (folder / file for file in files if not (staged / file).exists()):
        if target.resolve().is_relative_to(folder):
            target.unlink(missing_ok=True)
    for file in journal.get("replaced", ()):
        if (folder / file).resolve().is_relative_to(folder):
            # What was not moved away yet is still there.
            with contextlib.suppress(FileNotFoundError):
                os.replace(staged / REPLACED / file, folder / file)
    for made in reversed(journal["folders"]):
        if (folder / made).resolve().is_relative_to(folder):
            with contextlib.suppress(OSError):
                (folder / made).rmdir()


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A private folder for temporary files; where the process is killed, the next one to ask for such a folder clears it.

    Sockets are made in it, whose paths may have a hundred characters.
    """
    root = Path(tempfile.gettempdir())
    if os.name == "posix" and len(str(root)) > LONGEST_ROOT and os.access(SHORT_ROOT, os.W_OK):
        root = SHORT_ROOT
    with unfinished_folder(root / "twostage", 0o700) as folder:
        yield folder


def tidy(folder: Path) -> None:
    """Clear what killed processes left unfinished in a folder; first put back what they were replacing.

    What belongs to a process that is alive is left alone.
    """
    left = sorted(_left_over(folder))
    for path, _ in left:
        _take_back(path)
    for path, name in left:
        target = path.with_name(name)
        if path.suffix == f".{OLD}" and not target.exists():
            # Another command may do the same at this moment.
            with contextlib.suppress(FileNotFoundError):
                os.replace(path, target)
    for path, _ in left:
        _discard(path)


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


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # The system names the file that it cannot open, not the one for which there is no room.
        error.filename = error.filename or str(path)
        raise


def meant(path: str) -> str:
    """A path with the names that its unfinished parts are to have, as messages show it."""
    return re.sub(rf"(?<![^/\\]){_UNFINISHED.pattern}(?![^/\\])", r"\g<name>", path)


def _unfinished(path: Path, end: str) -> Path:
    return path.with_name(f".{path.name}.{HOST}-{os.getpid()}-{uuid.uuid4().hex[:8]}.{end}")


def _left_over(folder: Path) -> Iterator[tuple[Path, str]]:
    """Unfinished entries whose process has ended, and what each was to become."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    for path in map(folder.joinpath, names):
        if found := _UNFINISHED.fullmatch(path.name):
            dead = found["host"] == HOST and not psutil.pid_exists(int(found["pid"]))
            if dead or _untouched(path) > LEFT_OVER_SECONDS:
                yield path, found["name"]


def _untouched(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0


def _discard(path: Path) -> None:
    """Remove an unfinished entry; a folder is renamed first, so that half of it is never put back."""
    if path.suffix == f".{OLD}":
        doomed = path.with_suffix(f".{PART}")
        with contextlib.suppress(OSError):
            os.replace(path, doomed)
        path = doomed
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
