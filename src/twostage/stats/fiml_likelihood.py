"""Gaussian likelihood of incomplete data under a covariance structure: value, gradient, information, scores.

A structure is an object with ``sigma(theta)`` (b, p, p), ``jacobian(theta)`` (b, K, p, p), ``pullback(theta, G)``
(b, K) and ``curved``, see :class:`twostage.stats.sem_linear.LinearStructure`. Column means are free and profiled.
"""

from dataclasses import dataclass

import numpy as np

from twostage.stats.fiml_linalg import positive_definite
from twostage.stats.fiml_patterns import Patterns
from twostage.stats.sem_linear import curvature

_CHUNK = 2**18  # elements of the whitened derivatives held at once


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
    mask, count = patterns.mask, patterns.count
    W = whiten[patterns.leaf] * mask[:, :, None]
    Wt = np.swapaxes(W, 1, 2)
    scaled = Wt * count[:, None, None]
    weight = patterns.per_set(scaled @ W)
    target = patterns.per_set((scaled @ (W @ patterns.mean[:, :, None]))[:, :, 0])
    means = np.linalg.solve(_without_gaps(weight), target[:, :, None])[:, :, 0]
    shift = (W @ (patterns.mean - means[patterns.owner])[:, :, None])[:, :, 0]
    scatter = W @ patterns.cross @ Wt + count[:, None, None] * shift[:, :, None] * shift[:, None, :]
    slope = weight - patterns.per_set(Wt @ scatter @ W)
    fit = np.einsum("gaa->g", scatter) + count * (mask @ np.full(mask.shape[1], np.log(2 * np.pi)))
    fit = fit + 2.0 * count * np.einsum("ga,ga->g", mask, log_diagonal[patterns.leaf])
    value = np.where(proper, 0.5 * patterns.per_set(fit), np.inf)
    gradient = 0.5 * structure.pullback(theta, slope)
    return Point(theta, value, gradient, means, whiten, scatter, shift, slope, weight)


def expected_information(structure, patterns: Patterns, point: Point):
    """Expected information of theta given the patterns, (b, K, K): ``sum n_g tr(P S_k P S_l) / 2``, P = Sigma_g^-1."""
    J = structure.jacobian(point.theta)
    pairs = np.zeros((len(patterns.leaf_owner), *patterns.mask.shape[1:] * 2))
    counted = patterns.count[:, None, None] * patterns.mask[:, :, None] * patterns.mask[:, None, :]
    np.add.at(pairs, patterns.leaf, counted)
    roots = np.sqrt(pairs)[:, None]
    parts = np.empty((len(patterns.leaf_owner), *J.shape[1:2] * 2))
    for at in _chunks(len(parts), J):
        Z = _whitened(point.whiten[at], J, patterns.leaf_owner[at]) * roots[at]
        Z = Z.reshape(*Z.shape[:2], -1)
        parts[at] = Z @ np.swapaxes(Z, 1, 2)
    return 0.5 * patterns.per_set(parts, patterns.leaf_owner)


def observed_information(structure, patterns: Patterns, point: Point):
    """Second derivatives of the profiled minus log-likelihood, (b, K, K)."""
    cross, parts = mean_coupling(structure, patterns, point, with_parts=True)
    bend = curvature(structure, point.theta, point.slope)
    coupling = cross @ np.linalg.solve(_without_gaps(point.weight), np.swapaxes(cross, 1, 2))
    total = 0.5 * (parts + bend) - coupling
    return 0.5 * (total + np.swapaxes(total, 1, 2))


def mean_coupling(structure, patterns: Patterns, point: Point, with_parts=False):
    """Second derivatives of minus log-likelihood in theta and means, (b, K, p); and the part of theta's own that
    comes from products of first derivatives of Sigma."""
    J = structure.jacobian(point.theta)
    K, p = J.shape[1], J.shape[2]
    cross = np.empty((len(patterns.owner), K, p))
    parts = np.empty((len(patterns.owner), K, K) if with_parts else 0)
    eye = patterns.count[:, None, None] * np.eye(p)
    for at in _chunks(len(patterns.owner), J):
        W = point.whiten[patterns.leaf[at]] * patterns.mask[at][:, :, None]
        Z = _whitened(W, J, patterns.owner[at])
        pull = Z @ (patterns.count[at, None] * point.shift[at])[:, None, :, None]
        cross[at] = pull[..., 0] @ W
        if with_parts:
            left = (2.0 * point.scatter[at] - eye[at])[:, None] @ Z
            parts[at] = left.reshape(len(W), K, -1) @ np.swapaxes(Z.reshape(len(W), K, -1), 1, 2)
    return patterns.per_set(cross), patterns.per_set(parts) if with_parts else None


def score_products(structure, patterns: Patterns, point: Point):
    """Sum over persons of the squared scores of theta, the means profiled out, (b, K, K)."""
    J = structure.jacobian(point.theta)
    cross = mean_coupling(structure, patterns, point)[0]
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


def _whitened(W, J, owner):
    """W J_k W' of each pattern or leaf and parameter, (g, K, p, p)."""
    own = J if len(J) == 1 else J[owner]
    return W[:, None] @ own @ np.swapaxes(W, 1, 2)[:, None]


def _chunks(n, J):
    size = max(1, _CHUNK // int(np.prod(J.shape[1:])))
    return [slice(start, start + size) for start in range(0, n, size)]


def _without_gaps(weight):
    """The means' information with 1 on the diagonal for columns never observed (their mean is left at 0)."""
    gaps = np.einsum("baa->ba", weight) == 0.0
    return weight + gaps[:, :, None] * np.eye(weight.shape[1]) if gaps.any() else weight
