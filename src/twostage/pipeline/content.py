"""Files known by what is in them, whatever their date says."""

import hashlib
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from twostage.pipeline.errors import PipelineError

#: Size, times and place on the disk: what cannot stay the same while a file is written and put back.
Identity = tuple[int, int, int, int]


def digest(place: Path) -> str | None:
    """SHA-256 of a file, or of the names and contents of everything in a folder; None of anything else."""
    if place.is_dir():
        names = sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
        return digest_of("".join(f"{name}\0{digest(place / name)}\0" for name in names).encode())
    if not place.is_file():
        return None
    try:
        return _digest(place, identity(place))
    except (FileNotFoundError, NotADirectoryError):
        return None


def digest_of(content: bytes) -> str:
    """SHA-256 of what a file is to hold."""
    return hashlib.sha256(content).hexdigest()


def identity(file: Path | str) -> Identity:
    """Of a file; the time of its last change of any kind is in it, which nobody can set back."""
    found = os.stat(file)
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


@lru_cache(maxsize=100_000)
def _digest(file: Path, identity: Identity) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


class Unchanged:
    """Sees to it that what a step reads is what its run was planned with, from its beginning to its end.

    Parameters
    ----------
    planned : mapping
        File or folder -> its digest; None: there is none.

    Raises
    ------
    PipelineError
        Something is not as it was planned.
    """

    def __init__(self, planned: Mapping[Path, str | None]):
        self._before = _identities(planned)
        for place, expected in planned.items():
            if digest(place) != expected:
                raise PipelineError(_changed(place))

    def check(self) -> None:
        """Raise where something was written since, even if it is now as it was before.

        Raises
        ------
        PipelineError
            Naming the file or folder.
        """
        for place, now in _identities(self._before).items():
            if now != self._before[place]:
                raise PipelineError(_changed(place))


def _changed(place: Path) -> str:
    return f"{place}: written while the run was going on; give the command again, which does what is due now"


def _identities(places: Mapping[Path, object]) -> dict[Path, tuple[tuple[str, Identity], ...]]:
    return {place: tuple((str(f), identity(f)) for f in _files(place)) for place in places}


def _files(place: Path) -> list[Path]:
    return (
        sorted(f for f in place.rglob("*") if f.is_file()) if place.is_dir() else [place][: place.is_file()]
    )
