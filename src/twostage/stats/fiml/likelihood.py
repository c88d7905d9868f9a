"""Gaussian likelihood of incomplete data under a covariance structure: value, gradient, information, scores.

First the data, grouped by missingness pattern; then the linear structures, which say how parameters give a covariance
matrix; then the likelihood. Many data sets with the same columns are held side by side; one is a batch of one.

A structure is an object with ``sigma(theta)`` (b, p, p), ``jacobian(theta)`` (b, K, p, p), ``pullback(theta, G)``
(b, K) and ``curved``, see :class:`LinearStructure`. Column means are free and profiled.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from twostage.stats.base import real_array

_CODE_BITS = 64  # columns whose pattern fits one integer


@dataclass(frozen=True)
class Patterns:
    """Counts, means and cross-products of the persons who share a missingness pattern.

    Patterns are sorted by data set, then by mask as a binary string. A pattern whose observed columns are the
    first observed columns of another one of its data set (drop-out) shares that one's Cholesky factor: the
    longest of such a chain is its leaf.

    Attributes
    ----------
    mask : (g, p) array of 0.0 and 1.0
        Columns observed.
    count : (g,) array
        Persons.
    mean, cross : (g, p) and (g, p, p) arrays
        Means (from `centre`) and cross-products about them (sums, not divided); 0 where not observed.
    owner : (g,) array of int
        Data set of the pattern.
    leaf : (g,) array of int
        Leaf of the pattern.
    leaf_mask, leaf_owner : (l, p) and (l,) arrays
        Columns observed in a leaf; its data set.
    leaf_pairs : (l, p, p) array
        Persons of the leaf's patterns observed in both columns.
    centre : (b, p) array
        Column means that were subtracted; 0 for a column never observed.
    rows, row_pattern : (n, p) and (n,) arrays
        The centred persons' rows in order of their patterns, 0 where missing; their pattern.
    n_obs : (b,) array of int
        Persons of each data set with at least one observed value.
    """

    mask: np.ndarray
    count: np.ndarray
    mean: np.ndarray
    cross: np.ndarray
    owner: np.ndarray
    leaf: np.ndarray
    leaf_mask: np.ndarray
    leaf_owner: np.ndarray
    leaf_pairs: np.ndarray
    centre: np.ndarray
    rows: np.ndarray
    row_pattern: np.ndarray
    n_obs: np.ndarray

    @property
    def n_sets(self) -> int:
        """Data sets."""
        return len(self.n_obs)

    def per_leaf(self, values):
        """Sums of `values` (g, ...), one entry per pattern, over each leaf: (l, ...)."""
        return sums(values, self.leaf, len(self.leaf_owner))

    def and_longer(self, values):
        """Each pattern's entry of `values` (g, ...) plus those of the longer patterns of its leaf."""
        out = values.copy()
        later = np.searchsorted(self.leaf, self.leaf, side="right") - 1 - np.arange(len(self.leaf))
        for step in range(1, int(later.max()) + 1):
            at = np.flatnonzero(later == step)
            out[at] += out[at + 1]
        return out

    def first_with(self):
        """Shortest pattern of each leaf with each column, (l, p); the leaf itself for a column it lacks."""
        starts = np.searchsorted(self.leaf, np.arange(len(self.leaf_owner)))
        without = self.per_leaf(1.0 - self.mask).astype(int)
        return np.where(self.leaf_mask > 0.0, starts[:, None] + without, 0)

    def per_set(self, values):
        """Sums of `values` (l, ...), one entry per leaf, over each data set: (b, ...)."""
        return sums(values, self.leaf_owner, self.n_sets)

    def column_counts(self):
        """Persons observed per column, (b, p)."""
        return self.per_set(np.einsum("laa->la", self.leaf_pairs))

    def pairwise_covariance(self):
        """Covariances over the persons with both columns observed, about all persons' means, (b, p, p); counts too."""
        shared = self.per_set(self.leaf_pairs)
        spread = self.cross + self.count[:, None, None] * self.mean[:, :, None] * self.mean[:, None, :]
        return self.per_set(self.per_leaf(spread)) / np.maximum(shared, 1.0), shared

    def select(self, sets):
        """The data sets marked in the boolean array `sets` (b,), renumbered."""
        number = np.where(sets, np.cumsum(sets) - 1, -1)
        kept = number[self.owner] >= 0
        kept_leaf = number[self.leaf_owner] >= 0
        kept_row = kept[self.row_pattern]
        return Patterns(
            mask=self.mask[kept],
            count=self.count[kept],
            mean=self.mean[kept],
            cross=self.cross[kept],
            owner=number[self.owner[kept]],
            leaf=(np.cumsum(kept_leaf) - 1)[self.leaf[kept]],
            leaf_mask=self.leaf_mask[kept_leaf],
            leaf_owner=number[self.leaf_owner[kept_leaf]],
            leaf_pairs=self.leaf_pairs[kept_leaf],
            centre=self.centre[sets],
            rows=self.rows[kept_row],
            row_pattern=(np.cumsum(kept) - 1)[self.row_pattern[kept_row]],
            n_obs=self.n_obs[sets],
        )


def group_patterns(sets) -> Patterns:
    """Group the rows of one or many data sets by missingness pattern.

    Parameters
    ----------
    sets : sequence of (n_b, p) arrays
        Data sets with the same columns, NaN where missing. Rows without any value are left out. Put columns in the
        order in which drop-out loses them: patterns that are one another's beginnings then share a factorisation.

    Returns
    -------
    Patterns

    Raises
    ------
    ValueError
        If no data set is given, they differ in columns, or one has no observed value.
    """
    sets = [real_array(one, "the data") for one in sets]
    if not sets or any(one.ndim != 2 or one.shape[1] != sets[0].shape[1] for one in sets):
        raise ValueError("data sets must be arrays (n, p) with the same p, at least one of them")
    return group_rows(
        np.concatenate(sets), np.repeat(np.arange(len(sets)), [len(one) for one in sets]), len(sets)
    )


def group_rows(data, set_of, n_sets) -> Patterns:
    """The same from data sets one under the other (n, p); `set_of` (n,) tells each row's data set, 0 .. n_sets - 1."""
    seen = ~np.isnan(data)
    order, code = _sorted_by_pattern(seen, set_of)
    seen, set_of = seen[order], set_of[order]
    n_obs = np.bincount(set_of, minlength=n_sets)
    if not n_obs.all():
        raise ValueError(f"data set {int(np.argmin(n_obs))} has no observed value")
    rows, centre = _centred(np.where(seen, data[order], 0.0), seen, set_of, n_obs)
    new = np.r_[True, (code[1:] != code[:-1]) | (set_of[1:] != set_of[:-1])]
    starts = np.flatnonzero(new)
    mask, owner = seen[starts], set_of[starts]
    leaf, leaves = leaves_of(mask, owner)
    count = np.diff(np.r_[starts, len(rows)]).astype(float)
    mean = np.add.reduceat(rows, starts, axis=0) / count[:, None]
    pairs = count[:, None, None] * (mask[:, :, None] & mask[:, None, :])
    return Patterns(
        mask=mask.astype(float),
        count=count,
        mean=mean,
        cross=_cross_products(rows, starts, count, mean),
        owner=owner,
        leaf=leaf,
        leaf_mask=mask[leaves].astype(float),
        leaf_owner=owner[leaves],
        leaf_pairs=sums(pairs, leaf, len(leaves)),
        centre=centre,
        rows=rows,
        row_pattern=np.cumsum(new) - 1,
        n_obs=n_obs,
    )


def sums(values, group, n):
    """Sums of `values` (m, ...) over each of n groups; `group` (m,) is sorted and every group has a member."""
    if n == len(values):
        return values
    if n == 1:
        return values.sum(axis=0, keepdims=True)
    return np.add.reduceat(values, np.searchsorted(group, np.arange(n)), axis=0)


def _sorted_by_pattern(seen, set_of):
    """Positions of the rows with a value, sorted by data set and mask; the masks' codes in that order."""
    bits = np.packbits(seen, axis=1)
    if seen.shape[1] <= _CODE_BITS:
        padded = np.zeros((len(bits), _CODE_BITS // 8), dtype=np.uint8)
        padded[:, : bits.shape[1]] = bits
        code = padded.view(">u8")[:, 0].astype(np.uint64)
    else:
        code = np.unique(bits, axis=0, return_inverse=True)[1].reshape(-1)
    order = np.lexsort((code, set_of))
    order = order[seen.any(axis=1)[order]]
    return order, code[order]


def _centred(rows, seen, set_of, n_obs):
    starts = np.r_[0, np.cumsum(n_obs)[:-1]]
    counts = np.add.reduceat(seen, starts, axis=0, dtype=float)
    centre = np.add.reduceat(rows, starts, axis=0) / np.maximum(counts, 1.0)
    return (rows - centre[set_of]) * seen, centre


def _cross_products(rows, starts, count, mean):
    """Cross-products of each pattern's rows about their mean, (g, p, p)."""
    p = rows.shape[1]
    cross = np.zeros((len(starts), p, p))
    for g in np.flatnonzero(count > 1):
        block = rows[starts[g] : starts[g] + int(count[g])] - mean[g]
        np.matmul(block.T, block, out=cross[g])
    return cross


def leaves_of(mask, owner):
    """The leaf of each pattern, and which patterns are leaves.

    In the sorting by binary string a pattern that begins another one stands right before one that it begins.
    """
    p = mask.shape[1]
    last = p - 1 - np.argmax(mask[:, ::-1], axis=1)
    upto = np.arange(p) <= last[:-1, None]
    begins = (owner[1:] == owner[:-1]) & ((mask[1:] & upto) == mask[:-1]).all(axis=1)
    is_leaf = np.r_[~begins, True]
    return np.cumsum(is_leaf) - is_leaf, np.flatnonzero(is_leaf)


STEP = 1e-100  # complex step: no subtraction, so it can be as small as one likes


@dataclass(frozen=True)
class LinearStructure:
    """``Sigma(theta) = L (I - B)^-1 S (I - B)^-T L'``, every parameter standing at fixed places of B or of S.

    Attributes
    ----------
    select : (p, m) array
        L: observed columns from the m variables of the model.
    paths : dict of int to sequence of (int, int)
        Parameter -> places (i, j) in B: the effect of variable j on variable i.
    covariances : dict of int to sequence of (int, int)
        Parameter -> places (i, j), i >= j, in the symmetric S.
    n_parameters : int
        Parameters are numbered 0 .. n_parameters - 1; each occurs in `paths` or in `covariances`.

    Notes
    -----
    All methods take theta of shape (..., K), real or complex.
    """

    select: np.ndarray
    paths: dict
    covariances: dict
    n_parameters: int
    _places: tuple = field(init=False, repr=False, compare=False)
    _owners: tuple = field(init=False, repr=False, compare=False)
    _last: dict = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self):
        missing = set(range(self.n_parameters)) - set(self.paths) - set(self.covariances)
        if missing:
            raise ValueError(f"parameters {sorted(missing)} stand nowhere")
        places = (_flat(self.paths), _flat(self.covariances))
        object.__setattr__(self, "_places", places)
        owners = tuple((at[0][:, None] == np.arange(self.n_parameters)).astype(float) for at in places)
        object.__setattr__(self, "_owners", owners)

    @property
    def curved(self) -> tuple[int, ...]:
        """Parameters in which Sigma is not linear when the others are held."""
        return tuple(sorted(self.paths))

    def sigma(self, theta):
        """Implied covariance matrix, (..., p, p)."""
        return self._parts(theta).X @ self.select.T

    def latent(self, theta):
        """Covariance matrix of the m variables of the model, (..., m, m)."""
        parts = self._parts(theta)
        return parts.E @ parts.S @ np.swapaxes(parts.E, -1, -2)

    def jacobian(self, theta):
        """Derivatives of Sigma in each parameter, (..., K, p, p)."""
        parts = self._parts(theta)
        half = np.zeros((*np.shape(theta), *self.select.shape[:1] * 2), dtype=parts.U.dtype)
        for (k, i, j), other in zip(self._places, (parts.X, parts.U), strict=True):
            weight = np.where(i == j, 0.5, 1.0) if other is parts.U else 1.0
            U, R = parts.U[..., i] * weight, np.swapaxes(other[..., j], -1, -2)
            starts = np.flatnonzero(np.diff(k, prepend=-1))
            for at, end in zip(starts, [*starts[1:], len(k)], strict=True):
                half[..., k[at], :, :] = U[..., at:end] @ R[..., at:end, :]
        return half + np.swapaxes(half, -1, -2)

    def pullback(self, theta, G):
        """Inner products of the derivatives of Sigma with symmetric matrices G (..., p, p): (..., K)."""
        parts = self._parts(theta)
        pulled = np.swapaxes(parts.U, -1, -2) @ G
        D, by_path = pulled @ parts.U, pulled @ parts.X
        (_, i, j), (_, r, c) = self._places
        in_paths, in_covariances = self._owners
        return (2.0 * by_path[..., i, j]) @ in_paths + (
            np.where(r == c, 1.0, 2.0) * D[..., r, c]
        ) @ in_covariances

    def curvature(self, theta, G):
        """Inner products of the second derivatives of Sigma with symmetric matrices G (..., p, p): (..., K, K)."""
        parts = self._parts(theta)
        E, Et, Ut = parts.E, np.swapaxes(parts.E, -1, -2), np.swapaxes(parts.U, -1, -2)
        V, D = E @ parts.S @ Et, Ut @ G @ parts.U
        M = V @ self.select.T @ G @ parts.U
        (_, i, j), (_, r, c) = self._places
        in_paths, in_covariances = self._owners
        chained = E[..., j[:, None], i] * M[..., j, i[:, None]]
        twice = chained + np.swapaxes(chained, -1, -2) + V[..., j[:, None], j] * D[..., i[:, None], i]
        mixed = E[..., j[:, None], r] * D[..., i[:, None], c]
        mixed = mixed + (r != c) * E[..., j[:, None], c] * D[..., i[:, None], r]
        mixed = in_paths.T @ (2.0 * mixed) @ in_covariances
        return in_paths.T @ (2.0 * twice) @ in_paths + mixed + np.swapaxes(mixed, -1, -2)

    def _parts(self, theta):
        theta = np.asarray(theta)
        key = (theta.shape, theta.dtype.char, theta.tobytes())
        parts = self._last.get(
            key
        )  # value, gradient and information ask for the same theta one after the other
        if parts is None:
            parts = self._make_parts(theta)
            self._last.clear()
            self._last[key] = parts
        return parts

    def _make_parts(self, theta):
        m = self.select.shape[1]
        (k, i, j), (l, r, c) = self._places
        B = np.zeros((*theta.shape[:-1], m, m), dtype=theta.dtype)
        S = np.zeros_like(B)
        B[..., i, j] = theta[..., k]
        S[..., r, c] = theta[..., l]
        S[..., c, r] = theta[..., l]
        E = np.linalg.inv(np.eye(m) - B)
        U = self.select @ E
        return _Parts(E, U, S, U @ S @ np.swapaxes(E, -1, -2))


@dataclass(frozen=True)
class _Parts:
    E: np.ndarray
    U: np.ndarray
    S: np.ndarray
    X: np.ndarray


def _flat(places):
    """Parameter, row and column of every place, (3, number of places)."""
    rows = [(k, i, j) for k, at in sorted(places.items()) for i, j in at]
    return np.array(rows, dtype=int).reshape(-1, 3).T


def curvature(structure, theta, G):
    """Inner products of the second derivatives of Sigma with symmetric matrices G: (..., K, K).

    By formula for a :class:`LinearStructure`. Otherwise ``pullback`` is differentiated by complex step in the directions
    in which Sigma is not linear; second derivatives between two other parameters are zero.
    """
    if isinstance(structure, LinearStructure):
        return structure.curvature(theta, G)
    theta = np.asarray(theta, dtype=float)
    curved = list(structure.curved)
    moved = np.repeat(theta[..., None, :], len(curved), axis=-2).astype(complex)
    moved[..., np.arange(len(curved)), curved] += 1j * STEP
    rows = structure.pullback(moved, G[..., None, :, :]).imag / STEP
    out = np.zeros((*theta.shape, theta.shape[-1]))
    out[..., curved, :] = rows
    out[..., :, curved] = np.swapaxes(rows, -1, -2)
    return out


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


def reached_message(decrement) -> str:
    """How a search ended that reached its maximum, in words."""
    return f"converged: at most {decrement:.1e} of log-likelihood left to gain"
