"""The package installed from a wheel, with no checkout around, does what it does in one."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parent.parent
BIN, SUFFIX = ("Scripts", ".exe") if os.name == "nt" else ("bin", "")

#: What of a checkout no distribution is built from.
ELSEWHERE = (".*", "__pycache__", "*.egg-info", "build", "dist", "runs", "tests", "benchmarks")


def call(*command, folder):
    """Run a command where no variable leads to the checkout; fails with what it said."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a source distribution, without a network."""
    folder = tmp_path_factory.mktemp("built")
    shutil.copytree(REPOSITORY, folder / "source", ignore=shutil.ignore_patterns(*ELSEWHERE))
    code = "from setuptools import build_meta; print(build_meta.build_sdist('..'))"
    call(sys.executable, "-c", code, folder=folder / "source")
    (archive,) = folder.glob("twostage-*.tar.gz")
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    call(sys.executable, "-m", "pip", "wheel", archive, *offline, "-w", folder, folder=folder)
    return next(folder.glob("twostage-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A fresh environment with the wheel, which sees this one's other packages; its folder of commands."""
    place = tmp_path_factory.mktemp("fresh") / "environment"
    venv.EnvBuilder(with_pip=False).create(place)
    python = place / BIN / f"python{SUFFIX}"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(call(python, "-c", code, folder=place).strip())
    (packages / "of_the_tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
    options = ("--no-deps", "--no-index", "--quiet")
    call(sys.executable, "-m", "pip", "--python", python, "install", *options, wheel, folder=place)
    found = call(python, "-c", "import twostage; print(twostage.__file__)", folder=place).strip()
    assert Path(found).is_relative_to(packages), "the tests would see the checkout's package"
    return place / BIN


def test_wheel_has_what_a_run_is_made_of_and_nothing_of_the_tests(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    files = {name.removeprefix("twostage/project_files/") for name in names if "/project_files/" in name}
    assert {
        "_config.yml",
        "book/_contents.yml",
        "notebooks/stage1_lagged.ipynb",
        "data/collection.yml",
    } <= files
    tracked = [p for p in (REPOSITORY / "notebooks").glob("*.ipynb")]
    assert {f"notebooks/{path.name}" for path in tracked} <= files
    assert "twostage/py.typed" in names
    assert {name.split("/")[0] for name in names if not name.split("/")[0].endswith(".dist-info")} == {
        "twostage"
    }


def test_commands_do_in_an_empty_folder_what_they_do_in_a_checkout(installed, written, tmp_path):
    twostage = installed / f"twostage{SUFFIX}"
    call(twostage, "new-collection", "mine", folder=tmp_path)
    settings = tmp_path / "mine" / "collection.yml"
    note = next(line for line in settings.read_text().splitlines() if line.startswith("note:"))
    settings.write_text(settings.read_text().replace(note, "note: Our own data."))
    assert "no problem" in call(twostage, "validate", "mine", folder=tmp_path)
    assert "no problem" in call(twostage, "validate", written, folder=tmp_path)
    said = call(twostage, "run", written, "--run", "tiny", "--no-book", folder=tmp_path)
    assert "k = 3" in said
    assert (tmp_path / "runs" / "tiny" / "output" / "stage2_lagged" / "pooled_lagged.csv").is_file()
    default = call(twostage, "run", "--dry-run", folder=tmp_path).splitlines()
    assert {"tutorial_researcher", "stage1_lagged S17"} <= set(default)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "runs"]


def test_a_notebook_of_the_wheel_runs_in_an_empty_folder(installed, written, tmp_path):
    call(installed / f"twostage{SUFFIX}", "run", written, "--run", "tiny", "--no-book", folder=tmp_path)
    template = Path("runs", "tiny", "inputs", "project", "notebooks", "stage1_data.ipynb")
    given = ("-p", "collection", written, "-r", "study", "S01")
    python = installed / f"python{SUFFIX}"
    call(python, "-m", "papermill", "--no-progress-bar", template, "out.ipynb", *given, folder=tmp_path)
    assert (tmp_path / "out.ipynb").is_file()
