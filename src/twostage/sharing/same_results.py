"""Bundles that are another study's under another id: recognised by equal results, for there are no scores to compare."""

import math
from collections.abc import Mapping

from twostage.collection import Collection
from twostage.problems import Problem
from twostage.records import FUNCTIONS, Record, make_record, notebook_parameters
from twostage.sharing.layout import RECORD_MEMBERS, Bundle
from twostage.stage1 import make_panel

#: Fewest numbers that must agree, and to what share of themselves: bundles may be rounded to three digits. Ten estimates
#: and ten standard errors that agree to three digits agree by chance about once in 1e50 pairs of studies.
FEWEST, TOLERANCE = 10, 6e-3


ANALYSIS, NOTEBOOK = "lagged", "stage1_lagged"


EXPECTED = "results of its own: these are the other study's, and a pool would count its patients twice"


def same_results(bundle: Bundle, others: Mapping[str, Record]) -> list[Problem]:
    """A problem for each other study whose lagged results and counts are those of the bundle.

    Parameters
    ----------
    bundle : Bundle
    others : mapping
        Study -> its record of the lagged analysis, with the bundle's parameters.
    """
    found = [study for study, record in others.items() if alike(bundle.records[ANALYSIS], record)]
    member = RECORD_MEMBERS[ANALYSIS]
    return [
        Problem(member, None, "study", f"{bundle.study}, with the results of {s}", EXPECTED) for s in found
    ]


def alike(a: Record, b: Record) -> bool:
    """Whether two records of one analysis have the same coefficients, to three digits, of as many patients."""
    first, second = ({(e.variant, e.direction, e.term): e for e in r.estimates} for r in (a, b))
    if first.keys() != second.keys() or 2 * len(first) < FEWEST:
        return False
    if any(first[key].n_patients != second[key].n_patients for key in first):
        return False
    pairs = [
        (getattr(first[k], name), getattr(second[k], name))
        for k in first
        for name in ("estimate", "std_error")
    ]
    return all(math.isclose(x, y, rel_tol=TOLERANCE) for x, y in pairs)


def own_records(collection: Collection, bundle: Bundle) -> dict[str, Record]:
    """The lagged records of the collection's studies with data, with the bundle's parameters.

    Raises
    ------
    CollectionError
        If a study's files cannot be used.
    """
    parameters = notebook_parameters(NOTEBOOK, bundle.manifest.parameters)
    found = {}
    for id in collection.studies["study"]:
        if id not in collection.shared:
            study = collection.study(id)
            # It chooses by the kind of study, which type checkers do not see.
            panel = make_panel(study, parameters)  # type: ignore[arg-type]
            found[id] = make_record(panel, FUNCTIONS[ANALYSIS](study, panel))
    return found
