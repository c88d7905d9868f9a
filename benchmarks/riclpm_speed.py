"""Speed of fit_riclpm against lavaan and semopy, of large panels, and of many panels at once: ratios in one run.

    python benchmarks/riclpm_speed.py [--repeats 20] [--rounds 8] [--semopy PYTHON]

Panels of two variables at seven occasions, complete or with drop-out. A time is the median over rounds in which the
engines take turns, ours before and after the other; processor time counts (every engine runs on one thread). Ours is
the complete fit from an array: checking, moments, estimates, observed information, standardized coefficients with
their errors; lavaan's one call of `lavaan(missing = "fiml")` on a data frame, timed inside R; semopy's construction,
`fit(obj="FIML")` and `inspect`. Then an evaluation's time at growing N, a panel of 100,000, and 500 panels of 100
persons in one optimisation against one by one. Needs R with lavaan and jsonlite; `--semopy` names an interpreter that
has semopy (it is not one of this project's dependencies). Panels with skipped sessions or single missing values have
nearly as many patterns as persons; a batch of them saves little, and what it saves is printed beside what is demanded
of the others.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

for threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"

import numpy as np

from twostage.stats.fiml.likelihood import evaluate, expected_information, group_patterns
from twostage.stats.riclpm.fit import fit_riclpm, fit_riclpm_many
from twostage.stats.riclpm.model import RiclpmStructure, starting_values, starts
from twostage.stats.riclpm.steps import StepLikelihood, step_moments

HERE = Path(__file__).parent
OCCASIONS = 7
SIZES = (300, 1500)
MISSING = ("complete", "dropout")
DEMANDED = 50  # times lavaan's and semopy's speed
DEMANDED_BATCH = 20  # times one by one
DEMANDED_LARGE = 1.0  # seconds at 100,000 persons
PHI = np.array([[0.3, -0.07], [-0.1, 0.4]])


def panel(n: int, missing: str, seed: int = 1) -> np.ndarray:
    """Synthetic panel (n, 7, 2); drop-out 5 % per occasion, skipped occasions 10 %, single values 5 %."""
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky([[1.0, -0.3], [-0.3, 1.0]])
    intercept, w = (rng.normal(size=(n, 2)) @ root.T for _ in range(2))
    Y = np.empty((n, OCCASIONS, 2))
    for t in range(OCCASIONS):
        w = w if t == 0 else w @ PHI.T + rng.normal(size=(n, 2)) @ root.T
        Y[:, t] = intercept + w
    if missing != "complete":
        Y[np.arange(OCCASIONS) >= rng.geometric(0.05, n)[:, None]] = np.nan
    if missing in ("skipped", "items"):
        skipped = rng.random((n, OCCASIONS)) < 0.1
        skipped[:, 0] = False
        Y[skipped] = np.nan
    if missing == "items":
        Y[rng.random(Y.shape) < 0.05] = np.nan
    return Y


def clock(work, repeats: int) -> dict[str, list[float]]:
    """Wall and processor seconds of each repetition."""
    wall, cpu = [], []
    for _ in range(repeats):
        begin, busy = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - busy)
    return {"wall": wall, "cpu": cpu}


def compare(n: int, missing: str, options) -> dict[str, float]:
    """Time all engines on one panel, taking turns; the peers' ratios to ours."""
    Y = panel(n, missing)
    fit, peers = fit_riclpm(Y), {"lavaan": ["Rscript", HERE / "riclpm_speed.R"]}
    if options.semopy:
        peers["semopy"] = [options.semopy, HERE / "riclpm_speed_semopy.py"]
    print(f"\n{n} persons, {missing}: {fit.n_patterns} patterns, {fit.optimiser.evaluations} evaluations")
    with tempfile.TemporaryDirectory() as name:
        data, out = Path(name) / "data.csv", Path(name) / "out.json"
        header = ",".join(f"{v}{t}" for t in range(1, OCCASIONS + 1) for v in "xy")
        text = "\n".join(
            ",".join("" if np.isnan(v) else repr(float(v)) for v in row) for row in Y.reshape(n, -1)
        )
        data.write_text(f"{header}\n{text}\n")
        return {
            peer: against(peer, [*map(str, command), str(data), "2", str(out)], Y, fit, options)
            for peer, command in peers.items()
        }


def against(peer: str, command: list[str], Y: np.ndarray, fit, options) -> float:
    """A peer's time over ours, medians over rounds; in each round ours is timed before and after the peer."""
    ours, theirs = [], []
    for _ in range(options.rounds):
        own = clock(lambda: fit_riclpm(Y), options.repeats)["cpu"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"  {peer} failed: {done.stderr.strip().splitlines()[-1]}")
            return float("nan")
        report = json.loads(Path(command[-1]).read_text())
        own += clock(lambda: fit_riclpm(Y), options.repeats)["cpu"]
        ours.append(1e3 * np.median(own))
        theirs.append(1e3 * np.median(report["cpu"]))
    ratio = float(np.median(theirs) / np.median(ours))
    rounds = np.divide(theirs, ours)
    gap = np.abs(np.array(report["phi"]) - fit.phi.ravel()).max()
    error = np.abs(np.array(report["se"]) / fit.phi_se.ravel() - 1.0).max()
    print(
        f"  {peer:7} {np.median(theirs):8.2f} ms processor, ours {np.median(ours):5.2f}: ratio {ratio:6.1f} "
        f"(rounds {rounds.min():.0f} to {rounds.max():.0f}); {report['version']}: coefficients differ by {gap:.1e}, "
        f"standard errors by {error:.1e} of themselves"
    )
    return ratio


def per_iteration() -> None:
    """One likelihood with gradient and information at growing N: the pass before is the only one over persons."""
    model = RiclpmStructure(OCCASIONS, "equal", "equal", "free")
    print("\none evaluation with gradient and information, and the one pass over persons before the first")
    for n in (1_000, 10_000, 100_000):
        for missing, prepare, evaluation in (
            (
                "dropout",
                moments_of,
                lambda moments: StepLikelihood(model, moments).expanded(start_of(moments)),
            ),
            ("skipped", lambda rows: group_patterns([rows]), lambda patterns: by_pattern(model, patterns)),
        ):
            rows = panel(n, missing).reshape(n, -1)
            prepared = prepare(rows)
            step, once = (
                1e3 * np.median(clock(lambda work=work, of=of: work(of), 9)["cpu"])
                for work, of in ((evaluation, prepared), (prepare, rows))
            )
            print(f"  {n:7,} persons, {missing}: {step:6.2f} ms per iteration, {once:7.1f} ms before")


def moments_of(rows: np.ndarray):
    rows = rows[~np.isnan(rows[:, 0])]
    return step_moments(rows, ~np.isnan(rows), np.zeros(len(rows), dtype=int), 1)


def start_of(moments) -> np.ndarray:
    model = RiclpmStructure(OCCASIONS, "equal", "equal", "free")
    return starts(model, *(np.moveaxis(one, -1, 0) for one in moments.covariances())).T


def by_pattern(model, patterns):
    theta = starting_values(model, patterns)
    return expected_information(model.core, patterns, evaluate(model.core, patterns, theta))


def large() -> bool:
    for missing in ("dropout", "skipped"):
        Y = panel(100_000, missing)
        spent = clock(lambda Y=Y: fit_riclpm(Y), 3)
        best = {kind: min(values) for kind, values in spent.items()}
        patterns = fit_riclpm(Y).n_patterns
        print(
            f"  100,000 persons, {missing}, {patterns} patterns: {best['cpu']:.2f} s processor, {best['wall']:.2f} s wall"
        )
        if missing == "dropout":
            met = best["cpu"] < DEMANDED_LARGE
    return met


def batch(missing: str, rounds: int) -> float:
    """500 panels of 100 persons at once, against one by one (a fifth of them, in proportion)."""
    sets = [panel(100, missing, seed) for seed in range(500)]
    fit_riclpm_many(sets[:20])
    ratios = []
    for _ in range(rounds):
        together = clock(lambda: fit_riclpm_many(sets), 1)["cpu"][0]
        alone = 5 * clock(lambda: [fit_riclpm(Y) for Y in sets[:100]], 1)["cpu"][0]
        ratios.append(alone / together)
    found = fit_riclpm_many(sets)
    print(
        f"  {missing:9} {found.n_patterns.mean():5.1f} patterns each: {2 * together:6.2f} ms per panel, "
        f"{np.median(ratios):5.1f} times one by one; {found.converged.sum()} of {len(found)} converged"
    )
    return float(np.median(ratios))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--semopy")
    options = parser.parse_args()
    ratios = {(n, missing): compare(n, missing, options) for n in SIZES for missing in MISSING}
    per_iteration()
    print("\nlarge")
    fast = large()
    print("\n500 panels of 100 persons")
    batches = {
        missing: batch(missing, options.rounds) for missing in ("complete", "dropout", "skipped", "items")
    }
    print("\ndemanded (ratios of processor time)")
    for (n, missing), found in ratios.items():
        for peer, ratio in found.items():
            verdict = "met" if ratio >= DEMANDED else "NOT MET"
            print(
                f"  {n} persons, {missing}: {ratio:.1f} times {peer}'s speed, demanded {DEMANDED}: {verdict}"
            )
    print(f"  100,000 persons within {DEMANDED_LARGE} s: {'met' if fast else 'NOT MET'}")
    for missing, ratio in batches.items():
        verdict = "met" if ratio >= DEMANDED_BATCH else "NOT MET"
        print(f"  batch, {missing}: {ratio:.1f} times one by one, demanded {DEMANDED_BATCH}: {verdict}")
    print(f"\nload average {', '.join(f'{v:.1f}' for v in os.getloadavg())} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
