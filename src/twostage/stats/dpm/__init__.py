"""The dynamic panel model (Allison, Williams & Moral-Benito 2017)."""

from twostage.stats.dpm.fit import fit_dpm_many

__all__ = ["fit_dpm_many"]
