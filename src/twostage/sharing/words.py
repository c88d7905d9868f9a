"""What the names in a bundle mean, in plain words; and its numbers, short enough to read."""

from collections.abc import Mapping
from typing import Any

from twostage.collection import schema
from twostage.display import MISSING, p_value
from twostage.sharing.layout import RECORD_MEMBERS
from twostage.terms import DIRECTIONS, arrow, estimator_words
from twostage.words import say

#: Significant digits on pages; a bundle's files have all of them.
SHOWN_DIGITS = 4


ANALYSES = {
    "data": "Description of the patients and sessions",
    "outcome": "Early {x} and the outcome",
    "lagged": "Lagged effects within patients (the main analysis)",
    "transition": "The same, for each pair of successive sessions",
    "sensitivity": "The same, under other choices",
    "crosslevel": "Do the effects depend on the patients' means?",
    "estimators": "The same effects by other estimators",
    "onestage": "Sums for one model of all studies' patients",
}


QUANTITIES = {
    "n_enrolled": "patients in the study's files",
    "n_patients": "patients in the analysis",
    "n_sessions": "sessions with both variables",
    "n_transitions": "pairs of sessions one lag apart",
    "sessions_per_patient": "sessions with both variables per patient",
    "missing_share": "share of the window's sessions without both variables",
    "icc_x": "share of the variance of {x} that is between patients",
    "icc_y": "share of the variance of {y} that is between patients",
    "r_between": "correlation of the patients' means of {x} and {y}",
    "r_within": "correlation of the deviations from these means",
    "scale_x": "unit of {x}: what scores were divided by",
    "scale_y": "unit of {y}: what scores were divided by",
    "floor_x": "share of scores of {x} that are the lowest possible",
    "ceiling_x": "share of scores of {x} that are the highest possible",
    "floor_y": "share of scores of {y} that are the lowest possible",
    "ceiling_y": "share of scores of {y} that are the highest possible",
    "n_pre": "patients with an intake score",
    "n_post": "patients with a posttreatment score",
    "pre_mean": "mean of the intake scores",
    "pre_sd": "standard deviation of the intake scores",
    "session": "session",
    "n_x": "patients with {x}",
    "n_y": "patients with {y}",
    "n_both": "patients with both",
    "share_both": "share with both",
    "x_mean": "mean of {x}, in its unit",
    "x_sd": "SD of {x}, in its unit",
    "y_mean": "mean of {y}, in its unit",
    "y_sd": "SD of {y}, in its unit",
}


COLUMNS = {
    "variant": "model",
    "direction": "direction",
    "term": "coefficient",
    "estimator": "estimator",
    "estimate": "estimate",
    "std_error": "standard error",
    "df": "degrees of freedom",
    "statistic": "statistic",
    "p_value": "p value",
    "ci_low": "interval from",
    "ci_high": "interval to",
    "n_patients": "patients",
    "n_transitions": "pairs of sessions",
    "converged": "converged",
    "singular": "on a bound",
    "loglik": "log-likelihood",
    "sigma2": "residual variance",
    "re_variance": "variance between patients",
    "evaluations": "steps of the search",
    "reason": "reason",
}


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


CHECKS = {
    "nfilter.subset": "too few patients",
    "nfilter.glm": "too many coefficients",
    "nfilter.tab": "small counts",
    "concentration": "one patient stands out",
    "covariances": "matrices",
    "sums": "exact sums",
    "digits": "rounding",
    "never shared": "never shared",
}


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
