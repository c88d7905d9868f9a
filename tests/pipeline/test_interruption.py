"""A run that is stopped half way, politely or not, goes on where it stopped."""

import os
import shutil
import signal
import subprocess
import time

import pytest
from standin import command, default_steps, run_twostage, sizes, steps, write_project

pytestmark = pytest.mark.slow

#: Seconds within which workers and kernels of a killed run must be gone.
PATIENCE = 120


@pytest.fixture(scope="module")
def slow_project(tmp_path_factory):
    """A project whose notebooks take half a second each, not run yet."""
    return write_project(tmp_path_factory.mktemp("slow") / "project", studies=2, pause=0.5)


def interrupt(project, how, whole_group):
    """Start a run, stop it after three finished steps, and return what it printed and its exit status."""
    process = subprocess.Popen(
        command("run", "--jobs", "2"), cwd=project, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    seen = [process.stdout.readline() for _ in range(3)]
    (os.killpg if whole_group else os.kill)(process.pid, how)
    rest, _ = process.communicate(timeout=PATIENCE)
    return "".join(seen) + rest, process.returncode


def processes_of(project):
    """Command lines of the processes that work in a project."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/cwd").startswith(str(project)):
                found.append(pid)
        except OSError:
            continue
    return found


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks for processes as Linux shows them")
@pytest.mark.parametrize(
    ("how", "whole_group", "status"),
    [
        pytest.param(signal.SIGINT, True, 130, id="ctrl-c"),
        pytest.param(signal.SIGTERM, False, 143, id="kill"),
        pytest.param(signal.SIGKILL, False, -signal.SIGKILL, id="kill-9"),
    ],
)
def test_next_run_goes_on(slow_project, tmp_path, how, whole_group, status):
    project = shutil.copytree(slow_project, tmp_path / "project")
    text, returned = interrupt(project, how, whole_group)
    assert returned == status
    finished = steps(text)
    total = len(default_steps("S01", "S02"))
    assert 3 <= len(finished) < total

    deadline = time.monotonic() + PATIENCE
    while processes_of(project) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(project) == []

    resumed = run_twostage(project, "run")
    assert resumed.returncode == 0, resumed.stderr
    assert steps(resumed.stdout).isdisjoint(finished)
    # A step is remembered before it is reported, so one may have been finished without a line.
    assert total - 1 <= len(finished) + len(steps(resumed.stdout)) <= total
    assert list(sizes(project)) == ["S01", "S02"]
    assert not (project / "runs" / "default" / "unfinished").exists()
