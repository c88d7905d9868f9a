"""A finished run of the stand-in project, made once."""

import shutil
import sys
from pathlib import Path

import pytest

# The tests are not a package; their shared helpers are found beside them.
sys.path.insert(0, str(Path(__file__).parent))

from standin import run_twostage, write_project


@pytest.fixture(scope="session")
def finished_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of two studies whose default run is done; not to be changed."""
    folder = write_project(tmp_path_factory.mktemp("finished") / "project", studies=2)
    finished = run_twostage(folder, "run")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return folder


@pytest.fixture
def project(finished_project: Path, tmp_path: Path) -> Path:
    """A copy of a project whose default run is done; what pytask remembers moves with it."""
    return Path(shutil.copytree(finished_project, tmp_path / "project"))
