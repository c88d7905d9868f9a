"""Carries out a run: everything between a checked collection and the book that is not up to date."""

import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytask
from pytask_parallel import ParallelBackend, registry

from twostage.files import emptied, scratch_folder, write_json
from twostage.pipeline.backend import CLUSTER_QUEUE, QUEUED, Workers, cluster_workers, local_workers
from twostage.pipeline.errors import PipelineError
from twostage.pipeline.lock import run_lock
from twostage.pipeline.plan import Plan
from twostage.pipeline.progress import BOOK_FILE, Progress, book_weight, print_summary
from twostage.pipeline.steps import declare

#: Exit status after an interruption, as shells have it (128 + SIGINT).
INTERRUPTED = 130


#: What pytask says, beside its memory.
LOG = "pytask.log"


def carry_out(plan: Plan, *, jobs: int | None = None, dask: str | None = None, book: bool = True) -> int:
    """Do all steps of a run whose inputs changed since they were last done.

    What is finished stays finished when the run is interrupted, however rudely.

    Parameters
    ----------
    plan : Plan
    jobs : int, optional
        Processes on this machine; default: one per core.
    dask : str, optional
        Address of a Dask scheduler (``tcp://...``) whose workers see the same files; used instead of
        processes on this machine.
    book : bool
        Whether to make the book, too.

    Returns
    -------
    int
        Exit status: 0, 1 if a step failed, 130 if the run was interrupted.

    Raises
    ------
    PipelineError
        There is no such scheduler, pytask cannot order the steps, or another process is carrying out this run.
    """
    run, jobs = plan.run, jobs or os.cpu_count() or 1
    with run_lock(run):
        plan.write()
        plan.forget_removed()
        due, readable = _due(plan, book)
        if not readable:
            emptied(run.state)
        workers = cluster_workers(dask) if dask else local_workers(jobs)
        pages = len(run.stage1) * len(run.analysed) + len(run.stage2) + len(run.tutorials)
        with _scratch(), Progress(due, jobs, book_weight(run.state, pages)) as progress:
            queue = CLUSTER_QUEUE if dask else QUEUED * jobs
            session = _build(plan, run.state, book, workers, queue, progress)
        if progress.measured and session.exit_code is pytask.ExitCode.OK:
            write_json(run.state / BOOK_FILE, progress.measured)
        shutil.rmtree(run.unfinished, ignore_errors=True)
    if workers.gone:
        raise PipelineError(
            f"the Dask scheduler at {dask} has ended; with a running scheduler, the same command continues "
            "where this one stopped"
        )
    reports = session.execution_reports
    failed = any(report.outcome is pytask.TaskOutcome.FAIL for report in reports)
    if session.exit_code is not pytask.ExitCode.OK and not failed:
        raise _stopped(run.state)
    print_summary(reports, len(session.tasks))
    if len(reports) < len(session.tasks):
        print("interrupted; the same command continues where this one stopped", file=sys.stderr)
        return INTERRUPTED
    return 1 if failed else 0


def steps_to_do(plan: Plan) -> list[str]:
    """The steps whose inputs changed since they were last done, and those that depend on them.

    Does none of them and writes nothing into the run's folder.

    Raises
    ------
    PipelineError
        If pytask cannot order the steps.
    """
    return _due(plan)[0]


def _due(plan: Plan, book: bool = True) -> tuple[list[str], bool]:
    """The steps that are due, and whether the memory of those that were done can be read."""
    with scratch_folder() as root:
        # pytask writes beside its memory even where it only looks.
        there = [path for path in plan.run.state.glob("pytask.lock*") if path.is_file()]
        for path in there:
            shutil.copy(path, root)
        session = _build(plan, root, book)
        readable = session.exit_code is not pytask.ExitCode.CONFIGURATION_FAILED or not there
        if not readable:
            print(f"{plan.run.state}: damaged, so it was made again and every step is due", file=sys.stderr)
            session = _build(plan, emptied(root), book)
        if session.exit_code is not pytask.ExitCode.OK:
            raise _stopped(root)
    due = pytask.TaskOutcome.WOULD_BE_EXECUTED
    return sorted(r.task.name for r in session.execution_reports if r.outcome is due), readable


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


def _stopped(root: Path) -> PipelineError:
    return PipelineError(f"the run stopped:\n{(root / LOG).read_text(encoding='utf-8')}")


def _build(
    plan: Plan,
    root: Path,
    book: bool = True,
    workers: Workers | None = None,
    queue: int = 1,
    progress: Progress | None = None,
) -> pytask.Session:
    """Let pytask do the steps, or, without workers, only find out which; it remembers them in a folder."""
    root.mkdir(parents=True, exist_ok=True)
    # pytask keeps its memory beside its configuration file.
    config = root / "pytask.toml"
    config.write_text("[tool.pytask.ini_options]\n", encoding="utf-8")

    def start(n_workers: int) -> Workers:
        # The first moment at which the session's plugins can be added to.
        pytask.storage.get().register(progress)
        return workers  # type: ignore[return-value]  # only called where there are some

    registry.register_parallel_backend(ParallelBackend.CUSTOM, start, worker_type="processes")
    with (root / LOG).open("w", encoding="utf-8") as log:
        pytask.console.file = log
        return pytask.build(
            tasks=declare(plan, book),
            paths=root,
            config=config,
            # Its lock file remembers all; a second memory on the disk would only cost time.
            database_url="sqlite://",
            capture="no",
            verbose=0,
            n_workers=queue,
            parallel_backend=ParallelBackend.CUSTOM,
            dry_run=workers is None,
        )
