"""Names of directions, analyses and terms, and what they are called in words."""

from dataclasses import dataclass
from typing import Literal

from twostage.words import say

#: Columns of every table of estimates, in this order.
COLUMNS = [
    "study",
    "analysis",
    "variant",
    "direction",
    "term",
    "estimator",
    "estimate",
    "std_error",
    "df",
    "statistic",
    "p_value",
    "ci_low",
    "ci_high",
    "n_patients",
    "n_transitions",
    "converged",
    "singular",
]


#: The estimator of the article, and of every headline.
HEADLINE = "centred"


@dataclass(frozen=True)
class Estimator:
    """One estimator of the lagged effects; how it estimates is in :mod:`twostage.stage1.estimator_batch`.

    Attributes
    ----------
    name, words : str
        In tables of numbers; for readers.
    colour, marker : str
        In figures, as matplotlib has them.
    rows : str
        What it is made of: the transitions of the `eligible` patients, these with each patient's `own lines` removed, or
        the scores of `everyone`.
    occasions : bool
        Whether each session has a coefficient of its own beside the equation's.
    """

    name: str
    words: str
    colour: str
    marker: str
    rows: Literal["eligible", "own lines", "everyone"] = "eligible"
    occasions: bool = False


#: Every estimator of the lagged effects by its name, in the order of tables; colours of Okabe and Ito, two of
#: them darker, so that all have a contrast of 3 to 1 on white.
ESTIMATORS = {
    estimator.name: estimator
    for estimator in (
        Estimator(HEADLINE, "person-mean centred (the main analysis)", "#222222", "s"),
        Estimator(
            "centred_occasions", "centred, with an effect of each session", "#0072B2", "v", occasions=True
        ),
        Estimator("detrended", "centred, each patient's own line removed", "#C28600", "^", rows="own lines"),
        Estimator("jackknife", "half-panel jackknife of the centred estimator", "#1D99E0", "D"),
        Estimator("riclpm", "random-intercept cross-lagged panel model", "#D55E00", "o", rows="everyone"),
        Estimator("dpm", "dynamic panel model", "#009E73", "P", rows="everyone"),
        Estimator(
            "riclpm_error", "random-intercept model with measurement error", "#CC79A7", "X", rows="everyone"
        ),
    )
}


def estimator_words(name: str) -> str:
    """What an estimator is called; a name that is no estimator's is its own word."""
    return say(ESTIMATORS[name].words) if name in ESTIMATORS else name


@dataclass(frozen=True)
class Direction:
    """One of the two regressions of the reciprocal pair.

    Attributes
    ----------
    name : str
        ``x_to_y`` or ``y_to_x``.
    predictor, outcome : str
        ``x`` or ``y``.
    """

    name: str
    predictor: str
    outcome: str

    @property
    def cross(self) -> str:
        """Term of the cross-lagged effect, the one the direction is named after."""
        return f"{self.predictor}_within"

    @property
    def auto(self) -> str:
        """Term of the autoregression."""
        return f"{self.outcome}_within"

    @property
    def interactions(self) -> tuple[str, str]:
        """Terms of the cross-level analysis: the cross-lag by each person mean."""
        return f"{self.cross}:x_mean", f"{self.cross}:y_mean"

    @property
    def lagged(self) -> tuple[str, ...]:
        """Terms of the lagged analysis, in their order."""
        return "intercept", self.cross, self.auto, "x_mean", "y_mean"

    @property
    def crosslevel(self) -> tuple[str, ...]:
        """Terms of the cross-level analysis, in their order."""
        return *self.lagged, *self.interactions


X_TO_Y = Direction("x_to_y", "x", "y")


Y_TO_X = Direction("y_to_x", "y", "x")


DIRECTIONS = {direction.name: direction for direction in (X_TO_Y, Y_TO_X)}


def arrow(direction: str, x: str = "x", y: str = "y") -> str:
    """``alliance → symptoms``: a direction in the names of the pair."""
    names = {"x": x, "y": y}
    d = DIRECTIONS[direction]
    return f"{names[d.predictor]} → {names[d.outcome]}"


def term_label(direction: str, term: str, x: str = "x", y: str = "y") -> str:
    """A term in words, for figures and tables."""
    names = {"x": x, "y": y}
    if term in {"intercept", "partial_r_z", "partial_r", "x_early_standardized"}:
        return {
            "intercept": "intercept",
            "partial_r_z": f"early {x} with {say('outcome, given intake')} (Fisher z)",
            "partial_r": f"early {x} with {say('outcome, given intake')} (partial r)",
            "x_early_standardized": f"early {x}, standardized regression weight",
        }[term]
    d, person = DIRECTIONS[direction], say("patient")
    special = {
        d.cross: f"{arrow(direction, x, y)} (within, cross-lagged)",
        d.auto: f"{names[d.outcome]} carried over (within, autoregression)",
        "x_mean": f"mean {x} of the {person}",
        "y_mean": f"mean {y} of the {person}",
        f"{d.cross}:x_mean": f"{arrow(direction, x, y)}, by the {person}'s mean {x}",
        f"{d.cross}:y_mean": f"{arrow(direction, x, y)}, by the {person}'s mean {y}",
    }
    return special.get(term, term)
