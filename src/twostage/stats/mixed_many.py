"""Random-intercept models of many data sets at once: simulation replicates, studies."""

from collections.abc import Callable

import numpy as np

from twostage.stats.checks import refuse_masked
from twostage.stats.errors import NotEstimable
from twostage.stats.mixed import SINGULAR, MixedFit, fit_mixed
from twostage.stats.mixed_batch import MixedBatch
from twostage.stats.mixed_batch_criterion import BatchCriterion, cholesky, forward
from twostage.stats.mixed_batch_optimiser import chunks, minimise_deviances
from twostage.stats.mixed_batch_products import (
    BatchProducts,
    packing,
    reduce_stack,
    stack_rows,
)
from twostage.stats.mixed_collinear import NEAR
from twostage.stats.mixed_design import column_names, constant_column, numbers
from twostage.stats.mixed_satterthwaite import FLAT
from twostage.stats.mixed_working import NO_SPREAD


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
    the common optimiser does not converge, go to :func:`twostage.stats.mixed.fit_mixed`. Checked against that
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
        ``alone(k)`` fits data set k by :func:`twostage.stats.mixed.fit_mixed`.
    broken : (B,) bool array
        Data sets with values that are not finite.
    """
    B, p = products.within.shape[1], len(names)
    columns = {name: np.full((B, p), np.nan) for name in ("coef", "std_error", "df")}
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
    for name in ("coef", "std_error", "df", "sigma2", "loglik", "converged", "singular"):
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
