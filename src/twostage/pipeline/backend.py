"""Where tasks are carried out: processes on this machine, or a Dask cluster.

pytask-parallel looks for finished tasks at growing intervals, up to a second. Handing out more tasks
than there are workers keeps the workers busy meanwhile.
"""

import os
import signal
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import loky

from twostage.pipeline.child import end_with
from twostage.pipeline.errors import PipelineError

#: Tasks handed out per worker of this machine: one it works on, one it takes up next.
QUEUED = 2

#: A cluster may grow while it works, so it is given all tasks that are ready.
CLUSTER_QUEUE = 10_000

#: Idle workers end after this time and are started again when needed.
IDLE_SECONDS = 60

#: How long a Dask scheduler may take to answer.
CONNECT_SECONDS = 30


class Workers(Executor):
    """An executor that does not wait for tasks that nobody wants any more.

    Parameters
    ----------
    executor : Executor
        Who does the work.
    stop : callable
        Ends it; told whether tasks are left, as after an interruption.
    """

    def __init__(self, executor: Executor, stop: Callable[[bool], None]):
        self._executor, self._stop = executor, stop
        self._futures: list[Future] = []

    def submit(self, fn, /, *args: Any, **kwargs: Any) -> Future:
        """Hand out a task."""
        future = self._executor.submit(fn, *args, **kwargs)
        self._futures.append(future)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop, and stop the tasks that are left too."""
        left = [future for future in self._futures if not future.done()]
        for future in left:
            future.cancel()
        self._stop(bool(left))


def local_workers(n: int) -> Workers:
    """Processes on this machine; they and their kernels end with the process that plans the run."""
    executor = loky.ProcessPoolExecutor(
        n, timeout=IDLE_SECONDS, initializer=_depend_on_planner, initargs=(os.getpid(),)
    )
    return Workers(executor, lambda left: executor.shutdown(wait=True, kill_workers=left))


def _depend_on_planner(planner: int) -> None:
    # Ctrl-C reaches every process of a terminal; only the one that plans the run shall act on it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with(planner)


def cluster_workers(address: str) -> Workers:
    """The workers of a Dask scheduler; a task whose worker dies is given to another."""
    # Most runs need no cluster, and Dask takes half a second to import.
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise PipelineError(f"no Dask scheduler at {address}: {error}") from None
    # Two tasks are never the same, whatever their arguments look like to Dask.
    return Workers(client.get_executor(pure=False), lambda left: client.close())
