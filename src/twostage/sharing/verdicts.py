"""Which models are withheld, each for what reason: one decision for one model, wherever it stands."""

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from twostage.records import Estimate, Failure, Record
from twostage.sharing.layout import RECORD_MEMBERS, Filters
from twostage.sharing.local import Local
from twostage.sharing.models import Model, coefficients, identity

#: How the reason of a model that was withheld begins.
WITHHELD = "withheld by the site: "


#: The rule for what rests on the scores of one patient.
CONCENTRATION = "concentration"


#: A share of patients such as 5 / 15 is not met by a hair.
_ROUNDING = 1e-9


#: Fields of a record that do not depend on a model.
DESCRIPTIVE = {
    "schema_version",
    "package_version",
    "study",
    "label",
    "analysis",
    "parameters",
    "data_checksum",
    "n_enrolled",
    "exclusions",
    "summary",
    "sessions",
}


class Verdict(NamedTuple):
    """Why a model is withheld: the rule, and the reason in words."""

    rule: str
    reason: str


def verdicts(
    records: Mapping[str, Record], panel: int, filters: Filters, local: Local
) -> dict[Model, Verdict]:
    """The models that are withheld; one decision for one model, in whichever records it stands.

    Parameters
    ----------
    records : mapping
        analysis -> record.
    panel : int
        Patients of the panel.
    filters : Filters
    local : Local

    Returns
    -------
    dict
        (analysis, variant, direction) -> :class:`Verdict`.
    """
    by_identity: dict[Model, Verdict] = {}
    models = [(r, key) for r in records.values() for key in _keys(r)]
    for record, (variant, direction) in models:
        verdict = _verdict(record, variant, direction, panel, filters, local)
        if verdict:
            by_identity.setdefault(identity(record.analysis, variant, direction, record.parameters), verdict)
    return {
        (record.analysis, variant, direction): by_identity[same]
        for record, (variant, direction) in models
        if (same := identity(record.analysis, variant, direction, record.parameters)) in by_identity
    }


def _keys(record: Record) -> list[tuple[str, str]]:
    return list(dict.fromkeys((e.variant, e.direction) for e in record.estimates))


def _verdict(
    record: Record, variant: str, direction: str, panel: int, filters: Filters, local: Local
) -> Verdict | None:
    rows = [e for e in record.estimates if (e.variant, e.direction) == (variant, direction)]
    if rule := _too_small(rows, record, panel, filters):
        needed = max(filters.subset, math.ceil(_size(rows, record) / filters.glm - _ROUNDING))
        tail = "" if rule == "nfilter.tab" else f", at least {needed} are needed"
        return Verdict(rule, f"{WITHHELD}too few patients ({rule}){tail}")
    if (record.analysis, variant, direction) in local.models:
        return Verdict(
            CONCENTRATION, f"{WITHHELD}one patient's scores could be concluded from it ({CONCENTRATION})"
        )
    return None


def without_models(record: Record, found: Mapping[Model, Verdict], notes: dict[str, list[str]]) -> Record:
    """A record without the models that are withheld; they become failures with the reason.

    Parameters
    ----------
    record : Record
    found : mapping
        As of :func:`verdicts`.
    notes : dict
        Rule -> what it withheld; grows.
    """
    reasons = {key: found[m] for key in _keys(record) if (m := (record.analysis, *key)) in found}
    for (variant, direction), verdict in reasons.items():
        notes[verdict.rule].append(f"{RECORD_MEMBERS[record.analysis]}: {variant}, {direction}")
    failures = [f.model_copy(update={"reason": _without_numbers(f.reason)}) for f in record.failures]
    failures += [
        Failure.model_validate({"variant": v, "direction": d, "reason": verdict.reason})
        for (v, d), verdict in reasons.items()
    ]
    change: dict = {"failures": tuple(failures)}
    if reasons:
        # Every field that lists equations; what else a record holds may combine a withheld equation with others.
        for name, field in Record.model_fields.items():
            value = getattr(record, name)
            if name in {"estimates", "covariances", "fits"}:
                change[name] = tuple(v for v in value if (v.variant, v.direction) not in reasons)
            elif name not in DESCRIPTIVE and name != "failures":
                change[name] = field.get_default(call_default_factory=True)
    return record.model_copy(update=change)


def _too_small(rows: list[Estimate], record: Record, panel: int, filters: Filters) -> str | None:
    n = min(row.n_patients for row in rows)
    if n < filters.subset:
        return "nfilter.subset"
    # A model that takes a few patients more than the panel tells how few the panel excludes.
    if 0 < n - panel < filters.tab:
        return "nfilter.tab"
    return "nfilter.glm" if _size(rows, record) > filters.glm * n + _ROUNDING else None


def _size(rows: list[Estimate], record: Record) -> int:
    """Coefficients of an equation, those that the record does not have among them."""
    variant, direction = rows[0].variant, rows[0].direction
    sizes = [len(c.terms) for c in record.covariances if (c.variant, c.direction) == (variant, direction)]
    return max([len(rows), *sizes, coefficients(record.analysis, variant, record.parameters)])


def _without_numbers(reason: str) -> str:
    """A reason may count the few patients for whom a model failed."""
    return re.sub(r"\d+([.,]\d+)*", "…", reason)
