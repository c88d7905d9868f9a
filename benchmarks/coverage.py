"""Empirical coverage of confidence and prediction intervals: what justifies the defaults of stage 2.

    python benchmarks/coverage.py [--replicates 100000] [--seed 20201] [--out book/simulations]

For k of 5, 10, 17 and 40 studies and no, small and large heterogeneity: sizes n_i log-uniform from 30 to 1,000,
sampling variances 1 / n_i, drawn anew in every replicate; true effects normal with mean 0.05 and variance tau2; REML.
Coverage of a confidence interval is the share of replicates in which it holds the mean. Coverage of a prediction
interval is the probability, given the interval, that it holds the true effect of one more study, averaged over
replicates: no new study is drawn, so the Monte Carlo error is smaller. Some 30 seconds.
"""

import argparse
import os
from pathlib import Path

for threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"

import numpy as np
import pandas as pd
from scipy.special import ndtr

from twostage.recovery.simulations import write_simulation
from twostage.stats.pool.pool import pool_many

LEVEL = 0.95  # of the intervals
MEAN, SIZES = 0.05, (30.0, 1000.0)
STUDIES = (5, 10, 17, 40)
HETEROGENEITY = {"none": 0.0, "small": 0.002, "large": 0.03}
CONFIDENCE = {"Wald": "wald", "Hartung-Knapp": "hartung-knapp", "ad hoc": "hartung-knapp-adhoc"}
PREDICTION = {
    "normal, Wald": ("wald", "normal"),
    "t(k-2), Wald": ("wald", "k-2"),
    "t(k-1), Hartung-Knapp": ("hartung-knapp", "k-1"),
    "t(k-2), Hartung-Knapp": ("hartung-knapp", "k-2"),
}


def draw(rng, replicates, k, tau2):
    """Estimates and sampling variances, shape (replicates, k)."""
    low, high = np.log(SIZES)
    v = np.exp(-rng.uniform(low, high, (replicates, k)))
    return MEAN + rng.normal(size=v.shape) * np.sqrt(tau2 + v), v


def holds_new_effect(fit, tau2):
    """Probability that each prediction interval holds the next true effect."""
    low, high = fit.pi_low - MEAN, fit.pi_high - MEAN
    if tau2 == 0.0:
        return ((low <= 0.0) & (high >= 0.0)).astype(float)
    return ndtr(high / np.sqrt(tau2)) - ndtr(low / np.sqrt(tau2))


def cell(y, v, tau2):
    """Rows of one cell: interval, rule, coverage with its error, mean width."""
    rows = []
    for rule, ci in CONFIDENCE.items():
        fit = pool_many(y, v, ci=ci, level=LEVEL)
        covered = ((fit.ci_low <= MEAN) & (fit.ci_high >= MEAN)).astype(float)
        rows.append(("confidence", rule, covered, fit.ci_high - fit.ci_low, fit))
    for rule, (ci, prediction) in PREDICTION.items():
        fit = pool_many(y, v, ci=ci, level=LEVEL, prediction=prediction)
        rows.append(("prediction", rule, holds_new_effect(fit, tau2), fit.pi_high - fit.pi_low, fit))
    return [
        {"interval": interval, "rule": rule, "coverage": covered.mean()}
        | {"mc_error": covered.std(ddof=1) / np.sqrt(len(y)), "width": width.mean()}
        | {"mean_i2": fit.i2.mean(), "tau2_zero": fit.boundary.mean(), "converged": fit.converged.mean()}
        for interval, rule, covered, width, fit in rows
    ]


def simulate(replicates, seed):
    """The whole table."""
    rng, rows = np.random.default_rng(seed), []
    for k in STUDIES:
        for name, tau2 in HETEROGENEITY.items():
            named = {"k": k, "heterogeneity": name, "tau2": tau2, "replicates": replicates}
            rows += [named | row for row in cell(*draw(rng, replicates, k, tau2), tau2)]
    return pd.DataFrame(rows)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replicates", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=20201)
    parser.add_argument("--out", type=Path, default=Path("book/simulations"))
    options = parser.parse_args()
    table = simulate(options.replicates, options.seed)
    command = "python benchmarks/coverage.py"
    facts = {"replicates": options.replicates, "level": LEVEL}
    write_simulation(options.out, "coverage", table, seed=options.seed, command=command, **facts)
    print(table.to_string(index=False, float_format=lambda x: f"{x:.4f}"))


if __name__ == "__main__":
    main()
