"""The random-intercept cross-lagged panel model (Hamaker, Kuiper & Grasman 2015)."""

from twostage.stats.riclpm.fit import fit_riclpm_many
from twostage.stats.riclpm.input import FEWEST_OCCASIONS, SAME, check_panels
from twostage.stats.riclpm.model import RiclpmStructure, starting_values

__all__ = [
    "FEWEST_OCCASIONS",
    "RiclpmStructure",
    "SAME",
    "check_panels",
    "fit_riclpm_many",
    "starting_values",
]
