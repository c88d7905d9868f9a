"""Which of a file's columns is x, or y, by their names: one of them for a reason that can be told, or none."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from twostage.collection_file import Variable
from twostage.importing.instruments import instrument_of, items_of, measuring
from twostage.importing.names import bare, listed, plain


@dataclass(frozen=True)
class Finding:
    """What was found for x or y.

    Attributes
    ----------
    name : str or None
        A column, or the pattern of a wide file's columns; None where there is none, or more than one.
    why : str
        The reason for it, or what speaks against a choice.
    words : tuple of str
        What the variable's scores may be called elsewhere in the file (:func:`twostage.importing.names.bare`).
    title : str
        The instrument, if names suggest one.
    items : tuple of int
        How many items its versions have.
    """

    name: str | None
    why: str = ""
    words: tuple[str, ...] = ()
    title: str = ""
    items: tuple[int, ...] = ()


def find_score(variable: Variable, instruments: Iterable[str], names: Sequence[str]) -> Finding:
    """Look for x or y: by the collection's own words first, then by the names of instruments that measure it.

    Parameters
    ----------
    variable : Variable
    instruments : iterable of str
        Those of the collection's other studies.
    names : sequence of str
        Columns, or patterns of columns.
    """
    own, known = _own_words(variable, instruments), measuring(variable.name, variable.label)
    words = tuple(dict.fromkeys([*own, *(name for instrument in known for name in instrument.names)]))
    items = items_of(names, known)
    whole = [name for name in names if name not in items]
    found, why = _by_own_words(own, whole)
    fitting = [name for name in whole if instrument_of(name, known)]
    if found is None and len(fitting) == 1:
        found = fitting[0]
        why = f"{bare(found)!r} stands for: {instrument_of(found, known).title}"
    if found is not None:
        instrument = instrument_of(found, known)
        title, counts = (instrument.title, instrument.items) if instrument else ("", ())
        alike = instrument.names if instrument else ()
        return Finding(found, why, tuple(dict.fromkeys([bare(found), *alike])), title, counts)
    if len(fitting) > 1:
        return Finding(None, f"several could be it: {', '.join(fitting)}", words)
    if items:
        return Finding(
            None, f"{', '.join(listed(items))} look like items: give them with their key, as above", words
        )
    return Finding(None, "", words)


def _own_words(variable: Variable, instruments: Iterable[str]) -> dict[str, str]:
    """What x or y may be called -> why: its name and label, its instruments whole and before a hyphen."""
    words = {plain(text): "named as in the collection" for text in (variable.name, variable.label)}
    for instrument in instruments:
        for text in (instrument, re.split(r"[-\s,:]", instrument)[0]):
            words.setdefault(
                plain(text), f"named like {instrument}, which other studies of the collection have"
            )
    return {word: why for word, why in words.items() if len(word) > 1}


def _by_own_words(words: dict[str, str], names: Sequence[str]) -> tuple[str | None, str]:
    for fits in (lambda name, word: name == word, lambda name, word: len(word) > 2 and name.startswith(word)):
        for word, why in words.items():
            found = [name for name in names if fits(bare(name), word)]
            if len(found) == 1:
                return found[0], why
    return None, ""
