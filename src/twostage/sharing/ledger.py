"""A site's list of what it shared: ``shared.json`` in its collection, never in a bundle.

Two bundles of one study can be subtracted. Where their data or options differ by one patient, exact results then give
this patient's scores; so a second bundle with other results is refused unless the site says that it is meant.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pydantic
from pydantic import ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from twostage.collection import overlaps, patient_series
from twostage.files import write_bytes
from twostage.problems import Problem, expectation
from twostage.records import Record
from twostage.sharing.layout import DisclosureError, Sha256, digest, to_json
from twostage.sharing.strict_json import read_json

FILE = "shared.json"


#: What differs from bundle to bundle though every number is the same.
_NAMES = {"data_checksum", "package_version", "study", "label"}


_READ_ME = "what was shared from this collection; twostage share reads it, and it belongs to no bundle"


class Entry(pydantic.BaseModel):
    """One bundle that was written.

    Attributes
    ----------
    date : str
    study : str
    data, results : str
        Checksums of the study's data and of every number in the bundle.
    parameters, filters : dict
        With which it was made; `filters` has the digits.
    package_version : str
    patients : tuple of str
        A checksum of each patient's scores, by which the same patients are recognised under another id of the study; none
        in lists of earlier versions.
    sums : bool
        Whether it has exact sums.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    date: str = Field(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
    study: str
    data: Sha256
    results: Sha256
    parameters: dict[str, str | int | float | bool]
    filters: dict[str, int | float | None]
    package_version: str
    patients: tuple[Annotated[str, Field(pattern="^[0-9a-f]{16}$")], ...] = ()
    sums: bool = False

    @model_serializer(mode="wrap")
    def _as_before_without_sums(self, content: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """An earlier version can read the list as long as no exact sums are in it, of which it would know nothing."""
        values = content(self)
        return values if self.sums else {k: v for k, v in values.items() if k != "sums"}

    def differences(self, later: "Entry") -> str:
        """What is not as it was when this bundle was made, in words."""
        found = [] if later.data == self.data else ["the study's data"]
        if (n := self.same_patients(later)) and later.study.casefold() != self.study.casefold():
            found.insert(0, f"the study's id, and {n} patients have the same scores")
        for name in ("parameters", "filters"):
            old, new = getattr(self, name), getattr(later, name)
            found += [f"{n} {old.get(n)} (now {v})" for n, v in new.items() if old.get(n) != v]
        if self.package_version != later.package_version:
            found.append(f"twostage {self.package_version} (now {later.package_version})")
        return ", ".join(found) or "nothing but the numbers"

    def same_patients(self, later: "Entry") -> int:
        """How many patients the two studies have in common; 0 if these may agree by chance."""
        found = overlaps({"earlier": _series(self), "later": _series(later)})
        return found[0][2] if found else 0


class Ledger(pydantic.BaseModel):
    """All of them, the earliest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str = _READ_ME
    bundles: tuple[Entry, ...] = ()

    def same_results(self, new: Entry) -> Entry | None:
        """The earliest bundle of the study with the same numbers."""
        return next((e for e in self._of(new) if e.results == new.results), None)

    def other_results(self, new: Entry) -> Entry | None:
        """The latest bundle of the study, or of the same data or patients under another id, with other numbers."""
        return next((e for e in reversed(self._of(new)) if e.results != new.results), None)

    def other_sums(self, new: Entry) -> Entry | None:
        """The latest bundle of the study, its data or patients with exact sums and other numbers."""
        return next((e for e in reversed(self._of(new)) if e.sums and e.results != new.results), None)

    def _of(self, new: Entry) -> list[Entry]:
        own = new.study.casefold()
        return [
            e for e in self.bundles if e.study.casefold() == own or e.data == new.data or e.same_patients(new)
        ]


def patient_checksums(sessions: pd.DataFrame) -> tuple[str, ...]:
    """A checksum of the scores of each patient who can be recognised by them, in an order that says nothing."""
    return tuple(sorted(f"{series:016x}" for series in patient_series(sessions)))


def _series(entry: Entry) -> np.ndarray:
    return np.array([int(series, 16) for series in entry.patients], dtype=np.uint64)


def results_checksum(records: Mapping[str, Record]) -> str:
    """Checksum of every number of some records, whatever the study is called and whichever version made them."""
    return digest(to_json({a: _numbers(record.model_dump(mode="json")) for a, record in records.items()}))


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _numbers(v) for name, v in value.items() if name not in _NAMES}
    return [_numbers(v) for v in value] if isinstance(value, list) else value


def read_ledger(collection: Path) -> Ledger:
    """What a collection shared; empty if it has no list.

    Raises
    ------
    DisclosureError
        If the file cannot be read.
    """
    path = collection / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Ledger()
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from None
    try:
        read_json(content)
        return Ledger.model_validate_json(content, strict=True)
    except pydantic.ValidationError as error:
        wrong = error.errors()[0]
        place = ".".join(map(str, wrong["loc"]))
        raise _unusable(path, f"{place}: {wrong['input']!r:.80} instead of {expectation(wrong)}") from None
    except ValueError as error:
        raise _unusable(path, " ".join(str(error).split())[:200]) from None


def _unusable(path: Path, found: str) -> DisclosureError:
    expected = (
        "the list of what was shared, as twostage share wrote it: take it from a copy of the collection; without it "
        "nobody knows whether a new bundle can be subtracted from one that was sent"
    )
    return DisclosureError([Problem(str(path), None, None, found, expected)])


def refuse_second(ledger: Ledger, new: Entry, collection: Path) -> None:
    """Refuse a bundle that differs from one that was shared.

    Raises
    ------
    DisclosureError
        With what differs and why that matters.
    """
    earlier = ledger.other_results(new)
    if earlier is None or ledger.same_results(new):
        return
    found = f"a bundle of {earlier.study} of {earlier.date} with other results: {earlier.differences(new)}"
    expected = (
        "one bundle of a study: two can be subtracted from each other, and where they differ by one patient the difference "
        "may be this patient's scores. Share the same again with the same options as then; or, if the earlier bundle was "
        "never passed on or the risk is accepted, add --second-bundle"
    )
    raise DisclosureError([Problem(str(collection / FILE), None, None, found, expected)])


def refuse_second_sums(ledger: Ledger, new: Entry, collection: Path) -> None:
    """Refuse exact sums of which other ones were shared: no option allows it.

    Raises
    ------
    DisclosureError
        With what differs.
    """
    earlier = ledger.other_sums(new)
    if earlier is None or not new.sums or ledger.same_results(new):
        return
    found = f"exact sums of {earlier.study} of {earlier.date} with other results: {earlier.differences(new)}"
    expected = (
        "exact sums of a study once: less those of another window, unit or version of the data they are the sums of the "
        "patients or sessions by which the two differ, to the last digit. Share the same again with the same options as "
        "then, or share without the sums"
    )
    raise DisclosureError([Problem(str(collection / FILE), None, None, found, expected)])


def note(ledger: Ledger, new: Entry, collection: Path) -> None:
    """Add a bundle to the list; the file is replaced in one step.

    Raises
    ------
    DisclosureError
        If it cannot be written: what cannot be noted is not shared.
    """
    if ledger.same_results(new):
        return
    path = collection / FILE
    content = ledger.model_copy(update={"bundles": (*ledger.bundles, new)})
    try:
        write_bytes(path, to_json(content.model_dump(mode="json")))
    except OSError as error:
        expected = (
            "a folder that can be written: every bundle is noted there, and one that is not is not shared"
        )
        raise DisclosureError([Problem(str(path), None, None, error.strerror, expected)]) from None
