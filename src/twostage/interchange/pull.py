"""Take up another group's results as studies of a collection, without participants' data."""

from collections.abc import Mapping as Mapped
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from twostage.collection import REGISTRY, read_collection, why_not
from twostage.interchange.compose import compose
from twostage.interchange.read import ResultsError, read_folder
from twostage.interchange.table import read_mapping, read_table
from twostage.interchange.theirs import Theirs
from twostage.problems import Problem, nearest
from twostage.sharing import Bundle, BundleError, Pulled, add_pulled, pulled_bundle


def pull(
    source: str | Path,
    collection: str | Path,
    *,
    today: date,
    mapping: str | Path | None = None,
    studies: Sequence[str] = (),
    prefix: str = "",
    replace: bool = False,
) -> list[Bundle]:
    """Add the studies of another group's results to a collection.

    Parameters
    ----------
    source : path
        A folder ``results/``, a run's folder that has one, or, with a mapping, a table of effects.
    collection : path
    today : date
    mapping : path, optional
        YAML file that says what the columns of a plain table are.
    studies : sequence of str
        Which of their studies; default: all.
    prefix : str
        Put before their ids, where a collection has the same ones.
    replace : bool
        Whether earlier results of the studies may be replaced.

    Returns
    -------
    list of Bundle
        The studies as the collection has them now.

    Raises
    ------
    ResultsError, BundleError, CollectionError, ParameterError
        With every reason why they cannot be used; nothing is written.
    """
    target = read_collection(collection)
    theirs = (
        read_folder(Path(source))
        if mapping is None
        else read_table(Path(source), read_mapping(Path(mapping)))
    )
    pair = theirs.pair or (target.x, target.y)
    bundles: list[Bundle] = []
    problems: list[Problem] = []
    for study in _chosen(theirs, studies):
        rows = theirs.of(study)
        origin = Pulled(
            title=theirs.title,
            study=study,
            made=theirs.made,
            checksum=theirs.checksum,
            original=rows[0]["source_of_effect"],
        )
        try:
            info = _info(theirs, rows, f"{prefix}{study}")
            records = compose(theirs, study, info)
            bundles.append(pulled_bundle(records, info, pair, theirs.parameters, origin, today))
        except ResultsError as error:
            problems += error.problems
        except BundleError as error:
            problems += error.within(f"{theirs.file}, {study}").problems
    if problems:
        raise ResultsError(problems)
    add_pulled(bundles, target, replace=replace)
    return bundles


def _chosen(theirs: Theirs, studies: Sequence[str]) -> list[str]:
    known = theirs.studies
    if not known:
        raise ResultsError([Problem(theirs.file, None, None, "no row", "at least one effect")])
    unknown = [id for id in studies if id not in known]
    if unknown:
        raise ResultsError(
            [
                Problem(theirs.file, None, "study", id, f"one of {', '.join(known)}{nearest(id, known)}")
                for id in unknown
            ]
        )
    return list(dict.fromkeys(studies)) or known


def _info(theirs: Theirs, rows: list[dict[str, Any]], id: str) -> dict[str, str]:
    """The study's row of the registry; every row of the table must say the same of it."""
    if (expected := why_not(id)) is not None:
        raise ResultsError([Problem(theirs.file, rows[0]["line"], "study", id, expected)])
    names = {name: "n_enrolled" if name == "n" else name for name in REGISTRY if name != "study"}
    problems = [
        Problem(theirs.file, row["line"], ours, row[ours], f"{rows[0][ours]!r}, as in the study's first row")
        for row in rows[1:]
        for ours in names.values()
        if row[ours] != rows[0][ours]
    ]
    if problems:
        raise ResultsError(problems)
    return {"study": id} | {name: _text(rows[0], ours) for name, ours in names.items()}


def _text(row: Mapped[str, Any], name: str) -> str:
    value = row[name]
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) and value == int(value) else str(value)
