"""Every hostile text in every text field of every input: refused by name, or shown as the same text."""

import html
import re
import shutil
from pathlib import Path

import pytest
import yaml
from hostile import COLUMNS, REFUSED, SHOWN, TEXTS, UNSEEN, write_registry
from myst_parser.config.main import MdParserConfig
from myst_parser.mdit_to_docutils.base import DocutilsRenderer
from myst_parser.parsers.mdit import create_md_parser

from twostage.collection.collection import read_collection
from twostage.collection.registry import read_registry
from twostage.collection.settings import Variable, read_settings
from twostage.collection.study_ids import why_not
from twostage.display import html_table, show_text
from twostage.importing.mapping import ImportMapping, check_mapping
from twostage.importing.source import ImportProblems
from twostage.pages.common.tables import collection_heading
from twostage.pages.study.tables import study_heading
from twostage.params import make_parameters
from twostage.pipeline.book.pages import Pages
from twostage.pipeline.entry import RUN_NAME
from twostage.problems import ParameterError
from twostage.simulation.simulate import simulate_collection, write_collection
from twostage.text.refused import text_problems

BOOK = Path(__file__).parents[2] / "book"
EXTENSIONS = yaml.safe_load((BOOK.parent / "_config.yml").read_text(encoding="utf-8"))["parse"][
    "myst_enable_extensions"
]
PARSER = create_md_parser(MdParserConfig(enable_extensions=set(EXTENSIONS)), DocutilsRenderer)


def shown(source: str) -> str:
    """The text that a page in MyST shows, its tables in HTML included."""
    text = ""
    for token in PARSER.parse(source):
        assert token.type != "fence" and "directive" not in token.type, token
        if token.type == "html_block":
            text += html.unescape(re.sub("<[^>]*>", "", token.content))
        for part in token.children or ():
            assert part.type not in {"html_inline", "image", "math_inline", "myst_role"}, part
            text += part.content
        text += "\n"
    return text


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clean") / "data"
    write_collection(simulate_collection(1, n_studies=17, n_patients=340), folder)
    return folder


@pytest.fixture
def collection(clean, tmp_path) -> Path:
    return Path(shutil.copytree(clean, tmp_path / "data"))


def pages_of(folder: Path, text: dict[str, list[str]]) -> None:
    """Check that a study's page, headings and table show a collection's texts."""
    collection = read_collection(folder)
    studies = collection.studies
    table = shown(f"<div>\n\n{html_table(studies[COLUMNS])}\n\n</div>")
    context = {"note": "n"}
    for row in studies.to_dict("records"):
        facts = {column: row[column] for column in COLUMNS}
        page = shown(Pages(BOOK, context).render("study.md.j2", study=row, facts=facts, against=None))
        heading = shown(study_heading(collection, row["study"]).data)
        said = shown(show_text(f"{row['label']} is in.").data)
        for column in COLUMNS:
            if row[column] in text[column]:
                assert row[column] in page, column
                assert row[column] in table, column
        assert row["label"] in heading and row["x_instrument"] in heading
        assert said.strip("\n") == f"{row['label']} is in."


@pytest.mark.parametrize("shift", range(0, len(TEXTS), 17))
def test_texts_of_the_registry_are_shown_as_they_are(collection, shift):
    chosen = [TEXTS[(shift + i) % len(TEXTS)] for i in range(17)]
    write_registry(collection, [dict.fromkeys(COLUMNS, text) for text in chosen])
    found = read_collection(collection)
    for column in COLUMNS:
        assert found.studies[column].tolist() == chosen
    pages_of(collection, dict.fromkeys(COLUMNS, chosen))


@pytest.mark.parametrize("column", COLUMNS)
def test_unseen_characters_in_the_registry_are_named(collection, column):
    write_registry(collection, [{column: text} for text in (UNSEEN * 2)[:17]])
    _, problems = read_registry(collection)
    named = [p for p in problems if p.file == "studies.csv" and p.column == column]
    # An end of a line that Windows would write makes the file itself one to repair.
    assert len(named) >= 16 - sum("\r" in text for text in UNSEEN[:17])
    assert all(re.search(r"U\+[0-9A-F]{4}", str(p)) for p in named)


@pytest.mark.parametrize("key", ["title", "note", "authors", "x.label", "y.label", "x.name", "review.search"])
def test_texts_of_the_settings(collection, key):
    content = yaml.safe_load((collection / "collection.yml").read_text(encoding="utf-8"))
    part, _, name = key.rpartition(".")
    place = content.setdefault(part, {}) if part else content
    for text in [*TEXTS, *UNSEEN]:
        place[name] = text
        (collection / "collection.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
        settings, problems = read_settings(collection)
        unseen = text in UNSEEN and not (key in ("note", "review.search") and text == "a\nb")
        if unseen:
            assert [p for p in problems if p.column == key and "U+" in p.expected], (key, text)
        else:
            assert not problems, (key, text)
            found = getattr(getattr(settings, part) if part else settings, name)
            assert found == text


def test_titles_labels_and_notes_in_headings(collection):
    plain = read_collection(collection)
    for text in TEXTS:
        named = Variable("x", text, "higher")
        changed = type(plain)(
            **{f: getattr(plain, f) for f in plain.__dataclass_fields__} | {"title": text, "x": named}
        )
        assert text in shown(collection_heading(changed).data), text
        page = Pages(BOOK, {"title": text, "arrow": text}).render
        assert callable(page)


def test_the_dictionary(collection):
    rows = (collection / "dictionary.csv").read_text(encoding="utf-8").splitlines()
    for text in UNSEEN:
        quoted = '"' + text.replace('"', '""') + '"'
        changed = [*rows, f"extra,{quoted},,,,"]
        (collection / "dictionary.csv").write_bytes(("\n".join(changed) + "\n").encode())
        _, problems = read_registry(collection)
        assert [p for p in problems if p.file == "dictionary.csv"], repr(text)


MAPPING = {
    "layout": "long",
    "patient": "id",
    "session": "s",
    "x": "a",
    "y": "b",
    "study": {"label": "x"},
}


@pytest.mark.parametrize("text", UNSEEN)
def test_a_mapping(text):
    with pytest.raises(ImportProblems, match=r"U\+|study\.label"):
        check_mapping(MAPPING | {"study": {"label": text}}, "m.yml")
    # Columns are called as the file calls them, on several lines if it does.
    if text not in ("a\nb", "a\rb", "a\tb"):
        with pytest.raises(ImportProblems, match=r"U\+"):
            check_mapping(MAPPING | {"patient": text}, "m.yml")


def test_a_mapping_takes_what_can_be_shown():
    for text in TEXTS:
        assert isinstance(check_mapping(MAPPING | {"study": {"label": text}}, "m.yml"), ImportMapping)


@pytest.mark.parametrize("text", [*TEXTS, *UNSEEN])
def test_names_of_studies_runs_and_parameters_are_plain(text):
    if text.strip("L"):
        assert why_not(text)
        assert RUN_NAME.fullmatch(text) is None
    for name in ("standardize", "tau2_method", "last_session", text):
        with pytest.raises(ParameterError):
            make_parameters({name: text})


@pytest.mark.parametrize("text", UNSEEN)
def test_texts_of_a_bundle(text):
    assert text_problems("report.json", {"remains": [text]})
    assert text_problems("report.json", {text: 1})


def test_the_lists_have_every_kind():
    kinds = {
        "CommonMark",
        "MyST",
        "Jinja",
        "HTML",
        "LaTeX",
        "mathtext",
        "CSV formula",
        "terminal",
        "bidi",
        "languages",
    }
    assert kinds <= {*SHOWN, *REFUSED}
