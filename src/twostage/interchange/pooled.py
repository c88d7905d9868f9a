"""``pooled.json`` of a run, from the tables that it left; and such a file as the results that it tells of."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from twostage.collection import Collection, unmarked
from twostage.interchange.documents import (
    POOLED_VERSION,
    LeftOut,
    Moderator,
    Pooled,
    PooledEffect,
    PooledStudy,
    row,
)
from twostage.notebooks import HOME
from twostage.params import make_parameters
from twostage.stage2 import NEEDED, Results
from twostage.terms import DIRECTIONS
from twostage.text import read_csv
from twostage.words import Words

#: File of the pooled results, in a run's and in a release's folder.
FILE = "pooled.json"


def pooled_document(results: Results, collection: Collection, output: Path, day: str) -> Pooled:
    """All that a run pooled.

    Parameters
    ----------
    results : Results
        Of the run.
    collection : Collection
    output : Path
        ``runs/<name>/output``.
    day : str
        On which it was made.
    """
    about = {name: getattr(collection, name) for name in ("name", "title", "note", "synthetic", "authors")}
    about |= {name: vars(getattr(collection, name)) for name in ("x", "y", "words")}
    studies = [
        {"checksum": results.checksums[r["study"]], "source_of_effect": collection.origins[r["study"]]}
        | {"study": r["study"], "label": unmarked(r["label"]), "licence": r["licence"]}
        for r in collection.studies.to_dict("records")
    ]
    return Pooled.model_validate(
        {
            "schema_version": POOLED_VERSION,
            "package_version": version("twostage"),
            "made": day,
            "run": results.name,
            "collection": about,
            "parameters": results.parameters.model_dump(),
            "studies": [row(PooledStudy, study) for study in studies],
            "effects": [row(PooledEffect, effect) for effect in results.table.to_dict("records")],
            "left_out": _left_out(output),
            "moderators": _moderators(output),
        }
    )


def _left_out(output: Path) -> list[dict[str, Any]]:
    tables = [read_csv(path, texts=True) for path in sorted(output.glob("*/left_out_*.csv"))]
    rows = [row(LeftOut, cells) for table in tables for cells in table.to_dict("records")]
    return list({tuple(cells.values()): cells for cells in rows}.values())


def _moderators(output: Path) -> list[dict[str, Any]]:
    rows = []
    for direction in DIRECTIONS:
        path = output / HOME["moderators"] / f"meta_regressions_{direction}.csv"
        if path.is_file():
            rows += [cells | {"direction": direction} for cells in read_csv(path).to_dict("records")]
    return [row(Moderator, cells) for cells in rows]


def as_results(document: Pooled, name: str) -> Results:
    """The results that a ``pooled.json`` tells of.

    Parameters
    ----------
    document : Pooled
    name : str
        What to call them.
    """
    parameters = make_parameters(document.parameters, FILE)
    how = {"method": parameters.tau2_method, "ci": parameters.ci_method}
    table = pd.DataFrame([e.model_dump() for e in document.effects], columns=list(PooledEffect.model_fields))
    numbers = [n for n, f in PooledEffect.model_fields.items() if f.annotation in (float, float | None)]
    table = table.astype(dict.fromkeys(numbers, float)).assign(**how, level=parameters.level)
    table["df"] = np.where(table["df"].isna() & table["std_error"].notna(), np.inf, table["df"])
    return Results(
        name=name,
        parameters=parameters,
        checksums={s.study: s.checksum for s in document.studies},
        x=document.collection.x.label,
        y=document.collection.y.label,
        table=table[[*dict.fromkeys([*NEEDED, *table])]],
        words=Words(**document.collection.words),
    )
