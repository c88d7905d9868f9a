"""Where tasks are carried out: processes on this machine, or a Dask cluster.

pytask-parallel looks for finished tasks at growing intervals, up to a second. Handing out more tasks
than there are workers keeps the workers busy meanwhile.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from importlib.metadata import version
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

import loky
from loky.backend.resource_tracker import ensure_running

from twostage.collection import Piece, Pieces, merged
from twostage.pipeline.child import end_with
from twostage.pipeline.code import code
from twostage.pipeline.errors import PipelineError

if TYPE_CHECKING:
    from distributed import Client


#: Tasks handed out per worker of this machine: one it works on, one it takes up next.
QUEUED = 2


#: A cluster may grow while it works, so it is given all tasks that are ready.
CLUSTER_QUEUE = 10_000


#: Idle workers end after this time and are started again when needed.
IDLE_SECONDS = 60


#: Number of the standard error, whatever Python's ``sys.stderr`` is.
STDERR = 2


#: How long a Dask scheduler may take to answer.
CONNECT_SECONDS = 30


#: How long until one of its workers is there: a cluster may have to start them first.
WORKER_SECONDS = 120


class Workers(Executor):
    """An executor that does not wait for tasks that nobody wants any more.

    Parameters
    ----------
    executor : Executor
        Who does the work.
    stop : callable
        Ends it; told whether tasks are left, as after an interruption.
    gone : callable, optional
        Whether the executor went away by itself.
    """

    def __init__(
        self, executor: Executor, stop: Callable[[bool], None], gone: Callable[[], bool] = lambda: False
    ):
        self._executor, self._stop, self._gone = executor, stop, gone
        self.gone = False
        self._futures: list[Future] = []

    def submit(self, fn, /, *args: Any, **kwargs: Any) -> Future:
        """Hand out a task."""
        # Executors start their processes when the first tasks come.
        with _interrupts_later():
            future = self._executor.submit(fn, *args, **kwargs)
            self._futures.append(future)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop, and stop the tasks that are left too."""
        self.gone = self._gone()
        left = [future for future in self._futures if not future.done()]
        for future in left:
            future.cancel()
        self._stop(bool(left))


def local_workers(n: int) -> Workers:
    """Processes on this machine; they and their kernels end with the process that plans the run."""
    _start_trackers()
    executor = loky.ProcessPoolExecutor(
        n, timeout=IDLE_SECONDS, initializer=_depend_on_planner, initargs=(os.getpid(),)
    )
    return Workers(executor, lambda left: executor.shutdown(wait=True, kill_workers=left))


def _start_trackers() -> None:
    """Start the processes in which loky and Python note what processes share, to free it when they are killed.

    They alone outlive kill -9. What they would then print, after the prompt, is that they did what they are there for.
    Whoever starts one lets Ctrl-C through again afterwards, so they are there before :func:`_interrupts_later`.
    """
    sys.stderr.flush()
    terminal = os.dup(STDERR)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        # They take their standard error from this process, and there is no other way to choose it.
        os.dup2(nowhere, STDERR)
        ensure_running()
        resource_tracker.ensure_running()
    finally:
        os.dup2(terminal, STDERR)
        os.close(terminal)
        os.close(nowhere)


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Hold Ctrl-C back in this thread, and in the processes and threads that it starts, for which this is for good.

    Ctrl-C reaches every process of a terminal; only the one that plans the run shall act on it. A worker that says so
    itself has imported Python's libraries before, and an interruption there printed a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _depend_on_planner(planner: int) -> None:
    # From here on Ctrl-C is ignored, as kernels that this worker starts expect it, and need not be held back.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    end_with(planner)


def cluster_client(address: str) -> "Client":
    """A connection to a Dask scheduler that has workers with this package.

    Addresses that begin with ``tls://`` are encrypted and both sides show certificates: those that Dask's own settings
    name (``distributed.comm.tls``, or the variables ``DASK_DISTRIBUTED__COMM__TLS__...``).

    Raises
    ------
    PipelineError
        There is no such scheduler, or it has no worker or one with another version of the code.
    """
    # Most runs need no cluster, and Dask takes half a second to import.
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError, TypeError) as error:  # a TypeError is tls:// without certificates
        raise PipelineError(f"no Dask scheduler at {address}: {error}") from None
    try:
        client.wait_for_workers(1, timeout=WORKER_SECONDS)
        _check_workers(client)
    except TimeoutError:
        client.close()
        raise PipelineError(
            f"the Dask scheduler at {address} has no worker that answers within {WORKER_SECONDS} seconds; start one, in "
            f"an environment that has this package: dask worker {address} --nthreads 1"
        ) from None
    except PipelineError:
        client.close()
        raise
    return client


def cluster_workers(address: str) -> Workers:
    """The workers of a Dask scheduler; a task whose worker dies is given to another."""
    client = cluster_client(address)
    # Two tasks are never the same, whatever their arguments look like to Dask.
    executor = client.get_executor(pure=False)
    return Workers(executor, lambda left: _close(client), lambda: client.status != "running")


def over_cluster(client: "Client") -> Callable[[Pieces, Callable[[Piece], Any], int, int], Any]:
    """What sums over a study's pieces on the workers of a cluster (:attr:`twostage.collection.LargeStudy.over_pieces`).

    The graph is Dask's: a piece whose worker is lost is summed again by another one, from the study's file. Nothing that
    a worker holds is needed later, so any number of them may come and go. Sums are merged in pairs, in the order of the
    pieces, whoever made them: the numbers do not depend on who was faster.

    Parameters
    ----------
    client : Client
        Its workers see the study's files under the same paths.
    """

    def over(pieces: Pieces, work: Callable[[Piece], Any], first: int, last: int) -> Any:
        from dask import delayed

        # One graph, handed over whole. Never pure: no task may be taken for one done before, files may have changed since.
        part, both = delayed(pieces.over, pure=False), delayed(merged, pure=False)
        sums = [part(work, number, first, last) for number in range(pieces.count)]
        while len(sums) > 1:
            pairs = [both(*sums[k : k + 2]) for k in range(0, len(sums) - 1, 2)]
            sums = pairs + sums[2 * len(pairs) :]
        return client.compute(sums[0], optimize_graph=False).result()

    return over


def _close(client: "Client") -> None:
    if client.status != "running":
        # It logs that its own attempt to find the scheduler again is given up; the error of the run says so.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    client.close()


def _check_workers(client: "Client") -> None:
    """Refuse workers that would make other results, or none: Dask gives them tasks that they cannot read, for ever."""
    ours = version("twostage")
    # Called by its name in the standard library, which workers without the package have too.
    found = client.run(version, "twostage", on_error="return")
    wrong = {
        worker: "no package 'twostage'" if isinstance(theirs, Exception) else f"twostage {theirs}"
        for worker, theirs in found.items()
        if theirs != ours
    }
    if not wrong:
        here, there = code(results=False), client.run(code, results=False)
        has = f"twostage {ours} with other code or libraries"
        wrong = {worker: has for worker, theirs in there.items() if theirs != here}
    for worker, has in wrong.items():
        raise PipelineError(
            f"the Dask worker at {worker} has {has}; expected twostage {ours} as here: install it there, and start the "
            "worker again"
        )
