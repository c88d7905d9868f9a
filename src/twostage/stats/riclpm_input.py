"""What a random-intercept cross-lagged panel model can be fitted to: many panels checked at once."""

from dataclasses import dataclass

import numpy as np

from twostage.stats.errors import NotEstimable
from twostage.stats.fiml_patterns import sums

FEWEST_OCCASIONS = 3
SAME = (
    1e-10  # relative: a variable that varies less is constant; two variables correlated closer to 1 are one
)
_SHOWN = 5


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
    refused, arrays = {}, {}
    for b, Y in enumerate(sets):
        try:
            arrays[b] = _array(Y, variables)
        except ValueError as error:
            refused[b] = error
    persons = {b: ~np.isnan(Y).all(axis=(1, 2)) for b, Y in arrays.items()}
    for b, own in persons.items():
        if own.sum() <= n_parameters:
            text = f"{own.sum()} persons with an observation for {n_parameters} parameters besides the means"
            refused[b] = NotEstimable(text)
    kept = [b for b in arrays if b not in refused]
    if not kept:
        return Panels(*[np.empty(0)] * 6, refused)
    return _varying([arrays[b] for b in kept], [persons[b] for b in kept], np.array(kept), variables, refused)


def _array(Y, variables):
    Y = np.asarray(Y, dtype=float)
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


def _varying(arrays, persons, kept, variables, refused):
    """The panels in which the data can tell the parameters."""
    sizes = np.array([own.sum() for own in persons])
    Y = np.concatenate([Y if own.all() else Y[own] for Y, own in zip(arrays, persons, strict=True)])
    seen = ~np.isnan(Y)
    set_of = np.repeat(np.arange(len(kept)), sizes)
    found = _Moments(Y, seen, set_of, len(kept))
    for b, fault in found.faults(variables).items():
        refused[int(kept[b])] = NotEstimable(fault)
    good = np.array([int(b) not in refused for b in kept])
    with np.errstate(divide="ignore", invalid="ignore"):  # panels that are dropped here may have no spread
        rows = (Y / found.spread[set_of][:, None, :]).reshape(len(Y), -1)
    dropped = np.array([len(own) for own in persons]) - sizes
    if not good.all():
        rows, set_of = rows[good[set_of]], (np.cumsum(good) - 1)[set_of[good[set_of]]]
    return Panels(rows, set_of, kept[good], found.spread[good], dropped[good], found.n_values[good], refused)


class _Moments:
    """Second moments of panels (n, T, 2) about occasion means, panel by panel."""

    def __init__(self, Y, seen, set_of, n):
        filled = np.where(seen, Y, 0.0)
        by_occasion = sums(filled, set_of, n) / np.maximum(sums(seen.astype(float), set_of, n), 1.0)
        deviation = (filled - by_occasion[set_of]) * seen
        per_person = seen.sum(axis=1)
        self.n_values = sums(per_person, set_of, n)
        counts = np.maximum(self.n_values, 1)
        self.spread = np.sqrt(sums((deviation**2).sum(axis=1), set_of, n) / counts)
        own = filled.sum(axis=1, keepdims=True) / np.maximum(per_person, 1)[:, None]
        self.inside = np.sqrt(sums((((filled - own) * seen) ** 2).sum(axis=1), set_of, n) / counts)
        self.size = np.maximum.reduceat(np.abs(filled).max(axis=1), np.searchsorted(set_of, np.arange(n)))
        both = deviation * seen.all(axis=2, keepdims=True)
        products = np.stack([both[..., 0] * both[..., 1], both[..., 0] ** 2, both[..., 1] ** 2], axis=-1)
        self.products = sums(products.sum(axis=1), set_of, n)
        pairs = np.swapaxes(seen[:, 1:], 1, 2).astype(float) @ seen[:, :-1]
        self.transitions = sums(pairs, set_of, n)

    def faults(self, variables):
        """Panel -> why the model cannot be fitted to it."""
        xy, xx, yy = self.products.T
        found = {}
        for b, v in np.argwhere(self.spread <= SAME * self.size):
            found.setdefault(int(b), f"{variables[v]} never varies between persons at any occasion")
        for b, v in np.argwhere(self.inside <= SAME * np.maximum(self.spread, self.size)):
            found.setdefault(int(b), f"{variables[v]} never varies within persons: there is nothing to lag")
        for b, i, j in np.argwhere(self.transitions == 0.0):
            found.setdefault(
                int(b), f"nobody has {variables[j]} at an occasion and {variables[i]} at the next"
            )
        for b in np.flatnonzero((xy**2 >= (1.0 - SAME) * xx * yy) & (xx * yy > 0.0)):
            found.setdefault(int(b), f"{' and '.join(variables)} are the same variable in other units")
        return found
