"""The releases of a collection's results: ``versions.csv`` beside its files, and each release's whole in ``releases/``.

A release is never changed: rows are added to the table, folders beside others. Both are read again with their checksums.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pydantic

from twostage.collection import VERSIONS
from twostage.files import place_files, unfinished_folder, write_files
from twostage.interchange import pooled
from twostage.interchange.documents import Pooled
from twostage.interchange.pooled import as_results
from twostage.problems import Problem, ProblemError, expectation
from twostage.stage2 import Results
from twostage.text import read_csv, to_csv

#: Folder of the releases, in a collection's folder, beside the table.
FOLDER = "releases"


#: Columns of the table: one row for each release and coefficient that answers the question.
COLUMNS = [
    *("release", "date", "package_version", "data_sha256", "results_sha256", "studies"),
    *("analysis", "direction", "term", "k", "n_patients"),
    *("estimate", "ci_low", "ci_high", "pi_low", "pi_high", "tau2", "i2", "zero"),
]


class ReleaseError(ProblemError):
    """The list of releases is damaged, or a release was changed."""

    subject = "releases"


@dataclass(frozen=True)
class Release:
    """One release.

    Attributes
    ----------
    number : int
        From 1 on.
    sha256 : str
        Of its ``pooled.json``.
    document : Pooled
    """

    number: int
    sha256: str
    document: Pooled

    @property
    def name(self) -> str:
        """As pages call it."""
        return f"release {self.number}"

    @property
    def results(self) -> Results:
        """Its pooled coefficients."""
        return as_results(self.document, self.name)


def release_folder(collection: Path, number: int) -> Path:
    """Where the files of a release are."""
    return collection / FOLDER / f"{number:03d}"


def data_checksum(document: Pooled) -> str:
    """SHA-256 over the studies' ids and the checksums of their data, as books say it."""
    text = "".join(f"{study.study} {study.checksum}\n" for study in document.studies)
    return hashlib.sha256(text.encode()).hexdigest()


def zero(low: float, high: float) -> str:
    """What a confidence interval says of zero; empty where there is none."""
    if low > 0:
        return "above zero"
    if high < 0:
        return "below zero"
    return "includes zero" if low == low and high == high else ""


def read_releases(collection: Path) -> list[Release]:
    """Every release, the first one first; none where the collection has no list.

    Raises
    ------
    ReleaseError
        If a release is not what the list says.
    """
    table = read_versions(collection)
    rows = table.drop_duplicates("release")[["release", "results_sha256"]].itertuples(index=False, name=None)
    return [_release(collection, place, *row) for place, row in enumerate(rows, start=1)]


def read_versions(collection: Path) -> pd.DataFrame:
    """The list of releases; empty where there is none.

    Raises
    ------
    ReleaseError
        If it is no such list.
    """
    path = collection / VERSIONS
    if not path.is_file():
        return pd.DataFrame(columns=COLUMNS)
    try:
        table = read_csv(path)
    except (ValueError, UnicodeError) as error:
        raise ReleaseError(
            [Problem(VERSIONS, None, None, str(error)[:200], "the list that 'twostage update' keeps")]
        ) from None
    if list(table) != COLUMNS:
        found = ", ".join(map(str, table))[:200]
        raise ReleaseError([Problem(VERSIONS, 1, None, found, f"the columns {', '.join(COLUMNS)}")])
    return table


def _release(collection: Path, place: int, number: Any, checksum: str) -> Release:
    name = f"{FOLDER}/{place:03d}/{pooled.FILE}"
    if number != place:
        raise ReleaseError([Problem(VERSIONS, None, "release", number, f"{place}, as releases are counted")])
    try:
        content = (collection / name).read_bytes()
    except OSError as error:
        raise ReleaseError(
            [Problem(name, None, None, error.strerror, "the release that versions.csv names")]
        ) from None
    if (found := hashlib.sha256(content).hexdigest()) != checksum:
        expected = f"{checksum}, as versions.csv says: a release is never changed"
        raise ReleaseError([Problem(name, None, "sha256", found, expected)])
    try:
        return Release(place, found, Pooled.model_validate_json(content, strict=True))
    except pydantic.ValidationError as error:
        detail = error.errors()[0]
        where = ".".join(map(str, detail["loc"]))
        raise ReleaseError(
            [Problem(name, None, where, repr(detail["input"])[:80], expectation(detail))]
        ) from None


def same_results(a: Pooled, b: Pooled) -> bool:
    """Whether two documents say the same of the same data, whatever the run was called and when it was made."""
    once = {"made", "run"}
    return a.model_dump(exclude=once) == b.model_dump(exclude=once)


def make_release(number: int, document: Pooled) -> tuple[Release, bytes]:
    """A release and the content of its file."""
    content = f"{document.model_dump_json(by_alias=True, indent=1)}\n".encode()
    return Release(number, hashlib.sha256(content).hexdigest(), document), content


def version_rows(release: Release) -> pd.DataFrame:
    """The rows of a release in ``versions.csv``."""
    document = release.document
    about = {
        "release": release.number,
        "date": document.made,
        "package_version": document.package_version,
        "data_sha256": data_checksum(document),
        "results_sha256": release.sha256,
        "studies": len(document.studies),
    }
    rows = [
        about | row | {"zero": zero(row["ci_low"], row["ci_high"])}
        for row in release.results.headline().to_dict("records")
    ]
    return pd.DataFrame(rows)[COLUMNS] if rows else pd.DataFrame([about], columns=COLUMNS)


def add_release(collection: Path, release: Release, contents: dict[str, bytes]) -> Path:
    """Add a release: its files and its rows, all or nothing; nothing that is there is changed.

    Parameters
    ----------
    collection : Path
    release : Release
    contents : dict
        Name -> content of the files of its folder.

    Returns
    -------
    Path
        Its folder.

    Raises
    ------
    ReleaseError
        If another release of that number is there.
    """
    folder, table = release_folder(collection, release.number), collection / VERSIONS
    earlier = read_versions(collection)
    if folder.exists() or release.number != earlier["release"].nunique() + 1:
        found = f"release {release.number}"
        raise ReleaseError(
            [Problem(str(folder), None, None, found, "a new number: another update was faster")]
        )
    text = to_csv(version_rows(release))
    before = table.read_bytes() if table.is_file() else b""
    added = text if not before else text.split("\n", 1)[1]
    names = {f"{FOLDER}/{folder.name}/{name}": content for name, content in contents.items()}
    with unfinished_folder(collection / VERSIONS) as new:
        write_files(
            {new / name: content for name, content in names.items()}
            | {new / VERSIONS: before + added.encode()}
        )
        place_files(new, [*names, VERSIONS])
    return folder
