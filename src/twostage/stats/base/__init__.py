"""What all families of statistics share: checks of input, inference, tables, Newton's method, panels."""

from twostage.stats.base.arrays import faults, raise_faults, real_array, refuse_masked
from twostage.stats.base.checks import at, check_estimates, check_level, column_names, numbers, raise_problems
from twostage.stats.base.errors import NotEstimable
from twostage.stats.base.inference import (
    INTERVALS,
    NO_PREDICTION,
    PREDICTIONS,
    WaldTest,
    critical_value,
    holm,
    omnibus_p,
    ratio,
    two_sided_p,
)
from twostage.stats.base.newton import MAX_ITERATIONS, Optimum, maximise
from twostage.stats.base.panel import DIRECTIONS, VARIABLES, check_panel, observed_span
from twostage.stats.base.tables import facts_table, frame, frozen, html, html_table, one_row, test_text

__all__ = [
    "DIRECTIONS",
    "INTERVALS",
    "MAX_ITERATIONS",
    "NO_PREDICTION",
    "NotEstimable",
    "Optimum",
    "PREDICTIONS",
    "VARIABLES",
    "WaldTest",
    "at",
    "check_estimates",
    "check_level",
    "check_panel",
    "column_names",
    "critical_value",
    "facts_table",
    "faults",
    "frame",
    "frozen",
    "holm",
    "html",
    "html_table",
    "maximise",
    "numbers",
    "observed_span",
    "omnibus_p",
    "one_row",
    "raise_faults",
    "raise_problems",
    "ratio",
    "real_array",
    "refuse_masked",
    "test_text",
    "two_sided_p",
]
