"""What a process starts ends with it."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from twostage.pipeline.child import WATCH_SECONDS, child_command

#: A parent that starts a child which writes its number and then sleeps.
PARENT = """
import subprocess, sys
from twostage.pipeline.child import child_command
subprocess.Popen(child_command("child_of_a_test:main", "one", "two")).wait()
"""

CHILD = """
import os, sys, time
def main():
    print(os.getpid(), *sys.argv, flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX systems do")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_with_its_parent(tmp_path, how):
    (tmp_path / "child_of_a_test.py").write_text(CHILD)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], env=environment, stdout=subprocess.PIPE, text=True
    )
    number, *arguments = parent.stdout.readline().split()
    assert arguments == ["child_of_a_test:main", "one", "two"]
    child = psutil.Process(int(number))
    time.sleep(2 * WATCH_SECONDS)
    assert child.is_running()
    # The parent is not waited for: a process that is dead and still there counts as ended.
    os.kill(parent.pid, how)
    deadline = time.monotonic() + 20 * WATCH_SECONDS
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    parent.communicate()


def test_a_child_whose_parent_has_ended_before_it_began_ends_too(tmp_path):
    (tmp_path / "child_of_a_test.py").write_text(CHILD)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    command = child_command("child_of_a_test:main")
    command[command.index(str(os.getpid()))] = str(gone.pid)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    child = subprocess.run(command, env=environment, timeout=30, capture_output=True)
    assert child.returncode == 1
