"""Which characters a text from outside may have: those that people see, on one line."""

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

from twostage.problems import Problem

#: Unicode's categories of what is not seen: control and format characters (zero-width ones and those that turn the
#: direction of writing are among the latter), halves of characters, ends of lines and paragraphs.
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}

#: Letters and marks by category that are nevertheless blank: joiners and fillers.
FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")

#: Longest text of a field, in characters. Longer ones would burst tables and figures.
LONGEST = 500

#: Longest note of a collection.
LONGEST_NOTE = 5000

EXPECTED = "a text on one line without control, zero-width and direction-turning characters"


def unseen(text: str, lines: bool = False) -> str:
    """The first character of a text that nobody sees, by its code point and place; empty if there is none.

    Parameters
    ----------
    text : str
    lines : bool
        Whether ends of lines are allowed.
    """
    for place, letter in enumerate(text, start=1):
        if letter in FILLERS or (unicodedata.category(letter) in UNSEEN and not (lines and letter == "\n")):
            name = unicodedata.name(letter, "control character" if ord(letter) < 0xA0 else "")
            return f"U+{ord(letter):04X}{f' ({name})' if name else ''} at place {place}"
    return ""


def text_problem(
    file: str, row: int | None, column: str | None, text: str, note: bool = False
) -> Problem | None:
    """What is wrong with a text field, or None.

    Parameters
    ----------
    file, row, column
        Where it stands, as of :class:`~twostage.problems.Problem`.
    text : str
    note : bool
        Whether it is a note, which may be long and have several lines.
    """
    longest = LONGEST_NOTE if note else LONGEST
    if found := unseen(text, lines=note):
        expected = EXPECTED.replace("a text on one line", "a text") if note else EXPECTED
        return Problem(file, row, column, text[:80], f"{expected}; it has {found}")
    if len(text) > longest:
        return Problem(
            file, row, column, f"{text[:40]}...", f"at most {longest} characters; these are {len(text):,}"
        )
    return None


def text_problems(file: str, content: Any, notes: Iterable[str] = (), key: str = "") -> Iterator[Problem]:
    """What is wrong with the texts, names included, in values as YAML and JSON have them.

    Parameters
    ----------
    file : str
    content : object
    notes : iterable of str
        Keys whose text is a note.
    key : str
        Of the content.
    """
    if isinstance(content, str):
        problem = text_problem(file, None, key or None, content, note=key in notes)
        if problem:
            yield problem
    elif isinstance(content, dict):
        for name, value in content.items():
            inner = f"{key}.{name}" if key else str(name)
            if isinstance(name, str) and (problem := text_problem(file, None, key or None, name)):
                yield problem
            else:
                yield from text_problems(file, value, notes, inner)
    elif isinstance(content, list | tuple):
        for place, value in enumerate(content):
            yield from text_problems(file, value, notes, f"{key}.{place}" if key else str(place))
