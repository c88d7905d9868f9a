"""The exact sums of the one-stage model: whether and how finely they are passed on."""

import math
from collections.abc import Mapping

from twostage.records import ONE_STAGE, Aggregate, Failure, Record
from twostage.sharing.cells import Partition, SafeSums
from twostage.sharing.layout import Filters
from twostage.sharing.models import Model
from twostage.sharing.summaries import Counts
from twostage.sharing.verdicts import WITHHELD, Verdict
from twostage.stats.onestage import StudySums, joined_cells
from twostage.terms import DIRECTIONS

#: The rule's name in the report.
SUMS = "sums"


SUMS_RULE = (
    "exact sums are shared if the site chooses so, once of a study; each cell of patients with equally many transitions "
    "has at least so many, or is joined with its neighbour; in no combination of its columns does one patient make up "
    "most of what varies; each column and the first and last session obey the rule of concentration; both directions have "
    "the same rows or differ by as many patients as a cell needs"
)


#: Why a study that shared rounded results only is not in the one-stage model.
NOT_CHOSEN = f"{WITHHELD}exact sums are shared only if the site chooses so ({SUMS})"


_UNSAFE = f"{WITHHELD}no way to join its cells hides every patient ({SUMS})"


def cell_size(filters: Filters, columns: int = 5) -> int:
    """Fewest patients of a cell."""
    return max(3 * filters.tab, filters.subset, math.ceil(columns / filters.glm - 1e-9))


def protect_sums(
    record: Record, safe: SafeSums | None, found: Mapping[Model, Verdict], patients: Counts
) -> Record:
    """The record with the cells that may be shared; a direction that may not becomes a failure with the reason.

    Parameters
    ----------
    record : Record
        Of the analysis `onestage`.
    safe : SafeSums or None
        None: the site did not choose to share sums.
    found : mapping
        Models that are withheld, as of :func:`twostage.sharing.verdicts.verdicts`.
    patients : Counts
        Of what is shown besides; grows by the cells' counts.
    """
    kept, reasons = [], {}
    for aggregate in record.aggregates:
        verdict = found.get(("lagged", "main", aggregate.direction))
        sums = None
        if safe is not None and verdict is None and aggregate.direction in safe.sums:
            sums = _shown(safe.sums[aggregate.direction], safe.partitions, patients)
        if sums is None:
            why = NOT_CHOSEN if safe is None else verdict.reason if verdict else _UNSAFE
            reasons[aggregate.direction] = why
        else:
            kept.append(Aggregate.of(aggregate.direction, sums))
    failures = [
        Failure.model_validate({"variant": "main", "direction": d, "reason": why})
        for d, why in reasons.items()
    ]
    change = {"aggregates": tuple(kept), "failures": (*record.failures, *failures)}
    return record.model_copy(update=change)


def without_sums(lagged: Record) -> Record:
    """The record of a study that shared no sums, by that of its main analysis."""
    failures = [
        Failure.model_validate({"variant": "main", "direction": d, "reason": NOT_CHOSEN}) for d in DIRECTIONS
    ]
    change = {
        "estimates": (),
        "covariances": (),
        "joint_covariances": (),
        "fits": (),
        "failures": tuple(failures),
    }
    return lagged.model_copy(update=change | {"analysis": ONE_STAGE})


def _shown(sums: StudySums, partitions: tuple[Partition, ...], patients: Counts) -> StudySums | None:
    """The sums in the finest partition whose counts tell no small count beside those that are known."""
    for partition in partitions:
        joined = joined_cells(sums, partition)
        counts = [int(n) for n in joined.count]
        if all(patients.allows(n, total=True) for n in counts):
            for n in counts:
                patients.show(n, total=True)
            return joined
    return None
