"""Studies called like numbers, or like what programs write for nothing: our own tables keep their names."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from twostage.cli.app import app
from twostage.collection.collection import read_collection
from twostage.pages.addition.analysis import read_addition, read_estimates
from twostage.pages.common.leave import write_pooled, write_table
from twostage.pages.compare.analysis import compare
from twostage.pages.compare.tables import notes
from twostage.pages.countries.analysis import pool_in_countries
from twostage.params import make_parameters
from twostage.pipeline.book.addition import study_section
from twostage.pipeline.book.manuscript import book_context
from twostage.pipeline.entry import Request, plan_run
from twostage.pipeline.tables_only import write_tables
from twostage.simulation.simulate import simulate_collection, write_collection
from twostage.stage2.pool import patient_flow, pool_records, read_records
from twostage.stage2.results import read_results
from twostage.text.csv_cells import read_csv

REPOSITORY = Path(__file__).parents[2]
IDS = ["1", "2", "003", "4e5", "NA", "nan", "True", "null", "inf"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of nine small studies as far as `twostage run --no-book` makes it; one lacks outcomes."""
    folder = tmp_path_factory.mktemp("ids")
    collection = write_collection(simulate_collection(5, n_studies=len(IDS), n_patients=500), folder / "c")
    (collection / "truth.csv").unlink()
    registry = (collection / "studies.csv").read_text(encoding="utf-8").splitlines()
    for i, id in enumerate(IDS, start=1):
        registry[i] = registry[i].replace(f"S{i:02}", id, 1).replace(f"Synthetic study {i:02}", id, 1)
        for kind in ("sessions", "patients"):
            (collection / kind / f"S{i:02}.csv").rename(collection / kind / f"{id}.csv")
    (collection / "studies.csv").write_text("\n".join(registry) + "\n", encoding="utf-8")
    lines = (collection / "patients" / "NA.csv").read_text().splitlines()
    (collection / "patients" / "NA.csv").write_text(
        "\n".join([lines[0], *(line.rsplit(",", 1)[0] + "," for line in lines[1:])]) + "\n"
    )
    plan = plan_run(REPOSITORY, Request(collection, out=folder / "run", studies=()))
    write_tables(plan)
    run = plan.run
    records = read_records(run.folder / "records", run.studies, "lagged")
    write_table(patient_flow(records), str(run.output_folder("stage2_lagged")), "flow")
    return run


def test_every_study_is_pooled_and_read_back(run):
    assert list(run.studies) == IDS
    estimates = read_estimates(run.folder / "output")
    for analysis, rows in estimates.groupby("analysis"):
        assert list(dict.fromkeys(rows["study"])) == [i for i in IDS if (i, analysis) != ("NA", "outcome")]
        assert list(rows["label"]) == list(rows["study"])
    assert read_results(run.folder).checksums.keys() == set(IDS)


@pytest.mark.parametrize("id", IDS)
def test_addition_of_each(run, tmp_path, id):
    added, _ = read_addition(run.folder, id)
    assert (added.study, added.label, added.n_others) == (id, id, len(IDS) - 1)
    answer = CliRunner().invoke(app, ["addition", id, "--run", str(run.folder)])
    assert (answer.exit_code, answer.stderr) == (0, "")
    collection = read_collection(run.collection)
    estimates = read_estimates(run.folder / "output")
    assert study_section(run, estimates, id, collection, tmp_path)["table"]


def test_the_books_context_names_them(run):
    collection, parameters = read_collection(run.collection), make_parameters(run.parameters)
    context = book_context(run.folder, collection, parameters, REPOSITORY / "book")
    for id in IDS:
        assert f">{id}</td>" in context["flow"]
        assert f">{id}</td>" in context["studies"]
    assert context["n_included"]
    assert context["effect"]("lagged", "x_to_y", "x_within").k == str(len(IDS))
    (left,) = context["left_out"]("outcome")
    assert left.startswith("NA")


def test_comparing_and_countries(run):
    first = read_results(run.folder)
    compared = compare(first, first)
    assert list(compared.shared) == IDS
    assert notes(compared)
    records = read_records(run.folder / "records", run.studies, "lagged")
    countries = dict(zip(IDS, "AABBCCDDE", strict=True))
    found = pool_in_countries(pool_records(records), countries, "x_to_y", "x_within")
    assert found.studies.sum() == len(IDS)


def test_a_table_of_ours_is_read_back_as_it_was(run, tmp_path):
    records = read_records(run.folder / "records", run.studies, "lagged")
    pooled = pool_records(records)
    write_pooled(pooled, str(tmp_path))
    again = read_csv(tmp_path / "studies_lagged.csv")
    for column in ("study", "label", "term", "n_patients", "converged"):
        assert list(again[column]) == list(pooled.estimates[column])
    assert read_csv(tmp_path / "left_out_lagged.csv").empty
