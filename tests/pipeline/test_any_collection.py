"""The book of any collection: of one study or of sixty, with words of its own, of studies that lack this or that."""

import re
from dataclasses import replace
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up import (
    REPOSITORY,
    MadeUp,
    book_text,
    collection_of,
    plain,
    records_of,
    study_shown,
    without_pictures,
)

from twostage.collection import read_collection
from twostage.notebooks import STAGE1
from twostage.pipeline.book.pages import said
from twostage.simulation import write_collection
from twostage.words import Words, speaking

PLAYERS = Words("player", "players", "day", "days", "start score", "final score")

STUDIES = st.builds(
    MadeUp,
    estimable=st.sampled_from([True, True, True, False]),
    has_outcome=st.booleans(),
    withheld=st.sampled_from([False, False, True]),
    shift=st.floats(-0.3, 0.3),
    precision=st.sampled_from([3.0, 10.0, 200.0]),
    n=st.integers(5, 300),
)


@st.composite
def collections(draw) -> list[MadeUp]:
    """Studies of a collection, of each size that pages treat differently and some large ones."""
    k = draw(st.sampled_from([1, 2, 3, 4, 5, 6, 17]))
    return draw(st.lists(STUDIES, min_size=k, max_size=k))


def pages_of(three, studies: list[MadeUp], words: Words, folder: Path, seed: int = 1):
    """The pages of a book of these studies, and what its notebooks show."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        shown = without_pictures(monkeypatch)
        collection = collection_of(three, studies, words)
        pages = book_text(folder, collection, records_of(studies, collection, seed), monkeypatch, shown)
    return {name: plain(text).replace("\\", "") for name, text in pages.items()}, plain("\n".join(shown))


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(studies=collections(), seed=st.integers(0, 1000))
def test_no_page_says_what_a_number_in_it_contradicts(three, tmp_path_factory, studies, seed):
    pages, shown = pages_of(three, studies, Words(), tmp_path_factory.mktemp("book"), seed)
    check_pages(pages, studies)
    check_text(shown)


@pytest.mark.parametrize("k", [1, 2, 3, 60])
def test_each_size(three, tmp_path, k):
    studies = [MadeUp(shift=0.01 * (i % 3), precision=20.0) for i in range(k)]
    pages, shown = pages_of(three, studies, Words(), tmp_path)
    check_pages(pages, studies)
    check_text(shown)
    if k == 1:
        for name in (
            "index",
            "results_lagged",
            "results_crosslevel",
            "results_estimators",
            "results_outcome",
        ):
            assert not re.search(r"\b[Pp]ooled", re.sub(r"\{doc\}`.*?`", "", pages[name])), name
    if k == 60:
        for name, text in pages.items():
            assert "**Few studies.**" not in text and "little power" not in text, name


def check_pages(pages: dict[str, str], studies: list[MadeUp]) -> None:
    """What must hold on every page, whatever the studies are."""
    k = sum(study.estimable for study in studies)
    for text in pages.values():
        check_text(text)
        for page in re.findall(r"\{doc\}`(?:.*<)?([\w/]+)>?`", text):
            assert page in pages or page.startswith("notebooks/") or page in ("for_software", "references"), (
                page
            )
    index, discussion = pages["index"], pages["discussion"]
    enrolled, included = re.search(r"with (.*) participants, of whom (.*)\n", index).groups()
    assert number(included) <= number(enrolled)
    assert number(included) == sum(study.n for study in studies)
    if k == 0:
        assert "nothing can be concluded" in discussion
    wanted = {"results_joint": 3, "results_influence": 3, "results_small_study": 3, "results_sensitivity": 2}
    for page, fewest in wanted.items():
        assert (page in pages) == (k >= fewest)
    for said_of in re.findall(r"pooled over (\d+) studies", "".join(pages.values())):
        assert 2 <= int(said_of) <= k
    if "neither within-person effect" in discussion or "reciprocal: each" in discussion:
        ends = intervals(discussion.split("## What limits")[0])
        zero = [low <= 0 <= high for low, high in ends]
        assert zero in ([True, True], [False, False]) and zero[0] == ("neither" in discussion)


def check_text(text: str) -> None:
    """No missing number, no empty bracket; and an interval includes zero exactly where it is said to."""
    assert not re.search(r"\b(nan|NaN|inf)\b|\bNone\b(?! of)", text)
    assert "[–" not in text and "–]" not in text and "[]" not in text and "()" not in text
    assert not re.search(r"\b1 (studies|countries)\b", text)
    pattern = r"CI (\[[^\]]*\])\)[^()]*\((?:[^()]*; )?the interval (excludes|includes) zero"
    for ends, verdict in re.findall(pattern, text):
        ((low, high),) = intervals(ends)
        assert (low > 0 or high < 0) == (verdict == "excludes"), (ends, verdict)


def intervals(text: str) -> list[tuple[float, float]]:
    """The intervals in a text."""
    found = re.findall(r"\[([−\d.]+), ([−\d.]+)\]", text)
    return [(float(a.replace("−", "-")), float(b.replace("−", "-"))) for a, b in found]


def number(text: str) -> int:
    """``at least 1,234``."""
    return int(text.removeprefix("at least ").replace(",", ""))


#: Words of one field.
OF_THERAPY = re.compile(r"patient|session|alliance|therap|symptom", re.I)


def own_names_left_out(text: str) -> str:
    """A text without names of the package's API: code, parameters, values in parentheses, addresses of pages."""
    text = re.sub(r"`[^`]*`|^ {4}.*$", " ", text, flags=re.M)
    text = re.sub(r"\((?:patient|session)\)|\b\w*(?:_session|_sessions|session_|patient_)\w*\b", " ", text)
    return re.sub(r"none \| session \| patient", " ", text)


def games_of(three):
    """The same data as of players."""
    x, y = replace(three.x, name="hours", label="hours played"), replace(three.y, name="mood", label="mood")
    about = {"title": "Playing and mood", "note": "Diaries of players.", "words": PLAYERS}
    columns = three.studies.assign(
        x_instrument="hours", y_instrument="SPANE", setting="", treatment="", design=""
    )
    return replace(three, x=x, y=y, studies=columns, **about)


@pytest.mark.parametrize("k", [1, 6])
def test_a_book_of_players_and_days(three, tmp_path, k):
    pages, shown = pages_of(
        games_of(three), [MadeUp(has_outcome=i != 2) for i in range(k)], PLAYERS, tmp_path
    )
    for name, text in pages.items():
        found = OF_THERAPY.findall(own_names_left_out(text.replace("Synthetic study", "")))
        assert not found, (
            name,
            found,
            [t for t in text.splitlines() if OF_THERAPY.search(own_names_left_out(t))],
        )
    left = [t for t in shown.splitlines() if OF_THERAPY.search(own_names_left_out(t))]
    assert not left, left
    assert "After a day with hours played one unit above the player's own mean" in pages["results_lagged"]


@pytest.mark.parametrize("name", [notebook.name for notebook in STAGE1])
def test_the_chapter_of_a_study_of_players(three, monkeypatch, name):
    shown = study_shown(name, games_of(three), "S01", monkeypatch)
    text = plain("\n".join(shown))
    left = [t for t in text.splitlines() if OF_THERAPY.search(own_names_left_out(t))]
    assert text and not left, left


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "notebooks").glob("stage?_*.ipynb")), ids=lambda p: p.stem
)
def test_the_texts_of_notebooks_follow(path):
    notebook = nbformat.read(path, as_version=4)
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    texts += [cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "") for cell in notebook.cells]
    with speaking(PLAYERS):
        found = [text for text in map(said, texts) if OF_THERAPY.search(own_names_left_out(text))]
    assert not found


@pytest.fixture(scope="module")
def lacking(drawn, tmp_path_factory):
    """Studies of which one has no intake and outcome, and one three patients with two sessions."""
    folder = write_collection(drawn, tmp_path_factory.mktemp("lacking") / "c")
    patients = pd.read_csv(folder / "patients/S02.csv", dtype=str)
    patients.assign(pre="", post="").to_csv(folder / "patients/S02.csv", index=False)
    few = pd.read_csv(folder / "patients/S03.csv", dtype=str).head(3)
    few.to_csv(folder / "patients/S03.csv", index=False)
    sessions = pd.read_csv(folder / "sessions/S03.csv", dtype=str)
    kept = sessions["patient"].isin(few["patient"]) & sessions["session"].isin(["1", "2"])
    sessions[kept].to_csv(folder / "sessions/S03.csv", index=False)
    registry = pd.read_csv(folder / "studies.csv", dtype=str)
    registry.loc[registry["study"] == "S03", "n"] = "3"
    registry.to_csv(folder / "studies.csv", index=False)
    return read_collection(folder)


@pytest.mark.parametrize("name", [notebook.name for notebook in STAGE1])
def test_the_chapter_of_a_study_that_lacks_what_it_takes(lacking, monkeypatch, name):
    text = plain("\n".join(study_shown(name, lacking, "S03", monkeypatch)))
    assert name in {"stage1_data", "stage1_estimators"} or "ot estimated" in text


def test_the_chapter_of_a_study_without_outcome_says_so(lacking, monkeypatch):
    text = plain("\n".join(study_shown("stage1_outcome", lacking, "S02", monkeypatch)))
    assert "Not computed: the study has no intake and no outcome scores." in text


def test_the_glossary_speaks_in_the_words_of_the_collection():
    text = (Path(__file__).parents[2] / "book" / "glossary.md").read_text(encoding="utf-8")
    with speaking(Words(person="player", persons="players", occasion="wave", occasions="waves")):
        spoken = said(text)
    assert re.findall(r"\b(?:patient|session)s?\b", spoken) == []
    # The Working Alliance Inventory is about therapy, whatever a book is about.
    assert "one wave later" in spoken and "alliance of client and therapist" in spoken
