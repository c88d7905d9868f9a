"""What a book says of results for other software, of releases, and of a study that was pulled."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from twostage.collection.collection import read_collection
from twostage.interchange.columns import COLUMNS
from twostage.interchange.documents import Pooled
from twostage.interchange.pull import pull
from twostage.interchange.releases import add_release, make_release
from twostage.interchange.results import LINKED
from twostage.pipeline.book.history import history_context
from twostage.pipeline.book.pages import Pages
from twostage.pipeline.book.software import offer, results_footer, software_context
from twostage.pipeline.run import load_run
from twostage.pipeline.shared import shared_page
from twostage.text import Markup

BOOK = Path(__file__).parents[2] / "book"


@pytest.fixture(scope="module")
def results(run) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run / "results").iterdir()}


def rendered(page: str, context: dict, **more) -> str:
    return Pages(BOOK, {"note": "Synthetic data.", **context}).render(page, **more)


def test_the_page_names_each_file_and_each_column(results):
    text = rendered("for_software.md", software_context(results))
    for name in results:
        assert f'<a href="results/{name}">' in text
    for column in COLUMNS:
        assert f"<td>{column.name}</td>" in text
    for field in Pooled.model_fields.values():
        assert str(field.description) in text
    assert "has pooled nothing" not in text


def test_without_results_the_page_says_so_and_no_page_links_them():
    assert "has pooled nothing" in rendered("for_software.md", software_context({}))
    assert results_footer({}) == ""


def test_the_foot_of_each_page_links_what_lies_beside_the_pages(results, tmp_path):
    footer = results_footer(results)
    assert offer(results, tmp_path) == [tmp_path / "beside"]
    for name in LINKED:
        assert f'href="TWOSTAGE-BESIDE/results/{name}"' in footer
        assert (tmp_path / "beside" / "results" / name).read_bytes() == results[name]
    assert offer({}, tmp_path / "none") == []


def test_a_run_without_releases_has_no_such_page(run, results, tmp_path):
    collection = read_collection(run.parent / "theirs")
    assert history_context(load_run(run), collection, results, tmp_path) == {}


def test_the_page_on_releases_says_what_the_last_one_changed_and_whether_it_is_this(
    run, results, ours, tmp_path
):
    """Two releases: the run's results, before them others."""
    now = Pooled.model_validate_json(results["pooled.json"], strict=True)
    effects = [e.model_copy(update={"ci_low": -0.5, "ci_high": 0.5}) for e in now.effects]
    before = now.model_copy(update={"effects": tuple(effects), "made": "2025-02-03"})
    for number, document in enumerate((before, now), start=1):
        made, content = make_release(number, document)
        add_release(ours, made, {"pooled.json": content})
    known = replace(load_run(run), has_history=True)
    context = history_context(known, read_collection(ours), results, tmp_path)
    text = rendered("history.md", context)
    assert "The results of this book are those of release 2" in text
    assert "2025-02-03" in text
    assert "Flipped: " in text
    assert (tmp_path / "output" / "history" / "answer_over_time.svg").is_file()
    other = context | {"is_current": False}
    assert "differ from those of\nthe last release, 2" in rendered("history.md", other)


def test_a_pulled_study_says_whose_results_it_has_and_that_nothing_was_withheld(run, ours):
    pull(run, ours, today=date(2026, 5, 6), prefix="t_", studies=["S03"])
    collection = read_collection(ours)
    row = collection.studies.set_index("study", drop=False).loc["t_S03"].to_dict()
    more = {"facts": {}, "against": None, "study": row} | shared_page(collection, "t_S03")
    text = rendered("study_shared.md.j2", {"pooled_in": Markup("")}, **more)
    assert "The results below are another group's" in text
    assert "where the study is called S03" in text
    assert "were pulled on 2026-05-06" in " ".join(text.replace("\\", "").split())
    assert "‡ Results only" in text
    assert "What was withheld" not in text
    assert "nfilter" not in text
    assert "not among the results that were pulled" in text
