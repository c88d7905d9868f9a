"""Covariance matrices in records: of one equation's coefficients, and of all equations' together."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pydantic
from pydantic import ConfigDict, Field, model_validator

from twostage.bounds import LARGEST_COVARIANCE, LEAST_VARIANCE

#: Correlations of estimates may exceed 1 in the last digits only.
PSD_TOLERANCE = 1e-8


class Model(pydantic.BaseModel):
    """What every part of a record is: immutable, without unknown fields, finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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
    def _is_a_covariance_matrix(self):
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
    def _is_a_covariance_matrix(self):
        if len(self.directions) != len(self.terms):
            raise ValueError(f"{len(self.directions)} directions for {len(self.terms)} terms")
        if len(set(zip(self.directions, self.terms, strict=True))) != len(self.terms):
            raise ValueError("a coefficient is there twice")
        if self.n_both > self.n_patients:
            raise ValueError(f"n_both {self.n_both} is more than n_patients {self.n_patients}")
        check_covariance(self.matrix, len(self.terms))
        return self
