"""The main results without notebooks: the same bytes as the notebooks leave, and nothing stale beside them."""

import json
import os
from pathlib import Path

import pytest

from twostage.collection.collection import read_collection
from twostage.params import make_parameters
from twostage.pipeline.entry import Request, plan_run
from twostage.pipeline.runner import run_notebook
from twostage.pipeline.tables_only import write_tables
from twostage.simulation.simulate import simulate_collection, write_collection
from twostage.stage2.results import headline_terms, read_results

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """The plan of a run of three small studies with the real notebooks, none executed yet."""
    folder = tmp_path_factory.mktemp("tables")
    collection = write_collection(simulate_collection(11, n_studies=3, n_patients=150), folder / "small")
    return plan_run(
        REPOSITORY,
        Request(
            collection,
            assignments=("last_session=5", "random_slopes=false", "early_last_session=2", "level=0.9"),
            out=folder / "run",
        ),
    )


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_results_are_those_of_the_notebooks(plan):
    write_tables(plan)
    run = plan.run
    results = read_results(run.folder)
    assert len(results.headline()) == len(headline_terms())
    tables, records = contents(run.folder / "output"), contents(run.folder / "records")
    assert len(records) == 3 * 3
    for study in run.studies:
        for notebook in ("stage1_data", "stage1_crosslevel"):
            run_notebook(run, notebook, study)
    run_notebook(run, "stage2_crosslevel")
    now, again = contents(run.folder / "output"), contents(run.folder / "records")
    assert {name: again[name] for name in records} == records
    crosslevel = [name for name in tables if name.startswith("stage2_crosslevel")]
    assert len(crosslevel) == 3
    assert {name: now[name] for name in crosslevel} == {name: tables[name] for name in crosslevel}


def test_nothing_of_an_earlier_run_stays_beside_the_tables(plan):
    run = plan.run
    stale = [run.folder / "output" / "stage2_sensitivity" / "pooled_sensitivity.csv"]
    stale.append(run.record_folder("S01") / "sensitivity.json")
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("old")
    write_tables(plan)
    assert not any(os.path.exists(path) for path in stale)
    record = json.loads((run.record_folder("S01") / "lagged.json").read_text())
    # As the notebook leaves it: with what it takes, the rest at the defaults.
    assert record["parameters"] == make_parameters({"last_session": 5, "level": 0.9}).model_dump()
    assert record["data_checksum"] == read_collection(run.collection).study("S01").checksum
