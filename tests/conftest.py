"""Small synthetic collections shared by the tests."""

import shutil
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pytest

from twostage.collection.collection import Collection, read_collection
from twostage.params import make_parameters
from twostage.records.record import make_record
from twostage.simulation.simulate import SimulatedCollection, simulate_collection, write_collection
from twostage.stage1.each_transition import transition
from twostage.stage1.equations import crosslevel, lagged, outcome
from twostage.stage1.panel import Panel, make_panel
from twostage.stage1.sensitivity import sensitivity
from twostage.stage2.pool import PooledTable, pool_records
from twostage.stats.pool.pool import pool

mpl.use("agg")

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def drawn() -> SimulatedCollection:
    """Three synthetic studies with 150 patients, in memory."""
    return simulate_collection(11, n_studies=3, n_patients=150)


@pytest.fixture(scope="session")
def written(drawn, tmp_path_factory) -> Path:
    """The same on disk, not to be changed."""
    return write_collection(drawn, tmp_path_factory.mktemp("written") / "small")


@pytest.fixture
def small(written, tmp_path) -> Path:
    """A copy on disk, free to be damaged."""
    return shutil.copytree(written, tmp_path / "small")


@pytest.fixture(scope="session")
def default() -> Collection:
    """The committed collection."""
    return read_collection(PROJECT / "data")


@pytest.fixture(scope="session")
def three(drawn, tmp_path_factory) -> Collection:
    """The three studies read back from disk."""
    return read_collection(write_collection(drawn, tmp_path_factory.mktemp("three") / "three"))


@pytest.fixture(scope="session")
def panels(three) -> dict[str, Panel]:
    """The three studies' panels with the default parameters."""
    return {study: make_panel(three.study(study), make_parameters({})) for study in three.studies["study"]}


@pytest.fixture(scope="session")
def pooled(panels, three) -> dict[str, PooledTable]:
    """Each analysis of the three studies, pooled."""
    analyses = {"lagged": lagged, "crosslevel": crosslevel, "transition": transition, "outcome": outcome}
    records = {name: [make_record(p, fit(p)) for p in panels.values()] for name, fit in analyses.items()}
    records["sensitivity"] = [
        make_record(p, sensitivity(three.study(s), p.parameters)) for s, p in panels.items()
    ]
    return {name: pool_records(of_studies) for name, of_studies in records.items()}


@pytest.fixture(scope="session")
def few(panels) -> dict[int, PooledTable]:
    """The lagged analysis of the first 1, 2 and 3 studies, pooled."""
    records = [make_record(panel, lagged(panel)) for panel in panels.values()]
    return {k: pool_records(records[:k]) for k in (1, 2, 3)}


@pytest.fixture(scope="session")
def with_effects():
    """Give a pooled table other effects of x on y: those of the first studies of a collection."""

    def change(table: PooledTable, collection: Collection, y, v) -> PooledTable:
        rows = collection.studies[["study", "label"]].head(len(y))
        rows = rows.assign(direction="x_to_y", term="x_within", variant="main").reset_index(drop=True)
        return replace(table, estimates=rows, fits=table.fits | {("main", "x_to_y", "x_within"): pool(y, v)})

    return change
