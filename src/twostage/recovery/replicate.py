"""Some replicates of the whole collection: drawn, estimated study by study, pooled."""

import zlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from twostage.recovery.conditions import ALL, FEW, Condition
from twostage.recovery.design import StudyDesign
from twostage.recovery.draw import draw_timed_study
from twostage.recovery.spacing import SPACED, estimate_spaced
from twostage.stage1 import COEFFICIENTS, EffectBatch, estimate_batch
from twostage.stats.pool import pool_many
from twostage.terms import ESTIMATORS

#: Numbers kept of every pooled estimate.
KEPT = ("estimate", "std_error", "ci_low", "ci_high", "tau2")


def replicate(
    condition: Condition,
    designs: Sequence[StudyDesign],
    *,
    seed: int,
    chunk: int,
    replicates: int,
    pooling: dict,
    min_sessions: int = 3,
    bootstraps: int = 100,
) -> pd.DataFrame:
    """Draw some replicates of a collection under one condition and run both stages with every estimator of its lag.

    Where the time between sessions varies, the process in continuous time is one of them.

    Parameters
    ----------
    condition : Condition
    designs : sequence of StudyDesign
    seed, chunk : int
        Together with condition and study they are the random numbers' seed: chunks can be made in any order.
    replicates : int
    pooling : dict
        method, ci and level of :func:`twostage.stats.pool.pool.pool`.
    min_sessions : int
        Eligibility, as in the analysis.
    bootstraps : int
        Bootstrap replicates behind the jackknife's standard error.

    Returns
    -------
    DataFrame
        condition, pool (:data:`ALL`, or of :data:`FEW` studies), replicate, estimator, direction, term, k, :data:`KEPT`;
        one row per replicate, pool, estimator and coefficient.
    """
    panels, times = [], []
    for position, design in enumerate(designs):
        entropy = [seed, zlib.crc32(condition.name.encode()), chunk, position]
        rng = np.random.default_rng(np.random.SeedSequence(entropy))
        scores, when = draw_timed_study(rng, condition, design, replicates)
        panels, times = [*panels, *scores], [*times, *when]
    bootstrap = np.random.SeedSequence([seed, zlib.crc32(b"bootstrap"), chunk])
    options = {
        "min_sessions": min_sessions,
        "bootstraps": bootstraps,
        "seed": bootstrap,
        "lag": condition.lag,
        # The model with measurement error is told the truth. Estimating it takes a hundred times longer.
        "reliability": condition.reliability,
    }
    # The covariance-structure models, which take everyone, are for lag 1 only.
    names = [e.name for e in ESTIMATORS.values() if condition.lag == 1 or e.rows != "everyone"]
    found = {name: estimate_batch(name, panels, **options) for name in names}
    if len(condition.spacing) > 1:
        found[SPACED] = estimate_spaced(panels, times, condition.spacing)
    pools = _pools([seed, zlib.crc32(condition.name.encode()), chunk], len(designs), replicates)
    tables = [
        _pooled(batch, studies, pooling).assign(estimator=estimator, pool=pool)
        for pool, studies in pools.items()
        for estimator, batch in found.items()
    ]
    table = pd.concat(tables, ignore_index=True)
    table["replicate"] += chunk * replicates
    return table.assign(condition=condition.name)


def _pools(entropy: list[int], n_studies: int, replicates: int) -> dict[str, np.ndarray]:
    """Which studies are pooled in every replicate, shape (studies, replicates)."""
    rng = np.random.default_rng(np.random.SeedSequence([*entropy, zlib.crc32(b"pools")]))
    order = np.argsort(rng.random((n_studies, replicates)), axis=0)
    every = np.broadcast_to(np.arange(n_studies)[:, None], order.shape)
    return {ALL: every} | {str(few): order[:few] for few in FEW if few < n_studies}


def _pooled(batch: EffectBatch, studies: np.ndarray, pooling: dict) -> pd.DataFrame:
    shape = (-1, studies.shape[1], len(COEFFICIENTS))
    columns = (batch.estimate, batch.std_error**2, batch.usable)
    y, v, usable = (np.take_along_axis(a.reshape(shape), studies[..., None], axis=0) for a in columns)
    tables = []
    for j, (direction, term) in enumerate(COEFFICIENTS):
        numbers = pool_columns(y[..., j], v[..., j], usable[..., j], pooling)
        tables.append(numbers.assign(direction=direction, term=term))
    return pd.concat(tables, ignore_index=True)


def pool_columns(y: np.ndarray, v: np.ndarray, usable: np.ndarray, pooling: dict) -> pd.DataFrame:
    """Pool each column over the studies (rows) that are usable in it.

    Parameters
    ----------
    y, v : ndarray, shape (studies, replicates)
    usable : ndarray of bool, shape (studies, replicates)
    pooling : dict

    Returns
    -------
    DataFrame
        replicate, k, :data:`KEPT`; NaN where fewer than two studies are left.
    """
    n = y.shape[1]
    table = pd.DataFrame({"replicate": np.arange(n), "k": usable.sum(axis=0)})
    table[list(KEPT)] = np.nan
    patterns, which = np.unique(usable.T, axis=0, return_inverse=True)
    for i, studies in enumerate(patterns):
        if studies.sum() < 2:
            continue
        columns = np.flatnonzero(which.ravel() == i)
        fit = pool_many(y[studies][:, columns].T, v[studies][:, columns].T, **pooling)
        table.loc[columns, list(KEPT)] = np.column_stack([getattr(fit, name) for name in KEPT])
    return table
