"""GOSH per subset: twostage against metafor's gosh(), in one run.

    python benchmarks/gosh_speed.py [--repeats 3] [--studies 13 20]

Each repeat times metafor (one R process, its own gosh(), a sample of subsets) and then twostage (all subsets
of 13 studies, a sample of 200,000 of 20, drawing included) on the same data. Prints the median ratio of the
repeats. Processor time of all threads on both sides, so that other work on the machine does not count; neither
do R's start and package loading. Needs Rscript with metafor.
"""

import argparse
import csv
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from twostage.stats.influence.gosh import gosh
from twostage.stats.pool.pool import pool

HERE = Path(__file__).parent
TARGET = 100.0
LONG_ENOUGH = 0.3  # seconds to measure
# metafor's own fast paths (FE, DL) get more subsets: they take microseconds, the others milliseconds.
SUBSETS = {"FE": 8000, "DL": 8000, "PM": 400, "REML": 400, "ML": 400, "SJ": 400, "HE": 400}


def data(k, seed=3):
    rng = np.random.default_rng(seed)
    v = rng.uniform(0.01, 0.2, k)
    return rng.normal(0.2, np.sqrt(v + 0.05)), v


def metafor_seconds(path, method):
    command = ["Rscript", str(HERE / "gosh_speed.R"), str(path), method, str(SUBSETS[method])]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(output.split()[-1])


def our_seconds(y, v, method):
    fit = pool(y, v, method=method)
    gosh(fit, subsets=1000)
    start, done = time.process_time(), 0
    while time.process_time() - start < LONG_ENOUGH:
        done += gosh(fit, subsets=200_000).size.size
    return (time.process_time() - start) / done


def compare(k, method, repeats):
    y, v = data(k)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("y", "v"), *zip(y.tolist(), v.tolist(), strict=True)])
        pairs = [(metafor_seconds(path, method), our_seconds(y, v, method)) for _ in range(repeats)]
    theirs, ours = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(t / o for t, o in pairs)
    print(f"{k:3d}  {method:5s} {1e6 * theirs:11.1f} {1e6 * ours:10.3f} {ratio:9.0f}", flush=True)
    return ratio


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--studies", type=int, nargs="+", default=[13, 20])
    arguments = parser.parse_args()
    if shutil.which("Rscript") is None:
        parser.error("Rscript was not found")
    print("  k  method  metafor us twostage us     ratio   (per subset, medians)")
    ratios = [compare(k, m, arguments.repeats) for k in arguments.studies for m in SUBSETS]
    print(f"smallest ratio {min(ratios):.0f}, wanted {TARGET:.0f}")
    return 0 if min(ratios) >= TARGET else 1


if __name__ == "__main__":
    raise SystemExit(main())
