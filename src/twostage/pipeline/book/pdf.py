"""The manuscript as one PDF: its pages one after the other, printed by a browser without a window."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from twostage.beside import text_beside
from twostage.files import scratch_folder, write_bytes, write_text
from twostage.pipeline.book.config import read_yaml
from twostage.pipeline.errors import PipelineError
from twostage.pipeline.run import Run

#: Browsers that print without a window, by the names of their programs.
BROWSERS = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)


#: Parts of the book that are the manuscript's.
PARTS = ("Manuscript", "Literature")


#: Seconds after which a browser is given up; milliseconds that a page may believe to have, for its formulas.
PATIENCE, PAGE_TIME = 300, 120_000


_ARTICLE = re.compile(r'<article class="bd-article"[^>]*>(?P<text>.*?)</article>', re.S)


_NOTE = re.compile(r'<div class="bd-header-announcement__content">(?P<text>.*?)</div>', re.S)


_STYLES = re.compile(r'<link[^>]*rel="stylesheet"[^>]*>')


_FORMULAS = re.compile(r"<script>window\.MathJax.*?</script>|<script[^>]*mathjax/[^>]*></script>", re.S)


_ID = re.compile(r'(?<=\sid=")([^"]*)')


_HREF = re.compile(r'\shref="([^"]*)"')


_STYLE = f"<style>\n{text_beside(__file__, '.css')}</style>"


def find_browser() -> str | None:
    """A browser of this machine that prints without a window."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def write_pdf(run: Run) -> Path:
    """Print the manuscript of a finished book.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Path
        ``manuscript.pdf`` in the run's folder.

    Raises
    ------
    PipelineError
        There is no browser, or it does not print.
    """
    browser = find_browser()
    if browser is None:
        raise PipelineError(
            "the manuscript is printed by a browser without a window, and none is there (Chromium, Chrome or Edge); "
            f"the book itself is finished: {run.html / 'index.html'}"
        )
    # Beside the pages, whose pictures and styles it loads.
    page = run.html / "manuscript-to-print.html"
    write_text(page, one_page(run.html, manuscript_pages(run.folder / "book")))
    try:
        with scratch_folder() as folder:
            content = _printed(browser, page, folder)
    finally:
        page.unlink()
    return write_bytes(run.folder / "manuscript.pdf", content)


def manuscript_pages(source: Path) -> list[str]:
    """Names of the manuscript's pages in their order, from the table of contents of an assembled book."""
    toc = read_yaml(source / "_toc.yml")
    parts = [part["chapters"] for part in toc["parts"] if part["caption"] in PARTS]
    return [toc["root"], *(chapter["file"] for chapters in parts for chapter in chapters)]


def one_page(html: Path, names: list[str]) -> str:
    """The texts of several pages of a book as one page; links between them stay within it.

    Parameters
    ----------
    html : Path
        The built book.
    names : list of str
        Its pages, without suffix; they lie in the book's folder itself.
    """
    pages = {name: (html / f"{name}.html").read_text(encoding="utf-8") for name in names}
    first = pages[names[0]]
    formulas = next((found for page in pages.values() if (found := _FORMULAS.findall(page))), [])
    note = _NOTE.search(first)
    parts = [_part(name, page, names) for name, page in pages.items()]
    head = "\n".join(['<meta charset="utf-8">', *_STYLES.findall(first), _STYLE, *formulas])
    said = f"<p><em>{note['text']}</em></p>" if note else ""
    body = f'<main class="bd-content"><article class="bd-article">{said}{"".join(parts)}</article></main>'
    return f'<!doctype html>\n<html lang="en" data-theme="light"><head>{head}</head>\n<body>{body}</body></html>\n'


def _part(name: str, page: str, names: list[str]) -> str:
    article = _ARTICLE.search(page)
    text = _ID.sub(lambda found: f"{name}--{found[1]}", article["text"] if article else "")
    return f'<section class="page" id="{name}--">{_HREF.sub(lambda h: _within(h[1], name, names), text)}</section>'


def _within(address: str, name: str, names: list[str]) -> str:
    """A link as it is in the one page; none to what the page does not have, which would name this machine's folders."""
    if re.match(r"https?://|mailto:", address):
        return f' href="{address}"'
    file, _, place = address.partition("#")
    to = file.removesuffix(".html") or name
    return f' href="#{to}--{place}"' if to in names else ""


def _printed(browser: str, page: Path, folder: Path) -> bytes:
    target = folder / "manuscript.pdf"
    options = ["--headless", "--disable-gpu", "--no-first-run", "--no-pdf-header-footer"]
    options += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    # Without a user's rights to lose, as in a container, the browser refuses to start in its own cage.
    options += ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    options += [f"--user-data-dir={folder / 'profile'}", f"--virtual-time-budget={PAGE_TIME}"]
    try:
        finished = subprocess.run(
            [browser, *options, f"--print-to-pdf={target}", page.resolve().as_uri()],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise PipelineError(f"{browser} did not print the manuscript within {PATIENCE} seconds") from None
    if not target.is_file():
        lines = finished.stderr.strip().splitlines()[-3:]
        raise PipelineError("\n    ".join([f"{browser} did not print the manuscript:", *lines]))
    return target.read_bytes()
