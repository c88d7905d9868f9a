"""Multilevel and multivariate meta-analysis, and inference that is robust to dependence within clusters."""

from twostage.stats.multilevel.model import pool_mv
from twostage.stats.multilevel.pair import PairFit, pool_pair
from twostage.stats.multilevel.profile import ProfileInterval
from twostage.stats.multilevel.region import Region
from twostage.stats.multilevel.results import MvFit
from twostage.stats.multilevel.robust import RobustFit, robust
from twostage.stats.multilevel.terms import nested

__all__ = [
    "MvFit",
    "PairFit",
    "ProfileInterval",
    "Region",
    "RobustFit",
    "nested",
    "pool_mv",
    "pool_pair",
    "robust",
]
