"""Speed of fit_mixed against lme4, statsmodels' MixedLM and mixedlm-rs: ratios on the same data, in one run.

    python benchmarks/mixed_speed.py [--repeats 15] [--rounds 3] [--mixedlm-at 300 1500] [--no-million]

Panels of 300, 1,500 and 5,350 patients with six transitions each; five fixed effects; a random intercept,
or an intercept and two slopes. A time is the median over rounds in which all engines take turns; processor
time counts (every engine runs on one thread, so on an idle machine it is the wall time shown beside it).
Ours is the complete fit from arrays: checking, coefficients, standard errors and Satterthwaite degrees of
freedom; lme4's is one call of `lmer` on a data frame by its default control, timed inside R, without
degrees of freedom (lmerTest would add to it); MixedLM's and mixedlm-rs's are construction and `fit` from
arrays. Then 10^4, 10^5 and 10^6 patients: time, its exponent, and peak memory beyond the data. Needs R with
lme4 and jsonlite, and mixedlm-rs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

for threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[threads] = "1"

import numpy as np

from twostage.stats.mixed.fit import fit_mixed

SCRIPT = Path(__file__).with_name("mixed_speed.R")
SIZES = (300, 1500, 5350)
LARGE = (10_000, 100_000, 1_000_000)
MODELS = ("intercept", "three")
TRANSITIONS = 6
DEMANDED = {("lme4", "intercept", 1500): 50, ("lme4", "three", 1500): 10, ("lme4", "intercept", 5350): 100,
            ("lme4", "three", 5350): 50}  # fmt: skip


def panel(patients: int, seed: int = 1):
    """(y, X, groups, Z): five fixed effects, three random ones with standard deviations 0.4, 0.2, 0.3."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(patients), TRANSITIONS)
    n = len(group)
    X = np.empty((n, 5))
    X[:, 0] = 1.0
    X[:, 1:3] = rng.normal(size=(n, 2))
    X[:, 3:] = np.repeat(rng.normal(size=(patients, 2)), TRANSITIONS, axis=0)
    y = X @ [0.0, 0.1, 0.3, 0.2, 0.5] + rng.normal(size=n)
    for column, sd in enumerate((0.4, 0.2, 0.3)):
        y += np.repeat(rng.normal(0, sd, patients), TRANSITIONS) * X[:, column]
    return y, X, group, X[:, :3].copy()


def clock(work, repeats: int) -> dict[str, list[float]]:
    """Wall and processor seconds of each repetition."""
    wall, cpu = [], []
    for _ in range(repeats):
        begin, busy = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - busy)
    return {"wall": wall, "cpu": cpu}


def python_engines(data):
    """Each engine's fit of both models, as functions."""
    import mixedlm_rs

    y, X, group, Z = data
    random = {"intercept": None, "three": Z}
    rust = {"intercept": Z[:, :1].copy(), "three": Z}

    def ours(model):
        return lambda: fit_mixed(y, X, group, random[model]).loglik

    def theirs(model):
        return lambda: mixedlm_rs.MixedLM(y, X, groups=group, exog_re=rust[model]).fit().llf

    return {"twostage": ours, "mixedlm-rs": theirs}


def time_lme4(data, folder: Path, repeats: int) -> dict:
    """lme4's times and log-likelihoods, from one R process."""
    y, X, group, _ = data
    table = np.column_stack([group, y, X[:, 1:]])
    np.savetxt(
        folder / "data.csv", table, delimiter=",", header="group,y,xw,yw,xm,ym", comments="", fmt="%.17g"
    )
    command = ["Rscript", str(SCRIPT), str(folder / "data.csv"), str(repeats), str(folder / "out.json")]
    subprocess.run(command, check=True)
    return json.loads((folder / "out.json").read_text())


class Times:
    """Seconds of every engine and model at one size."""

    def __init__(self):
        self.seconds: dict = {}
        self.loglik: dict = {}

    def add(self, engine: str, model: str, times: dict, loglik: float) -> None:
        kept = self.seconds.setdefault((engine, model), {"wall": [], "cpu": []})
        for kind, values in kept.items():
            values.extend(times[kind])
        self.loglik[engine, model] = loglik

    def median(self, engine: str, model: str, kind: str) -> float:
        return float(np.median(self.seconds[engine, model][kind]))

    def ratio(self, engine: str, model: str, kind: str = "cpu") -> float:
        return self.median(engine, model, kind) / self.median("twostage", model, kind)

    def show(self) -> None:
        print(
            f"  {'':9} {'':10} {'cpu ms':>10} {'wall ms':>10} {'cpu ratio':>10} {'wall ratio':>10}   log-likelihood"
        )
        for engine, model in sorted(self.seconds, key=lambda key: key[1]):
            cpu, wall = (1e3 * self.median(engine, model, kind) for kind in ("cpu", "wall"))
            ratios = (self.ratio(engine, model, kind) for kind in ("cpu", "wall"))
            gap = self.loglik[engine, model] - self.loglik["twostage", model]
            print(
                f"  {model:9} {engine:10} {cpu:10.2f} {wall:10.2f} {next(ratios):10.1f} {next(ratios):10.1f}   {gap:+.1e}"
            )


def compare(patients: int, rounds: int, repeats: int) -> Times:
    """Time all engines at one size, taking turns."""
    data, times = panel(patients), Times()
    engines = python_engines(data)
    with tempfile.TemporaryDirectory() as name:
        for _ in range(rounds):
            lme4 = time_lme4(data, Path(name), max(2, repeats // 5))
            for model in MODELS:
                for control, label in (("default", "lme4"), ("fast", "lme4 fast")):
                    result = lme4[f"{model}_{control}"]
                    times.add(label, model, result, result["loglik"])
                for engine, make in engines.items():
                    loglik = make(model)()
                    times.add(engine, model, clock(make(model), repeats), loglik)
    print(
        f"\n{patients} patients x {TRANSITIONS} ({lme4['R']}, lme4 {lme4['version']}, numpy {np.__version__})"
    )
    times.show()
    return times


def time_mixedlm(patients: int, times: Times) -> None:
    """statsmodels, once per model: it takes from seconds to minutes."""
    from statsmodels.regression.mixed_linear_model import MixedLM

    y, X, group, Z = panel(patients)
    for model, exog_re in (("intercept", Z[:, :1]), ("three", Z)):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            spent = clock(lambda exog_re=exog_re: MixedLM(y, X, group, exog_re).fit(), 1)["cpu"][0]
        ratio = spent / times.median("twostage", model, "cpu")
        print(f"  {model:9} MixedLM at {patients}: {spent:.2f} s, ratio {ratio:.0f}, warnings {len(said)}")


def large() -> None:
    """One process per size, so that the peak of memory is its own."""
    for model in MODELS:
        seconds = []
        for patients in LARGE:
            command = [sys.executable, __file__, "--single", str(patients), model]
            run = subprocess.run(command, check=True, capture_output=True, text=True)
            result = json.loads(run.stdout)
            seconds.append(result["cpu"])
            beyond, data = (f"{result[key] / 2**20:.0f} MB" for key in ("beyond", "data"))
            spent = f"{result['cpu']:.3f} s processor, {result['wall']:.3f} s wall"
            print(f"  {model:9} {patients:9,} patients: {spent}, peak {beyond} beyond {data} of data")
        slope = np.polyfit(np.log(LARGE), np.log(seconds), 1)[0]
        print(f"  {model:9} exponent of cost in patients: {slope:.2f}")


def single(patients: int, model: str) -> None:
    """Seconds (best of three) and peak memory beyond the data of one large fit (Linux: /proc)."""
    y, X, group, Z = panel(patients)
    small = panel(50)
    fit_mixed(*small[:3], None if model == "intercept" else small[3])
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    spent = clock(lambda: fit_mixed(y, X, group, None if model == "intercept" else Z), 3)
    data = sum(array.nbytes for array in (y, X, group, Z))
    best = {kind: min(values) for kind, values in spent.items()}
    print(json.dumps(best | {"beyond": _status("VmHWM") - before, "data": data}))


def _status(field: str) -> int:
    """A memory figure of this process in bytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mixedlm-at", type=int, nargs="*", default=[300, 1500])
    parser.add_argument("--no-million", action="store_true")
    parser.add_argument("--single", nargs=2)
    options = parser.parse_args()
    if options.single:
        single(int(options.single[0]), options.single[1])
        return
    times = {patients: compare(patients, options.rounds, options.repeats) for patients in SIZES}
    print("\nstatsmodels (processor time, one run)")
    for patients in options.mixedlm_at:
        time_mixedlm(patients, times[patients])
    print("\ndemanded (ratios of processor time)")
    for (engine, model, patients), least in DEMANDED.items():
        ratio = times[patients].ratio(engine, model)
        verdict = "met" if ratio >= least else "NOT MET"
        print(
            f"  {model:9} {patients} patients: {ratio:.0f} times {engine}'s speed, demanded {least}: {verdict}"
        )
    worst = min(one.ratio("mixedlm-rs", model) for one in times.values() for model in MODELS)
    print(f"  mixedlm-rs: at least {worst:.1f} times, demanded above 1: {'met' if worst > 1 else 'NOT MET'}")
    if not options.no_million:
        print("\nlarge")
        large()
    print(f"\nload average {', '.join(f'{v:.1f}' for v in os.getloadavg())} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
