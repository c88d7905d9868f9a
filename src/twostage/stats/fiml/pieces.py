"""Missingness patterns of rows that come in pieces: counts, means and cross-products per pattern, merged at the end."""

from dataclasses import dataclass

import numpy as np

from twostage.stats.base import Moments
from twostage.stats.fiml.likelihood import Patterns, leaves_of, sums


@dataclass(frozen=True)
class PatternSums:
    """Moments of the rows (n, p) that share a pattern of missing columns.

    Attributes
    ----------
    n_columns : int
    patterns : dict of bytes to Moments
        By the mask of observed columns (p booleans): moments of these columns.
    empty : int
        Rows without any value.
    """

    n_columns: int
    patterns: dict[bytes, Moments]
    empty: int = 0

    @classmethod
    def of(cls, rows: np.ndarray) -> "PatternSums":
        """Of rows with NaN where missing."""
        seen = ~np.isnan(rows)
        masks, which = np.unique(seen, axis=0, return_inverse=True)
        order = np.argsort(which.ravel(), kind="stable")
        edges = np.searchsorted(which.ravel()[order], np.arange(len(masks) + 1))
        found, empty = {}, 0
        for g, mask in enumerate(masks):
            own = order[edges[g] : edges[g + 1]]
            if mask.any():
                found[mask.tobytes()] = Moments.of(rows[own][:, mask])
            else:
                empty = len(own)
        return cls(rows.shape[1], found, empty)

    def __add__(self, other: "PatternSums") -> "PatternSums":
        merged = dict(self.patterns)
        for mask, moments in other.patterns.items():
            merged[mask] = merged[mask] + moments if mask in merged else moments
        return PatternSums(self.n_columns, merged, self.empty + other.empty)

    @property
    def n(self) -> int:
        """Rows with a value."""
        return int(sum(moments.count for moments in self.patterns.values()))

    def columns(self, order: np.ndarray) -> "PatternSums":
        """The sums of some of the columns in another order; rows without any of them count as empty."""
        found, empty = {}, self.empty
        for key, moments in self.patterns.items():
            mask = np.frombuffer(key, dtype=bool)
            kept = mask[order]
            if not kept.any():
                empty += int(moments.count)
                continue
            place = (np.cumsum(mask) - 1)[order[kept]]
            own = Moments(moments.count, moments.mean[place], moments.scatter[np.ix_(place, place)])
            name = kept.tobytes()
            found[name] = found[name] + own if name in found else own
        return PatternSums(len(order), found, empty)

    def scaled(self, spread: np.ndarray) -> "PatternSums":
        """The sums of the columns divided by `spread` (p,)."""
        found = {}
        for key, moments in self.patterns.items():
            own = spread[np.frombuffer(key, dtype=bool)]
            found[key] = Moments(moments.count, moments.mean / own, moments.scatter / np.outer(own, own))
        return PatternSums(self.n_columns, found, self.empty)

    def masks(self) -> np.ndarray:
        """The patterns (g, p) in order of their masks as binary strings."""
        keys = sorted(self.patterns)
        return np.array([np.frombuffer(key, dtype=bool) for key in keys]).reshape(len(keys), self.n_columns)

    def grouped(self) -> Patterns:
        """What :func:`~twostage.stats.fiml.patterns.group_rows` makes of the rows, without the rows."""
        mask = self.masks()
        g, p = mask.shape
        count = np.array([self.patterns[key].count for key in sorted(self.patterns)])
        mean, cross = np.zeros((g, p)), np.zeros((g, p, p))
        for at, key in enumerate(sorted(self.patterns)):
            mean[at, mask[at]] = self.patterns[key].mean
            cross[np.ix_([at], np.flatnonzero(mask[at]), np.flatnonzero(mask[at]))] = self.patterns[
                key
            ].scatter
        centre = (count @ mean) / np.maximum(count @ mask, 1.0)
        owner = np.zeros(g, dtype=int)
        leaf, leaves = leaves_of(mask, owner)
        pairs = count[:, None, None] * (mask[:, :, None] & mask[:, None, :])
        return Patterns(
            mask=mask.astype(float),
            count=count,
            mean=np.where(mask, mean - centre, 0.0),
            cross=cross,
            owner=owner,
            leaf=leaf,
            leaf_mask=mask[leaves].astype(float),
            leaf_owner=owner[leaves],
            leaf_pairs=sums(pairs, leaf, len(leaves)),
            centre=centre[None],
            rows=np.zeros((0, p)),
            row_pattern=np.zeros(0, dtype=int),
            n_obs=np.array([int(count.sum())]),
        )
