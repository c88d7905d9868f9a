"""A run's book as a folder to publish: whole, checked, with the collection's own metadata."""

import hashlib
import json
from datetime import date
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from twostage.cli.app import app
from twostage.collection.collection import read_collection
from twostage.export import ExportError, publish_run
from twostage.export.publish import checklist
from twostage.pages.common.leave import write_pooled
from twostage.params import make_parameters
from twostage.pipeline.entry import Request, plan_run
from twostage.pipeline.run import load_run
from twostage.records import analyse, write_record
from twostage.stage2 import pool_records

PROJECT = Path(__file__).resolve().parents[2]
DAY = date(2026, 12, 1)


@pytest.fixture
def book(small, tmp_path):
    """A run with a book of two pages; what it pooled is as little as a run needs."""
    run = plan_run(PROJECT, Request(collection=small, out=tmp_path / "run"))
    run.write()
    collection = read_collection(small)
    for records in analyse(collection, make_parameters({}), ["lagged"]).records.values():
        for record in records:
            write_record(record, run.run.record_folder(record.study))
        write_pooled(pool_records(records), str(run.run.output_folder("stage2_lagged")))
    html = run.run.html
    (html / "_static").mkdir(parents=True)
    (html / "index.html").write_text("<h1>Book</h1>")
    (html / "_static" / "a.js").write_text("1")
    return run.run.folder


def test_the_folder_has_all_that_publishing_needs(book, small, tmp_path):
    folder = tmp_path / "site"
    files = publish_run(str(book), folder, today=DAY)
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert set(files) == there - {"export.json"}
    assert {"site/index.html", "site/_static/a.js", "site/.nojekyll", "RELEASE.md", "README.md"} <= there
    sums = dict(reversed(line.split("  ", 1)) for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert set(sums) == set(files) - {"SHA256SUMS"}
    for name, checksum in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == checksum
    collection = read_collection(small)
    archived = json.loads((folder / ".zenodo.json").read_text())
    assert archived["title"] == collection.title
    assert archived["description"].startswith("Synthetic data")
    assert archived["creators"] == [{"name": "The twostage authors"}]
    cited = yaml.safe_load((folder / "CITATION.cff").read_text())
    assert (cited["title"], cited["date-released"]) == (collection.title, "2026-12-01")
    workflow = yaml.safe_load((folder / ".github/workflows/publish.yml").read_text())
    steps = workflow["jobs"]["publish"]["steps"]
    assert [s["with"]["path"] for s in steps if "with" in s] == ["site"]
    assert "Synthetic data" in (folder / "README.md").read_text()


def test_the_list_of_what_to_check_knows_the_collection(book, small):
    said = checklist(load_run(book), read_collection(small))
    assert "The data are synthetic" in said and "CC0-1.0" in said and "The twostage authors" in said
    assert all(line.startswith("- [ ] ") for line in said.splitlines()[2:])


def test_a_page_that_names_a_folder_of_this_machine_is_not_published(book, small, tmp_path):
    (book / "html" / "index.html").write_text(f"<p>{small}</p>")
    with pytest.raises(ExportError, match=r"html/index\.html.*no folder of this machine"):
        publish_run(str(book), tmp_path / "site", today=DAY)
    assert not (tmp_path / "site").exists()


def test_a_run_without_a_book_says_what_to_do(book, tmp_path):
    (book / "html" / "index.html").unlink()
    result = CliRunner().invoke(app, ["publish", str(book), "--to", str(tmp_path / "site")])
    assert result.exit_code == 2
    assert "without --no-book" in result.output and "nothing was written" in result.output


def test_the_repository_that_grows_in_the_folder_is_left_alone(book, tmp_path):
    folder = tmp_path / "site"
    publish_run(str(book), folder, today=DAY)
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main")
    (folder / "LICENSE").write_text("CC BY 4.0")
    (book / "html" / "_static" / "a.js").unlink()
    result = CliRunner().invoke(app, ["publish", str(book), "--to", str(folder)])
    assert result.exit_code == 0, result.output
    assert (folder / ".git" / "HEAD").is_file() and (folder / "LICENSE").is_file()
    assert not (folder / "site/_static/a.js").exists()
