"""A synthetic collection with known truth, and its files."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from twostage.beside import table_beside
from twostage.collection import read_settings
from twostage.files import replace_folder, unfinished_folder
from twostage.project import SEED
from twostage.simulation.files import collection_yml, dictionary, readme
from twostage.simulation.model import (
    COEFFICIENT,
    GENERATING,
    MEANING,
    Instrument,
    Simulated,
    simulate_study,
    with_days,
)

#: Of the stream of random numbers that the sessions' days come from.
DAYS = 1


SIZES = (35, 140, 48, 230, 1500, 62, 320, 95, 460, 80, 198, 681, 118, 385, 167, 556, 275)


_TABLE = table_beside(__file__)


#: Instruments of alliance and of symptoms.
_ALLIANCE, _SYMPTOMS = ({key: Instrument(**row) for key, row in _TABLE[v].items()} for v in ("x", "y"))


#: country, year, setting, treatment, design, alliance, symptoms of each study.
_STUDIES = tuple(tuple(row.values()) for row in _TABLE["studies"])


@dataclass(frozen=True)
class SimulatedCollection:
    """A drawn collection, in memory.

    Attributes
    ----------
    seed : int
    registry : pandas.DataFrame
        Content of studies.csv.
    studies : dict
        Study id -> :class:`~twostage.simulation.model.Simulated`.
    truth : pandas.DataFrame
        study, parameter, meaning, direction, term, value; study `mean` and `tau` hold the mean over studies and the SD
        between them.
    """

    seed: int
    registry: pd.DataFrame
    studies: dict[str, Simulated]
    truth: pd.DataFrame


def simulate_collection(
    seed: int = SEED, *, n_studies: int = len(_STUDIES), n_patients: int | None = None, days: bool = False
) -> SimulatedCollection:
    """Draw a collection.

    Parameters
    ----------
    seed : int
    n_studies : int
        1 to 17.
    n_patients : int, optional
        Patients in all; otherwise the studies' own sizes, 5,350 for the whole collection.
    days : bool
        Whether sessions have days, weekly but for a day or two; all else is the same with days and without.

    Returns
    -------
    SimulatedCollection

    Raises
    ------
    ValueError
        On a number of studies outside 1..17 or fewer than 10 patients per study.
    """
    if not 1 <= n_studies <= len(_STUDIES):
        raise ValueError(f"n_studies: found {n_studies}; expected 1 to {len(_STUDIES)}")
    sizes = _sizes(n_studies, n_patients)
    drawn, rows = {}, []
    for i, (size, about) in enumerate(zip(sizes, _STUDIES, strict=False)):
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, i])))
        x, y = _ALLIANCE[about[5]], _SYMPTOMS[about[6]]
        study = f"S{i + 1:02d}"
        one = simulate_study(rng, size, x, y, skip=0.03 + 0.09 * float(rng.random()))
        if days:
            stream = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, i, DAYS])))
            one = replace(one, sessions=with_days(stream, one.sessions))
        drawn[study] = one
        rows.append(_registry_row(study, size, about, x, y))
    return SimulatedCollection(seed, pd.DataFrame(rows), drawn, _truth(drawn))


def _sizes(n_studies: int, n_patients: int | None) -> list[int]:
    sizes = list(SIZES[:n_studies])
    if n_patients is None:
        return sizes
    if n_patients < 10 * n_studies:
        raise ValueError(
            f"n_patients: found {n_patients}; expected at least {10 * n_studies} for {n_studies} studies"
        )
    spare = n_patients - 10 * n_studies
    scaled = [10 + spare * size // sum(sizes) for size in sizes]
    scaled[-1] += n_patients - sum(scaled)
    return scaled


def _registry_row(study: str, size: int, about: tuple, x: Instrument, y: Instrument) -> dict:
    country, year, setting, treatment, design, *_ = about
    row = {"study": study, "label": f"Synthetic study {study[1:]}", "country": country, "year": year}
    row |= {"setting": setting, "treatment": treatment, "design": design}
    for v, instrument in (("x", x), ("y", y)):
        row |= {f"{v}_instrument": instrument.name, f"{v}_min": f"{instrument.low:g}"}
        row |= {f"{v}_max": f"{instrument.high:g}", f"{v}_direction": instrument.direction}
    return row | {"n": size, "source": "simulated by twostage simulate", "licence": "CC0-1.0"}


def _truth(drawn: dict[str, Simulated]) -> pd.DataFrame:
    columns = {study: one.truth for study, one in drawn.items()}
    columns |= {
        "mean": {p: m for p, (m, _) in GENERATING.items()},
        "tau": {p: s for p, (_, s) in GENERATING.items()},
    }
    rows = [
        (study, name, MEANING[name], *COEFFICIENT.get(name, ("", "")), value)
        for study, values in columns.items()
        for name, value in values.items()
    ]
    return pd.DataFrame(rows, columns=["study", "parameter", "meaning", "direction", "term", "value"])


def write_collection(collection: SimulatedCollection, folder: str | Path, *, replace: bool = False) -> Path:
    """Write a collection's folder, whole or not at all.

    Parameters
    ----------
    collection : SimulatedCollection
    folder : path
    replace : bool
        Whether a synthetic collection that is there may be replaced; nothing else ever is.

    Raises
    ------
    FileExistsError
        If the folder is there, and is no synthetic collection or `replace` is False.
    """
    folder = Path(folder)
    if folder.exists() and not replace:
        raise FileExistsError(
            f"{folder}: found a folder of this name; expected none (or permission to replace it)"
        )
    if folder.exists() and not _is_synthetic(folder):
        raise FileExistsError(
            f"{folder}: found no synthetic collection there; expected one to replace, or nothing"
        )
    with unfinished_folder(folder) as new:
        _write_files(collection, new)
        replace_folder(new, folder)
    return folder


def _is_synthetic(folder: Path) -> bool:
    settings, _ = read_settings(folder)
    return settings is not None and settings.synthetic


def _write_files(collection: SimulatedCollection, folder: Path) -> None:
    n = int(collection.registry["n"].sum())
    days = all("day" in one.sessions for one in collection.studies.values())
    _text(folder / "collection.yml", collection_yml(days))
    _text(folder / "README.md", readme(collection.seed, len(collection.registry), n, days))
    _text(folder / "dictionary.csv", dictionary(days))
    _csv(collection.registry, folder / "studies.csv")
    _csv(collection.truth.round({"value": 6}), folder / "truth.csv")
    for kind in ("sessions", "patients"):
        (folder / kind).mkdir()
    for study, one in collection.studies.items():
        _csv(
            one.sessions.rename(columns={"x": "alliance", "y": "symptoms"}),
            folder / "sessions" / f"{study}.csv",
        )
        _csv(one.patients, folder / "patients" / f"{study}.csv")


def _csv(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, lineterminator="\n", float_format="%.10g")


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
