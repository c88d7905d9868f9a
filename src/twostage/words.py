"""The words in which pages speak of a collection: who is observed, when, and the scores at the start and the end.

The project's own texts speak of patients and sessions, of intake and outcome. A collection of other people names its
words in ``collection.yml``, and what is shown of it says those instead. Words are to a page what a language is to a
program: one choice for all that a process shows, made where the collection is opened (:func:`speak`, :func:`speaking`)
and followed where a text of the project's is shown (:func:`say`). Texts of the collection never pass through here.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

#: Plurals that no rule gives.
_PLURALS = {"child": "children", "person": "persons", "man": "men", "woman": "women"}


#: A name in code, and one in parentheses: a value or a name of the package's, which stays.
_NAME = r"`+[^`]+`+|\((?:patient|session)\)"


_WORD = r"(?P<word>[Pp]atients?|[Ss]essions?|[Ii]ntake|[Oo]utcome)(?P<owns>['\u2019]s?)?"


#: Not within a name or a path.
_OURS = re.compile(rf"{_NAME}|(?:\b(?P<article>[Aa])n? )?(?<![\w/.{{]){_WORD}(?![\w/=]|\.\w)")


#: Begin with a vowel in writing but not in speech, or the other way round.
_CONSONANT, _VOWEL = re.compile(r"(uni|use|eu|one)", re.I), re.compile(r"(hour|heir|honest)", re.I)


@dataclass(frozen=True)
class Words:
    """What a collection calls its persons and occasions.

    Calling it with a text of the project's gives the text in these words.

    Attributes
    ----------
    person, persons : str
        One who is observed, and several.
    occasion, occasions : str
        When they are observed.
    start, end : str
        The scores before the first and after the last occasion.

    Examples
    --------
    >>> words = Words(person="player", persons="players", occasion="wave", occasions="waves")
    >>> words("A patient's mean over the sessions, session by session")
    "A player's mean over the waves, wave by wave"
    """

    person: str = "patient"
    persons: str = "patients"
    occasion: str = "session"
    occasions: str = "sessions"
    start: str = "intake"
    end: str = "outcome"

    def __call__(self, text: str) -> str:
        """A text in these words; code, and names in parentheses, stay as they are."""
        return text if self == PLAIN else _OURS.sub(self._said, text)

    def _said(self, match: re.Match[str]) -> str:
        if match["word"] is None:
            return match[0]
        word = match["word"]
        said = dict(zip(_KEYS, self._all(), strict=True))[word.lower()]
        owns = match["owns"] or ""
        # Of several who end in s nothing is added but the apostrophe; of children there is an s.
        if owns and not owns.endswith("s") and not said.endswith("s"):
            owns += "s"
        if match["article"]:
            return f"{match['article']}{'n' * _vowel(said)} {said}{owns}"
        return f"{said[:1].upper() if word[0].isupper() else said[:1]}{said[1:]}{owns}"

    def _all(self) -> tuple[str, ...]:
        return self.person, self.persons, self.occasion, self.occasions, self.start, self.end


_KEYS = ("patient", "patients", "session", "sessions", "intake", "outcome")


PLAIN = Words()


def plural(word: str) -> str:
    """The plural of an English noun by the usual rules: days, studies, classes, children."""
    first, blank, last = word.rpartition(" ")
    if last in _PLURALS:
        return f"{first}{blank}{_PLURALS[last]}"
    if re.search(r"[^aeiou]y$", word):
        return f"{word[:-1]}ies"
    return f"{word}es" if re.search(r"(s|x|z|ch|sh)$", word) else f"{word}s"


def _vowel(word: str) -> bool:
    if _VOWEL.match(word):
        return True
    return word[:1].lower() in "aeiou" and not _CONSONANT.match(word)


class _Spoken:
    """The words of this process. Notebooks run each in a process of their own."""

    words = PLAIN


def say(text: str) -> str:
    """A text of the project's in the words of the collection that is shown."""
    return _Spoken.words(text)


def speak(words: Words) -> None:
    """From now on this process shows a collection with these words."""
    _Spoken.words = words


@contextmanager
def speaking(words: Words) -> Iterator[None]:
    """While it lasts this process shows a collection with these words."""
    before = _Spoken.words
    speak(words)
    try:
        yield
    finally:
        speak(before)
