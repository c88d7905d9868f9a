"""Characters that nobody sees: control characters, zero-width ones, those that turn the direction of writing."""

import unicodedata

#: Unicode's categories of what is not seen: control and format characters (zero-width ones and those that turn the
#: direction of writing are among the latter), halves of characters, ends of lines and paragraphs.
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


#: Letters and marks by category that are nevertheless blank: joiners and fillers.
FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")


def unseen(text: str, allowed: str = "") -> str:
    """The first character of a text that nobody sees, by its code point and place; empty if there is none.

    Parameters
    ----------
    text : str
    allowed : str
        Characters that are no fault, such as ends of lines.
    """
    for place, letter in enumerate(text, start=1):
        if letter not in allowed and (letter in FILLERS or unicodedata.category(letter) in UNSEEN):
            name = unicodedata.name(letter, "")
            return f"U+{ord(letter):04X}{f' ({name})' if name else ''} at place {place}"
    return ""


def terminal(text: object) -> str:
    """Text for a terminal: what would steer it, or is not seen, is shown by its code."""
    letters = str(text)
    if letters.isprintable():
        return letters
    return "".join(c if c == "\n" or unicodedata.category(c) not in UNSEEN else _coded(c) for c in letters)


def _coded(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
