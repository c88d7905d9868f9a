"""Called by riclpm_speed.py with an interpreter that has semopy: data.csv repeats out.json.

Times construction and `fit` of the same model from a data frame with FIML, and the standard errors of `inspect`.
"""

import json
import sys
import time
import warnings

import pandas as pd
import semopy

warnings.simplefilter("ignore")


def syntax(T: int) -> str:
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
    return "\n".join(lines)


def main() -> None:
    data, repeats, out = pd.read_csv(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    T = data.shape[1] // 2
    wall, cpu = [], []
    for _ in range(repeats):
        begin, busy = time.perf_counter(), time.process_time()
        model = semopy.Model(syntax(T))
        result = model.fit(data, obj="FIML")
        table = model.inspect()
        wall.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - busy)
    rows = table[(table["op"] == "~") & table["lval"].isin(["wx2", "wy2"])]
    found = {(r.lval, r.rval): (r.Estimate, r._5 if hasattr(r, "_5") else None) for r in rows.itertuples()}
    phi = [found[key][0] for key in (("wx2", "wx1"), ("wx2", "wy1"), ("wy2", "wx1"), ("wy2", "wy1"))]
    se = [float(rows.loc[(rows["lval"] == a) & (rows["rval"] == b), "Std. Err"].iloc[0])
          for a, b in (("wx2", "wx1"), ("wx2", "wy1"), ("wy2", "wx1"), ("wy2", "wy1"))]  # fmt: skip
    report = {"version": semopy.__version__, "wall": wall, "cpu": cpu, "success": bool(result.success)}
    with open(out, "w") as file:
        json.dump(report | {"phi": phi, "se": se, "objective": float(result.fun)}, file)


if __name__ == "__main__":
    main()
