"""Speed of fit_dpm against lavaan, and of many panels at once against one by one: ratios in one run.

    python benchmarks/dpm_speed.py [--repeats 5] [--rounds 3]

Panels of two variables at seven occasions, complete or with drop-out (those of riclpm_speed.py). A fit is both
directions' models from an array, with standard errors from the observed information; lavaan's is one call of
`lavaan(missing = "fiml")` per direction on a data frame, timed inside R. A time is the median over rounds in which the
engines take turns; processor time counts (every engine runs on one thread). Then 100 panels of 100 persons in one
optimisation against one by one. Needs R with lavaan and jsonlite.
"""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from riclpm_speed import HERE, MISSING, OCCASIONS, SIZES, clock, panel

from twostage.stats.dpm.fit import fit_dpm, fit_dpm_many


def compare(n: int, missing: str, repeats: int, rounds: int) -> None:
    """Time both engines on one panel, taking turns, and print how far their answers are apart."""
    Y = panel(n, missing)
    fit, ours, theirs = fit_dpm(Y), [], []
    with tempfile.TemporaryDirectory() as name:
        data, out = Path(name) / "data.csv", Path(name) / "out.json"
        header = ",".join(f"{v}{t}" for t in range(1, OCCASIONS + 1) for v in "xy")
        np.savetxt(data, Y.reshape(n, -1), "%.17g", ",", header=header, comments="")
        data.write_text(data.read_text().replace("nan", ""))
        for _ in range(rounds):
            ours += clock(lambda: fit_dpm(Y), repeats)["cpu"]
            subprocess.run(["Rscript", str(HERE / "dpm_speed.R"), data, "2", out], check=True)
            report = json.loads(out.read_text())
            theirs += report["cpu"]
    theirs_phi = np.array([report["auto"], report["cross"]])
    theirs_se = np.array([report["auto_se"], report["cross_se"]])
    own, cross = ([0, 1], [0, 1]), ([0, 1], [1, 0])
    gap = np.abs(theirs_phi - [fit.phi[own], fit.phi[cross]]).max()
    error = np.abs(theirs_se / np.array([fit.phi_se[own], fit.phi_se[cross]]) - 1.0).max()
    print(
        f"{n} persons, {missing}: ours {1e3 * np.median(ours):.1f} ms, lavaan {report['version']} "
        f"{1e3 * np.median(theirs):.0f} ms: {np.median(theirs) / np.median(ours):.0f} times; "
        f"coefficients differ by {gap:.1e}, standard errors by {error:.1e} of themselves"
    )


def batch(missing: str, rounds: int) -> None:
    """100 panels of 100 persons at once, against one by one."""
    sets = [panel(100, missing, seed) for seed in range(100)]
    fit_dpm_many(sets[:10])
    ratios = []
    for _ in range(rounds):
        together = clock(lambda: fit_dpm_many(sets), 1)["cpu"][0]
        alone = clock(lambda: [fit_dpm(Y) for Y in sets], 1)["cpu"][0]
        ratios.append(alone / together)
    found = fit_dpm_many(sets)
    print(
        f"100 panels of 100 persons, {missing}: {10 * together:.1f} ms per panel, {np.median(ratios):.1f} times one by "
        f"one; {found.converged.all(axis=1).sum()} of {len(sets)} converged"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for n in SIZES:
        for missing in MISSING:
            compare(n, missing, options.repeats, options.rounds)
    for missing in (*MISSING, "skipped"):
        batch(missing, options.rounds)
    print(f"load average {', '.join(f'{v:.1f}' for v in os.getloadavg())} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
