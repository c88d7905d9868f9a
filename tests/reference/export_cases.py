"""The R scripts of stage 1 as the export writes them, for studies and choices that together use every part of them.

    python tests/reference/export_cases.py        (from the top of the repository; then Rscript tests/reference/export.R)

writes export_<case>.R beside itself, for the default collection. The tests hold the export against these files.
"""

from pathlib import Path

from twostage.collection import read_collection, read_settings
from twostage.export.stage1_r import Script
from twostage.params import Parameters, make_parameters

FOLDER = Path(__file__).parent
DATA = FOLDER.parents[1] / "data"

#: Case -> study, parameters, and what its row of the registry has besides. S14's x and S16's y are scored the other way.
CASES: dict[str, tuple[str, dict, dict]] = {
    "default": ("S03", {}, {}),
    "within": (
        "S16",
        {"standardize": "within", "detrend": "session", "random_slopes": True, "last_session": 5},
        {},
    ),
    "lag": ("S14", {"standardize": "none", "detrend": "patient", "lag": 2, "min_sessions": 4}, {}),
    "reliable": (
        "S16",
        {"last_session": 5},
        {"x_reliability": 0.9, "y_reliability": 0.95, "reliability_kind": "total"},
    ),
}


def script(case: str) -> Script:
    """What the script of a case is made of."""
    study, values, more = CASES[case]
    collection, (settings, _) = read_collection(DATA), read_settings(DATA)
    info = collection.studies.set_index("study", drop=False).loc[study].to_dict() | more
    missing = dict(zip(collection.dictionary["variable"], collection.dictionary["missing"], strict=True))
    head = (f"Stage 1 of {info['label']} ({study}), as twostage exports it.", "The data are synthetic.")
    return Script(info, settings, missing, make_parameters(values), head)


def parameters(case: str) -> Parameters:
    """Its parameters."""
    return make_parameters(CASES[case][1])


if __name__ == "__main__":
    for name in CASES:
        (FOLDER / f"export_{name}.R").write_text(script(name).text(), encoding="utf-8")
