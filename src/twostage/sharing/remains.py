"""What the rules do not prevent, said in every bundle."""

from collections.abc import Mapping

from twostage.records import Record
from twostage.sharing.layout import DEFAULT_DIGITS, Filters

#: What the rules do not prevent, said in every bundle.
_ALWAYS = (
    "The numbers of patients and transitions of a model are shared with the model (as by DataSHIELD's ds.glm), "
    "because its degrees of freedom and standard errors reveal them anyhow; those of two models may differ by fewer "
    "than nfilter.tab, and the difference is then a small count that can be worked out.",
    "That something is withheld tells why it had to be: that a number is small, near another that is shown, or that "
    "nearly all patients have one and the same score. How many they are, and who the others are, is not said.",
    "If the number of patients of the study is published elsewhere, a total withheld here can be worked out from it.",
    "Whoever knows all scores of a session except one can work out that one from the mean and standard deviation, to "
    "their few digits; whoever knows all scores of all patients except one can do so from a model's coefficients.",
    "Many equations and the knowledge that scores are whole numbers narrow down what the scores can be; we know of no "
    "way to find a single score from this bundle alone.",
)


#: What remains where numbers are rounded as they are by default.
_ROUNDED = (
    "A second bundle of the same study, under other parameters or with one patient more, can be subtracted from this "
    "one. With {digits} digits the difference found the means of up to a fifth of the patients in our trials of small "
    "studies, where a guess finds a tenth at most; several such pairs do more. The site's own list of what it shared "
    "(shared.json) refuses a second bundle unless it is told otherwise."
)


#: What remains where they have more digits.
_EXACT = (
    "This bundle has {digits} digits. A second bundle of the same study, under other parameters or with one patient "
    "more, subtracted from this one, gives scores of the patient by whom they differ: in our trials with 3 digits of most "
    "patients, with 5 of nearly all. The site's own list of what it shared (shared.json) refuses a second bundle unless it "
    "is told otherwise."
)


_SUMS = (
    "The sums for one model of all patients are exact. Whoever knows all patients of a cell but one has that one's means "
    "and first and last score to the last digit; and that scores are whole numbers narrows down exact sums more than "
    "rounded results. The fewest patients of a cell stand against both, not more."
)


def remains(
    records: Mapping[str, Record], panel: int, filters: Filters, *, sums: bool = False
) -> tuple[str, ...]:
    """What remains possible with a bundle.

    Parameters
    ----------
    records : mapping
        analysis -> record, without the models that are withheld.
    panel : int
        Patients of the panel.
    filters : Filters
    sums : bool
        Whether exact sums are shared.
    """
    exact = filters.digits is None or filters.digits > DEFAULT_DIGITS
    said = "all its" if filters.digits is None else filters.digits
    second = (_EXACT if exact else _ROUNDED).format(digits=said)
    return (*_nearly_all(records, panel, filters.tab), *_ALWAYS, second, *((_SUMS,) if sums else ()))


def _nearly_all(records: Mapping[str, Record], panel: int, least: int) -> tuple[str, ...]:
    """Says of which models a few patients of the panel are not; nothing if there are none."""
    found = {
        name: len({f.variant for f in record.fits if 0 < panel - f.n_patients < least})
        for name, record in records.items()
    }
    named = ", ".join(f"{name} ({n})" for name, n in found.items() if n)
    text = (
        "In this study fewer than nfilter.tab patients of the panel are missing from some models, as "
        f"the models' sizes tell (analysis and number of such models): {named}."
    )
    return (text,) if named else ()
