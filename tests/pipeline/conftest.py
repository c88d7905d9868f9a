"""A finished run of the stand-in project, made once."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from filelock import FileLock

# The tests are not a package; their shared helpers are found beside them.
sys.path.insert(0, str(Path(__file__).parent))

from standin import run_twostage, write_project

from twostage.pipeline import warm_kernel


@pytest.fixture(autouse=True)
def one_warm_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What pytest notes in the environment is no reason for another process that imports the libraries."""
    monkeypatch.setattr(warm_kernel, "PERSONAL", (*warm_kernel.PERSONAL, "PYTEST_CURRENT_TEST"))


@pytest.fixture(scope="session")
def finished_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of two studies whose default run is done; not to be changed.

    It takes a minute, so the workers of pytest-xdist share it: the first one that needs it makes it.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    folder, done = shared / "finished" / "project", shared / "finished" / "done"
    with FileLock(shared / "finished.lock"):
        if not done.exists():
            # One that failed is in the way of no second try.
            shutil.rmtree(folder.parent, ignore_errors=True)
            finished = run_twostage(write_project(folder, studies=2), "run")
            assert finished.returncode == 0, finished.stdout + finished.stderr
            done.touch()
    return folder


@pytest.fixture
def project(finished_project: Path, tmp_path: Path) -> Path:
    """A copy of a project whose default run is done; what pytask remembers moves with it."""
    return Path(shutil.copytree(finished_project, tmp_path / "project"))
