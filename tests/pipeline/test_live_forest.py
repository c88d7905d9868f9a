"""The live forest in a browser, opened from a folder: it says what Python says, by keyboard, from a link, of any text."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hostile import TEXTS, browser, has_browser

from twostage.display import interval, number
from twostage.notebooks import HOME
from twostage.pages.common.leave import write_pooled
from twostage.pages.common.tables import effect
from twostage.pipeline.book.config import copy_assets
from twostage.pipeline.book.forest import forest_data, live_forest
from twostage.pipeline.book.scripts import FOREST, bundled, write_scripts
from twostage.stage2.pool import named_fit
from twostage.stats.pool import pool

ASSETS = Path(__file__).resolve().parents[2] / "book" / "assets"
SPACE, TAB, ENTER = " ", "\ue004", "\ue007"
SENTENCE = 'return document.querySelector(".lf-now").textContent'

PAGE = """<!doctype html><html lang="en" data-content_root="./"><head><meta charset="utf-8"><title>Forest</title>
<link rel="stylesheet" href="forest.css"></head><body><h1>Forest</h1>
<div class="live-forest" id="forest-x_to_y" data-forest="x_to_y" data-effect="x_to_y"><p id="static">Figure</p></div>
<script defer src="{data}"></script><script defer src="{script}"></script></body></html>"""

needs_browser = pytest.mark.skipif(not has_browser(), reason="needs chromium and chromedriver")


@pytest.fixture(scope="module")
def output(pooled, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "output"
    for analysis, table in pooled.items():
        write_pooled(table, str(folder / HOME[analysis]))
    return folder


@pytest.fixture(scope="module")
def data(output, three) -> dict:
    return forest_data(output, three, 1, "standard deviations")


@pytest.fixture(scope="module")
def page(data, tmp_path_factory) -> Path:
    """A page with a forest whose studies' names are hostile."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copy(ASSETS / "forest.css", folder)
    hostile = [text for text in TEXTS if "pwned" in text]
    studies = [
        study | {"label": hostile[i], "facts": {**study["facts"], "country": hostile[i + 3]}}
        for i, study in enumerate(data["studies"])
    ]
    columns = [{"key": "country", "words": hostile[-1]}]
    write_scripts(ASSETS, folder, data | {"studies": studies, "columns": columns})
    (folder / "index.html").write_text(PAGE.format(data=FOREST.data, script=FOREST.script), encoding="utf-8")
    return folder / "index.html"


@pytest.fixture(scope="module")
def window(page, tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile"), port=9541) as opened:
        yield opened


def said(studies: pd.DataFrame, **options) -> str:
    """An effect of some studies as the book's pages quote it, by the package."""
    fit = pool(studies["estimate"], studies["std_error"] ** 2, **options)
    text = f"{number(fit.estimate)} (95 % CI {interval(fit.ci_low, fit.ci_high)})"
    text += "" if np.isnan(fit.pi_low) else f", prediction interval {interval(fit.pi_low, fit.pi_high)}"
    return f"{text}, τ = {number(fit.tau, 3)}, I² = {number(fit.i2, 0)}\u00a0%; k = {fit.k} of 3 studies"


def test_the_data_are_those_of_the_tables(data, pooled, three):
    keys = ["x_to_y", "x_to_y_by_x", "x_to_y_by_y", "y_to_x", "y_to_x_by_x", "y_to_x_by_y", "outcome"]
    assert [found["key"] for found in data["effects"]] == keys
    assert [study["id"] for study in data["studies"]] == list(three.studies["study"])
    for key, direction, term in (("x_to_y", "x_to_y", "x_within"), ("outcome", "x_to_y", "partial_r_z")):
        found = data["effects"][keys.index(key)]
        table = pooled["outcome" if key == "outcome" else "lagged"]
        studies = table.studies(direction, term)
        rows = np.array(found["sources"][0]["rows"], dtype=float)
        # The tables are text; pandas reads the last digit to one unit in it.
        np.testing.assert_allclose(rows[:, 1], studies["estimate"], rtol=1e-15)
        np.testing.assert_allclose(rows[:, 2], studies["std_error"], rtol=1e-15)
        quoted = effect(table.row(direction, term), 0.95)
        assert found["published"]["text"] == f"{quoted.text}, {quoted.spread}; k = 3"
    variants = [source["key"] for source in data["effects"][0]["sources"]]
    assert variants[0] == "lagged:main" and "sensitivity:as chosen" not in variants and len(variants) > 3


def test_a_place_without_a_figure_is_none():
    assert live_forest("x_to_y", "") == ""
    assert live_forest("x_to_y", "figure").count("\n\nfigure\n\n") == 1


def test_pages_get_one_classic_script_and_no_module(tmp_path):
    text = bundled(ASSETS)
    assert not re.search(r"^(import|export)\b", text, re.M)
    copy_assets(ASSETS, tmp_path / "assets")
    assert not list((tmp_path / "assets").glob("*.mjs"))
    write_scripts(tmp_path, tmp_path / "assets", {})
    assert not (tmp_path / "assets" / FOREST.script).exists()
    for name in FOREST.modules:
        # The only way in which text becomes markup in a browser.
        assert not re.search(
            "innerHTML|outerHTML|insertAdjacentHTML|document.write", (ASSETS / name).read_text()
        )


@needs_browser
def test_it_says_what_the_book_says(window, page, data, pooled):
    window.open(page)
    studies = pooled["lagged"].studies("x_to_y", "x_within")
    lead = data["effects"][0]["lead"]
    assert window.run(SENTENCE).startswith(f"Now: {lead} {said(studies)}. The interval ")
    published = window.run('return document.querySelector(".lf-published").textContent')
    assert published == f"As published in this book: {data['effects'][0]['published']['text']}."
    hidden = "return getComputedStyle(document.getElementById('static')).display"
    assert window.run(hidden) == "none"


def focus_on(window, wanted: str) -> None:
    """Press the tabulator until an element has the focus."""
    for _ in range(60):
        if window.run("return document.activeElement.dataset.focus") == wanted:
            return
        window.press(TAB)
    raise AssertionError(f"{wanted} is not reached by keyboard")


@needs_browser
def test_a_study_is_left_out_and_the_estimator_changed_by_keyboard_and_the_link_opens_that(
    window, page, pooled
):
    studies = pooled["lagged"].studies("x_to_y", "x_within")
    left = studies[studies["study"] != "S02"]
    window.open(page)
    focus_on(window, "in-S02")
    window.press(SPACE)
    assert said(left) in window.run(SENTENCE)
    # The focus stays where it was: the same key brings the study back.
    window.press(SPACE)
    assert said(studies) in window.run(SENTENCE)
    window.press(SPACE)
    window.run("document.activeElement.blur(); scrollTo(0, 0)")
    focus_on(window, "method")
    window.press("D")
    changed = window.run(SENTENCE)
    assert said(left, method="DL") in changed
    focus_on(window, "sort-weight")
    window.press(ENTER)
    sorts = "return document.querySelector('th.lf-weight').getAttribute('aria-sort')"
    assert window.run(sorts) == "ascending"
    fragment = window.run("return location.hash").removeprefix("#")
    assert fragment == "forest=x_to_y&method=DL&sort=weight&out=S02"
    window.open(page)
    window.run("location.hash = ''")
    assert said(studies) in window.run(SENTENCE)
    window.open(page, fragment=fragment)
    assert (window.run(SENTENCE), window.run(sorts)) == (changed, "ascending")


@needs_browser
def test_filter_variant_and_direction_are_those_of_the_link(window, page, pooled):
    variant = pooled["sensitivity"].studies("y_to_x", "y_within", "sessions 1-5")
    window.open(page, fragment="forest=x_to_y&effect=y_to_x&source=sensitivity%3Asessions+1-5&ci=wald")
    assert said(variant, ci="wald") in window.run(SENTENCE)
    window.open(page, fragment="forest=x_to_y&method=XX&out=S99")
    assert "does not have: method XX; study S99" in window.run(SENTENCE)
    options = "return [...document.querySelectorAll('[name=only] option')].map(o => o.value)"
    only = window.run(options)[1]
    window.open(page)
    choose = "const s = document.querySelector('[name=only]'); s.value = arguments[0] ?? %s;"
    window.run(choose % json.dumps(only) + "s.dispatchEvent(new Event('change'))")
    assert "k = 1 of 3 studies" in window.run(SENTENCE)
    own = window.run("return document.querySelector('tbody .lf-estimate').textContent")
    # One study keeps its own interval, which knows its degrees of freedom.
    assert window.run("return document.querySelector('tfoot .lf-estimate').textContent") == own


@needs_browser
def test_texts_are_shown_and_never_obeyed(window, page, data):
    window.open(page)
    labels = window.run("return [...document.querySelectorAll('tbody th')].map(th => th.textContent)")
    assert labels == [text for text in TEXTS if "pwned" in text][:3]
    assert window.run("return document.querySelectorAll('.lf-live img, .lf-live script').length") == 0
    focus_on(window, "of-S03")
    assert window.run("return window.pwned || 0") == 0
    assert window.run("return document.querySelector('.lf-facts').textContent").startswith(labels[2])
    links = window.run("return [...document.querySelectorAll('tbody a')].map(a => a.getAttribute('href'))")
    assert links == [f"./notebooks/{study['id']}/index.html" for study in data["studies"]]


@needs_browser
def test_on_paper_and_on_a_phone(window, page):
    window.open(page)
    window.media("print")
    shown = "return [getComputedStyle(document.getElementById('static')).display !== 'none',"
    shown += "getComputedStyle(document.querySelector('.lf-live')).display !== 'none']"
    assert window.run(shown) == [True, False]
    window.media("")
    for width in (390, 1024, 1440):
        window.resize(width, 844)
        assert window.run("return document.documentElement.scrollWidth") <= width


def vectors(code: str) -> list[list[float]]:
    """Numbers of the vectors yi and vi of an R script."""
    return [[float(x) for x in text.split(",")] for text in re.findall(r"[yv]i = c\(([^)]*)\)", code)]


@needs_browser
def test_the_code_for_metafor_is_that_of_the_package(window, page, pooled):
    window.open(page)
    window.run(
        "[...document.querySelectorAll('button')].find(b => b.textContent.includes('metafor')).click()"
    )
    found = window.run("return document.querySelector('.lf-code').textContent")
    expected = named_fit(pooled["lagged"], "x_to_y").r_call()
    assert vectors(found) == pytest.approx(np.array(vectors(expected)), rel=1e-15)
    fits = [text[text.index("fit <- rma(") :] for text in (found, expected)]
    assert fits[0] == fits[1]


SCRIPTED = """
import {{ asCsv, compute, initialState, picture }} from {module};
const data = {data};
const state = {{ ...initialState(data, "x_to_y"), out: ["S02"] }};
console.log(asCsv(data, state, compute(data, state)));
"""


@pytest.mark.skipif(not shutil.which("node"), reason="needs node, which runs the pages' scripts")
def test_the_file_for_spreadsheets_holds_no_formula(data, tmp_path):
    studies = [
        study | {"label": text}
        for study, text in zip(data["studies"], ["=1+1", 'a "b", c', "−"], strict=True)
    ]
    module = json.dumps((ASSETS / "forest.mjs").as_uri())
    script = tmp_path / "made.mjs"
    script.write_text(SCRIPTED.format(module=module, data=json.dumps(data | {"studies": studies})))
    finished = subprocess.run(["node", str(script)], capture_output=True, text=True, encoding="utf-8")
    assert finished.returncode == 0, finished.stderr
    (tmp_path / "forest.csv").write_text(finished.stdout.removesuffix("\n"), encoding="utf-8")
    table = pd.read_csv(tmp_path / "forest.csv", encoding="utf-8-sig")
    assert list(table["label"]) == ["'=1+1", 'a "b", c', "−"]
    assert list(table["in_pool"]) == ["yes", "no", "yes"]
    assert table["weight"].sum() == pytest.approx(100.0)


NUMBERS = """
import {{ interval, number }} from {module};
const asked = {asked};
console.log(JSON.stringify(asked.map(([value, digits]) => [number(value, digits), interval(value, value + 1, digits)])));
"""


@pytest.mark.skipif(not shutil.which("node"), reason="needs node, which runs the pages' scripts")
def test_numbers_are_rounded_as_on_the_pages_without_script(tmp_path):
    """Ties, values that rounding makes ties, all sizes."""
    rng = np.random.default_rng(8)
    values = [*(rng.integers(-4000, 4000, 400) / 1000), *(rng.integers(-800, 800, 200) / 8)]
    values += [
        *(rng.normal(size=300) * 10.0 ** rng.integers(-9, 9, 300)),
        -0.0849999999999999,
        0.0,
        1e-300,
        1e20,
    ]
    asked = [[float(value), int(digits)] for value in values for digits in (0, 2, 3)]
    script = tmp_path / "numbers.mjs"
    script.write_text(
        NUMBERS.format(module=json.dumps((ASSETS / "forest.mjs").as_uri()), asked=json.dumps(asked))
    )
    finished = subprocess.run(["node", str(script)], capture_output=True, text=True, encoding="utf-8")
    assert finished.returncode == 0, finished.stderr
    ours = [[number(value, digits), interval(value, value + 1, digits)] for value, digits in asked]
    assert json.loads(finished.stdout) == ours
