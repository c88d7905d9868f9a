"""The lagged effects over longer and shorter intervals, by a process in continuous time in each study, pooled."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from twostage.collection import Collection
from twostage.display import html_table
from twostage.params import Parameters
from twostage.records import Record
from twostage.stage1 import COEFFICIENTS, PLACES, LargePanel, continuous, day_gaps, make_panel
from twostage.stage2 import PooledTable, pool_records
from twostage.stats.base import EFFECT, Attempt, NotEstimable, attempt
from twostage.stats.continuous import ContinuousFit
from twostage.stats.pool import pool

#: The panel model of equally spaced sessions, which is the same model where they are.
EQUALLY_SPACED = "riclpm"


#: Multiples of the usual interval at which effects are pooled; whole days of them.
MULTIPLES = (1 / 7, 2 / 7, 3 / 7, 4 / 7, 5 / 7, 1.0, 10 / 7, 2.0, 3.0, 4.0)


#: Shares of intervals between which most lie.
MOST = (0.05, 0.95)


#: Where each coefficient stands in phi.
_PLACES = dict(zip(COEFFICIENTS, PLACES, strict=True))


_POOLED = (*EFFECT, "tau2", "i2", "k")


@dataclass(frozen=True)
class IntervalEffectsPooled:
    """Lagged effects over several intervals, pooled over the studies whose days are known.

    Attributes
    ----------
    usual : float
        The usual interval in days: the median over studies of their median interval, in whole days.
    most : (float, float)
        Days between which nine of ten intervals of all studies lie.
    exact : float
        Share of intervals that are the usual one.
    table : pandas.DataFrame
        One row per interval, direction and term: interval, direction, term, what is reported of an effect, tau2, i2, k.
    studies : pandas.DataFrame
        One row per study and coefficient, over the usual interval: study, label, direction, term, estimate, std_error,
        ci_low, ci_high, median (interval), n_patients, remarks.
    beside : pandas.DataFrame
        direction, term, counted (whether days were), estimate, std_error, ci_low, ci_high, k: the same studies by the
        panel model of equally spaced sessions.
    left_out : pandas.DataFrame
        study, label, reason.
    level : float
    """

    usual: float
    most: tuple[float, float]
    exact: float
    table: pd.DataFrame
    studies: pd.DataFrame
    beside: pd.DataFrame
    left_out: pd.DataFrame
    level: float

    def tidy(self) -> pd.DataFrame:
        """One row per interval and coefficient."""
        return self.table.copy()

    def _repr_html_(self) -> str:
        return html_table(self.table)


def pool_intervals(
    collection: Collection, records: Sequence[Record], parameters: Parameters, **how: Any
) -> IntervalEffectsPooled:
    """Fit a process in continuous time in every study and pool its effects over several intervals.

    Parameters
    ----------
    collection : Collection
    records : sequence of Record
        Of the analysis `estimators`, for the panel model that takes sessions as equally far apart.
    parameters : Parameters
        Window and units.
    **how
        method, ci and level, as of :func:`twostage.stats.pool.pool`.

    Raises
    ------
    NotEstimable
        In no study there is such a process.
    """
    fits, gaps, left_out = {}, [], []
    for id in collection.studies["study"]:
        found, own = _fitted(collection, id, parameters)
        gaps.append(own)
        label = str(collection.studies.set_index("study")["label"][id])
        if found:
            fits[id, label] = found.result
        else:
            left_out.append((id, label, found.reason))
    if not fits:
        raise NotEstimable("; ".join(dict.fromkeys(reason for *_, reason in left_out)))
    every = np.concatenate(gaps)
    usual = max(1.0, float(np.round(np.median([fit.unit for fit in fits.values()]))))
    intervals = np.unique(np.maximum(1.0, np.round(usual * np.array(MULTIPLES))))
    return IntervalEffectsPooled(
        usual,
        (float(np.quantile(every, MOST[0])), float(np.quantile(every, MOST[1]))),
        float(np.mean(every == usual)),
        pd.concat([_pooled(fits, d, how) for d in intervals], ignore_index=True),
        _studies(fits, usual),
        _beside(fits, usual, records, how),
        pd.DataFrame(left_out, columns=["study", "label", "reason"]),
        how["level"],
    )


def _fitted(collection: Collection, id: str, parameters: Parameters) -> tuple[Attempt, np.ndarray]:
    """A study's process, or why there is none, and its intervals."""
    if id in collection.shared:
        return Attempt(None, "it shared results instead of data, and no days are among them"), np.zeros(0)
    panel = make_panel(collection.study(id), parameters)  # type: ignore[arg-type]
    if isinstance(panel, LargePanel):
        return Attempt(None, "it is read in pieces, and the model takes all of a study at once"), np.zeros(0)
    return attempt(continuous, panel), day_gaps(panel)


def _effects(fits: dict[tuple[str, str], ContinuousFit], interval: float, place: tuple[int, int]):
    """Estimates and standard errors over an interval, of the studies that have both, and who these are."""
    found = [fit.effects([interval]) for fit in fits.values()]
    y, error = (np.array([getattr(f, name)[0][place] for f in found]) for name in ("phi", "phi_se"))
    good = np.isfinite(y) & (error > 0)
    return y[good], error[good], [key for key, kept in zip(fits, good, strict=True) if kept]


def _pooled(fits: dict[tuple[str, str], ContinuousFit], interval: float, how: dict) -> pd.DataFrame:
    rows = []
    for direction, term in COEFFICIENTS:
        y, error, _ = _effects(fits, interval, _PLACES[direction, term])
        if len(y):
            fit = pool(y, error**2, **how)
            named = {"interval": interval, "direction": direction, "term": term}
            rows.append(named | {name: getattr(fit, name) for name in _POOLED})
    return pd.DataFrame(rows, columns=["interval", "direction", "term", *_POOLED])


def _studies(fits: dict[tuple[str, str], ContinuousFit], usual: float) -> pd.DataFrame:
    tables = []
    for (id, label), fit in fits.items():
        tidy = fit.effects([usual]).tidy()
        places = [_PLACES[key] for key in COEFFICIENTS]
        own = tidy.iloc[[2 * i + j for i, j in places]].reset_index(drop=True)
        named = pd.DataFrame(COEFFICIENTS, columns=["direction", "term"])
        about: dict[str, Any] = {"study": id, "label": label, "median": fit.unit, "n_patients": fit.n_obs}
        about |= {"remarks": "; ".join(fit.notes())}
        tables.append(named.join(own[["estimate", "std_error", "ci_low", "ci_high"]]).assign(**about))
    return pd.concat(tables, ignore_index=True)


def _beside(
    fits: dict[tuple[str, str], ContinuousFit], usual: float, records: Sequence[Record], how: dict
) -> pd.DataFrame:
    """Both models' pooled effects over the studies that have both."""
    plain: PooledTable = pool_records(records, **how)
    rows = []
    for direction, term in COEFFICIENTS:
        y, error, who = _effects(fits, usual, _PLACES[direction, term])
        other = plain.studies(direction, term, EQUALLY_SPACED).set_index("study")
        both = [i for i, (id, _) in enumerate(who) if id in other.index]
        if not both:
            continue
        same = other.loc[[who[i][0] for i in both]]
        pairs = {True: (y[both], error[both]), False: (same["estimate"], same["std_error"])}
        for counted, (estimate, std_error) in pairs.items():
            fit = pool(np.asarray(estimate, float), np.asarray(std_error, float) ** 2, **how)
            named = {"direction": direction, "term": term, "counted": counted}
            names = ("estimate", "std_error", "ci_low", "ci_high", "k")
            rows.append(named | {name: getattr(fit, name) for name in names})
    columns = ["direction", "term", "counted", "estimate", "std_error", "ci_low", "ci_high", "k"]
    return pd.DataFrame(rows, columns=columns)
