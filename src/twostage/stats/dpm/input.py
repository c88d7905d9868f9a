"""What dynamic panel models can be fitted to."""

from dataclasses import dataclass

import numpy as np

from twostage.stats.base import NotEstimable, observed_span, real_array
from twostage.stats.riclpm import FEWEST_OCCASIONS, SAME, check_panels


@dataclass(frozen=True)
class DpmPanel:
    """A checked panel with covariates.

    Attributes
    ----------
    rows : (n, k + 2T) array
        Persons with a score; columns z_1 .. z_k, x_1, y_1, x_2, ..., each variable in units of its spread.
    spread : (k + 2,) array
        Of z_1 .. z_k, x, y.
    covariates : int
        k.
    dropped : int
        Persons without any score.
    """

    rows: np.ndarray
    spread: np.ndarray
    covariates: int
    dropped: int

    @property
    def scores(self) -> np.ndarray:
        """The rows without covariates, (n, 2T)."""
        return self.rows[:, self.covariates :]

    def direction(self, outcome: int):
        """The columns of one direction, predictor before outcome, without the predictor's last; and their spreads.

        Parameters
        ----------
        outcome : int
            0: x is the outcome; 1: y.
        """
        k, order = self.covariates, [1 - outcome, outcome]
        pairs = self.scores.reshape(len(self.rows), -1, 2)[:, :, order].reshape(len(self.rows), -1)
        kept = np.delete(np.arange(pairs.shape[1]), -2)
        spread = np.tile(self.spread[k:][order], pairs.shape[1] // 2)[kept]
        return np.hstack([self.rows[:, :k], pairs[:, kept]]), np.concatenate([self.spread[:k], spread])


def check_dpm(Y, covariates, variables, names, n_parameters: int) -> DpmPanel:
    """Check a panel Y (n, T, 2) and its covariates (n, k) for models of `n_parameters` besides the means.

    Raises
    ------
    ValueError
        Wrong shapes, fewer than three occasions, infinite values (their places are named).
    NotEstimable
        As :func:`twostage.stats.riclpm.input.check_panels`; an occasion at which nobody has one of the variables or
        it does not vary (its covariances are all free); a covariate that never varies.
    """
    if not len(Y):
        raise NotEstimable("there are no persons")
    panel = check_panels([Y], variables, n_parameters)
    if panel.refused:
        raise panel.refused[0]
    _columns_vary(panel.rows, variables)
    z = covariates[~np.isnan(np.asarray(Y, dtype=float)).all(axis=(1, 2))]
    spread = _covariate_spread(z, names)
    rows = np.hstack([z / spread, panel.rows])
    return DpmPanel(rows, np.concatenate([spread, panel.spread[0]]), z.shape[1], int(panel.dropped[0]))


def with_scores(Y):
    """Y from the first occasion with a score to the last, and these two, counted from 1.

    Raises
    ------
    NotEstimable
        If occasions were left out and fewer than three remain.
    """
    Y = real_array(Y, "Y")
    if Y.ndim != 3:
        return Y, (1, 0)
    first, last = observed_span(Y)
    if last - first < min(FEWEST_OCCASIONS, Y.shape[1]):
        raise NotEstimable(
            f"there are scores at {last - first} occasions only: {FEWEST_OCCASIONS} are needed"
        )
    return Y[:, first:last], (first + 1, last)


def _columns_vary(rows, variables) -> None:
    seen = ~np.isnan(rows)
    for column, present in enumerate(seen.T):
        name, occasion = variables[column % 2], column // 2 + 1
        if not present.any():
            raise NotEstimable(f"nobody has {name} at occasion {occasion}")
        values = rows[present, column]
        if np.ptp(values) <= SAME * np.abs(values).max():
            raise NotEstimable(f"{name} does not vary at occasion {occasion}")


def check_covariates(covariates, names, n: int):
    """Covariates as an (n, k) array, k = 0 without, and their names."""
    z = np.empty((n, 0)) if covariates is None else real_array(covariates, "covariates", booleans=True)
    z = z[:, None] if z.ndim == 1 else z
    if z.ndim != 2 or len(z) != n:
        raise ValueError(f"covariates must be ({n}, k), one row per person, got {np.shape(covariates)}")
    if np.isinf(z).any():
        person, column = np.argwhere(np.isinf(z))[0]
        raise ValueError(f"covariates must be finite, or NaN where missing: person {person}, column {column}")
    names = tuple(f"z{j + 1}" for j in range(z.shape[1])) if names is None else tuple(map(str, names))
    if len(names) != z.shape[1] or len(set(names)) != len(names):
        raise ValueError(f"{z.shape[1]} different names of covariates are needed, got {names}")
    return z, names


def _covariate_spread(z, names) -> np.ndarray:
    spread = np.empty(z.shape[1])
    for j, name in enumerate(names):
        seen = z[~np.isnan(z[:, j]), j]
        spread[j] = seen.std() if len(seen) else 0.0
        if not spread[j] > SAME * np.abs(seen).max(initial=0.0):
            raise NotEstimable(f"covariate {name} never varies")
    return spread
