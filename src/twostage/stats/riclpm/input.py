"""What a random-intercept cross-lagged panel model can be fitted to: many panels checked at once."""

from dataclasses import dataclass, fields, replace

import numpy as np

from twostage.stats.base import NotEstimable, real_array
from twostage.stats.fiml import sums

FEWEST_OCCASIONS = 3


# Relative: a variable that varies less is constant; two variables correlated closer to 1 are one.
SAME = 1e-10


_SHOWN = 5


def check_variables(variables):
    """The names of the two variables as strings; they must differ."""
    variables = tuple(str(name) for name in variables)
    if len(set(variables)) != 2 or len(variables) != 2:
        raise ValueError(f"two different names of variables are needed, got {variables}")
    return variables


def common_occasions(sets):
    """How many occasions the data sets (n, T, 2) have, at least as many as a model needs."""
    occasions = {np.shape(Y)[1] for Y in sets if np.ndim(Y) == 3}
    if len(sets) == 0 or len(occasions) > 1:
        raise ValueError(f"data sets must have the same number of occasions; found {sorted(occasions)}")
    return max([*occasions, FEWEST_OCCASIONS])


@dataclass(frozen=True)
class Stacked:
    """Panels of the right shape and size, one under the other.

    Attributes
    ----------
    rows : (n, 2T) array
        Persons with an observation; columns x_1, y_1, x_2, ..., NaN where missing.
    seen : (n, 2T) array of bool
        Where they are not missing.
    set_of : (n,) array of int
        Place of the person's panel in `kept`, ascending.
    kept : (b,) array of int
        Places of the panels among those given.
    dropped : (b,) array of int
        Persons without any observation.
    refused : dict of int to ValueError
        Panels that cannot be fitted, and why not.
    """

    rows: np.ndarray
    seen: np.ndarray
    set_of: np.ndarray
    kept: np.ndarray
    dropped: np.ndarray
    refused: dict

    def select(self, sets):
        """The panels marked in the boolean array `sets` (b,), renumbered."""
        if sets.all():
            return self
        if not sets.any():
            return Stacked(*(getattr(self, f.name)[:0] for f in fields(self)[:-1]), self.refused)
        used = sets[self.set_of]
        number = (np.cumsum(sets) - 1)[self.set_of[used]]
        return Stacked(
            self.rows[used], self.seen[used], number, self.kept[sets], self.dropped[sets], self.refused
        )


@dataclass(frozen=True)
class Panels:
    """The panels that can be fitted, one under the other.

    Attributes
    ----------
    rows : (n, 2T) array
        Persons with an observation; columns x_1, y_1, x_2, ..., each variable divided by its panel's `spread`, NaN where
        missing.
    set_of : (n,) array of int
        Place of the person's panel in `kept`, ascending.
    kept : (b,) array of int
        Places of the panels among those given.
    spread : (b, 2) array
        Pooled standard deviations about the occasions' means.
    dropped : (b,) array of int
        Persons without any observation.
    n_values : (b, 2) array of int
        Observed values of each variable.
    refused : dict of int to ValueError
        Panels that cannot be fitted, and why not.
    """

    rows: np.ndarray
    set_of: np.ndarray
    kept: np.ndarray
    spread: np.ndarray
    dropped: np.ndarray
    n_values: np.ndarray
    refused: dict


def check_panels(sets, variables, n_parameters) -> Panels:
    """Check panels Y (n, T, 2), T the same for all, for a model of `n_parameters` besides the means.

    Notes
    -----
    Refused are, as ValueError: wrong shapes, fewer than three occasions, infinite values (their places are named); as
    NotEstimable: too few persons, a variable that never varies (at all, or within persons), two variables that are one,
    nobody with a variable at an occasion and a variable at the next.
    """
    return check_stacked(stack_panels(sets, variables, n_parameters), variables)


def stack_panels(sets, variables, n_parameters) -> Stacked:
    """The first half of :func:`check_panels`: shapes, infinite values, numbers of persons."""
    refused, arrays = {}, {}
    for b, Y in enumerate(sets):
        try:
            arrays[b] = _array(Y, variables)
        except ValueError as error:
            refused[b] = error
    given = np.array(list(arrays), dtype=int)
    if not arrays:
        return Stacked(np.empty((0, 0)), np.empty((0, 0), dtype=bool), given, given, given, refused)
    rows = np.concatenate([Y.reshape(len(Y), 2 * Y.shape[1]) for Y in arrays.values()])
    lengths = np.array([len(Y) for Y in arrays.values()])
    place = np.repeat(np.arange(len(given)), lengths)
    seen = ~np.isnan(rows)
    someone = seen[:, 0] if seen[:, 0].all() else seen.any(axis=1)
    sizes = np.bincount(place[someone], minlength=len(given))
    for b in np.flatnonzero(sizes <= n_parameters):
        text = f"{sizes[b]} persons with an observation for {n_parameters} parameters besides the means"
        refused[int(given[b])] = NotEstimable(text)
    stacked = Stacked(rows, seen, place, given, lengths - sizes, refused)
    if not someone.all():
        stacked = replace(stacked, rows=rows[someone], seen=seen[someone], set_of=place[someone])
    return stacked.select(sizes > n_parameters)


def check_stacked(stacked, variables) -> Panels:
    """The second half of :func:`check_panels`: what the values themselves must be like."""
    refused = stacked.refused
    if not len(stacked.kept):
        return Panels(*[np.empty(0)] * 6, refused)
    found = _Moments(stacked.rows, stacked.seen, stacked.set_of, len(stacked.kept))
    faults = found.faults(variables)
    refused |= {int(stacked.kept[b]): NotEstimable(fault) for b, fault in faults.items()}
    good = np.array([b not in faults for b in range(len(stacked.kept))])
    chosen, spread = stacked.select(good), found.spread[good]
    rows = chosen.rows
    if len(spread):
        rows = rows / np.tile(spread, rows.shape[1] // 2)[chosen.set_of]
    return Panels(rows, chosen.set_of, chosen.kept, spread, chosen.dropped, found.n_values[good], refused)


def _array(Y, variables):
    Y = real_array(Y, "Y")
    if Y.ndim != 3 or Y.shape[2] != 2:
        raise ValueError(f"Y must be (persons, occasions, 2 variables), got {Y.shape}")
    if Y.shape[1] < FEWEST_OCCASIONS:
        raise ValueError(f"the model needs at least {FEWEST_OCCASIONS} occasions, got {Y.shape[1]}")
    if np.isinf(Y).any():
        at = np.argwhere(np.isinf(Y))
        named = [f"person {i}, occasion {t + 1}, {variables[v]}: {Y[i, t, v]}" for i, t, v in at[:_SHOWN]]
        more = f"; and {len(at) - _SHOWN} more" if len(at) > _SHOWN else ""
        raise ValueError(f"values must be finite, or NaN where missing: {'; '.join(named)}{more}")
    return Y


class _Moments:
    """Second moments about occasion means of panels one under the other, columns x_1, y_1, x_2, ..."""

    def __init__(self, rows, seen, place, n):
        def total(values):
            """Sums over each panel's persons."""
            return sums(values, place, n)

        def per_variable(columns):
            """Sums over occasions."""
            return columns.reshape(n, -1, 2).sum(axis=1)

        pick = np.tile(np.eye(2), (rows.shape[1] // 2, 1))
        filled, one = np.where(seen, rows, 0.0), seen.astype(float)
        per_column = total(one)
        deviation = (filled - (total(filled) / np.maximum(per_column, 1.0))[place]) * one
        self.n_values = per_variable(per_column)
        counts = np.maximum(self.n_values, 1.0)
        squares = deviation**2
        self.spread = np.sqrt(per_variable(total(squares)) / counts)
        own = (filled @ pick) / np.maximum(one @ pick, 1.0)
        self.inside = np.sqrt(per_variable(total((filled - own @ pick.T) ** 2 * one)) / counts)
        firsts = np.searchsorted(place, np.arange(n))
        self.size = np.maximum.reduceat(np.abs(filled), firsts, axis=0).reshape(n, -1, 2).max(axis=1)
        x, y = (deviation[:, v::2] for v in (0, 1))
        parts = (x * y, squares[:, ::2] * one[:, 1::2], squares[:, 1::2] * one[:, ::2])
        self.products = np.column_stack([total(part).sum(axis=1) for part in parts])
        self.transitions = np.empty((n, 2, 2), dtype=bool)
        for i, j in np.ndindex(2, 2):
            pair = seen[:, 2 + i :: 2] & seen[:, j:-2:2]
            self.transitions[:, i, j] = np.logical_or.reduceat(pair, firsts, axis=0).any(axis=1)

    def faults(self, variables):
        """Panel -> why the model cannot be fitted to it."""
        xy, xx, yy = self.products.T
        found = {}
        for b, v in np.argwhere(self.spread <= SAME * self.size):
            found.setdefault(int(b), f"{variables[v]} never varies between persons at any occasion")
        for b, v in np.argwhere(self.inside <= SAME * np.maximum(self.spread, self.size)):
            found.setdefault(int(b), f"{variables[v]} never varies within persons: there is nothing to lag")
        for b, i, j in np.argwhere(~self.transitions):
            found.setdefault(
                int(b), f"nobody has {variables[j]} at an occasion and {variables[i]} at the next"
            )
        for b in np.flatnonzero((xy**2 >= (1.0 - SAME) * xx * yy) & (xx * yy > 0.0)):
            found.setdefault(int(b), f"{' and '.join(variables)} are the same variable in other units")
        return found
