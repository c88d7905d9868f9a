"""Checked input of a mixed model, and the working basis in which it is fitted.

Columns are centred on their grand mean where the model contains a constant: an offset of a thousand
standard deviations costs digits, of a hundred thousand all of them. Random-effect columns are also scaled
to unit spread. Estimates are carried back to the caller's columns at the end.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import solve_triangular

from twostage.stats.base import NotEstimable, column_names, numbers, refuse_masked

# Cross-products lose twice the digits the columns themselves would. A column that keeps less than this
# share of its length beyond the others is therefore looked at again by an orthogonal factorisation of the
# data.
NEAR = 1e-2


# R's own tolerance for a column that depends on earlier ones (`lm`, `lme4`).
DEPENDENT = 1e-7


@dataclass(frozen=True)
class Grouping:
    """Rows brought together by group.

    Attributes
    ----------
    order : (n,) int array or None
        Row numbers sorted by group; None when the rows already lie together.
    starts : (N,) int array
        First position of each group in the sorted rows.
    sizes : (N,) int array
        Rows per group, all at least 1.
    """

    order: np.ndarray | None
    starts: np.ndarray
    sizes: np.ndarray


@dataclass(frozen=True)
class Design:
    """The data as given, after checking."""

    y: np.ndarray
    X: np.ndarray
    Z: np.ndarray | None
    grouping: Grouping
    names: tuple[str, ...]

    @property
    def q(self) -> int:
        """Random effects."""
        return 1 if self.Z is None else self.Z.shape[1]


@dataclass(frozen=True)
class Orthogonal:
    """A well-conditioned stand-in for nearly collinear fixed effects.

    Attributes
    ----------
    design : Design
        X replaced by an orthonormal basis, y by its least-squares residual.
    triangle : (p, p) array
        Centred X = basis @ triangle.
    coefficients : (p,) array
        Least-squares coefficients taken out of y, of the centred X.
    """

    design: Design
    triangle: np.ndarray
    coefficients: np.ndarray


def is_well_conditioned(total: np.ndarray) -> bool:
    """Whether the cross-product (P, P) of [X y] can be worked with as it stands."""
    size = np.sqrt(np.diagonal(total))
    if not (size > 0).all():
        return False
    correlation = total / np.outer(size, size)
    return bool(np.linalg.eigvalsh(correlation)[0] > NEAR**2 * len(total))


@dataclass(frozen=True)
class WorkingBasis:
    """Columns in which the model is fitted, and the way back.

    Attributes
    ----------
    x_shift, y_shift : (p,) array, float
        Subtracted from the columns of X and from y.
    x_turn : (p, p) array
        X_working = X x_turn.
    offset : (p,) array
        Coefficients = x_turn @ working coefficients + offset.
    z_shift, z_scale : (q,) arrays
        Z_working = (Z - z_shift) / z_scale, after `z_order`.
    z_order : (q,) int array
        The caller's column behind each working column; a constant one comes first.
    z_turn : (q, q) array
        T = z_turn @ T_working @ z_turn.T.
    constant_first : bool
        Whether the first working random effect is the intercept.
    """

    x_shift: np.ndarray
    y_shift: float
    x_turn: np.ndarray
    offset: np.ndarray
    z_shift: np.ndarray
    z_scale: np.ndarray
    z_order: np.ndarray
    z_turn: np.ndarray
    constant_first: bool

    def without_shift(self) -> "WorkingBasis":
        """The same random effects, fixed effects and response taken as they are."""
        return replace(self, x_shift=np.zeros_like(self.x_shift), y_shift=0.0)

    def writer(self, design: Design):
        """Function writing the working columns [Z X y] of some rows into a block (see `cross_products`)."""
        slopes = self.z_order[int(self.constant_first) :]
        shift, scale = self.z_shift[-len(slopes) :, None], self.z_scale[-len(slopes) :, None]
        k = len(slopes)

        def write(rows, out):
            """Working columns of `rows` into `out`, one column per row of it."""
            if k:
                np.subtract(design.Z[rows].T[slopes], shift, out=out[:k])
                out[:k] /= scale
            np.subtract(design.X[rows].T, self.x_shift[:, None], out=out[k:-1])
            np.subtract(design.y[rows], self.y_shift, out=out[-1])

        return write


def orthogonalise(design: Design, basis: WorkingBasis) -> Orthogonal:
    """Replace X by an orthonormal basis of its centred columns.

    Raises
    ------
    ValueError
        If a column is a linear combination of earlier ones (named), or y one of X.
    """
    centred = design.X - basis.x_shift
    size = np.sqrt((centred**2).sum(axis=0))
    raw = np.sqrt((design.X**2).sum(axis=0))
    scale = np.where(size > 0, size, 1.0)
    Q, triangle = np.linalg.qr(centred / scale)
    kept = np.abs(np.diagonal(triangle))
    dependent = (kept <= DEPENDENT) | (size <= 1e-12 * raw) | (size == 0)
    if dependent.any():
        raise NotEstimable(
            _name_dependence(triangle, int(np.argmax(dependent)), design.names, size <= 1e-12 * raw)
        )
    response = design.y - basis.y_shift
    working = Q.T @ response
    residual = response - Q @ working
    extra = Q.T @ residual
    residual, working = residual - Q @ extra, working + extra
    if np.linalg.norm(residual) <= 1e-13 * np.linalg.norm(design.y):
        raise NotEstimable("the fixed effects reproduce y exactly: no residual variance is left to estimate")
    replaced = Design(residual, Q, design.Z, design.grouping, design.names)
    return Orthogonal(replaced, triangle * scale, solve_triangular(triangle, working) / scale)


def _name_dependence(triangle, column, names, vanished) -> str:
    """Which earlier columns the dependent one is made of."""
    if vanished[column]:
        return f"column {names[column]} of X is constant or zero: it depends on the other columns of X"
    weights = solve_triangular(triangle[:column, :column], triangle[:column, column])
    parts = [names[j] for j in range(column) if abs(weights[j]) > 1e-6]
    return f"columns of X are collinear: {names[column]} is a linear combination of {', '.join(parts)}"


def group_rows(groups, n: int) -> Grouping:
    """Find the groups of `n` rows.

    Parameters
    ----------
    groups : (n,) sequence of hashable labels
        Numbers, strings or any hashable objects, in any order.

    Returns
    -------
    Grouping

    Raises
    ------
    ValueError
        If the length is not `n` or a label is missing (None, NaN, NA).
    """
    labels = _as_vector(groups)
    if labels.shape != (n,):
        raise ValueError(f"groups must have one label per row: expected {n}, got {labels.shape[0]}")
    _refuse_missing(labels)
    codes = _object_codes(labels) if labels.dtype.kind in "OV" else labels
    edges = run_edges(codes)
    if _runs_are_groups(codes[edges[:-1]]):
        return Grouping(None, edges[:-1], edges[1:] - edges[:-1])
    order = np.argsort(codes, kind="stable")
    edges = run_edges(codes[order])
    return Grouping(order, edges[:-1], edges[1:] - edges[:-1])


def run_edges(values: np.ndarray) -> np.ndarray:
    """Where runs of equal values begin, and the end."""
    return np.concatenate(([0], np.flatnonzero(values[1:] != values[:-1]) + 1, [len(values)]))


def _as_vector(groups) -> np.ndarray:
    """Labels as a one-dimensional array; tuples stay whole instead of becoming a second axis."""
    refuse_masked(groups, "groups")
    if isinstance(groups, np.ndarray) or hasattr(groups, "__array__"):
        labels = np.asarray(groups)
        if labels.ndim != 1:
            raise ValueError(f"groups must be one-dimensional, got shape {labels.shape}")
        return labels
    items = list(groups)
    if any(isinstance(item, tuple) for item in items) or len({type(item) for item in items}) > 1:
        labels = np.empty(len(items), dtype=object)
        labels[:] = items
        return labels
    labels = np.asarray(items)
    if labels.ndim != 1:
        raise ValueError(f"groups must hold one hashable label per row, got shape {labels.shape}")
    return labels


def _refuse_missing(labels: np.ndarray) -> None:
    kind = labels.dtype.kind
    if kind in "fc" and np.isnan(labels).any() or kind in "mM" and np.isnat(labels).any():
        raise ValueError(f"groups has a missing label in row {int(np.argmax(labels != labels))}")


def _object_codes(labels: np.ndarray) -> np.ndarray:
    """Number labels in the order they appear."""
    seen: dict = {}
    try:
        codes = np.fromiter((seen.setdefault(label, len(seen)) for label in labels), np.intp, len(labels))
    except TypeError as error:
        raise ValueError(f"groups must hold hashable labels: {error}") from error
    for label, code in seen.items():
        if _is_missing(label):
            raise ValueError(f"groups has a missing label in row {int(np.argmax(codes == code))}")
    return codes


def _is_missing(label) -> bool:
    """None, NaN, NaT and NA are the labels that do not equal themselves (or are None)."""
    same = label == label
    return label is None or not isinstance(same, bool | np.bool_) or not same


def _runs_are_groups(heads: np.ndarray) -> bool:
    """Whether no label starts a second run; labels in rising order need no closer look."""
    if heads.dtype.kind in "iuf" and (heads[1:] > heads[:-1]).all():
        return True
    return len(set(heads.tolist())) == len(heads)


MAX_EFFECTS = 4


# Rows whose mean and spread serve as shift and scale.
SAMPLE_ROWS = 1000


def check_design(y, X, groups, Z, names) -> Design:
    """Turn the caller's arrays into a `Design` or raise ValueError saying what is wrong with them."""
    design = check_columns(y, X, groups, Z, names)
    check_size(*design.X.shape, design.q, len(design.grouping.sizes))
    return design


def check_columns(y, X, groups, Z, names) -> Design:
    """The same for rows that may be a part of the data: whether they are enough is not asked."""
    labels = names if names is not None else getattr(X, "columns", None)
    y = numbers(y, "y", 1)
    X = numbers(X, "X", 2)
    Z = None if Z is None else numbers(Z, "Z", 2)
    n, p = X.shape
    for name, array in (("y", y), ("Z", Z)):
        if array is not None and len(array) != n:
            raise ValueError(f"{name} has {len(array)} rows but X has {n}")
    if n == 0 or p == 0:
        raise ValueError(f"X has no {'rows' if n == 0 else 'columns'}")
    if Z is not None and not 1 <= Z.shape[1] <= MAX_EFFECTS:
        raise ValueError(
            f"Z has {Z.shape[1]} columns; between 1 and {MAX_EFFECTS} random effects can be fitted"
        )
    names = column_names(labels, p)
    for name, array in (("y", y), ("X", X), ("Z", Z)):
        _refuse_not_finite(name, array, names)
    return Design(y, X, Z, group_rows(groups, n), names)


def _refuse_not_finite(name, array, names) -> None:
    if array is None or np.isfinite(array).all():
        return
    bad = np.argwhere(~np.isfinite(array))[0]
    where = f"row {bad[0]}"
    if array.ndim == 2:
        where += f", column {names[bad[1]] if name == 'X' else bad[1]}"
    raise ValueError(f"{name} must hold finite numbers; {array[tuple(bad)]} in {where}")


def check_size(n, p, q, n_groups) -> None:
    """Refuse what has no unique answer; the last three are lme4's own refusals."""
    parameters = p + q * (q + 1) // 2 + 1
    if n < parameters:
        raise NotEstimable(f"{n} observations are fewer than the {parameters} parameters of the model")
    if n_groups < 2:
        raise NotEstimable("all rows belong to one group: a variance between groups needs at least two")
    if n_groups == n:
        raise NotEstimable(
            "every group has one observation: "
            "the variance between groups cannot be told from the residual variance"
        )
    if n <= n_groups * q:
        raise NotEstimable(
            f"{n} observations for {n_groups} groups with {q} random effects each: "
            "the random effects cannot be told from the residuals"
        )


def working_basis(design: Design) -> WorkingBasis:
    """Choose shifts and scales from the columns' means and spreads over a sample of rows.

    Any shift near the data's middle gives the same model, so a thousand rows are enough.
    """
    X, y, p = design.X, design.y, design.X.shape[1]
    sample = slice(None, None, max(1, len(y) // SAMPLE_ROWS))
    x_turn, offset, x_shift, y_shift = np.eye(p), np.zeros(p), np.zeros(p), 0.0
    constant = constant_column(X)
    if constant is not None:
        x_shift = X[sample].mean(axis=0)
        x_shift[constant] = 0.0
        y_shift = y[sample].mean()
        x_turn[constant] -= x_shift / X[0, constant]
        offset[constant] = y_shift / X[0, constant]
    return WorkingBasis(x_shift, y_shift, x_turn, offset, *_random_basis(design.Z, sample))


def _random_basis(Z, sample):
    """Shift, scale, order, way back and whether a constant leads, for the random-effect columns."""
    if Z is None:
        return np.zeros(1), np.ones(1), np.zeros(1, dtype=int), np.eye(1), True
    q = Z.shape[1]
    constant = constant_column(Z)
    order = np.arange(q)
    shift = np.zeros(q)
    if constant is not None:
        order = np.concatenate(([constant], np.delete(order, constant)))
        shift = Z[sample].mean(axis=0)[order]
        shift[0] = 0.0
    spread = _spread(Z, order, shift, sample)
    turn = np.zeros((q, q))
    turn[order, np.arange(q)] = 1.0 / spread
    if constant is not None:
        turn[constant, 1:] = -shift[1:] / spread[1:] / Z[0, constant]
        turn[constant, 0] = 1.0 / Z[0, constant]
    return shift, spread, order, turn, constant is not None


def _spread(Z, order, shift, sample):
    """Root mean square of each column about its shift; a column is called empty after a look at all rows."""
    for rows in (sample, slice(None)):
        size = np.sqrt((Z[rows] ** 2).mean(axis=0))[order]
        spread = np.sqrt(((Z[rows][:, order] - shift) ** 2).mean(axis=0))
        empty = order[spread <= 1e-12 * size]
        if not len(empty):
            return spread
    raise NotEstimable(
        f"random-effect column {empty[0]} is zero or repeats the constant: its variance is not defined"
    )


def constant_column(columns) -> int | None:
    """The first column that holds one non-zero value throughout."""
    middle = columns[len(columns) // 2]
    for j in np.flatnonzero((columns[0] == columns[-1]) & (columns[0] == middle) & (middle != 0)):
        if (columns[:, j] == columns[0, j]).all():
            return int(j)
    return None
