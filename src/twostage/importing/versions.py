"""Ranges, directions and usual scoring of questionnaires: proposed with their source, never taken silently."""

from collections.abc import Sequence
from dataclasses import dataclass

from twostage.beside import table_beside
from twostage.importing.names import bare
from twostage.importing.source import number_text


@dataclass(frozen=True)
class Version:
    """One version of a questionnaire and its usual score.

    Attributes
    ----------
    title : str
    names : tuple of str
        What only this version's columns are called, as :func:`twostage.importing.names.bare` leaves them.
    items : int
    answers : (float, float) or None
        Lowest and highest answer; None where items differ.
    score : {"sum", "mean"}
        The usual one.
    ends : (float, float)
        Lowest and highest usual score.
    direction : {1, -1}
        1: a higher score is more alliance, or more symptoms.
    source : str
        DOI, or the article where there is none.
    reversed : tuple of int or None
        Items that count the other way; only with `answers`. None: some do, and which is not in the sources here.
    """

    title: str
    names: tuple[str, ...]
    items: int
    answers: tuple[float, float] | None
    score: str
    ends: tuple[float, float]
    direction: int
    source: str
    reversed: tuple[int, ...] | None = ()

    def other(self) -> tuple[str, tuple[float, float]] | None:
        """The other of sum and mean, and its range."""
        if self.answers is None:
            return None
        low, high = self.answers
        return (
            ("mean", (low, high)) if self.score == "sum" else ("sum", (low * self.items, high * self.items))
        )

    def in_words(self) -> str:
        """As ``PHQ-9 0 to 27 (sum)``."""
        return f"{self.title} {_span(self.ends)} ({self.score})"


def _span(ends: tuple[float, float]) -> str:
    return f"{number_text(ends[0])} to {number_text(ends[1])}"


def _version(row: dict) -> Version:
    lists = {name: tuple(row[name]) for name in ("answers", "ends", "reversed") if row.get(name)}
    return Version(**{"direction": 1} | row | lists | {"names": tuple(row["names"].split())})


VERSIONS = tuple(map(_version, table_beside(__file__)))


def versions_of(name: str, names: Sequence[str], items: int | None = None) -> list[Version]:
    """The versions that a column may have.

    Parameters
    ----------
    name : str
        Of the column, or the pattern of columns.
    names : sequence of str
        All names of the questionnaire.
    items : int, optional
        How many items there are.

    Returns
    -------
    list of Version
        One where the name says which; otherwise all of the questionnaire's, or those with so many items.
    """
    essence = bare(name)
    own = [v for v in VERSIONS if any(_begins(essence, n) for n in v.names)]
    if own:
        return sorted(own, key=lambda v: -max(len(n) for n in v.names if _begins(essence, n)))[:1]
    alike = [v for v in VERSIONS if any(n in names for n in v.names)]
    return [v for v in alike if items is None or v.items == items]


def _begins(essence: str, name: str) -> bool:
    """Whether a name is an instrument's: not ``wait`` for ``wai``, but ``phq9total``."""
    return essence == name or (
        essence.startswith(name) and not essence[len(name)].isdigit() and len(name) > 3
    )


def fitting(version: Version, low: float, high: float, whole: bool) -> tuple[str, tuple[float, float]] | None:
    """The score of a version that numbers from `low` to `high` can be: its usual one, the other, or none.

    Parameters
    ----------
    version : Version
    low, high : float
        In the file.
    whole : bool
        Whether all numbers of the file are whole.
    """
    usual, other = (version.score, version.ends), version.other()
    inside = [way for way in (usual, other) if way and way[1][0] <= low and high <= way[1][1]]
    # What fits both ranges is a mean, if it has decimals.
    if len(inside) == 2 and not whole:
        return next(way for way in inside if way[0] == "mean")
    return inside[0] if inside else None
