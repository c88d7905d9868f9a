"""Random-intercept models of many data sets at once: simulation replicates, studies."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from html import escape

import numpy as np

from twostage.stats.base import NotEstimable, column_names, frame, numbers, refuse_masked
from twostage.stats.mixed.batch_optimiser import BatchCriterion, cholesky, chunks, forward, minimise_deviances
from twostage.stats.mixed.batch_sums import (
    BatchProducts,
    Stack,
    join,
    packing,
    reduce_stack,
    reduce_weighted,
    stack_rows,
)
from twostage.stats.mixed.design import NEAR, constant_column
from twostage.stats.mixed.fit import FLAT, NO_SPREAD, SINGULAR, MixedFit, TInference, fit_mixed


@dataclass(frozen=True)
class MixedBatch(TInference):
    """Fits of one random-intercept model to B data sets.

    Attributes
    ----------
    names : tuple of str
        The p fixed effects.
    coef, std_error, df : (B, p) arrays
        Estimates, standard errors, Satterthwaite degrees of freedom; NaN where a data set has no fit.
    cov_coef : (B, p, p) array
        Covariance matrices of the coefficients.
    sigma2, re_variance, loglik : (B,) arrays
        Residual variance, variance of the random intercept, (restricted) log-likelihood.
    reml : bool
    converged, singular : (B,) bool arrays
        As in :class:`twostage.stats.mixed.fit.MixedFit`; False where there is no fit.
    n_obs, n_groups : (B,) int arrays
        Rows and groups.
    evaluations : (B,) int array
        Evaluations of the deviance.
    reasons : tuple of str
        Why a data set has no fit; empty where it has one.
    """

    names: tuple[str, ...]
    coef: np.ndarray
    std_error: np.ndarray
    df: np.ndarray
    cov_coef: np.ndarray
    sigma2: np.ndarray
    re_variance: np.ndarray
    loglik: np.ndarray
    reml: bool
    converged: np.ndarray
    singular: np.ndarray
    n_obs: np.ndarray
    n_groups: np.ndarray
    evaluations: np.ndarray
    reasons: tuple[str, ...]

    @property
    def estimable(self) -> np.ndarray:
        """Which data sets have a fit, (B,) bool."""
        return np.array([not reason for reason in self.reasons], dtype=bool)

    def take(self, which: slice) -> "MixedBatch":
        """Some of the data sets."""
        parts = {name: value[which] for name, value in vars(self).items() if name not in ("names", "reml")}
        return MixedBatch(names=self.names, reml=self.reml, **parts)

    def tidy(self, level: float = 0.95):
        """One row per data set and fixed effect: data_set, term, estimate, std_error, df, statistic,
        p_value, ci_low, ci_high."""
        B, p = self.coef.shape
        columns = {"data_set": np.repeat(np.arange(B), p), "term": np.tile(self.names, B)}
        for name, key in {"coef": "estimate", "std_error": "std_error", "df": "df"}.items():
            columns[key] = getattr(self, name).ravel()
        columns |= {"statistic": self.statistic.ravel(), "p_value": self.p_value.ravel()}
        low, high = np.moveaxis(self.conf_int(level), -1, 0)
        return frame(columns | {"ci_low": low.ravel(), "ci_high": high.ravel()})

    def glance(self):
        """One row per data set: sizes, variances, likelihood, how it ended, and why where it has no fit."""
        names = ("n_obs", "n_groups", "sigma2", "re_variance", "loglik")
        names += ("converged", "singular", "evaluations")
        return frame({name: getattr(self, name) for name in names} | {"reason": list(self.reasons)})

    def _repr_html_(self) -> str:
        """Mean and spread of each coefficient over the data sets with a fit."""
        fitted = self.coef[self.estimable]
        table = frame(dict(zip(self.names, fitted.T, strict=True))).describe().T
        line = f"{len(self.coef)} data sets: {len(fitted)} fitted, {self.converged.sum()} converged, "
        return f"{table.to_html()}<p>{escape(line + f'{self.singular.sum()} singular')}</p>"


def fit_mixed_weighted(y, X, groups, weights, *, reml=True, names=None) -> MixedBatch:
    """Fit a random-intercept model to one data set whose groups are taken with whole-number weights.

    The bootstrap of groups: ``weights[b, i]`` is how often replicate b drew group i, every draw being a
    group of its own. A replicate costs its share of a matrix product and of the common optimisation.

    Parameters
    ----------
    y, X : (n,), (n, p) arrays
    groups : (n,) sequence
        Group of each row; the N distinct labels in rising order are the columns of `weights`.
    weights : (B, N) int array
        Not negative.
    reml, names
        As in :func:`twostage.stats.mixed.many.fit_mixed_many`.

    Returns
    -------
    MixedBatch

    Raises
    ------
    ValueError
        If an array has the wrong shape or type, a value is not finite, or a weight is negative.

    Notes
    -----
    Checked against :func:`twostage.stats.mixed.fit.fit_mixed` on the drawn rows written out.
    """
    return fit_mixed_weighted_many([(y, X, groups, weights)], reml=reml, names=[names])[0]


def fit_mixed_weighted_many(designs, *, reml=True, names=None) -> list[MixedBatch]:
    """Several data sets with weights, each as :func:`fit_mixed_weighted`, in one optimisation.

    Parameters
    ----------
    designs : sequence of (y, X, groups, weights)
        As of :func:`fit_mixed_weighted`; X with the same number of columns. Their replicates are optimised
        together, which saves time where each has few of them.
    reml : bool
        As in :func:`twostage.stats.mixed.many.fit_mixed_many`.
    names : sequence, optional
        For each design, the names of X's columns or None.

    Returns
    -------
    list of MixedBatch
        One per design.

    Raises
    ------
    ValueError
        As :func:`fit_mixed_weighted`; if constant columns of X differ in place or value.
    """
    names = [None] * len(designs) if names is None else names
    weighed = [_Weighted.of(*one, own) for one, own in zip(designs, names, strict=True)]
    levels = {(one.X.shape[1], *one.level) for one in weighed}
    if len(levels) != 1:
        raise ValueError(
            "designs must have as many columns, constant ones at the same place and of the same value"
        )
    ends = np.cumsum([len(one.weights) for one in weighed])

    def alone(k: int) -> MixedFit:
        """Replicate k of all, by itself."""
        at = int(np.searchsorted(ends, k, side="right"))
        return weighed[at].fit(k - int(ends[at]) + len(weighed[at].weights), reml)

    products = join([one.products for one in weighed])
    broken = np.zeros(ends[-1], dtype=bool)
    whole = fit_products(products, weighed[0].level, weighed[0].names, bool(reml), alone, broken)
    return [
        replace(whole.take(slice(end - len(one.weights), end)), names=one.names)
        for one, end in zip(weighed, ends, strict=True)
    ]


@dataclass(frozen=True)
class _Weighted:
    """One checked design and its sums."""

    y: np.ndarray
    X: np.ndarray
    stack: Stack
    weights: np.ndarray
    names: tuple[str, ...]

    @classmethod
    def of(cls, y, X, groups, weights, names) -> "_Weighted":
        """The caller's arrays, checked."""
        y, X, names = checked(y, X, names)
        if not len(y) or not (np.isfinite(X).all() and np.isfinite(y).all()):
            raise ValueError("y and X must hold finite numbers, at least one row of them")
        stack = stack_rows(as_codes(groups, len(y), "groups"), np.zeros(len(y), dtype=int), 1)
        weights = np.asarray(weights)
        if weights.ndim != 2 or weights.shape[1] != len(stack.sizes) or weights.dtype.kind not in "iu":
            raise ValueError(
                f"weights must be whole numbers, one column for each of {len(stack.sizes)} groups"
            )
        if (weights < 0).any():
            raise ValueError("weights must not be negative")
        return cls(y, X, stack, weights, names)

    @property
    def level(self) -> tuple[int | None, float]:
        """Place and value of the constant column."""
        return constant_level(self.X)

    @property
    def products(self) -> BatchProducts:
        """What the criterion needs of every replicate."""
        return reduce_weighted(self.X, self.y, self.stack, self.weights.astype(float))

    def fit(self, k: int, reml: bool) -> MixedFit:
        """Replicate k alone, its rows written out."""
        rows, copies = self._written_out(self.weights[k])
        return fit_mixed(self.y[rows], self.X[rows], copies, reml=reml, names=self.names)

    def _written_out(self, weights):
        """Rows of a replicate and the number of the draw each belongs to."""
        stack = self.stack
        drawn = np.repeat(np.arange(len(weights)), weights)
        sizes = stack.sizes[drawn]
        copies = np.repeat(np.arange(len(drawn)), sizes)
        within = np.arange(len(copies)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        rows = stack.starts[drawn][copies] + within
        return (rows if stack.order is None else stack.order[rows]), copies


def fit_mixed_many(y, X, groups, data_sets, *, n_data_sets=None, reml=True, names=None) -> MixedBatch:
    """Fit the same random-intercept model to many data sets given as stacked rows.

    ``y_i = X_i b + u_i + e_i`` in each data set, u_i ~ N(0, re_variance), e_i ~ N(0, sigma2 I), i a group.

    Parameters
    ----------
    y : (n,) array
        Response, all data sets' rows in any order (sorted by data set and group is fastest).
    X : (n, p) array
        Fixed effects' columns; include a column of ones for an intercept.
    groups : (n,) sequence
        Group of each row: numbers or strings; the same label in two data sets means two groups.
    data_sets : (n,) int array
        Data set of each row, 0 .. n_data_sets - 1.
    n_data_sets : int, optional
        B. Default: the largest index and one.
    reml : bool
        Restricted maximum likelihood (default) or maximum likelihood.
    names : sequence of str, optional
        Names of X's columns. Default: its `columns` if it has them, else x0, x1, ...

    Returns
    -------
    MixedBatch
        A data set that cannot be fitted (collinear columns, too few rows, values that are not finite, ...)
        has NaN and its reason; it never stops the others.

    Raises
    ------
    ValueError
        If an array has the wrong shape or type, or a data set's index is out of range.

    Notes
    -----
    All data sets are reduced to one cross-product per distinct group size and optimised over the relative
    variance T >= 0 together. Data sets with nearly collinear columns, without information on T, or for which
    the common optimiser does not converge, go to :func:`twostage.stats.mixed.fit.fit_mixed`. Checked against that
    function (itself checked against lme4 and lmerTest) on random, unbalanced and singular data sets.
    """
    y, X, names = checked(y, X, names)
    groups = as_codes(groups, len(y), "groups")
    data_sets = np.asarray(data_sets)
    if data_sets.shape != (len(y),) or data_sets.dtype.kind not in "iu":
        raise ValueError(f"data_sets must hold {len(y)} whole numbers, one per row")
    B = int(data_sets.max(initial=-1)) + 1 if n_data_sets is None else int(n_data_sets)
    if len(y) and not (data_sets.min() >= 0 and data_sets.max() < B):
        raise ValueError(f"data_sets must lie between 0 and {B - 1}")
    stack = stack_rows(groups, data_sets, B)

    def alone(k: int) -> MixedFit:
        """Data set k by itself."""
        rows = stack.rows(k)
        return fit_mixed(y[rows], X[rows], groups[rows], reml=reml, names=names)

    broken = np.zeros(B, dtype=bool)
    if not (np.isfinite(X).all() and np.isfinite(y).all()):
        wrong = ~(np.isfinite(X).all(axis=1) & np.isfinite(y))
        broken[data_sets[wrong]] = True
        stand_in = np.where(wrong, np.argmin(wrong), np.arange(len(y)))
        X, y = np.nan_to_num(X[stand_in]), np.nan_to_num(y[stand_in])
    return fit_products(reduce_stack(X, y, stack), constant_level(X), names, bool(reml), alone, broken)


def checked(y, X, names):
    """y (n,) and X (n, p) as arrays, and X's names, or ValueError."""
    labels = names if names is not None else getattr(X, "columns", None)
    y, X = numbers(y, "y", 1), numbers(X, "X", 2)
    if len(y) != len(X):
        raise ValueError(f"y has {len(y)} rows but X has {len(X)}")
    if not X.shape[1]:
        raise ValueError("X has no columns")
    return y, X, column_names(labels, X.shape[1])


def as_codes(labels, n: int, name: str) -> np.ndarray:
    """n labels as numbers in the labels' order, or ValueError."""
    refuse_masked(labels, name)
    labels = np.asarray(labels)
    if labels.shape != (n,):
        raise ValueError(f"{name} must have one label per row: expected {n}, got shape {labels.shape}")
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        raise ValueError(f"{name} has a missing label in row {int(np.argmax(np.isnan(labels)))}")
    return labels if labels.dtype.kind in "iuf" else np.unique(labels, return_inverse=True)[1]


def constant_level(X) -> tuple[int | None, float]:
    """The first column that is constant throughout, if any, and its value."""
    constant = constant_column(X) if len(X) else None
    return constant, 1.0 if constant is None else float(X[0, constant])


def fit_products(products: BatchProducts, level, names, reml: bool, alone: Callable, broken) -> MixedBatch:
    """All data sets together where that is safe, the others one by one.

    Parameters
    ----------
    products : BatchProducts
    level : (int or None, float)
        From :func:`constant_level`.
    names : tuple of str
    reml : bool
    alone : callable
        ``alone(k)`` fits data set k by :func:`twostage.stats.mixed.fit.fit_mixed`.
    broken : (B,) bool array
        Data sets with values that are not finite.
    """
    B, p = products.within.shape[1], len(names)
    columns = {name: np.full((B, p), np.nan) for name in ("coef", "std_error", "df")}
    columns["cov_coef"] = np.full((B, p, p), np.nan)
    columns |= {name: np.full(B, np.nan) for name in ("sigma2", "re_variance", "loglik")}
    columns |= {name: np.zeros(B, dtype=bool) for name in ("converged", "singular")}
    columns["evaluations"] = np.zeros(B, dtype=int)
    together = np.flatnonzero(_is_safe(products, p) & ~broken)
    for which in chunks(together):
        criterion = BatchCriterion(products.take(which), reml)
        T, columns["converged"][which], columns["evaluations"][which] = minimise_deviances(criterion)
        for name, values in _estimates(criterion, T, *level).items():
            columns[name][which] = values
    sizes = {"n_obs": products.n.astype(int), "n_groups": products.n_groups.astype(int)}
    reasons = [""] * B
    for k in np.flatnonzero(~columns["converged"]):
        impossible = "there are no rows" if not sizes["n_obs"][k] else "a value is not finite"
        usable = sizes["n_obs"][k] and not broken[k]
        reasons[k] = _fit_alone(alone, k, columns) if usable else impossible
    return MixedBatch(names=names, reml=reml, reasons=tuple(reasons), **sizes, **columns)


def _is_safe(products: BatchProducts, p: int) -> np.ndarray:
    """Data sets that `fit_mixed` would neither refuse nor take to an orthogonal basis."""
    n, groups = products.n, products.n_groups
    enough = (n >= p + 2) & (n > groups) & (groups >= 2)
    rows, cols, unpack = packing(p + 1)
    total = products.total()
    size = np.sqrt(np.maximum(total[rows == cols], 0.0))
    safe = enough & (size > 0).all(axis=0) & (products.within[-1] > NO_SPREAD**2 * total[-1])
    of_safe = size[:, safe]
    correlation = (total[:, safe] / (of_safe[rows] * of_safe[cols]))[unpack]
    inverse = forward(cholesky(correlation), _identity(correlation))
    # The inverse factor's size bounds the smallest eigenvalue from below; who passes needs no closer look.
    well = (inverse**2).sum(axis=(0, 1)) < 1.0 / (NEAR**2 * (p + 1))
    doubtful = correlation[..., ~well].transpose(2, 0, 1)
    well[~well] = np.linalg.eigvalsh(doubtful)[:, 0] > NEAR**2 * (p + 1)
    safe[safe] = well
    return safe


def _identity(like: np.ndarray) -> np.ndarray:
    """Identity matrices (P, P, B)."""
    return np.eye(len(like))[:, :, None] + np.zeros_like(like)


def _fit_alone(alone: Callable, k: int, columns: dict) -> str:
    """One data set by `fit_mixed`; returns why there is no fit."""
    for values in columns.values():
        if values.dtype.kind != "i":
            values[k] = np.nan if values.dtype.kind == "f" else False
    try:
        fit = alone(k)
    except NotEstimable as error:
        return str(error)
    columns["re_variance"][k] = fit.cov_re[0, 0]
    columns["evaluations"][k] += fit.optimiser.evaluations
    for name in ("coef", "std_error", "df", "cov_coef", "sigma2", "loglik", "converged", "singular"):
        columns[name][k] = getattr(fit, name)
    return ""


def _estimates(criterion: BatchCriterion, T, constant, level) -> dict:
    """Coefficients, errors and variances at the optima, in the caller's columns."""
    at, p = criterion(T), criterion.P - 1
    inverse = forward(at.root, _identity(at.root))
    shift = criterion.products.shift
    coef = -inverse[p, :p] / inverse[p, p]
    half = inverse[:p, :p].swapaxes(0, 1)
    if constant is not None:
        coef[constant] += (shift[p] - (shift[:p] * coef).sum(axis=0)) / level
        half = half.copy()
        half[constant] -= (shift[:p, None] * half).sum(axis=0) / level
    variance = (half**2).sum(axis=1)
    return {
        "coef": coef.T,
        "std_error": np.sqrt(at.sigma2 * variance).T,
        "df": _degrees_of_freedom(at, T, half, variance, criterion.nu).T,
        "cov_coef": np.einsum("cib,dib->bcd", half, half) * at.sigma2[:, None, None],
        "sigma2": at.sigma2,
        "re_variance": at.sigma2 * T,
        "loglik": -0.5 * at.value,
        "singular": np.sqrt(T) < SINGULAR,
    }


def _degrees_of_freedom(at, T, half, variance, nu) -> np.ndarray:
    """Satterthwaite's, (p, B), as `mixed_satterthwaite` for the parameters (log sigma2, log T).

    Their curvature [[nu, nu f], [nu f, c + nu f^2]], c = T^2 D'', is inverted by its Schur complement c; where
    it is flat along one direction, only the other counts.
    """
    p, fit, bend = len(variance), T * at.spread[-1, -1], T**2 * at.hessian
    along = T * (np.einsum("cib,ijb->cjb", half, at.spread[:p, :p]) * half).sum(axis=1)
    trace, determinant = nu + bend + nu * fit**2, nu * bend
    largest = 0.5 * (trace + np.sqrt(np.maximum(trace**2 - 4.0 * determinant, 0.0)))
    flat = determinant <= FLAT * largest**2
    rest = (along - fit * variance) ** 2 / np.where(flat, 1.0, bend)
    only = (variance + fit * along) ** 2 / (nu * (1.0 + fit**2) ** 2)
    return variance**2 / np.where(flat, only, variance**2 / nu + rest)
