"""Sphinx extension: built on an earlier build, a book is the one that a build from nothing makes.

Sphinx reads again what changed in a page's own files, and writes the pages that it read. A page also shows what is on
others: titles in its sidebar, numbers of figures, meanings of terms. Where any of that changed, all pages are written.
Sphinx' own index of the search loses words and entries of pages that are not written, and pictures that no page shows any
more stay: here they are as they should be.

What Sphinx does not look at is the frame of a book (:func:`frame`): where that changed, the book is built from nothing.
"""

import copy
import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from twostage.files import as_json
from twostage.pipeline.book.links import explained
from twostage.pipeline.code import book_libraries, code
from twostage.pipeline.content import digest

#: File of the doctrees' folder with the words of each page.
WORDS = "words.pickle"


#: What Sphinx' index knows of a page alone: title, file, headings, entries; and words, those of headings apart.
_OF_A_PAGE, _OF_WORDS = (
    ("_titles", "_filenames", "_all_titles", "_index_entries"),
    ("_mapping", "_title_mapping"),
)


#: What Sphinx' domains know that pages refer to, besides labels: functions, the works that are cited.
_OF_DOMAINS = ("objects", "citations", "citation_refs")


#: Where something is in memory, which is not what it is.
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


#: Where the names of the labels to which a page refers are kept, in Sphinx' facts about it.
_REFERS = "twostage_refers"


_BEFORE: "WeakKeyDictionary[Sphinx, tuple[dict[str, Any], dict[str, str]]]" = WeakKeyDictionary()


_WRITTEN: "WeakKeyDictionary[Sphinx, set[str]]" = WeakKeyDictionary()


#: File or folder of a book's source -> digest of its content and date.
Dates = Mapping[Path, tuple[str | None, int]]


def frame(source: Path, assets: Path) -> str:
    """What a book must have in common with an earlier one to be built on it: settings, pages, code; as JSON.

    Parameters
    ----------
    source : Path
        The book's source.
    assets : Path
        The manuscript's styles and scripts.
    """
    files = [source / name for name in ("_config.yml", "_toc.yml", "references.bib")]
    found = {path.name: digest(path) for path in [*files, assets]}
    return as_json([found, code(results=False), book_libraries()])


def dates(source: Path) -> Dates:
    """The files of a book's source, as they are."""
    files = [path for path in source.rglob("*") if path.is_file()]
    return {path: (digest(path), path.stat().st_mtime_ns) for path in files}


def keep_dates(before: Dates) -> None:
    """Give files that were written again with the same content the dates that they had: Sphinx goes by these."""
    for path, (content, date) in before.items():
        if path.is_file() and digest(path) == content:
            os.utime(path, ns=(date, date))


def _shared(env: BuildEnvironment) -> dict[str, Any]:
    """What pages show of each other."""
    domains = {
        (name, kind): sorted(
            _ADDRESS.sub("", repr(one)) for one in (found.items() if isinstance(found, dict) else found)
        )
        for name, data in env.domaindata.items()
        for kind, found in data.items()
        if kind in _OF_DOMAINS
    }
    glossary = dict(explained(env.get_doctree("glossary"))) if "glossary" in env.all_docs else {}
    renamed = {file: name for file, (_, name) in env.images.items() if Path(file).name != name}
    return {
        "titles": {page: (str(env.titles[page]), str(env.longtitles[page])) for page in env.titles},
        "numbers": (env.toc_secnumbers, env.toc_fignumbers, env.toctree_includes),
        "domains": domains,
        "glossary": glossary,
        "pictures": renamed,
    }


def _labels(env: BuildEnvironment) -> dict[str, str]:
    """What each label leads to: page, place and text, which is a figure's caption."""
    return {name: repr(found) for name, found in env.domaindata["std"]["labels"].items()}


def _remember(app: Sphinx, env: BuildEnvironment, *_: Any) -> list[str]:
    _BEFORE[app] = copy.deepcopy(_shared(env)), _labels(env)
    return []


def _note_references(app: Sphinx, tree: nodes.document) -> None:
    found = {str(reference.get("reftarget", "")).lower() for reference in tree.findall(addnodes.pending_xref)}
    app.env.metadata[app.env.docname][_REFERS] = found


def _to_write(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Which pages are to be written besides those that were read."""
    _name_pictures(env)
    (shared, labels), now = _BEFORE[app], _labels(env)
    if _shared(env) != shared:
        return list(env.all_docs)
    moved = {name for name in {*labels, *now} if labels.get(name) != now.get(name)}
    referring = [page for page in env.all_docs if moved & env.metadata[page].get(_REFERS, set())]
    # The first in any case: without any, files beside the pages would not be copied.
    return [env.config.root_doc, *referring]


def _name_pictures(env: BuildEnvironment) -> None:
    """Name pictures in the order of their files: Sphinx does it in the order in which pages were read last."""
    found = sorted(env.images.items())
    env.images.clear()
    env.images._existing.clear()
    for file, (pages, _) in found:
        for page in pages:
            env.images.add_file(page, file)


def _note_written(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    if tree is not None:
        _WRITTEN.setdefault(app, set()).add(page)


def _complete_index(app: Sphinx) -> list[Any]:
    """Put the words of pages that were not written back into the index of the search, and keep those of all pages."""
    index, file = app.builder.indexer, Path(app.doctreedir) / WORDS  # type: ignore[attr-defined]
    pages = pickle.loads(file.read_bytes()) if file.is_file() else {}
    written = _WRITTEN[app] & set(index._titles)
    pages |= {page: ({name: getattr(index, name)[page] for name in _OF_A_PAGE}, {}) for page in written}
    for name in _OF_WORDS:
        for word, there in getattr(index, name).items():
            for page in there & written:
                pages[page][1].setdefault(name, []).append(word)
        setattr(index, name, {})
    for name in _OF_A_PAGE:
        setattr(index, name, {page: pages[page][0][name] for page in sorted(pages)})
    for page, (_, words) in pages.items():
        for name, those in words.items():
            for word in those:
                getattr(index, name).setdefault(word, set()).add(page)
    file.write_bytes(pickle.dumps(pages))
    return []


def _remove_left_over(app: Sphinx, failure: Exception | None) -> None:
    """Remove pictures and downloads of earlier builds that no page has any more."""
    env = app.env
    for folder, files in (("_images", env.images), ("_downloads", env.dlfiles)):
        wanted, place = {name for _, name in files.values()}, Path(app.outdir) / folder
        for path in [p for p in place.rglob("*") if p.is_file()]:
            if path.relative_to(place).as_posix() not in wanted:
                path.unlink()


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("env-get-outdated", _remember)
    app.connect("doctree-read", _note_references)
    # After Sphinx has numbered figures.
    app.connect("env-get-updated", _to_write, priority=900)
    app.connect("html-page-context", _note_written)
    # Before headings are escaped, which must not happen twice.
    app.connect("html-collect-pages", _complete_index, priority=400)
    app.connect("build-finished", _remove_left_over)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
