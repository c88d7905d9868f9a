"""Another group's rows as records: what stage 2 reads of every study."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pydantic
from scipy.special import ndtri, stdtrit

from twostage.interchange.read import SHOWN, ResultsError
from twostage.interchange.theirs import Theirs
from twostage.notebooks import RECORD_HOME
from twostage.params import Parameters
from twostage.problems import Problem, expectation
from twostage.records import ANALYSES, ONE_STAGE, Record, notebook_parameters
from twostage.sharing import DESCRIBED
from twostage.stage1 import coefficients, reasons
from twostage.stats.base import two_sided_p

#: Why a pulled study is not in a pool, where the results do not say it themselves.
NOT_THERE = "not among the results that were pulled"


#: Analyses whose records have effects; that of the one-stage model has sums, which nobody can pull.
WITH_EFFECTS = tuple(analysis for analysis in ANALYSES if analysis != ONE_STAGE)


def compose(theirs: Theirs, study: str, info: dict[str, str]) -> dict[str, Record]:
    """The records of one of their studies, of every analysis.

    Parameters
    ----------
    theirs : Theirs
    study : str
        Their id.
    info : dict
        Its row of our registry: the records have our id and label.

    Raises
    ------
    ResultsError
        Naming each row or number that no record can have.
    """
    rows = theirs.of(study)
    found: dict[str, Record] = {}
    strange = [r for r in rows if r["analysis"] not in WITH_EFFECTS]
    problems = [
        Problem(theirs.file, r["line"], "analysis", r["analysis"], f"one of {', '.join(WITH_EFFECTS)}")
        for r in strange
    ]
    for analysis in WITH_EFFECTS:
        own = [row for row in rows if row["analysis"] == analysis]
        try:
            found[analysis] = Record.model_validate(_parts(theirs, study, info, analysis, own))
        except pydantic.ValidationError as error:
            problems += [_problem(theirs, study, analysis, own, d) for d in error.errors()]
    if problems:
        raise ResultsError(problems[:SHOWN])
    return found


def _problem(theirs: Theirs, study: str, analysis: str, own: list[dict], detail: Any) -> Problem:
    """What is wrong with a record, said of the row that it came from where it came from one."""
    where = detail["loc"]
    line = own[where[1]]["line"] if where[:1] == ("estimates",) and len(where) > 1 else None
    named = [_COLUMN.get(part, str(part)) for part in (where[2:] if line else where)]
    place = ".".join(named) or f"{study}, {analysis}"
    return Problem(theirs.file, line, place, repr(detail["input"])[:80], expectation(detail))


#: What the table calls a field of an estimate.
_COLUMN = {"estimate": "yi", "std_error": "sei", "n_patients": "n"}


def _parts(
    theirs: Theirs, study: str, info: dict[str, str], analysis: str, own: list[dict]
) -> dict[str, Any]:
    parameters = notebook_parameters(RECORD_HOME[analysis], theirs.parameters)
    n = int(info["n"]) if info["n"] else None
    equations = {(row["variant"], row["direction"]): row for row in own}
    parts = {
        "schema_version": 1,
        "package_version": version("twostage"),
        "study": info["study"],
        "label": info["label"],
        "analysis": analysis,
        "parameters": parameters.model_dump(),
        # The study's results get a checksum together.
        "data_checksum": "0" * 64,
        "n_enrolled": n,
        "exclusions": [{"reason": r, "n_patients": None} for r in reasons(analysis, parameters)],
        "estimates": [_estimate(row, info["study"], parameters.level) for row in own],
        "fits": [_fit(row) for row in equations.values()],
        "failures": list(_failures(theirs, study, analysis, parameters, set(equations))),
        "summary": dict.fromkeys(DESCRIBED) | {"n_enrolled": n} if analysis == "data" else {},
    }
    return parts | _covariances(theirs, study, analysis, own)


def _estimate(row: dict[str, Any], study: str, level: float) -> dict[str, Any]:
    df = row["df"]
    statistic = row["yi"] / row["sei"] if row["sei"] else 0.0
    half = (ndtri(0.5 + level / 2) if df is None else stdtrit(df, 0.5 + level / 2)) * row["sei"]
    same = (
        "analysis",
        "variant",
        "direction",
        "term",
        "estimator",
        "df",
        "n_transitions",
        "converged",
        "singular",
    )
    return {name: row[name] for name in same} | {
        "study": study,
        "estimate": row["yi"],
        "std_error": row["sei"],
        "statistic": statistic,
        "p_value": float(two_sided_p(statistic, float("inf") if df is None else df)),
        "ci_low": row["yi"] - half,
        "ci_high": row["yi"] + half,
        "n_patients": row["n"],
    }


def _fit(row: dict[str, Any]) -> dict[str, Any]:
    same = {name: row[name] for name in ("variant", "direction", "n_transitions", "converged", "singular")}
    unknown: dict[str, Any] = {"loglik": None, "sigma2": None, "re_variance": None}
    return same | unknown | {"n_patients": row["n"], "evaluations": 0}


def _failures(
    theirs: Theirs, study: str, analysis: str, parameters: Parameters, there: set[tuple[str, str]]
) -> Iterator[dict[str, str]]:
    known = {(variant, direction) for variant, direction, *_ in coefficients(analysis, parameters)}
    for variant, direction in sorted(known - there):
        reason = theirs.reasons.get((study, analysis, variant, direction), NOT_THERE)
        yield {"variant": variant, "direction": direction, "reason": reason}


def _covariances(theirs: Theirs, study: str, analysis: str, own: list[dict]) -> dict[str, Any]:
    """Their matrices; where there is none of an equation, its variances."""
    single, joint = [], []
    for (of_study, of, variant, which), (terms, matrix, n, n_both) in theirs.matrices.items():
        if (of_study, of) != (study, analysis):
            continue
        if which == "both":
            directions, names = [d for d, _ in terms], [t for _, t in terms]
            more = {"n_patients": n, "n_both": n_both}
            joint.append(
                {"variant": variant, "directions": directions, "terms": names, "matrix": matrix} | more
            )
        else:
            names = [t for _, t in terms]
            single.append({"variant": variant, "direction": which, "terms": names, "matrix": matrix})
    there = {(c["variant"], c["direction"]) for c in single}
    lacking: dict[tuple[str, str], list[dict]] = {}
    for row in own:
        if (row["variant"], row["direction"]) not in there and not theirs.matrices:
            lacking.setdefault((row["variant"], row["direction"]), []).append(row)
    for (variant, direction), rows in lacking.items():
        matrix = [[r["sei"] ** 2 if r is other else None for other in rows] for r in rows]
        terms = [r["term"] for r in rows]
        single.append({"variant": variant, "direction": direction, "terms": terms, "matrix": matrix})
    return {"covariances": single, "joint_covariances": joint}
