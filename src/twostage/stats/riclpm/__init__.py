"""The random-intercept cross-lagged panel model (Hamaker, Kuiper & Grasman 2015).

- `fit_riclpm`: one panel. `fit_riclpm_many`: many side by side. `fit_riclpm_sums`: one whose persons came in pieces.
- `fit_starts`, `fit_starts_many`: the same with measurement error, with each person's own line, or both.
- `fit_indices`: how well a model fits (chi-square, RMSEA, CFI).
- `fit_unseen`: what they would be if those who left had later scores other than predicted.
- `reliability_curve`, `profile_effects`: what a lagged effect would be under other reliabilities; its profile likelihood.

Panels with drop-out only are fitted by one-step prediction (steps.py), others by missingness pattern (`fiml`);
model.py checks and stacks panels and holds the structure. With error: latent.py is the structure, dropout.py the
likelihood of panels with drop-out only, latent_search.py finds the maximum.
"""

from twostage.stats.riclpm.error import fit_starts, fit_starts_many
from twostage.stats.riclpm.fit import fit_riclpm, fit_riclpm_many, fit_riclpm_sums
from twostage.stats.riclpm.fit_indices import FitIndices, fit_indices, indices_of
from twostage.stats.riclpm.latent_results import StartsBatch, StartsFit
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
from twostage.stats.riclpm.profile import (
    ProfiledEffects,
    ReliabilityCurve,
    profile_effects,
    reliability_curve,
)
from twostage.stats.riclpm.results import RiclpmBatch, RiclpmFit
from twostage.stats.riclpm.unseen import UnseenFit, fit_unseen
