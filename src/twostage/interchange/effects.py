"""The estimates of the studies of a run as one table for other people's software."""

import json
from collections.abc import Iterable, Iterator, Mapping

import pandas as pd

from twostage.collection import Collection, unmarked
from twostage.interchange.columns import NAMES, OF_STUDY
from twostage.params import Parameters
from twostage.records import Estimate, Record
from twostage.stage1 import variants
from twostage.terms import DIRECTIONS

#: Raised when the meaning of a field of ``vcov.json`` changes.
VCOV_VERSION = 1


def effect_name(e: Estimate) -> str:
    """What a row is called in ``effects.csv`` and ``vcov.json``."""
    return "/".join((e.study, e.analysis, e.variant, e.direction, e.term, e.estimator))


def effect_table(records: Iterable[Record], collection: Collection) -> pd.DataFrame:
    """One row per estimate, with what the studies differ in.

    Parameters
    ----------
    records : iterable of Record
    collection : Collection
        Which the studies are of.

    Returns
    -------
    pandas.DataFrame
        The columns of :data:`twostage.interchange.columns.COLUMNS`.
    """
    facts = {row["study"]: _facts(row, collection) for row in collection.studies.to_dict("records")}
    rows = [_row(record, e, facts[e.study]) for record in records for e in record.estimates]
    return pd.DataFrame(rows, columns=NAMES).astype({"n_enrolled": "Int64"})


def _facts(row: Mapping, collection: Collection) -> dict:
    kind, label = collection.origins[row["study"]], row["label"]
    own = {c.name: row.get("n" if c.name == "n_enrolled" else c.name) for c in OF_STUDY}
    return own | {"label": unmarked(label) if kind != "participants" else label, "source_of_effect": kind}


def _row(record: Record, e: Estimate, facts: dict) -> dict:
    return facts | {
        "effect": effect_name(e),
        "study": e.study,
        "analysis": e.analysis,
        "variant": e.variant,
        "direction": e.direction,
        "term": e.term,
        "estimator": e.estimator,
        "yi": e.estimate,
        "vi": e.std_error**2,
        "sei": e.std_error,
        "df": e.df,
        "units": units(record.analysis, e.variant, e.direction, e.term, record.parameters),
        "n": e.n_patients,
        "n_transitions": e.n_transitions,
        "converged": e.converged,
        "singular": e.singular,
    }


def covariance_text(records: Iterable[Record]) -> str:
    """``vcov.json``: the matrices, a line each, with the names of their rows in ``effects.csv``."""
    lines = ",\n".join(json.dumps(block, allow_nan=False) for record in records for block in _blocks(record))
    return f'{{"schema_version": {VCOV_VERSION}, "blocks": [\n{lines}\n]}}\n'


def _blocks(record: Record) -> Iterator[dict]:
    """Of each equation, and of all equations of a variant where patients are in several."""
    names = {(e.variant, e.direction, e.term): effect_name(e) for e in record.estimates}
    about = {"study": record.study, "analysis": record.analysis}
    for c in record.covariances:
        effects = [names[c.variant, c.direction, term] for term in c.terms]
        yield about | {"variant": c.variant, "of": c.direction, "effects": effects, "matrix": c.matrix}
    for joint in record.joint_covariances:
        pairs = zip(joint.directions, joint.terms, strict=True)
        effects = [names[joint.variant, direction, term] for direction, term in pairs]
        counts = {"n_patients": joint.n_patients, "n_both": joint.n_both}
        yield (
            about
            | {"variant": joint.variant, "of": "both", "effects": effects, "matrix": joint.matrix}
            | counts
        )


#: What a score is divided by.
_OF_SCORE = {"total": "SD of all scores", "within": "SD within persons", "none": "scale point"}


def units(analysis: str, variant: str, direction: str, term: str, parameters: Parameters) -> str:
    """The unit of an estimate.

    Parameters
    ----------
    analysis, variant, direction, term : str
        As in a record.
    parameters : Parameters
        With which it was made.

    Examples
    --------
    >>> from twostage.params import make_parameters
    >>> units("lagged", "main", "x_to_y", "x_within", make_parameters({}))
    'SD of all scores of y per SD of all scores of x'
    """
    if analysis == "outcome":
        return {"partial_r_z": "Fisher z of a partial correlation"}.get(
            term, "SD of the outcome per SD of early x"
        )
    changed = variants(parameters).get(variant, {}) if analysis == "sensitivity" else {}
    one = _OF_SCORE[changed.get("standardize", parameters.standardize)]
    outcome = f"{one} of {DIRECTIONS[direction].outcome}"
    if term == "intercept":
        return outcome
    return " ".join([outcome, *(f"per {one} of {part[0]}" for part in term.split(":"))])
