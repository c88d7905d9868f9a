"""From which analyses a site is missing, and what it would need to be in them."""

from collections.abc import Mapping

from twostage.records import Record
from twostage.sharing.sums import NOT_CHOSEN
from twostage.sharing.verdicts import WITHHELD
from twostage.sharing.words import ANALYSES, quantity
from twostage.terms import DIRECTIONS, arrow

_APART = "their common matrix is withheld, as too few patients tell the two models apart"


def missing(records: Mapping[str, Record], x: str, y: str) -> list[str]:
    """A line for each analysis and reason for which models of a shared study were withheld.

    Parameters
    ----------
    records : mapping
        analysis -> record, as shared.
    x, y : str
        The pair in words.
    """
    lines = []
    for analysis, record in records.items():
        by_reason: dict[str, dict[str, list[str]]] = {}
        # What the site did not choose to share is no loss to be told of.
        for f in (f for f in record.failures if f.reason.startswith(WITHHELD) and f.reason != NOT_CHOSEN):
            by_reason.setdefault(f.reason.removeprefix(WITHHELD), {}).setdefault(f.variant, []).append(
                f.direction
            )
        all_of = {e.variant for e in record.estimates} | {f.variant for f in record.failures}
        for reason, found in by_reason.items():
            models = [_model(variant, directions, x, y) for variant, directions in found.items()]
            named = (
                ""
                if all_of == {"main"} and models == [""]
                else f" ({', '.join(m or 'main' for m in models)})"
            )
            lines.append(f"{ANALYSES[analysis].format(x=x, y=y)}{named}: {reason}")
    main = records["lagged"]
    if {e.direction for e in main.estimates} == set(DIRECTIONS) and not main.joint_covariances:
        lines.append(f"Both directions pooled jointly: {_APART}")
    return lines


def _model(variant: str, directions: list[str], x: str, y: str) -> str:
    """A model in words; a direction is named if only this one is missing."""
    name = "" if variant == "main" else quantity(variant, x, y)
    ways = [arrow(d, x, y) for d in directions] if len(directions) < len(DIRECTIONS) else []
    return ", ".join(filter(None, [name, *ways]))
