"""Sets of studies that a pool may be made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from twostage.problems import Problem, nearest

#: The set of the main analysis.
ALL = "all studies"


@dataclass(frozen=True)
class StudySet:
    """Some studies of a collection.

    Attributes
    ----------
    words : str
    studies : tuple of str
    """

    words: str
    studies: tuple[str, ...]


#: Sets that any collection has: those whose rank by number of patients (from the smallest) or year says so.
NAMED = (ALL, "without the largest", "without the smallest third", "the newer half")


def resolve_sets(
    wanted: Sequence[Any], registry: pd.DataFrame, file: str
) -> tuple[dict[str, StudySet], list[Problem]]:
    """The studies of each set, each set once; what is wrong with those that cannot be resolved.

    Parameters
    ----------
    wanted : sequence
        Words of :data:`NAMED`; or settings with `words`, `only` (column of the registry -> value) and `without` (ids).
    registry : pandas.DataFrame
    file : str
        What to call it in messages.

    Notes
    -----
    Two sets of the same studies are one, under the name of the first.
    """
    found: dict[str, StudySet] = {}
    problems: list[Problem] = []
    for one in wanted:
        if isinstance(one, str) and one not in NAMED:
            expected = f"one of {', '.join(NAMED)}{nearest(one, NAMED)}, or words with only or without"
            problems.append(Problem(file, None, "studies", one, expected))
            continue
        words = one if isinstance(one, str) else one.words
        keep = _named(one, registry) if isinstance(one, str) else _described(one, registry, file, problems)
        ids = tuple(registry.loc[keep, "study"])
        if not ids:
            problems.append(Problem(file, None, "studies", words, "a set with a study in it"))
        elif ids not in [known.studies for known in found.values()]:
            found[words] = StudySet(words, ids)
    return found, problems


def _named(words: str, registry: pd.DataFrame) -> np.ndarray:
    n = registry["n"].to_numpy(dtype=float)
    if words == "without the largest":
        return n < n.max() if len(n) > 1 else np.ones(len(n), bool)
    if words == "without the smallest third":
        return n >= np.quantile(n, 1 / 3)
    if words == "the newer half":
        year = registry["year"].to_numpy(dtype=float)
        return year >= np.nanmedian(year) if np.isfinite(year).any() else np.ones(len(n), bool)
    return np.ones(len(n), bool)


def _described(one: Any, registry: pd.DataFrame, file: str, problems: list[Problem]) -> np.ndarray:
    keep = np.ones(len(registry), bool)
    for column, value in one.only.items():
        if column in registry:
            keep &= registry[column].astype(str).to_numpy() == value
        else:
            expected = f"a column of studies.csv{nearest(column, map(str, registry.columns))}"
            problems.append(Problem(file, None, f"studies.{one.words}.only", column, expected))
    known = set(registry["study"])
    for study in one.without:
        if study not in known:
            expected = f"a study of the collection{nearest(study, known)}"
            problems.append(Problem(file, None, f"studies.{one.words}.without", study, expected))
    return keep & ~registry["study"].isin(one.without).to_numpy()
