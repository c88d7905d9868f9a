"""``part.yml``: some studies of a collection, as a folder that names them and holds no data."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from twostage.problems import CollectionError, Problem

FILE = "part.yml"


class Part(NamedTuple):
    """Which studies of which collection.

    Attributes
    ----------
    collection : Path
        The whole collection's folder.
    studies : tuple of str
    """

    collection: Path
    studies: tuple[str, ...]


def part_text(folder: Path, part: Part) -> str:
    """Content of a folder's ``part.yml``; the collection is named from that folder, so both may move."""
    try:
        place = Path(os.path.relpath(part.collection, folder)).as_posix()
    except ValueError:  # on another drive
        place = part.collection.resolve().as_posix()
    return yaml.safe_dump({"collection": place, "studies": list(part.studies)}, allow_unicode=True)


def read_part(folder: Path) -> Part | None:
    """Read a folder's ``part.yml``; None if it has none.

    Raises
    ------
    CollectionError
        If the file does not name a collection and studies.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise _wrong(path, " ".join(str(error).split())) from None
    if not isinstance(content, dict) or set(content) != {"collection", "studies"}:
        raise _wrong(path, content)
    place, studies = content["collection"], content["studies"]
    if not isinstance(place, str) or not _texts(studies):
        raise _wrong(path, content)
    whole = (folder / place).resolve()
    if (whole / FILE).is_file():
        raise _wrong(path, f"{place}, itself a part")
    return Part(whole, tuple(studies))


def _texts(value: object) -> bool:
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return is_list and len(value) > 0 and all(isinstance(v, str) for v in value)


def _wrong(path: Path, found: object) -> CollectionError:
    expected = "'collection: folder' and 'studies: [id, ...]', nothing else"
    return CollectionError([Problem(str(path), None, None, found, expected)])
