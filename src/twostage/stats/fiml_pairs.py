"""Sums over missingness patterns of products of matrices, taken before the parameters come in.

``sum_g tr(J_k A_g J_l P_g)`` over many patterns g and parameters k, l costs K p^3 for every pattern (or chain of
patterns) into whose basis the J_k are turned; the sum of all products of elements of P_g and A_g is one matrix
product (p^4 numbers), after which the patterns are gone.
"""

from itertools import pairwise

import numpy as np

from twostage.stats.fiml_patterns import Patterns

# Numbers held at once for all data sets.
_MOST = 2**24
# Putting the p^4 sums of a data set in order costs as much as so many more patterns (measured on batches at p = 14).
_ORDERING = 40


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
