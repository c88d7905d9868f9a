"""Random-effects meta-analysis of estimates with known sampling variances.

- `pool`, `pool_many`: the pooled effect, its interval, heterogeneity, prediction interval; `paired_difference` and
  `exceedance`, `newcomer`: what is asked of a pooled effect afterwards.
- `metareg`, `subgroups`, `locationscale`: moderators of the effects, and of their heterogeneity; `permutation_test`.
- `pooled`, `refit`, `all_but_one`: what analyses of a pooled result (influence, small-study effects) start from.

tau2 is estimated in tau2.py, the same for an intercept alone and for moderators; design.py checks moderators and
regresses on them; every result writes its own R script, with the vocabulary of metafor.py.
"""

from twostage.stats.pool.exceedance import Exceedance, exceedance
from twostage.stats.pool.locationscale import LocationScale, locationscale
from twostage.stats.pool.metafor import string as r_string
from twostage.stats.pool.metareg import metareg
from twostage.stats.pool.metareg_results import MetaRegression, Prediction
from twostage.stats.pool.newcomer import Newcomer, newcomer
from twostage.stats.pool.paired import PairedDifference, paired_difference
from twostage.stats.pool.permutation import PermutationTest, permutation_test
from twostage.stats.pool.pool import Interval, PredictionRule, Tau2Method, pool, pool_many
from twostage.stats.pool.refit import ZERO_RESIDUAL, all_but_one, pooled, refit
from twostage.stats.pool.results import PooledBatch, PooledFit, QProfile, Repooled
from twostage.stats.pool.subgroups import SubgroupFit, subgroups
from twostage.stats.pool.tau2 import CELL, LOG_2PI, MAX_ITERATIONS, STEP_TOLERANCE, refine, search_bound
