"""Gaussian maximum likelihood of linear structures from incomplete data (FIML).

Patients are grouped by which scores are missing, and a structure says which covariances the parameters imply. likelihood.py
computes the likelihood and its exact derivatives; maximum.py finds its maximum, for many data sets side by side.
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
