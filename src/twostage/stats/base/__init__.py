"""What all families of statistics share.

- checks: what arrays and options must be like, and what is said of those that are not; `NotEstimable` is raised where
  the data cannot answer, ValueError where the caller asked for something wrong.
- inference: critical values, p-values, Wald tests and intervals, Hartung and Knapp's factor, Holm's adjustment.
- newton: Newton's method over a box, and the record of how an optimum was found that every searched fit keeps.
- panel: arrays of patients by sessions by the two variables.
- tables: results as data frames and as small HTML tables.
"""

from twostage.stats.base.arrays import faults, raise_faults, real_array, refuse_masked
from twostage.stats.base.checks import (
    at,
    check_choice,
    check_estimates,
    check_level,
    column_names,
    frozen,
    numbers,
    raise_problems,
)
from twostage.stats.base.errors import NotEstimable
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
from twostage.stats.base.newton import MAX_ITERATIONS, OptimiserRecord, Optimum, maximise
from twostage.stats.base.panel import DIRECTIONS, VARIABLES, check_panel, observed_span
from twostage.stats.base.tables import EFFECT, coefficient_rows, frame, html, one_row, test_text

__all__ = [
    "DIRECTIONS",
    "EFFECT",
    "INTERVALS",
    "MAX_ITERATIONS",
    "NO_PREDICTION",
    "NotEstimable",
    "OptimiserRecord",
    "Optimum",
    "PREDICTIONS",
    "VARIABLES",
    "WaldTest",
    "at",
    "check_choice",
    "check_estimates",
    "check_level",
    "check_panel",
    "coefficient_rows",
    "column_names",
    "critical_value",
    "faults",
    "frame",
    "frozen",
    "holm",
    "html",
    "maximise",
    "numbers",
    "observed_span",
    "omnibus_p",
    "one_row",
    "quadratic_form",
    "raise_faults",
    "raise_problems",
    "ratio",
    "real_array",
    "refuse_masked",
    "test_text",
    "two_sided_p",
    "variance_factor",
    "wald",
]
