"""Multiverses that are written down instead of computed."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd

from twostage.collection.collection import Collection
from twostage.multiverse.grid import CHOICES, Grid, make_grid
from twostage.multiverse.pools import Pools
from twostage.multiverse.specifications import Specifications, specify
from twostage.multiverse.store import (
    Multiverse,
    data_checksum,
    makers_checksum,
    readable_studies,
    result_table,
)
from twostage.stats.multiverse.joint import STATISTICS
from twostage.terms import DIRECTIONS


def made_up(collection: Collection, draws: int = 50) -> Multiverse:
    """Estimates with a known rule: -0.05, nearer to zero by 0.04 where each patient's line is removed; y to x the same
    plus 0.02 times the window's place. Standard errors of 0.01, so that the interval is -+ 0.0196."""
    specs = specify(small_grid(collection))
    levels = specs.levels()
    line = np.isin(levels[:, CHOICES.index("detrend")], 2) | (levels[:, CHOICES.index("estimator")] == 2)
    first = -0.05 + 0.04 * line
    y = np.stack([first, first + 0.02 * levels[:, 0]], axis=1)[None]
    half = np.full_like(y, 0.0196)
    numbers = {"estimate": y, "std_error": half / 1.96, "ci_low": y - half, "ci_high": y + half}
    pools = Pools(**numbers, p_value=np.full_like(y, 0.01), tau2=np.zeros_like(y), k=np.full(y.shape, 3))
    rng = np.random.default_rng(1)
    null = pd.DataFrame(
        [[d, 0.01 * rng.standard_normal(), 0.7, 0.1] for d in DIRECTIONS for _ in range(draws)],
        columns=["direction", *STATISTICS],
    )
    priors = pd.DataFrame(
        [
            {"specification": 0, "direction": d, "prior": "tau half-normal", "median": -0.05, "ci_low": -0.07,
             "ci_high": -0.03, "below_zero": 0.9999, "beyond": 0.9}
            for d in DIRECTIONS
        ]
    )  # fmt: skip
    return Multiverse(result_table(specs, pools), priors, null, about(collection, specs), False, False, False)


def small_grid(collection: Collection) -> Grid:
    """Few values of each choice, the estimators of both kinds."""
    grid = make_grid(collection)
    few = {"min_sessions": 1, "standardize": 1, "tau2_method": 2, "studies": 2, "stage1_errors": 1}
    values = {name: v[: few.get(name, len(v))] for name, v in grid.values.items()}
    values["estimator"] = tuple(e for e in values["estimator"] if e not in ("dpm", "riclpm_error"))
    return replace(grid, values=values, sets={words: grid.sets[words] for words in values["studies"]})


def about(collection: Collection, specs: Specifications) -> dict:
    """What such a multiverse says of itself."""
    values = specs.grid.told()
    studies, left_out = readable_studies(collection)
    code, data = makers_checksum(), data_checksum(studies, specs.grid.parameters.model_dump())
    return {
        "sets": values.pop("sets"), "values": values, "dropped": [list(row) for row in specs.dropped],
        "failed": [["S01", "dpm", "too few persons", 4]], "not_pooled": 0, "left_out": left_out, "thinned": values,
        "grid_from": "given", "level": 0.95, "standardize": "total", "least": 0.03, "seed": 1, "code": code,
        "data": data, "seconds": 1.5, "processes": 2, "date": date(2026, 12, 1).isoformat(), "commit": "abc",
        "package_version": "0", "null": {"tau": dict.fromkeys(DIRECTIONS, 0.01), "borrowed": {}},
    }  # fmt: skip
