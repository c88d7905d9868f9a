"""Multilevel and multivariate meta-analysis: estimates that share random effects or sampling error.

- `pool_mv`: any number of estimates per study, with random effects named by `nested` and `inner_outer`.
- `pool_pair`: two effects per study, their difference, joint test and joint `Region`.
- `pool_several`: any number of effects per study, jointly.
- `impulse_responses`: what a matrix of lagged effects does over time.
- `robust`: inference that holds whatever the dependence within clusters.

Terms and structures of random effects are in terms.py, structure.py and pieces.py; blocks.py cuts the data into
independent parts; likelihood.py and search.py find the maximum.
"""

from twostage.stats.multilevel.model import pool_mv
from twostage.stats.multilevel.pair import PairFit, pool_pair
from twostage.stats.multilevel.profile import ProfileInterval
from twostage.stats.multilevel.region import Region
from twostage.stats.multilevel.responses import Responses, impulse_responses
from twostage.stats.multilevel.results import MvFit
from twostage.stats.multilevel.robust import RobustFit, robust
from twostage.stats.multilevel.several import pool_several
from twostage.stats.multilevel.terms import inner_outer, nested
