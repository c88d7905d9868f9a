"""Gaussian maximum likelihood of linear structures from incomplete data (FIML).

Patients are grouped by what is missing and a structure says how parameters give covariances; likelihood.py has both, the
value and its exact derivatives, maximum.py climbs, many data sets side by side.
The panel models in `riclpm` and `dpm` are such structures.
"""

from twostage.stats.fiml.likelihood import (
    STEP,
    LinearStructure,
    Patterns,
    evaluate,
    group_patterns,
    group_rows,
    inverse_positive,
    positive_definite,
    reached_message,
    scaled,
    score_products,
    solve_positive,
    sums,
    well_determined,
)
from twostage.stats.fiml.maximum import maximise, maximise_again, maximise_lost
from twostage.stats.fiml.pieces import PatternSums
