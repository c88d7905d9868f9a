"""Stage 1: one study's panel becomes estimates."""

from twostage.stage1.aggregates import (
    OUTCOME,
    PRODUCTS,
    StudyAggregates,
    cross_products,
    lagged_sums,
    onestage,
)
from twostage.stage1.bounds import (
    LARGEST_COUNT,
    LARGEST_COVARIANCE,
    LARGEST_END,
    LARGEST_OTHER,
    LEAST_VARIANCE,
)
from twostage.stage1.continuous import continuous, day_gaps
from twostage.stage1.describe import Description, describe
from twostage.stage1.each_transition import transition
from twostage.stage1.equations import crosslevel, lagged, outcome, outcome_rows
from twostage.stage1.estimates import StudyEstimates
from twostage.stage1.estimator_batch import (
    COEFFICIENTS,
    FEWEST_SESSIONS,
    PLACES,
    EffectBatch,
    empty_columns,
    estimate_batch,
    without_own_lines,
)
from twostage.stage1.estimators import BOOTSTRAPS, SEED, estimators, never_varies, within_bounds
from twostage.stage1.large import LargePanel
from twostage.stage1.panel import Panel, make_panel, reliabilities, varies
from twostage.stage1.sensitivity import sensitivity
from twostage.stage1.vocabulary import (
    GROUPS,
    OUTCOME_CONTROLS,
    OUTCOME_TERMS,
    WINDOW_LENGTHS,
    coefficients,
    reasons,
    transitions,
    variants,
)
