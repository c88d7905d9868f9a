"""The mixed-model reference cases: their list, their data, and our solutions as input for `mixed.R`.

``python mixed_cases.py`` (from this folder) writes mixed_cases.json, which `mixed.R` reads: the cases, and
for each the relative covariance T we found, at which lme4's own deviance function is then evaluated.
"""

import csv
import gzip
import json
from itertools import product
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
LAGGED = ["one", "xw", "yw", "xm", "ym"]
CROSSLEVEL = [*LAGGED, "xw_xm", "xw_ym"]
SLOPES = ["one", "xw", "yw"]


def cases() -> list[dict]:
    """Every case: name, data, patients (None: all), fixed and random columns, reml."""
    found = []

    def add(data, patients, fixed, random, reml):
        name = "-".join(
            [f"{data}{patients or ''}", "+".join(fixed[1:]), "+".join(random), "reml" if reml else "ml"]
        )
        found.append(
            {"name": name, "data": data, "patients": patients, "fixed": fixed, "random": random, "reml": reml}
        )

    for reml, random in product((True, False), (["one"], ["one", "Days"], ["Days"])):
        add("sleepstudy", None, ["one", "Days"], random, reml)
    for reml, random in product((True, False), (["one"], ["one", "age"])):
        add("orthodont", None, ["one", "age"], random, reml)
        add("orthodont", None, ["one", "age", "Female", "age_Female"], random, reml)
    for patients, reml, random in product((60, 300, 1500), (True, False), (["one"], SLOPES)):
        add("panel", patients, LAGGED, random, reml)
    for patients, random in product((60, 300), (["one"], SLOPES)):
        add("panel", patients, ["one", "xw", "yw"], random, True)
        add("panel", patients, CROSSLEVEL, random, True)
    add("panel", 300, LAGGED, ["one", "xw", "yw", "session"], True)
    return found


def read_columns(data: str, patients: int | None) -> dict[str, np.ndarray]:
    """The case's columns by name: `group`, `y`, `one` and the predictors."""
    if data == "panel":
        return lagged(table(HERE / "mixed_panel.csv.gz"), patients)
    columns = table(HERE / f"mixed_{data}.csv")
    columns["one"] = np.ones(len(columns["y"]))
    if data == "orthodont":
        columns["age_Female"] = columns["age"] * columns["Female"]
    return columns


def table(path: Path) -> dict[str, np.ndarray]:
    """A CSV file's columns; `group` stays text."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {name: values if name == "group" else values.astype(float) for name, values in columns.items()}


def lagged(panel, patients) -> dict[str, np.ndarray]:
    """y at the next session on within-patient deviations and patient means; a skipped session pairs
    with nothing."""
    keep = panel["group"].astype(int) <= patients
    group, session, x, y = (panel[name][keep] for name in ("group", "session", "x", "y"))
    _, code = np.unique(group, return_inverse=True)
    size = np.bincount(code)
    xm, ym = ((np.bincount(code, values) / size)[code] for values in (x, y))
    pair = np.flatnonzero((group[1:] == group[:-1]) & (session[1:] == session[:-1] + 1))
    columns = {"group": group[pair], "session": session[pair], "y": y[pair + 1], "one": np.ones(len(pair))}
    columns |= {"xw": (x - xm)[pair], "yw": (y - ym)[pair], "xm": xm[pair], "ym": ym[pair]}
    centre_x, centre_y = (values[np.unique(code, return_index=True)[1]].mean() for values in (xm, ym))
    columns["xw_xm"] = columns["xw"] * (columns["xm"] - centre_x)
    columns["xw_ym"] = columns["xw"] * (columns["ym"] - centre_y)
    return columns


def arrays(case: dict):
    """(y, X, groups, Z) of a case."""
    columns = read_columns(case["data"], case["patients"])
    X, Z = (np.column_stack([columns[name] for name in case[part]]) for part in ("fixed", "random"))
    return columns["y"], X, columns["group"], Z


def main() -> None:
    from twostage.stats.mixed.fit import fit_mixed

    listed = []
    for case in cases():
        y, X, groups, Z = arrays(case)
        fit = fit_mixed(y, X, groups, Z, reml=case["reml"])
        listed.append(case | {"T": (fit.cov_re / fit.sigma2).tolist(), "deviance": -2 * fit.loglik})
    (HERE / "mixed_cases.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in listed) + "\n]\n")


if __name__ == "__main__":
    main()
