"""Called by riclpm_speed.py with an interpreter that has semopy: data.csv repeats out.json.

Times construction, `fit` and the standard errors of `inspect` from a data frame: of the same model with free means
(`ModelMeans`, ML) on complete data; with missing values, for which semopy's models with means have no likelihood, of the
model of the covariances alone (`Model`, FIML), so that its answers differ by more than rounding.
"""

import json
import sys
import time
import warnings

import pandas as pd
import semopy

warnings.simplefilter("ignore")


def syntax(T: int, means: bool) -> str:
    """The model in semopy's language."""
    steps = range(1, T + 1)
    lines = [f"R{v} =~ " + " + ".join(f"1*{v}{t}" for t in steps) for v in "xy"]
    lines += [f"w{v}{t} =~ 1*{v}{t}" for t in steps for v in "xy"]
    lines += [f"{v}{t} ~~ 0*{v}{t}" for t in steps for v in "xy"]
    lines += ["Rx ~~ Rx", "Rx ~~ Ry", "Ry ~~ Ry", "wx1 ~~ wx1", "wx1 ~~ wy1", "wy1 ~~ wy1"]
    lines += [f"Rx ~~ 0*w{v}1\nRy ~~ 0*w{v}1" for v in "xy"]
    for s in steps[1:]:
        lines += [f"wx{s} ~ p11*wx{s - 1} + p12*wy{s - 1}", f"wy{s} ~ p21*wx{s - 1} + p22*wy{s - 1}"]
        lines += [f"wx{s} ~~ q1*wx{s}", f"wx{s} ~~ q2*wy{s}", f"wy{s} ~~ q3*wy{s}"]
    lines += [f"{v}{t} ~ 1" for t in steps for v in "xy"] if means else []
    return "\n".join(lines)


def main() -> None:
    data, repeats, out = pd.read_csv(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    T, complete = data.shape[1] // 2, not data.isna().any(axis=None)
    wall, cpu = [], []
    for _ in range(repeats):
        begin, busy = time.perf_counter(), time.process_time()
        model = semopy.ModelMeans(syntax(T, True)) if complete else semopy.Model(syntax(T, False))
        model.fit(data, obj="ML" if complete else "FIML")
        table = model.inspect()
        wall.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - busy)
    rows = table[(table["op"] == "~") & table["lval"].isin(["wx2", "wy2"])]
    keys = [("wx2", "wx1"), ("wx2", "wy1"), ("wy2", "wx1"), ("wy2", "wy1")]
    rows = rows.set_index(["lval", "rval"])
    phi, se = ([float(rows.loc[key, column]) for key in keys] for column in ("Estimate", "Std. Err"))
    report = {"version": semopy.__version__, "wall": wall, "cpu": cpu}
    with open(out, "w") as file:
        json.dump(report | {"phi": phi, "se": se}, file)


if __name__ == "__main__":
    main()
