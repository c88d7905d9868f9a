"""What passes from stage 1 to stage 2: one JSON file per study and analysis, and nothing else.

A record holds estimates, their covariance matrices, counts, exclusions, the parameters, a checksum of
the data and the version of the package; no participant's score. It is validated when it is read.
"""

import json
import math
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import pandas as pd
import pydantic
from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from twostage.files import write_text
from twostage.notebooks import RECORD_HOME
from twostage.params import Parameters
from twostage.problems import Problem, RecordError, expectation
from twostage.records.aggregates import Aggregate
from twostage.records.model import Model
from twostage.stage1 import (
    LARGEST_COUNT,
    LARGEST_COVARIANCE,
    LARGEST_END,
    LARGEST_OTHER,
    LEAST_VARIANCE,
    OUTCOME,
    PRODUCTS,
    Description,
    Panel,
    StudyAggregates,
    StudyEstimates,
    bounds,
    coefficients,
)
from twostage.stats.onestage import StudySums
from twostage.terms import COLUMNS, DIRECTIONS

#: Correlations of estimates may exceed 1 in the last digits only.
PSD_TOLERANCE = 1e-8


def check_covariance(rows: Sequence[Sequence[float | None]], terms: int) -> None:
    """Raise ValueError unless the rows are a covariance matrix of so many terms; null stands for unknown."""
    matrix = np.array([[np.nan if v is None else v for v in row] for row in rows], dtype=float)
    if matrix.shape != (terms, terms):
        raise ValueError(f"matrix of {len(rows)} rows for {terms} terms")
    known = np.nan_to_num(matrix)
    if np.abs(known).max(initial=0.0) > LARGEST_COVARIANCE:
        raise ValueError(f"a covariance of {np.abs(known).max():g}, more than {LARGEST_COVARIANCE:g}")
    scale = np.sqrt(np.abs(np.diag(known)))
    if not np.allclose(known, known.T, rtol=1e-8, atol=1e-12 * max(scale.max(initial=0.0) ** 2, 1e-300)):
        raise ValueError("matrix is not symmetric")
    correlation = known / np.outer(np.where(scale > 0, scale, 1), np.where(scale > 0, scale, 1))
    if np.linalg.eigvalsh(correlation).min(initial=0.0) < -PSD_TOLERANCE:
        raise ValueError("matrix is not positive semidefinite")
    variances = np.diag(matrix)
    if (variances < LEAST_VARIANCE).any():
        raise ValueError(f"a variance of {np.nanmin(variances):g}, less than {LEAST_VARIANCE:g}")


class Covariance(Model):
    """Covariance matrix of one equation's coefficients; null where it is not known."""

    variant: str
    direction: Literal["x_to_y", "y_to_x"]
    terms: tuple[str, ...]
    matrix: tuple[tuple[float | None, ...], ...]

    @model_validator(mode="after")
    def _is_a_covariance_matrix(self) -> Self:
        check_covariance(self.matrix, len(self.terms))
        return self


class JointCovariance(Model):
    """Cluster-robust covariance matrix of the coefficients of all equations of a variant, patients as clusters."""

    variant: str
    directions: tuple[Literal["x_to_y", "y_to_x"], ...]
    terms: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]
    n_patients: int = Field(ge=0, description="in at least one equation")
    n_both: int = Field(ge=0, description="in every equation")

    @model_validator(mode="after")
    def _is_a_covariance_matrix(self) -> Self:
        if len(self.directions) != len(self.terms):
            raise ValueError(f"{len(self.directions)} directions for {len(self.terms)} terms")
        if len(set(zip(self.directions, self.terms, strict=True))) != len(self.terms):
            raise ValueError("a coefficient is there twice")
        if self.n_both > self.n_patients:
            raise ValueError(f"n_both {self.n_both} is more than n_patients {self.n_patients}")
        check_covariance(self.matrix, len(self.terms))
        return self


#: Raised when the meaning of a field changes; a reader refuses other versions.
SCHEMA_VERSION = 1


Count = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]


End = Annotated[float, Field(ge=-LARGEST_END, le=LARGEST_END)]


Other = Annotated[float, Field(ge=-LARGEST_OTHER, le=LARGEST_OTHER)]


ANALYSES = tuple(RECORD_HOME)


#: The analysis whose record has sums in the place of estimates.
ONE_STAGE = "onestage"


class Estimate(Model):
    """One coefficient: the standard columns of every table."""

    study: str
    analysis: str
    variant: str
    direction: Literal["x_to_y", "y_to_x"]
    term: str
    estimator: str
    estimate: Annotated[float, AfterValidator(bounds.estimate)]
    std_error: Annotated[float, Field(gt=0), AfterValidator(bounds.std_error)]
    df: Annotated[Annotated[float, Field(gt=0)] | None, AfterValidator(bounds.df)] = Field(
        description="null: infinite (a normal statistic)"
    )
    statistic: float
    p_value: float = Field(ge=0, le=1)
    ci_low: End
    ci_high: End
    n_patients: Count
    n_transitions: Count
    converged: bool
    singular: bool


class Fit(Model):
    """One fitted equation."""

    variant: str
    direction: Literal["x_to_y", "y_to_x"]
    n_patients: Count
    n_transitions: Count
    loglik: Other | None
    sigma2: Other | None
    re_variance: Other | None
    converged: bool
    singular: bool
    evaluations: Count


class Exclusion(Model):
    """Patients of the study who are not in the analysis, by reason."""

    reason: str
    n_patients: Count | None = Field(description="null: withheld by a site that shares its results only")


class Failure(Model):
    """An equation that could not be estimated."""

    variant: str
    direction: Literal["x_to_y", "y_to_x"]
    reason: str


def _as_made(parameters: Parameters) -> Parameters:
    """Of a record from before the errors could be chosen: they are the model's, and it does not say so."""
    if "stage1_errors" in parameters.model_fields_set:
        return parameters
    return parameters.model_copy(update={"stage1_errors": "model"})


class Record(Model):
    """All that stage 2 learns of one study in one analysis."""

    schema_version: Literal[1]
    package_version: str
    study: str
    label: str
    analysis: Literal[ANALYSES]  # type: ignore[valid-type]
    parameters: Annotated[Parameters, AfterValidator(_as_made)]
    data_checksum: str = Field(pattern="^[0-9a-f]{64}$")
    n_enrolled: Count | None = Field(description="null: withheld")
    exclusions: tuple[Exclusion, ...]
    estimates: tuple[Estimate, ...] = ()
    covariances: tuple[Covariance, ...] = ()
    joint_covariances: tuple[JointCovariance, ...] = ()
    fits: tuple[Fit, ...] = ()
    failures: tuple[Failure, ...] = ()
    summary: dict[str, Other | None] = {}
    sessions: tuple[dict[str, Other | None], ...] = ()
    aggregates: tuple[Aggregate, ...] = ()

    @model_serializer(mode="wrap")
    def _without_empty_aggregates(self, content: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Only one record has them: the others stay as earlier versions wrote, and read, them."""
        values = content(self)
        return values if self.aggregates else {k: v for k, v in values.items() if k != "aggregates"}

    @model_validator(mode="after")
    def _speaks_of_itself(self) -> Self:
        strange = [e for e in self.estimates if (e.study, e.analysis) != (self.study, self.analysis)]
        if strange:
            raise ValueError(f"estimates of {strange[0].study}/{strange[0].analysis} in this record")
        return self

    @model_validator(mode="after")
    def _has_each_sum_once(self) -> Self:
        found = [a.direction for a in self.aggregates]
        failed = [(f.variant, f.direction) for f in self.failures] if found else []
        if len(set(found)) < len(found) or {("main", d) for d in found} & set(failed):
            raise ValueError("aggregates: each direction at most once, and none that failed")
        wide = {
            (PRODUCTS, a.direction)
            for a in self.aggregates
            if a.terms == aggregate_terms(a.direction, products=True)
        }
        if wide & set(failed):
            raise ValueError("aggregates: cross-level columns that failed")
        return self

    @model_validator(mode="after")
    def _has_our_words_only(self) -> Self:
        if found := list(dict.fromkeys(_strangers(self))):
            text = "; ".join(", ".join(words)[:120] for words in found[:3])
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            what = f"nothing that this version of twostage writes in {self.analysis} with these parameters"
            raise ValueError(f"{text}{more}: {what}; if a newer one wrote it, update")
        return self

    def sums(self, direction: str, *, products: bool = False) -> StudySums | None:
        """What the one-stage model takes of the study; None where the record does not have it.

        Parameters
        ----------
        direction : str
        products : bool
            Whether the columns of the cross-level equation, and not only those of the lagged one.
        """
        wanted = aggregate_terms(direction, products=products)
        found = (a for a in self.aggregates if a.direction == direction and set(wanted) <= set(a.terms))
        return next((a.sums().columns(wanted) for a in found), None)

    def tidy(self) -> pd.DataFrame:
        """The estimates, one row per term, in the standard columns."""
        table = pd.DataFrame([e.model_dump() for e in self.estimates], columns=COLUMNS)
        return table.assign(df=[math.inf if e.df is None else e.df for e in self.estimates])

    def covariance(self, direction: str, variant: str = "main") -> pd.DataFrame:
        """Covariance matrix of one equation's coefficients.

        Raises
        ------
        KeyError
            If the record has no such equation.
        """
        for c in self.covariances:
            if (c.direction, c.variant) == (direction, variant):
                return pd.DataFrame(c.matrix, index=list(c.terms), columns=list(c.terms), dtype=float)
        raise KeyError(f"{self.study}/{self.analysis} has no equation {direction} ({variant})")

    def joint_covariance(self, variant: str = "main") -> pd.DataFrame:
        """Cluster-robust covariance matrix of all equations' coefficients, (direction, term) on both axes.

        Raises
        ------
        KeyError
            If the record has none of this variant.
        """
        for c in self.joint_covariances:
            if c.variant == variant:
                axis = pd.MultiIndex.from_arrays([c.directions, c.terms], names=["direction", "term"])
                return pd.DataFrame(c.matrix, index=axis, columns=axis, dtype=float)
        raise KeyError(f"{self.study}/{self.analysis} has no joint covariance ({variant})")


def _strangers(record: Record) -> Iterator[tuple[str, ...]]:
    """Coefficients and equations that the analysis does not have."""
    known = coefficients(record.analysis, record.parameters)
    rows, equations = {key[:3] for key in known}, {key[:2] for key in known}
    for e in record.estimates:
        if (key := (e.variant, e.direction, e.term, e.estimator)) not in known:
            yield key
    for c in record.covariances:
        yield from {(c.variant, c.direction, term) for term in c.terms} - rows
    for joint in record.joint_covariances:
        named = zip(joint.directions, joint.terms, strict=True)
        yield from {(joint.variant, d, term) for d, term in named} - rows
    if record.analysis == ONE_STAGE:
        equations = {(variant, direction) for variant in ("main", PRODUCTS) for direction in DIRECTIONS}
    for variant, direction in [(f.variant, f.direction) for of in (record.fits, record.failures) for f in of]:
        if (variant, direction) not in equations:
            yield variant, direction
    for aggregate in record.aggregates:
        known_terms = {aggregate_terms(aggregate.direction, products=products) for products in (False, True)}
        if record.analysis != ONE_STAGE or aggregate.terms not in known_terms:
            yield aggregate.direction, *aggregate.terms


def aggregate_terms(direction: str, *, products: bool = False) -> tuple[str, ...]:
    """Columns of a direction's sums: the predictors but for the intercept, and the outcome.

    Parameters
    ----------
    direction : str
    products : bool
        Whether with those of the cross-level equation.
    """
    d = DIRECTIONS[direction]
    return (*(d.crosslevel if products else d.lagged)[1:], OUTCOME)


Result = StudyEstimates | Description | StudyAggregates


def make_record(panel: Panel, result: Result) -> Record:
    """A study's result as the record that is handed on."""
    common = {
        "schema_version": SCHEMA_VERSION,
        "package_version": version("twostage"),
        "study": panel.study,
        "label": panel.label,
        "parameters": panel.parameters.model_dump(),
        "data_checksum": panel.checksum,
        "n_enrolled": panel.n_enrolled,
        "exclusions": _rows(result.exclusions),
    }
    return Record.model_validate(common | _parts(result))


def _parts(result: Result) -> dict:
    if isinstance(result, Description):
        return _description_parts(result)
    if isinstance(result, StudyAggregates):
        found = [Aggregate.of(direction, sums) for direction, sums in result.sums.items()]
        return {"analysis": ONE_STAGE, "aggregates": found, "failures": _rows(result.failures)}
    return _estimates_parts(result)


def _description_parts(result: Description) -> dict:
    summary = {name: _plain(value) for name, value in result.summary.items()}
    return {"analysis": "data", "summary": summary, "sessions": _rows(result.sessions)}


def _estimates_parts(result: StudyEstimates) -> dict:
    covariances = [
        {
            "variant": v,
            "direction": d,
            "terms": list(c),
            "matrix": [[_plain(x) for x in row] for row in c.to_numpy()],
        }
        for (v, d), c in result.covariances.items()
    ]
    joint = [
        {
            "variant": variant,
            "directions": list(c.matrix.index.get_level_values("direction")),
            "terms": list(c.matrix.index.get_level_values("term")),
            "matrix": c.matrix.to_numpy().tolist(),
            "n_patients": c.n_patients,
            "n_both": c.n_both,
        }
        for variant, c in result.joint_covariances.items()
    ]
    rows = _rows(result.table)
    return {
        "analysis": result.analysis,
        "estimates": [row | {"df": _df(df)} for row, df in zip(rows, result.table["df"], strict=True)],
        "covariances": covariances,
        "joint_covariances": joint,
        "fits": _rows(result.fits),
        "failures": _rows(result.failures),
    }


def _df(value: float) -> float | None:
    """Degrees of freedom for a record: null means infinite; what is not a number stays one and is refused."""
    return None if value == math.inf else float(value)


def _plain(value: Any) -> Any:
    """JSON has no infinity and no NaN: both become null."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _rows(table: pd.DataFrame) -> list[dict]:
    return [{name: _plain(value) for name, value in row.items()} for row in table.to_dict("records")]


def write_record(record: Record, folder: str | Path) -> Path:
    """Write ``folder/<analysis>.json``, whole or not at all.

    Parameters
    ----------
    record : Record
    folder : path
        The study's folder of records; made if it is not there.

    Returns
    -------
    Path
    """
    return write_text(Path(folder) / f"{record.analysis}.json", record_text(record))


def record_text(record: Record) -> str:
    """What stands in a record's file."""
    return json.dumps(record.model_dump(), ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def save_record(panel: Panel, result: Result, folder: str) -> None:
    """Write a study's result as a record, unless `folder` is empty; what notebooks call."""
    if folder:
        write_record(make_record(panel, result), folder)


def read_record(path: str | Path) -> Record:
    """Read and validate one record.

    Raises
    ------
    RecordError
        If the file is missing, is no JSON or does not have the schema; names file and field.
    """
    path = Path(path)
    try:
        return Record.model_validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        raise RecordError(
            [Problem(str(path), None, None, None, "a record of stage 1; run stage 1 first")]
        ) from None
    except pydantic.ValidationError as error:
        problems = [
            Problem(str(path), None, ".".join(map(str, d["loc"])) or None, _short(d["input"]), expectation(d))
            for d in error.errors()
        ]
        raise RecordError(problems) from None


def find_record(folder: str | Path, study: str, analysis: str) -> Record:
    """Read ``folder/<study>/<analysis>.json``.

    Raises
    ------
    RecordError
        As :func:`read_record`, and if the file holds the record of another study or analysis.
    """
    path = Path(folder) / study / f"{analysis}.json"
    record = read_record(path)
    pairs = {"study": (record.study, study), "analysis": (record.analysis, analysis)}
    problems = [
        Problem(str(path), None, name, found, f"{expected!r}, as the file's place says")
        for name, (found, expected) in pairs.items()
        if found != expected
    ]
    if problems:
        raise RecordError(problems)
    return record


def _short(value: object) -> object:
    text = repr(value)
    return value if len(text) <= 80 else text[:77] + "..."
