"""Studies that shared records instead of data: their records become the run's, and a page takes the place of notebooks."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from twostage.collection import MARK_NOTE, PULLED_NOTE, Collection
from twostage.display import MISSING, html_table
from twostage.params import Parameters
from twostage.records import record_text
from twostage.sharing import (
    NEVER,
    Bundle,
    BundleError,
    entry,
    misfits,
    ordered,
    quantity,
    shown,
    stored_bundle,
    stored_bundles,
)
from twostage.terms import arrow, term_label

#: The template of the page of a study without data.
SHARED_TEMPLATE = "study_shared.md.j2"


def fitting_bundles(collection: Collection, parameters: Parameters) -> dict[str, Bundle]:
    """The collection's bundles, if each was shared with the parameters of the run.

    Raises
    ------
    BundleError
        Naming every file that was edited and every parameter that differs.
    """
    bundles = stored_bundles(collection)
    problems = [p for bundle in bundles.values() for p in misfits(bundle, collection, parameters)]
    if problems:
        raise BundleError(problems)
    return bundles


def shared_files(collection: Collection, bundles: Mapping[str, Bundle]) -> dict[str, str]:
    """The records of shared studies, where notebooks leave theirs: name in the run's folder -> text.

    Parameters
    ----------
    collection : Collection
        Its labels, which mark these studies, go into the records.
    bundles : mapping
        Study -> bundle.
    """
    labels = collection.studies.set_index("study")["label"]
    return {
        f"records/{study}/{analysis}.json": record_text(record.model_copy(update={"label": labels[study]}))
        for study, bundle in bundles.items()
        for analysis, record in bundle.records.items()
    }


def shared_study(bundle: Bundle, collection: Collection) -> dict[str, Any]:
    """What a shared study's page depends on; the manifest has the checksums of everything that it shows."""
    manifest = bundle.manifest.model_dump(mode="json", by_alias=True)
    checksum = bundle.records["data"].data_checksum
    return {"checksum": checksum, "manifest": manifest, "note": collection.note}


def shared_page(collection: Collection, study: str) -> dict[str, Any]:
    """What the template of a shared study's page can use.

    Returns
    -------
    dict
        mark_note, created, package_version, remains, pulled (where its results come from, if no site shared them); HTML
        tables: settings, withheld, summary, sessions, estimates, failures (empty if there is nothing to show).
    """
    bundle = stored_bundle(collection, study)
    rows = [
        {"rule": c.name, "threshold": "–" if c.threshold is None else f"{c.threshold:g}", "meaning": c.rule}
        | {"entries withheld": len(c.withheld)}
        for c in bundle.report.checks
    ]
    names = (collection.x.label, collection.y.label)
    withheld = [
        {"rule": c.name, "withheld": entry(what, *names)[0], "in the bundle": entry(what, *names)[1]}
        for c in bundle.report.checks
        for what in c.withheld
    ]
    records = bundle.records.values()
    failures = [
        {"analysis": a, "variant": f.variant, "direction": f.direction, "reason": f.reason}
        for a, record in bundle.records.items()
        for f in record.failures
    ]
    return {
        "mark_note": PULLED_NOTE if bundle.manifest.pulled else MARK_NOTE,
        "pulled": bundle.manifest.pulled,
        "created": bundle.manifest.created,
        "package_version": bundle.manifest.package_version,
        "settings": _table(rows),
        "withheld": _table(withheld),
        "failures": _table(failures),
        "remains": bundle.report.remains,
        "estimates": html_table(_estimates(bundle, collection)),
        "summary": _table(
            [
                {"quantity": n, "value": v}
                for r in records
                for n, v in _worded(r.summary, names).items()
                # Nothing was withheld of what was pulled: it is not there.
                if not (bundle.manifest.pulled and v == MISSING)
            ]
        ),
        "sessions": _table([_worded(row, names) for r in records for row in r.sessions]),
    }


def _table(rows: list[dict]) -> str:
    return html_table(pd.DataFrame(rows, dtype=object)) if rows else ""


def _worded(numbers: Mapping[str, float | None], names: tuple[str, str]) -> dict[str, str]:
    """Quantities in words, without those that are never shared, with the digits that were shared."""
    shared = {n: v for n, v in ordered(numbers).items() if n not in NEVER}
    return {quantity(n, *names): shown(v, n).replace("-", "−") for n, v in shared.items()}


def _estimates(bundle: Bundle, collection: Collection) -> pd.DataFrame:
    """Every coefficient that was shared, in words."""
    table = pd.concat([r.tidy() for r in bundle.records.values() if r.estimates], ignore_index=True)
    names = (collection.x.label, collection.y.label)
    effect = [term_label(d, t, *names) for d, t in zip(table["direction"], table["term"], strict=True)]
    columns = [
        "analysis",
        "variant",
        "direction",
        "effect",
        "estimate",
        "std_error",
        "df",
        "ci_low",
        "ci_high",
    ]
    ways = [arrow(direction, *names) for direction in table["direction"]]
    return table.assign(effect=effect, direction=ways)[[*columns, "n_patients", "n_transitions"]]
