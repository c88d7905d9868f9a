"""Stage 2 under many combinations of choices: every set of studies, every estimator and interval, all in one call each."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from twostage.multiverse.specifications import Specifications
from twostage.stats.pool import pool_many

#: What is kept of each pool.
NUMBERS = ("estimate", "std_error", "ci_low", "ci_high", "p_value", "tau2")


@dataclass(frozen=True, eq=False)
class Pools:
    """Pooled effects of specifications, both directions.

    Attributes
    ----------
    estimate, std_error, ci_low, ci_high, p_value, tau2 : ndarray, shape (B, N, 2)
        Of B collections of studies and N specifications; NaN where fewer than two studies have the effect.
    k : ndarray of int, shape (B, N, 2)
        Studies pooled.
    """

    estimate: np.ndarray
    std_error: np.ndarray
    ci_low: np.ndarray
    ci_high: np.ndarray
    p_value: np.ndarray
    tau2: np.ndarray
    k: np.ndarray


def pool_all(estimate: np.ndarray, std_error: np.ndarray, specs: Specifications, studies: list[str]) -> Pools:
    """Pool the studies' effects under every specification.

    Parameters
    ----------
    estimate, std_error : ndarray, shape (K, B, S, 2)
        Of K studies, as :class:`twostage.multiverse.estimate.Estimates` has them.
    specs : Specifications
    studies : list of str
        Which studies they are, in this order.
    """
    K, B, S, _ = estimate.shape
    y, v = (a.transpose(1, 2, 3, 0).reshape(-1, K) for a in (estimate, std_error**2))
    shape = (B, S, 2, len(specs.stage2), len(specs.grid.sets))
    out = {name: np.full((len(y), *shape[3:]), np.nan) for name in NUMBERS}
    k = np.zeros((len(y), len(specs.grid.sets)), int)
    for at, found in enumerate(specs.grid.sets.values()):
        there = np.isfinite(y) & np.isin(studies, found.studies)
        k[:, at] = there.sum(axis=1)
        for pattern, rows in _alike(there):
            if len(pattern) < 2:
                continue
            for j, (method, ci) in enumerate(specs.stage2):
                how: Any = {"method": method, "ci": ci, "level": specs.grid.parameters.level}
                batch = pool_many(y[np.ix_(rows, pattern)], v[np.ix_(rows, pattern)], **how)
                for name in NUMBERS:
                    out[name][rows, j, at] = np.where(batch.converged, getattr(batch, name), np.nan)
    order = (0, 1, 3, 4, 2)  # collection, stage 1, stage 2, set, direction
    numbers = {name: a.reshape(shape).transpose(order).reshape(B, -1, 2) for name, a in out.items()}
    counts = np.broadcast_to(k.reshape(B, S, 2, 1, -1), shape).transpose(order).reshape(B, -1, 2)
    return Pools(**numbers, k=counts)


def _alike(there: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows with the same studies, together: those studies, and the rows."""
    found = defaultdict(list)
    for row, pattern in enumerate(np.packbits(there, axis=1)):
        found[pattern.tobytes()].append(row)
    return [(np.flatnonzero(there[rows[0]]), np.array(rows)) for rows in found.values()]
