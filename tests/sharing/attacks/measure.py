"""How many digits leave a patient's scores recoverable from two bundles: prints the table of README.md.

    python tests/sharing/attacks/measure.py COLLECTION [STUDY ...]

For some 20 patients of each study two bundles are made, one with and one without the patient, in scale
points (standardize none: else the unit changes too), and subtracted.
"""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pandas as pd
from clinic import shared, without
from weapons import subtracted

from twostage.collection.collection import Study, read_collection
from twostage.params import make_parameters
from twostage.sharing.local import Local
from twostage.sharing.rounding import rounded
from twostage.stage1.panel import make_panel

AS_THEY_ARE = make_parameters({"standardize": "none", "stage1_errors": "model"})
DIGITS = (17, 6, 5, 4, 3, 2)

#: Sessions that leave a patient three sessions and one transition.
ONE_PAIR = (1, 2, 4)


def grid(scores: pd.Series) -> float:
    """Smallest step between scores."""
    return float(np.diff(np.unique(scores.dropna())).min())


def with_one_pair(study: Study, patient: str) -> Study:
    """The study with one transition left of a patient."""
    own = study.sessions["patient"] == patient
    return replace(study, sessions=study.sessions[~own | study.sessions["session"].isin(ONE_PAIR)])


def transitions(study: Study) -> pd.DataFrame:
    """Rows of the direction x -> y."""
    return make_panel(study, AS_THEY_ARE).transitions().dropna(subset=["y_next"])


def errors(study: Study, patient: str) -> list[dict]:
    """By digits: how far off a patient's mean and deviation are, in half steps of the scale."""
    reduced = with_one_pair(study, patient)
    whole, short, without_it = (
        shared(s, AS_THEY_ARE, ("lagged",), Local(), digits=None)["lagged"]
        for s in (study, reduced, without(study, patient))
    )
    rest = transitions(without(study, patient))
    own, pair = (of[of["patient"] == patient].iloc[0] for of in (transitions(study), transitions(reduced)))
    rows = []
    for digits in DIGITS:
        fewer = rounded(without_it, digits)
        level = subtracted(rounded(whole, digits), fewer)
        deviation = subtracted(rounded(short, digits), fewer, "_within")
        for v in ("x", "y"):
            half = grid(study.sessions[v]) / 2
            away = abs(own[f"{v}_mean"] - rest[f"{v}_mean"].mean())
            inside = abs(pair[f"{v}_within"])
            row = {
                "digits": digits,
                "level": abs(level[v] - away) / half,
                "deviation": abs(deviation[v] - inside) / half,
            }
            rows.append(row | {"chance": abs(rest[f"{v}_mean"].std() - away) / half})
    return rows


def table(collection: str, ids: list[str], most: int) -> pd.DataFrame:
    """Share of patients recovered to the step of the scale, by study and digits; by guessing in the last column."""
    content, rows = read_collection(collection), []
    for id in ids or list(content.studies["study"]):
        study = content.study(id)
        patients = [p for p, own in study.sessions.groupby("patient") if complete(own)]
        n = study.sessions["patient"].nunique()
        rows += [row | {"study": f"{id} (n = {n})"} for p in patients[:most] for row in errors(study, p)]
    found = pd.DataFrame(rows)
    hit = found[["level", "deviation", "chance"]].le(1)
    return hit.groupby([found["study"], found["digits"]]).mean().unstack("digits").round(2)


def complete(own: pd.DataFrame) -> bool:
    """Whether a patient has both scores at the sessions of ONE_PAIR."""
    return set(ONE_PAIR) <= set(own.dropna(subset=["x", "y"])["session"])


def main() -> None:
    """Print the table."""
    collection, *ids = sys.argv[1:]
    print(table(collection, ids, 20).T.to_string())


if __name__ == "__main__":
    main()
