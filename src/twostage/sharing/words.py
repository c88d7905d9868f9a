"""What the names in a bundle mean, in plain words; and its numbers, short enough to read."""

from collections.abc import Mapping
from typing import Any

from twostage.beside import table_beside
from twostage.collection import schema
from twostage.display import MISSING, p_value
from twostage.sharing.layout import RECORD_MEMBERS
from twostage.terms import DIRECTIONS, arrow, estimator_words
from twostage.words import say

#: Significant digits on pages; a bundle's files have all of them.
SHOWN_DIGITS = 4


_WORDS = table_beside(__file__)


ANALYSES: dict[str, str] = _WORDS["analyses"]


QUANTITIES: dict[str, str] = _WORDS["quantities"]


COLUMNS: dict[str, str] = _WORDS["columns"]


#: The study's row of the registry: the words of its rules, but for texts that those describe as what they must be.
REGISTRY = {
    name: words.removeprefix("the ").removeprefix("a ") for name, (_, words) in schema.REGISTRY.items()
}


REGISTRY |= {
    "study": "study's id",
    "year": "year",
    "x_min": "lowest possible score of {x}",
    "x_max": "highest possible score of {x}",
    "y_min": "lowest possible score of {y}",
    "y_max": "highest possible score of {y}",
    "x_instrument": "instrument of {x}",
    "y_instrument": "instrument of {y}",
    "x_direction": "{x}: 1, higher scores mean more; -1, less",
    "y_direction": "{y}: 1, higher scores mean more; -1, less",
    "n": "patients in the study's files",
}


CHECKS: dict[str, str] = _WORDS["checks"]


def quantity(name: str, x: str, y: str) -> str:
    """A quantity, direction or estimator in words; its own name where there are none."""
    if name in DIRECTIONS:
        return arrow(name, x, y)
    return say(QUANTITIES.get(name, estimator_words(name))).format(x=x, y=y)


def ordered(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Quantities in the order of :data:`QUANTITIES`, others last: a bundle's files have them by the alphabet."""
    places = {name: i for i, name in enumerate(QUANTITIES)}
    return dict(sorted(numbers.items(), key=lambda item: (places.get(item[0], len(places)), item[0])))


def entry(what: str, x: str, y: str) -> tuple[str, str]:
    """A withheld entry such as ``records/data.json: session 1, n_x``: in words, and short as it is."""
    member, _, names = what.partition(": ")
    analysis = {m: a for a, m in RECORD_MEMBERS.items()}.get(member)
    if analysis is None:
        return what, what
    return ", ".join(quantity(name, x, y) for name in names.split(", ")), f"{analysis}: {names}"


def shown(value: Any, name: str = "") -> str:
    """A value for people: numbers to a few digits, a dash for what is withheld or does not exist."""
    if value is None:
        # Only degrees of freedom are ever infinite.
        return "∞" if name == "df" else MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("p_value"):
        return p_value(value)
    if isinstance(value, float):
        return f"{value:.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.{SHOWN_DIGITS}g}"
    return str(value)
