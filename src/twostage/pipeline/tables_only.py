"""The main results of a run without notebooks and book: in seconds, with the same numbers."""

from typing import Any

from twostage.collection import read_collection
from twostage.files import emptied, keep_only
from twostage.notebooks import HOME
from twostage.pages.common.leave import write_pooled
from twostage.params import make_parameters
from twostage.pipeline.plan import Plan
from twostage.pipeline.session import run_lock
from twostage.records import analyse, write_record
from twostage.stage2 import pool_records, read_records


def write_tables(plan: Plan) -> None:
    """Run stage 1 on every study and pool it; leave records and pooled tables where notebooks leave them.

    Only the analyses that answer the question (:data:`twostage.records.analyse.MAIN`). Other results that the run's
    folder holds are removed: they may be of other parameters, and a later complete run makes them again.

    Parameters
    ----------
    plan : Plan
    """
    run = plan.run
    with run_lock(run):
        plan.write()
        collection = read_collection(run.collection)
        parameters = make_parameters(run.parameters)
        there = list(run.analysed)
        done = analyse(collection.only(there), parameters)
        # Only now: what was there is not given up for something that fails.
        keep_only(run.folder / "records", run.studies)
        emptied(run.folder / "output")
        for study in there:
            emptied(run.record_folder(study))
        how: dict[str, Any] = {"method": parameters.tau2_method, "ci": parameters.ci_method}
        how["level"] = parameters.level
        for analysis, records in done.records.items():
            for record in records:
                write_record(record, run.record_folder(record.study))
            pooled = pool_records(read_records(run.folder / "records", run.studies, analysis), **how)
            write_pooled(pooled, str(run.output_folder(HOME[analysis])))
