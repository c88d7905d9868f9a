"""The one pass over the data: each group reduced to a small triangle and rotated responses.

For group i the random-effect columns are factored ``Z_i = Q_i R_i`` (Gram-Schmidt, all groups at once).
What the model needs of the group is then ``R_i`` (q, q), ``b_i = Q_i' C_i`` (q, p + 1) with ``C = [X y]``,
and its share of ``W = sum_i (C_i - Q_i b_i)'(C_i - Q_i b_i)``. Because

    V_i^-1 = I - Q_i Q_i' + Q_i (I + R_i T R_i')^-1 Q_i',

``C'V^-1 C = W + sum_i b_i'(I + R_i T R_i')^-1 b_i`` is a sum of positive terms: nothing cancels, however
large T (the intraclass correlation) is. A cross-product difference ``C'C - ...`` would lose those digits.
A column of Z that depends on earlier ones within a group leaves a row of R that is zero, or rounding along
some direction of the residual: then the direction's b moves from W into the sum with a weight of one, which
changes nothing (modified Gram-Schmidt is backward stable, Bjorck 1967, doi:10.1007/BF01934122).
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.linalg.blas import dgemm

from twostage.stats.mixed.design import Grouping, run_edges

# Groups taken at a time: working arrays of a megabyte or two.
CHUNK_GROUPS = 8_192


@dataclass(frozen=True)
class GroupSums:
    """Sums over groups at one T.

    Attributes
    ----------
    log_det : float
        sum log|V_i|.
    weighted : (P, P) array
        C'V^-1 C.
    outer : (q, P, q, P) array
        sum u_i u_i' with u_i = Z_i'V_i^-1 C_i.
    gram : (q, q) array
        sum G_i.
    gram_pairs : (q, q, q, q) array
        sum G_i (x) G_i.
    mixed_pairs : callable
        ``mixed_pairs(M)``: sum G_i (x) u_i M u_i', (q, q, q, q).
    """

    log_det: float
    weighted: np.ndarray
    outer: np.ndarray
    gram: np.ndarray
    gram_pairs: np.ndarray
    mixed_pairs: object


@dataclass(frozen=True)
class CrossProducts:
    """Sufficient statistics of a grouped design.

    Attributes
    ----------
    factors : (q, q + P, N) array
        For each group `R` (its first q columns) beside `b` (the P = p + 1 others); group axis last.
    within : (P, P) array
        W, the cross-product left when each group's span of Z is projected out.
    constant : bool
        True when Z is a single column of ones: `R` is then the square root of the group's size.
    """

    factors: np.ndarray
    within: np.ndarray
    constant: bool

    @property
    def q(self) -> int:
        """Random effects."""
        return self.factors.shape[0]

    @property
    def triangles(self) -> np.ndarray:
        """`R` of every group, (q, q, N)."""
        return self.factors[:, : self.q]

    @property
    def rotated(self) -> np.ndarray:
        """`b` of every group, (q, P, N)."""
        return self.factors[:, self.q :]

    def total(self) -> np.ndarray:
        """C'C, (P, P)."""
        return self.within + sum(gram_of(b) for b in self.rotated)


class StackedGroups:
    """Group sums for any random effects: one small Cholesky factor per group, all groups at once.

    Groups are taken a few thousand at a time so that the working arrays stay in the processor's cache;
    what the second derivatives need again is kept for all groups (q (q + P) numbers each).
    """

    def __init__(self, products: CrossProducts):
        self.products, chunk = products, CHUNK_GROUPS
        count = products.factors.shape[2]
        self.slices = [slice(k, min(k + chunk, count)) for k in range(0, count, chunk)]
        self.kept = np.empty_like(products.factors)

    def __call__(self, T: np.ndarray) -> GroupSums:
        """Sums at T."""
        q, width, _ = self.products.factors.shape
        P = width - q
        weighted = self.products.within.copy()
        log_det = 0.0
        gram = np.zeros((q, q))
        gram_pairs = np.zeros((q * q, q * q))
        outer = np.zeros((q * P, q * P))
        for part in self.slices:
            diagonal, solved = _whiten(self.products.factors[:, :, part], T)
            log_det += 2.0 * np.log(diagonal).sum()
            for row in solved[:, q:]:
                weighted += gram_of(row)
            kept = _combine(solved, self.kept[:, :, part])
            G = kept[:, :q].reshape(q * q, -1)
            u = kept[:, q:].reshape(q * P, -1)
            gram += G.sum(axis=1).reshape(q, q)
            gram_pairs += gram_of(G)
            outer += gram_of(u)
        shape = (q, q, q, q)
        return GroupSums(
            log_det, weighted, outer.reshape(q, P, q, P), gram, gram_pairs.reshape(shape), self._pairs
        )

    def _pairs(self, weight: np.ndarray) -> np.ndarray:
        """sum G_i (x) u_i M u_i' at the last T."""
        q = self.products.q
        pairs = np.zeros((q * q, q * q))
        for part in self.slices:
            G = self.kept[:, :q, part]
            u = self.kept[:, q:, part]
            turned = weight @ u
            inner = np.empty_like(G)
            for k in range(q):
                for l in range(k + 1):
                    inner[k, l] = inner[l, k] = np.einsum("pn,pn->n", turned[k], u[l])
            pairs += G.reshape(q * q, -1) @ inner.reshape(q * q, -1).T
        return pairs.reshape(q, q, q, q)


def _whiten(factors, T):
    """Cholesky factor L of I + R T R' per group: its diagonal, and L^-1 [R b]."""
    q = len(T)
    triangles = factors[:, :q]
    left = T @ triangles
    solved = factors.copy()
    diagonal = np.empty((q, factors.shape[2]))
    lower = {}
    for k in range(q):
        for l in range(k, q):
            entry = np.einsum("an,an->n", left[l], triangles[k])
            if k == l:
                entry += 1.0
            for j in range(k):
                entry -= lower[k, j] * lower[l, j]
            if k == l:
                diagonal[k] = np.sqrt(entry)
                inverse = 1.0 / diagonal[k]
            else:
                lower[l, k] = entry * inverse
        for j in range(k):
            solved[k] -= lower[k, j] * solved[j]
        solved[k] *= inverse
    return diagonal, solved


def _combine(solved, out):
    """[G u] = (L^-1 R)' L^-1 [R b] per group."""
    q = len(solved)
    for a in range(q):
        np.multiply(solved[0], solved[0, a], out=out[a])
        for k in range(1, q):
            out[a] += solved[k] * solved[k, a]
    return out


class CollapsedGroups:
    """Group sums for a random intercept: groups of equal size share one weight, so data collapse to one
    cross-product per distinct size and an evaluation no longer depends on the number of groups.

    Parameters
    ----------
    size, count : (s,) arrays
        The sizes that occur, and the groups of each.
    table : (s, P P) array
        sum b_i'b_i over the groups of each size, laid out as rows.
    within : (P, P) array
        W.
    """

    def __init__(self, size: np.ndarray, count: np.ndarray, table: np.ndarray, within: np.ndarray):
        self.size, self.count, self.table, self.within = size, count, table, within

    def __call__(self, T: np.ndarray) -> GroupSums:
        """Sums at T, (1, 1)."""
        P = len(self.within)
        inflation = 1.0 + self.size * T[0, 0]
        g = self.size / inflation
        weights = np.array([1.0 / inflation, g / inflation, g * g / inflation])
        between, outer, graded = weights @ self.table
        gram = np.array([[self.count @ g]])
        pairs = np.array([[[[self.count @ (g * g)]]]])

        def mixed_pairs(weight):
            """``sum G_i (x) u_i M u_i'`` of one random effect."""
            return np.array([[[[graded @ weight.ravel()]]]])

        log_det = float(self.count @ np.log(inflation))
        weighted = self.within + between.reshape(P, P)
        return GroupSums(log_det, weighted, outer.reshape(1, P, 1, P), gram, pairs, mixed_pairs)


def collapsed(products: CrossProducts, sizes: np.ndarray) -> CollapsedGroups:
    """The sums of a random intercept from those of every group; `sizes` (N,) are the groups' rows."""
    b = products.rotated[0]
    if (sizes != sizes[0]).any():
        order = np.argsort(sizes, kind="stable")
        sizes, b = sizes[order], b[:, order]
    edges = run_edges(sizes)
    table = np.array([gram_of(b[:, i:j]).ravel() for i, j in pairwise(edges)])
    return CollapsedGroups(
        sizes[edges[:-1]].astype(float), np.diff(edges).astype(float), table, products.within
    )


# Rows handled at a time: the working copy of some ten columns stays within a processor's second-level
# cache, and below the size at which the allocator returns memory to the system after each block (which
# doubled the time).
CHUNK_ROWS = 4_096


def gram_of(rows: np.ndarray) -> np.ndarray:
    """rows @ rows.T for a few long rows: the general product, two to three times faster here than the
    symmetric one NumPy would choose."""
    return dgemm(1.0, rows.T, rows.T, trans_a=True)


def cross_products(
    columns, q: int, n_columns: int, constant_first: bool, grouping: Grouping
) -> CrossProducts:
    """Reduce the rows to one small record per group.

    Parameters
    ----------
    columns : callable
        ``columns(rows, out)`` writes the transformed columns [Z X y] of `rows` (a slice or row
        numbers), one per row of `out`. When `constant_first`, Z's first column is one everywhere
        and is not written.
    q, n_columns : int
        Columns of Z, and of [X y].
    constant_first : bool
        Whether the first random effect is the intercept.
    grouping : Grouping
    """
    n_groups = len(grouping.sizes)
    factors = np.zeros((q, q + n_columns, n_groups))
    within = np.zeros((n_columns, n_columns))
    written = q - constant_first + n_columns
    for first, last in chunks(grouping.starts, grouping.sizes):
        sizes = grouping.sizes[first:last]
        begin, end = grouping.starts[first], grouping.starts[last - 1] + sizes[-1]
        block = np.empty((written, end - begin))
        columns(slice(begin, end) if grouping.order is None else grouping.order[begin:end], block)
        starts = grouping.starts[first:last] - begin
        within += gram_of(_factor(block, q, constant_first, starts, sizes, factors[:, :, first:last]))
    return CrossProducts(factors, within, constant_first and q == 1)


def chunks(starts: np.ndarray, sizes: np.ndarray):
    """Ranges of whole groups of about CHUNK_ROWS rows."""
    n = starts[-1] + sizes[-1]
    edges = [*np.searchsorted(starts, np.arange(0, n, CHUNK_ROWS)).tolist(), len(starts)]
    return [(first, last) for first, last in pairwise(edges) if first < last]


def _factor(block, q, constant_first, starts, sizes, out):
    """Gram-Schmidt over the random-effect columns of every group in the block; returns the residual [X y]."""
    rest = block
    if constant_first:
        rest -= np.repeat(_take_means(rest, starts, sizes, out), sizes, axis=1)
    for k in range(int(constant_first), q):
        column, rest = rest[0], rest[1:]
        _project(column, rest, starts, sizes, out[k, k:])
    return rest


def _take_means(block, starts, sizes, out):
    """The groups' means of every row of the block; `out` receives the factor of the constant column."""
    root = np.sqrt(sizes)
    sums = group_sums(block, starts, sizes)
    out[0, 0] = root
    np.divide(sums, root, out=out[0, 1:])
    sums /= sizes
    return sums


def group_sums(rows, starts, sizes):
    """Sums over each group of every row, (rows, groups); for groups of one size by a matrix product."""
    if (sizes == sizes[0]).all():
        return rows.reshape(len(rows), -1, sizes[0]) @ np.ones(sizes[0])
    return np.add.reduceat(rows, starts, axis=1)


def _project(column, rest, starts, sizes, out):
    """Take one random-effect column out of the columns after it, group by group."""
    norm = np.sqrt(group_sums(column[None] ** 2, starts, sizes)[0])
    inverse = np.divide(1.0, norm, out=np.zeros_like(norm), where=norm > 0)
    unit = column * np.repeat(inverse, sizes)
    projection = group_sums(rest * unit, starts, sizes)
    out[0] = norm
    out[1:] = projection
    rest -= np.repeat(projection, sizes, axis=1) * unit
