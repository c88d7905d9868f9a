"""Sums over groups that the criterion and its derivatives are made of, at one T."""

from dataclasses import dataclass

import numpy as np

from twostage.stats.mixed_crossproducts import CrossProducts
from twostage.stats.mixed_crossproducts import gram as gram_of
from twostage.stats.mixed_groups import run_edges

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
    cross-product per distinct size and an evaluation no longer depends on the number of groups."""

    def __init__(self, products: CrossProducts, sizes: np.ndarray):
        b = products.rotated[0]
        if (sizes != sizes[0]).any():
            order = np.argsort(sizes, kind="stable")
            sizes, b = sizes[order], b[:, order]
        edges = run_edges(sizes)
        self.size = sizes[edges[:-1]].astype(float)
        self.count = (edges[1:] - edges[:-1]).astype(float)
        runs = zip(edges[:-1], edges[1:], strict=True)
        self.table = np.array([gram_of(b[:, i:j]).ravel() for i, j in runs])
        self.within = products.within

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
