"""The results of a small run, made once."""

import shutil
from pathlib import Path

import pytest

from twostage.pipeline.entry import Request, plan_run
from twostage.pipeline.tables_only import write_tables
from twostage.simulation.simulate import simulate_collection, write_collection

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    """Folder of a run of tables only, of three small studies; not to be changed."""
    folder = tmp_path_factory.mktemp("interchange")
    collection = write_collection(simulate_collection(11, n_studies=3, n_patients=150), folder / "theirs")
    plan = plan_run(REPOSITORY, Request(collection, out=folder / "run", tables_only=True))
    write_tables(plan)
    return plan.run.folder


@pytest.fixture
def theirs(run, tmp_path) -> Path:
    """Their results, free to be damaged."""
    return shutil.copytree(run / "results", tmp_path / "results")


@pytest.fixture
def ours(tmp_path) -> Path:
    """Another group's collection of two studies."""
    return write_collection(simulate_collection(99, n_studies=2, n_patients=120), tmp_path / "ours")
