"""What a bundle consists of: its members, their schema and the limits of their size."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import ConfigDict, Field, StringConstraints

from twostage.collection import PATTERN
from twostage.params import Parameters
from twostage.problems import ProblemError
from twostage.records import ANALYSES, ONE_STAGE, Record


class BundleError(ProblemError):
    """A bundle that is damaged, inconsistent, hostile or does not fit the collection."""

    subject = "bundle"

    def within(self, file: str) -> "BundleError":
        """The same with the name of the bundle's file before those of its members."""
        return BundleError([replace(p, file=f"{file}, {p.file}") for p in self.problems])


class DisclosureError(ProblemError):
    """Results that would say too much about single patients and are not shared."""

    subject = "study to share"


#: Raised when the meaning of a member or field changes; a reader refuses other versions.
BUNDLE_VERSION = 1


MANIFEST, STUDY, REPORT, PAGE = "manifest.json", "study.json", "disclosure.json", "disclosure.html"


RECORD_MEMBERS = {analysis: f"records/{analysis}.json" for analysis in ANALYSES}


#: All members; a bundle has each of them once and no other.
MEMBERS = (MANIFEST, STUDY, REPORT, PAGE, *RECORD_MEMBERS.values())


#: Members that a bundle has only if the site chose to share them; bundles of earlier versions have none of them.
OPTIONAL = (RECORD_MEMBERS[ONE_STAGE],)


#: Members of a study that was pulled: no site withheld anything from it, and none shared its sums.
PULLED_MEMBERS = tuple(m for m in (MANIFEST, STUDY, *RECORD_MEMBERS.values()) if m not in OPTIONAL)


#: Bytes of the archive, of a member and of all members; a record takes some 50 kB. Text compresses to a tenth or so.
MOST_ARCHIVE, MOST_MEMBER, MOST_TOTAL, MOST_RATIO = 8_000_000, 4_000_000, 16_000_000, 100


#: A bundle's texts have no markup either, although pages would show it as text: whoever sends some is not a site.
TEXT = re.compile(r"[^<>{}`|$\[\]\\]{0,500}")


TEXT_WORDS = "a text of at most 500 characters without < > { } [ ] ` | $ and backslashes"


#: Significant digits unless the site chooses; digits that tell a double exactly.
DEFAULT_DIGITS, MOST_DIGITS = 2, 17


Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class _Model(pydantic.BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class Filters(_Model):
    """Thresholds of disclosure control, called as in DataSHIELD (wiki.datashield.org, Disclosure checks).

    Attributes
    ----------
    tab : int
        Fewest patients in a cell, other than none; also the least difference of two counts that could be
        subtracted. DataSHIELD's default is 3; 5 is the commoner rule. Below 3 what is withheld could only be 1.
    glm : float
        Most coefficients of a model per patient.
    subset : int
        Fewest patients of a study, and of a model. DataSHIELD's default is 3.
    digits : int or None
        Significant digits to which numbers are rounded; 17 tell every number exactly, None: not rounded. With the
        default the difference of two bundles tells no patient's scores (tests/sharing/attacks/README.md).
    """

    tab: Annotated[int, Field(strict=True, ge=3, le=1000)] = Field(5, alias="nfilter.tab")
    glm: Annotated[float, Field(gt=0, le=1)] = Field(0.33, alias="nfilter.glm")
    subset: Annotated[int, Field(strict=True, ge=3, le=1000)] = Field(10, alias="nfilter.subset")
    digits: Annotated[int, Field(strict=True, ge=2, le=MOST_DIGITS)] | None = DEFAULT_DIGITS


class Variable(_Model):
    """One of the pair, as the site's ``collection.yml`` has it."""

    name: str
    label: str
    better: Literal["higher", "lower"]


def seal(manifest: Mapping[str, Any]) -> str:
    """Checksum of a manifest that does not count its own ``seal``."""
    return digest(to_json({name: value for name, value in manifest.items() if name != "seal"}))


class Pulled(_Model):
    """Where the results of a study come from that no site shared as a bundle: another group's, which were pulled.

    Attributes
    ----------
    title : str
        Of their collection, or what a mapping calls the source of a table.
    study : str
        Their id of the study.
    made : str or None
        The day on which their results were made.
    checksum : str
        SHA-256 of the table that was pulled.
    original : str
        Where they had the study from: its data, a bundle, results that they pulled themselves; or a plain table.
    """

    title: str
    study: str
    made: str | None = Field(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
    checksum: Sha256
    original: Literal["participants", "bundle", "pulled", "table"]


class Manifest(_Model):
    """What the bundle is and what its members must be; a pulled study has an origin instead of rules."""

    schema_version: Literal[1]
    package_version: str
    study: str = Field(pattern=f"^{PATTERN}$")
    created: str = Field(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
    x: Variable
    y: Variable
    parameters: Parameters
    filters: Filters | None = None
    pulled: Pulled | None = None
    members: dict[str, Sha256]
    seal: Sha256

    @pydantic.model_validator(mode="after")
    def _is_shared_or_pulled(self) -> Self:
        if (self.filters is None) == (self.pulled is None):
            raise ValueError(
                "either the filters of the site that shared it, or the origin of what was pulled"
            )
        return self


class Check(_Model):
    """One rule of disclosure control and what it withheld."""

    name: str
    rule: str
    threshold: float | None
    withheld: tuple[str, ...]


class Report(_Model):
    """What disclosure control looked at and withheld."""

    checks: tuple[Check, ...]
    remains: tuple[str, ...]


@dataclass(frozen=True)
class Bundle:
    """A study's shareable results, validated.

    Attributes
    ----------
    manifest : Manifest
    info : dict
        The study's row of the registry, as text; `n` is empty if it is withheld.
    report : Report
    records : dict
        analysis -> :class:`twostage.records.record.Record`.
    content : dict
        member -> its bytes.
    """

    manifest: Manifest
    info: dict[str, str]
    report: Report
    records: dict[str, Record]
    content: dict[str, bytes]

    @property
    def study(self) -> str:
        """Id of the study."""
        return self.manifest.study


def to_json(value: Any) -> bytes:
    """A value as a member of the bundle: equal values give equal bytes."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, indent=1)
    return f"{text}\n".encode()


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def content_checksum(records: Mapping[str, Mapping[str, Any]]) -> str:
    """What stands in shared records for the checksum of the data: one of all the records' own content.

    Who can guess a small study's data could confirm the guess by their checksum. This one changes when a shared
    number changes and says nothing that the records do not say.

    Parameters
    ----------
    records : mapping
        analysis -> content of the record as plain values; a later version's new fields are not in an earlier
        version's bundle and do not count.
    """
    contents = {a: {k: v for k, v in r.items() if k != "data_checksum"} for a, r in records.items()}
    return digest(to_json(contents))
