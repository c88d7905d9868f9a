"""Processes that end with the process that started them, however that ends.

A process that is killed cannot tell its children. Left alone, workers would work off their queue and Jupyter Book would
write its pages, beside those of the next run.
"""

import os
import pkgutil
import sys
import threading
import time

import psutil

#: How often a child looks whether its parent is alive.
WATCH_SECONDS = 0.25


def end_with(pid: int) -> None:
    """Let this process end when another one has ended."""
    threading.Thread(target=_watch, args=(pid,), daemon=True).start()


def _watch(pid: int) -> None:
    try:
        parent = psutil.Process(pid)
        # One that nobody has waited for is there and dead.
        while parent.is_running() and parent.status() != psutil.STATUS_ZOMBIE:
            time.sleep(WATCH_SECONDS)
    except psutil.NoSuchProcess:
        pass
    os._exit(1)


def child_command(program: str, *arguments: str) -> list[str]:
    """The command that calls ``module:function`` as a program of this Python that ends with this process."""
    # -P: the folder in which it is started is no place to import modules from.
    return [sys.executable, "-P", "-m", __name__, str(os.getpid()), program, *arguments]


def called(command: list[str]) -> list[str]:
    """The ``module:function`` and its arguments in a command of :func:`child_command`."""
    return command[command.index(__name__) + 2 :]


if __name__ == "__main__":
    _, parent, program, *rest = sys.argv
    end_with(int(parent))
    sys.argv = [program, *rest]
    sys.exit(pkgutil.resolve_name(program)())
