"""The exact sums of the one-stage model: whether and how finely they are passed on."""

import math
from collections.abc import Mapping

from twostage.records import ONE_STAGE, Aggregate, Failure, Record, aggregate_terms
from twostage.sharing.cells import SafeSums
from twostage.sharing.layout import Filters
from twostage.sharing.models import Model
from twostage.sharing.summaries import Counts
from twostage.sharing.verdicts import WITHHELD, Verdict
from twostage.stage1 import PRODUCTS
from twostage.stats.onestage import StudySums, joined_cells
from twostage.terms import DIRECTIONS

#: The rule's name in the report.
SUMS = "sums"


SUMS_RULE = (
    "exact sums are shared if the site chooses so, once of a study; each cell of patients with equally many transitions "
    "has at least so many, or is joined with its neighbour; in no combination of its columns does one patient make up "
    "most of what varies; columns, first and last session obey the rule of concentration; both directions have the same "
    "rows or differ by as many patients as a cell needs; cross-level columns make no cell larger"
)


#: Why a study that shared rounded results only is not in the one-stage model.
NOT_CHOSEN = f"{WITHHELD}exact sums are shared only if the site chooses so ({SUMS})"


_UNSAFE = f"{WITHHELD}no way to join its cells hides every patient ({SUMS})"


_APART = (
    f"{WITHHELD}few patients have a row that the other direction does not have, and less those of the other direction the "
    f"sums would be these patients' ({SUMS})"
)


_UNSAFE_PRODUCTS = f"{WITHHELD}its cells do not hide every patient in the cross-level columns ({SUMS})"


def cell_sizes(filters: Filters) -> tuple[int, int]:
    """Fewest patients of a cell, without and with the cross-level columns."""
    columns = (len(aggregate_terms("x_to_y", products=p)) for p in (False, True))
    least = (max(3 * filters.tab, filters.subset, math.ceil(n / filters.glm - 1e-9)) for n in columns)
    without, wide = least
    return without, wide


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
        direction, shown = aggregate.direction, None
        verdict, of_products = (found.get((of, "main", direction)) for of in ("lagged", PRODUCTS))
        if safe is not None and verdict is None and direction in safe.sums:
            shown = _shown(safe, direction, patients)
        if shown is None:
            reasons["main", direction] = verdict.reason if safe and verdict else _why_not(safe, direction)
            continue
        sums, wide = shown
        possible = aggregate.terms == aggregate_terms(direction, products=True)
        if possible and (of_products or not wide):
            reasons[PRODUCTS, direction] = of_products.reason if of_products else _UNSAFE_PRODUCTS
            possible = False
        kept.append(Aggregate.of(direction, sums.columns(aggregate_terms(direction, products=possible))))
    failures = [
        Failure.model_validate({"variant": v, "direction": d, "reason": why})
        for (v, d), why in reasons.items()
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


def _why_not(safe: SafeSums | None, direction: str) -> str:
    if safe is None:
        return NOT_CHOSEN
    return _APART if safe.apart == direction else _UNSAFE


def _shown(safe: SafeSums, direction: str, patients: Counts) -> tuple[StudySums, bool] | None:
    """The sums in the finest partition whose counts tell no small count beside those that are known.

    And whether its cells hide every patient in the cross-level columns too: these make no cell larger.
    """
    for partition in safe.partitions:
        joined = joined_cells(safe.sums[direction], partition)
        counts = [int(n) for n in joined.count]
        if all(patients.allows(n, total=True) for n in counts):
            for n in counts:
                patients.show(n, total=True)
            return joined, partition in safe.with_products.get(direction, ())
    return None
