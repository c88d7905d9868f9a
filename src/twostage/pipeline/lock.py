"""One process at a time in a run's folder."""

import errno
from contextlib import contextmanager

from filelock import FileLock, Timeout

from twostage.files import tidy
from twostage.pipeline.errors import PipelineError
from twostage.pipeline.run import LOCK, Run


@contextmanager
def run_lock(run: Run):
    """Hold the run's folder; the system lets go of it with the process, however that ends."""
    lock = FileLock(run.folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise PipelineError(
            f"{run.folder}: another process is carrying out this run; wait for it to end"
        ) from None
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise PipelineError(
            f"{run.folder}: {error.strerror}; use --out FOLDER with a folder that you may write into"
        ) from None
    try:
        tidy(run.folder)
        yield
    finally:
        lock.release()
