"""The manuscript as one PDF: pages in their order, links within it, nothing of this machine in it."""

import shutil

import pytest

from twostage.pipeline.book import pdf
from twostage.pipeline.book.pdf import find_browser, manuscript_pages, one_page, write_pdf
from twostage.pipeline.errors import PipelineError
from twostage.pipeline.run import load_run

PAGE = """<html><head><link rel="stylesheet" href="_static/a.css"><script src="_static/theme.js"></script></head><body>
<div class="bd-header-announcement__content"><span>Synthetic data</span></div>
<article class="bd-article"><h1 id="top">{title}</h1>{text}</article></body></html>"""


def test_links_stay_in_the_page_or_are_none(tmp_path):
    text = '<a href="methods.html#top">m</a> <a href="#top">t</a> <a href="notebooks/S1/index.html">s</a>'
    (tmp_path / "index.html").write_text(
        PAGE.format(title="First", text=f'{text} <a href="https://a.org">a</a>')
    )
    (tmp_path / "methods.html").write_text(PAGE.format(title="Second", text='<a href="index.html">i</a>'))
    page = one_page(tmp_path, ["index", "methods"])
    assert page.index("First") < page.index("Second")
    for link in (
        'href="#methods--top">m',
        'href="#index--top">t',
        "<a>s",
        'href="https://a.org"',
        'href="#index--">i',
    ):
        assert link in page
    assert 'id="index--top"' in page and 'id="methods--top"' in page
    assert "Synthetic data" in page and "a.css" in page and "theme.js" not in page


def test_without_a_browser_it_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(pdf, "BROWSERS", ("no-such-browser",))

    class Finished:
        html = tmp_path / "html"

    with pytest.raises(
        PipelineError, match=r"none is there \(Chromium, Chrome or Edge\); the book itself is finished"
    ):
        write_pdf(Finished())


@pytest.mark.slow
@pytest.mark.skipif(find_browser() is None, reason="needs a browser that prints")
def test_the_manuscript_is_printed(project):
    run = load_run(project / "runs" / "default")
    assert manuscript_pages(run.folder / "book")[0] == "index"
    printed = write_pdf(run)
    assert printed.read_bytes().startswith(b"%PDF")
    assert not (run.html / "manuscript-to-print.html").exists()
    if shutil.which("pdftotext"):
        import subprocess

        text = subprocess.run(["pdftotext", str(printed), "-"], capture_output=True, text=True).stdout
        assert "ynthetic" in text and str(project) not in text
