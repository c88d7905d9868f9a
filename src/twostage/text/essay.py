"""Texts of several paragraphs from outside, as a collection's introduction: a small part of Markdown, all else is text.

What a note may have (:mod:`twostage.text.escape`) a text of several paragraphs may have too; besides headings (``##``,
``###``), lists, and citations of works that the book knows: ``[@key]``, ``[@key; @other]``, or ``@key`` in a sentence.
"""

import re
from collections.abc import Collection, Iterator

from markdown_it.token import Token

from twostage.text.escape import Markup, inline_myst, note_parser

_PARSER = note_parser().enable(["heading", "list", "newline"])


_KEY = r"@([A-Za-z][\w:-]*\w)"


_CITED = re.compile(rf"\[{_KEY}(?:; {_KEY})*\]|(?<![\w@]){_KEY}")


def essay_myst(text: str, works: Collection[str] = ()) -> Markup:
    """A text of several paragraphs as a block of MyST.

    Parameters
    ----------
    text : str
    works : collection of str
        Keys of the works that it may cite; what would cite others is text.
    """
    return Markup("\n\n".join(_blocks(_PARSER.parse(text), works)))


def essay_texts(text: str) -> list[str]:
    """The texts of which it consists, without its marks."""
    inlines = (token for token in _PARSER.parse(text) if token.type == "inline")
    return [piece.content for token in inlines for piece in token.children or () if piece.content]


def _blocks(tokens: list[Token], works: Collection[str]) -> Iterator[str]:
    marks: list[str] = []  # of the lists that are open, the innermost last
    begun = True
    level = ""
    for token in tokens:
        if token.type in ("bullet_list_open", "ordered_list_open"):
            marks.append("- " if token.type.startswith("bullet") else "1. ")
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            marks.pop()
        elif token.type == "list_item_open":
            begun = False
        elif token.type == "heading_open":
            # The page has its own first heading.
            level = "#" * max(2, min(3, len(token.markup))) + " "
        elif token.type == "inline":
            line = _line(token, works)
            if line:
                yield _indented(level + line, marks, begun)
            begun, level = True, ""


def _indented(line: str, marks: list[str], begun: bool) -> str:
    """A line in its list: the first of an item has the item's mark, further ones stand below its text."""
    if not marks:
        return line
    outer = " " * sum(map(len, marks[:-1]))
    return outer + (" " * len(marks[-1]) if begun else marks[-1]) + line


def _line(token: Token, works: Collection[str]) -> str:
    return inline_myst(token.children or (), lambda text: _pieces(text, works)).strip()


def _pieces(text: str, works: Collection[str]) -> Iterator[str]:
    """A text, its citations as roles: each piece either plain text or :class:`~twostage.text.escape.Markup`."""
    end = 0
    for match in _CITED.finditer(text):
        keys = re.findall(_KEY, match[0])
        if not all(key in works for key in keys):
            continue
        yield text[end : match.start()]
        yield Markup(f"{{cite:{'p' if match[0][0] == '[' else 't'}}}`{','.join(keys)}`")
        end = match.end()
    yield text[end:]
