"""Studies with the same patients: a pool would count them twice, and its intervals would be too narrow."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations

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


def duplicates(digests: Mapping[str, str]) -> list[tuple[str, str]]:
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


#: Fewest scores of a patient who can be recognised by them, and fewest such patients of two studies to say that they are
#: the same people; both, and at least ten times as many as would agree by chance.
FEWEST_SCORES, FEWEST_PATIENTS, TIMES_CHANCE = 6, 3, 10.0


def patient_series(sessions: pd.DataFrame) -> np.ndarray:
    """A number for the series of each patient who can be recognised by it, whatever the sessions' numbers.

    Parameters
    ----------
    sessions : pandas.DataFrame
        patient, session, x, y.

    Returns
    -------
    ndarray of uint64
        Of the patients with at least :data:`FEWEST_SCORES` scores that are not all alike.
    """
    scored = sessions[sessions[["x", "y"]].notna().any(axis=1)].sort_values(
        ["patient", "session"], kind="stable"
    )
    if scored.empty:
        return np.zeros(0, dtype=np.uint64)
    by_patient = scored.groupby("patient", sort=False)
    places = pd.DataFrame({"place": by_patient.cumcount(), "x": scored["x"], "y": scored["y"]})
    hashes = pd.util.hash_pandas_object(places, index=False)
    series = hashes.groupby(scored["patient"].to_numpy(), sort=False).sum().to_numpy()
    many = by_patient[["x", "y"]].count().sum(axis=1) >= FEWEST_SCORES
    varied = (by_patient[["x", "y"]].nunique() > 1).any(axis=1)
    return series[(many & varied).to_numpy()]


def overlaps(series: Mapping[str, np.ndarray]) -> list[tuple[str, str, int]]:
    """Pairs of studies with some of the same patients, the earlier first, and how many these are.

    Parameters
    ----------
    series : mapping
        Study -> :func:`patient_series`.

    Notes
    -----
    How many patients of two studies agree by chance is estimated from how many agree within each of them.
    """
    found = []
    chance = {study: _chance(of) for study, of in series.items()}
    for a, b in combinations(series, 2):
        shared = len(np.intersect1d(series[a], series[b]))
        by_chance = max(chance[a], chance[b]) * len(series[a]) * len(series[b])
        if shared >= FEWEST_PATIENTS and shared > TIMES_CHANCE * by_chance:
            found.append((a, b, shared))
    return found


def _chance(series: np.ndarray) -> float:
    """The share of pairs of patients in a study who have the same series."""
    n, same = len(series), np.unique(series, return_counts=True)[1]
    return float((same * (same - 1)).sum() / (n * (n - 1))) if n > 1 else 0.0


@dataclass(frozen=True)
class Examined:
    """What an examination of a collection's files found.

    Attributes
    ----------
    problems : tuple of Problem
        For which it cannot be used.
    duplicates : tuple of tuple
        Pairs of studies with the same scores, the earlier first.
    lines : dict
        Study -> its line in studies.csv.
    overlaps : tuple of tuple
        Pairs of other studies with some of the same patients, and how many.
    outside : dict
        Study -> what :func:`twostage.collection.window.outside_window` says, where it says something.
    saved : dict
        File -> how it was saved otherwise than a plain CSV file.
    """

    problems: tuple[Problem, ...]
    duplicates: tuple[tuple[str, str], ...] = ()
    lines: dict[str, int] = field(default_factory=dict)
    overlaps: tuple[tuple[str, str, int], ...] = ()
    outside: dict[str, str] = field(default_factory=dict)
    saved: dict[str, str] = field(default_factory=dict)

    def notes(self) -> list[str]:
        """What is no problem and still to be said, in sentences."""
        other = [f"{file}: read although it has {said}" for file, said in self.saved.items()]
        return [*other, *(f"{study}: {said}" for study, said in self.outside.items())]

    def same_data(self) -> tuple[Problem, ...]:
        """The duplicates and overlaps as problems."""
        expected = (
            "scores of its own: a pool would count the same patients twice (--same-data if it is meant)"
        )
        found = [(b, f"{b}, with the same scores as {a}") for a, b in self.duplicates]
        found += [
            (b, f"{b}, with the scores of {n} patients of {a}")
            for a, b, n in self.overlaps
            if (a, b) not in self.duplicates
        ]
        return tuple(Problem("studies.csv", self.lines.get(b), "study", text, expected) for b, text in found)
