"""The bundles that a collection has accepted, read again and checked again: files can be edited."""

from dataclasses import replace
from pathlib import Path

from twostage.collection import FOLDER, Collection, read_collection
from twostage.problems import CollectionError, Problem
from twostage.records import Record
from twostage.sharing.check import check_bundle
from twostage.sharing.layout import MEMBERS, PAGE, Bundle, BundleError
from twostage.sharing.same_results import ANALYSIS, own_records, same_results


def stored_bundle(collection: Collection, study: str) -> Bundle:
    """One accepted bundle.

    Raises
    ------
    BundleError
        If its files are not as they were accepted.
    """
    folder = collection.path / FOLDER / study
    names = [name for name in MEMBERS if name != PAGE and (folder / name).is_file()]
    try:
        return check_bundle({name: (folder / name).read_bytes() for name in names})
    except BundleError as error:
        raise BundleError(
            [
                Problem(f"{FOLDER}/{study}/{p.file}", p.row, p.column, p.value, p.expected)
                for p in error.problems
            ]
        ) from None


def stored_bundles(collection: Collection) -> dict[str, Bundle]:
    """Every accepted bundle of a collection, by study.

    Raises
    ------
    BundleError
        With the problems of all.
    """
    found: dict[str, Bundle] = {}
    problems: list[Problem] = []
    for study in collection.shared:
        try:
            found[study] = stored_bundle(collection, study)
        except BundleError as error:
            problems += error.problems
    problems = problems or _twice(found)
    if problems:
        raise BundleError(problems)
    return found


def _twice(bundles: dict[str, Bundle]) -> list[Problem]:
    """Bundles that are one study under two ids."""
    problems: list[Problem] = []
    earlier: dict[str, Record] = {}
    for study, bundle in bundles.items():
        problems += [
            Problem(f"{FOLDER}/{study}/{p.file}", p.row, p.column, p.value, p.expected)
            for p in same_results(bundle, earlier)
        ]
        earlier[study] = bundle.records[ANALYSIS]
    return problems


def shared_records(collection: Collection) -> dict[str, dict[str, Record]]:
    """Study -> analysis -> record of every study that shared records instead of data, its label marked.

    Raises
    ------
    BundleError
        If files of a bundle are not as they were accepted.
    """
    labels = collection.studies.set_index("study")["label"]
    return {
        study: {a: r.model_copy(update={"label": labels[study]}) for a, r in bundle.records.items()}
        for study, bundle in stored_bundles(collection).items()
    }


def stored_problems(path: str | Path) -> tuple[Problem, ...]:
    """What is wrong with a collection's bundles; empty too where its registry cannot be read, which says so itself."""
    try:
        collection = read_collection(path)
        bundles = stored_bundles(collection)
        found = [(s, p) for s, b in bundles.items() for p in same_results(b, own_records(collection, b))]
    except BundleError as error:
        return error.problems
    except CollectionError:
        return ()
    return tuple(replace(p, file=f"{FOLDER}/{study}/{p.file}") for study, p in found)
