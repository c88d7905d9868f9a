"""Which column is x, or y: instruments that are often used, by the names that columns give them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from twostage.beside import table_beside
from twostage.collection import Variable
from twostage.importing.names import RATERS, SCORE_WORDS, bare, listed, plain


@dataclass(frozen=True)
class Instrument:
    """A questionnaire.

    Attributes
    ----------
    title : str
    names : tuple of str
        As :func:`twostage.importing.names.bare` leaves them.
    measures : tuple of str
        Keys of :data:`CONCEPTS`.
    items : tuple of int
        How many its versions have.
    """

    title: str
    names: tuple[str, ...]
    measures: tuple[str, ...]
    items: tuple[int, ...] = ()


#: What a variable may be about -> parts of words that say so in its name or label, the narrower first.
CONCEPTS = {
    "depression": ("depress",),
    "anxiety": ("anxi", "angst", "panic", "panik", "worry"),
    "alliance": ("allian", "allianz", "bond", "relationship", "beziehung"),
    "symptoms": ("symptom", "distress", "severity", "impair", "psychopath", "belastung", "outcome"),
}


def _of(measure: str, rows: list[dict]) -> list[Instrument]:
    # A measure of depression or anxiety is one of symptoms too.
    measures = (measure,) if measure in ("alliance", "symptoms") else (measure, "symptoms")
    return [Instrument(r["title"], tuple(r["names"].split()), measures, tuple(r["items"])) for r in rows]


INSTRUMENTS = tuple(
    instrument for measure, rows in table_beside(__file__).items() for instrument in _of(measure, rows)
)


def measuring(*texts: str) -> tuple[Instrument, ...]:
    """The instruments that measure what a variable is about, by its name and label."""
    words = plain(" ".join(texts))
    concept = next((c for c, parts in CONCEPTS.items() if any(part in words for part in parts)), None)
    return tuple(i for i in INSTRUMENTS if concept in i.measures)


def instrument_of(name: str, among: Sequence[Instrument]) -> Instrument | None:
    """The instrument that a column, or a pattern of columns, is named after."""
    essence = bare(name)
    for instrument in among:
        for own in instrument.names:
            if essence.startswith(own) and essence.removeprefix(own) in ("", *SCORE_WORDS, *RATERS):
                return instrument
    return None


def items_of(names: Sequence[str], among: Sequence[Instrument]) -> list[str]:
    """Those of some names that look like single items of one instrument: ``wai_i3`` beside others, ``phq9_item2``."""
    found: list[str] = []
    for instrument in among:
        own = [name for name in names if _is_item(bare(name), instrument.names)]
        found += own if len(own) > 1 else []
    return list(dict.fromkeys(found))


def _is_item(essence: str, names: Sequence[str]) -> bool:
    rests = [essence.removeprefix(own) for own in names if essence.startswith(own)]
    return any(rest.removeprefix("item").removeprefix("i").isdigit() for rest in rests)


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
    names : tuple of str
        What its columns may be called.
    """

    name: str | None
    why: str = ""
    words: tuple[str, ...] = ()
    title: str = ""
    items: tuple[int, ...] = ()
    names: tuple[str, ...] = ()


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
    only = instrument_of(fitting[0], known) if found is None and len(fitting) == 1 else None
    if only is not None:
        found, why = fitting[0], f"{bare(fitting[0])!r} stands for: {only.title}"
    if found is not None:
        instrument = instrument_of(found, known)
        title, counts = (instrument.title, instrument.items) if instrument else ("", ())
        alike = instrument.names if instrument else ()
        return Finding(found, why, tuple(dict.fromkeys([bare(found), *alike])), title, counts, tuple(alike))
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
