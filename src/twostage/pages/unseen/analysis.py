"""The pooled lagged effects if those who left had later scores other than the ones their past predicts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from twostage.collection import Collection, LargeStudy
from twostage.params import Parameters
from twostage.stage1 import make_panel
from twostage.stats.base import NotEstimable, attempt
from twostage.stats.pool import pool
from twostage.stats.riclpm import UnseenFit, fit_unseen
from twostage.terms import DIRECTIONS

#: Shifts of one variable's unseen scores, in standard deviations.
GRID = (-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0)


#: Studies that are needed to speak of a pool.
_FEWEST = 2


@dataclass(frozen=True)
class UnseenPools:
    """Pooled cross-lagged effects under shifts of unseen scores.

    Attributes
    ----------
    table : pandas.DataFrame
        direction, moved (x or y: whose unseen scores are shifted), shift, k, estimate, std_error, ci_low, ci_high.
    n_patients, n_left : int
        Patients of the studies in the pools, and those of them who left before the window's last session.
    left_out : dict
        Study -> why it is not in.
    level : float
    """

    table: pd.DataFrame
    n_patients: int
    n_left: int
    left_out: dict[str, str]
    level: float

    def tidy(self) -> pd.DataFrame:
        """One row per direction, variable and shift."""
        return self.table.copy()

    def of(self, direction: str, moved: str) -> pd.DataFrame:
        """One direction's effects by the shift of one variable."""
        t = self.table
        return t[(t["direction"] == direction) & (t["moved"] == moved)].sort_values("shift")


def pool_unseen(collection: Collection, parameters: Parameters, how: Mapping[str, Any]) -> UnseenPools:
    """Fit :func:`twostage.stats.riclpm.fit_unseen` to every study whose data are here, and pool each shift's effects.

    Parameters
    ----------
    collection : Collection
    parameters : Parameters
        Of stage 1.
    how : mapping
        `method`, `ci`, `level` of :func:`twostage.stats.pool.pool`.

    Raises
    ------
    NotEstimable
        A lag other than 1; fewer than two studies.
    """
    if parameters.lag != 1:
        raise NotEstimable("the panel model is for lag 1")
    moves = [(moved, shift) for moved in ("x", "y") for shift in GRID]
    shifts = np.array([[shift * (moved == v) for v in ("x", "y")] for moved, shift in moves])
    fits: dict[str, UnseenFit] = {}
    left_out = dict.fromkeys(collection.shared, "it shared results, not data")
    for study in collection.studies["study"]:
        if study in left_out:
            continue
        found = attempt(_fit, collection, study, parameters, shifts)
        if found:
            fits[study] = found.result
        else:
            left_out[study] = found.reason
    if len(fits) < _FEWEST:
        raise NotEstimable(f"only {len(fits)} of the studies could be fitted")
    rows = [
        {"direction": d.name, "moved": moved, "shift": shift} | _pooled(fits, at, d.name, how)
        for at, (moved, shift) in enumerate(moves)
        for d in DIRECTIONS.values()
    ]
    counts = [(fit.n_obs, fit.n_left) for fit in fits.values()]
    n_patients, n_left = (sum(c) for c in zip(*counts, strict=True))
    return UnseenPools(pd.DataFrame(rows), n_patients, n_left, left_out, how["level"])


def _fit(collection: Collection, study: str, parameters: Parameters, shifts: np.ndarray) -> UnseenFit:
    read = collection.study(study)
    if isinstance(read, LargeStudy):
        raise NotEstimable("it is read in pieces")
    return fit_unseen(make_panel(read, parameters).wide()[0], shifts)


def _pooled(fits: Mapping[str, UnseenFit], at: int, direction: str, how: Mapping[str, Any]) -> dict:
    """One shift's effects of one direction, pooled over the studies in which a maximum was found."""
    place = (at, 1, 0) if direction == "x_to_y" else (at, 0, 1)
    y, error = (np.array([getattr(fit, name)[place] for fit in fits.values()]) for name in ("phi", "phi_se"))
    kept = np.isfinite(y) & np.isfinite(error)
    if kept.sum() < _FEWEST:
        return {"k": int(kept.sum())} | dict.fromkeys(("estimate", "std_error", "ci_low", "ci_high"), np.nan)
    fit = pool(y[kept], error[kept] ** 2, **how)
    return {"k": fit.k} | {
        name: getattr(fit, name) for name in ("estimate", "std_error", "ci_low", "ci_high")
    }


def tipping(rows: pd.DataFrame) -> tuple[float, float]:
    """The nearest shifts below and above 0 at which the interval says something else than without a shift.

    It says whether the effect is negative, positive, or neither; infinite where no shift of the grid changes that.
    """
    said = np.sign(rows["ci_low"]).where(np.sign(rows["ci_low"]) == np.sign(rows["ci_high"]), 0.0)
    shift = rows["shift"].to_numpy()
    other = shift[(said != said[shift == 0.0].iloc[0]).to_numpy()]
    return max(other[other < 0], default=-np.inf), min(other[other > 0], default=np.inf)
