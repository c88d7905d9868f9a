"""The kernel a notebook runs in: this interpreter, one thread, nobody's personal settings.

Jupyter looks kernels up by name in several folders, and a user's own may come first; then a notebook
would run in another Python than the one that has this package.
"""

import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from traitlets import default

from twostage.pipeline.child import child_command
from twostage.pipeline.warm_kernel import WarmProvisioner

#: One thread per kernel: the kernels already fill the cores, and sums do not depend on the thread count.
SINGLE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)


#: Longest path of a socket that every system takes.
LONGEST_SOCKET = 100


class ThisInterpreterKernelManager(AsyncKernelManager):
    """Starts kernels with the Python that is running, whatever kernels are installed.

    Where the system has them, kernels are reached through sockets in a private folder instead of
    network ports, which parallel starts could race for and other users could reach.
    """

    def __init__(self, **kwargs: Any):
        self._scratch = Path(tempfile.mkdtemp(prefix="k-"))
        weakref.finalize(self, shutil.rmtree, self._scratch, ignore_errors=True)
        super().__init__(connection_file=str(self._scratch / "kernel.json"), **kwargs)

    @default("transport")
    def _transport_default(self) -> str:
        longest = len(str(self._scratch / "kernel-ipc-00000"))
        return "ipc" if os.name == "posix" and longest <= LONGEST_SOCKET else "tcp"

    async def _async_pre_start_kernel(self, **kwargs: Any) -> tuple[list[str], dict[str, Any]]:
        # Jupyter would look for one among all that are installed.
        self.provisioner = self.provisioner or WarmProvisioner(kernel_spec=self.kernel_spec, parent=self)
        return await super()._async_pre_start_kernel(**kwargs)

    async def _async_interrupt_kernel(self) -> None:
        # Jupyter interrupts a kernel before it ends it, and the kernel would report that as an error.
        if not self.shutting_down:
            await super()._async_interrupt_kernel()

    @property
    def kernel_spec(self) -> KernelSpec:
        """The command and environment of a kernel."""
        command = child_command("ipykernel.kernelapp:launch_new_instance", "-f", "{connection_file}")
        # Warnings about the transport and the history would otherwise end up on the terminal.
        options = ["--IPKernelApp.log_level=40", "--HistoryManager.enabled=False"]
        personal = {"IPYTHONDIR": str(self._scratch / "ipython"), "PYTHONHASHSEED": "0"}
        return KernelSpec(
            argv=command + options,
            display_name="Python 3",
            language="python",
            env=SINGLE_THREAD | personal,
        )
