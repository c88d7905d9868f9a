"""Whether numbers of several patients hide each one's: enough of them differ, and no single one makes up the rest."""

from typing import NamedTuple

import numpy as np

#: Significant digits to which two scores are the same score.
SAME_DIGITS = 9


#: p of the p-percent rule: how closely the patient with the second largest deviation may know the largest.
CLOSENESS = 0.2


class Values(NamedTuple):
    """Numbers and whose they are, one per row of a variable."""

    numbers: np.ndarray
    patients: np.ndarray


def gives_away(values: Values, least: int) -> str | None:
    """Why sums of these numbers would give one patient's away; None if they do not.

    Parameters
    ----------
    values : Values
        Without missing ones.
    least : int
        nfilter.tab.

    Notes
    -----
    Count, mean and standard deviation of scores that are equal but for one give that one: ``n (mean - commonest)``. At
    least `least` patients must differ from the commonest number. The p-percent rule (Hundepool et al. 2012,
    doi:10.1002/9781118348239, 4.2.1) then asks that the deviations of all but the two largest are at least a fifth of
    the largest, so that who knows the second largest does not know the largest; of squared deviations, 1.2**2 - 1.
    """
    if few_differ(values, least):
        return f"fewer than {least} patients differ from the commonest score"
    return "one patient's scores outweigh the others'" if dominated(values) else None


def few_differ(values: Values, least: int) -> bool:
    """Whether fewer than so many patients have a number other than the commonest."""
    size = np.abs(values.numbers).max(initial=0.0)
    known = np.round(values.numbers / (size or 1.0), SAME_DIGITS)
    numbers, counts = np.unique(known, return_counts=True)
    if len(numbers) < 2:
        return True
    return len(set(values.patients[known != numbers[counts.argmax()]])) < least


def dominated(values: Values) -> bool:
    """Whether one patient's deviations from the middle, or their squares, are nearly all of them."""
    numbers = values.numbers
    if len(numbers) < 2:
        return True
    deviations = _by_patient(np.abs(numbers - np.median(numbers)), values.patients)
    squares = _by_patient((numbers - numbers.mean()) ** 2, values.patients)
    return any(
        of[2:].sum() < share * of[0]
        for of, share in ((deviations, CLOSENESS), (squares, (1 + CLOSENESS) ** 2 - 1))
    )


def _by_patient(amounts: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Sums per patient, largest first."""
    _, which = np.unique(patients, return_inverse=True)
    return np.sort(np.bincount(which, amounts))[::-1]
