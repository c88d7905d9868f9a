"""What all families of statistics share.

- attempt: the result of an analysis, or why there is none.
- checks: what arrays, panels and options must be like, and what is said of those that are not; `NotEstimable` is raised
  where the data cannot answer, ValueError where the caller asked for something wrong.
- inference: critical values, p-values, Wald tests and intervals, Hartung and Knapp's factor, Holm's adjustment.
- moments: means and scatters of rows that come in pieces; least squares from them.
- newton: Newton's method over a box, and the record of how an optimum was found that every searched fit keeps.
- tables: results as data frames and as small HTML tables.
"""

from twostage.stats.base.attempt import Attempt, attempt
from twostage.stats.base.checks import (
    DIRECTIONS,
    VARIABLES,
    NotEstimable,
    at,
    check_choice,
    check_estimates,
    check_level,
    check_panel,
    column_names,
    faults,
    frozen,
    numbers,
    observed_span,
    raise_problems,
    real_array,
    refuse_masked,
)
from twostage.stats.base.inference import (
    INTERVALS,
    NO_PREDICTION,
    PREDICTIONS,
    WaldTest,
    critical_value,
    holm,
    omnibus_p,
    quadratic_form,
    ratio,
    two_sided_p,
    variance_factor,
    wald,
)
from twostage.stats.base.moments import LeastSquares, Moments, Spread, least_squares
from twostage.stats.base.newton import MAX_ITERATIONS, OptimiserRecord, Optimum, maximise
from twostage.stats.base.tables import EFFECT, Inference, N, coefficient_rows, frame, html, one_row, test_text
