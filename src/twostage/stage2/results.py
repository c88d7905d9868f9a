"""What a run found, read back from the tables its pooled notebooks left: the input of summaries and comparisons."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from twostage.collection import Collection
from twostage.params import Parameters, make_parameters
from twostage.problems import Problem, RecordError
from twostage.project import package_project, project_above
from twostage.records import Record
from twostage.stage2.pool import KEY, pool_records
from twostage.terms import DIRECTIONS, HEADLINE
from twostage.text import read_csv
from twostage.words import PLAIN, Words

#: Columns without which a file is no table of pooled coefficients.
NEEDED = [*KEY, "k", "n_patients", "n_transitions", "estimate", "ci_low", "ci_high", "p_value"]


NEEDED += ["pi_low", "pi_high", "tau2", "i2", "level"]


@dataclass(frozen=True)
class Results:
    """The pooled coefficients of one run.

    Attributes
    ----------
    name : str
        Of the run.
    parameters : Parameters
    checksums : dict
        Study -> SHA-256 of its data: two runs with the same pair analysed the same patients.
    x, y : str
        The pair in words.
    table : pandas.DataFrame
        One row per pooled coefficient, as :attr:`twostage.stage2.pool.PooledTable.table`, with `level`.
    words : Words
        What the collection calls its persons and occasions.
    estimator : str
        Of the main analysis.
    """

    name: str
    parameters: Parameters
    checksums: Mapping[str, str]
    x: str
    y: str
    table: pd.DataFrame
    words: Words = PLAIN
    estimator: str = HEADLINE

    def tidy(self) -> pd.DataFrame:
        """One row per pooled coefficient."""
        return self.table.copy()

    def headline(self) -> pd.DataFrame:
        """The rows that answer the question: see :func:`headline_terms`."""
        wanted = self.table.set_index(["analysis", "variant", "direction", "term"]).index
        order = {key: place for place, key in enumerate(headline_terms())}
        rows = self.table[[key in order for key in wanted]]
        places = [order[key] for key in wanted if key in order]
        return rows.assign(place=places).sort_values("place").drop(columns="place").reset_index(drop=True)


def headline_terms() -> list[tuple[str, str, str, str]]:
    """analysis, variant, direction and term of the coefficients that answer the question.

    Both cross-lagged effects and autoregressions, the cross-level interactions, early x with the outcome.
    """
    both = DIRECTIONS.values()
    keys = [("lagged", d.name, d.cross) for d in both] + [("lagged", d.name, d.auto) for d in both]
    keys += [("crosslevel", d.name, term) for d in both for term in d.interactions]
    keys.append(("outcome", "x_to_y", "partial_r_z"))
    return [(analysis, "main", direction, term) for analysis, direction, term in keys]


def read_results(folder: str | Path) -> Results:
    """Read a run's pooled tables.

    Parameters
    ----------
    folder : path
        Of the run.

    Raises
    ------
    RecordError
        If it is no run's folder, or the run has pooled nothing yet.
    """
    folder = Path(folder)
    about = read_about(folder, "studies", "parameters")
    registry = _json(folder / "inputs" / "collection.json", "what the run was made from")
    files = sorted((folder / "output").glob("*/pooled_*.csv"))
    tables = [table for table in map(read_csv, files) if set(NEEDED) <= set(table)]
    if not tables:
        expected = "tables of pooled coefficients; finish the run first"
        raise RecordError([Problem(str(folder / "output"), None, None, "none", expected)])
    of_studies = folder / "inputs" / "studies"
    checksums = {s: _checksum(of_studies / f"{s}.json") for s in about["studies"]}
    return Results(
        name=folder.resolve().name,
        parameters=make_parameters(about["parameters"], str(folder / "run.json")),
        checksums=checksums,
        x=registry["x"]["label"],
        y=registry["y"]["label"],
        table=pd.concat(tables, ignore_index=True).drop_duplicates(KEY, ignore_index=True),
        words=_words(registry),
    )


def read_words(folder: Path) -> Words:
    """The words in which a run's collection is spoken of."""
    return _words(_json(folder / "inputs" / "collection.json", "what the run was made from"))


def _words(registry: dict) -> Words:
    # Runs of earlier versions name none.
    return Words(**registry.get("words", {}))


def find_results(run: str) -> tuple[Path, Results]:
    """Read a run by its name, or by its folder.

    Parameters
    ----------
    run : str
        A folder with ``run.json``, or the name of one in ``runs/`` here, in a folder above or in the project.

    Returns
    -------
    folder : Path
    results : Results

    Raises
    ------
    RecordError
        If there is no such run, with the names of those there are; or as :func:`read_results`.
    """
    here = Path.cwd().resolve()
    own = None if project_above(here) else package_project()
    homes = [folder / "runs" for folder in (here, *here.parents, *([own] if own else []))]
    for folder in (Path(run).expanduser(), *(home / run for home in homes)):
        if (folder / "run.json").is_file():
            return folder, read_results(folder)
    there = sorted({path.parent.name for home in homes for path in home.glob("*/run.json")})
    expected = f"a run's folder or one of {', '.join(there)}" if there else "a run's folder"
    raise RecordError([Problem(run, None, None, "no such run", expected)])


def read_about(folder: Path, *needed: str) -> dict:
    """What a run's ``run.json`` says of it; all that is needed is there.

    Raises
    ------
    RecordError
        There is none, or it is damaged.
    """
    expected = "the folder of a run, as 'twostage run' leaves it; where it is damaged, remove it and give the command again"
    about = _json(folder / "run.json", expected)
    if not isinstance(about, dict) or not set(needed) <= set(about):
        found = f"something without {' and '.join(needed)}"
        raise RecordError([Problem(str(folder / "run.json"), None, None, found, expected)])
    return about


def _checksum(path: Path) -> str:
    """Of a study's data; of what it shared where it shared no data."""
    about = _json(path, "what the run knows of a study")
    return about.get("checksum") or hashlib.sha256(path.read_bytes()).hexdigest()


def _json(path: Path, expected: str) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecordError([Problem(str(path), None, None, "no such file", expected)]) from None
    except (OSError, ValueError) as error:
        raise RecordError([Problem(str(path), None, None, str(error), expected)]) from None


def pool_results(
    name: str, collection: Collection, parameters: Parameters, records: Mapping[str, Sequence[Record]]
) -> Results:
    """Pool records in memory, as the pooled notebooks do.

    Parameters
    ----------
    name : str
        What to call them.
    collection : Collection
        For the names of the pair.
    parameters : Parameters
        How they were made and are pooled.
    records : mapping
        Analysis -> one record per study.
    """
    how = {"method": parameters.tau2_method, "ci": parameters.ci_method, "level": parameters.level}
    tables = [pool_records(of_studies, **how).table.assign(**how) for of_studies in records.values()]
    checksums = {r.study: r.data_checksum for of_studies in records.values() for r in of_studies}
    table = pd.concat(tables, ignore_index=True)
    names = collection.x.label, collection.y.label
    return Results(name, parameters, checksums, *names, table, collection.words)
