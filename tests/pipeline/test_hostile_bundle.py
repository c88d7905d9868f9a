"""A bundle whose every text is hostile, through a whole book: what is accepted is shown as it is and does nothing."""

import json
import sys
from datetime import date
from pathlib import Path

import pytest
from hostile import COLUMNS, TEXTS, UNSEEN, Page, browser, has_browser
from standin import run_twostage, write_project

from twostage.collection.collection import read_collection
from twostage.params import make_parameters
from twostage.sharing.accept import accept_bundle
from twostage.sharing.archive import unpack
from twostage.sharing.layout import RECORD_MEMBERS, REPORT, STUDY, TEXT, BundleError, Filters
from twostage.sharing.share import make_bundle
from twostage.simulation.simulate import simulate_collection, write_collection

sys.path.insert(0, str(Path(__file__).parents[1] / "sharing"))

from bundles import changed, entries, zipped

pytestmark = pytest.mark.slow

#: Texts with markup are refused; these are not, and mean something to Markdown, HTML, a spreadsheet or the search page.
ALLOWED = [text for text in TEXTS if TEXT.fullmatch(text)]
MARKUP = [text for text in TEXTS if not TEXT.fullmatch(text)]
RUNS = "&lt;img src=x onerror=window.pwned=4&gt;"

#: The row's texts, of which the label runs if it is decoded once too often.
FACTS = dict(zip(COLUMNS, [f"Bern {RUNS}", *ALLOWED[5:]], strict=False))

RECORD = "records/lagged.json"


@pytest.fixture(scope="module")
def members(tmp_path_factory) -> dict[str, bytes]:
    """What a site's bundle consists of."""
    site = write_collection(
        simulate_collection(5, n_studies=3, n_patients=150), tmp_path_factory.mktemp("s") / "s"
    )
    return unpack(
        make_bundle(read_collection(site), "S03", make_parameters({}), Filters(), date(2026, 2, 3)), "it"
    )


def hostile(members: dict[str, bytes]) -> dict[str, bytes]:
    """The same with hostile texts wherever there are texts."""

    def report(content):
        content["remains"] = [*ALLOWED, RUNS]
        content["checks"][0] |= {"name": ALLOWED[0], "rule": RUNS, "withheld": ALLOWED}

    def reasons(content):
        content["failures"] += [
            {"variant": "main", "direction": "x_to_y", "reason": text} for text in (*ALLOWED, RUNS)
        ]

    for name in {STUDY, *RECORD_MEMBERS.values()} & set(members):
        facts = FACTS if name == STUDY else {"label": FACTS["label"]}
        members = changed(members, name, lambda content, facts=facts: content.update(facts))
    return changed(changed(members, REPORT, report), RECORD, reasons)


@pytest.fixture(scope="module")
def project(members, tmp_path_factory) -> Path:
    """A small collection with the bundle, and its book."""
    folder = write_project(tmp_path_factory.mktemp("hostile") / "project", studies=2)
    (folder / "S03.zip").write_bytes(zipped(hostile(members)))
    accepted = run_twostage(folder, "accept", "S03.zip", "--to", "data")
    assert accepted.returncode == 0, accepted.stderr
    assert "\x1b" not in accepted.stdout + accepted.stderr
    finished = run_twostage(folder, "run", "--out", str(folder.parent / "out"), "--jobs", "1")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return folder


def test_the_same_texts_are_in_the_page_and_none_can_act(project):
    html = project.parent / "out" / "html"
    pages = {path: Page(path) for path in html.rglob("*.html") if "_static" not in path.parts}
    assert {path.name: page.acting for path, page in pages.items() if page.acting} == {}
    text = pages[html / "notebooks" / "S03" / "index.html"].text
    assert [t for t in (*FACTS.values(), *ALLOWED, RUNS) if t not in text] == []
    assert not list(project.parent.rglob("PWNED"))


@pytest.mark.skipif(not has_browser(), reason="needs chromium and chromedriver")
def test_nothing_runs_in_a_browser(project, tmp_path):
    html = project.parent / "out" / "html"
    with browser(tmp_path / "profile", 9534) as window:
        for name in ("notebooks/S03/index.html", "index.html", "genindex.html"):
            window.open(html / name)
            assert window.run("return window.pwned || 0") == 0, name
        for query in (FACTS["label"], "Bern", "img", "onerror"):
            window.open(html / "search.html", query)
            assert window.run("return window.pwned || 0") == 0, query
        window.open(html / "search.html", "Bern")
        assert window.run('return document.querySelectorAll("#search-results li").length') > 0


PLACES = {
    "label": (STUDY, lambda row, text: row.update(label=text)),
    "remains": (REPORT, lambda content, text: content.update(remains=[text])),
    "rule": (REPORT, lambda content, text: content["checks"][0].update(rule=text)),
    "withheld": (REPORT, lambda content, text: content["checks"][0].update(withheld=[text])),
    "reason": (
        RECORD,
        lambda content, text: content["failures"].append(
            {"variant": "main", "direction": "x_to_y", "reason": text}
        ),
    ),
    "label of a record": (RECORD, lambda content, text: content.update(label=text)),
}


@pytest.mark.parametrize("place", PLACES)
def test_markup_and_what_nobody_sees_is_refused(members, tmp_path, place):
    centre = write_collection(simulate_collection(1, n_studies=2, n_patients=40), tmp_path / "centre")
    before = entries(centre)
    name, change = PLACES[place]
    for text in (*MARKUP, *UNSEEN):
        spoilt = changed(members, name, lambda content, text=text: change(content, text))
        (tmp_path / "it.zip").write_bytes(zipped(spoilt))
        with pytest.raises(BundleError):
            accept_bundle(tmp_path / "it.zip", centre)
        assert json.loads(spoilt[name]) is not None and entries(centre) == before
