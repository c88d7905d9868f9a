"""A study that shared results instead of data: no notebook of its own, its records in the pool, a page for it."""

import html
import json
import re
import sys
from datetime import date
from pathlib import Path

import pytest
from standin import due, run_twostage, sizes, steps

from twostage.collection.collection import read_collection
from twostage.params import make_parameters
from twostage.pipeline.inputs import prepare
from twostage.pipeline.shared import shared_page
from twostage.records.record import ANALYSES, find_record
from twostage.sharing.accept import accept_bundle
from twostage.sharing.layout import BundleError, Filters
from twostage.sharing.share import make_bundle, write_bundle
from twostage.sharing.stored import stored_bundle
from twostage.simulation.simulate import simulate_collection, write_collection

sys.path.insert(0, str(Path(__file__).parents[1] / "sharing"))

from bundles import entries

STUDY = "S03"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory) -> Path:
    """A third study's bundle."""
    folder = tmp_path_factory.mktemp("site")
    site = read_collection(
        write_collection(simulate_collection(5, n_studies=3, n_patients=150), folder / "site")
    )
    content = make_bundle(site, STUDY, make_parameters({}), Filters(), date(2026, 2, 3))
    write_bundle(content, folder / "S03.zip")
    return folder / "S03.zip"


@pytest.fixture
def with_bundle(project, bundle) -> Path:
    """A finished project whose collection then accepted the bundle."""
    accept_bundle(bundle, project / "data")
    return project


def prepared(project: Path, **values):
    plan = prepare(project, project / "runs" / "default", project / "data", values, "here")
    plan.write()
    return plan.run


def test_its_records_are_the_runs_and_are_written_only_once(with_bundle):
    run = prepared(with_bundle)
    assert (run.studies, run.shared, run.analysed) == (("S01", "S02", STUDY), (STUDY,), ("S01", "S02"))
    files = sorted(run.record_folder(STUDY).iterdir())
    assert {f.stem for f in files} == set(ANALYSES)
    assert find_record(run.folder / "records", STUDY, "lagged").label == "Synthetic study 03 †"
    before = {f: f.stat().st_mtime_ns for f in [*files, run.study_file(STUDY)]}
    prepared(with_bundle)
    assert {f: f.stat().st_mtime_ns for f in before} == before


@pytest.mark.parametrize(("name", "value"), [("last_session", 5), ("detrend", "session")])
def test_a_run_with_other_parameters_is_refused_and_nothing_is_written(with_bundle, name, value):
    before = entries(with_bundle / "runs")
    with pytest.raises(BundleError) as error:
        prepared(with_bundle, **{name: value})
    assert [p.column for p in error.value.problems] == [f"parameters.{name}"]
    assert entries(with_bundle / "runs") == before


def test_parameters_of_the_pooling_may_differ(with_bundle):
    assert prepared(with_bundle, tau2_method="DL", level=0.9).parameters["tau2_method"] == "DL"


def test_an_edited_bundle_is_refused(with_bundle):
    path = with_bundle / "data" / "bundles" / STUDY / "records" / "lagged.json"
    path.write_text(path.read_text().replace("0", "1", 1))
    with pytest.raises(BundleError, match="sha256"):
        prepared(with_bundle)


def test_its_chapter_speaks_in_words_and_in_order(with_bundle):
    collection = read_collection(with_bundle / "data")
    page = shared_page(collection, STUDY)
    summary = stored_bundle(collection, STUDY).records["data"].summary
    titles = re.findall(r"<th[^>]*>(.*?)</th>", page["sessions"])
    assert titles[:2] == ["session", f"patients with {collection.x.label}"]
    assert not any("both" in title for title in titles), "what is never shared has no column"
    cells = [html.unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", page["summary"])]
    assert cells[0] == "patients in the study's files"
    assert cells[cells.index("correlation of the deviations from these means") + 1] == (
        f"{summary['r_within']:.3g}".replace("-", "−")
    )
    text = "".join(str(value) for value in page.values())
    assert "records/data.json" not in text
    assert "missing_share" not in text
    assert "x_to_y" not in page["estimates"]
    assert f"{collection.x.label} → {collection.y.label}" in page["estimates"]


@pytest.mark.parametrize(
    "page", ["lagged", "outcome", "influence", "crosslevel", "sensitivity", "small_study"]
)
def test_pages_whose_figures_have_the_mark_explain_it_where_there_is_one(page):
    template = Path(__file__).parents[2] / "book" / f"results_{page}.md"
    note = re.search(
        r"\{% if results_only %\}\n\{\{ results_only \}\}|if results_only \}\}", template.read_text()
    )
    assert note, "the note, and only if there are such studies"


@pytest.mark.slow
def test_an_accepted_study_makes_the_pool_due_and_no_notebook_of_its_own(with_bundle):
    assert all(STUDY not in step for step in due(with_bundle))
    assert due(with_bundle) >= {"stage2_lagged", "stage2_sensitivity", "book"}
    done = run_twostage(with_bundle, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(sizes(with_bundle)) == {"S01", "S02", STUDY}
    again = run_twostage(with_bundle, "run")
    assert (again.returncode, steps(again.stdout)) == (0, set())
    page = (with_bundle / "runs" / "default" / "html" / "notebooks" / STUDY / "index.html").read_text()
    assert "Results only" in page
    assert "nfilter.tab" in page
    bundle = json.loads((with_bundle / "data" / "bundles" / STUDY / "records" / "lagged.json").read_text())
    assert f"{bundle['estimates'][0]['estimate']:.3f}".replace("-", "−") in page
    lost = with_bundle / "runs" / "default" / "records" / STUDY / "outcome.json"
    lost.unlink()
    assert due(with_bundle) == set(), "the record is there again before anything is done"


@pytest.mark.slow
def test_a_study_that_is_taken_out_leaves(with_bundle):
    prepared(with_bundle)
    (with_bundle / "data" / "bundles").rename(with_bundle / "gone")
    done = run_twostage(with_bundle, "run")
    assert done.returncode == 0, done.stderr
    assert not (with_bundle / "runs" / "default" / "records" / STUDY).exists()


def test_a_dry_run_of_some_studies_says_what_those_will_be_missing_from(with_bundle):
    chosen = run_twostage(with_bundle, "run", "--study", STUDY, "--study", "S01", "--dry-run")
    assert (chosen.returncode, chosen.stderr) == (0, "")
    assert f"{STUDY} will be missing from" in chosen.stdout
    others = run_twostage(with_bundle, "run", "--study", "S01", "--dry-run")
    assert (others.returncode, others.stderr) == (0, "")
    assert "will be missing from" not in others.stdout
    assert not list((with_bundle / "runs").glob("only*"))
