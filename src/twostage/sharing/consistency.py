"""Whether the numbers of a bundle fit each other."""

import math
from collections.abc import Iterator

from twostage.notebooks import RECORD_HOME
from twostage.params import Parameters
from twostage.problems import Problem
from twostage.records import Record, notebook_parameters
from twostage.sharing.layout import RECORD_MEMBERS
from twostage.stage1 import reasons

#: A standard error is the root of a variance, a statistic a ratio: equal but for rounding of doubles.
SAME = 1e-9


#: Analyses whose records have standard errors only: each of their coefficients is pooled by itself.
WITHOUT_MATRICES = {"estimators", "transition"}


def inconsistencies(
    records: dict[str, Record], info: dict[str, str], parameters: Parameters, checksum: str
) -> list[Problem]:
    """What does not fit within a bundle.

    Parameters
    ----------
    records : dict
        analysis -> record; each valid by itself.
    info : dict
        The study's row of the registry, as text.
    parameters : Parameters
        Of the manifest.
    checksum : str
        Of the records' content, as of :func:`twostage.sharing.layout.content_checksum`.
    """
    problems = []
    own = {a: notebook_parameters(notebook, parameters) for a, notebook in RECORD_HOME.items()}
    for analysis, record in records.items():
        member = RECORD_MEMBERS[analysis]
        found = [
            *_identity(record, analysis, info, checksum),
            *_parameters(record, own[analysis]),
            *_equations(record),
            *_covariances(record),
            *_counts(record),
            *_description(record),
        ]
        problems += [Problem(member, None, column, value, expected) for column, value, expected in found]
    return problems + _enrolled(records, info)


Finding = tuple[str, object, str]


def _identity(record: Record, analysis: str, info: dict[str, str], checksum: str) -> Iterator[Finding]:
    if record.analysis != analysis:
        yield "analysis", record.analysis, f"{analysis!r}, as the member's name says"
    for name in ("study", "label"):
        if getattr(record, name) != info[name]:
            yield name, getattr(record, name), f"{info[name]!r}, as in study.json"
    if record.data_checksum != checksum:
        yield "data_checksum", record.data_checksum, f"{checksum}, the checksum of the records' content"


def _parameters(record: Record, expected: Parameters) -> Iterator[Finding]:
    for name, value in record.parameters:
        if value != getattr(expected, name):
            yield f"parameters.{name}", value, f"{getattr(expected, name)!r}, as the manifest says"


def _equations(record: Record) -> Iterator[Finding]:
    terms = [(e.variant, e.direction, e.term) for e in record.estimates]
    if len(set(terms)) < len(terms):
        yield "estimates", "a coefficient twice", "each coefficient once"
    fits = {(f.variant, f.direction): f for f in record.fits}
    if len(fits) < len(record.fits) or set(fits) != {key[:2] for key in terms}:
        yield "fits", sorted(fits), "one fit for each equation that has estimates"
        return
    for e in record.estimates:
        where, fit = f"estimates, {e.variant}, {e.direction}, {e.term}", fits[e.variant, e.direction]
        for name in ("n_patients", "n_transitions", "converged", "singular"):
            if getattr(e, name) != getattr(fit, name):
                yield f"{where}, {name}", getattr(e, name), f"{getattr(fit, name)!r}, as the fit says"
        if not math.isclose(e.statistic, e.estimate / e.std_error, rel_tol=SAME, abs_tol=SAME):
            yield f"{where}, statistic", e.statistic, "estimate / std_error"
        if not e.ci_low <= e.estimate <= e.ci_high:
            yield f"{where}, ci", [e.ci_low, e.ci_high], "an interval around the estimate"


def _covariances(record: Record) -> Iterator[Finding]:
    keys = [(c.variant, c.direction) for c in record.covariances]
    if not keys and record.analysis in WITHOUT_MATRICES:
        return
    equations = {(e.variant, e.direction) for e in record.estimates}
    if len(set(keys)) < len(keys) or set(keys) != equations:
        yield "covariances", sorted(keys), "one matrix for each equation that has estimates"
        return
    errors = {(e.variant, e.direction, e.term): e.std_error for e in record.estimates}
    for c in record.covariances:
        where = f"covariances, {c.variant}, {c.direction}"
        own = [term for v, d, term in errors if (v, d) == (c.variant, c.direction)]
        if sorted(own) != sorted(c.terms):
            yield where, list(c.terms), f"the terms of the equation: {own}"
            continue
        for i, term in enumerate(c.terms):
            variance, se = c.matrix[i][i], errors[c.variant, c.direction, term]
            if variance is not None and not math.isclose(variance, se * se, rel_tol=SAME):
                yield f"{where}, {term}", variance, f"std_error squared = {se * se!r}"


def _counts(record: Record) -> Iterator[Finding]:
    for name, value in record.summary.items():
        if name.startswith("n_") and value is not None and (value < 0 or value != int(value)):
            yield f"summary.{name}", value, "a count"
    known, given = reasons(record.analysis, record.parameters), [e.reason for e in record.exclusions]
    if len(set(given)) < len(given) or not set(given) <= set(known):
        yield "exclusions", str(given)[:80], f"each once and none but {'; '.join(known)}"
    n = record.n_enrolled
    for e in record.estimates:
        if n is not None and e.n_patients > n:
            yield "n_patients", e.n_patients, f"at most n_enrolled = {n}"
    excluded = [e.n_patients for e in record.exclusions if e.n_patients is not None]
    if n is None or len(excluded) < len(record.exclusions):
        return
    left = n - sum(excluded)
    if left < 0:
        yield "exclusions", n - left, f"at most n_enrolled = {n} in all"
        return
    included = record.summary.get("n_patients")
    if included is not None and included != left:
        yield "summary.n_patients", included, f"{left}, the enrolled less the excluded"
    mains = [f.n_patients for f in record.fits if f.variant == "main"]
    if max(mains, default=0) > left:
        yield "fits, n_patients", max(mains), f"at most {left}, the enrolled less the excluded"


#: What a description has at least, and within which limits.
DESCRIBED = {
    "n_enrolled": (0, math.inf),
    "n_patients": (0, math.inf),
    "n_sessions": (0, math.inf),
    "n_transitions": (0, math.inf),
    "sessions_per_patient": (0, math.inf),
    "missing_share": (0, 1),
    "icc_x": (-math.inf, 1),
    "icc_y": (-math.inf, 1),
    "r_between": (-1, 1),
    "r_within": (-1, 1),
    "scale_x": (0, math.inf),
    "scale_y": (0, math.inf),
}


#: What a description may have besides, each a count or a number of patients with that score.
MAY_DESCRIBE = {"n_pre", "n_post", "pre_mean", "pre_sd", "floor_x", "ceiling_x", "floor_y", "ceiling_y"}


OF_SESSION = {"session", *(f"{v}_{of}" for v in ("x", "y") for of in ("mean", "sd")), "n_x", "n_y"}


MAY_BE_OF_SESSION = {"n_both", "share_both"}


def _description(record: Record) -> Iterator[Finding]:
    if record.analysis != "data":
        if record.summary or record.sessions:
            yield "summary, sessions", len(record.summary) + len(record.sessions), "nothing in this record"
        return
    for name in sorted(set(record.summary) - set(DESCRIBED) - MAY_DESCRIBE):
        yield (
            f"summary.{name[:80]}",
            record.summary[name],
            "nothing that this version of twostage does not write",
        )
    for name, (low, high) in DESCRIBED.items():
        value = record.summary.get(name)
        if name not in record.summary:
            yield f"summary.{name}", None, "a number, or null if it is withheld"
        elif value is not None and not low <= value <= high:
            yield f"summary.{name}", value, f"a number from {low} to {high}"
    yield from _sessions(record)


def _sessions(record: Record) -> Iterator[Finding]:
    for name in sorted(set(record.summary) - set(DESCRIBED) - MAY_DESCRIBE):
        yield (
            f"summary.{name[:80]}",
            record.summary[name],
            "nothing that this version of twostage does not write",
        )
    sessions = [row.get("session") for row in record.sessions]
    if len(set(sessions)) < len(sessions):
        yield "sessions", "a session twice", "each session once"
    first, last = record.parameters.first_session, record.parameters.last_session
    for i, row in enumerate(record.sessions):
        if not OF_SESSION <= set(row) <= OF_SESSION | MAY_BE_OF_SESSION:
            yield f"sessions.{i}", sorted(row)[:12], f"{', '.join(sorted(OF_SESSION))}"
        elif row["session"] is None or not first <= row["session"] <= last:
            yield f"sessions.{i}.session", row["session"], f"a session from {first} to {last}"


def _enrolled(records: dict[str, Record], info: dict[str, str]) -> list[Problem]:
    expected = int(info["n"]) if info["n"] else None
    found: dict[str, float | None] = {RECORD_MEMBERS[a]: r.n_enrolled for a, r in records.items()}
    found |= {
        f"{RECORD_MEMBERS[a]}, summary": r.summary["n_enrolled"]
        for a, r in records.items()
        if "n_enrolled" in r.summary
    }
    what = f"{expected}, the n of study.json" if expected is not None else "null, as study.json withholds it"
    return [Problem(member, None, "n_enrolled", n, what) for member, n in found.items() if n != expected]
