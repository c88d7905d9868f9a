"""Cross-level interactions that the ends of scales make: how often the main analysis finds one where there is none.

    python benchmarks/floors.py [--replicates 100] [--seed 20202] [--out book/simulations]

The collection in ``data/`` is drawn again and again: everyone moves along the same line, no effect depends on a patient's
level, and x has a ceiling and y a floor at which more or fewer scores lie. Each study is analysed as the book does it
(total SDs, patients as clusters), the four interactions are pooled (REML, Hartung-Knapp), and counted is in how many
replicates the interval of at least one excludes zero. Some eight minutes.
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path

for threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"

import numpy as np
import pandas as pd

from twostage.collection import Study, read_collection
from twostage.params import make_parameters
from twostage.recovery.conditions import CONDITIONS
from twostage.recovery.draw import draw_scores
from twostage.recovery.simulations import write_simulation
from twostage.recovery.studies import study_designs
from twostage.stage1 import crosslevel, make_panel
from twostage.stats.pool import pool
from twostage.terms import DIRECTIONS

LEVEL = 0.95
#: Where the scales end, on the latent scale; nowhere, and at shares of about 3, 13 and 24 % of the scores.
ENDS = (None, -2.1, -1.3, -0.95)


def draw(rng, designs, end):
    """Scores (n, T, 2) of every study: the trends of the generator, no interaction."""
    condition = replace(CONDITIONS["shared_trends"], floor=end)
    for design in designs:
        n, T, _ = design.observed.shape
        scores = draw_scores(rng, condition, 1, n, T)[0]
        yield np.where(design.observed, scores, np.nan)


def interactions(scores):
    """Estimates and squared errors of a study's four interactions; nothing where they cannot be estimated."""
    estimates = crosslevel(make_panel(as_study(scores))).tidy().set_index(["direction", "term"])
    wanted = [(d.name, term) for d in DIRECTIONS.values() for term in d.interactions]
    rows = estimates.reindex(wanted)
    return rows["estimate"].to_numpy(), rows["std_error"].to_numpy() ** 2


def as_study(scores):
    """The scores as a study of a collection."""
    n, T, _ = scores.shape
    named = {"patient": np.repeat([f"p{i}" for i in range(n)], T), "session": np.tile(np.arange(1, T + 1), n)}
    rows = pd.DataFrame(named).assign(x=scores[..., 0].ravel(), y=scores[..., 1].ravel())
    rows = rows.dropna(subset=["x", "y"], how="all").reset_index(drop=True)
    info = {"label": "drawn", "x_min": -99, "x_max": 99, "y_min": -99, "y_max": 99}
    variables = COLLECTION.x, COLLECTION.y
    return Study("S", info, *variables, rows, None, "0" * 64, 1, 1)


def one(rng, designs, end):
    """Whether any interaction was found in one replicate; the shares of scores at the ends."""
    sets = list(draw(rng, designs, end))
    found = [interactions(scores) for scores in sets]
    y, v = (np.array(part) for part in zip(*found, strict=True))
    fits = [pool(*(a[np.isfinite(y[:, j]), j] for a in (y, v)), level=LEVEL) for j in range(y.shape[1])]
    every = np.concatenate([scores.reshape(-1, 2) for scores in sets])
    shares = [
        np.nan if end is None else np.nanmean(np.where(np.isnan(s), np.nan, np.abs(s) == -end))
        for s in every.T
    ]
    return any(fit.ci_low > 0 or fit.ci_high < 0 for fit in fits), shares


def simulate(replicates, seed):
    """The whole table: one row per end."""
    rng, rows = np.random.default_rng(seed), []
    for end in ENDS:
        found, shares = zip(*(one(rng, DESIGNS, end) for _ in range(replicates)), strict=True)
        rate = float(np.mean(found))
        at = 0.0 if end is None else float(np.mean(shares))
        error = np.sqrt(rate * (1 - rate) / replicates)
        rows.append(
            {
                "k": len(DESIGNS),
                "end": end,
                "share": at,
                "replicates": replicates,
                "found": rate,
                "mc_error": error,
            }
        )
    return pd.DataFrame(rows)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replicates", type=int, default=100)
    parser.add_argument("--seed", type=int, default=20202)
    parser.add_argument("--out", type=Path, default=Path("book/simulations"))
    options = parser.parse_args()
    table = simulate(options.replicates, options.seed)
    facts = {"replicates": options.replicates, "level": LEVEL}
    write_simulation(
        options.out, "floors", table, seed=options.seed, command="python benchmarks/floors.py", **facts
    )
    print(table.to_string(index=False))


COLLECTION = read_collection("data")
DESIGNS = study_designs(COLLECTION, make_parameters({}))

if __name__ == "__main__":
    main()
