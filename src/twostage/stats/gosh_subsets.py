"""Subsets of k studies as packed bits: all of them, or a seeded sample without repetition."""

import numpy as np

LARGEST_CODE = 62  # studies whose subsets are numbered by a 64-bit integer


def all_subsets(k):
    """The 2^k - 1 non-empty subsets, in the order of their codes 1, 2, ...

    Parameters
    ----------
    k : int
        At most 62 (memory allowing).

    Returns
    -------
    ndarray of uint8, shape (2^k - 1, ceil(k / 8))
        Study i is bit ``i % 8`` of byte ``i // 8``; the code is the sum of ``2^i``.
    """
    return pack(np.arange(1, 2**k, dtype=np.uint64), k)


def sampled_subsets(k, n, seed):
    """n different non-empty subsets, each equally likely, in random order.

    Parameters
    ----------
    k : int
    n : int
        At most ``2^k - 1``.
    seed : int

    Returns
    -------
    ndarray of uint8, shape (n, ceil(k / 8))

    Notes
    -----
    Up to 62 studies repetitions are drawn again. Beyond, n draws coincide somewhere with a probability
    below ``n^2 / 2^63`` (1e-7 for a million), and are left alone.
    """
    rng = np.random.default_rng(seed)
    if k > LARGEST_CODE:
        return _random_bytes(rng, k, n)
    if 2**k <= 4 * n:
        return pack(rng.permutation(np.arange(1, 2**k, dtype=np.uint64))[:n], k)
    codes = np.zeros(0, dtype=np.uint64)
    while codes.size < n:
        extra = round((n - codes.size) * (1.0 + n / 2**k)) + 100  # enough, nearly always, for the repetitions
        more = rng.integers(1, 2**k, size=extra, dtype=np.uint64)
        codes = np.sort(np.concatenate([codes, more]))  # np.unique hashes, which is far slower here
        codes = codes[np.append(True, codes[1:] != codes[:-1])]
    return pack(rng.permutation(codes)[:n], k)


def _random_bytes(rng, k, n):
    size = -(-k // 8)
    packed = rng.integers(0, 256, size=(n, size), dtype=np.uint8)
    packed[:, -1] &= (1 << (k - 8 * (size - 1))) - 1
    packed[~packed.any(axis=1), 0] = 1  # the empty set: one chance in 2^63
    return packed


def pack(codes, k):
    """Packed bits of integer codes, shape (n, ceil(k / 8))."""
    octets = np.asarray(codes, dtype="<u8").view(np.uint8).reshape(-1, 8)
    return np.ascontiguousarray(octets[:, : -(-k // 8)])


def unpack(packed, k):
    """Membership as numbers 0 and 1: row = study, column = subset, shape (k, n)."""
    bits = np.unpackbits(packed, axis=1, count=k, bitorder="little")
    return bits.T.astype(float, order="C")
