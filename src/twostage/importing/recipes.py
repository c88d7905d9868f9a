"""Exports of the usual systems: one file of rules each, in the folder `systems`; guessed, told, and never silent."""

from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from importlib import resources
from typing import Any

import pandas as pd
import yaml

from twostage.importing.names import plain
from twostage.importing.source import ImportProblems
from twostage.problems import Problem

#: Says that no system's rules are wanted.
NO_SYSTEM = "none"


#: Rows below the names in which a heading may end.
HEADING = 6


@dataclass(frozen=True)
class Recipe:
    """How a system writes its exports.

    Attributes
    ----------
    key : str
        What the command line calls it.
    name : str
    signs : tuple of tuple of str
        Columns by which an export is known; all of one of them.
    patient, session, date : tuple of str
        Columns, the likeliest first.
    missing : tuple of str
        What it writes for missing values.
    heading_ends_with : str
        Text in the last row of the heading, where the names are not all of it.
    own : tuple of str
        Columns that the system adds by itself, as patterns (``*_RT``): never scores.
    words : tuple of str
        Cells that no other system writes: a table with one of them and a patient's column is this system's.
    """

    key: str
    name: str
    signs: tuple[tuple[str, ...], ...]
    patient: tuple[str, ...] = ()
    session: tuple[str, ...] = ()
    date: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    heading_ends_with: str = ""
    own: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def known_by(self, cells: pd.DataFrame) -> tuple[str, ...]:
        """The columns, or the words, by which a table is known to be this system's; none if it is not."""
        there = {plain(column): column for column in map(str, cells)}
        for sign in self.signs:
            if all(plain(column) in there for column in sign):
                return tuple(there[plain(column)] for column in sign)
        # Exports that somebody joined and renamed keep a system's own words in their cells.
        own = self.words if any(plain(column) in there for column in self.patient) else ()
        return tuple(word for word in own if any((cells[c] == word).any() for c in cells))

    def columns(self, role: str, cells: pd.DataFrame) -> list[str]:
        """The table's columns of a role that say something, the likeliest first."""
        there = {plain(column): column for column in map(str, cells)}
        found = [there[plain(column)] for column in getattr(self, role) if plain(column) in there]
        return [column for column in found if cells[column].nunique() > 1]

    def adds(self, column: str) -> bool:
        """Whether a column is the system's own, and no question's."""
        own = (*self.own, *self.patient, *self.session, *self.date, *(c for sign in self.signs for c in sign))
        return any(fnmatch(column.casefold(), pattern.casefold()) for pattern in own)

    def labels(self, cells: pd.DataFrame) -> dict[str, str]:
        """The texts of the questions, where they stand in the first row below the names."""
        if not self.heading_rows(cells):
            return {}
        texts = cells.iloc[0]
        return {c: texts[c] for c in map(str, cells) if texts[c] and plain(texts[c]) != plain(c)}

    def heading_rows(self, cells: pd.DataFrame) -> tuple[int, ...]:
        """Rows below the names that belong to the heading."""
        if not self.heading_ends_with:
            return ()
        top = cells.head(HEADING)
        ends = [
            i for i in range(len(top)) if top.iloc[i].str.contains(self.heading_ends_with, regex=False).any()
        ]
        return tuple(int(row) for row in top.index[: ends[-1] + 1]) if ends else ()


@cache
def recipes() -> dict[str, Recipe]:
    """Every system that is known, by its key."""
    folder = resources.files("twostage.importing") / "systems"
    found = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yml"):
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
            key = file.name.removesuffix(".yml")
            signs = tuple(map(tuple, content.pop("signs")))
            rules: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
            found[key] = Recipe(key=key, signs=signs, **rules)
    return found


def recipe_of(cells: pd.DataFrame, said: str | None) -> Recipe | None:
    """The system whose export a table is: the one that is said, or the one that its columns show.

    Raises
    ------
    ImportProblems
        If there is no such system.
    """
    known = recipes()
    if said is not None:
        if said.casefold() == NO_SYSTEM:
            return None
        if said.casefold() not in known:
            expected = f"one of {', '.join(known)}, or {NO_SYSTEM}"
            raise ImportProblems([Problem("command line", None, "--from", said, expected)])
        return known[said.casefold()]
    return next((recipe for recipe in known.values() if recipe.known_by(cells)), None)


def told(recipe: Recipe, cells: pd.DataFrame, said: str | None) -> str:
    """What to say of a system's rules."""
    if said is not None:
        return f"read by the rules for exports of {recipe.name}"
    by = ", ".join(recipe.known_by(cells))
    return (
        f"looks like an export of {recipe.name} (by {by}): its rules were used; --from none reads it without"
    )
