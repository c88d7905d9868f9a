"""The same steps on a real Dask cluster that loses a worker half way."""

import re
import subprocess
import sys
import time

import pytest
from standin import command, default_steps, sizes, steps, write_project

from twostage.notebooks import RECORD_HOME

pytestmark = pytest.mark.slow

#: Seconds that Dask's processes may take to start, and that the run may take: a hang shall end, a slow machine not.
PATIENCE, RUN_PATIENCE = 120, 600


@pytest.fixture
def processes():
    """A list of processes that are ended after the test."""
    started = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def start_dask(processes, folder, *arguments):
    """Start a Dask process and return it with the line in which it says where it is."""
    call = [sys.executable, "-m", "dask", *arguments]
    process = subprocess.Popen(call, cwd=folder, stderr=subprocess.PIPE, text=True)
    processes.append(process)
    deadline = time.monotonic() + PATIENCE
    for line in process.stderr:
        assert time.monotonic() < deadline, f"dask {arguments[0]} did not start"
        if found := re.search(r"(?:Scheduler at|Registered to): +(tcp://\S+)", line):
            return process, found[1]
    raise AssertionError(f"dask {arguments[0]} stopped with status {process.wait()}")


def test_run_is_complete_although_a_worker_is_killed(tmp_path, processes):
    project = write_project(tmp_path / "project", studies=2, pause=0.3)
    options = ("--host", "127.0.0.1", "--no-dashboard")
    _, address = start_dask(processes, tmp_path, "scheduler", *options, "--port", "0")
    worker = ("worker", address, *options, "--nthreads", "1", "--local-directory", str(tmp_path))
    first, _ = start_dask(processes, tmp_path, *worker, "--no-nanny")
    start_dask(processes, tmp_path, *worker)

    run = subprocess.Popen(
        command("run", "--dask", address),
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    processes.append(run)
    seen = [run.stdout.readline() for _ in range(5)]
    assert run.poll() is None
    first.kill()
    rest, errors = run.communicate(timeout=RUN_PATIENCE)
    assert run.returncode == 0, errors
    assert len(steps("".join(seen) + rest)) == len(default_steps("S01", "S02"))
    assert list(sizes(project)) == ["S01", "S02"]
    records = sorted((project / "runs" / "default" / "records").glob("*/*.json"))
    assert len(records) == 2 * len(RECORD_HOME)
    assert (project / "runs" / "default" / "html" / "index.html").is_file()
