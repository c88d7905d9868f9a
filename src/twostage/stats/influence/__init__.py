"""How much single studies matter: casewise diagnostics, Baujat, cumulative meta-analysis, all subsets."""

from twostage.stats.influence.baujat import Baujat, baujat
from twostage.stats.influence.casewise import Influence, influence
from twostage.stats.influence.cumulative import PRECISION, Cumulative, cumulative
from twostage.stats.influence.gosh import Gosh, gosh

__all__ = [
    "Baujat",
    "Cumulative",
    "Gosh",
    "Influence",
    "PRECISION",
    "baujat",
    "cumulative",
    "gosh",
    "influence",
]
