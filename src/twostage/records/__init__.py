"""Records of stage-1 results: what passes from stage 1 to stage 2, and nothing else does."""

from twostage.records.aggregates import Aggregate
from twostage.records.analyse import FUNCTIONS, analyse, notebook_parameters, stage1_records
from twostage.records.record import (
    ANALYSES,
    ONE_STAGE,
    Estimate,
    Exclusion,
    Failure,
    Record,
    Result,
    aggregate_terms,
    find_record,
    make_record,
    record_text,
    save_record,
    write_record,
)
