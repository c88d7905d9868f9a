"""Random-effects meta-analysis: pooling, tau2, meta-regression, subgroups, permutation tests, location-scale models."""

from twostage.stats.pool.biasaware import BiasAware, bias_aware
from twostage.stats.pool.exceedance import Exceedance, exceedance
from twostage.stats.pool.locationscale import LocationScale, locationscale
from twostage.stats.pool.metareg import metareg
from twostage.stats.pool.metareg_results import MetaRegression, Prediction
from twostage.stats.pool.paired import paired_difference
from twostage.stats.pool.permutation import permutation_test
from twostage.stats.pool.pool import pool, pool_many
from twostage.stats.pool.refit import ZERO_RESIDUAL, all_but_one, pooled, refit
from twostage.stats.pool.results import PooledFit
from twostage.stats.pool.subgroups import SubgroupFit, subgroups
from twostage.stats.pool.tau2 import (
    CELL,
    LOG_2PI,
    MAX_ITERATIONS,
    STEP_TOLERANCE,
    refine,
    search_bound,
)

__all__ = [
    "BiasAware",
    "CELL",
    "Exceedance",
    "LOG_2PI",
    "LocationScale",
    "MAX_ITERATIONS",
    "MetaRegression",
    "PooledFit",
    "Prediction",
    "STEP_TOLERANCE",
    "SubgroupFit",
    "ZERO_RESIDUAL",
    "all_but_one",
    "bias_aware",
    "exceedance",
    "locationscale",
    "metareg",
    "paired_difference",
    "permutation_test",
    "pool",
    "pool_many",
    "pooled",
    "refine",
    "refit",
    "search_bound",
    "subgroups",
]
