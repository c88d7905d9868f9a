"""Incomplete multivariate data, grouped by missingness pattern: all a Gaussian likelihood needs of them.

Many data sets with the same columns are held side by side; one data set is a batch of one.
"""

from dataclasses import dataclass

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
    leaf, leaves = _leaves(mask, owner)
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


def _leaves(mask, owner):
    """The leaf of each pattern, and which patterns are leaves.

    In the sorting by binary string a pattern that begins another one stands right before one that it begins.
    """
    p = mask.shape[1]
    last = p - 1 - np.argmax(mask[:, ::-1], axis=1)
    upto = np.arange(p) <= last[:-1, None]
    begins = (owner[1:] == owner[:-1]) & ((mask[1:] & upto) == mask[:-1]).all(axis=1)
    is_leaf = np.r_[~begins, True]
    return np.cumsum(is_leaf) - is_leaf, np.flatnonzero(is_leaf)
