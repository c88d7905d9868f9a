"""What a stored multiverse says of each direction: shares, variance, what turns the conclusion, all against chance."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from twostage.multiverse.grid import CHOICES
from twostage.multiverse.store import Multiverse
from twostage.stats.base import Attempt, NotEstimable, attempt
from twostage.stats.multiverse import (
    STATISTICS,
    Decomposition,
    Flips,
    JointTest,
    decompose,
    find_flips,
    joint_statistics,
    joint_test,
)
from twostage.terms import DIRECTIONS, ESTIMATORS

#: Estimators whose expectation is the effect however few the sessions, or that correct for their number; the others centre
#: on a mean of few sessions (Nickell 1981).
BIAS_AWARE = ("jackknife", "riclpm", "dpm", "riclpm_error")


#: What an interval says of zero, and how that is said.
CONCLUSIONS = {-1: "below zero", 0: "includes zero", 1: "above zero"}


@dataclass(frozen=True, eq=False)
class View:
    """One direction of a multiverse.

    Attributes
    ----------
    direction : str
    table : DataFrame
        Its specifications that have an estimate; the first is the main analysis.
    levels : ndarray of int, shape (N, 10)
        Which value of each choice they have.
    conclusion : ndarray of int, shape (N,)
        Keys of :data:`CONCLUSIONS`.
    varied : tuple of str
        Choices with more than one value.
    shares : Decomposition
        Of the variance of all estimates.
    by_estimator : dict
        Estimator -> the same of its specifications only.
    flips : Flips
    joint : Attempt of JointTest
    """

    direction: str
    table: pd.DataFrame
    levels: np.ndarray
    conclusion: np.ndarray
    varied: tuple[str, ...]
    shares: Decomposition
    by_estimator: dict[str, Decomposition]
    flips: Flips
    joint: Attempt

    def where(self, *estimators: str) -> np.ndarray:
        """Which specifications have one of these estimators; all, where none is named."""
        return self.table["estimator"].isin(estimators or list(ESTIMATORS)).to_numpy()


def examine(multiverse: Multiverse) -> dict[str, View]:
    """Both directions of a multiverse.

    Raises
    ------
    NotEstimable
        The main analysis has no estimate.
    """
    return {direction: _view(multiverse, direction) for direction in DIRECTIONS}


def _view(multiverse: Multiverse, direction: str) -> View:
    table, levels = multiverse.of(direction), multiverse.levels
    there = table["estimate"].notna().to_numpy()
    if not there[0]:
        raise NotEstimable("the main analysis has no estimate in the multiverse")
    table, levels = table[there].reset_index(drop=True), levels[there]
    conclusion = np.sign(table["ci_low"]).where(np.sign(table["ci_low"]) == np.sign(table["ci_high"]), 0)
    codes = conclusion.to_numpy(int)
    by_estimator = {}
    for name in dict.fromkeys(table["estimator"]):
        own = (table["estimator"] == name).to_numpy()
        by_estimator[name] = _decomposed(levels[own], table.loc[own, "estimate"].to_numpy())
    return View(
        direction,
        table,
        levels,
        codes,
        tuple(multiverse.varied),
        _decomposed(levels, table["estimate"].to_numpy()),
        by_estimator,
        find_flips(levels, codes, 0, CHOICES),
        attempt(_against_chance, multiverse, direction, table),
    )


def _decomposed(levels: np.ndarray, y: np.ndarray) -> Decomposition:
    """Of the choices that differ between these specifications."""
    varied = np.flatnonzero(np.ptp(levels, axis=0) > 0)
    if not len(varied):
        varied = np.zeros(1, int)
    return decompose(levels[:, varied], y, [CHOICES[f] for f in varied])


def thin(multiverse: Multiverse, table: pd.DataFrame) -> pd.DataFrame:
    """The specifications that were drawn without an effect."""
    kept = multiverse.about["thinned"]
    inside = [table[name].isin([str(v) for v in kept[name]]) for name in CHOICES]
    return table[np.logical_and.reduce(inside)]


def _against_chance(multiverse: Multiverse, direction: str, table: pd.DataFrame) -> JointTest:
    null = multiverse.null
    drawn = null.loc[null["direction"] == direction, list(STATISTICS)].to_numpy(float)
    if not len(drawn):
        raise NotEstimable("nothing was drawn without an effect (twostage multiverse --null 500)")
    rows = thin(multiverse, table)
    return joint_test(joint_statistics(rows["estimate"], rows["ci_low"], rows["ci_high"]), drawn)
