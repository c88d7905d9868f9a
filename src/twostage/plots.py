"""Every figure of the book as a function: a result and, optionally, the Axes to draw on; returned are the Axes.

Examples
--------
>>> import twostage as ts
>>> from twostage.stats.small_study import funnel
>>> fit = ts.pool([0.21, 0.08, 0.30, 0.11], [0.010, 0.014, 0.020, 0.012])
>>> axes = ts.plots.funnel(funnel(fit))
>>> axes.get_ylabel()
'standard error'
"""

from twostage.pages.common.forest import forest
from twostage.pages.common.plots import by_transition, left_out, variants
from twostage.pages.common.style import use_style
from twostage.pages.compare.plots import side_by_side
from twostage.pages.estimators.plots import estimators, study_estimators
from twostage.pages.influence.plots import baujat, cumulative, gosh, influence_panel
from twostage.pages.joint.plots import joint_region
from twostage.pages.moderators.bubble import bubble
from twostage.pages.moderators.plots import subgroup_forest
from twostage.pages.recovery.plots import recovery
from twostage.pages.small_study.plots import funnel, radial
from twostage.pages.study.plots import (
    added_variable,
    between,
    coefficients,
    missingness,
    simple_slopes,
    trajectories,
    transitions,
    within,
)

__all__ = [
    "added_variable",
    "baujat",
    "between",
    "bubble",
    "by_transition",
    "coefficients",
    "cumulative",
    "estimators",
    "forest",
    "funnel",
    "gosh",
    "influence_panel",
    "joint_region",
    "left_out",
    "missingness",
    "radial",
    "recovery",
    "side_by_side",
    "simple_slopes",
    "study_estimators",
    "subgroup_forest",
    "trajectories",
    "transitions",
    "use_style",
    "variants",
    "within",
]
