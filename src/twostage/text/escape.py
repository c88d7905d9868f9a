"""The ways in which text from outside becomes output, and arrives there as the same text.

Labels, titles, notes, names of columns, files and runs are written by people whom nobody knows. Whatever they hold,
it is shown, never obeyed: in a page written in MyST (:func:`myst`, :func:`code`, :func:`fence`, :func:`option`), in HTML
(:func:`markup`), on a terminal (:func:`twostage.characters.terminal`) and in a spreadsheet
(:mod:`twostage.text.csv_cells`). In figures a text is text because :func:`twostage.pages.common.style.use_style`
switches the typesetting of formulas off. What is markup because it was made here has the type :class:`Markup`; all else is
escaped where pages are filled.

Notes alone may be emphasised and have links, written as in Markdown: ``*so*``, ``**so**`` and ``[words](address)`` with
an address that begins with ``https://``, ``http://``, ``doi:`` or ``mailto:`` (:func:`rich_myst`, :func:`rich_html`).
All else in a note is text.
"""

import html
import json
import re
import unicodedata
from collections.abc import Callable, Iterable

from markdown_it import MarkdownIt
from markdown_it.token import Token

from twostage.characters import UNSEEN

#: Protocols of a note's links.
LINKS = re.compile(r"(?:https?://|doi:|mailto:)\S+", re.I)


class Markup(str):
    """Markup that was made here; what is added to it or put into another text becomes text again."""

    __slots__ = ()


#: What means something anywhere in a line of MyST; a backslash before it makes it a letter.
_MARKS = re.compile(r"[\\`*_{}\[\]<>#&$|~]")


#: What means something where a line begins.
_FIRST = re.compile(r"^(\d*)([-+:=%(!.)])")


#: Blanks that a parser would drop, shorten or take for the indent of code.
_BLANKS = re.compile(r"^\s+|\s+$|(?<=\s)\s+")


def myst(text: object) -> Markup:
    """Any value as a piece of a line of MyST or Markdown that shows exactly this text."""
    if isinstance(text, Markup):
        return text
    line = _marked(visible(str(text)))
    if line.startswith("http"):
        # IPython takes a text that begins so for an address, and fetches what is there.
        line = f"&#104;{line[1:]}"
    return Markup(_BLANKS.sub(lambda blanks: "".join(f"&#{ord(b)};" for b in blanks[0]), line))


def _marked(line: str) -> str:
    return _FIRST.sub(r"\1\\\2", _MARKS.sub(r"\\\g<0>", line))


def paragraphs(text: str) -> Markup:
    """Text whose empty lines end paragraphs, as MyST."""
    if isinstance(text, Markup):
        return text
    return Markup("\n\n".join(myst(part) for part in text.split("\n\n")))


def visible(text: str) -> str:
    """Without what ends a line or is not seen. Readers refuse such characters; this is for what no reader saw."""
    seen = (c if c.isprintable() or unicodedata.category(c) not in UNSEEN else "\ufffd" for c in text)
    return "".join(" " if c in "\r\n\t" else s for c, s in zip(text, seen, strict=True))


def code(text: object) -> Markup:
    """A piece of code within a line of MyST."""
    line = visible(str(text))
    ticks = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    # One blank at each end is no part of the code.
    padded = f" {line} " if line.strip() and (line[0] in " `" or line[-1] in " `") else line
    return Markup(f"{ticks}{padded}{ticks}")


def fence(text: str, language: str = "") -> Markup:
    """Lines of code as a block of MyST."""
    ticks = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return Markup(f"{ticks}{language}\n{text}\n{ticks}")


def option(text: str) -> Markup:
    """The value of a directive's option: a text that YAML reads as it is."""
    return Markup(json.dumps(visible(text), ensure_ascii=False))


def image(path: str, alt: str) -> Markup:
    """A picture of the book as wide as the page, in MyST."""
    return Markup(f"```{{image}} {path}\n:alt: {option(alt)}\n:width: 100%\n```")


def markup(text: object) -> str:
    """A value within HTML, as text or in an attribute's quotes."""
    return html.escape(str(text))


def note_parser() -> MarkdownIt:
    """A parser that knows emphasis and links, and of links those that a note may have."""
    parser = MarkdownIt("zero").enable(["emphasis", "link", "escape"])
    # The parser's documentation says to replace this method.
    parser.validateLink = lambda address: LINKS.fullmatch(address) is not None  # type: ignore[method-assign, assignment]
    return parser


_NOTE = note_parser()


_MYST = {"em_open": "*", "em_close": "*", "strong_open": "**", "strong_close": "**"}


_HTML = {"em_open": "<em>", "em_close": "</em>", "strong_open": "<strong>", "strong_close": "</strong>"}


def _address(address: str) -> str:
    return f"https://doi.org/{address[4:]}" if address.lower().startswith("doi:") else address


def _tokens(note: str) -> Iterable[Token]:
    return _NOTE.parseInline(visible(" ".join(note.split())))[0].children or ()


def rich_texts(note: str) -> list[str]:
    """The texts of which a note consists, without its marks."""
    return [token.content for token in _tokens(note) if token.content]


def rich_myst(note: str) -> Markup:
    """A note as a line of MyST: emphasis and links as they are meant, all else as text."""
    return inline_myst(_tokens(note))


def inline_myst(
    tokens: Iterable[Token], pieces: Callable[[str], Iterable[str]] = lambda text: (text,)
) -> Markup:
    """What a parser of :func:`note_parser` found in a line, as MyST.

    Parameters
    ----------
    tokens : iterable of markdown_it.token.Token
    pieces : callable
        Takes a text apart into texts and :class:`Markup`, which stays as it is.
    """
    parts, address = [], ""
    for token in tokens:
        if token.type == "link_open":
            address = re.sub(r"[<>\\\s]", "", _address(str(token.attrs["href"])))
            parts.append("[")
        elif token.type == "link_close":
            # In angle brackets only these, which were taken out, could end an address.
            parts.append(f"](<{address}>)")
        elif token.type in _MYST:
            parts.append(_MYST[token.type])
        else:
            found = pieces(visible(token.content or " "))
            parts += [piece if isinstance(piece, Markup) else _shown(piece) for piece in found]
    return Markup("".join(parts))


def _shown(text: str) -> str:
    # A link after an exclamation mark is no picture.
    return rf"{_marked(text[:-1])}\!" if text.endswith("!") else _marked(text)


def rich_html(note: str) -> str:
    """A note as HTML."""
    parts = []
    for token in _tokens(note):
        if token.type == "link_open":
            parts.append(f'<a href="{markup(_address(str(token.attrs["href"])))}">')
        elif token.type == "link_close":
            parts.append("</a>")
        else:
            parts.append(_HTML.get(token.type) or markup(token.content))
    return "".join(parts)
