"""The dynamic panel model (Allison, Williams & Moral-Benito 2017)."""

from twostage.stats.dpm.fit import fit_dpm, fit_dpm_many
from twostage.stats.dpm.results import DpmBatch, DpmFit

__all__ = ["DpmBatch", "DpmFit", "fit_dpm", "fit_dpm_many"]
