"""Carries out a run: everything between a checked collection and the book that is not up to date."""

import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytask
from pytask_parallel import ParallelBackend, registry

from twostage.pipeline.backend import CLUSTER_QUEUE, QUEUED, cluster_workers, local_workers
from twostage.pipeline.errors import PipelineError
from twostage.pipeline.progress import Progress, print_summary
from twostage.pipeline.run import RUN_VARIABLE, Run

#: Exit status after an interruption, as shells have it (128 + SIGINT).
INTERRUPTED = 130


def carry_out(run: Run, *, jobs: int | None = None, dask: str | None = None) -> int:
    """Do all steps of a run whose inputs changed since they were last done.

    What is finished stays finished when the run is interrupted, however rudely.

    Parameters
    ----------
    run : Run
        A prepared run.
    jobs : int, optional
        Processes on this machine; default: one per core.
    dask : str, optional
        Address of a Dask scheduler (``tcp://...``) whose workers see the same files; used instead of
        processes on this machine.

    Returns
    -------
    int
        Exit status: 0, 1 if a step failed, 130 if the run was interrupted.
    """
    os.environ[RUN_VARIABLE] = str(run.folder)
    _choose_workers(jobs or os.cpu_count() or 1, dask)
    run.state.mkdir(parents=True, exist_ok=True)
    queue = CLUSTER_QUEUE if dask else QUEUED * (jobs or os.cpu_count() or 1)
    with (run.state / "pytask.log").open("w", encoding="utf-8") as log, _scratch():
        session = _build(run, queue, log)
    shutil.rmtree(run.unfinished, ignore_errors=True)
    if not session.tasks or session.exit_code not in (pytask.ExitCode.OK, pytask.ExitCode.FAILED):
        log_text = (run.state / "pytask.log").read_text(encoding="utf-8")
        raise PipelineError(f"pytask could not plan the run:\n{log_text}")
    reports = session.execution_reports
    print_summary(reports, len(session.tasks))
    if session.exit_code is not pytask.ExitCode.OK:
        return 1
    if len(reports) < len(session.tasks):
        print("interrupted; the same command goes on where this one stopped", file=sys.stderr)
        return INTERRUPTED
    return 0


@contextmanager
def _scratch():
    """Give workers and kernels one folder for temporary files, so that killed ones leave nothing."""
    before = os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory(prefix="twostage-", ignore_cleanup_errors=True) as folder:
        os.environ["TMPDIR"] = folder
        try:
            yield
        finally:
            os.environ.pop("TMPDIR")
            if before is not None:
                os.environ["TMPDIR"] = before


def _choose_workers(jobs: int, dask: str | None) -> None:
    def start(n_workers: int):
        # The first moment at which the session's plugins can be added to.
        pytask.storage.get().register(Progress())
        return cluster_workers(dask) if dask else local_workers(jobs)

    registry.register_parallel_backend(ParallelBackend.CUSTOM, start, worker_type="processes")


def _build(run: Run, queue: int, log) -> pytask.Session:
    pytask.console.file = log
    # pytask keeps its memory beside its configuration file: in the run's folder, not in the repository.
    config = run.state / "pytask.toml"
    config.write_text("[tool.pytask.ini_options]\n", encoding="utf-8")
    return pytask.build(
        paths=Path(__file__).parent,
        config=config,
        capture="no",
        verbose=0,
        n_workers=queue,
        parallel_backend=ParallelBackend.CUSTOM,
        sort_table=False,
    )
