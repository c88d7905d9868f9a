"""Stage 1: one study's panel becomes estimates."""

from twostage.stage1.describe import Description, describe
from twostage.stage1.equations import crosslevel, lagged, outcome, outcome_rows, transition
from twostage.stage1.estimates import StudyEstimates
from twostage.stage1.estimator_batch import COEFFICIENTS, EffectBatch, estimate_batch
from twostage.stage1.estimators import estimators
from twostage.stage1.panel import Panel, make_panel
from twostage.stage1.sensitivity import WINDOW_LENGTHS, sensitivity

__all__ = [
    "COEFFICIENTS",
    "Description",
    "EffectBatch",
    "Panel",
    "StudyEstimates",
    "WINDOW_LENGTHS",
    "crosslevel",
    "describe",
    "estimate_batch",
    "estimators",
    "lagged",
    "make_panel",
    "outcome",
    "outcome_rows",
    "sensitivity",
    "transition",
]
