"""Gaussian likelihood of incomplete data under a covariance structure: value, gradient, information, scores.

A structure is an object with ``sigma(theta)`` (b, p, p), ``jacobian(theta)`` (b, K, p, p), ``pullback(theta, G)``
(b, K) and ``curved``, see :class:`twostage.stats.fiml.structure.LinearStructure`. Column means are free and profiled.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from twostage.stats.fiml.patterns import Patterns
from twostage.stats.fiml.structure import curvature

# Numbers held at once for all data sets.
_MOST = 2**24


# Putting the p^4 sums of a data set in order costs as much as so many more patterns (measured on batches at p = 14).
_ORDERING = 40


_CHUNK = 2**18  # elements of the largest arrays held at once


# A matrix of unit diagonal whose smallest eigenvalue is below this is singular but for rounding.
_SINGULAR = 1e-13


_UNDETERMINED = (
    1e-9  # least eigenvalue of an information matrix with unit diagonal: below it two parameters are one
)


def pairs_pay(patterns: Patterns, J) -> bool:
    """Whether summing before is cheaper than chain by chain of patterns, for derivatives J (., K, p, p)."""
    g, leaves, b = len(patterns.owner), len(patterns.leaf_owner), patterns.n_sets
    K, p = J.shape[1:3]
    return b * p**4 <= _MOST and p**4 * (g + b * (K + _ORDERING)) < leaves * K * p**2 * (4 * p + K)


def product_sums(patterns: Patterns, left, right):
    """Sums over each data set's patterns of all products of elements of `left` and `right` (g, ...), (b, l, r)."""
    left, right = left.reshape(len(left), -1), right.reshape(len(right), -1)
    edges = np.searchsorted(patterns.owner, np.arange(patterns.n_sets + 1))
    return np.array([left[i:j].T @ right[i:j] for i, j in pairwise(edges)])


def pair_sums(patterns: Patterns, J, P, A):
    """``sum_g tr(J_k A_g J_l P_g)``, (b, K, K), for symmetric P and A (g, p, p) and derivatives J (1 or b, K, p, p)."""
    b, p = patterns.n_sets, P.shape[1]
    sums = product_sums(patterns, P, A).reshape(b, p, p, p, p).transpose(0, 2, 3, 4, 1)
    flat = J.reshape(len(J), -1, p * p)
    return flat @ sums.reshape(b, p * p, p * p) @ np.swapaxes(flat, 1, 2)


@dataclass(frozen=True)
class Point:
    """The likelihood at one parameter vector per data set.

    Attributes
    ----------
    theta : (b, K) array
    value : (b,) array
        Minus log-likelihood, profiled over the means; infinity where Sigma is not positive definite.
    gradient : (b, K) array
        Its gradient.
    means : (b, p) array
        Profiled means, from the data's centre.
    whiten : (l, p, p) array
        Inverse Cholesky factors of the leaves' covariance matrices.
    scatter : (g, p, p) array
        Cross-products of each pattern's whitened residuals.
    shift : (g, p) array
        Whitened difference of each pattern's mean from the model's.
    slope : (b, p, p) array
        Twice the derivative of the value in Sigma.
    weight : (b, p, p) array
        Information on the means.
    """

    theta: np.ndarray
    value: np.ndarray
    gradient: np.ndarray
    means: np.ndarray
    whiten: np.ndarray
    scatter: np.ndarray
    shift: np.ndarray
    slope: np.ndarray
    weight: np.ndarray


def evaluate(structure, patterns: Patterns, theta) -> Point:
    """Minus log-likelihood and its gradient at theta (b, K).

    ``-2 log L = sum_g n_g (p_g log 2 pi + log|Sigma_g| + tr Sigma_g^-1 (C_g / n_g + d_g d_g'))``, g a missingness
    pattern, d_g its mean less the model's; the means are the generalized least squares ones.
    """
    whiten, log_diagonal, proper = _factors(structure.sigma(theta), patterns)
    Wt, persons = np.swapaxes(whiten, 1, 2), np.einsum("laa->la", patterns.leaf_pairs)
    weight = patterns.per_set((Wt * persons[:, None, :]) @ whiten)
    means, shift = _profiled(patterns, whiten, weight)
    scatter = _scatter(patterns, whiten, shift)
    inner = patterns.per_leaf(scatter)
    slope = weight - patterns.per_set(Wt @ inner @ whiten)
    fit = np.einsum("laa->l", inner) + (persons * (np.log(2 * np.pi) + 2.0 * log_diagonal)).sum(axis=1)
    value = np.where(proper, 0.5 * patterns.per_set(fit), np.inf)
    gradient = 0.5 * structure.pullback(theta, slope)
    return Point(theta, value, gradient, means, whiten, scatter, shift, slope, weight)


def _profiled(patterns, whiten, weight):
    """Generalized least squares means (b, p), and each pattern's whitened difference from them (g, p)."""
    white = (_at_patterns(whiten, patterns) @ patterns.mean[:, :, None])[:, :, 0] * patterns.mask
    summed = patterns.per_leaf(white * patterns.count[:, None])
    target = patterns.per_set((summed[:, None, :] @ whiten)[:, 0])
    means = np.linalg.solve(_without_gaps(weight), target[:, :, None])[:, :, 0]
    fitted = (whiten @ means[patterns.leaf_owner][:, :, None])[:, :, 0]
    return means, white - _at_patterns(fitted, patterns) * patterns.mask


def _scatter(patterns, whiten, shift):
    W = _at_patterns(whiten, patterns) * patterns.mask[:, :, None]
    own = (shift * patterns.count[:, None])[:, :, None] * shift[:, None, :]
    return W @ patterns.cross @ np.swapaxes(W, 1, 2) + own


def expected_information(structure, patterns: Patterns, point: Point):
    """Expected information of theta given the patterns, (b, K, K): ``sum n_g tr(P S_k P S_l) / 2``, P = Sigma_g^-1."""
    J = structure.jacobian(point.theta)
    if pairs_pay(patterns, J):
        P = _precisions(patterns, point)
        return 0.5 * pair_sums(patterns, J, P, patterns.count[:, None, None] * P)
    roots = np.sqrt(patterns.leaf_pairs)[:, None]
    parts = np.empty((len(patterns.leaf_owner), *J.shape[1:2] * 2))
    for at in _chunks(len(parts), J):
        Z = _whitened(point.whiten[at], J, patterns.leaf_owner[at]) * roots[at]
        Z = Z.reshape(*Z.shape[:2], -1)
        parts[at] = Z @ np.swapaxes(Z, 1, 2)
    return 0.5 * patterns.per_set(parts)


def observed_information(structure, patterns: Patterns, point: Point):
    """Second derivatives of the profiled minus log-likelihood, (b, K, K)."""
    cross, parts = _second_products(structure, patterns, point)
    bend = curvature(structure, point.theta, point.slope)
    coupling = cross @ np.linalg.solve(_without_gaps(point.weight), np.swapaxes(cross, 1, 2))
    total = 0.5 * (parts + bend) - coupling
    return 0.5 * (total + np.swapaxes(total, 1, 2))


def _second_products(structure, patterns, point):
    """Second derivatives of minus log-likelihood in theta and means (b, K, p); and of twice it in theta, (b, K, K), as
    far as they come from products of first derivatives of Sigma: ``sum_g tr((2 E_g - n_g I) Z_k Z_l)``.

    E_g is the pattern's scatter, Z_k = W S_k W'. Patterns of one leaf share Z but for its last rows and columns; the
    column c between Z_k and Z_l counts for the patterns in which it is observed: the shortest such and all longer ones.
    """
    J = structure.jacobian(point.theta)
    if pairs_pay(patterns, J):
        return _products_by_pairs(patterns, point, J)
    K, p = J.shape[1], J.shape[2]
    mask, count = patterns.mask, patterns.count
    pull = patterns.per_leaf(mask[:, :, None] * (count[:, None] * point.shift)[:, None, :])
    excess = patterns.and_longer(2.0 * point.scatter - (count[:, None] * mask)[:, :, None] * np.eye(p))
    first = patterns.first_with()
    cross, parts = (np.empty((len(first), K, m)) for m in (p, K))
    for at in _chunks(len(first), J):
        Z = _whitened(point.whiten[at], J, patterns.leaf_owner[at])
        cross[at] = np.einsum("lkab,lab->lka", Z, pull[at]) @ point.whiten[at]
        Z = np.ascontiguousarray(Z.transpose(0, 2, 1, 3)) * patterns.leaf_mask[at, :, None, None]
        parts[at] = (Z @ excess[first[at]] @ np.swapaxes(Z, 2, 3)).sum(axis=1)
    return patterns.per_set(cross), patterns.per_set(parts)


def _precisions(patterns, point):
    """Sigma_g^-1 of every pattern, 0 where not observed, (g, p, p)."""
    W = point.whiten[patterns.leaf] * patterns.mask[:, :, None]
    return np.swapaxes(W, 1, 2) @ W


def _products_by_pairs(patterns, point, J):
    """`_second_products` from sums over patterns taken before the parameters come in."""
    W = point.whiten[patterns.leaf] * patterns.mask[:, :, None]
    Wt, count = np.swapaxes(W, 1, 2), patterns.count
    P, (b, p) = Wt @ W, point.means.shape
    pull = count[:, None] * (Wt @ point.shift[:, :, None])[:, :, 0]
    outer = product_sums(patterns, P, pull).reshape(b, p, p * p)
    cross = np.swapaxes(outer @ np.swapaxes(J.reshape(len(J), -1, p * p), 1, 2), 1, 2)
    return cross, pair_sums(patterns, J, P, 2.0 * Wt @ point.scatter @ W - count[:, None, None] * P)


def score_products(structure, patterns: Patterns, point: Point):
    """Sum over persons of the squared scores of theta, the means profiled out, (b, K, K)."""
    J = structure.jacobian(point.theta)
    cross, _ = _second_products(structure, patterns, point)
    by_mean = np.linalg.solve(_without_gaps(point.weight), np.swapaxes(cross, 1, 2))
    starts = np.searchsorted(patterns.row_pattern, np.arange(len(patterns.owner) + 1))
    out = np.zeros((patterns.n_sets, J.shape[1], J.shape[1]))
    for g, b in enumerate(patterns.owner):
        W = point.whiten[patterns.leaf[g]] * patterns.mask[g][:, None]
        P = W.T @ W
        pulled = (patterns.rows[starts[g] : starts[g + 1]] - point.means[b]) * patterns.mask[g] @ P
        score = 0.5 * np.einsum("ia,kab,ib->ik", pulled, J[b], pulled, optimize=True)
        score -= 0.5 * np.einsum("ab,kab->k", P, J[b])
        score -= pulled @ by_mean[b]
        out[b] += score.T @ score
    return out


def _factors(sigma, patterns):
    """Inverse Cholesky factor of each leaf, logarithms of the factor's diagonal, and which data sets have one.

    Rows and columns not observed are those of the identity. A data set without factor gets the identity.
    """
    seen, owner = patterns.leaf_mask, patterns.leaf_owner
    p = seen.shape[1]
    proper = np.isfinite(sigma).all(axis=(1, 2))
    sigma = np.where(proper[:, None, None], sigma, np.eye(p))
    padded = np.where(seen[:, :, None] * seen[:, None, :] > 0.0, sigma[owner], np.eye(p))
    try:
        factor = np.linalg.cholesky(padded)
    except np.linalg.LinAlgError:
        doubtful = ~positive_definite(sigma)[owner]
        doubtful[doubtful] = ~positive_definite(padded[doubtful])
        proper[owner[doubtful]] = False
        padded[~proper[owner]] = np.eye(p)
        factor = np.linalg.cholesky(padded)
    return np.linalg.inv(factor), np.log(np.einsum("laa->la", factor)), proper


def _at_patterns(per_leaf, patterns):
    """A leaf's array for each of its patterns."""
    return per_leaf if len(per_leaf) == len(patterns.leaf) else per_leaf[patterns.leaf]


def _whitened(W, J, owner):
    """W J_k W' of each leaf and parameter, (l, K, p, p)."""
    own = J if len(J) == 1 or np.array_equal(owner, np.arange(len(J))) else J[owner]
    return W[:, None] @ own @ np.swapaxes(W, 1, 2)[:, None]


def _chunks(n, J):
    """Slices of the leaves whose largest arrays fit the cache."""
    size = max(1, _CHUNK // (int(np.prod(J.shape[1:])) + J.shape[2] ** 3))
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def _without_gaps(weight):
    """The means' information with 1 on the diagonal for columns never observed (their mean is left at 0)."""
    gaps = np.einsum("baa->ba", weight) == 0.0
    return weight + gaps[:, :, None] * np.eye(weight.shape[1]) if gaps.any() else weight


def positive_definite(matrices):
    """Which matrices of a stack (b, m, m) have a Cholesky factor, (b,) bool."""
    found = np.isfinite(matrices).all(axis=(1, 2))
    try:
        np.linalg.cholesky(matrices[found])
    except np.linalg.LinAlgError:
        found[found] = [_has_factor(one) for one in matrices[found]]
    return found


def _has_factor(matrix):
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True


def scaled(matrices):
    """The matrices with unit diagonal, and the roots of their diagonals (1 where it is not positive)."""
    diagonal = np.einsum("bkk->bk", matrices)
    root = np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    return matrices / (root[:, :, None] * root[:, None, :]), root


def solve_positive(matrices, vectors):
    """``matrices^-1 vectors`` (b, m) and which matrices are positive definite; NaN for the others."""
    unit, root = scaled(matrices)
    good = positive_definite(unit - _SINGULAR * np.eye(unit.shape[1]))
    unit[~good] = np.eye(matrices.shape[1])
    found = np.linalg.solve(unit, (vectors / root)[:, :, None])[:, :, 0] / root
    found[~good] = np.nan
    return found, good


def inverse_positive(matrices):
    """Inverses of a stack; NaN where a matrix is not positive definite."""
    unit, root = scaled(matrices)
    good = positive_definite(unit - _SINGULAR * np.eye(unit.shape[1]))
    unit[~good] = np.eye(matrices.shape[1])
    inverse = np.linalg.inv(unit) / (root[:, :, None] * root[:, None, :])
    inverse[~good] = np.nan
    return inverse


def well_determined(information):
    """Whether no combination of parameters (each in units of its own standard error) is without information, (b,) bool."""
    finite = np.isfinite(information).all(axis=(1, 2))
    unit = scaled(np.where(finite[:, None, None], information, 0.0))[0]
    return finite & positive_definite(unit - _UNDETERMINED * np.eye(unit.shape[1]))
