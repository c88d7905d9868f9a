"""Linear mixed models with one grouping factor: one data set, many at once, both outcomes stacked."""

from twostage.stats.mixed.fit import MixedFit, fit_mixed
from twostage.stats.mixed.many import fit_mixed_many, fit_mixed_weighted_many
from twostage.stats.mixed.stacked import influence, stacked_covariance

__all__ = [
    "MixedFit",
    "fit_mixed",
    "fit_mixed_many",
    "fit_mixed_weighted_many",
    "influence",
    "stacked_covariance",
]
