"""The random-intercept cross-lagged panel model (Hamaker, Kuiper & Grasman 2015).

- `fit_riclpm`: one panel. `fit_riclpm_many`: many side by side. `fit_riclpm_sums`: one whose persons came in pieces.

Panels with drop-out only are fitted by one-step prediction (steps.py), others by missingness pattern (`fiml`);
model.py checks and stacks panels and holds the structure.
"""

from twostage.stats.riclpm.fit import fit_riclpm, fit_riclpm_many, fit_riclpm_sums
from twostage.stats.riclpm.model import (
    FEWEST_OCCASIONS,
    SAME,
    RiclpmStructure,
    check_panels,
    check_variables,
    common_occasions,
    starting_values,
)
from twostage.stats.riclpm.panel_moments import PanelMoments
from twostage.stats.riclpm.results import RiclpmBatch, RiclpmFit
