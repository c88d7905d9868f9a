"""A lagged process in continuous time: sessions of each patient on their own days.

- `fit_continuous`: one panel whose scores have times; a bivariate Ornstein-Uhlenbeck process about random intercepts.
- `ContinuousFit.effects`: the lagged effects over any interval, one or an average of several.

process.py: the process' covariances and their derivatives; likelihood.py: the exact Gaussian likelihood of persons with
times of their own; fit.py finds its maximum; results.py says what was found.
"""

from twostage.stats.continuous.fit import fit_continuous
from twostage.stats.continuous.results import ContinuousFit, IntervalEffects
