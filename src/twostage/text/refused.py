"""Which characters a text from outside may have: those that people see, on one line."""

from collections.abc import Callable, Iterator
from typing import Any

from twostage.characters import unseen
from twostage.problems import Problem

#: Longest text of a field, in characters. Longer ones would burst tables and figures.
LONGEST = 500


#: Longest text that may have several lines.
LONGEST_LINES = 5000


EXPECTED = "a text on one line without control, zero-width and direction-turning characters"


def text_problem(
    file: str, row: int | None, column: str | None, text: str, allowed: str = ""
) -> Problem | None:
    """What is wrong with a text field, or None.

    Parameters
    ----------
    file, row, column
        Where it stands, as of :class:`~twostage.problems.Problem`.
    text : str
    allowed : str
        Unseen characters that it may have; a text that may have ends of lines may be long.
    """
    if found := unseen(text, allowed):
        return Problem(file, row, column, text[:80], f"{EXPECTED}; it has {found}")
    longest = LONGEST_LINES if "\n" in allowed else LONGEST
    if len(text) > longest:
        expected = f"at most {longest:,} characters; these are {len(text):,}"
        return Problem(file, row, column, f"{text[:40]}...", expected)
    return None


def text_problems(file: str, content: Any, allowed: Callable[[str], str] = lambda key: "") -> list[Problem]:
    """What is wrong with the texts, names included, in values as YAML and JSON have them.

    Parameters
    ----------
    file : str
    content : object
    allowed : callable
        Key, as in ``x.label`` -> unseen characters that its text may have.
    """
    problems = [
        text_problem(file, None, key or None, text, allowed(key)) for key, text in _texts(content, "", set())
    ]
    return [problem for problem in problems if problem is not None]


def _texts(content: Any, key: str, known: set[int]) -> Iterator[tuple[str, str]]:
    # An alias in YAML can make a mapping contain itself, or another a thousand times.
    if isinstance(content, str):
        yield key, content
    elif isinstance(content, dict | list | tuple) and id(content) not in known:
        known.add(id(content))
        for name, value in content.items() if isinstance(content, dict) else enumerate(content):
            if isinstance(name, str):
                yield key, name
            yield from _texts(value, f"{key}.{name}" if key else str(name), known)
