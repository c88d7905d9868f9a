"""Means and scatters of rows that come in pieces, merged without cancellation.

Chan, Golub & LeVeque (1983), doi:10.1080/00031305.1983.10483115: of two pieces with counts n, m, means a, b and scatters
A, B about them, the scatter of all is ``A + B + n m / (n + m) (b - a)(b - a)'``, a sum of non-negative terms.
"""

from dataclasses import dataclass

import numpy as np

from twostage.stats.base.checks import NotEstimable

# Least eigenvalue of a correlation matrix whose columns are told apart: cross-products lose twice the digits.
TOLD_APART = 1e-12


@dataclass(frozen=True)
class Moments:
    """Count, mean (p,) and scatter about it (p, p) of complete rows."""

    count: float
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> "Moments":
        """The moments of rows (n, p)."""
        if not len(rows):
            p = rows.shape[1]
            return cls(0.0, np.zeros(p), np.zeros((p, p)))
        mean = rows.mean(axis=0)
        apart = rows - mean
        return cls(float(len(rows)), mean, apart.T @ apart)

    def moved(self, shift: np.ndarray) -> "Moments":
        """The same of columns to which `shift` was added."""
        return Moments(self.count, self.mean + shift, self.scatter)

    def turned(self, A: np.ndarray) -> "Moments":
        """The same of the rows times A (p, r)."""
        return Moments(self.count, self.mean @ A, A.T @ self.scatter @ A)

    def __add__(self, other: "Moments") -> "Moments":
        if not self.count or not other.count:
            return self if self.count else other
        count, apart = self.count + other.count, other.mean - self.mean
        scatter = self.scatter + other.scatter + (self.count * other.count / count) * np.outer(apart, apart)
        return Moments(count, self.mean + apart * (other.count / count), scatter)

    def correlation(self, i: int, j: int) -> float:
        """Of two columns."""
        return float(self.scatter[i, j] / np.sqrt(self.scatter[i, i] * self.scatter[j, j]))


@dataclass(frozen=True)
class Spread:
    """Count, mean, sum of squares about it, least and greatest of each column of rows with gaps; arrays (...)."""

    count: np.ndarray
    mean: np.ndarray
    square: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> "Spread":
        """Of rows (n, ...), NaN where there is nothing."""
        seen = ~np.isnan(rows)
        count = seen.sum(axis=0).astype(float)
        mean = np.where(seen, rows, 0.0).sum(axis=0) / np.maximum(count, 1.0)
        apart = np.where(seen, rows - mean, 0.0)
        low = np.where(seen, rows, np.inf).min(axis=0, initial=np.inf)
        high = np.where(seen, rows, -np.inf).max(axis=0, initial=-np.inf)
        return cls(count, mean, (apart**2).sum(axis=0), low, high)

    def __add__(self, other: "Spread") -> "Spread":
        count = self.count + other.count
        share = other.count / np.maximum(count, 1.0)
        apart = other.mean - self.mean
        square = self.square + other.square + self.count * share * apart**2
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        return Spread(count, self.mean + apart * share, square, low, high)

    def over(self, axis: int) -> "Spread":
        """The columns along an axis taken together."""
        names = ("count", "mean", "square", "low", "high")
        parts = [np.moveaxis(getattr(self, name), axis, 0) for name in names]
        total = Spread(*(part[0] for part in parts))
        for k in range(1, len(parts[0])):
            total = total + Spread(*(part[k] for part in parts))
        return total

    def varies(self, tolerance: float, size: np.ndarray | None = None) -> np.ndarray:
        """Whether numbers differ by more than this share of the greatest of them, or of `size`."""
        size = np.maximum(np.abs(self.low), np.abs(self.high)) if size is None else size
        with np.errstate(invalid="ignore"):
            return (self.count > 1) & (self.high - self.low > tolerance * size)


@dataclass(frozen=True)
class LeastSquares:
    """A regression with a constant: coefficients (p,), the constant's first, and their covariance (p, p).

    `residual` and `total` are the sums of squares of the residuals and of y about 0.
    """

    coef: np.ndarray
    cov: np.ndarray
    df: float
    sigma2: float
    loglik: float
    residual: float
    total: float


def least_squares(moments: Moments) -> LeastSquares:
    """Regress the last column on a constant and the others.

    Raises
    ------
    NotEstimable
        If a predictor does not vary or repeats others.
    """
    n, p = moments.count, len(moments.mean)
    S, mean = moments.scatter, moments.mean
    size = np.sqrt(np.diagonal(S)[:-1])
    if not (size > 0).all() or np.linalg.eigvalsh(S[:-1, :-1] / np.outer(size, size))[0] < TOLD_APART:
        raise NotEstimable("a predictor does not vary or repeats another")
    inverse = np.linalg.inv(S[:-1, :-1] / np.outer(size, size)) / np.outer(size, size)
    slopes = inverse @ S[:-1, -1]
    turn = np.r_[-slopes, 1.0]
    residual = max(float(turn @ S @ turn), 0.0)
    df = n - p
    sigma2 = residual / df if df > 0 else float("nan")
    whole = np.empty((p, p))
    whole[1:, 1:] = inverse
    whole[0, 1:] = whole[1:, 0] = -inverse @ mean[:-1]
    whole[0, 0] = 1.0 / n + mean[:-1] @ inverse @ mean[:-1]
    loglik = -0.5 * n * (np.log(2 * np.pi * residual / n) + 1.0) if residual > 0 else np.inf
    coef = np.r_[mean[-1] - slopes @ mean[:-1], slopes]
    return LeastSquares(
        coef, sigma2 * whole, df, sigma2, float(loglik), residual, float(S[-1, -1] + n * mean[-1] ** 2)
    )
