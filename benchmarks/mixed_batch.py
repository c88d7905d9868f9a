"""Speed of fit_mixed_many against fit_mixed one by one, on the same data in one run.

    python benchmarks/mixed_batch.py [--data-sets 1000] [--patients 60] [--rounds 5]

Synthetic data sets of 60 patients with six transitions, five fixed effects, a random intercept; balanced and
with 30 % of the rows missing; with and without variance between patients (half of the latter fits are
singular). Then a bootstrap: 1,000 replicates of one data set of 300 patients, by weights. Both sides are
complete: from rows to coefficients, standard errors and Satterthwaite degrees of freedom. Processor time,
median over rounds in which both take turns. Ends with an error when a ratio is below 20 or the two
disagree.
"""

import argparse
import os
import sys
import time

for threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"

import numpy as np

from twostage.stats.mixed.fit import fit_mixed
from twostage.stats.mixed.many import (
    fit_mixed_many,
    fit_mixed_weighted,
)

TRANSITIONS = 6
DEMANDED = 20
# Largest difference of a coefficient in standard errors.
AGREEMENT = 1e-10


def stacked(data_sets: int, patients: int, sd: float, kept: float, seed: int = 1):
    """(y, X, groups, data_sets) of synthetic panels with a random intercept of standard deviation `sd`."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(data_sets * patients), TRANSITIONS)
    X = np.ones((len(patient), 5))
    X[:, 1:3] = rng.normal(size=(len(patient), 2))
    X[:, 3:] = rng.normal(size=(data_sets * patients, 2))[patient]
    y = X @ [0.0, 0.1, 0.3, 0.2, 0.5] + rng.normal(size=len(patient))
    y += rng.normal(0, sd, data_sets * patients)[patient]
    there = rng.random(len(patient)) < kept
    return y[there], X[there], patient[there] % patients, patient[there] // patients


def one_by_one(y, X, groups, edges):
    """Coefficients and standard errors of each data set by a fit of its own."""
    fits = [fit_mixed(y[i:j], X[i:j], groups[i:j]) for i, j in zip(edges[:-1], edges[1:], strict=True)]
    return np.array([fit.coef for fit in fits]), np.array([fit.std_error for fit in fits])


def clock(work):
    """Processor seconds and what the work returned."""
    begin = time.process_time()
    result = work()
    return time.process_time() - begin, result


def compare(label: str, alone, together, count: int, rounds: int) -> bool:
    """Print both times and the ratio; whether the demand is met."""
    times = {"alone": [], "together": []}
    for _ in range(rounds):
        seconds, (coef, std_error) = clock(alone)
        times["alone"].append(seconds)
        seconds, batch = clock(together)
        times["together"].append(seconds)
    slow, fast = (1e6 * float(np.median(t)) / count for t in times.values())
    gap = float(np.abs((batch.coef - coef) / std_error).max())
    print(f"{label:44} {slow:8.0f} {fast:8.1f} {slow / fast:7.1f}  {batch.singular.mean():8.2f}  {gap:.0e}")
    return slow / fast >= DEMANDED and gap <= AGREEMENT


def bootstrap(replicates: int, patients: int, rounds: int) -> bool:
    """Replicates of one data set by weights, against rows written out and fitted one by one."""
    y, X, groups, _ = stacked(1, patients, 0.4, 0.8)
    labels, first, sizes = np.unique(groups, return_index=True, return_counts=True)
    share = np.full(len(labels), 1 / len(labels))
    weights = np.random.default_rng(2).multinomial(len(labels), share, replicates)

    def alone():
        rows, copies = [], []
        for times in weights:
            drawn = np.repeat(np.arange(len(labels)), times)
            rows.append(np.concatenate([np.arange(first[k], first[k] + sizes[k]) for k in drawn]))
            copies.append(np.repeat(np.arange(len(drawn)), sizes[drawn]))
        edges = np.cumsum([0] + [len(r) for r in rows])
        rows = np.concatenate(rows)
        return one_by_one(y[rows], X[rows], np.concatenate(copies), edges)

    label = f"bootstrap of {patients} patients, {replicates} replicates"
    return compare(label, alone, lambda: fit_mixed_weighted(y, X, groups, weights), replicates, rounds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-sets", type=int, default=1000)
    parser.add_argument("--patients", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"numpy {np.__version__}; microseconds of processor time per data set")
    print(f"{'':44} {'alone':>8} {'together':>8} {'ratio':>7}  {'singular':>8}  largest difference / SE")
    met = []
    for sd in (0.4, 0.0):
        for kept in (1.0, 0.7):
            data = stacked(options.data_sets, options.patients, sd, kept)
            edges = np.searchsorted(data[3], np.arange(options.data_sets + 1))
            label = f"{options.data_sets} x {options.patients} patients, sd {sd}, {kept:.0%} of rows"
            alone, together = lambda d=data, e=edges: one_by_one(*d[:3], e), lambda d=data: fit_mixed_many(*d)
            met.append(compare(label, alone, together, options.data_sets, options.rounds))
    met.append(bootstrap(options.data_sets, 300, options.rounds))
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
