"""From checked data to the small sums a fit works with, and back to the caller's columns."""

from dataclasses import dataclass

import numpy as np

from twostage.stats.base import NotEstimable
from twostage.stats.mixed.criterion import Criterion
from twostage.stats.mixed.design import (
    Design,
    WorkingBasis,
    is_well_conditioned,
    orthogonalise,
    working_basis,
)
from twostage.stats.mixed.sums import CollapsedGroups, CrossProducts, StackedGroups, cross_products, gram_of

# Random-effect columns (unit spread) whose mean cross-product has an eigenvalue below this share of the
# largest are dependent: rounding leaves 1e-16, and a covariance along such a direction is not estimable.
DEPENDENT_EFFECTS = 1e-11


# y's spread within groups below this share of its spread is rounding: about 100 times the machine's
# precision.
NO_SPREAD = 2e-14


@dataclass(frozen=True)
class Working:
    """A model ready to fit.

    Attributes
    ----------
    products : CrossProducts
    sizes : (N,) int array
        Rows per group.
    n : int
        Rows.
    x_turn, offset : (p, p), (p,) arrays
        Coefficients = x_turn @ working coefficients + offset.
    z_turn : (q, q) array
        T = z_turn @ working T @ z_turn.T.
    log_det : float
        Added to log|X'V^-1 X| of the working columns to give the caller's.
    """

    products: CrossProducts
    sizes: np.ndarray
    n: int
    x_turn: np.ndarray
    offset: np.ndarray
    z_turn: np.ndarray
    log_det: float

    @property
    def p(self) -> int:
        """Fixed effects."""
        return len(self.offset)

    def criterion(self, reml: bool) -> Criterion:
        """The profiled deviance of this model."""
        products = self.products
        sums = CollapsedGroups(products, self.sizes) if products.constant else StackedGroups(products)
        return Criterion(sums, self.n, self.p, len(self.sizes), reml, self.log_det)

    def start(self) -> np.ndarray:
        """Starting T: between-group spread as large as the residual's, in every direction."""
        mean = mean_gram(self.products)
        if len(mean) == 1:
            return 1.0 / mean
        values = np.linalg.eigvalsh(mean)
        if values[0] <= DEPENDENT_EFFECTS * values[-1]:
            raise NotEstimable(
                "columns of Z are collinear within every group: their covariance is not defined"
            )
        return np.linalg.inv(mean)


def mean_gram(products: CrossProducts) -> np.ndarray:
    """Mean of Z_i'Z_i over groups, (q, q)."""
    triangles = products.triangles
    return sum(gram_of(row) for row in triangles) / triangles.shape[2]


def prepare(design: Design) -> Working:
    """Reduce the data to cross-products in a well-conditioned basis.

    Raises
    ------
    ValueError
        If columns of X are collinear, the fixed effects reproduce y, or y does not vary within groups.
    """
    basis = working_basis(design)
    x_turn, offset, log_det = basis.x_turn, basis.offset, 0.0
    products = _reduce(design, basis)
    total = products.total()
    if not is_well_conditioned(total):
        straight = orthogonalise(design, basis)
        offset = offset + x_turn @ straight.coefficients
        x_turn = x_turn @ np.linalg.inv(straight.triangle)
        log_det = 2.0 * float(np.log(np.abs(np.diagonal(straight.triangle))).sum())
        products = _reduce(straight.design, basis.without_shift())
        total = products.total()
    if products.within[-1, -1] <= NO_SPREAD**2 * total[-1, -1]:
        raise NotEstimable(
            "y does not vary within groups beyond the random effects: the residual variance is zero"
        )
    sizes, n = design.grouping.sizes, len(design.y)
    return Working(products, sizes, n, x_turn, offset, basis.z_turn, log_det)


def _reduce(design: Design, basis: WorkingBasis) -> CrossProducts:
    write = basis.writer(design)
    return cross_products(write, design.q, len(basis.offset) + 1, basis.constant_first, design.grouping)
