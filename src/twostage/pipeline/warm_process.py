"""A process that has imported what notebooks use, and forks a kernel from itself for each of them.

A fresh kernel spends most of its time on imports. A fork has them at once, in memory of its own: whatever a notebook
does to it ends with it. The process has one thread, as only the thread that forks is there in the fork.

It listens to one socket, whose other end the process that wants kernels holds. Each message there is a request, and has
with it a socket for that kernel alone: on it goes the kernel's number, and later its exit status. Sockets are closed
with the process that holds them, however that ends; so a kernel that nobody waits for any more is killed at once, and
the process ends when nobody can ask it for kernels.
"""

import gc
import importlib
import json
import os
import pkgutil
import select
import selectors
import signal
import socket
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from twostage.pipeline.child import WATCH_SECONDS, end_with
from twostage.pipeline.content import Identity, identity
from twostage.pipeline.warm_kernel import END

#: What is imported before the first kernel: IPython's own part, the libraries of the notebooks and their code in this
#: package, which imports the rest.
IMPORTS = (
    *("ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell", "IPython.core.completer"),
    *("matplotlib.backends.backend_svg", "seaborn", "statsmodels.regression.linear_model"),
    *("twostage.display", "twostage.terms", "twostage.stage1", "twostage.stage2"),
)

#: Folder of the package whose modules are what notebooks call.
PAGES = "twostage.pages"

#: Pages that no notebook shows, and what needs more than notebooks do.
NOT_PAGES = ("addition",)

#: With which figures appear below their cell. Kernels set it when they begin, and matplotlib reads it when it is
#: imported. The module itself is not imported before: it then looks for the kernel that it is in.
INLINE = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}

#: Longest request: the environment is in it.
LONGEST_REQUEST = 1 << 20


@contextmanager
def ending_with(requests: socket.socket) -> Iterator[None]:
    """Let this process end when nobody can ask it any more; by an alarm, as a thread may not be there yet."""
    asked = select.poll()
    asked.register(requests, 0)
    before = signal.signal(signal.SIGALRM, lambda *_: os._exit(1) if asked.poll(0) else None)
    signal.setitimer(signal.ITIMER_REAL, WATCH_SECONDS, WATCH_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def import_libraries() -> None:
    """Import all that notebooks use.

    Raises
    ------
    RuntimeError
        A library has started a thread, which no fork would have, or has said something that a notebook would show.
    """
    for name, value in INLINE.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings(record=True) as said:
        for name in (*IMPORTS, *_pages()):
            importlib.import_module(name)
    if said:
        raise RuntimeError(f"an import warned: {said[0].message}")
    if (threads := len(os.listdir("/proc/self/task"))) > 1:
        raise RuntimeError(f"{threads} threads after the imports; expected one")


def _pages() -> Iterator[str]:
    package = importlib.import_module(PAGES)
    for _, page, _ in pkgutil.iter_modules(package.__path__):
        if page not in NOT_PAGES:
            inside = importlib.import_module(f"{PAGES}.{page}")
            yield from (f"{PAGES}.{page}.{name}" for _, name, _ in pkgutil.iter_modules(inside.__path__))


def imported_files() -> dict[str, Identity]:
    """The files of all modules that are imported, as they are now."""
    places = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    return {place: found for place in places if place and (found := _identity(place))}


def _identity(place: str) -> Identity | None:
    try:
        return identity(place)
    except OSError:
        return None


@dataclass(frozen=True)
class Kernel:
    """A kernel that runs.

    Attributes
    ----------
    number : int
        Of its process and of the group of what it starts.
    asker : socket
        Where its end is told, and whose closing is its end.
    """

    number: int
    asker: socket.socket


class WarmProcess:
    """Starts kernels and tells their end.

    Parameters
    ----------
    requests : socket
        Where they are asked for.
    """

    def __init__(self, requests: socket.socket):
        self._requests = requests
        self._running: dict[int, Kernel] = {}
        self._files = imported_files()
        self._events = selectors.DefaultSelector()
        self._events.register(requests, selectors.EVENT_READ)

    def serve(self) -> dict[str, Any] | None:
        """Do it until nobody can ask any more; in each fork, return the request instead."""
        while self._events.get_map():
            for key, _ in self._events.select():
                if key.data is None:
                    if (request := self._answer()) is not None:
                        return request
                elif key.data.number in self._running:
                    self._look(key)
        return None

    def _answer(self) -> dict[str, Any] | None:
        """Start a kernel; the request, where this process is the kernel."""
        content, sockets, _, _ = socket.recv_fds(self._requests, LONGEST_REQUEST, 1)
        if content == END:
            for number in self._running:
                os.killpg(number, signal.SIGKILL)
            return None
        if not content:
            self._events.unregister(self._requests)
            return None
        asker = socket.socket(fileno=sockets[0])
        if imported_files() != self._files:
            # What was imported is not what is there: a fresh process will import that.
            asker.close()
            return None
        request, parent = json.loads(content), os.getpid()
        number = os.fork()
        if not number:
            asker.close()
            self._let_go()
            return request | {"parent": parent}
        # By both, as either may be the first that needs it.
        _lead(number)
        kernel = self._running[number] = Kernel(number, asker)
        self._events.register(os.pidfd_open(number), selectors.EVENT_READ, kernel)
        self._events.register(asker, selectors.EVENT_READ, kernel)
        _tell(asker, number)
        return None

    def _look(self, key: selectors.SelectorKey) -> None:
        """A kernel has ended, or nobody waits for it any more."""
        kernel = key.data
        self._events.unregister(key.fileobj)
        if key.fileobj is kernel.asker:
            os.killpg(kernel.number, signal.SIGKILL)
            return
        os.close(key.fd)
        _, status = os.waitpid(kernel.number, 0)
        del self._running[kernel.number]
        if kernel.asker in self._events.get_map():
            self._events.unregister(kernel.asker)
        _tell(kernel.asker, os.waitstatus_to_exitcode(status))
        kernel.asker.close()

    def _let_go(self) -> None:
        """Close, in a fork, what is the parent's."""
        for key in list(self._events.get_map().values()):
            # A socket that is not told would close its number again, when that is somebody else's.
            key.fileobj.close() if isinstance(key.fileobj, socket.socket) else os.close(key.fd)
        self._events.close()


def _tell(asker: socket.socket, number: int) -> None:
    # Where who asked has ended meanwhile, that is the next event.
    with suppress(OSError):
        asker.send(b"%d" % number)


def _lead(number: int) -> None:
    """Let a process be the first of a group, which then can be ended as one."""
    # It may have ended already, or have done it itself.
    with suppress(OSError):
        os.setpgid(number, number)


def become_kernel(request: dict[str, Any]) -> None:
    """Be, in a fork, what a fresh process would be with this command, environment and folder."""
    _lead(0)
    end_with(request["parent"])
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    # What is found out only once, and what all forks would have in common.
    time.tzset()
    tempfile.tempdir = None
    sys.modules["numpy"].random.seed()
    program, *arguments = request["command"]
    sys.argv = [program, *arguments, f"--IPKernelApp.parent_handle={request['parent']}"]
    pkgutil.resolve_name(program)()


def main() -> None:
    """Import, serve, and be a kernel in each fork."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    try:
        with ending_with(requests):
            import_libraries()
    except RuntimeError as error:
        sys.exit(f"each notebook starts with the imports, which takes longer: {error}")
    # What is there now stays in memory that all forks share.
    gc.collect()
    gc.freeze()
    request = WarmProcess(requests).serve()
    if request is not None:
        become_kernel(request)


if __name__ == "__main__":
    main()
