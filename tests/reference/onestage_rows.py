"""Rows of the lagged model of real collections, for onestage.R: ``python tests/reference/onestage_rows.py FOLDER``.

Writes FOLDER/<collection>_<direction>.csv with study, patient, cross, auto, x_mean, y_mean, outcome. The data are not part
of the project (see tests/collections); nothing is written of a collection whose data are absent.
"""

import sys
from pathlib import Path

import twostage as ts
from twostage.problems import CollectionError
from twostage.terms import DIRECTIONS

COLLECTIONS = ("gametime", "openesm_pa_na", "openesm_anx_dep")


def rows(collection, direction):
    """One table per study: patient, cross, auto, x_mean, y_mean, outcome."""
    for study in collection.studies["study"]:
        panel = ts.make_panel(collection.study(study), **collection.defaults)
        table = panel.transitions().dropna(subset=[f"{direction.outcome}_next"])
        names = {direction.cross: "cross", direction.auto: "auto", f"{direction.outcome}_next": "outcome"}
        kept = table.rename(columns=names)[["patient", "cross", "auto", "x_mean", "y_mean", "outcome"]]
        yield kept.assign(study=study, patient=kept["patient"].factorize()[0])


def main(folder):
    import pandas as pd

    for name in COLLECTIONS:
        try:
            collection = ts.read_collection(Path(__file__).parents[1] / "collections" / name)
            for direction in DIRECTIONS.values():
                table = pd.concat(rows(collection, direction), ignore_index=True)
                table.to_csv(Path(folder) / f"{name}_{direction.name}.csv", index=False)
        except CollectionError as error:
            print(f"{name}: left out, its data are absent ({error.problems[0]})", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1])
