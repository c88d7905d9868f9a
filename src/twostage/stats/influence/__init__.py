"""How much single studies matter to a pooled effect.

- `influence`, `leave_one_out`: casewise diagnostics. `baujat`: heterogeneity against influence.
- `cumulative`: studies added one after the other. `gosh`: the effect in all subsets, or very many of them.
"""

from twostage.stats.influence.baujat import Baujat, baujat
from twostage.stats.influence.casewise import Influence, LeaveOneOut, influence, leave_one_out
from twostage.stats.influence.cumulative import PRECISION, Cumulative, cumulative
from twostage.stats.influence.gosh import Gosh, gosh
