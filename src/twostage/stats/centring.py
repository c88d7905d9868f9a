"""From a wide panel to the rows of the centred lagged model, on arrays: what `panel` does to a study's tables."""

from dataclasses import dataclass

import numpy as np

from twostage.stats.checks import real_array

# A mean of equal scores is off in the last digit: deviations below this share of the scores' size are none.
ROUNDING = 1e-12

VARIABLES = ("x", "y")
DIRECTIONS = ("y_to_x", "x_to_y")


@dataclass(frozen=True)
class CentredTransitions:
    """Pairs of a session with both variables and the one `lag` later; m rows, ordered by patient and session.

    Attributes
    ----------
    patient, session : (m,) int arrays
        Row of the panel; occasion of the predictors, from 0.
    within : (m, 2) array
        Deviations of x and y from the patient's means.
    mean : (m, 2) array
        The patient's means, each over that variable's own observed sessions.
    following : (m, 2) array
        x and y `lag` sessions later; NaN where only the other one was observed.
    """

    patient: np.ndarray
    session: np.ndarray
    within: np.ndarray
    mean: np.ndarray
    following: np.ndarray

    def regression(self, outcome: int):
        """The lagged equation of one direction.

        Parameters
        ----------
        outcome : int
            0: the next x (direction ``y_to_x``); 1: the next y (``x_to_y``).

        Returns
        -------
        y, X, patient, names : (r,), (r, 5), (r,) arrays, tuple of str
            Columns of X: intercept, cross-lagged and autoregressive deviation, both means.
        """
        seen = ~np.isnan(self.following[:, outcome])
        cross, auto = self.within[seen, 1 - outcome], self.within[seen, outcome]
        X = np.column_stack([np.ones(seen.sum()), cross, auto, self.mean[seen]])
        names = ("intercept", *(f"{VARIABLES[k]}_within" for k in (1 - outcome, outcome)), "x_mean", "y_mean")
        return self.following[seen, outcome], X, self.patient[seen], names


def centred_transitions(Y, lag: int = 1) -> CentredTransitions:
    """Centre a wide panel on its patients' means and pair sessions, gap-safe.

    ``xw[i,t] = x[i,t] - mean of x[i,.]`` over i's observed sessions; session t, both variables observed, is
    paired with session t + lag itself, where at least one was observed: a gap is never bridged.

    Parameters
    ----------
    Y : (n, T, 2) array
        x and y of n patients on a grid of T sessions, NaN where missing.
    lag : int
        Sessions between predictors and outcome, at least 1.

    Returns
    -------
    CentredTransitions

    Raises
    ------
    ValueError
        If Y has another shape, holds infinite numbers, or lag is below 1.

    Notes
    -----
    Curran & Bauer (2011), doi:10.1146/annurev.psych.093008.100356. Checked: the rows are those of
    `Panel.transitions` on the same sessions.
    """
    Y = check_panel(Y)
    if lag < 1:
        raise ValueError(f"lag must be at least 1, got {lag}")
    seen = ~np.isnan(Y)
    count = seen.sum(axis=1)
    total = np.where(seen, Y, 0.0).sum(axis=1)
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    within = Y - mean[:, None]
    size = np.abs(Y).max(axis=(0, 1), initial=0.0, where=seen)
    within[np.abs(within) <= ROUNDING * size] = 0.0
    starts = max(Y.shape[1] - lag, 0)
    patient, session = np.nonzero(seen[:, :starts].all(axis=2) & seen[:, lag:].any(axis=2))
    return CentredTransitions(
        patient, session, within[patient, session], mean[patient], Y[patient, session + lag]
    )


def check_panel(Y) -> np.ndarray:
    """Y as a float array (n, T, 2) with NaN where missing, or ValueError."""
    Y = real_array(Y, "Y")
    if Y.ndim != 3 or Y.shape[2] != 2:
        raise ValueError(f"Y must have shape (patients, sessions, 2), got {Y.shape}")
    if np.isinf(Y).any():
        patient, session, variable = np.argwhere(np.isinf(Y))[0]
        raise ValueError(
            f"Y holds an infinite number: patient {patient}, session {session}, variable {variable}"
        )
    return Y


def observed_span(Y) -> tuple[int, int]:
    """First session with a score of anybody and the one after the last, from 0; all sessions where there is none."""
    at = np.flatnonzero((~np.isnan(Y)).any(axis=(0, 2)))
    return (int(at[0]), int(at[-1]) + 1) if len(at) else (0, Y.shape[1])


def enough_sessions(Y, min_sessions: int) -> np.ndarray:
    """Patients with at least `min_sessions` sessions on which both variables were observed, (n,) bool."""
    return (~np.isnan(check_panel(Y)).any(axis=2)).sum(axis=1) >= min_sessions
