"""Ten thousand random small data sets: our criterion against lme4's.

    python benchmarks/mixed_stress.py [--sets 10000] [--chunk 250] [--work FOLDER]

Draws data sets that are hard for a mixed model (unbalanced, singular, high intraclass correlation, patients
with one session, patient means among the predictors, nearly collinear or collinear columns, one to three
random effects), fits each here and, in one R process per chunk, by lme4; evaluates lme4's own deviance
function at our T; prints how often our criterion lies above lme4's by more than 1e-8 (must be never), how
often lme4 stopped short of ours, the largest disagreement of the two deviance functions, and every failure.
A chunk that is done is not done again: the run can be interrupted and resumed. Needs R with lme4 and
jsonlite.
"""

import argparse
import csv
import json
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from twostage.stats.mixed.fit import fit_mixed

SCRIPT = Path(__file__).with_name("mixed_stress.R")
ABOVE = 1e-8
SHORT = (1e-6, 1e-3)
KINDS = ("ordinary", "zero variance", "perfect correlation", "high icc", "one session", "patient means",
         "near collinear", "offset", "few patients", "collinear")  # fmt: skip
COLUMNS = ("set", "group", "y", "x1", "x2", "x3", "x4", "x5")


def draw(seed: int) -> dict:
    """One data set: kind, p, q, reml and columns rounded to six decimals (so that R reads the same
    numbers)."""
    rng = np.random.default_rng([20200915, seed])
    kind = KINDS[seed % len(KINDS)]
    n_groups = int(rng.integers(3, 7)) if kind == "few patients" else int(rng.integers(8, 41))
    q = int(rng.integers(1, 4))
    sizes = _sizes(rng, kind, n_groups, q)
    group = np.repeat(np.arange(n_groups), sizes)
    X = _predictors(rng, kind, group, q)
    p = X.shape[1]
    sd = _spreads(rng, kind, q)
    effects = rng.normal(size=(n_groups, q)) * sd
    if kind == "perfect correlation":
        effects = rng.normal(size=(n_groups, 1)) * sd
    y = X @ rng.normal(0, 0.5, p) + (X[:, :q] * effects[group]).sum(axis=1) + rng.normal(size=len(group))
    shuffled = rng.permutation(len(group))
    return {"set": seed, "kind": kind, "p": p, "q": q, "reml": bool(rng.random() < 0.7),
            "group": group[shuffled], "y": np.round(y, 6)[shuffled], "X": X[shuffled]}  # fmt: skip


def _sizes(rng, kind, n_groups, q):
    """Sessions per patient; enough rows in all for q random effects."""
    low, high = (1, 5) if kind == "one session" else (2, 9)
    sizes = rng.integers(low, high, n_groups)
    if kind == "one session":
        sizes[rng.random(n_groups) < 0.4] = 1
    while sizes.sum() <= n_groups * q + 12:
        sizes[rng.integers(n_groups)] += 2
    return sizes


def _predictors(rng, kind, group, q):
    """A constant, two session-level columns and up to two patient-level ones; random effects use the
    first q."""
    n, n_groups = len(group), group[-1] + 1
    within = rng.normal(size=(n, 2)) + rng.normal(size=(n_groups, 2))[group]
    columns = [np.ones(n), *within.T]
    if kind == "patient means":
        means = np.column_stack([np.bincount(group, w) / np.bincount(group) for w in within.T])
        columns = [columns[0], *(within - means[group]).T, *means[group].T]
    elif rng.random() < 0.5:
        columns.append(rng.integers(0, 2, n_groups)[group].astype(float))
    if kind == "offset":
        columns[1] = columns[1] + 300.0
    if kind == "near collinear":
        columns.append(columns[1] + 3e-3 * rng.normal(size=n))
    X = np.round(np.column_stack(columns), 6)
    if kind == "collinear":
        X = np.column_stack([X[:, :4], X[:, 1] - 2 * X[:, 2] + 1])
    return X


def _spreads(rng, kind, q):
    """Standard deviations of the random effects, the residual's being 1."""
    sd = np.exp(rng.normal(-0.7, 0.8, q))
    if kind == "zero variance":
        sd[rng.integers(q) if q > 1 else 0] = 0.0
    if kind == "high icc":
        sd[0] = 10 ** rng.uniform(1, 2.5)
    return sd


def fit_here(data: dict) -> dict:
    """Our fit: criterion and T, or the error's message."""
    X, q = data["X"], data["q"]
    Z = None if q == 1 else X[:, :q]
    try:
        fit = fit_mixed(data["y"], X, data["group"], Z, reml=data["reml"])
    except ValueError as error:
        return {"error": str(error)}
    T = fit.cov_re / fit.sigma2
    return {"deviance": -2 * fit.loglik, "T": T.tolist(), "converged": fit.converged, "singular": fit.singular,
            "evaluations": fit.optimiser.evaluations}  # fmt: skip


def run_chunk(seeds, folder: Path) -> list[dict]:
    """Fit a chunk here and in R; rows with both answers."""
    sets = [draw(seed) for seed in seeds]
    ours = [fit_here(data) for data in sets]
    with tempfile.TemporaryDirectory(dir=folder) as name:
        scratch = Path(name)
        with (scratch / "data.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for data in sets:
                pad = [""] * (5 - data["p"])
                for group, y, x in zip(data["group"], data["y"], data["X"], strict=True):
                    writer.writerow([data["set"], group, repr(float(y)), *(repr(float(v)) for v in x), *pad])
        keys = ("set", "p", "q", "reml")
        described = [
            {key: data[key] for key in keys} | {"T": fit.get("T")}
            for data, fit in zip(sets, ours, strict=True)
        ]
        (scratch / "sets.json").write_text(json.dumps(described))
        subprocess.run(["Rscript", str(SCRIPT), name], check=True)
        theirs = json.loads((scratch / "lme4.json").read_text())
    return [{"set": data["set"], "kind": data["kind"], "q": data["q"], "reml": data["reml"]} | fit | lme4
            for data, fit, lme4 in zip(sets, ours, theirs, strict=True)]  # fmt: skip


def report(rows: list[dict]) -> bool:
    """Print the counts; whether nothing is wrong."""
    collinear = [row for row in rows if row["kind"] == "collinear"]
    found = sum("collinear" in row.get("error", "") for row in collinear)
    others = [row for row in rows if row["kind"] != "collinear"]
    fitted = [row for row in others if "error" not in row and row["lme4_default"] is not None]
    above = [row for row in fitted if row["deviance"] > row["lme4_default"] + ABOVE]
    stuck = [row for row in fitted if not row["converged"]]
    refused = [row for row in others if "error" in row]
    gaps = np.array([row["deviance"] - row["lme4_at_ours"] for row in fitted])
    print(
        f"data sets {len(rows)}; fitted by both {len(fitted)}, singular {sum(row['singular'] for row in fitted)}"
    )
    print(
        f"ours above lme4's criterion by more than {ABOVE:g}: {len(above)} {[row['set'] for row in above[:20]]}"
    )
    for limit in SHORT:
        for q in (1, 2, 3):
            same = [row for row in fitted if row["q"] == q]
            short = sum(row["lme4_default"] - row["deviance"] > limit for row in same)
            print(f"lme4 stopped more than {limit:g} short, {q} random effects: {short} of {len(same)}")
    print(f"largest |our deviance - lme4's deviance function at our T|: {np.abs(gaps).max():.2e}")
    print(f"not converged here: {len(stuck)} {[row['set'] for row in stuck[:20]]}")
    print(f"collinear data sets named: {found} of {len(collinear)}")
    print(f"refused here: {len(refused)}", Counter(row["error"][:60] for row in refused).most_common(5))
    print(f"failed in lme4: {sum(row['lme4_default'] is None for row in others)}")
    print("evaluations per fit, median / 99 % / most, by random effects:",
          {q: np.percentile([r["evaluations"] for r in fitted if r["q"] == q], [50, 99,
          100]).tolist() for q in (1, 2, 3)})  # fmt: skip
    return not above and not stuck and found == len(collinear) and np.abs(gaps).max() <= ABOVE


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", type=int, default=10_000)
    parser.add_argument("--chunk", type=int, default=250)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "mixed_stress")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    rows = []
    for first in range(0, options.sets, options.chunk):
        last = min(first + options.chunk, options.sets)
        done = options.work / f"{first:06d}-{last:06d}.json"
        if not done.exists():
            done.write_text(json.dumps(run_chunk(range(first, last), options.work)))
            print(f"{last} of {options.sets}", flush=True)
        rows += json.loads(done.read_text())
    raise SystemExit(0 if report(rows) else 1)


if __name__ == "__main__":
    main()
