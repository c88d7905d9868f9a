"""What a page says about running it again: a command that gives the same results, files that are there, links only."""

import csv
import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import papermill
import pytest
import yaml
from typer.main import get_command

from twostage.cli.app import app
from twostage.collection import read_collection
from twostage.notebooks import NOTEBOOKS
from twostage.pipeline.book.config import read_yaml
from twostage.pipeline.book.launch import Launch, take_launch
from twostage.pipeline.book.rerun import notebook_command, run_command
from twostage.pipeline.book.source import assemble
from twostage.pipeline.entry import Request, plan_run
from twostage.pipeline.errors import PipelineError
from twostage.pipeline.run import load_run

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
SERVICES = ("https://mybinder.org", "https://colab.research.google.com")


def parsed(command: str) -> dict:
    """What the command line understands of a ``twostage run ...``."""
    words = shlex.split(command)
    assert words[:2] == ["twostage", "run"]
    return get_command(app).commands["run"].make_context("run", words[2:]).params


@pytest.mark.parametrize(
    "request_",
    [
        Request(),
        Request(assignments=("last_session=5", "random_slopes=true", "level=0.9")),
        Request(studies=("S02",), name="a"),
        Request(assignments=("lag=2", "standardize=none"), studies=("S01",)),
    ],
)
def test_command_of_a_run_makes_the_same_run(project, request_):
    plan = plan_run(project, request_)
    plan.write()
    run = plan.run
    found = parsed(run_command(run, read_collection(run.collection).defaults))
    again = Request(
        collection=found["collection"] and project / found["collection"],
        assignments=tuple(found["assignments"] or ()),
        studies=tuple(found["study"] or ()),
        name=found["run"],
    )
    assert plan_run(project, again).run == run


def test_command_of_a_run_elsewhere_says_what_its_folder_is_called_and_not_where_it_is(project, tmp_path):
    run = plan_run(project, Request(out=tmp_path / "a b")).run
    assert parsed(run_command(run, read_collection(run.collection).defaults))["out"] == Path("a b")


@pytest.mark.parametrize("notebook", ["stage1_lagged", "stage2_lagged"])
def test_command_of_a_notebook_gives_it_the_same_parameters(project, notebook):
    run = plan_run(project, Request(assignments=("last_session=5", "random_slopes=true", "level=0.9"))).run
    study = "S02" if NOTEBOOKS[notebook].kind == "stage1" else None
    words = shlex.split(notebook_command(run, notebook, study))
    assert words[:2] == ["papermill", f"notebooks/{notebook}.ipynb"]
    given = {words[i + 1]: (words[i], words[i + 2]) for i in range(3, len(words), 3)}
    expected = run.notebook_parameters(notebook, study)
    names = {"record_folder", "output_folder"} & set(expected)
    assert not names & set(given)
    inspected = papermill.inspect_notebook(run.template(notebook))
    for name in set(expected) - names:
        kind, text = given.get(name, ("-p", inspected[name]["default"].strip("'")))
        value = text if kind == "-r" else yaml.safe_load(text)
        assert value == expected[name] and type(value) is type(expected[name]), name


def test_command_as_printed_executes_the_notebook(project):
    run = load_run(project / "runs" / "default")
    before = (run.record_folder("S02") / "lagged.json").stat().st_mtime_ns
    words = shlex.split(notebook_command(run, "stage2_lagged"))
    finished = subprocess.run([sys.executable, "-m", *words], cwd=project, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert (project / "stage2_lagged.ipynb").is_file()
    assert (run.record_folder("S02") / "lagged.json").stat().st_mtime_ns == before


def downloads(page: Path) -> dict[str, Path]:
    """File name -> file for each download that a page offers."""
    found = re.findall(r'class="[^"]*\bdownload\b[^"]*"[^>]*href="([^"]+)"', page.read_text())
    return {Path(link).name: (page.parent / link).resolve() for link in found}


def test_each_notebook_page_has_its_command_and_its_files(finished_project):
    run = load_run(finished_project / "runs" / "default")
    for notebook in run.stage1:
        for study in run.studies:
            page = run.html / "notebooks" / study / f"{notebook}.html"
            assert "Run this page again" in page.read_text()
            files = downloads(page)
            wanted = {f"{study}-{analysis}.json" for analysis in NOTEBOOKS[notebook].leaves} | {
                f"{notebook}.ipynb"
            }
            assert wanted <= set(files)
            for name in wanted:
                assert files[name].is_file()
            for record in run.records(notebook, study):
                # Downloads are without blanks.
                assert json.loads(files[f"{study}-{record.name}"].read_text()) == json.loads(
                    record.read_text()
                )
    for notebook in run.stage2:
        page = run.html / "notebooks" / "pooled" / f"{notebook}.html"
        tables = {path.name for path in run.output_folder(notebook).glob("*.csv")}
        files = downloads(page)
        assert tables | {f"{notebook}.ipynb"} <= set(files)
        assert all(path.is_file() for path in files.values())


def test_record_is_offered_as_table_too(project):
    run = load_run(project / "runs" / "default")
    rows = [{"term": "a", "estimate": 0.1}, {"term": "b", "estimate": None}]
    (run.record_folder("S01") / "lagged.json").write_text(json.dumps({"estimates": rows}))
    assemble(run, run.folder / "book")
    with (run.folder / "book" / "downloads" / "S01" / "S01-lagged.csv").open() as table:
        assert list(csv.DictReader(table)) == [
            {"term": "a", "estimate": "0.1"},
            {"term": "b", "estimate": ""},
        ]


def test_without_a_repository_there_is_no_button(finished_project):
    html = finished_project / "runs" / "default" / "html"
    for page in html.rglob("*.html"):
        assert not any(service in page.read_text() for service in SERVICES), page
    assert read_yaml(REPOSITORY / "_config.yml")["repository"]["url"] == ""


def test_buttons_open_the_template_of_the_page(project):
    text = (project / "_config.yml").read_text()
    assert 'url: ""' in text
    (project / "_config.yml").write_text(
        text.replace('url: ""', "url: https://github.com/someone/some.thing")
    )
    run = load_run(project / "runs" / "default")
    assemble(run, run.folder / "book")
    page = (run.folder / "book" / "notebooks" / "S01" / "stage1_lagged.ipynb").read_text()
    opened = "lab%2Ftree%2Fnotebooks%2Fstage1_lagged.ipynb"
    assert f"https://mybinder.org/v2/gh/someone/some.thing/main?urlpath={opened}" in page
    colab = (
        "https://colab.research.google.com/github/someone/some.thing/blob/main/notebooks/stage1_lagged.ipynb"
    )
    assert colab in page
    assert "!git clone --quiet --branch main https://github.com/someone/some.thing some.thing" in page
    assert "it first, in a terminal" not in page
    pooled = (run.folder / "book" / "notebooks" / "pooled" / "stage2_lagged.ipynb").read_text()
    assert "notebooks%2Fstage2_lagged.ipynb" in pooled
    assert "it first, in a terminal there (on Colab in a cell, with `!` before it), by" in pooled
    assert f"`{run_command(run, read_collection(run.collection).defaults)}`." in pooled
    config = read_yaml(run.folder / "book" / "_config.yml")
    assert not {"repository", "launch_buttons"} & set(config)


def test_addresses_of_other_hosts_and_branches():
    launch = Launch(
        "https://gitlab.com/a/b", "dev/x", "https://mybinder.org", "https://colab.research.google.com"
    )
    links = launch.links("n")
    assert list(links) == ["Binder"]
    start = "https://mybinder.org/v2/git/https%3A%2F%2Fgitlab.com%2Fa%2Fb/dev%2Fx?urlpath="
    assert links["Binder"].startswith(start)
    assert replace(launch, url="").links("n") == {}
    assert (
        replace(launch, url="https://github.com/a/b.git/", binder="").links("n")["Colab"].count("/a/b/blob/")
        == 1
    )


def test_buttons_point_to_templates_that_are_in_the_repository():
    launch = Launch("https://github.com/a/b.git", "v1/x", *SERVICES)
    for notebook in NOTEBOOKS:
        links = launch.links(notebook)
        assert list(links) == ["Binder", "Colab"]
        binder = urlsplit(links["Binder"])
        assert unquote(binder.path) == "/v2/gh/a/b/v1/x"
        (opened,) = parse_qs(binder.query)["urlpath"]
        start = "/github/a/b/blob/v1/x/"
        assert urlsplit(links["Colab"]).path.startswith(start)
        for path in (opened.removeprefix("lab/tree/"), urlsplit(links["Colab"]).path.removeprefix(start)):
            assert (REPOSITORY / path).is_file(), path
            assert (REPOSITORY / path).parent.name == "notebooks"


def test_first_cell_on_colab_fetches_the_branch():
    launch = Launch("https://github.com/a/b.git", "v1/x", *SERVICES)
    assert launch.colab_setup().splitlines() == [
        "!git clone --quiet --branch v1/x https://github.com/a/b.git b",
        "%pip install --quiet ./b",
        "%cd b",
    ]


@pytest.mark.parametrize(
    "config",
    [
        {"repository": {"url": "somewhere"}},
        {"repository": {"url": 'https://a.org/"><script>'}},
        {"repository": "https://github.com/a/b"},
        {"launch_buttons": {"colab_url": "javascript:1"}},
    ],
)
def test_address_that_is_none_stops_the_build(config):
    with pytest.raises(PipelineError, match=r"_config\.yml"):
        take_launch(config)


def test_notebooks_have_all_parameters_in_their_cell():
    from twostage.pipeline.template import defaults_of

    for name, about in NOTEBOOKS.items():
        assert list(defaults_of(REPOSITORY / "notebooks" / f"{name}.ipynb")) == list(about.takes)
