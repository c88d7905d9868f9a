"""Permutation tests of meta-regressions: exact where few arrangements exist, else Monte Carlo."""

from dataclasses import dataclass, field, replace
from itertools import islice
from math import factorial, prod

import numpy as np

from twostage.stats.base import frame, html, one_row
from twostage.stats.pool.metareg import regress
from twostage.stats.pool.metareg_results import MetaRegression

# As metafor: a permuted statistic this close to the observed one counts as equal, because arrangements that are
# equal in exact arithmetic differ by rounding.
TIE = float(np.sqrt(np.finfo(float).eps))


CHUNK = 2048  # arrangements worked on at once: memory stays at a few megabytes


@dataclass(frozen=True, eq=False)
class PermutationTest:
    """Permutation p-values of a meta-regression's coefficients.

    Attributes
    ----------
    names : tuple of str
    estimate, statistic : ndarray, shape (p,)
        Of the observed data.
    p_value : ndarray, shape (p,)
        Share of arrangements whose statistic is at least as large in absolute value.
    p_value_se : ndarray, shape (p,)
        Its Monte Carlo standard error; 0 for an exact test.
    qm, qm_p_value : float
        Omnibus statistic and its permutation p-value.
    exact : bool
        All arrangements were used.
    n : int
        Arrangements used, the observed one among them.
    n_possible : int
        Distinct arrangements that exist: 2^k sign flips, or k! over the factorials of equal rows' counts.
    converged : bool
        In every arrangement.
    seed : int or None
        None for an exact test.
    permuted_statistic : ndarray, shape (n, p)
    permuted_qm : ndarray, shape (n,)
    fit : MetaRegression
    """

    names: tuple[str, ...]
    estimate: np.ndarray
    statistic: np.ndarray
    p_value: np.ndarray
    p_value_se: np.ndarray
    qm: float
    qm_p_value: float
    exact: bool
    n: int
    n_possible: int
    converged: bool
    seed: int | None
    permuted_statistic: np.ndarray = field(repr=False)
    permuted_qm: np.ndarray = field(repr=False)
    fit: MetaRegression = field(repr=False)

    def r_call(self, *, data=True) -> str:
        """The metafor calls; see :class:`twostage.stats.pool.metafor.Script`."""
        script, how = self.fit.r_script(), "exact = TRUE" if self.exact else f"iter = {self.n}"
        call = f"permutation <- permutest(fit, {how}, progbar = FALSE)"
        return replace(script, calls=[*script.calls, call]).text(data=data)

    def tidy(self):
        """One row per coefficient: term, estimate, statistic, p_value, p_value_se."""
        columns = ("estimate", "statistic", "p_value", "p_value_se")
        return frame({"term": self.names} | {c: getattr(self, c) for c in columns})

    def glance(self):
        """One row: omnibus test, number of arrangements, exact, converged, seed."""
        return one_row(self, ("qm", "qm_p_value", "exact", "n", "n_possible", "converged", "seed"))

    def _repr_html_(self):
        kind = (
            f"exact: all {self.n:,}"
            if self.exact
            else f"{self.n:,} of {self.n_possible:,} (seed {self.seed})"
        )
        facts = [
            ("omnibus", f"QM = {self.qm:.4g}, permutation p = {self.qm_p_value:.3g}"),
            ("arrangements", kind),
            ("note", "" if self.converged else "did not converge in every arrangement"),
        ]
        return html("Permutation test", self.tidy(), facts)


def permutation_test(fit, *, n=5000, seed=1, exact=None):
    """Permutation test of a meta-regression.

    Parameters
    ----------
    fit : MetaRegression
    n : int
        Arrangements of a Monte Carlo test, the observed one among them; where no more than n exist, all are used and
        the test is exact.
    seed : int
        Of NumPy's PCG64 generator.
    exact : bool, optional
        True: all arrangements, however many. False: Monte Carlo. Default: exact if there are at most n.

    Returns
    -------
    PermutationTest

    Raises
    ------
    ValueError
        ``n < 2``.

    Notes
    -----
    With moderators, rows of X are exchanged between studies, each estimate keeping its variance; with an intercept
    alone, signs of the estimates are flipped. tau2 is estimated anew in every arrangement. The p-value of a
    coefficient is the share of arrangements with ``|statistic| >= |observed|``, of the omnibus test that with
    ``QM >= observed`` (Higgins & Thompson 2004, doi:10.1002/sim.1752; Follmann & Proschan 1999,
    doi:10.1111/j.0006-341x.1999.00732.x). The p-value of the intercept of a model with moderators means little: it is
    not what exchanging the rows makes comparable. Exact tests agree with ``permutest`` of metafor 3.8-1; Monte Carlo
    ones use other random numbers.
    """
    if n < 2:
        raise ValueError(f"a permutation test needs n >= 2 arrangements, got {n}")
    signs = fit.design.intercept and len(fit.names) == 1
    labels = None if signs else _row_labels(fit.design.X)
    possible = 2**fit.k if signs else _n_arrangements(labels)
    exact = possible <= n if exact is None else exact
    if exact:
        chunks = _all_signs(fit.k) if signs else _all_orders(labels)
    else:
        chunks = _random(fit.k, n, signs, np.random.default_rng(seed))
    statistic, qm, converged = _run(fit, chunks, signs)
    p_value = (np.abs(statistic) >= np.abs(fit.statistic) - TIE).mean(axis=0)
    return PermutationTest(
        names=fit.names,
        estimate=fit.coef,
        statistic=fit.statistic,
        p_value=p_value,
        p_value_se=np.zeros_like(p_value) if exact else np.sqrt(p_value * (1.0 - p_value) / n),
        qm=fit.qm,
        qm_p_value=float((qm >= fit.qm - TIE).mean()),
        exact=exact,
        n=len(qm),
        n_possible=possible,
        converged=converged,
        seed=None if exact else seed,
        permuted_statistic=statistic,
        permuted_qm=qm,
        fit=fit,
    )


def _run(fit, chunks, signs):
    """Statistics of all arrangements: rows of X stay, estimates and variances move (the same pairs)."""
    statistic, qm, converged = [], [], True
    for chunk in chunks:
        y, v = (chunk * fit.y, np.broadcast_to(fit.v, chunk.shape)) if signs else (fit.y[chunk], fit.v[chunk])
        numbers, search = regress(y, v, fit.design, fit.method, fit.ci)
        statistic.append(numbers["statistic"])
        qm.append(numbers["qm"])
        converged = converged and bool(search.converged.all())
    return np.concatenate(statistic), np.concatenate(qm), converged


def _row_labels(X):
    """Equal rows of X share a number."""
    return np.unique(X, axis=0, return_inverse=True)[1].ravel()


def _n_arrangements(labels):
    return factorial(len(labels)) // prod(factorial(int(c)) for c in np.bincount(labels))


def _all_signs(k):
    for start in range(0, 2**k, CHUNK):
        number = np.arange(start, min(start + CHUNK, 2**k))
        yield 1.0 - 2.0 * ((number[:, None] >> np.arange(k)) & 1)


def _all_orders(labels):
    """Every distinct arrangement, as the studies (..., k) that take the places of the rows of X."""
    place = np.argsort(labels, kind="stable")
    arrangements = _arrangements(sorted(labels.tolist()))
    while chunk := list(islice(arrangements, CHUNK)):
        order = np.empty((len(chunk), len(labels)), dtype=int)
        # Study i gets a row of kind chunk[., i]: the studies sorted by kind fill the rows sorted by kind.
        order[:, place] = np.argsort(np.array(chunk), axis=1, kind="stable")
        yield order


def _arrangements(a):
    """Distinct orders of a sorted list, in lexicographic order (Knuth's Algorithm L)."""
    n = len(a)
    while True:
        yield tuple(a)
        i = n - 2
        while i >= 0 and a[i] >= a[i + 1]:
            i -= 1
        if i < 0:
            return
        j = n - 1
        while a[j] <= a[i]:
            j -= 1
        a[i], a[j] = a[j], a[i]
        a[i + 1 :] = a[:i:-1]


def _random(k, n, signs, rng):
    """The observed arrangement, then n - 1 random ones."""
    first = True
    for start in range(0, n, CHUNK):
        size = min(CHUNK, n - start)
        if signs:
            chunk = rng.choice([-1.0, 1.0], size=(size, k))
        else:
            chunk = rng.permuted(np.broadcast_to(np.arange(k), (size, k)), axis=1)
        if first:
            chunk[0] = 1.0 if signs else np.arange(k)
            first = False
        yield chunk
