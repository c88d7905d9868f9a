"""Small synthetic collections shared by the tests."""

from pathlib import Path

import pytest

from twostage.collection import Collection, read_collection
from twostage.simulate import SimulatedCollection, simulate_collection, write_collection

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def drawn() -> SimulatedCollection:
    """Three synthetic studies with 150 patients, in memory."""
    return simulate_collection(11, n_studies=3, n_patients=150)


@pytest.fixture
def small(drawn, tmp_path) -> Path:
    """The same on disk, free to be damaged."""
    return write_collection(drawn, tmp_path / "small")


@pytest.fixture(scope="session")
def default() -> Collection:
    """The committed collection."""
    return read_collection(PROJECT / "data")
