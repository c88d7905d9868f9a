"""Checked input of a mixed model, and the working basis in which it is fitted.

Columns are centred on their grand mean where the model contains a constant: an offset of a thousand
standard deviations costs digits, of a hundred thousand all of them. Random-effect columns are also scaled
to unit spread. Estimates are carried back to the caller's columns at the end.
"""

from dataclasses import dataclass, replace

import numpy as np

from twostage.stats.checks import real_array
from twostage.stats.errors import NotEstimable
from twostage.stats.mixed_groups import Grouping, group_rows

MAX_EFFECTS = 4

# Rows whose mean and spread serve as shift and scale.
SAMPLE_ROWS = 1000


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


def check_design(y, X, groups, Z, names) -> Design:
    """Turn the caller's arrays into a `Design` or raise ValueError saying what is wrong with them."""
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
    design = Design(y, X, Z, group_rows(groups, n), names)
    _check_size(n, p, design.q, design.grouping)
    return design


def numbers(values, name, ndim) -> np.ndarray:
    """Values as a float array of `ndim` dimensions, or ValueError saying what `name` must be."""
    array = real_array(values, name, booleans=name != "y")
    if array.ndim == 1 and ndim == 2 and name == "Z":
        array = array[:, None]
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension{'s' * (ndim > 1)}, got shape {array.shape}")
    return array


def column_names(labels, p) -> tuple[str, ...]:
    """p different names: the labels, or x0, x1, ..."""
    if labels is None:
        return tuple(f"x{j}" for j in range(p))
    names = tuple(str(label) for label in labels)
    if len(names) != p:
        raise ValueError(f"names has {len(names)} entries but X has {p} columns")
    if len(set(names)) != p:
        raise ValueError(f"names must differ: {', '.join(names)}")
    return names


def _refuse_not_finite(name, array, names) -> None:
    if array is None or np.isfinite(array).all():
        return
    bad = np.argwhere(~np.isfinite(array))[0]
    where = f"row {bad[0]}"
    if array.ndim == 2:
        where += f", column {names[bad[1]] if name == 'X' else bad[1]}"
    raise ValueError(f"{name} must hold finite numbers; {array[tuple(bad)]} in {where}")


def _check_size(n, p, q, grouping) -> None:
    """Refuse what has no unique answer; the last three are lme4's own refusals."""
    parameters = p + q * (q + 1) // 2 + 1
    if n < parameters:
        raise NotEstimable(f"{n} observations are fewer than the {parameters} parameters of the model")
    n_groups = len(grouping.sizes)
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
