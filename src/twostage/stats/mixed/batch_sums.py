"""Many data sets reduced to the sums a random-intercept model needs: stacked rows, or one data set reweighted.

Notation as in `mixed_crossproducts`; for a constant Z a group of n_i rows has R_i = sqrt(n_i) and
``b_i = sqrt(n_i) * mean of C_i``. Groups of equal size are summed, so a data set is one small table per
distinct size. Symmetric matrices are packed (their lower triangle) and the axis of data sets comes last.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy.linalg.blas import dgemm
from scipy.sparse import csc_array, csr_array

from twostage.stats.mixed.design import constant_column

# Rows reduced at a time: working arrays of a few megabytes.
CHUNK_ROWS = 32768


@dataclass(frozen=True)
class BatchProducts:
    """Sufficient statistics of B data sets; P = p + 1 columns [X y], M = P (P + 1) / 2.

    Attributes
    ----------
    sizes : (K,) array
        Distinct group sizes.
    count : (K, B) array
        Groups of each size.
    table : (K, M, B) array
        Packed sum of b_i b_i' over the groups of each size.
    within : (M, B) array
        Packed cross-product left when the groups' means are taken out.
    shift : (P, B) array
        Taken off the columns of [X y] beforehand.
    """

    sizes: np.ndarray
    count: np.ndarray
    table: np.ndarray
    within: np.ndarray
    shift: np.ndarray

    @property
    def n(self) -> np.ndarray:
        """Rows per data set, (B,)."""
        return self.sizes @ self.count

    @property
    def n_groups(self) -> np.ndarray:
        """Groups per data set, (B,)."""
        return self.count.sum(axis=0)

    def total(self) -> np.ndarray:
        """C'C, packed, (M, B)."""
        return self.within + self.table.sum(axis=0)

    def take(self, which: np.ndarray) -> "BatchProducts":
        """The data sets with these numbers."""
        last = self.count, self.table, self.within, self.shift
        return BatchProducts(self.sizes, *(np.take(array, which, axis=-1) for array in last))


@lru_cache
def packing(P: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows and columns of the lower triangle, and the (P, P) positions that unpack it."""
    rows, cols = np.tril_indices(P)
    index = np.empty((P, P), dtype=int)
    index[rows, cols] = index[cols, rows] = np.arange(len(rows))
    return rows, cols, index


def join(several) -> BatchProducts:
    """Batches with the same columns as one."""
    sizes = np.unique(np.concatenate([one.sizes for one in several]))
    at = [np.searchsorted(sizes, one.sizes) for one in several]

    def spread(name):
        """The array of that name in the rows of all sizes, 0 where a batch lacks the size."""
        parts = [np.zeros((len(sizes), *getattr(one, name).shape[1:])) for one in several]
        for part, where, one in zip(parts, at, several, strict=True):
            part[where] = getattr(one, name)
        return np.concatenate(parts, axis=-1)

    within, shift = (
        np.concatenate([getattr(one, n) for one in several], axis=-1) for n in ("within", "shift")
    )
    return BatchProducts(sizes, spread("count"), spread("table"), within, shift)


@dataclass(frozen=True)
class Stack:
    """Rows sorted by data set and group.

    Attributes
    ----------
    order : (n,) int array or None
        Row numbers sorted by data set, then group; None when they lie so already.
    starts : (G,) int array
        First sorted row of each group.
    sizes : (G,) int array
        Rows per group.
    edges : (B + 1,) int array
        First sorted row of each data set, and the end.
    group_edges : (B + 1,) int array
        First group of each data set, and the end.
    """

    order: np.ndarray | None
    starts: np.ndarray
    sizes: np.ndarray
    edges: np.ndarray
    group_edges: np.ndarray

    def rows(self, data_set: int) -> np.ndarray:
        """Row numbers of one data set."""
        part = slice(self.edges[data_set], self.edges[data_set + 1])
        return np.arange(part.start, part.stop) if self.order is None else self.order[part]


def stack_rows(groups: np.ndarray, data_sets: np.ndarray, n_data_sets: int) -> Stack:
    """Sort rows by data set (0 .. n_data_sets - 1) and group (any numbers)."""
    step, move = np.diff(data_sets), np.diff(groups)
    order = None
    if ((step < 0) | ((step == 0) & (move < 0))).any():
        order = np.lexsort((groups, data_sets))
        data_sets = data_sets[order]
        step, move = np.diff(data_sets), np.diff(groups[order])
    ends = np.flatnonzero((step != 0) | (move != 0)) + 1
    starts = np.concatenate(([0], ends)) if len(data_sets) else np.empty(0, dtype=int)
    edges = np.searchsorted(data_sets, np.arange(n_data_sets + 1))
    sizes = np.diff(np.append(starts, len(data_sets)))
    return Stack(order, starts, sizes, edges, np.searchsorted(starts, edges))


def reduce_stack(X: np.ndarray, y: np.ndarray, stack: Stack) -> BatchProducts:
    """Reduce stacked rows of X (n, p) and y (n,) to one `BatchProducts`.

    Every column is centred on its mean over the data set when a column is constant throughout.
    """
    B, P = len(stack.edges) - 1, X.shape[1] + 1
    K, of_size = _distinct(stack.sizes)
    M = P * (P + 1) // 2
    count, table = np.zeros((len(K), B)), np.zeros((len(K), M, B))
    chunks = _chunks(stack.edges)
    parts = BatchProducts(K, count, table, np.zeros((M, B)), np.zeros((P, B)))
    constant = constant_column(X) if len(X) else None
    # Working arrays are made once: asking the system for them again in every chunk doubles the time.
    room = np.empty((2, max((stack.edges[j] - stack.edges[i] for i, j in chunks), default=0), P))
    for first, last in chunks:
        _reduce_some(X, y, stack, slice(first, last), of_size, constant, room, parts)
    return parts


def _distinct(sizes):
    """The distinct sizes and each group's position among them."""
    present = np.bincount(sizes, minlength=1) > 0
    return np.flatnonzero(present), (np.cumsum(present) - 1)[sizes]


def _chunks(edges):
    """Ranges of whole data sets of about CHUNK_ROWS rows."""
    cuts = np.searchsorted(edges, np.arange(0, edges[-1], CHUNK_ROWS))
    cuts = np.unique(np.concatenate((cuts, [len(edges) - 1])))
    return [(a, b) for a, b in pairwise(cuts) if a < b]


def _reduce_some(X, y, stack, part, of_size, constant, room, out):
    """One chunk of data sets into their places."""
    edges, groups = stack.edges[part.start : part.stop + 1], stack.group_edges[part.start : part.stop + 1]
    which = slice(groups[0], groups[-1])
    block, room = room[:, : edges[-1] - edges[0]]
    _side_by_side(X, y, stack, slice(edges[0], edges[-1]), block)
    edges, groups, sizes = edges - edges[0], groups - groups[0], stack.sizes[which]
    origin = _take_first(block, edges, constant) if constant is not None and len(block) else 0.0
    means = _take_means(block, sizes, room)
    rows, cols, _ = packing(block.shape[1])
    within = np.array([_cross_product(block[i:j]) for i, j in pairwise(edges)])
    out.within[:, part] = within[:, rows, cols].T
    if constant is not None:
        shift = _run_sums(means * sizes[:, None], groups) / np.maximum(np.diff(edges), 1)[:, None]
        shift[:, constant] = 0.0
        means -= np.repeat(shift, np.diff(groups), axis=0)
        out.shift[:, part] = (origin + shift).T
    b = means * np.sqrt(sizes)[:, None]
    of_set = np.repeat(np.arange(len(edges) - 1), np.diff(groups))
    _tabulate(b, of_size[which], of_set, part, out)


def _cross_product(rows):
    """rows' rows by the general product, as `mixed_crossproducts.gram`."""
    return dgemm(1.0, rows.T, rows.T, trans_b=True) if len(rows) else np.zeros((rows.shape[1],) * 2)


def _take_first(block, edges, constant):
    """Take each data set's first row out of its rows, and return them: in range, so later sums lose no digits."""
    origin = block[np.minimum(edges[:-1], len(block) - 1)]
    origin[:, constant] = 0.0
    block -= np.repeat(origin, np.diff(edges), axis=0)
    return origin


def _take_means(block, sizes, room):
    """Take the groups' means out of the rows, and return them."""
    means = _run_sums(block, np.concatenate(([0], np.cumsum(sizes)))) / sizes[:, None]
    of_row = np.repeat(np.arange(len(sizes)), sizes)
    block -= np.take(means, of_row, axis=0, out=room, mode="clip")
    return means


def _side_by_side(X, y, stack, part, out):
    """Some of the sorted rows of [X y], written into `out`."""
    part = part if stack.order is None else stack.order[part]
    out[:, :-1], out[:, -1] = X[part], y[part]
    return out


def _squares(rows):
    """Every row's products with itself, packed, (n, M)."""
    pairs = list(zip(*packing(rows.shape[1])[:2], strict=True))
    out = np.empty((len(rows), len(pairs)))
    for k, (i, j) in enumerate(pairs):
        np.multiply(rows[:, i], rows[:, j], out=out[:, k])
    return out


def _run_sums(rows, edges):
    """Sums over runs of consecutive rows, empty ones included."""
    n = edges[-1]
    return csr_array((np.ones(n), np.arange(n), edges), shape=(len(edges) - 1, n)) @ rows


def _tabulate(b, of_size, of_set, part, out):
    """Add up b b' by data set and size, and count the groups."""
    shape = part.stop - part.start, len(out.sizes)
    cell, cells = of_set * shape[1] + of_size, shape[0] * shape[1]
    by_cell = csc_array((np.ones(len(cell)), cell, np.arange(len(cell) + 1)), shape=(cells, len(cell)))
    out.table[:, :, part] = (by_cell @ _squares(b)).reshape(*shape, -1).transpose(1, 2, 0)
    out.count[:, part] = np.bincount(cell, minlength=cells).reshape(shape).T


def reduce_weighted(X: np.ndarray, y: np.ndarray, stack: Stack, weights: np.ndarray) -> BatchProducts:
    """One data set's groups taken with whole-number weights, (B, N): B data sets, two matrix products.

    Columns are centred on their means over the data set as given, which is near every replicate's middle.
    """
    block, room = np.empty((2, len(y), X.shape[1] + 1))
    _side_by_side(X, y, stack, slice(None), block)
    constant = constant_column(X)
    origin = _take_first(block, np.array([0, len(y)]), constant)[0] if constant is not None else 0.0
    means, shift = _take_means(block, stack.sizes, room), np.zeros(block.shape[1])
    if constant is not None:
        shift = stack.sizes @ means / len(y)
        shift[constant] = 0.0
    b = (means - shift) * np.sqrt(stack.sizes)[:, None]
    within = _run_sums(_squares(block), np.append(stack.starts, len(y))).T
    between = _squares(b).T
    K, of_size = _distinct(stack.sizes)
    with_size = [of_size == k for k in range(len(K))]
    return BatchProducts(
        K,
        np.array([weights[:, which].sum(axis=1) for which in with_size]),
        np.array([between[:, which] @ weights[:, which].T for which in with_size]),
        within @ weights.T,
        np.broadcast_to((origin + shift)[:, None], (len(shift), len(weights))),
    )
