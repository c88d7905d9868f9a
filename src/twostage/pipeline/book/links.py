"""Sphinx extension: the words of a page lead where they are explained, and the names of studies to their chapters.

The first use of each term of the glossary on a page is a link that shows its meaning without a request. Names of studies
are links wherever they stand: in sentences and in the cells that :func:`twostage.display.html_table` marks.
"""

import re
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from twostage.text import markup

#: Name of the setting with the studies: id -> label.
STUDIES = "twostage_studies"


#: The page with the words.
GLOSSARY = "glossary"


#: Pages whose words are code.
_CODE = ("api/", "genindex")


#: What is no sentence, or a link already.
_CLOSED = (
    *(
        nodes.title,
        nodes.reference,
        nodes.literal,
        nodes.literal_block,
        nodes.raw,
        nodes.math,
        nodes.math_block,
    ),
    *(nodes.term, nodes.rubric, nodes.target, nodes.comment, addnodes.download_reference, addnodes.desc),
)


#: Letters of a name that can be told from a word of a sentence.
_NAME = 4


#: Letters of what is shown of a meaning.
_MEANING = 300


_FOUND: "WeakKeyDictionary[Sphinx, dict[str, tuple[str, str]]]" = WeakKeyDictionary()


_CELL = re.compile(r'<td class="study">(?P<name>[^<]*)</td>')


def _meanings(app: Sphinx) -> dict[str, tuple[str, str]]:
    """Terms of the glossary: place on its page, and meaning; looked up once in a build."""
    found = _FOUND.get(app)
    if found is None:
        page = app.env.get_doctree(GLOSSARY) if GLOSSARY in app.env.all_docs else nodes.Element()
        found = _FOUND[app] = dict(explained(page))
    return found


def explained(page: nodes.Element) -> Iterator[tuple[str, tuple[str, str]]]:
    """Terms of the glossary, each with its place on its page and its meaning."""
    for item in page.findall(nodes.definition_list_item):
        text = " ".join(item[-1].astext().split())
        shown = text if len(text) <= _MEANING else text[:_MEANING].rsplit(" ", 1)[0] + " …"
        for term in item.findall(nodes.term):
            if term["ids"]:
                yield term.astext().strip(), (term["ids"][0], shown)


def _chapters(app: Sphinx, page: str) -> dict[str, str]:
    """Names that lead from a page to a chapter; not to the chapter that it is of, and none that two studies have."""
    studies = app.config[STUDIES]
    labels = list(studies.values())
    return {
        name: f"notebooks/{study}/index"
        for study, label in studies.items()
        for name in {study, label}
        if not page.startswith(f"notebooks/{study}/")
        and f"notebooks/{study}/index" in app.env.all_docs
        and (name == study or (labels.count(label) == 1 and label not in studies))
    }


class _Linker:
    """Makes links of the words of one page."""

    def __init__(self, app: Sphinx, page: str):
        self._uri = lambda to: app.builder.get_relative_uri(page, to)
        self._meanings = _meanings(app) if page != GLOSSARY else {}
        labels = set(app.config[STUDIES].values())
        # An id may be a year; in a sentence only a label is a name.
        self._chapters = {
            name: to
            for name, to in _chapters(app, page).items()
            if name in labels and len(name) >= _NAME and any(map(str.isalpha, name))
        }
        self._terms = {term.lower(): term for term in self._meanings}
        names = sorted(self._chapters, key=len, reverse=True)
        terms = sorted(self._meanings, key=len, reverse=True)
        parts = [*(f"(?P<study{i}>{re.escape(n)})" for i, n in enumerate(names))]
        parts += [f"(?P<term>(?:{'|'.join(map(_as_written, terms))}))s?"] if terms else []
        self._wanted = re.compile(rf"(?<![\w-])(?:{'|'.join(parts)})(?![\w-])") if parts else None

    def link(self, tree: nodes.document) -> None:
        """Put the links in."""
        if self._wanted is None:
            return
        self._explain_those_there(tree)
        for node in list(tree.findall(nodes.Text)):
            if not _closed(node) and node.parent is not None:
                parts = list(self._parts(str(node)))
                if any(isinstance(part, nodes.reference) for part in parts):
                    node.parent.replace(node, parts)

    def _explain_those_there(self, tree: nodes.document) -> None:
        places = {place: term for term, (place, _) in self._meanings.items()}
        for reference in tree.findall(nodes.reference):
            term = places.get(str(reference.get("refuri", "")).partition("#")[2])
            if term:
                reference["reftitle"] = self._meanings[term][1]
                self._terms.pop(term.lower(), None)

    def _parts(self, text: str) -> Iterator[nodes.Node]:
        end = 0
        for found in self._wanted.finditer(text) if self._wanted else ():
            link = self._reference(found)
            if link is not None:
                yield nodes.Text(text[end : found.start()])
                yield link
                end = found.end()
        yield nodes.Text(text[end:])

    def _reference(self, found: re.Match[str]) -> nodes.reference | None:
        said = found["term"] if "term" in found.re.groupindex else None
        if said is None:
            return nodes.reference(
                found[0], found[0], internal=True, refuri=self._uri(self._chapters[found[0]])
            )
        # Each once on a page.
        term = self._terms.pop(said.lower(), None)
        if term is None:
            return None
        place, meaning = self._meanings[term]
        about: dict[str, Any] = {"reftitle": meaning, "classes": ["term"]}
        return nodes.reference(
            found[0], found[0], internal=True, refuri=f"{self._uri(GLOSSARY)}#{place}", **about
        )


def _as_written(term: str) -> str:
    """A term as it may begin a sentence; a name or sign only as it is."""
    first, rest = term[0], re.escape(term[1:])
    return f"[{first}{first.upper()}]{rest}" if term.islower() and len(term) > 1 else re.escape(term)


def _closed(node: nodes.Node | None) -> bool:
    while node is not None:
        if isinstance(node, _CLOSED):
            return True
        node = node.parent
    return False


def _link(app: Sphinx, tree: nodes.document, page: str) -> None:
    if app.builder.format == "html" and not page.startswith(_CODE):
        _Linker(app, page).link(tree)


def _cells(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    chapters = {markup(name): to for name, to in _chapters(app, page).items()}

    def linked(cell: re.Match[str]) -> str:
        to = chapters.get(cell["name"])
        return (
            cell[0]
            if to is None
            else f'<td class="study"><a href="{context["pathto"](to)}">{cell["name"]}</a></td>'
        )

    if "body" in context:
        context["body"] = _CELL.sub(linked, context["body"])


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_config_value(STUDIES, {}, "env")
    app.connect("doctree-resolved", _link, priority=900)
    app.connect("html-page-context", _cells)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
