"""What the registry must know of a study, from the mapping's `study` and `studies`."""

import datetime
from collections.abc import Sequence
from typing import Any

from twostage import schema
from twostage.importing.mapping import ImportMapping
from twostage.importing.source import cell_text
from twostage.problems import Problem

#: Columns of studies.csv that the import itself knows.
OWN = ("study", "n")

#: Columns of studies.csv that a person must give.
WANTED = tuple(column for column in schema.REGISTRY if column not in OWN)


def study_facts(
    mapping: ImportMapping, name: str, sample: str | None, columns: Sequence[str]
) -> tuple[dict[str, str], list[Problem]]:
    """A study's row of studies.csv, without its id and number of patients.

    Parameters
    ----------
    mapping : ImportMapping
    name : str
        The mapping's file, for messages.
    sample : str or None
        The study's key in the mapping's `studies`.
    columns : sequence of str
        Of the collection's studies.csv.

    Returns
    -------
    facts : dict
        column -> text; "" for a column of the collection's own that the mapping does not have.
    problems : list of Problem
        Unknown and missing keys, values that the registry cannot have.
    """
    own: dict[str, Any] = {}
    if sample is not None:
        own = dict((mapping.studies or {})[sample].model_extra or {})
    places = {key: f"study.{key}" for key in mapping.study} | {key: f"studies.{sample}.{key}" for key in own}
    given, problems = {**mapping.study, **own}, []
    for key in given:
        if key in OWN or key not in columns:
            expected = f"a column of studies.csv: {', '.join(c for c in columns if c not in OWN)}"
            problems.append(Problem(name, None, str(places[key]), _shown(given[key]), expected))
    facts = {column: _text(given.get(column)) for column in columns if column not in OWN}
    for column in WANTED:
        pattern, expected = schema.REGISTRY[column]
        if not schema.matches(pattern, facts.get(column, "")):
            found = _shown(given.get(column, "nothing"))
            expected += " (in quotes: YAML takes no and yes for truth values)" * isinstance(found, bool)
            problems.append(Problem(name, None, places.get(column, f"study.{column}"), found, expected))
    problems += [] if problems else _upside_down(facts, name, places)
    return facts, problems


def _text(value: Any) -> str:
    """A fact as text; "" for what cannot be one, lists and YAML's truth values among it."""
    plain = isinstance(value, (str, int, float, datetime.date)) and not isinstance(value, bool)
    return cell_text(value) if plain else ""


def _shown(value: Any) -> Any:
    return value if value is None or isinstance(value, (str, int, float)) else repr(value)[:80]


def _upside_down(facts: dict[str, str], name: str, places: dict[str, str]) -> list[Problem]:
    return [
        Problem(name, None, places[f"{v}_max"], facts[f"{v}_max"], f"more than {v}_min")
        for v in ("x", "y")
        if not float(facts[f"{v}_min"]) < float(facts[f"{v}_max"])
    ]


def ends(facts: dict[str, str], v: str) -> tuple[float, float] | None:
    """Lowest and highest possible score of x or y; None where the mapping does not say, or not well."""
    texts = [facts.get(f"{v}_{end}", "") for end in ("min", "max")]
    if not all(schema.matches(schema.NUMBER, text) for text in texts):
        return None
    low, high = map(float, texts)
    return (low, high) if low < high else None
