"""What a study may be called: its id is a file's name, a folder's, a page's address and a cell of every table."""

import re
from collections.abc import Iterable

#: Shape of an id; ASCII only, so that no file system has another spelling of it but in capitals.
PATTERN, WORDS = r"[A-Za-z0-9_]{1,64}", "letters, digits and underscores only, 64 at most"


#: Names that Windows keeps for devices, whatever follows them after a point: CON.csv is the console.
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10))}


#: Folders of a run beside those of the studies, and rows of tables that are no study's.
OURS = {"pooled", "tutorials", "part", "all", "mean", "tau"}


def why_not(id: str) -> str | None:
    """What was expected instead of an id that cannot be used; None of one that can."""
    if not re.fullmatch(PATTERN, id):
        return WORDS
    if id.casefold() in OURS:
        return "another name: this one has a meaning of its own in runs and tables"
    return "another name: Windows keeps this one for a device" if id.casefold() in DEVICES else None


def is_device(name: str) -> bool:
    """Whether a file or folder of this name cannot be made on Windows: a device's name, or a point or blank at its end."""
    return name.split(".")[0].strip().casefold() in DEVICES or name.rstrip(". ") != name


def same_file(id: str, others: Iterable[str]) -> str | None:
    """The first of other ids that differs from this one in capitals only; None if there is none."""
    return next((other for other in others if other != id and other.casefold() == id.casefold()), None)


#: What to do about two ids that :func:`same_file` finds.
TELL_APART = "ids that differ in more than capitals: Windows and macOS keep both in one file"
