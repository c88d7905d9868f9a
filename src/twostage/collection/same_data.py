"""Studies with one and the same scores: a pool would count their patients twice, and its intervals would be too narrow."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from twostage.problems import Problem


def scores_digest(sessions: pd.DataFrame) -> str:
    """What a study's scores are, whoever the patients are called and in whatever order they come.

    Parameters
    ----------
    sessions : pandas.DataFrame
        patient, session, x, y.

    Returns
    -------
    str
        SHA-256 over the patients' series; "" if there is no score. Series enter as 64-bit sums, so that two other
        studies have the same digest by chance about once in 1e19 comparisons.
    """
    scored = sessions[sessions[["x", "y"]].notna().any(axis=1)]
    if scored.empty:
        return ""
    rows = pd.util.hash_pandas_object(scored[["session", "x", "y"]], index=False)
    series = rows.groupby(scored["patient"].to_numpy()).sum()
    return hashlib.sha256(np.sort(series.to_numpy()).tobytes()).hexdigest()


def twins(digests: Mapping[str, str]) -> list[tuple[str, str]]:
    """The studies whose digest another one before them has.

    Parameters
    ----------
    digests : mapping
        Study -> digest; an empty one is nobody's twin.

    Returns
    -------
    list of tuple
        The first study with these data, and the other.
    """
    first: dict[str, str] = {}
    return [
        (first[digest], study)
        for study, digest in digests.items()
        if first.setdefault(digest, study) != study and digest
    ]


@dataclass(frozen=True)
class Examined:
    """What an examination of a collection's files found.

    Attributes
    ----------
    problems : tuple of Problem
        For which it cannot be used.
    twins : tuple of tuple
        Pairs of studies with the same scores, the earlier first.
    lines : dict
        Study -> its line in studies.csv.
    """

    problems: tuple[Problem, ...]
    twins: tuple[tuple[str, str], ...] = ()
    lines: dict[str, int] = field(default_factory=dict)

    def same_data(self) -> tuple[Problem, ...]:
        """The twins as problems."""
        expected = (
            "scores of its own: a pool would count the same patients twice (--same-data if it is meant)"
        )
        return tuple(
            Problem("studies.csv", self.lines.get(b), "study", f"{b}, with the same scores as {a}", expected)
            for a, b in self.twins
        )
