"""The likelihood of covariance structures of panels with drop-out only, for many panels side by side.

Everyone who is there at an occasion has the same past, so the prediction of y_t from the past has one set of coefficients
and one error covariance for all: a panel counts through the cross-products of y_1 .. y_t among those who are there at t.
This serves any structure; where predictions depend on a few sums of the past alone, steps.py is faster.
"""

from dataclasses import dataclass, replace

import numpy as np

from twostage.stats.fiml import positive_definite, scaled
from twostage.stats.riclpm.latent import LatentStructure

# Of central differences of the gradient, for variables of unit variance: rounding, 1e-15 / step, and the square of the
# step are both about 1e-10 of the second derivatives.
_CENTRAL = 1e-5


# Of forward differences: both are 1e-7.
_FORWARD = 2e-8


# What forward differences are good enough for: least eigenvalue of second derivatives with unit diagonal.
_FLAT = 2e-2


_FEW = 16  # panels below which overhead counts most: all differences are taken at once


_LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True)
class DropoutMoments:
    """What the likelihood needs of b panels.

    Attributes
    ----------
    n : (T, b) array
        Persons at each occasion.
    cross : (b, T, 2T, 2T) array
        Cross-products of y_1 .. y_t, about their means, of those who are there at t; 0 for later columns.
    """

    n: np.ndarray
    cross: np.ndarray

    def select(self, sets):
        """The panels at the places, or with the marks, in `sets`."""
        return DropoutMoments(self.n[:, sets], self.cross[sets])

    def average(self):
        """One panel whose moments are the averages of the panels'."""
        return DropoutMoments(self.n.mean(axis=1, keepdims=True), self.cross.mean(axis=0, keepdims=True))

    def expected(self, sigma):
        """The same numbers of persons with the moments that Sigma (b, 2T, 2T) leads one to expect."""
        T = len(self.n)
        there = np.arange(2 * T) < 2 * np.arange(1, T + 1)[:, None]
        both = there[:, :, None] & there[:, None, :]
        return DropoutMoments(self.n, self.n.T[:, :, None, None] * both * sigma[:, None])


def dropout_moments(patterns, occasions) -> DropoutMoments:
    """Moments of panels with drop-out only, from their missingness patterns (:class:`~twostage.stats.fiml.Patterns`)."""
    b, T, p = patterns.n_sets, occasions, 2 * occasions
    last = patterns.mask.sum(axis=1).astype(int) // 2 - 1
    n, total, square = np.zeros((b, T)), np.zeros((b, T, p)), np.zeros((b, T, p, p))
    at = patterns.owner, last
    weighted = patterns.count[:, None] * patterns.mean
    n[at], total[at] = patterns.count, weighted
    square[at] = patterns.cross + weighted[:, :, None] * patterns.mean[:, None, :]
    n, total, square = (np.flip(np.cumsum(np.flip(one, 1), axis=1), 1) for one in (n, total, square))
    there = np.arange(p) < 2 * np.arange(1, T + 1)[:, None]
    total = total * there
    square = square * (there[:, :, None] & there[:, None, :])
    square -= total[..., :, None] * total[..., None, :] / np.maximum(n, 1.0)[:, :, None, None]
    return DropoutMoments(np.ascontiguousarray(n.T), square)


@dataclass(frozen=True)
class DropoutLikelihood:
    """Minus log-likelihood of b panels in theta (K, b), profiled over the means.

    Attributes
    ----------
    structure : LatentStructure
    moments : DropoutMoments
    """

    structure: LatentStructure
    moments: DropoutMoments

    def select(self, sets):
        """The likelihood of the panels at the places, or with the marks, in `sets` (b,)."""
        return DropoutLikelihood(self.structure.at(sets), self.moments.select(sets))

    def average(self):
        """The likelihood of the average of the panels' moments."""
        ratios = self.structure.ratios
        ratios = ratios.mean(axis=1) if ratios.ndim == 2 else ratios
        return DropoutLikelihood(replace(self.structure, ratios=ratios), self.moments.average())

    def value_and_gradient(self, theta):
        """Value (b,), infinite where Sigma is not positive definite, and gradient (K, b).

        ``-2 log L = sum_t n_t log|F_t| + tr F_t^-1 S_t``, F_t the error covariance of the prediction of y_t and S_t the
        cross-products of its errors: with ``Sigma^-1 = A' A``, A lower triangular, those of the rows of A for y_t.
        """
        T, n = len(self.moments.n), theta.shape[1]
        # Steps too long overflow; their value is infinite, and nobody goes there.
        with np.errstate(all="ignore"):
            sigma = np.moveaxis(self.structure.sigma_of(theta), -1, 0).copy()
            A, log_diagonal, proper = _factors(sigma)
            errors = A.reshape(n, T, 2, 2 * T) @ self.moments.cross
            products = (A[:, None] @ np.swapaxes(errors, 2, 3)).transpose(0, 2, 1, 3).reshape(n, 2 * T, 2 * T)
            block = np.arange(2 * T) // 2
            upper = products * (block[:, None] <= block)
            inner = upper + np.swapaxes(products * (block[:, None] < block), 1, 2)
            persons = np.repeat(self.moments.n.T, 2, axis=1)
            parts = persons * (_LOG_2PI + 2.0 * log_diagonal) + np.einsum("baa->ba", inner)
            value = np.where(proper, 0.5 * parts.sum(axis=1), np.inf)
            slope = np.swapaxes(A, 1, 2) @ (persons[:, :, None] * np.eye(2 * T) - inner) @ A
            slope = np.ascontiguousarray(np.moveaxis(slope, 0, -1))
            return value, 0.5 * self.structure.pulled_back(theta, slope)

    def expanded(self, theta):
        """Value (b,), gradient (K, b) and second derivatives (b, K, K), by differences of the gradient.

        Forward ones, good to 1e-7, where that is enough; central ones, good to 1e-10, with a nearly flat direction.
        """
        value, gradient = self.value_and_gradient(theta)
        second = self._differences(theta, _FORWARD, gradient)
        finite = np.isfinite(second).all(axis=(1, 2))
        unit = scaled(np.where(finite[:, None, None], second, 0.0))[0]
        doubtful = ~positive_definite(unit - _FLAT * np.eye(len(theta)))
        if doubtful.any():
            second[doubtful] = self.select(doubtful).by_central_differences(theta[:, doubtful])
        return value, gradient, second

    def by_central_differences(self, theta):
        """Second derivatives (b, K, K)."""
        return self._differences(theta, _CENTRAL, None)

    def expected_information(self, theta):
        """Expected information (b, K, K): the second derivatives for the moments that theta itself implies."""
        with np.errstate(all="ignore"):
            sigma = self.structure.sigma(theta.T)
        own = DropoutLikelihood(self.structure, self.moments.expected(sigma))
        return own.by_central_differences(theta)

    def _differences(self, theta, step, gradient):
        """Forward differences from `gradient`, or central ones without it."""
        K, b = theta.shape
        if not b:
            return np.empty((0, K, K))
        if b < _FEW:
            return self._differences_at_once(theta, step, gradient)
        second = np.empty((b, K, K))
        for k in range(K):
            moved = theta.copy()
            moved[k] += step
            far = self.value_and_gradient(moved)[1]
            if gradient is None:
                moved[k] -= 2.0 * step
                second[:, k] = (far - self.value_and_gradient(moved)[1]).T / (2.0 * step)
            else:
                second[:, k] = (far - gradient).T / step
        return 0.5 * (second + np.swapaxes(second, 1, 2))

    def _differences_at_once(self, theta, step, gradient):
        K, b = theta.shape
        moves = step * np.eye(K)[:, :, None]
        both = np.concatenate([moves, -moves], axis=1) if gradient is None else moves
        places = np.tile(np.arange(b), both.shape[1])
        found = self.select(places).value_and_gradient((theta[:, None] + both).reshape(K, -1))[1]
        found = found.reshape(K, -1, b)
        change = found[:, :K] - (found[:, K:] if gradient is None else gradient[:, None])
        second = np.moveaxis(change, -1, 0) / (2.0 * step if gradient is None else step)
        return 0.5 * (second + np.swapaxes(second, 1, 2))


def _factors(sigma):
    """Inverse Cholesky factors, logarithms of the factors' diagonals, and which matrices have one; the identity else."""
    proper = np.isfinite(sigma).all(axis=(1, 2))
    sigma[~proper] = np.eye(sigma.shape[1])
    try:
        factor = np.linalg.cholesky(sigma)
    except np.linalg.LinAlgError:
        good = positive_definite(sigma)
        proper &= good
        sigma[~good] = np.eye(sigma.shape[1])
        factor = np.linalg.cholesky(sigma)
    return _inverse(factor), np.log(np.einsum("baa->ba", factor)), proper


def _inverse(factor):
    """Inverses of lower triangular matrices: halves are cheaper than a whole whose zeros LAPACK does not know of."""
    half = factor.shape[1] // 2
    out = np.zeros_like(factor)
    for part in (slice(None, half), slice(half, None)):
        out[:, part, part] = np.linalg.inv(factor[:, part, part])
    out[:, half:, :half] = -out[:, half:, half:] @ factor[:, half:, :half] @ out[:, :half, :half]
    return out
