"""A site's side: run stage 1 here, withhold what must not be disclosed, pack the rest."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from twostage.collection import Collection, Study, schema
from twostage.files import write_files
from twostage.params import Parameters
from twostage.problems import Problem
from twostage.records import ONE_STAGE, Record, stage1_records
from twostage.sharing.archive import pack, unpack
from twostage.sharing.check import check_bundle
from twostage.sharing.disclosure import protect
from twostage.sharing.layout import (
    BUNDLE_VERSION,
    MANIFEST,
    MEMBERS,
    PAGE,
    RECORD_MEMBERS,
    REPORT,
    STUDY,
    Bundle,
    BundleError,
    DisclosureError,
    Filters,
    Report,
    digest,
    seal,
    to_json,
)
from twostage.sharing.ledger import (
    Entry,
    note,
    patient_checksums,
    read_ledger,
    refuse_second,
    refuse_second_sums,
    results_checksum,
)
from twostage.sharing.local import look
from twostage.sharing.page import disclosure_page
from twostage.sharing.summaries import own_count
from twostage.sharing.sums import cell_sizes


@dataclass(frozen=True)
class Shared:
    """A study's bundle as it was written.

    Attributes
    ----------
    bundle : Bundle
    n_patients : int
        Patients in the analysis, for the site only: the bundle may withhold it.
    earlier : Entry or None
        The latest bundle of the study with other results, if there is one.
    again : bool
        Whether the same results were shared before.
    """

    bundle: Bundle
    n_patients: int
    earlier: Entry | None
    again: bool


class _Protected(NamedTuple):
    """What may be shared of a study, and what only the site knows."""

    study: Study
    records: dict[str, Record]
    report: Report
    n_patients: int


def share_study(
    collection: Collection,
    study: str,
    parameters: Parameters,
    filters: Filters,
    target: Path,
    *,
    today: date,
    replace: bool = False,
    second: bool = False,
    sums: bool = False,
) -> Shared:
    """Write a study's bundle and its page, and note it in the collection's list of what was shared.

    Parameters
    ----------
    collection : Collection
        The site's own.
    study : str
    parameters : Parameters
    filters : Filters
    target : Path
        The zip file.
    today : date
        Results that were shared before keep the date of then, so that the same file is written.
    replace : bool
        As of :func:`free`.
    second : bool
        Whether a bundle may be written although one with other results was; never if both have exact sums.
    sums : bool
        Whether to share the exact sums of the one-stage model (:mod:`twostage.sharing.sums`).

    Raises
    ------
    CollectionError, DisclosureError, FileExistsError
        As :func:`make_bundle` and :func:`free`; also if an earlier bundle has other results, or this one cannot be noted.
    """
    free(target, replace=replace)
    ledger = read_ledger(collection.path)
    made = _protected(collection, study, parameters, filters, sums)
    entry = Entry(
        date=today.isoformat(),
        study=study,
        data=made.study.checksum,
        results=results_checksum(made.records),
        parameters=parameters.model_dump(),
        filters=filters.model_dump(by_alias=True),
        package_version=version("twostage"),
        patients=patient_checksums(made.study.sessions),
        sums=sums and bool(made.records[ONE_STAGE].aggregates),
    )
    if not second:
        refuse_second(ledger, entry, collection.path)
    refuse_second_sums(ledger, entry, collection.path)
    before = ledger.same_results(entry)
    created = date.fromisoformat(before.date) if before else today
    content = _packed(collection, made, parameters, filters, created)
    bundle = write_bundle(
        content, target, replace=replace, ready=lambda: note(ledger, entry, collection.path)
    )
    return Shared(bundle, made.n_patients, ledger.other_results(entry), before is not None)


def make_bundle(
    collection: Collection,
    study: str,
    parameters: Parameters,
    filters: Filters,
    created: date,
    *,
    sums: bool = False,
) -> bytes:
    """Analyse a study and pack what of the results may be shared; nothing is written or noted.

    Parameters
    ----------
    collection : Collection
        The site's own.
    study : str
    parameters : Parameters
    filters : Filters
    created : date
        Equal data, parameters, filters and dates give equal bytes.
    sums : bool
        As of :func:`share_study`.

    Returns
    -------
    bytes
        Of a zip file.

    Raises
    ------
    CollectionError
        If the study's files have problems.
    DisclosureError
        If the study is too small, or its registry has texts that a bundle may not have.
    """
    made = _protected(collection, study, parameters, filters, sums)
    return _packed(collection, made, parameters, filters, created)


def _protected(
    collection: Collection, study: str, parameters: Parameters, filters: Filters, sums: bool
) -> _Protected:
    # What follows chooses by the kind of study, which type checkers do not see.
    data: Any = collection.study(study)
    records = stage1_records(data, parameters)
    true = {name: record for name, record in records.items() if sums or name != ONE_STAGE}
    local = look(data, parameters, filters.tab, cell_sizes(filters) if sums else None)
    protected, report = protect(true, filters, local)
    return _Protected(data, protected, report, own_count(true["data"].summary["n_patients"]))


def _packed(
    collection: Collection, made: _Protected, parameters: Parameters, filters: Filters, created: date
) -> bytes:
    study, records = made.study.id, made.records
    info = {name: str(_plain(made.study.info[name])) for name in schema.REGISTRY}
    enrolled = next(iter(records.values())).n_enrolled
    contents = {
        STUDY: info | {"n": "" if enrolled is None else str(enrolled)},
        REPORT: made.report.model_dump(mode="json"),
    }
    contents |= {RECORD_MEMBERS[a]: record.model_dump(mode="json") for a, record in records.items()}
    members = {name: to_json(value) for name, value in contents.items()}
    manifest = {
        "schema_version": BUNDLE_VERSION,
        "package_version": version("twostage"),
        "study": study,
        "created": created.isoformat(),
        "x": vars(collection.x),
        "y": vars(collection.y),
        "parameters": parameters.model_dump(mode="json"),
        "filters": filters.model_dump(mode="json", by_alias=True),
    }
    members[PAGE] = disclosure_page(study, {MANIFEST: manifest} | contents)
    manifest["members"] = {name: digest(content) for name, content in sorted(members.items())}
    members[MANIFEST] = to_json(manifest | {"seal": seal(manifest)})
    _check(members, study)
    return pack({name: members[name] for name in MEMBERS if name in members})


def _plain(value):
    return value.item() if hasattr(value, "item") else value


def _check(members: dict[str, bytes], study: str) -> None:
    """What a recipient would refuse is not sent."""
    try:
        check_bundle(members)
    except BundleError as error:
        raise DisclosureError([Problem(f"{study}, {p.file}", *_rest(p)) for p in error.problems]) from None


def _rest(problem: Problem) -> tuple:
    return problem.row, problem.column, problem.value, problem.expected


def free(target: Path, *, replace: bool = False) -> tuple[Path, Path]:
    """The places of a bundle and of its page, if they can be written.

    Parameters
    ----------
    target : Path
        The zip file; the page has the same name and ends in ``.html``.
    replace : bool
        Whether files of these names may be replaced.

    Raises
    ------
    FileExistsError
        If one of the files is there and `replace` is not set.
    DisclosureError
        If the file's name does not end in ``.zip``.
    """
    if target.suffix.lower() != ".zip":
        raise DisclosureError([Problem(str(target), None, None, target.suffix, "a file that ends in .zip")])
    places = target, target.with_suffix(".html")
    for path in places:
        if path.exists() and not replace:
            raise FileExistsError(
                f"{path}: found a file of this name, perhaps of a bundle that was sent; expected none: "
                "give another name (--out), or replace it (--force)"
            )
    return places


def write_bundle(
    content: bytes, target: Path, *, replace: bool = False, ready: Callable[[], None] = lambda: None
) -> Bundle:
    """Write a bundle, and beside it the page with all that is in it; each whole or not at all.

    Parameters
    ----------
    content : bytes
        As of :func:`make_bundle`.
    target : Path
    replace : bool
        As of :func:`free`.
    ready : callable
        Called before the files are written: what cannot be noted is not shared.

    Raises
    ------
    FileExistsError, DisclosureError
        As :func:`free`.
    """
    places = free(target, replace=replace)
    members = unpack(content, target.name)
    ready()
    write_files(dict(zip(places, (content, members[PAGE]), strict=True)))
    return check_bundle(members)
