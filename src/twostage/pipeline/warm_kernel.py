"""Kernels from a warm process of this process, where the system has what that takes; others from scratch.

See :mod:`twostage.pipeline.warm_process`. A warm process has the environment with which it was started, which some
libraries read when they are imported: a kernel with another environment gets another warm process.
"""

import asyncio
import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import LocalProvisioner

from twostage.pipeline import child

#: Systems on which a process that has imported the libraries can be forked: macOS' own libraries forbid it.
CAN_FORK = sys.platform == "linux"

#: Of a kernel's environment, what differs from kernel to kernel and is not read by an import.
PERSONAL = ("IPYTHONDIR",)

#: What Python is to carry out as the warm process.
COMMAND = ("-m", "twostage.pipeline.warm_process")

#: Instead of a request: all kernels are to end.
END = b"end"

#: How often it is looked whether a kernel that was killed has ended.
POLL_SECONDS = 0.01

#: How long a warm process without kernels may take to end.
END_SECONDS = 2.0


class WarmKernel:
    """A kernel, with what :class:`LocalProvisioner` uses of :class:`subprocess.Popen`.

    Parameters
    ----------
    line : socket
        On which the warm process tells the kernel's end.
    number : int
        Of the kernel's process.
    """

    stdin = stdout = stderr = None

    def __init__(self, line: socket.socket, number: int):
        self._line, self.pid = line, number
        self.returncode: int | None = None
        line.setblocking(False)

    def poll(self) -> int | None:
        """The exit status; None while it runs."""
        if self.returncode is None:
            try:
                # Without a word, the warm process has ended, and its kernels with it.
                self.returncode = int(self._line.recv(32) or -9)
                self._line.close()
            except BlockingIOError:
                pass
        return self.returncode

    def wait(self) -> int | None:
        """The exit status, for who has seen that there is one."""
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send the process a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Where its group cannot be killed."""
        os.kill(self.pid, 9)

    terminate = kill


@dataclass(frozen=True)
class Warm:
    """A warm process, as who started it sees it.

    Attributes
    ----------
    process : subprocess.Popen
    requests : socket
        The only one that can ask it; closed with this process.
    """

    process: subprocess.Popen
    requests: socket.socket

    def kernel(self, request: dict[str, Any]) -> WarmKernel | None:
        """Start one; None if the process cannot."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                socket.send_fds(self.requests, [json.dumps(request).encode()], [theirs.fileno()])
            except OSError:
                ours.close()
                return None
        number = ours.recv(32)
        if not number:
            ours.close()
            return None
        return WarmKernel(ours, int(number))


def start_warm(environment: dict[str, str]) -> Warm:
    """Start a warm process with an environment."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        number = theirs.fileno()
        process = subprocess.Popen(
            [sys.executable, "-P", *COMMAND, str(number)],
            env=environment,
            pass_fds=[number],
            stdin=subprocess.DEVNULL,
            # Ctrl-C is for the process that plans the run.
            start_new_session=True,
        )
    return Warm(process, ours)


class WarmProcesses:
    """The warm process of this process, and earlier ones that have kernels still."""

    def __init__(self) -> None:
        self._environment: dict[str, str] | None = None
        self._warm: Warm | None = None
        self._left: list[subprocess.Popen] = []
        # A worker of a cluster may have several threads.
        self._one_at_a_time = threading.Lock()

    def kernel(self, command: list[str], environment: dict[str, str], folder: str) -> WarmKernel | None:
        """Start a kernel in the warm process, which is started if need be; None if that cannot be done.

        Parameters
        ----------
        command : list of str
            ``module:function`` and its arguments.
        environment : dict
            Of the kernel.
        folder : str
            In which it begins.
        """
        of_all = {name: value for name, value in environment.items() if name not in PERSONAL}
        request = {"command": command, "environment": environment, "folder": folder}
        with self._one_at_a_time:
            if self._environment == of_all:
                if self._warm is None:
                    return None
                if (kernel := self._warm.kernel(request)) is not None:
                    return kernel
                # It has ended, or what it had imported has changed: its successor will have that.
            self._let_go()
            self._environment, self._warm = of_all, start_warm(of_all)
            if (kernel := self._warm.kernel(request)) is None:
                self._let_go()
            return kernel

    def _let_go(self) -> None:
        """Let the process end as soon as it has no kernel."""
        if self._warm is not None:
            self._warm.requests.close()
            self._left.append(self._warm.process)
            self._warm = None
        self._left = [process for process in self._left if process.poll() is None]

    def end(self) -> None:
        """End them, with the kernels that are left."""
        if self._warm is not None:
            # It may have ended by itself.
            with suppress(OSError):
                self._warm.requests.send(END)
        self._let_go()
        for process in self._left:
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._left, self._environment = [], None


#: Of this process.
WARM = WarmProcesses()
atexit.register(WARM.end)


class WarmProvisioner(LocalProvisioner):
    """Starts kernels: warm ones where that is possible."""

    process: Any

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start a kernel."""
        folder = str(kwargs.get("cwd") or Path.cwd())
        kernel = WARM.kernel(child.called(cmd), kwargs["env"], folder) if CAN_FORK else None
        if kernel is None:
            return await super().launch_kernel(cmd, **kwargs)
        self.process, self.pid, self.pgid, self.cwd = kernel, kernel.pid, kernel.pid, folder
        return self.connection_info

    async def wait(self) -> int | None:
        """Wait until the kernel has ended, and look more often than every tenth of a second."""
        while self.process and await self.poll() is None:
            await asyncio.sleep(POLL_SECONDS)
        return await super().wait()
