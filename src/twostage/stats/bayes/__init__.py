"""Bayesian random-effects meta-analysis by one-dimensional quadrature.

- prior: what is believed of the heterogeneity beforehand.
- quadrature: Gauss's rule on panels that are halved until they agree.
- distributions: quantiles, intervals and modes of the posterior of tau and of mixtures of normal distributions.
- fit: `bayes_pool` and its result.
"""

from twostage.stats.bayes.fit import BayesFit, bayes_pool
from twostage.stats.bayes.prior import TauPrior
