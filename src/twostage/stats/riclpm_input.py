"""What a random-intercept cross-lagged panel model can be fitted to."""

from dataclasses import dataclass

import numpy as np

from twostage.stats.errors import NotEstimable

FEWEST_OCCASIONS = 3
SAME = 1e-10  # two variables whose correlation is closer to 1 than this are one variable
_SHOWN = 5


@dataclass(frozen=True)
class Wide:
    """A checked panel.

    Attributes
    ----------
    rows : (n, 2T) array
        Persons with an observation; columns x_1, y_1, x_2, ..., each variable divided by its `spread`, NaN where missing.
    spread : (2,) array
        Pooled standard deviations about the occasions' means.
    dropped : int
        Persons without any observation.
    n_values : (2,) array of int
        Observed values of each variable.
    """

    rows: np.ndarray
    spread: np.ndarray
    dropped: int
    n_values: np.ndarray


def check_panel(Y, variables, n_parameters) -> Wide:
    """Check a panel Y (n, T, 2) for a model of `n_parameters` besides the means.

    Raises
    ------
    ValueError
        Wrong shape, fewer than three occasions, infinite values (their places are named).
    NotEstimable
        Too few persons, a variable that never varies (at all, or within persons), two variables that are one, or
        no person with a variable at an occasion and a variable at the next.
    """
    Y = np.asarray(Y, dtype=float)
    if Y.ndim != 3 or Y.shape[2] != 2:
        raise ValueError(f"Y must be (persons, occasions, 2 variables), got {Y.shape}")
    if Y.shape[1] < FEWEST_OCCASIONS:
        raise ValueError(f"the model needs at least {FEWEST_OCCASIONS} occasions, got {Y.shape[1]}")
    _no_infinity(Y, variables)
    seen = ~np.isnan(Y)
    kept = seen.any(axis=(1, 2))
    n = int(kept.sum())
    if n <= n_parameters:
        raise NotEstimable(f"{n} persons with an observation for {n_parameters} parameters besides the means")
    whole = kept.all()
    Y, seen = (Y, seen) if whole else (Y[kept], seen[kept])
    spread = _spread(Y, seen, variables)
    _transitions(seen, variables)
    return Wide((Y / spread).reshape(n, -1), spread, len(kept) - n, seen.sum(axis=(0, 1)))


def _no_infinity(Y, variables):
    at = np.argwhere(np.isinf(Y))
    if len(at):
        named = [f"person {i}, occasion {t + 1}, {variables[v]}: {Y[i, t, v]}" for i, t, v in at[:_SHOWN]]
        more = f"; and {len(at) - _SHOWN} more" if len(at) > _SHOWN else ""
        raise ValueError(f"values must be finite, or NaN where missing: {'; '.join(named)}{more}")


def _spread(Y, seen, variables):
    """Pooled standard deviations about the occasions' means."""
    filled = np.where(seen, Y, 0.0)
    deviation = (filled - filled.sum(axis=0) / np.maximum(seen.sum(axis=0), 1)) * seen
    counts = np.maximum(seen.sum(axis=(0, 1)), 1)
    spread = np.sqrt((deviation**2).sum(axis=(0, 1)) / counts)
    size = np.abs(filled).max(axis=(0, 1))
    own = deviation.sum(axis=1, keepdims=True) / np.maximum(seen.sum(axis=1, keepdims=True), 1)
    inside = np.sqrt((((deviation - own) * seen) ** 2).sum(axis=(0, 1)) / counts)
    for v, name in enumerate(variables):
        if not spread[v] > SAME * size[v]:
            raise NotEstimable(f"{name} never varies between persons at any occasion")
        if not inside[v] > SAME * max(size[v], spread[v]):
            raise NotEstimable(f"{name} never varies within persons: there is nothing to lag")
    both = seen.all(axis=2)
    x, y = deviation[both].T
    if len(x) and (x @ y) ** 2 >= (1.0 - SAME) * (x @ x) * (y @ y) > 0.0:
        raise NotEstimable(f"{variables[0]} and {variables[1]} are the same variable in other units")
    return spread


def _transitions(seen, variables):
    """Every lag coefficient needs persons with its predictor at an occasion and its outcome at the next."""
    pairs = np.einsum("ntj,nti->ij", seen[:, :-1].astype(float), seen[:, 1:].astype(float))
    for i, j in np.argwhere(pairs == 0):
        raise NotEstimable(f"nobody has {variables[j]} at an occasion and {variables[i]} at the next")
