"""``part.yml``: some studies of a collection, as a folder that names them and holds no data."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from twostage.problems import CollectionError, Problem
from twostage.text import YamlError, read_yaml, yaml_text

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
    return yaml_text({"collection": place, "studies": list(part.studies)})


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
        content = read_yaml(path, str(path))
    except OSError as error:
        raise _wrong(path, error.strerror) from None
    except YamlError as error:
        raise CollectionError(error.problems) from None
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
    if not isinstance(value, Sequence) or isinstance(value, str):
        return False
    return len(value) > 0 and all(isinstance(v, str) for v in value)


def _wrong(path: Path, found: object) -> CollectionError:
    expected = "'collection: folder' and 'studies: [id, ...]', nothing else"
    return CollectionError([Problem(str(path), None, None, found, expected)])
