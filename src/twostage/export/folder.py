"""The folder of an export: its own files are replaced, everything else in it is left alone."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from twostage.files import as_json, read_json, write_files
from twostage.problems import Problem, ProblemError

#: What an export wrote, with the checksum of each file.
LIST = "export.json"


class ExportError(ProblemError):
    """An export cannot be written where it was asked for."""

    subject = "export"


def place(
    contents: Mapping[str, bytes], folder: Path, about: Mapping[str, str], *, force: bool = False
) -> list[str]:
    """Write an export; files of an earlier one that this one does not have are removed.

    Parameters
    ----------
    contents : mapping
        Path within the folder -> content.
    folder : Path
        New or empty, or that of an earlier export.
    about : mapping
        What the list of files says of where they are from.
    force : bool
        Also replace what was changed since.

    Returns
    -------
    list of str
        The files, sorted.

    Raises
    ------
    ExportError
        The folder holds something else, or files that somebody has changed or that are not the export's own.
    """
    mine = _earlier(folder)
    if not force:
        _refuse_changed(contents, folder, mine)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())}
    list_ = as_json({**about, "files": sums}).encode()
    write_files({**{folder / name: content for name, content in contents.items()}, folder / LIST: list_})
    for name in set(mine) - set(contents):
        (folder / name).unlink(missing_ok=True)
    return list(sums)


def _earlier(folder: Path) -> dict[str, str]:
    """The files of an earlier export with their checksums; empty where the folder is new or empty."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return {}
    expected = "a new or empty folder, or that of an earlier export"
    try:
        found = read_json(folder / LIST)["files"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ExportError([Problem(str(folder), None, None, "other files", expected)]) from None
    inside = folder.resolve()
    # A list from elsewhere can name files of the folder only.
    wrong = not isinstance(found, dict) or any(
        not (folder / name).resolve().is_relative_to(inside) for name in found
    )
    if wrong:
        raise ExportError([Problem(str(folder / LIST), None, None, "no list of an export's files", expected)])
    return found


def _refuse_changed(contents: Mapping[str, bytes], folder: Path, mine: Mapping[str, str]) -> None:
    problems = []
    for name in sorted({*contents, *mine}):
        path = folder / name
        if not path.is_file():
            continue
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if mine.get(name) != found:
            said = "changed since it was exported" if name in mine else "a file that no export wrote"
            expected = "its own files only are replaced: move it, choose another folder, or --force"
            problems.append(Problem(str(path), None, None, said, expected))
    if problems:
        raise ExportError(problems)
