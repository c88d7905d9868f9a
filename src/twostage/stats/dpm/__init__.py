"""The dynamic panel model with unit effects (Allison, Williams & Moral-Benito 2017).

- `fit_dpm`: both directions of one panel. `fit_dpm_many`: many panels side by side.
- `dpm_indices`: how well each direction's model fits (chi-square, RMSEA, CFI).

It is fitted by `fiml` from incomplete data; panels are checked and stacked as for `riclpm`.
"""

from twostage.stats.dpm.fit import dpm_indices, fit_dpm, fit_dpm_many, fit_dpm_sums
from twostage.stats.dpm.results import DpmBatch, DpmFit
