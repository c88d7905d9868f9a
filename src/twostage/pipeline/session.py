"""Carries out a run: everything between a checked collection and the book that is not up to date."""

import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytask
from filelock import FileLock, Timeout
from pytask_parallel import ParallelBackend, registry

from twostage.files import scratch_folder, tidy
from twostage.pipeline.backend import CLUSTER_QUEUE, QUEUED, Workers, cluster_workers, local_workers
from twostage.pipeline.errors import PipelineError
from twostage.pipeline.inputs import forget_removed
from twostage.pipeline.progress import Progress, print_summary, step_name
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

    Raises
    ------
    PipelineError
        There is no such scheduler, pytask cannot order the steps, or another process is carrying out this run.
    """
    jobs = jobs or os.cpu_count() or 1
    with alone(run):
        forget_removed(run)
        due = steps_to_do(run)
        workers = cluster_workers(dask) if dask else local_workers(jobs)
        with _scratch(), Progress(due, jobs) as progress:
            session = _build(run, workers, CLUSTER_QUEUE if dask else QUEUED * jobs, progress)
        shutil.rmtree(run.unfinished, ignore_errors=True)
    if workers.gone:
        raise PipelineError(
            f"the Dask scheduler at {dask} went away; the same command, with a scheduler, goes on where this one stopped"
        )
    reports = session.execution_reports
    failed = any(report.outcome is pytask.TaskOutcome.FAIL for report in reports)
    if session.exit_code is not pytask.ExitCode.OK and not failed:
        raise PipelineError(f"the run stopped:\n{_log(run).read_text(encoding='utf-8')}")
    print_summary(reports, len(session.tasks))
    if len(reports) < len(session.tasks):
        print("interrupted; the same command goes on where this one stopped", file=sys.stderr)
        return INTERRUPTED
    return 1 if failed else 0


@contextmanager
def alone(run: Run):
    """Hold the run's folder; the system lets go of it with the process, however that ends."""
    lock = FileLock(run.folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise PipelineError(
            f"{run.folder}: another process is carrying out this run; wait for it to end"
        ) from None
    try:
        tidy(run.folder)
        yield
    finally:
        lock.release()


def steps_to_do(run: Run) -> list[str]:
    """The steps whose inputs changed since they were last done, and those that depend on them; does none.

    Raises
    ------
    PipelineError
        If pytask cannot order the steps.
    """
    session = _build(run)
    if session.exit_code is not pytask.ExitCode.OK:
        raise PipelineError(f"the run stopped:\n{_log(run).read_text(encoding='utf-8')}")
    due = pytask.TaskOutcome.WOULD_BE_EXECUTED
    return sorted(step_name(report.task) for report in session.execution_reports if report.outcome is due)


@contextmanager
def _scratch():
    """Give workers and kernels one folder for temporary files, so that killed ones leave nothing."""
    before = os.environ.get("TMPDIR")
    with scratch_folder() as folder:
        os.environ["TMPDIR"] = str(folder)
        try:
            yield
        finally:
            os.environ.pop("TMPDIR")
            if before is not None:
                os.environ["TMPDIR"] = before


def _log(run: Run) -> Path:
    return run.state / "pytask.log"


def _forget_tasks() -> None:
    """Let pytask import its task modules again: it collects tasks only where a module is new."""
    tasks = set(map(str, Path(__file__).parent.glob("task_*.py")))
    for name, module in list(sys.modules.items()):
        if getattr(module, "__file__", None) in tasks:
            del sys.modules[name]


def _build(
    run: Run, workers: Workers | None = None, queue: int = 1, progress: Progress | None = None
) -> pytask.Session:
    """Let pytask do the steps, or, without workers, only find out which."""
    os.environ[RUN_VARIABLE] = str(run.folder)
    _forget_tasks()
    run.state.mkdir(parents=True, exist_ok=True)
    # pytask keeps its memory beside its configuration file: in the run's folder, not in the repository.
    config = run.state / "pytask.toml"
    config.write_text("[tool.pytask.ini_options]\n", encoding="utf-8")

    def start(n_workers: int) -> Workers:
        # The first moment at which the session's plugins can be added to.
        pytask.storage.get().register(progress)
        return workers

    registry.register_parallel_backend(ParallelBackend.CUSTOM, start, worker_type="processes")
    with _log(run).open("w", encoding="utf-8") as log:
        pytask.console.file = log
        return pytask.build(
            paths=Path(__file__).parent,
            config=config,
            capture="no",
            verbose=0,
            n_workers=queue,
            parallel_backend=ParallelBackend.CUSTOM,
            dry_run=workers is None,
        )
