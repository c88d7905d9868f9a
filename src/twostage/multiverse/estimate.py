"""Stage 1 under many combinations of choices: each panel is prepared once, each estimator takes all panels at once."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twostage.multiverse.specifications import Stage1
from twostage.stage1 import (
    BOOTSTRAPS,
    COEFFICIENTS,
    SEED,
    estimate_batch,
    never_varies,
    varies,
    within_bounds,
    without_own_lines,
)
from twostage.terms import DIRECTIONS, ESTIMATORS

#: Where the cross-lagged effects stand among the coefficients of a batch, in the order of the directions.
CROSS = tuple(COEFFICIENTS.index((d.name, d.cross)) for d in DIRECTIONS.values())


@dataclass(frozen=True, eq=False)
class Estimates:
    """The cross-lagged effects of B panels under S combinations of choices.

    Attributes
    ----------
    estimate, std_error : ndarray, shape (B, S, 2)
        By direction; NaN where there is none that could be pooled.
    n_patients : ndarray of int, shape (B, S, 2)
    reasons : ndarray of str, shape (B, S, 2)
        Why there is none; empty where there is one.
    """

    estimate: np.ndarray
    std_error: np.ndarray
    n_patients: np.ndarray
    reasons: np.ndarray


def estimate_all(
    panels: Sequence[np.ndarray], first: int, combinations: Sequence[Stage1], **about: Any
) -> Estimates:
    """Estimate both directions of many panels under many combinations of choices.

    Parameters
    ----------
    panels : sequence of B arrays, shape (n_b, T, 2)
        Oriented scores in scale points at sessions first, first + 1, ...; NaN where missing. The windows of all
        combinations lie within.
    first : int
    combinations : sequence of S Stage1
    **about
        `reliability` and `reliability_kind` of the scores, as of :func:`twostage.stage1.estimate_batch`.

    Returns
    -------
    Estimates

    Notes
    -----
    The numbers are those of :func:`twostage.stage1.estimators` on the panel that the combination's parameters make.
    """
    shape = (len(panels), len(combinations), 2)
    out = Estimates(
        np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, int), np.full(shape, "", dtype=object)
    )
    by_window = defaultdict(list)
    for s, one in enumerate(combinations):
        by_window[one.window].append(s)
    for (start, last), members in by_window.items():
        windows = [_window(panel, start - first, last - first + 1) for panel in panels]
        calls = defaultdict(list)
        for s in members:
            one = combinations[s]
            calls[one.estimator, one.lag, one.min_sessions, one.stage1_errors].append(s)
        prepared = _Prepared(windows)
        for (estimator, lag, fewest, errors), same in calls.items():
            options = {"lag": lag, "min_sessions": fewest, "errors": errors, **about}
            _estimate(out, prepared, estimator, [(s, combinations[s]) for s in same], options)
    return out


class _Prepared:
    """The panels of one window in each unit and without each trend, each made once."""

    def __init__(self, windows: list[np.ndarray]):
        self._scaled: dict[str, list[np.ndarray]] = {"none": windows}
        self._made: dict[tuple[str, str], list[np.ndarray]] = {}
        # That a variable never varies does not depend on its unit or trend.
        self.faults = [never_varies(panel) for panel in windows]

    def panels(self, standardize: str, detrend: str) -> list[np.ndarray]:
        if standardize not in self._scaled:
            self._scaled[standardize] = [scaled(panel, standardize) for panel in self._scaled["none"]]
        if (standardize, detrend) not in self._made:
            found = [TRENDS[detrend](panel) for panel in self._scaled[standardize]]
            self._made[standardize, detrend] = found
        return self._made[standardize, detrend]


def _estimate(out: Estimates, prepared: _Prepared, estimator: str, same: list, options: dict) -> None:
    """Enter one estimator's numbers for the combinations that differ in unit and trend only."""
    where = [(b, s) for s, _ in same for b in range(len(out.estimate))]
    panels = [panel for _, one in same for panel in prepared.panels(one.standardize, one.detrend)]
    there = [i for i, (b, _) in enumerate(where) if not prepared.faults[b]]
    for b, s in where:
        out.reasons[b, s] = prepared.faults[b]
    # A run's batches hold one panel: replicates are drawn by the place in a batch, and searches that share their steps may
    # end in another ninth digit. Draws under a null hypothesis are of many panels, and need no such digits.
    alone = estimator == "jackknife" or (len(out.estimate) == 1 and ESTIMATORS[estimator].rows == "everyone")
    groups = [[i] for i in there] if alone else [there] if there else []
    for group in groups:
        batch = within_bounds(
            estimate_batch(estimator, [panels[i] for i in group], **options, bootstraps=BOOTSTRAPS, seed=SEED)
        )
        for at, i in enumerate(group):
            b, s = where[i]
            for d, j in enumerate(CROSS):
                reason = batch.reasons[at, j] or (
                    "" if batch.converged[at, j] else "the fit did not converge"
                )
                out.reasons[b, s, d] = reason
                out.n_patients[b, s, d] = batch.n_patients[at, j]
                if not reason:
                    out.estimate[b, s, d] = batch.estimate[at, j]
                    out.std_error[b, s, d] = batch.std_error[at, j]


def _window(panel: np.ndarray, start: int, end: int) -> np.ndarray:
    """Some sessions, and the patients who have a score in them."""
    inside = panel[:, start:end]
    return inside[np.isfinite(inside).any(axis=(1, 2))]


def scaled(panel: np.ndarray, standardize: str) -> np.ndarray:
    """A panel in the unit that the parameter names; as :func:`twostage.stage1.make_panel` does it to tables."""
    return panel / [_unit(panel[..., v], standardize) for v in (0, 1)]


def _unit(scores: np.ndarray, standardize: str) -> float:
    seen = np.isfinite(scores)
    values, within = scores[seen], standardize == "within"
    if within:
        patients = seen.any(axis=1)
        means = np.full(len(scores), np.nan)
        means[patients] = np.nansum(scores[patients], axis=1) / seen[patients].sum(axis=1)
        deviations = (scores - means[:, None])[seen]
    else:
        deviations = values - values.mean() if len(values) else values
    freedom = len(values) - (int(seen.any(axis=1).sum()) if within else 1)
    return float(np.sqrt((deviations**2).sum() / freedom)) if varies(deviations, values) else 1.0


def without_common_slope(panel: np.ndarray) -> np.ndarray:
    """A panel less one linear trend over sessions for all patients; as :func:`twostage.stage1.make_panel` does it."""
    session = np.arange(panel.shape[1], dtype=float)
    seen = np.isfinite(panel)
    # Sessions count once for each patient who has either score.
    middle = (seen.any(axis=2) * session).sum() / max(int(seen.any(axis=2).sum()), 1)
    out = panel.copy()
    for v in (0, 1):
        own = np.where(seen[..., v], session, 0.0)
        count = np.maximum(seen[..., v].sum(axis=1, keepdims=True), 1)
        time = np.where(seen[..., v], session - own.sum(axis=1, keepdims=True) / count, 0.0)
        square = float((time**2).sum())
        slope = (
            float((time * np.where(seen[..., v], panel[..., v], 0.0)).sum()) / square if square > 0 else 0.0
        )
        out[..., v] -= (session - middle) * slope
    return out


TRENDS: Mapping[str, Any] = {
    "none": lambda panel: panel,
    "session": without_common_slope,
    "patient": without_own_lines,
}
