"""A finished run of three synthetic studies, made once and without Jupyter: its notebooks' cells, one after the other."""

import contextlib
import io
import json
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from twostage.export.source import Source, open_source
from twostage.files import read_json
from twostage.params import make_parameters
from twostage.pipeline.entry import Request, plan_run
from twostage.pipeline.run import Run
from twostage.records import analyse, write_record
from twostage.records.analyse import FUNCTIONS

PROJECT = Path(__file__).resolve().parents[2]


def run_cells(run: Run, notebook: str) -> None:
    """Carry out the code of a pooled notebook in this process."""
    cells = json.loads(run.template(notebook).read_text(encoding="utf-8"))["cells"]
    values = {"output_folder": "", **run.notebook_parameters(notebook)}
    names = {"__name__": "__main__"}
    with contextlib.redirect_stdout(io.StringIO()):
        for cell in (c for c in cells if c["cell_type"] == "code"):
            exec("".join(cell["source"]), names)
            if "parameters" in cell["metadata"].get("tags", []):
                names |= values
    plt.close("all")


def make_run(collection: Path, folder: Path, *assignments: str) -> Run:
    """A run of a collection, all its records and pooled pages."""
    plan = plan_run(PROJECT, Request(collection=collection, out=folder, assignments=assignments))
    plan.write()
    from twostage.collection import read_collection

    done = analyse(read_collection(collection), make_parameters(plan.run.parameters), list(FUNCTIONS))
    for record in (r for records in done.records.values() for r in records):
        write_record(record, plan.run.record_folder(record.study))
    for notebook in plan.run.stage2:
        run_cells(plan.run, notebook)
    return plan.run


@pytest.fixture(scope="session")
def finished(written, tmp_path_factory) -> Path:
    """The run's folder; not to be changed."""
    return make_run(written, tmp_path_factory.mktemp("export") / "small").folder


@pytest.fixture(scope="session")
def source(finished) -> Source:
    """The same, opened."""
    return open_source(str(finished))


@pytest.fixture(scope="session")
def about(finished) -> dict:
    """What the run's ``run.json`` says."""
    return read_json(finished / "run.json")
