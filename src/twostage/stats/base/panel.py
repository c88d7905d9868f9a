"""A panel: an array of patients by occasions by the two variables."""

import numpy as np

from twostage.stats.base.arrays import real_array

VARIABLES = ("x", "y")


DIRECTIONS = ("y_to_x", "x_to_y")


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
