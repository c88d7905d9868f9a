"""A book of a collection whose every text is hostile: it is built, shows the texts, does nothing, and tells no place."""

import csv
import getpass
import json
import re
import shutil
import socket
from pathlib import Path

import pytest
import yaml
from hostile import COLUMNS, TEXTS, Page, browser, has_browser, write_registry
from standin import REPOSITORY, run_twostage, write_notebook, write_project

pytestmark = pytest.mark.slow

STUDIES = 3

CASE = REPOSITORY.parent / "shared" / "cases" / "label-hash" / "collection"

#: What each stage-1 notebook of the stand-in shows besides: the heading, a table and a sentence.
SHOWS = """
from twostage.collection.collection import read_collection
from twostage.display import show_text, show
from twostage.pages.study.tables import study_heading
source = read_collection(collection)
from IPython.display import display
display(study_heading(source, study), show(source.studies), show_text(source.studies["label"].iloc[0] + " is in."))"""

INDEX = """# {{ title }}

{{ note }}

## {{ arrow("x_to_y") }}

After {{ x }} comes {{ y }}.

{{ studies }}

{% for title, text in statements -%}
{{ title }}
: {{ text }}

{% endfor %}
{{ risk_of_bias.plot }}

{{ risk_of_bias.table }}

{{ risk_of_bias.reasons }}
"""


def texts(n: int) -> list[dict[str, str]]:
    """Rows of text columns with the hostile texts in turn."""
    chosen = iter(TEXTS * 2)
    return [{column: next(chosen) for column in COLUMNS} for _ in range(n)]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    folder = write_project(tmp_path_factory.mktemp("hostile") / "project", studies=STUDIES)
    plain = (folder / "notebooks" / "stage1_data.ipynb").read_text(encoding="utf-8")
    code = "".join(json.loads(plain)["cells"][2]["source"])
    write_notebook(folder / "notebooks", "stage1_data", code=code + SHOWS)
    (folder / "book" / "index.md").write_text(INDEX, encoding="utf-8")
    write_registry(folder / "data", texts(STUDIES))
    settings = folder / "data" / "collection.yml"
    content = yaml.safe_load(settings.read_text(encoding="utf-8"))
    content |= {"title": "T " + " ".join(TEXTS[19:27]), "authors": "A " + TEXTS[19] + TEXTS[22]}
    content["note"] = "http://note " + " ".join(TEXTS) + " *so* [words](https://example.org)"
    content["x"]["label"], content["y"]["label"] = TEXTS[19] + " {{ y }} $a$", TEXTS[22] + " *z* `c` 中"
    content["review"] = {"protocol": " ".join(TEXTS), "funding": TEXTS[19]}
    settings.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    judged = [{"study": "S01", "domain": text, "judgement": "high", "reason": text} for text in TEXTS]
    with (folder / "data" / "risk_of_bias.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(judged[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(judged)
    finished = run_twostage(folder, "run", "--out", str(folder.parent / "out"), "--jobs", "1")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return folder


@pytest.fixture(scope="module")
def pages(project) -> dict[str, Page]:
    html = project.parent / "out" / "html"
    found = {
        path.relative_to(html).as_posix(): path
        for path in html.rglob("*.html")
        if "_static" not in path.parts
    }
    return {name: Page(path) for name, path in found.items()}


def test_nothing_ran_and_nothing_could(project, pages):
    assert not list(project.parent.rglob("PWNED"))
    assert {name: page.acting for name, page in pages.items() if page.acting} == {}


def test_the_same_texts_are_in_the_pages(pages):
    for i, row in enumerate(texts(STUDIES), start=1):
        page, notebook = (
            pages[f"notebooks/S0{i}/index.html"].text,
            pages[f"notebooks/S0{i}/stage1_data.html"].text,
        )
        assert all(text in notebook for text in row.values())
        shown = [row[c] for c in ("label", "country", "setting", "treatment", "design", "source", "licence")]
        assert [text for text in shown if text not in page] == []
    index = pages["index.html"].text
    assert "T " + " ".join(TEXTS[19:27]) in index
    # In a note stars, lines below and backslashes are marks.
    plain = [text for text in TEXTS if not set(text) & set("*_\\")]
    assert [text for text in plain if text not in index] == []


def test_what_is_said_of_the_review_and_of_bias_arrives(pages):
    index = pages["index.html"].text
    # Domains stand in the table's header, where an underscore is none, and in the drawing; reasons in a table.
    assert [text for text in TEXTS if index.count(text) < 2] == []


def test_titles_in_the_search_index_are_no_html(project):
    index = (project.parent / "out" / "html" / "searchindex.js").read_text(encoding="utf-8")
    content = json.loads(index.removeprefix("Search.setIndex(").removesuffix(")"))
    titles = [*content["alltitles"], *content["titles"]]
    assert any("&lt;img" in title for title in titles)
    assert [title for title in titles if re.search("<(?!/?(em|span|code|strong))", title)] == []
    # Escaped once: readers see what was written.
    assert not [title for title in titles if "&amp;lt;img src=x onerror=&#34;" in title]


def test_no_page_or_notebook_tells_where_it_was_made(project):
    out = project.parent / "out"
    places = [
        str(project),
        str(out),
        str(Path.home()) + "/",
        str(REPOSITORY),
        f"{getpass.getuser()}@",
        "/tmp/",
    ]
    places += [socket.gethostname()] if len(socket.gethostname()) > 3 else []
    faults = []
    for path in [
        *(out / "html").rglob("*.html"),
        *(out / "html").rglob("*.ipynb"),
        *(out / "notebooks").rglob("*.ipynb"),
    ]:
        text = path.read_text(encoding="utf-8")
        if "api" not in path.parts:
            faults += [(path.relative_to(out).as_posix(), place) for place in places if place in text]
    assert faults == []


@pytest.mark.skipif(not CASE.is_dir(), reason="the case label-hash is not here")
@pytest.mark.parametrize("label", ["Clinic #2 (Bern)", "'Zitat' 2020"])
def test_labels_that_an_option_of_a_directive_would_read_otherwise(tmp_path, label):
    folder = write_project(tmp_path / "project", studies=1)
    shutil.rmtree(folder / "data")
    shutil.copytree(CASE, folder / "data")
    others = [{} for _ in (folder / "data" / "studies.csv").read_text(encoding="utf-8").splitlines()[2:]]
    write_registry(folder / "data", [{"label": label}, *others])
    finished = run_twostage(folder, "run", "--study", "S01", "--study", "S02", "--jobs", "1", "--run", "it")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    html = folder / "runs" / "it" / "html"
    assert label in Page(html / "notebooks" / "S01" / "index.html").text


@pytest.mark.skipif(not has_browser(), reason="needs chromium and chromedriver")
def test_nothing_runs_in_a_browser(project, pages, tmp_path):
    html = project.parent / "out" / "html"
    with browser(tmp_path / "profile") as window:
        for name in pages:
            window.open(html / name)
            assert window.run("return window.pwned || 0") == 0, name
        for query in [row["label"] for row in texts(STUDIES)] + ["img", "pwned", TEXTS[19]]:
            window.open(html / "search.html", query)
            assert window.run("return window.pwned || 0") == 0, query
        window.open(html / "search.html", "stage1")
        assert window.run('return document.querySelectorAll("#search-results li").length') > 0
