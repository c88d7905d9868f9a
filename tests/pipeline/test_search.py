"""A search serves readers: manuscript, glossary and how-to before notebooks, notebooks before functions."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from made_up import REPOSITORY, MadeUp, book_text, collection_of, records_of, without_pictures

from twostage.pipeline.book.config import SCORER

BOOK = REPOSITORY / "book"

#: What readers look for.
SEARCHES = [
    "heterogeneity",
    "prediction interval",
    "dropout",
    "missing data",
    "WAI",
    "RI-CLPM",
    "bias",
    "how to cite",
]
SEARCHES += [
    "import SPSS",
    "share results",
    "moderators",
    "effect size",
    "synthetic",
    "window",
    "one study out",
]

SETTINGS = """extensions = ["myst_parser", "sphinxcontrib.bibtex", "twostage.pipeline.book.numbered"]
bibtex_bibfiles = ["references.bib"]
myst_enable_extensions = {extensions}
html_theme = "basic"
{scorer}
"""


def built(folder: Path, pages: dict[str, str], scorer: bool) -> Path:
    """The search index of pages, made by Sphinx without the theme."""
    source = folder / "source"
    for name, text in pages.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / f"{name}.md").write_text(text, encoding="utf-8")
    shutil.copy(BOOK / "references.bib", source)
    shutil.copy(BOOK / "assets" / SCORER, source)
    extensions = yaml.safe_load((REPOSITORY / "_config.yml").read_text())["parse"]["myst_enable_extensions"]
    line = f"html_search_scorer = {str(source / SCORER)!r}" if scorer else ""
    (source / "conf.py").write_text(SETTINGS.format(extensions=extensions, scorer=line))
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", str(source), str(folder / "html")]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return folder / "html"


def found(html: Path) -> dict[str, list[str]]:
    """Search -> pages in the order in which a reader sees them."""
    script = Path(__file__).with_name("search.node.mjs")
    command = ["node", str(script), str(html), json.dumps(SEARCHES)]
    finished = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert finished.returncode == 0, finished.stderr
    return dict(zip(SEARCHES, json.loads(finished.stdout), strict=True))


@pytest.fixture(scope="module")
def pages(three, tmp_path_factory) -> dict[str, str]:
    """The manuscript of a made-up collection, and notebooks and functions whose titles are what readers look for."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        shown = without_pictures(monkeypatch)
        studies = [MadeUp(shift=0.05 * i) for i in range(6)]
        collection = collection_of(three, studies)
        records = records_of(studies, collection, 1)
        text = book_text(tmp_path_factory.mktemp("book"), collection, records, monkeypatch, shown)
    text |= {name: (BOOK / f"{name}.md").read_text() for name in ("machines", "references")}
    for i, query in enumerate(SEARCHES):
        text[f"notebooks/S01/n{i}"] = f"# {query}\n\n{query}, printed by a command.\n"
        text[f"api/f{i}"] = f"# {query}\n\n{query}, a function.\n"
    return text


@pytest.mark.skipif(not shutil.which("node"), reason="needs node, which runs the search page's scripts")
@pytest.mark.slow
def test_the_first_hits_are_for_readers(pages, tmp_path):
    hits = found(built(tmp_path / "with", pages, scorer=True))
    for query, places in hits.items():
        first = list(dict.fromkeys(places))[:3]
        readers = [place for place in dict.fromkeys(places) if "/" not in place]
        assert readers, query
        assert first[: len(readers)] == readers[:3], (query, first)
        api = [i for i, place in enumerate(places) if place.startswith("api/")]
        assert not api or min(api) > max(i for i, p in enumerate(places) if not p.startswith("api/")), query
    assert [
        query for query, places in hits.items() if len([p for p in set(places) if "/" not in p]) < 2
    ] == []
    # Without the scorer it is not so: what has the words as its title comes first.
    plain = found(built(tmp_path / "without", pages, scorer=False))
    assert any("/" in places[0] for places in plain.values())
