"""A cluster whose workers cannot do the work is refused at once, with the reason."""

import os
import signal
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import distributed
import psutil
import pytest

from twostage.pipeline import backend
from twostage.pipeline.backend import cluster_workers
from twostage.pipeline.code import code
from twostage.pipeline.errors import PipelineError

ADDRESS = "tcp://127.0.0.1:9"


class Client:
    """Stands for Dask's; its workers answer what a test says."""

    versions, codes = {"w1": version("twostage"), "w2": version("twostage")}, {}
    status = "running"

    def __init__(self, address, timeout):
        self.closed = False
        Client.last = self

    def wait_for_workers(self, n, timeout):
        if not self.versions:
            raise TimeoutError

    def run(self, function, *arguments, on_error="raise", **options):
        if function is version:
            return self.versions
        return {name: self.codes.get(name, code(results=False)) for name in self.versions}

    def get_executor(self, pure):
        return self

    def close(self):
        self.closed = True


@pytest.fixture
def client(monkeypatch):
    monkeypatch.setattr(distributed, "Client", Client)
    return monkeypatch


def test_workers_like_us_are_taken(client):
    workers = cluster_workers(ADDRESS)
    assert not workers.gone
    workers.shutdown()
    assert (workers.gone, Client.last.closed) == (False, True)


@pytest.mark.parametrize(
    ("versions", "codes", "message"),
    [
        ({}, {}, "has no worker that answers within 120 seconds; start one"),
        (
            {"w1": version("twostage"), "w2": PackageNotFoundError("twostage")},
            {},
            "w2 has no package 'twostage'",
        ),
        ({"w1": "0.0.1"}, {}, "w1 has twostage 0.0.1; expected twostage"),
        ({"w1": version("twostage")}, {"w1": {"sha256": "0"}}, "w1 has twostage .* with other code"),
    ],
)
def test_other_workers_are_refused(client, versions, codes, message):
    client.setattr(Client, "versions", versions)
    client.setattr(Client, "codes", codes)
    with pytest.raises(PipelineError, match=message):
        cluster_workers(ADDRESS)
    assert Client.last.closed


def test_a_scheduler_that_went_away_is_noticed(client):
    workers = cluster_workers(ADDRESS)
    client.setattr(Client, "status", "connecting")
    workers.shutdown()
    assert workers.gone


def test_a_scheduler_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(backend, "CONNECT_SECONDS", 0.5)
    with pytest.raises(PipelineError, match=f"no Dask scheduler at {ADDRESS}"):
        cluster_workers(ADDRESS)


KILLED = """
import os, time
from twostage.pipeline.backend import local_workers
if __name__ == "__main__":
    workers = local_workers(1)
    print(workers.submit(os.getpid).result(), flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_nothing_is_said_after_kill_9(tmp_path):
    (script := tmp_path / "killed.py").write_text(KILLED)
    process = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert int(process.stdout.readline()) != process.pid
    process.send_signal(signal.SIGKILL)
    # Its end comes when the last process that has it is gone: the worker, and what frees their memory.
    assert process.communicate(timeout=60)[1] == ""


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks at processes as Linux shows them")
def test_an_interruption_reaches_no_worker_at_any_moment():
    """Ctrl-C while a worker imports its libraries printed a traceback: it is held back from its first moment."""
    workers, interruption = backend.local_workers(1), 1 << (signal.SIGINT - 1)
    seen = 0
    try:
        future = workers.submit(os.getpid)
        while not future.done():
            for child in psutil.Process().children():
                try:
                    is_worker = any("popen_loky" in word for word in child.cmdline())
                    status = dict(
                        line.split(":\t", 1)
                        for line in Path(f"/proc/{child.pid}/status").read_text().splitlines()
                    )
                except (psutil.NoSuchProcess, FileNotFoundError):
                    continue
                if is_worker:
                    seen += 1
                    assert (int(status["SigBlk"], 16) | int(status["SigIgn"], 16)) & interruption
        assert seen and future.result() != os.getpid()
    finally:
        workers.shutdown()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
