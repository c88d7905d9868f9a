"""Gaussian maximum likelihood of linear structures from incomplete data (FIML).

Patients are grouped by what is missing (patterns.py); a structure says how parameters give means and covariances
(structure.py); likelihood.py has the value and its exact derivatives, maximum.py climbs, many data sets side by side.
The panel models in `riclpm` and `dpm` are such structures.
"""

from twostage.stats.fiml.likelihood import (
    inverse_positive,
    positive_definite,
    scaled,
    score_products,
    solve_positive,
    well_determined,
)
from twostage.stats.fiml.maximum import maximise, reached_message
from twostage.stats.fiml.patterns import group_patterns, group_rows, sums
from twostage.stats.fiml.structure import STEP, LinearStructure

__all__ = [
    "LinearStructure",
    "STEP",
    "group_patterns",
    "group_rows",
    "inverse_positive",
    "maximise",
    "positive_definite",
    "reached_message",
    "scaled",
    "score_products",
    "solve_positive",
    "sums",
    "well_determined",
]
