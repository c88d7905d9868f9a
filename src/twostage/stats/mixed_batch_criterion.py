"""The profiled deviance of many random-intercept models at once, each at its own T; exact derivatives.

The formulas of `mixed_criterion` for one random effect, with the axis of data sets last: a loop over the few
columns replaces one over the many data sets. Where a data set's cross-products are not positive definite its
entries are NaN; the others are not disturbed.
"""

from dataclasses import dataclass

import numpy as np

from twostage.stats.mixed_batch_products import BatchProducts, packing


@dataclass(frozen=True)
class BatchEvaluation:
    """The criterion of B models, P = p + 1; attributes as in `mixed_criterion.Evaluation`.

    Attributes
    ----------
    value, sigma2, gradient, hessian, information, scale_share : (B,) arrays
    root : (P, P, B) array
        Lower Cholesky factors of C'V^-1 C.
    spread : (P, P, B) array
        sum [h e]_i'[h e]_i.
    """

    value: np.ndarray
    sigma2: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray
    information: np.ndarray
    scale_share: np.ndarray
    root: np.ndarray
    spread: np.ndarray


class BatchCriterion:
    """The profiled deviance as a function of T, (B,), for B data sets.

    Parameters
    ----------
    products : BatchProducts
    reml : bool
        Restricted likelihood (True) or likelihood (False).
    """

    def __init__(self, products: BatchProducts, reml: bool):
        self.products = products
        self.reml = reml
        self.P = len(products.shift)
        self.nu = products.n - (self.P - 1) if reml else products.n

    def take(self, which) -> "BatchCriterion":
        """The criterion of some of the data sets."""
        return BatchCriterion(self.products.take(which), self.reml)

    def start(self) -> np.ndarray:
        """Starting T: between-group spread as large as the residual's."""
        return self.products.n_groups / self.products.n

    def __call__(self, T: np.ndarray) -> BatchEvaluation:
        """Evaluate every data set's criterion at its own T."""
        d, p, nu = self.products, self.P - 1, self.nu
        inflation = 1.0 + d.sizes[:, None] * T
        g = d.sizes[:, None] / inflation
        unpack = packing(self.P)[2]
        weights = np.array([1.0 / inflation, g / inflation, g * g / inflation])
        between, outer, graded = np.einsum("wkb,kmb->wmb", weights, d.table)
        root = cholesky((d.within + between)[unpack])
        sides = np.stack([outer, graded], axis=1)[unpack]
        half = forward(root, sides)
        spread, graded = forward(root, half.swapaxes(0, 1)).transpose(2, 0, 1, 3)
        diagonal = np.einsum("iib->ib", root)
        sigma2 = diagonal[p] ** 2 / nu
        value = (d.count * np.log(inflation)).sum(axis=0) + nu * (1.0 + np.log(2 * np.pi * sigma2))
        if self.reml:
            value += 2.0 * np.log(diagonal[:p]).sum(axis=0)
        sums = (d.count * g).sum(axis=0), (d.count * g * g).sum(axis=0)
        return BatchEvaluation(value, sigma2, *self._derivatives(*sums, spread, graded), root, spread)

    def _derivatives(self, log_det, grams, spread, graded):
        """Gradient, Hessian, information and the scale's share."""
        p, nu = self.P - 1, self.nu
        cross, fit = spread[:p, p], spread[p, p]
        hessian = 2.0 * nu * (graded[p, p] - (cross**2).sum(axis=0)) - nu * fit**2
        if self.reml:
            fixed = spread[:p, :p]
            log_det = log_det - np.einsum("iib->b", fixed)
            grams = grams + (fixed**2).sum(axis=(0, 1)) - 2.0 * np.einsum("iib->b", graded[:p, :p])
        return log_det - nu * fit, hessian - grams, grams - log_det**2 / nu, log_det / nu


def cholesky(A: np.ndarray) -> np.ndarray:
    """Lower factors of symmetric matrices (P, P, B); NaN from the first pivot that is not positive."""
    L = np.zeros_like(A)
    for j in range(len(A)):
        column = A[j:, j].copy()
        for k in range(j):
            column -= L[j:, k] * L[j, k]
        pivot = np.sqrt(np.where(column[0] > 0, column[0], np.nan))
        L[j, j] = pivot
        L[j + 1 :, j] = column[1:] / pivot
    return L


def forward(L: np.ndarray, A: np.ndarray) -> np.ndarray:
    """L^-1 A for factors (P, P, B) and right-hand sides (P, ..., B)."""
    out = A.copy()
    for i in range(len(L)):
        for j in range(i):
            out[i] -= L[i, j] * out[j]
        out[i] /= L[i, i]
    return out
