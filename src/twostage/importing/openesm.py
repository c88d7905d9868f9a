"""Data sets of openESM (https://openesmdata.org) by their number, with licence and citation."""

import re
from pathlib import Path
from typing import Any

from twostage.files import as_json, read_json, write_files
from twostage.importing.source import ImportProblems, one_line
from twostage.importing.steps import step
from twostage.problems import Problem

#: How a data set is called on the command line.
NAME = re.compile(r"openesm:([0-9]{1,4})", re.I)


def openesm_file(file: Path, folder: Path = Path()) -> tuple[Path, dict[str, Any]]:
    """The file to read, and what is known of the study; a data set is fetched if it is not there yet.

    Parameters
    ----------
    file : Path
        ``openesm:7``, or any file, which is given back.
    folder : Path
        Where a data set is written: ``openesm-0007.csv``, and ``openesm-0007.json`` with its metadata.

    Returns
    -------
    path : Path
    facts : dict
        Keys of a mapping's `study`: year, source (with the DOIs of the article and the data), licence.

    Raises
    ------
    ImportProblems
        Without the package ``openesm``, without a network, or if there is no such data set.
    """
    named = NAME.fullmatch(str(file))
    if named is None:
        return file, {}
    id = named[1].zfill(4)
    data, about = folder / f"openesm-{id}.csv", folder / f"openesm-{id}.json"
    if not (data.is_file() and about.is_file()):
        step(f"fetching data set {id} of openESM")
        content, metadata = _fetch(str(file), id)
        write_files({data: content, about: as_json(metadata).encode()})
    return data, _facts(id, read_json(about))


def _fetch(name: str, id: str) -> tuple[bytes, dict[str, Any]]:
    try:
        import openesm
    except ImportError:
        expected = "the package openesm, which fetches it: python -m pip install openesm"
        raise ImportProblems([Problem("command line", None, None, name, expected)]) from None
    try:
        # Its errors: no network (of requests, which are OSErrors), no such data set, an answer it cannot read.
        found = openesm.get_dataset(id, quiet=True)
        return found.data.write_csv().encode(), {**found.metadata, "version": str(found.dataset_version)}
    except (OSError, ValueError, RuntimeError, LookupError, TypeError) as error:
        said = one_line(str(error))[:200] or type(error).__name__
        expected = f"a data set of openESM, and a network ({said})"
        raise ImportProblems([Problem("command line", None, None, name, expected)]) from None


def _facts(id: str, about: dict[str, Any]) -> dict[str, Any]:
    known = {key: one_line(str(value)) for key, value in about.items() if value not in (None, "")}
    parts = [f"openESM data set {id}, version {known.get('version', 'unknown')}"]
    parts += [f"{known['first_author']} ({known.get('year', 'no year')})"] if "first_author" in known else []
    parts += [f"{what} doi:{known[key]}" for key, what in DOIS.items() if key in known]
    facts: dict[str, Any] = {"source": ", ".join(parts)}
    facts |= {"licence": known["license"]} if "license" in known else {}
    return facts | ({"year": int(known["year"])} if re.fullmatch("[0-9]{4}", known.get("year", "")) else {})


#: Key of the metadata -> what it is the DOI of.
DOIS = {"paper_doi": "article", "zenodo_doi": "data"}
