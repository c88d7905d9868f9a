"""Linear mixed models with one grouping factor, by exact (restricted) maximum likelihood.

- `fit_mixed`: one data set. `fit_mixed_many`, `fit_mixed_weighted_many`: many random-intercept models at once, with rows
  of their own or with groups taken several times (the bootstrap).
- `MixedSums`: the same from rows that come in pieces; sums are added to, merged and fitted at the end.
- `clustered`, `with_clustered_errors`, `cluster_sums`: errors that take groups as clusters (CR2, Satterthwaite's df).
- `stacked_covariance`, `influence`: how the coefficients of two equations fitted to the same groups vary together.

A fit goes from design.py (checks, a well-conditioned basis) over sums.py (one pass over the data) and criterion.py (the
deviance and its derivatives) to optimiser.py (its minimum over positive semidefinite matrices); batch_sums.py and
batch_optimiser.py do the same for many data sets side by side.
"""

from twostage.stats.mixed.accumulate import MixedSums, StackedSums
from twostage.stats.mixed.clustered import (
    FITTED_EXACTLY,
    ClusterSums,
    WorkingModels,
    cluster_sums,
    clustered,
    too_few,
    with_clustered_errors,
)
from twostage.stats.mixed.fit import MixedFit, fit_mixed
from twostage.stats.mixed.many import MixedBatch, fit_mixed_many, fit_mixed_weighted_many
from twostage.stats.mixed.stacked import influence, stacked_covariance
