"""The book: complete, offline, with the note on each page, and no number that the run does not have."""

import re
import shutil
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
import yaml
from standin import TUTORIAL_NAMES, due, run_twostage

from twostage.collection.collection import read_collection
from twostage.pipeline.book.config import mathjax, read_yaml, write_config
from twostage.pipeline.book.pages import copy_notebook
from twostage.pipeline.book.source import assemble
from twostage.pipeline.errors import PipelineError
from twostage.pipeline.run import load_run

sys.path.insert(0, str(Path(__file__).parents[1]))
from intervals import outside

pytestmark = pytest.mark.slow

#: Attributes of tags whose value a browser fetches when it shows the page.
FETCHED = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "object": ("data",),
    "embed": ("src",),
    "video": ("src", "poster"),
    "audio": ("src",),
    "image": ("href", "xlink:href"),
    "use": ("href", "xlink:href"),
}

#: What a <link> says of itself when nothing is fetched for it.
ONLY_NAMED = {"canonical", "next", "prev", "search", "index", "author"}

ELSEWHERE = re.compile(r"(https?:)?//")
STYLE_FETCHES = re.compile(r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^"')\s]+)""")
#: Hosts from which scripts of the theme and its extensions could fetch more.
SCRIPT_FETCHES = re.compile(r"https?://(?:cdn|unpkg|fonts|cdnjs)[^\"'`\s]*")


class Fetches(HTMLParser):
    """Collects what a page fetches from elsewhere."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        """Look at one tag."""
        values = {name: value or "" for name, value in attrs}
        wanted = [values.get(name, "") for name in FETCHED.get(tag, ())]
        if tag == "link" and not set(values.get("rel", "").split()) & ONLY_NAMED:
            wanted.append(values.get("href", ""))
        self.found += [value for value in wanted if ELSEWHERE.match(value)]
        self.found += STYLE_FETCHES.findall(values.get("style", ""))


def fetches(text):
    """What a page with this HTML fetches from elsewhere."""
    parser = Fetches()
    parser.feed(text)
    return parser.found + STYLE_FETCHES.findall(text)


@pytest.fixture(scope="session")
def html(finished_project):
    """The built book."""
    return finished_project / "runs" / "default" / "html"


def pages(html):
    """The book's own pages; the theme's templates in _static are none."""
    return [path for path in sorted(html.rglob("*.html")) if "_static" not in path.parts]


def test_scan_finds_what_it_looks_for():
    assert fetches('<script src="https://a.org/x.js"></script>') == ["https://a.org/x.js"]
    assert fetches('<link rel="stylesheet" href="//a.org/x.css">') == ["//a.org/x.css"]
    assert fetches("<style>@import 'https://a.org/x.css'; a {b: url(//c.org/d)}</style>") == [
        "https://a.org/x.css",
        "//c.org/d",
    ]
    assert fetches('<a href="https://a.org">a</a><link rel="canonical" href="https://a.org">') == []


def test_pages_fetch_nothing_from_elsewhere(html):
    assert len(pages(html)) >= 2 * 5 + 4 + 3
    assert {path.name: fetches(path.read_text()) for path in pages(html) if fetches(path.read_text())} == {}
    styles = {path.name: STYLE_FETCHES.findall(path.read_text()) for path in html.rglob("*.css")}
    assert {name: found for name, found in styles.items() if found} == {}


def test_every_estimate_lies_in_its_interval_as_printed(finished_project, html):
    output = finished_project / "runs" / "default" / "output"
    tables = [*output.rglob("*.csv"), *(html / "_downloads").rglob("*.csv")]
    found = {path.name: wrong for path in tables if (wrong := outside(path.read_text(encoding="utf-8")))}
    assert found == {} and len(tables) > 10


def test_scripts_name_no_server_to_fetch_from(html):
    scripts = [path for path in html.rglob("*.js") if path.name != mathjax().name]
    found = {path.name: SCRIPT_FETCHES.findall(path.read_text()) for path in scripts}
    assert {name: urls for name, urls in found.items() if urls} == {}


def test_mathjax_comes_with_the_book(html):
    index = (html / "index.html").read_text()
    assert re.search(r'<script[^>]* src="_static/mathjax/tex-svg-full\.js', index)
    assert (html / "_static" / "mathjax" / "tex-svg-full.js").stat().st_size == mathjax().stat().st_size


def test_note_is_on_each_page(html, finished_project):
    note = read_collection(finished_project / "data").note
    assert "ynthetic" in note
    for path in pages(html):
        assert f'<div class="bd-header-announcement__content"><span>{note}' in path.read_text(), path


def test_the_collections_authors_sign_the_book(html, finished_project):
    authors = read_collection(finished_project / "data").authors
    assert authors == "The twostage authors"
    for path in pages(html):
        assert f"By {authors}" in path.read_text(), path


def test_a_collection_without_authors_is_signed_by_nobody(project, tmp_path):
    assets = tmp_path / "assets"
    assets.mkdir()
    book = {"title": "Ours", "note": "Our data.", "author": "", "texts": [], "assets": assets}
    write_config(project / "_config.yml", tmp_path / "_config.yml", **book)
    assert read_yaml(tmp_path / "_config.yml")["author"] == ""


def test_each_study_has_its_chapter(html):
    index = (html / "index.html").read_text()
    for number in (1, 2):
        chapter = (html / "notebooks" / f"S0{number}" / "index.html").read_text()
        assert f"<h1>Synthetic study 0{number}" in chapter
        page = (html / "notebooks" / f"S0{number}" / "stage1_lagged.html").read_text()
        assert f"<title>stage1 lagged: Synthetic study 0{number}" in page
        assert f'href="notebooks/S0{number}/index.html"' in index
        assert 'href="stage1_lagged.html"' in chapter


def test_page_without_its_number_stops_the_build_with_its_name(project):
    (project / "book" / "index.md").write_text("# A\n\n{{ title }}\n\n{{ n_dreams }}\n")
    run = load_run(project / "runs" / "default")
    with pytest.raises(PipelineError, match=r"index\.md: UndefinedError: 'n_dreams' is undefined"):
        assemble(run, run.folder / "book")
    (project / "book" / "index.md").write_text("# A\n\n{{ effect('dreams', 'x_to_y', 'x') }}\n")
    with pytest.raises(PipelineError, match=r"index\.md: KeyError: 'dreams: no coefficient x of x_to_y'"):
        assemble(run, run.folder / "book")
    (project / "book" / "index.md").write_text("# A\n\n{% if %}\n")
    with pytest.raises(PipelineError, match=r"index\.md, line 3: TemplateSyntaxError"):
        assemble(run, run.folder / "book")


def test_warning_stops_the_build_and_the_earlier_book_stays(project):
    (project / "book" / "references.md").write_text("# References\n\nSee {doc}`nowhere`.\n")
    assert due(project) == {"book"}
    index = project / "runs" / "default" / "html" / "index.html"
    before = index.stat().st_mtime_ns
    finished = run_twostage(project, "run")
    assert finished.returncode == 1
    assert "unknown document: 'nowhere'" in finished.stderr
    assert index.stat().st_mtime_ns == before


def test_pages_about_an_outcome_need_one(project):
    run = replace(load_run(project / "runs" / "default"), has_outcome=False)
    assemble(run, run.folder / "book")
    toc = yaml.safe_load((run.folder / "book" / "_toc.yml").read_text())
    assert [part["caption"] for part in toc["parts"]] == [
        "Computation",
        "Study by study",
        "Tutorials",
        "Literature",
    ]
    assert "outcome" not in (run.folder / "book" / "_toc.yml").read_text()
    assert not (run.folder / "book" / "results_outcome.md").exists()


def test_tutorials_belong_to_the_default_run(project):
    run = load_run(project / "runs" / "default")
    assert run.tutorials == TUTORIAL_NAMES
    page = run.html / "notebooks" / "tutorials" / f"{TUTORIAL_NAMES[0]}.html"
    assert "shown" in page.read_text()
    other = replace(run, folder=project / "runs" / "other")
    assert other.tutorials == ()


def test_functions_are_documented_in_the_default_runs_book_only(project):
    contents = {"root": "index", "parts": [{"caption": "Functions", "pages": "api"}]}
    (project / "book" / "_contents.yml").write_text(yaml.safe_dump(contents))
    run = load_run(project / "runs" / "default")
    for of, there in ((run, True), (replace(run, folder=project / "runs" / "other"), False)):
        shutil.copytree(run.folder, of.folder, dirs_exist_ok=True) if of is not run else None
        assemble(of, of.folder / "book")
        assert (of.folder / "book" / "api" / "reading.md").is_file() is there
        assert ("api/reading" in (of.folder / "book" / "_toc.yml").read_text()) is there


def test_contents_that_name_unknown_pages_are_an_error(project):
    contents = {"root": "index", "parts": [{"caption": "A", "pages": "poold"}]}
    (project / "book" / "_contents.yml").write_text(yaml.safe_dump(contents))
    run = load_run(project / "runs" / "default")
    with pytest.raises(PipelineError, match="no pages 'poold'; one of pooled, tutorials, studies, api"):
        assemble(run, run.folder / "book")


def test_notebook_must_begin_with_a_heading(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("text", id="a")])
    nbformat.write(notebook, tmp_path / "a.ipynb")
    with pytest.raises(PipelineError, match="must begin with a heading"):
        copy_notebook(tmp_path / "a.ipynb", tmp_path / "b" / "a.ipynb")
