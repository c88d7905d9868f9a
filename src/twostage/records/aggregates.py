"""The sums of a study from which the one-stage model is exact, as a record has them."""

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from twostage.records.model import Model
from twostage.stage1 import LARGEST_COUNT, LARGEST_OTHER
from twostage.stats.base import frozen
from twostage.stats.onestage import StudySums

#: A matrix of sums may have negative eigenvalues from rounding only, as a share of its scaled size.
PSD_TOLERANCE = 1e-8


Number = Annotated[float, Field(ge=-LARGEST_OTHER, le=LARGEST_OTHER)]


class Cell(Model):
    """Patients with equally many transitions; if `joined`, with different numbers, of which `transitions` is the mean."""

    transitions: float = Field(gt=0, le=LARGEST_COUNT)
    patients: int = Field(gt=0, le=LARGEST_COUNT)
    joined: bool
    mean: tuple[Number, ...] = Field(description="of all rows of these patients, by term")
    scatter: tuple[Number, ...] = Field(description="of the patients' means about it, lower triangle by rows")


class Aggregate(Model):
    """Sums of one direction."""

    direction: Literal["x_to_y", "y_to_x"]
    terms: tuple[str, ...]
    cells: tuple[Cell, ...] = Field(min_length=1)
    within: tuple[Number, ...] = Field(
        description="cross-products about the patients' means, lower triangle by rows"
    )

    @model_validator(mode="after")
    def _fits_itself(self) -> Self:
        m = len(self.terms)
        for name, cell in [("within", None), *(("scatter", cell) for cell in self.cells)]:
            packed = self.within if cell is None else cell.scatter
            if len(packed) != m * (m + 1) // 2 or (cell is not None and len(cell.mean) != m):
                raise ValueError(f"{name}: {len(packed)} numbers for {m} terms")
            matrix = unpacked(packed, m)
            size = np.sqrt(np.abs(np.diagonal(matrix)))
            scaled = matrix / np.outer(np.where(size > 0, size, 1.0), np.where(size > 0, size, 1.0))
            if np.linalg.eigvalsh(scaled).min(initial=0.0) < -PSD_TOLERANCE:
                raise ValueError(f"{name} is not positive semidefinite")
        sizes = [cell.transitions for cell in self.cells]
        if sizes != sorted(set(sizes)):
            raise ValueError("cells must have different numbers of transitions, in order")
        return self

    @classmethod
    def of(cls, direction: str, sums: StudySums) -> "Aggregate":
        """The sums of a direction."""
        cells = zip(sums.size, sums.count, sums.joined, sums.mean, sums.scatter, strict=True)
        content = [
            {"transitions": float(size), "patients": int(count), "joined": bool(joined)}
            | {"mean": tuple(mean.tolist()), "scatter": packed(scatter)}
            for size, count, joined, mean, scatter in cells
        ]
        return cls.model_validate(
            {"direction": direction, "terms": sums.names, "cells": content, "within": packed(sums.within)}
        )

    def sums(self) -> StudySums:
        """The same as the model takes them."""
        m = len(self.terms)
        return StudySums(
            self.terms,
            *frozen(
                np.array([cell.transitions for cell in self.cells]),
                np.array([cell.patients for cell in self.cells], dtype=float),
                np.array([cell.mean for cell in self.cells]),
                np.array([unpacked(cell.scatter, m) for cell in self.cells]),
                unpacked(self.within, m),
                np.array([cell.joined for cell in self.cells]),
            ),
        )


def packed(matrix: np.ndarray) -> tuple[float, ...]:
    """The lower triangle of a symmetric matrix by rows."""
    return tuple(matrix[np.tril_indices(len(matrix))].tolist())


def unpacked(numbers: tuple[float, ...], m: int) -> np.ndarray:
    """The symmetric matrix with this lower triangle."""
    matrix = np.zeros((m, m))
    matrix[np.tril_indices(m)] = numbers
    return matrix + np.tril(matrix, -1).T
