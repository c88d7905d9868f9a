"""Coverage of one-stage and two-stage intervals of a cross-lagged effect where the truth is known.

    python benchmarks/onestage_coverage.py [--replicates 1000] [--seed 171] [--parts FOLDER] [--out book/simulations]

For 5 and 17 studies, without and with heterogeneity (standard deviation 0.1 of both slopes, correlation 0.3): studies of
20 to 150 patients (log-uniform) with 2 to 6 rows each, drawn from the model itself, so that nothing but the inference is
put to the test; residual standard deviations differ by study (log-normal, 0.2), the random intercept has half the
residual variance. The two-stage analysis pools each study's slope with its model's standard error by REML.

Replicates are drawn in parts; with --parts a part that is there already is not drawn again. Some four minutes.
"""

import argparse
import json
import os
from pathlib import Path

for threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"

import numpy as np
import pandas as pd

from twostage.files import write_text
from twostage.recovery.simulations import write_simulation
from twostage.stats.mixed import MixedSums
from twostage.stats.onestage import StudySums, fit_onestage
from twostage.stats.pool.pool import pool

LEVEL, PART = 0.95, 200
SLOPES = np.array([-0.1, 0.25])
STUDIES, TAUS = (5, 17), (0.0, 0.1)
COLUMNS = ("intercept", "cross", "auto", "x_mean", "y_mean")
TWO_STAGE = {"two-stage, Hartung-Knapp": "hartung-knapp", "two-stage, Wald": "wald"}
ONE_STAGE = {
    "one-stage, Hartung-Knapp": ("separate", "hartung-knapp"),
    "one-stage, Kenward-Roger": ("separate", "kenward-roger"),
    "one-stage, Wald": ("separate", "wald"),
    "one-stage, common variances, Hartung-Knapp": ("common", "hartung-knapp"),
}
RULES = (*TWO_STAGE, *ONE_STAGE)


def draw_study(rng, tau):
    """Sums of one study's rows."""
    n = int(np.exp(rng.uniform(np.log(20), np.log(150))))
    patient = np.repeat(np.arange(n), rng.integers(2, 7, n))
    X = np.ones((len(patient), 5))
    X[:, 1:3] = rng.normal(size=(len(patient), 2))
    X[:, 3:] = rng.normal(size=(n, 2))[patient]
    apart = tau * rng.normal(size=2) @ np.linalg.cholesky([[1.0, 0.3], [0.3, 1.0]]).T
    sd = np.exp(0.2 * rng.normal())
    noise = sd * (rng.normal(size=len(patient)) + np.sqrt(0.5) * rng.normal(size=n)[patient])
    y = X @ np.r_[rng.normal(), SLOPES + apart, 0.2, 0.4] + noise
    return MixedSums(COLUMNS).add(y, X, patient)


def intervals(studies):
    """low, high and tau of the cross-lag by each rule."""
    fits = [study.fit() for study in studies]
    y, v = np.array([f.coef[1] for f in fits]), np.array([f.std_error[1] ** 2 for f in fits])
    found = {}
    for rule, ci in TWO_STAGE.items():
        fit = pool(y, v, ci=ci, level=LEVEL)
        found[rule] = fit.ci_low, fit.ci_high, np.sqrt(fit.tau2)
    sums = [StudySums.of(study) for study in studies]
    for rule, (variances, inference) in ONE_STAGE.items():
        fit = fit_onestage(sums, COLUMNS[1:3], variances=variances, inference=inference, level=LEVEL)
        found[rule] = fit.ci_low[0], fit.ci_high[0], fit.tau[0]
    return found


def part(k, tau, seed, number):
    """[covered, width, midpoint, tau] of every rule in PART replicates."""
    rng = np.random.default_rng([seed, k, round(1000 * tau), number])
    rows = []
    for _ in range(PART):
        found = intervals([draw_study(rng, tau) for _ in range(k)])
        ends = [found[rule] for rule in RULES]
        rows.append([[float(a <= SLOPES[0] <= b), b - a, (a + b) / 2, t] for a, b, t in ends])
    return np.array(rows).tolist()


def simulate(replicates, seed, parts=None):
    """The whole table."""
    rows = []
    for k in STUDIES:
        for tau in TAUS:
            drawn = []
            for number in range(-(-replicates // PART)):
                file = parts and Path(parts) / f"{seed}_{k}_{tau}_{number}.json"
                if file and file.is_file():
                    drawn += json.loads(file.read_text(encoding="utf-8"))
                    continue
                new = part(k, tau, seed, number)
                drawn += new
                if file:
                    write_text(file, json.dumps(new))
            rows += summary(k, tau, np.array(drawn))
    return pd.DataFrame(rows)


def summary(k, tau, drawn):
    """One row per rule from (replicates, rules, 4)."""
    n = len(drawn)
    rows = []
    for rule, one in zip(RULES, drawn.transpose(1, 2, 0), strict=True):
        covered, width, middle, found = one
        row = {"k": k, "tau": tau, "replicates": n, "rule": rule, "coverage": covered.mean()}
        row |= {
            "mc_error": np.sqrt(covered.mean() * (1 - covered.mean()) / n),
            "median_width": np.median(width),
        }
        row |= {"bias": middle.mean() - SLOPES[0], "bias_error": middle.std(ddof=1) / np.sqrt(n)}
        rows.append(row | {"mean_tau": found.mean()})
    return rows


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=171)
    parser.add_argument("--parts", type=Path)
    parser.add_argument("--out", type=Path, default=Path("book/simulations"))
    options = parser.parse_args()
    table = simulate(options.replicates, options.seed, options.parts)
    facts = {"replicates": options.replicates, "level": LEVEL}
    command = "python benchmarks/onestage_coverage.py"
    write_simulation(options.out, "onestage", table, seed=options.seed, command=command, **facts)
    print(table.to_string(index=False, float_format=lambda x: f"{x:.4f}"))


if __name__ == "__main__":
    main()
