"""In which unit a coefficient is, in words that need no other file."""

from twostage.params import Parameters
from twostage.stage1 import variants
from twostage.terms import DIRECTIONS

#: What a score is divided by.
_OF_SCORE = {"total": "SD of all scores", "within": "SD within persons", "none": "scale point"}


def units(analysis: str, variant: str, direction: str, term: str, parameters: Parameters) -> str:
    """The unit of an estimate.

    Parameters
    ----------
    analysis, variant, direction, term : str
        As in a record.
    parameters : Parameters
        With which it was made.

    Examples
    --------
    >>> from twostage.params import make_parameters
    >>> units("lagged", "main", "x_to_y", "x_within", make_parameters({}))
    'SD of all scores of y per SD of all scores of x'
    """
    if analysis == "outcome":
        return {"partial_r_z": "Fisher z of a partial correlation"}.get(
            term, "SD of the outcome per SD of early x"
        )
    changed = variants(parameters).get(variant, {}) if analysis == "sensitivity" else {}
    one = _OF_SCORE[changed.get("standardize", parameters.standardize)]
    outcome = f"{one} of {DIRECTIONS[direction].outcome}"
    if term == "intercept":
        return outcome
    return " ".join([outcome, *(f"per {one} of {part[0]}" for part in term.split(":"))])
