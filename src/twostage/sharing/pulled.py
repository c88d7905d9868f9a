"""Studies pulled from another group's results: kept and checked as bundles are, with an origin instead of rules."""

import math
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import version
from typing import Any

from twostage.collection import FOLDER, Collection, Variable
from twostage.files import place_files, unfinished_folder, write_files
from twostage.params import Parameters
from twostage.problems import Problem
from twostage.records import Record
from twostage.sharing.accept import objections
from twostage.sharing.check import check_bundle
from twostage.sharing.layout import (
    BUNDLE_VERSION,
    MANIFEST,
    RECORD_MEMBERS,
    STUDY,
    Bundle,
    BundleError,
    Pulled,
    content_checksum,
    digest,
    seal,
    to_json,
)
from twostage.sharing.same_results import ANALYSIS, EXPECTED, own_records, same_results
from twostage.sharing.stored import stored_bundles

#: How closely an estimate and its error agree with another study's where they are the same: not rounded, but for the last
#: digits. Two studies agree so by chance about once in 1e10.
SAME = 1e-6


def pulled_bundle(
    records: Mapping[str, Record],
    info: Mapping[str, str],
    pair: Sequence[Variable],
    parameters: Parameters,
    origin: Pulled,
    today: date,
) -> Bundle:
    """A study's results as a collection keeps them.

    Parameters
    ----------
    records : mapping
        analysis -> record, of every analysis.
    info : mapping
        The study's row of the registry, as text.
    pair : sequence of Variable
        x and y.
    parameters : Parameters
        With which the results were computed.
    origin : Pulled
    today : date

    Raises
    ------
    BundleError
        With every reason why they cannot be used.
    """
    contents = {a: record.model_dump(mode="json") for a, record in records.items()}
    checksum = content_checksum(contents)
    members = {STUDY: to_json(dict(info))}
    members |= {RECORD_MEMBERS[a]: to_json(c | {"data_checksum": checksum}) for a, c in contents.items()}
    manifest: dict[str, Any] = {
        "schema_version": BUNDLE_VERSION,
        "package_version": version("twostage"),
        "study": info["study"],
        "created": today.isoformat(),
        "x": vars(pair[0]),
        "y": vars(pair[1]),
        "parameters": parameters.model_dump(mode="json"),
        "pulled": origin.model_dump(mode="json"),
        "members": {name: digest(content) for name, content in sorted(members.items())},
    }
    return check_bundle(members | {MANIFEST: to_json(manifest | {"seal": seal(manifest)})})


def add_pulled(bundles: Sequence[Bundle], collection: Collection, *, replace: bool = False) -> None:
    """Add pulled studies to a collection: all of them or none.

    Parameters
    ----------
    bundles : sequence of Bundle
        As of :func:`pulled_bundle`.
    collection : Collection
    replace : bool
        Whether earlier results of the studies may be replaced.

    Raises
    ------
    BundleError
        With every reason why they do not fit; nothing is written.
    """
    problems = [
        Problem(f"{b.study}, {p.file}", p.row, p.column, p.value, p.expected)
        for b in bundles
        for p in objections(b, collection, replace, "use --prefix")
    ]
    if problems := problems or _twice(bundles, collection):
        raise BundleError(problems)
    home = collection.path / FOLDER
    home.mkdir(exist_ok=True)
    with unfinished_folder(home / "pulled") as new:
        # Of each study the manifest comes last: without it the study is not there.
        order = [(b, name) for b in bundles for name in sorted(b.content, key=MANIFEST.__eq__)]
        write_files({new / b.study / name: b.content[name] for b, name in order})
        place_files(new, [f"{b.study}/{name}" for b, name in order])


def _twice(bundles: Sequence[Bundle], collection: Collection) -> list[Problem]:
    """Studies that the collection has under another id, or that are pulled twice."""
    new = {bundle.study for bundle in bundles}
    others = {s: b.records[ANALYSIS] for s, b in stored_bundles(collection).items() if s not in new}
    others |= own_records(collection, bundles[0])
    problems = []
    for bundle in bundles:
        problems += same_results(bundle, others) or _same_effects(bundle, others)
        others[bundle.study] = bundle.records[ANALYSIS]
    return problems


def _same_effects(bundle: Bundle, others: Mapping[str, Record]) -> list[Problem]:
    """The same where too few estimates were pulled to compare whole analyses: one that is equal to all its digits."""
    own = _numbers(bundle.records[ANALYSIS])
    found = [
        study
        for study, record in others.items()
        if any(_equal(own[key], theirs) for key, theirs in _numbers(record).items() if key in own)
    ]
    member = RECORD_MEMBERS[ANALYSIS]
    return [Problem(member, None, "study", f"{bundle.study}, with an effect of {s}", EXPECTED) for s in found]


def _numbers(record: Record) -> dict[tuple[str, str, str], tuple[float, float]]:
    return {(e.variant, e.direction, e.term): (e.estimate, e.std_error) for e in record.estimates}


def _equal(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(math.isclose(a, b, rel_tol=SAME) for a, b in zip(one, other, strict=True))
