"""Disclosure control: what of a study's records may leave the house.

Withheld numbers become null. Nothing that a pooled analysis needs is changed: an equation is shared as it is or,
if it rests on too few patients, not at all, and is then named as a failure with the reason.
"""

import re
from collections.abc import Mapping

from twostage.problems import Problem
from twostage.records import Estimate, Exclusion, Failure, Record
from twostage.sharing.layout import RECORD_MEMBERS, Check, DisclosureError, Filters, Report, content_checksum
from twostage.sharing.rounding import rounded
from twostage.sharing.summaries import NEVER, Counts, protect_summary

#: Analyses whose matrices are shared whole. Of the others only variances are pooled, and there are many models each.
WHOLE = ("lagged", "crosslevel")


MATRIX_RULE = (
    "covariances between coefficients are shared of the lagged and the cross-level models only, and of these only if "
    "the two directions have the same rows or differ by rows of at least so many patients; variances are shared always"
)


def protect_matrices(
    records: Mapping[str, Record], one_sided: int, least: int
) -> tuple[dict[str, Record], list[str]]:
    """Withhold covariances of which two, subtracted, could show the scores of a few patients.

    Parameters
    ----------
    records : mapping
        analysis -> record.
    one_sided : int
        Patients with rows in one direction that the other does not have: :func:`twostage.sharing.analyse.one_sided`.
    least : int
        nfilter.tab.

    Returns
    -------
    records : dict
    withheld : list of str

    Notes
    -----
    In least squares, and in a mixed model whose random intercept has no variance, ``sigma2 inv(C) = X'X`` for the
    covariance matrix C. Two models with the same predictors then have ``X'X - X'X`` = the sum of the products z z' of
    the rows that one has and the other has not: with one such row these are the scores themselves, and two can be
    told apart as well. Variances alone leave more unknowns than equations.
    """
    safe = one_sided == 0 or one_sided >= least
    kept, withheld = {}, []
    for analysis, record in records.items():
        bare = tuple(c.model_copy(update={"matrix": _variances(c.matrix)}) for c in record.covariances)
        if (safe and analysis in WHOLE) or bare == record.covariances:
            kept[analysis] = record
        else:
            kept[analysis] = record.model_copy(update={"covariances": bare})
            withheld.append(f"{RECORD_MEMBERS[analysis]}: covariances between coefficients")
    return kept, withheld


def _variances(matrix: tuple[tuple[float | None, ...], ...]) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(v if i == j else None for j, v in enumerate(row)) for i, row in enumerate(matrix))


#: What the rules do not prevent, said in every bundle.
REMAINS = (
    "The numbers of patients and transitions of a model are shared with the model (as by DataSHIELD's ds.glm), "
    "because its degrees of freedom and standard errors tell them anyhow; those of two models may differ by fewer "
    "than nfilter.tab, and the difference is then a small count that can be concluded.",
    "nfilter.glm counts the coefficients that are shared; some models have parameters of which nothing is shared.",
    "That a number is withheld says that it is small, or near another that is shown.",
    "If the number of patients of the study is published elsewhere, a total withheld here can be concluded from it.",
    "Coefficients and variances have all their digits unless they are rounded. Many equations and the knowledge that "
    "scores are whole numbers narrow down what the scores can be; no way to a single one is known to us.",
    "A second bundle of the same study, under other parameters or after a change of the data, can be subtracted from "
    "the first: if their data differ by one patient, covariance matrices with all digits give this patient's scores. "
    "Share a study once, or again when many patients have joined, or round (digits).",
    "Who knows all patients but one, and all their scores, can conclude the last one's from any exact result.",
)


_EXCLUSION_RULE = "a number of excluded patients is shown only if the totals before and after it are"


_TOTAL_RULE = "counts are 0 or at least this, and so is the difference of any two that can be subtracted"


def protect(
    records: Mapping[str, Record], filters: Filters, one_sided: int
) -> tuple[dict[str, Record], Report]:
    """Withhold what the filters do not let pass.

    Parameters
    ----------
    records : mapping
        analysis -> record, as of :func:`twostage.sharing.analyse.stage1_records`.
    filters : Filters
    one_sided : int
        Patients with rows in one direction only, as of :func:`twostage.sharing.analyse.one_sided`.

    Returns
    -------
    records : dict
        The same with nulls in the place of what is withheld and without the checksum of the data.
    report : Report

    Raises
    ------
    DisclosureError
        If the study has fewer patients than nfilter.subset.
    """
    panel = _panel_size(records, filters)
    notes: dict[str, list[str]] = {"nfilter.glm": [], "nfilter.subset": [], "nfilter.tab": []}
    kept = {name: _without_small_models(record, panel, filters, notes) for name, record in records.items()}
    kept, notes["covariances"] = protect_matrices(kept, one_sided, filters.tab)
    sizes = [size for record in kept.values() for size in _model_sizes(record)]
    patients = Counts((n for name, n in sizes if name != "n_transitions"), filters.tab)
    observations = Counts((n for name, n in sizes if name == "n_transitions"), filters.tab)
    enrolled = {name: patients.show(record.n_enrolled, total=True) for name, record in kept.items()}
    # All totals first: which of them are shown decides on the exclusions between them.
    totals = {name: [patients.show(n, total=True) for n in _flow(record)] for name, record in kept.items()}
    shown = {}
    for name, record in kept.items():
        member = RECORD_MEMBERS[name]
        summary, sessions = protect_summary(record, patients, observations, filters.tab)
        change = {
            "n_enrolled": enrolled[name],
            "exclusions": _exclusions(record, totals[name], filters.tab),
            "summary": summary,
            "sessions": sessions,
        }
        notes["nfilter.tab"] += [f"{member}: {where}" for where in _withheld(record, change)]
        shown[name] = _finished(record.model_copy(update=change), filters)
    checksum = {"data_checksum": content_checksum({n: r.model_dump(mode="json") for n, r in shown.items()})}
    report = _report(notes, filters, _nearly_all(kept, panel, filters.tab))
    return {name: r.model_copy(update=checksum) for name, r in shown.items()}, report


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


def _panel_size(records: Mapping[str, Record], filters: Filters) -> int:
    sizes = [r.summary["n_patients"] for r in records.values() if r.summary.get("n_patients") is not None]
    n = int(min(sizes, default=0))
    if n < filters.subset:
        expected = f"at least nfilter.subset = {filters.subset} patients in the panel, or nothing is shared"
        study = next(iter(records.values())).study
        raise DisclosureError([Problem(study, None, "n_patients", n, expected)])
    return n


def _without_small_models(
    record: Record, panel: int, filters: Filters, notes: dict[str, list[str]]
) -> Record:
    reasons = {}
    for key in dict.fromkeys((e.variant, e.direction) for e in record.estimates):
        rows = [e for e in record.estimates if (e.variant, e.direction) == key]
        rule = _too_small(rows, record, panel, filters)
        if rule:
            reasons[key] = f"withheld by the site: too few patients ({rule})"
            notes[rule].append(f"{RECORD_MEMBERS[record.analysis]}: {', '.join(key)}")
    failures = [f.model_copy(update={"reason": _without_numbers(f.reason)}) for f in record.failures]
    failures += [Failure(variant=v, direction=d, reason=reason) for (v, d), reason in reasons.items()]
    change: dict = {"failures": tuple(failures)}
    if reasons:
        # Every field that lists equations; what else a record holds may combine a withheld equation with others.
        for name, field in Record.model_fields.items():
            value = getattr(record, name)
            if name in {"estimates", "covariances", "fits"}:
                change[name] = tuple(v for v in value if (v.variant, v.direction) not in reasons)
            elif name not in _DESCRIPTIVE and name != "failures":
                change[name] = field.get_default(call_default_factory=True)
    return record.model_copy(update=change)


#: Fields of a record that do not depend on a model.
_DESCRIPTIVE = {
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


def _too_small(rows: list[Estimate], record: Record, panel: int, filters: Filters) -> str | None:
    key, n = (rows[0].variant, rows[0].direction), min(row.n_patients for row in rows)
    sizes = [len(c.terms) for c in record.covariances if (c.variant, c.direction) == key]
    if n < filters.subset:
        return "nfilter.subset"
    # A model that takes a few patients more than the panel tells how few the panel excludes.
    if 0 < n - panel < filters.tab:
        return "nfilter.tab"
    return "nfilter.glm" if max([len(rows), *sizes]) > filters.glm * n else None


def _model_sizes(record: Record) -> list[tuple[str, int]]:
    """Every count that a record has of its models, with its name."""
    rows = [row for name in Record.model_fields if name not in _DESCRIPTIVE for row in getattr(record, name)]
    return [(name, n) for row in rows for name, n in row if name.startswith("n_")]


def _without_numbers(reason: str) -> str:
    """A reason may count the few patients for whom a model failed."""
    return re.sub(r"\d+([.,]\d+)*", "…", reason)


def _flow(record: Record) -> list[int]:
    """Patients left after each exclusion, beginning with all."""
    left = [record.n_enrolled]
    for exclusion in record.exclusions:
        left.append(left[-1] - exclusion.n_patients)
    return left


def _exclusions(record: Record, totals: list[int | None], least: int) -> tuple[Exclusion, ...]:
    shown = []
    for exclusion, before, after in zip(record.exclusions, totals[:-1], totals[1:], strict=True):
        n = exclusion.n_patients
        safe = n == 0 or (n >= least and before is not None and after is not None)
        shown.append(exclusion.model_copy(update={"n_patients": n if safe else None}))
    return tuple(shown)


def _withheld(record: Record, change: dict) -> list[str]:
    """Names of what became null."""
    names = ["n_enrolled"] if change["n_enrolled"] is None else []
    names += [f"excluded, {e.reason}" for e in change["exclusions"] if e.n_patients is None]
    names += [name for name, v in change["summary"].items() if v is None and record.summary[name] is not None]
    for before, after in zip(record.sessions, change["sessions"], strict=True):
        lost = [n for n, v in after.items() if v is None and before[n] is not None and n not in NEVER]
        names += [f"session {before['session']:g}, {', '.join(lost)}"] if lost else []
    return names


def _finished(record: Record, filters: Filters) -> Record:
    record = record if filters.digits is None else rounded(record, filters.digits)
    return Record.model_validate(record.model_dump())


def _report(notes: dict[str, list[str]], filters: Filters, remains: tuple[str, ...]) -> Report:
    rules = {
        "nfilter.subset": (
            "fewest patients of a study (else nothing is shared) and of a model",
            filters.subset,
        ),
        "nfilter.glm": ("most coefficients of a model per patient", filters.glm),
        "nfilter.tab": (f"{_TOTAL_RULE}; {_EXCLUSION_RULE}", filters.tab),
        "covariances": (MATRIX_RULE, filters.tab),
    }
    checks = [
        Check(name=name, rule=rule, threshold=float(threshold), withheld=tuple(notes[name]))
        for name, (rule, threshold) in rules.items()
    ]
    digits = None if filters.digits is None else float(filters.digits)
    checks.append(
        Check(
            name="digits",
            rule="significant digits of what is shared; without a threshold it is not rounded",
            threshold=digits,
            withheld=(),
        )
    )
    never = (
        "scores, smallest and largest values, quantiles, trajectories of patients, checksums of the data, "
        "means of equal scores, numbers of patients with both variables at a session, and summaries that no rule knows"
    )
    checks.append(Check(name="never shared", rule=never, threshold=None, withheld=()))
    return Report(checks=tuple(checks), remains=(*remains, *REMAINS))
