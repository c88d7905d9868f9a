"""Random-effects meta-analysis: pooling, tau2, meta-regression, subgroups, permutation tests, location-scale models."""

from twostage.stats.pool.biasaware import BiasAware, bias_aware
from twostage.stats.pool.exceedance import Exceedance, exceedance
from twostage.stats.pool.locationscale import LocationScale, locationscale
from twostage.stats.pool.metareg import metareg
from twostage.stats.pool.metareg_predict import Prediction
from twostage.stats.pool.metareg_results import MetaRegression
from twostage.stats.pool.paired import paired_difference
from twostage.stats.pool.permutation import permutation_test
from twostage.stats.pool.pool import Interval, PredictionRule, Tau2Method, pool, pool_many
from twostage.stats.pool.refit import ZERO_RESIDUAL, all_but_one, pooled, refit
from twostage.stats.pool.results import PooledBatch, PooledFit
from twostage.stats.pool.subgroups import SubgroupFit, subgroups
from twostage.stats.pool.tau2_column_likelihood import (
    CELL,
    LOG_2PI,
    MAX_ITERATIONS,
    NEWTON_ITERATIONS,
    STEP_TOLERANCE,
    search_bound,
)

__all__ = [
    "BiasAware",
    "CELL",
    "Exceedance",
    "Interval",
    "LOG_2PI",
    "LocationScale",
    "MAX_ITERATIONS",
    "MetaRegression",
    "NEWTON_ITERATIONS",
    "PooledBatch",
    "PooledFit",
    "Prediction",
    "PredictionRule",
    "STEP_TOLERANCE",
    "SubgroupFit",
    "Tau2Method",
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
    "refit",
    "search_bound",
    "subgroups",
]
