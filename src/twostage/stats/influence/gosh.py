"""Graphical display of study heterogeneity (GOSH): the pooled effect of every subset of studies."""

from dataclasses import dataclass, field

import numpy as np

from twostage.stats.base import frame, frozen, html
from twostage.stats.influence.gosh_tau2 import estimate_tau2, moments, weighted_mean
from twostage.stats.pool import PooledFit, pooled

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


# Numbers (studies x subsets) worked on at once: the temporary arrays, about ten of them, stay in the cache.
CHUNK = 2**16


_NUMBERS = ("estimate", "tau2", "i2", "q")


@dataclass(frozen=True, eq=False)
class Gosh:
    """Pooled results of many subsets; arrays of shape (n,).

    Attributes
    ----------
    size : ndarray of int
        Number of studies in the subset.
    estimate, tau2, i2, q : ndarray
        As of :class:`~twostage.stats.pool.results.PooledFit`; a single study has tau2, I2 and Q of 0.
    converged : ndarray of bool
    subsets : ndarray of uint8, shape (n, ceil(k / 8))
        The studies of each subset as bits; read them with :meth:`includes`.
    exhaustive : bool
        All ``2^k - 1`` subsets, rather than a sample.
    seed : int or None
        Of the sample.
    labels : tuple of str
    fit : PooledFit
        Of all studies.
    """

    size: np.ndarray
    estimate: np.ndarray
    tau2: np.ndarray
    i2: np.ndarray
    q: np.ndarray
    converged: np.ndarray
    subsets: np.ndarray = field(repr=False)
    exhaustive: bool
    seed: int | None
    labels: tuple[str, ...]
    fit: PooledFit = field(repr=False)

    def includes(self, study):
        """Which subsets contain a study.

        Parameters
        ----------
        study : int or str
            Position from 0, or label.

        Returns
        -------
        ndarray of bool, shape (n,)
        """
        i = self.labels.index(study) if isinstance(study, str) else range(self.fit.k)[study]
        return (self.subsets[:, i // 8] >> (i % 8) & 1).astype(bool)

    def tidy(self):
        """One row per subset: size, estimate, tau2, i2, q, converged."""
        return frame({n: getattr(self, n) for n in ("size", *_NUMBERS, "converged")})

    def glance(self):
        """One row: how many subsets, quartiles of the estimates and of I2, how many converged."""
        row = {"k": self.fit.k, "method": self.fit.method, "n_subsets": self.size.size}
        row |= {"exhaustive": self.exhaustive, "seed": self.seed, "n_converged": int(self.converged.sum())}
        for name in ("estimate", "i2"):
            ends = np.quantile(getattr(self, name), [0.0, 0.25, 0.5, 0.75, 1.0])
            row |= {f"{name}_{q}": float(x) for q, x in zip(_QUARTILES, ends, strict=True)}
        return frame([row])

    def by_study(self):
        """One row per study: medians of estimate and I2 over the subsets with it and without it."""
        rows = []
        for label in range(self.fit.k):
            inside = self.includes(label)
            row = {"study": self.labels[label]}
            for name in ("estimate", "i2"):
                values = getattr(self, name)
                row |= {f"{name}_with": _median(values[inside]), f"{name}_without": _median(values[~inside])}
            rows.append(row)
        return frame(rows)

    def _repr_html_(self):
        glance = self.glance().iloc[0]
        columns = {"": _QUARTILES}
        columns |= {n: [float(glance[f"{n}_{q}"]) for q in _QUARTILES] for n in ("estimate", "i2")}
        kind = "all" if self.exhaustive else f"a sample (seed {self.seed}) of"
        return html(f"GOSH: {kind} {self.size.size} subsets, {self.fit.method}", columns)


_QUARTILES = ("min", "q1", "median", "q3", "max")


def _median(values):
    return float(np.median(values)) if values.size else float("nan")


def gosh(y, v=None, *, subsets=1_000_000, seed=1, progress=None, **options):
    """Pool every subset of the studies, or a seeded sample of them.

    Parameters
    ----------
    y : PooledFit or array_like, shape (k,)
        At least two studies. Estimates and tau2 follow its method; intervals are not computed.
    v : array_like, shape (k,), optional
    subsets : int
        All ``2^k - 1`` non-empty subsets are fitted where that is not more than this (k <= 19 by default);
        otherwise a sample of so many different ones, each equally likely.
    seed : int
        Of the sample.
    progress : callable, optional
        Called as ``progress(done, total)`` after every chunk.
    **options
        Of :func:`twostage.stats.pool.pool.pool`; only with an array `y`.

    Returns
    -------
    Gosh

    Raises
    ------
    TypeError, ValueError
        As :func:`twostage.stats.pool.refit.pooled`; fewer than one subset.

    Notes
    -----
    Olkin, Dahabreh & Trikalinos (2012), doi:10.1002/jrsm.1053. Memory: the results, 33 + k/8 bytes a subset
    and the bits of all subsets, beside about 10 MB of work space. The numbers do not depend on the size of
    the chunks beyond rounding. Checked against ``gosh`` of metafor 3.8-1, except that where the likelihood
    has several maxima, the highest is taken here.
    """
    fit = pooled(y, v, purpose="GOSH", **options)
    if subsets < 1:
        raise ValueError(f"subsets must be at least 1, got {subsets}")
    exhaustive = 2**fit.k - 1 <= subsets
    packed = all_subsets(fit.k) if exhaustive else sampled_subsets(fit.k, int(subsets), seed)
    n = len(packed)
    size, converged = np.empty(n, dtype=int), np.empty(n, dtype=bool)
    numbers = {name: np.empty(n) for name in _NUMBERS}
    step = max(1, CHUNK // fit.k)
    for start in range(0, n, step):
        part = slice(start, start + step)
        chunk = pool_subsets(unpack(packed[part], fit.k), fit.y, fit.v, fit.method)
        size[part], converged[part] = chunk["size"], chunk["converged"]
        for name in _NUMBERS:
            numbers[name][part] = chunk[name]
        if progress is not None:
            progress(min(start + step, n), n)
    arrays = frozen(size, *numbers.values(), converged, packed)
    return Gosh(*arrays, exhaustive, None if exhaustive else seed, fit.labels, fit)


def pool_subsets(member, y, v, method):
    """Pool subsets given as columns of 0 and 1.

    Parameters
    ----------
    member : ndarray, shape (k, n)
        No empty column.
    y, v : ndarray, shape (k,)
    method : str

    Returns
    -------
    dict of ndarray, shape (n,)
        size, estimate, tau2, i2, q, converged.
    """
    centre = np.median(y)  # not the mean: one enormous outlier would take the digits of all other subsets
    y = y - centre
    known = moments(member, y, v)
    size, _, q, mean, trace = known
    tau2, converged = estimate_tau2(member, y, v, method, known)
    df = np.maximum(size - 1.0, 1.0)
    if method == "FE":
        i2 = 100.0 * np.maximum(q - df, 0.0) / np.where(q > 0.0, q, 1.0)
    else:
        i2 = 100.0 * tau2 / (tau2 + df / trace)
        mean = weighted_mean(member, y, v, tau2)
    return {"size": size, "estimate": mean + centre, "tau2": tau2, "i2": i2, "q": q, "converged": converged}
