"""Members of a bundle -> a :class:`~twostage.sharing.layout.Bundle`, or every reason why not."""

from collections.abc import Mapping
from typing import Any

import pydantic

from twostage.collection import row_findings
from twostage.problems import Problem, expectation
from twostage.records import ONE_STAGE, Record
from twostage.sharing.consistency import inconsistencies
from twostage.sharing.layout import (
    BUNDLE_VERSION,
    MANIFEST,
    MEMBERS,
    OPTIONAL,
    PAGE,
    PULLED_MEMBERS,
    RECORD_MEMBERS,
    REPORT,
    STUDY,
    TEXT,
    TEXT_WORDS,
    Bundle,
    BundleError,
    Manifest,
    Report,
    content_checksum,
    digest,
    seal,
)
from twostage.sharing.strict_json import read_json
from twostage.sharing.sums import without_sums
from twostage.text import text_problems

#: More problems than that help nobody.
SHOWN = 20


CHANGED = "the bundle was changed after it was shared; ask the site to send it again"


def check_bundle(members: Mapping[str, bytes]) -> Bundle:
    """Validate everything a bundle says.

    Parameters
    ----------
    members : mapping
        Name -> content, of exactly the members of a bundle; the page may be missing, for nothing is read from it.

    Returns
    -------
    Bundle

    Raises
    ------
    BundleError
        With the reasons; later checks are only made of what earlier ones left in order.
    """
    values, problems = _parsed({name: members[name] for name in MEMBERS if name in members and name != PAGE})
    pulled = isinstance(values.get(MANIFEST), dict) and values[MANIFEST].get("pulled") is not None
    wanted = PULLED_MEMBERS if pulled else MEMBERS
    missing = [name for name in wanted if name not in members and name not in (PAGE, *OPTIONAL)]
    _stop([Problem(name, None, None, "nothing", "this member") for name in missing])
    _stop(problems)
    manifest = _manifest(values[MANIFEST], members[MANIFEST])
    listed = {name for name in wanted if name not in OPTIONAL or name in members} - {MANIFEST}
    _stop(_checksums(manifest, members, listed))
    report, info, records = _models(values, members)
    there = {analysis: values[name] for analysis, name in RECORD_MEMBERS.items() if name in values}
    checksum = content_checksum(there)
    _stop(inconsistencies(records, info, manifest.parameters, checksum))
    if info["study"] != manifest.study:
        _stop([Problem(STUDY, None, "study", info["study"], f"{manifest.study!r}, as the manifest says")])
    return Bundle(
        manifest, info, report, records, {name: members[name] for name in MEMBERS if name in members}
    )


def _stop(problems: list[Problem]) -> None:
    if problems:
        raise BundleError(problems[:SHOWN])


def _parsed(members: dict[str, bytes]) -> tuple[dict[str, Any], list[Problem]]:
    values, problems = {}, []
    for name, content in members.items():
        try:
            values[name] = read_json(content)
        except ValueError as error:
            problems.append(Problem(name, None, None, str(error), "strict JSON"))
            continue
        wrong = next((text for text in _texts(values[name]) if not TEXT.fullmatch(text)), None)
        if unseen := text_problems(name, values[name]):
            problems.append(unseen[0])
        elif wrong is not None:
            problems.append(Problem(name, None, None, wrong[:80], TEXT_WORDS))
    return values, problems


def _texts(value: Any):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _manifest(value: Any, content: bytes) -> Manifest:
    found = value.get("schema_version") if isinstance(value, dict) else None
    if found != BUNDLE_VERSION or isinstance(found, bool):
        expected = (
            f"{BUNDLE_VERSION}; this version of twostage reads no other: both sides need the same version"
        )
        _stop([Problem(MANIFEST, None, "schema_version", found, expected)])
    manifest, problems = _model(Manifest, content, MANIFEST)
    _stop(problems)
    if manifest.seal != seal(value):
        _stop(
            [Problem(MANIFEST, None, "seal", manifest.seal, f"{seal(value)}, the manifest's own: {CHANGED}")]
        )
    return manifest


def _model(model: type[pydantic.BaseModel], content: bytes, name: str):
    """Validate one member, from its bytes: JSON has arrays where the model has tuples."""
    try:
        return model.model_validate_json(content, strict=True), []
    except pydantic.ValidationError as error:
        return None, [
            Problem(
                name, None, ".".join(map(str, d["loc"]))[:80] or None, repr(d["input"])[:80], expectation(d)
            )
            for d in error.errors()[:SHOWN]
        ]


def _checksums(manifest: Manifest, members: Mapping[str, bytes], listed: set[str]) -> list[Problem]:
    if set(manifest.members) != listed:
        return [Problem(MANIFEST, None, "members", sorted(manifest.members), f"{sorted(listed)}")]
    return [
        Problem(name, None, "sha256", found, f"{manifest.members[name]}, as the manifest says: {CHANGED}")
        for name in sorted(listed & set(members))
        if (found := digest(members[name])) != manifest.members[name]
    ]


def _models(values: dict[str, Any], members: Mapping[str, bytes]) -> tuple[Report, dict, dict[str, Record]]:
    report, problems = Report(checks=(), remains=()), []
    if REPORT in members:
        report, problems = _model(Report, members[REPORT], REPORT)
    problems += [Problem(STUDY, None, *finding) for finding in row_findings(values[STUDY])]
    records = {}
    for analysis, name in RECORD_MEMBERS.items():
        if name in members:
            records[analysis], more = _model(Record, members[name], name)
            problems += more
    _stop(problems)
    if ONE_STAGE not in records:
        records[ONE_STAGE] = without_sums(records["lagged"])
    return report, values[STUDY], records
