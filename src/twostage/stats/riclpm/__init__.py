"""The random-intercept cross-lagged panel model (Hamaker, Kuiper & Grasman 2015)."""

from twostage.stats.riclpm.fit import fit_riclpm, fit_riclpm_many
from twostage.stats.riclpm.input import FEWEST_OCCASIONS, SAME, check_panels
from twostage.stats.riclpm.model import RiclpmStructure, starting_values
from twostage.stats.riclpm.results import RiclpmBatch, RiclpmFit

__all__ = [
    "FEWEST_OCCASIONS",
    "RiclpmBatch",
    "RiclpmFit",
    "RiclpmStructure",
    "SAME",
    "check_panels",
    "fit_riclpm",
    "fit_riclpm_many",
    "starting_values",
]
