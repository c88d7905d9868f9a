"""The main results of a run without notebooks and book: in seconds, with the same numbers."""

from collections.abc import Callable
from typing import Any

from twostage.collection import read_collection
from twostage.files import emptied, keep_only
from twostage.notebooks import HOME
from twostage.pages.common.leave import write_pooled
from twostage.params import make_parameters
from twostage.pipeline.lock import run_lock
from twostage.pipeline.plan import Plan
from twostage.pipeline.results import results_of, write_results
from twostage.records import analyse, write_record
from twostage.stage2 import pool_records, read_records


def write_tables(plan: Plan, dask: str | None = None) -> None:
    """Run stage 1 on every study and pool it; leave records and pooled tables where notebooks leave them.

    Only the analyses that answer the question (:data:`twostage.records.analyse.MAIN`). Other results that the run's
    folder holds are removed: they may be of other parameters, and a later complete run makes them again.

    Parameters
    ----------
    plan : Plan
    dask : str, optional
        Address of a Dask scheduler whose workers sum over the pieces of studies too large for memory.
    """
    if not dask:
        _write_tables(plan, None)
        return
    # Most runs need no cluster, and what starts processes takes a moment to import.
    from twostage.pipeline.backend import cluster_client, over_cluster

    with cluster_client(dask) as client:
        _write_tables(plan, over_cluster(client))


def _write_tables(plan: Plan, over: Callable[..., Any] | None) -> None:
    run = plan.run
    with run_lock(run):
        plan.write()
        collection = read_collection(run.collection)
        parameters = make_parameters(run.parameters)
        there = list(run.analysed)
        done = analyse(collection.only(there), parameters, over=over, read=plan.studies)
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
        write_results(run, results_of(run, collection, executed=False))
