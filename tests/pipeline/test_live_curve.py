"""The live specification curve in a browser, opened from a folder: filtered by choice, by keyboard, of any text."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from hostile import TEXTS, browser, has_browser

sys.path.insert(0, str(Path(__file__).parents[1]))
from multiverse_support import made_up

from twostage.display import number, percent
from twostage.pages.multiverse.analysis import examine
from twostage.pages.multiverse.live import live_data
from twostage.pages.multiverse.tables import names_of
from twostage.pipeline.book.forest import live_curve
from twostage.pipeline.book.scripts import MULTIVERSE, bundled, write_scripts

ASSETS = Path(__file__).resolve().parents[2] / "book" / "assets"
SPACE, TAB = " ", "\ue004"
SENTENCE = 'return document.querySelector(".lc-now").textContent'

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Curve</title>
<link rel="stylesheet" href="multiverse.css"></head><body><h1>Curve</h1>
<div class="live-curve" data-effect="y_to_x"><p id="static">Figure</p></div>
<script defer src="{data}"></script><script defer src="{script}"></script></body></html>"""

needs_browser = pytest.mark.skipif(not has_browser(), reason="needs chromium and chromedriver")


@pytest.fixture(scope="module")
def view(three):
    return examine(made_up(three))["y_to_x"]


@pytest.fixture(scope="module")
def page(three, tmp_path_factory) -> Path:
    """A page with a curve, a value of whose choices is hostile."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copy(ASSETS / "multiverse.css", folder)
    made = made_up(three)
    data = live_data(made, examine(made), names_of(three), three.note)
    data["choices"][-1]["values"][-1] = next(text for text in TEXTS if "pwned" in text)
    write_scripts(ASSETS, folder, data, MULTIVERSE)
    (folder / "index.html").write_text(
        PAGE.format(data=MULTIVERSE.data, script=MULTIVERSE.script), encoding="utf-8"
    )
    return folder / "index.html"


@pytest.fixture(scope="module")
def window(page, tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile"), port=9543) as opened:
        yield opened


def test_pages_get_one_classic_script_without_a_way_to_markup():
    text = bundled(ASSETS, MULTIVERSE)
    assert not re.search(r"^(import|export)\b", text, re.M)
    assert not re.search("innerHTML|outerHTML|insertAdjacentHTML|document.write", text)


def test_a_place_without_a_figure_is_none():
    assert live_curve("x_to_y", "") == ""
    assert live_curve("x_to_y", "figure").count("\n\nfigure\n\n") == 1


def said(rows, every: int) -> str:
    """The beginning of the sentence, by the package."""
    y = rows["estimate"]
    median, low, high = number(y.median(), 3), number(y.min(), 3), number(y.max(), 3)
    text = (
        f"{len(y):,} of {every:,} specifications: median {median}, from {low} to {high}; negative estimate: "
    )
    return (
        text
        + f"{percent((y < 0).mean(), 1)}; interval below zero: {percent((rows['ci_high'] < 0).mean(), 1)}"
    )


@needs_browser
def test_it_says_what_the_page_says_and_a_choice_is_left_out_by_keyboard(window, page, view):
    window.open(page)
    every = len(view.table)
    assert window.run(SENTENCE).startswith(said(view.table, every))
    for _ in range(60):
        # The window of sessions is the first choice; its third value.
        if window.run("return document.activeElement.dataset.focus") == "0-2":
            break
        window.press(TAB)
    window.press(SPACE)
    left = view.table[view.table["window"] != "2-7"]
    assert window.run(SENTENCE).startswith(said(left, every))
    window.run("for (const k of ['0-0', '0-1']) document.querySelector(`[data-focus='${k}']`).click()")
    assert window.run(SENTENCE).startswith("None of the")
    window.run("document.querySelector('.lc-live button').click()")
    assert window.run(SENTENCE).startswith(said(view.table, every))


@needs_browser
def test_texts_are_shown_and_never_obeyed(window, page):
    window.open(page)
    hostile = next(text for text in TEXTS if "pwned" in text)
    assert (
        window.run("return document.querySelector('fieldset:last-of-type label:last-child').textContent")
        == hostile
    )
    assert window.run("return document.querySelectorAll('.lc-live img, .lc-live script').length") == 0
    assert window.run("return window.pwned || 0") == 0


@needs_browser
def test_on_paper_in_the_dark_and_on_a_phone(window, page):
    window.open(page)
    window.media("print")
    shown = "return [getComputedStyle(document.getElementById('static')).display !== 'none',"
    shown += "getComputedStyle(document.querySelector('.lc-live')).display !== 'none']"
    assert window.run(shown) == [True, False]
    window.media("")
    # The choices of every specification are below the curve of the static figure, which stays.
    assert window.run(shown) == [True, True]
    dark = "document.documentElement.dataset.theme = 'dark';"
    colour = "return getComputedStyle(document.querySelector('.lc-live')).getPropertyValue('--lc-estimate')"
    assert window.run(colour) != window.run(dark + colour)
    for width in (390, 1024):
        window.resize(width, 844)
        assert window.run("return document.documentElement.scrollWidth") <= width
