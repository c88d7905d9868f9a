"""Stage 2: records of many studies become pooled results."""

from twostage.stage2.codebook import codebook
from twostage.stage2.pool import (
    KEY,
    PooledTable,
    as_correlations,
    leave_one_out,
    named_fit,
    patient_flow,
    pool_records,
    read_records,
)
from twostage.stage2.results import (
    NEEDED,
    Results,
    find_results,
    headline_terms,
    pool_results,
    read_about,
    read_results,
    read_words,
)
from twostage.stats.base import Attempt, attempt
