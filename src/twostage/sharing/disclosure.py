"""Disclosure control: which parts of a study's records may be passed on.

Withheld numbers become null. Nothing that a pooled analysis needs is changed: an equation is shared as it is or,
if it rests on too few patients, not at all, and is then named as a failure with the reason.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from twostage.problems import Problem
from twostage.records import ONE_STAGE, Exclusion, Record
from twostage.sharing.layout import RECORD_MEMBERS, Check, DisclosureError, Filters, Report, content_checksum
from twostage.sharing.local import Local
from twostage.sharing.remains import remains
from twostage.sharing.rounding import rounded
from twostage.sharing.summaries import NEVER, Counts, of_variables, own_count, protect_summary
from twostage.sharing.sums import SUMS, SUMS_RULE, cell_sizes, protect_sums
from twostage.sharing.verdicts import CONCENTRATION, DESCRIPTIVE, verdicts, without_models

#: Analyses whose matrices are shared whole. Of the others only variances are pooled, and there are many models each.
WHOLE = ("lagged", "crosslevel")


Matrix = tuple[tuple[float | None, ...], ...]


INTERCEPT = "intercept"


_NAMES = {
    "covariances": "covariances between coefficients",
    "joint_covariances": "common matrix of both directions",
}


MATRIX_RULE = (
    "covariances between coefficients are shared of the lagged and the cross-level models only, and of these only if "
    "the two directions have the same rows or differ by rows of at least so many patients; variances are shared always, "
    "those with an intercept never, the common matrix of both directions only with the others"
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
        Patients with rows in one direction that the other does not have: :class:`twostage.sharing.local.Local`.
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
    for analysis, record in without_intercepts(records).items():
        bare = tuple(c.model_copy(update={"matrix": _variances(c.matrix)}) for c in record.covariances)
        withholds = not (safe and analysis in WHOLE) and bare != record.covariances
        change = {"covariances": bare} if withholds else {}
        if tells_of_few(record, withholds, least):
            change["joint_covariances"] = ()
        lost = [_NAMES[name] for name in change if getattr(record, name)]
        withheld += [f"{RECORD_MEMBERS[analysis]}: {name}" for name in lost]
        kept[analysis] = record.model_copy(update=change)
    return kept, withheld


def tells_of_few(record: Record, withholds: bool, least: int) -> bool:
    """Whether the common matrix of both directions would show what is withheld: it has the same equations.

    It also counts who is in one of the two only.
    """
    return withholds or any(0 < c.n_patients - c.n_both < least for c in record.joint_covariances)


def without_likelihoods(records: Mapping[str, Record]) -> dict[str, Record]:
    """Withhold log-likelihoods: less that without a patient, each is the density of this patient's scores.

    Digits do not protect it. Its zero depends on the unit of the scores, so it may be near 0, where few digits are
    exact. Nothing is pooled from it.
    """
    return {
        analysis: record.model_copy(
            update={"fits": tuple(f.model_copy(update={"loglik": None}) for f in record.fits)}
        )
        for analysis, record in records.items()
    }


def without_intercepts(records: Mapping[str, Record]) -> dict[str, Record]:
    """Withhold the covariances of intercepts: with them, inverse matrices are sums of scores over all transitions.

    From such sums the scores of one session follow by subtraction of the others' means. Nothing that is pooled needs
    these covariances.
    """
    kept = {}
    for analysis, record in records.items():
        matrices = tuple(
            c.model_copy(update={"matrix": _where(c.matrix, partial(_of_slopes, c.terms))})
            for c in record.covariances
        )
        kept[analysis] = record.model_copy(update={"covariances": matrices})
    return kept


def _of_slopes(terms: Sequence[str], i: int, j: int) -> bool:
    return INTERCEPT not in (terms[i], terms[j])


def _variances(matrix: Matrix) -> Matrix:
    return _where(matrix, lambda i, j: False)


def _where(matrix: Matrix, keep: Callable[[int, int], bool]) -> Matrix:
    """A matrix with its diagonal and those others that are kept."""
    return tuple(
        tuple(v if i == j or keep(i, j) else None for j, v in enumerate(row)) for i, row in enumerate(matrix)
    )


_CONCENTRATION_RULE = (
    "in every variable of a mean, standard deviation or model at least nfilter.tab patients differ from the commonest "
    "score, and the deviations of all but the two largest are at least a fifth of the largest; the same for all withheld "
    "sessions together, whose sums the unit gives"
)


_EXCLUSION_RULE = "a number of excluded patients is shown only if the totals before and after it are"


_TOTAL_RULE = "counts are 0 or at least this, and so is the difference of any two that can be subtracted"


def protect(
    records: Mapping[str, Record], filters: Filters, local: Local
) -> tuple[dict[str, Record], Report]:
    """Withhold what the filters do not let pass.

    Parameters
    ----------
    records : mapping
        analysis -> record, as of :func:`twostage.records.analyse.stage1_records`.
    filters : Filters
    local : Local
        What only the site can see: :func:`twostage.sharing.local.look`.

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
    found = verdicts(records, panel, filters, local)
    notes: dict[str, list[str]] = {
        name: [] for name in ("nfilter.glm", "nfilter.subset", "nfilter.tab", CONCENTRATION)
    }
    kept = {name: without_models(record, found, notes) for name, record in records.items()}
    kept, notes["covariances"] = protect_matrices(without_likelihoods(kept), local.one_sided, filters.tab)
    sizes = [size for record in kept.values() for size in _model_sizes(record)]
    patients = Counts((n for name, n in sizes if name != "n_transitions"), filters.tab)
    observations = Counts((n for name, n in sizes if name == "n_transitions"), filters.tab)
    enrolled = {name: patients.show(record.n_enrolled, total=True) for name, record in kept.items()}
    # All totals first: which of them are shown decides on the exclusions between them.
    totals = {name: [patients.show(n, total=True) for n in _flow(record)] for name, record in kept.items()}
    shown = {}
    for name, record in kept.items():
        member = RECORD_MEMBERS[name]
        summary, sessions = protect_summary(record, patients, observations, filters.tab, local)
        change = {
            "n_enrolled": enrolled[name],
            "exclusions": _exclusions(record, totals[name], filters.tab),
            "summary": summary,
            "sessions": sessions,
        }
        for where, rule in _withheld(record, change, local):
            notes[rule].append(f"{member}: {where}")
        done = record.model_copy(update=change)
        if name == ONE_STAGE:
            done = protect_sums(done, local.sums, found, patients)
            notes[SUMS] = [f"{member}: {f.variant}, {f.direction}" for f in done.failures]
        shown[name] = _finished(done, filters)
    checksum = {"data_checksum": content_checksum({n: r.model_dump(mode="json") for n, r in shown.items()})}
    sums = ONE_STAGE in shown and bool(shown[ONE_STAGE].aggregates)
    report = _report(notes, filters, remains(kept, panel, filters, sums=sums))
    return {name: r.model_copy(update=checksum) for name, r in shown.items()}, report


def _panel_size(records: Mapping[str, Record], filters: Filters) -> int:
    sizes = [n for r in records.values() if (n := r.summary.get("n_patients")) is not None]
    n = int(min(sizes, default=0))
    if n < filters.subset:
        expected = f"at least nfilter.subset = {filters.subset} patients in the panel, or nothing is shared"
        study = next(iter(records.values())).study
        raise DisclosureError([Problem(study, None, "n_patients", n, expected)])
    return n


def _model_sizes(record: Record) -> list[tuple[str, int]]:
    """Every count that a record has of its models, with its name."""
    rows = [row for name in Record.model_fields if name not in DESCRIPTIVE for row in getattr(record, name)]
    return [(name, n) for row in rows for name, n in row if name.startswith("n_")]


def _flow(record: Record) -> list[int]:
    """Patients left after each exclusion, beginning with all."""
    left = [own_count(record.n_enrolled)]
    for exclusion in record.exclusions:
        left.append(left[-1] - own_count(exclusion.n_patients))
    return left


def _exclusions(record: Record, totals: list[int | None], least: int) -> tuple[Exclusion, ...]:
    shown = []
    for exclusion, before, after in zip(record.exclusions, totals[:-1], totals[1:], strict=True):
        n = own_count(exclusion.n_patients)
        safe = n == 0 or (n >= least and before is not None and after is not None)
        shown.append(exclusion.model_copy(update={"n_patients": n if safe else None}))
    return tuple(shown)


def _withheld(record: Record, change: dict, local: Local) -> Iterator[tuple[str, str]]:
    """Names of what became null, each with its rule."""
    names = ["n_enrolled"] if change["n_enrolled"] is None else []
    names += [f"excluded, {e.reason}" for e in change["exclusions"] if e.n_patients is None]
    yield from ((name, "nfilter.tab") for name in names)
    for name, value in change["summary"].items():
        if value is None and record.summary[name] is not None:
            yield name, CONCENTRATION if of_variables(name) & set(local.variables) else "nfilter.tab"
    for before, after in zip(record.sessions, change["sessions"], strict=True):
        session = own_count(before["session"])
        lost = [n for n, v in after.items() if v is None and before[n] is not None and n not in NEVER]
        telling = [n for n in lost if (session, n[0]) in local.sessions and f"n_{n[0]}" not in lost]
        for own, rule in (([n for n in lost if n not in telling], "nfilter.tab"), (telling, CONCENTRATION)):
            if own:
                yield f"session {session}, {', '.join(own)}", rule


def _finished(record: Record, filters: Filters) -> Record:
    record = record if filters.digits is None else rounded(record, filters.digits)
    return Record.model_validate(record.model_dump())


def _report(notes: dict[str, list[str]], filters: Filters, left: tuple[str, ...]) -> Report:
    rules = {
        "nfilter.subset": (
            "fewest patients of a study (else nothing is shared) and of a model",
            filters.subset,
        ),
        "nfilter.glm": ("most coefficients of a model per patient", filters.glm),
        "nfilter.tab": (f"{_TOTAL_RULE}; {_EXCLUSION_RULE}", filters.tab),
        CONCENTRATION: (_CONCENTRATION_RULE, filters.tab),
        "covariances": (MATRIX_RULE, filters.tab),
    }
    if SUMS in notes:
        rules[SUMS] = (SUMS_RULE, cell_sizes(filters)[0])
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
        "log-likelihoods, means of equal scores, numbers of patients with both variables at a session, and summaries that "
        "no rule knows"
    )
    checks.append(Check(name="never shared", rule=never, threshold=None, withheld=()))
    return Report(checks=tuple(checks), remains=left)
