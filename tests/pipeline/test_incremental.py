"""A book built on an earlier build is, byte for byte, the one that a build from nothing makes."""

import os
import shutil
from pathlib import Path

import pytest
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils
from standin import REPOSITORY, change_scores, run_twostage

from twostage.pipeline.book.build import FRAME, _built_on
from twostage.pipeline.book.footer import PLACE, place_footers
from twostage.pipeline.book.imprint import CITE_ADDRESS
from twostage.pipeline.book.incremental import dates, frame, keep_dates
from twostage.pipeline.book.scripts import FOREST
from twostage.simulation.simulate import simulate_collection, write_collection

#: Three pages; the second refers to a figure of the first and to a heading of the third, the first has words of its own.
PAGES = {
    "index": "Whole\n=====\n\n.. toctree::\n\n   first\n   second\n   third\n",
    "first": "First\n=====\n\nZebras graze.\n\n.. _herd:\n\n.. figure:: herd.png\n\n   A herd\n\n.. index:: grass\n",
    "second": "Second\n======\n\nSee :numref:`herd`, :ref:`herd` and :ref:`rain`.\n",
    "third": "Third\n=====\n\n.. _rain:\n\nRainy season\n------------\n\nWater.\n\n.. figure:: b/herd.png\n\n   Again\n",
}


def build(source: Path, place: Path) -> set[str]:
    """Build with Sphinx alone; the pages that were written."""
    written = set()
    settings = {
        "extensions": [f"twostage.pipeline.book.{name}" for name in ("incremental", "scripts")],
        "numfig": True,
        "html_copy_source": False,
        "html_static_path": [str(source / "assets")],
    }
    with patch_docutils(), docutils_namespace():
        app = Sphinx(
            source, None, place / "html", place / "doctrees", "html", settings | {"project": "P"}, None, None
        )
        app.connect(
            "html-page-context",
            lambda app, page, template, context, tree: written.add(page) if tree else None,
        )
        app.build()
    return written


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "b").mkdir(parents=True)
    for name, text in PAGES.items():
        (folder / f"{name}.rst").write_text(text)
    (folder / "assets").mkdir()
    for name in ("herd.png", "b/herd.png", f"assets/{FOREST.data}", f"assets/{FOREST.script}"):
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.mark.parametrize(
    ("page", "old", "new", "written"),
    [
        ("first", "Zebras", "Okapis", {"index", "first"}),
        ("first", "A herd", "Two herds", {"index", "first", "second"}),
        ("third", "Rainy season", "Dry season", {"index", "second", "third"}),
        ("third", "Third\n=====", "Fourth\n======", set(PAGES)),
        ("first", ".. figure:: herd.png\n\n   A herd", "Elsewhere\n---------\n", set(PAGES)),
        ("third", ".. figure:: b/herd.png\n\n   Again", "Gone.", set(PAGES)),
    ],
)
def test_pages_that_differ_are_written_and_the_book_is_that_of_a_build_from_nothing(
    source, tmp_path, page, old, new, written
):
    assert build(source, tmp_path / "kept") == set(PAGES)
    before, file = dates(source), source / f"{page}.rst"
    assert old in file.read_text()
    for path in source.glob("*.rst"):
        path.write_text(path.read_text())
    file.write_text(file.read_text().replace(old, new))
    keep_dates(before)
    assert build(source, tmp_path / "kept") == written
    build(source, tmp_path / "new")
    assert tree(tmp_path / "kept" / "html") == tree(tmp_path / "new" / "html")


def test_a_page_with_a_live_picture_is_written_where_its_data_are_others(source, tmp_path):
    text = f'Live\n====\n\n.. raw:: html\n\n   <div class="{FOREST.css}"></div>\n'
    (source / "second.rst").write_text(text)
    build(source, tmp_path / "kept")
    (source / "assets" / FOREST.data).write_text("other")
    # As a build of the book begins, so that marks of the files are those of a build from nothing.
    shutil.rmtree(tmp_path / "kept" / "html" / "_static")
    assert build(source, tmp_path / "kept") == {"index", "second"}
    build(source, tmp_path / "new")
    assert tree(tmp_path / "kept" / "html") == tree(tmp_path / "new" / "html")


def test_only_what_is_as_it_was_keeps_its_date(tmp_path):
    for name in ("same", "other", "gone"):
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, ns=(10**18, 10**18))
    before = dates(tmp_path)
    (tmp_path / "same").write_text("same")
    (tmp_path / "other").write_text("changed")
    (tmp_path / "gone").unlink()
    keep_dates(before)
    assert (tmp_path / "same").stat().st_mtime_ns == 10**18
    assert (tmp_path / "other").stat().st_mtime_ns > 10**18


@pytest.mark.parametrize("changed", ["_config.yml", "_toc.yml", "references.bib", "assets/book.css"])
def test_what_all_pages_have_in_common_is_the_frame(tmp_path, changed):
    (tmp_path / "assets").mkdir()
    for name in ("_config.yml", "_toc.yml", "references.bib", "assets/book.css", "index.md"):
        (tmp_path / name).write_text("before")
    before = frame(tmp_path, tmp_path / "assets")
    (tmp_path / "index.md").write_text("after")
    assert frame(tmp_path, tmp_path / "assets") == before
    (tmp_path / changed).write_text("after")
    assert frame(tmp_path, tmp_path / "assets") != before


def test_a_build_that_failed_or_has_another_frame_is_not_built_on(tmp_path):
    built = tmp_path / "built"

    def build_with(frame: str) -> bool:
        """Whether there was something to build on."""
        with _built_on(built, frame):
            found = (built / "page").exists()
            built.mkdir(exist_ok=True)
            (built / "page").touch()
        return found

    assert [build_with(frame) for frame in ("a", "a", "b", "b")] == [False, True, False, True]
    with pytest.raises(RuntimeError), _built_on(built, "b"):
        raise RuntimeError("Sphinx failed")
    assert not (built / FRAME).exists()
    assert not build_with("b")


def test_the_foot_leads_from_each_page_to_the_same(tmp_path):
    (tmp_path / "notebooks" / "S01").mkdir(parents=True)
    pages = {"index.html": "", "notebooks/S01/index.html": "../../"}
    for name in pages:
        (tmp_path / name).write_text(f"<p>{PLACE}</p>")
    place_footers(
        tmp_path, f'<a href="{CITE_ADDRESS}">How</a> <a href="TWOSTAGE-BESIDE/results/effects.csv">e</a>'
    )
    for name, up in pages.items():
        said = f'<p><a href="{up}how_to_cite.html">How</a> <a href="{up}results/effects.csv">e</a></p>'
        assert (tmp_path / name).read_text() == said


@pytest.mark.slow
def test_one_studys_data_changed_makes_the_book_of_a_build_from_nothing(tmp_path):
    write_collection(simulate_collection(7, n_studies=4, n_patients=320), tmp_path / "data")
    out = tmp_path / "run"

    def run() -> None:
        finished = run_twostage(REPOSITORY, "run", str(tmp_path / "data"), "--out", str(out))
        assert finished.returncode == 0, finished.stdout + finished.stderr

    run()
    built = out / "book_build" / "_build" / "html" / "notebooks"
    before = {
        page: (built / page).stat().st_mtime_ns
        for page in ("S02/stage1_lagged.html", "S03/stage1_lagged.html")
    }
    change_scores(tmp_path, "S03")
    run()
    kept, found = (
        {p: (built / p).stat().st_mtime_ns == date for p, date in before.items()},
        tree(out / "html"),
    )
    assert kept == {"S02/stage1_lagged.html": True, "S03/stage1_lagged.html": False}
    shutil.rmtree(out / "book_build")
    shutil.rmtree(out / "html")
    run()
    again = tree(out / "html")
    assert {name for name in {*found, *again} if found.get(name) != again.get(name)} == set()
