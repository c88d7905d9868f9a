"""The twin of starts_data.R: the same panels, digit for digit but for the last of a normal quantile."""

import numpy as np
from riclpm_data import ROOT, uniforms
from scipy.special import ndtri

CARRIED = np.array([[0.55, -0.10], [-0.15, 0.45]])


def starts_panel(n, occasions, missing, slope, error, seed):
    """A panel (n, T, 2), NaN where missing."""
    u = uniforms(n * (4 + 6 * occasions), seed).reshape(n, -1)
    intercept, own = ndtri(u[:, :2]) @ ROOT.T, slope * ndtri(u[:, 2:4])
    out = np.empty((n, occasions, 2))
    gone = np.zeros(n, dtype=bool)
    w, previous = np.zeros((n, 2)), np.zeros((n, 2))
    for t in range(occasions):
        at = 4 + 6 * t
        innovation = ndtri(u[:, at : at + 2]) @ ROOT.T
        w = w @ CARRIED.T + innovation if t else 1.2 * innovation
        score = intercept + t * own + w + error * ndtri(u[:, at + 2 : at + 4])
        y = (score + [5 + 0.1 * (t + 1), -0.2 * (t + 1)]) * [1.0, 3.0]
        chance = u[:, at + 4 : at + 6]
        lost = np.zeros((n, 2), dtype=bool)
        if t and missing == "dropout":
            gone |= chance[:, 0] < np.where(previous[:, 1] > 3, 0.15, 0.04)
            lost[gone] = True
        if missing == "skipped":
            lost = chance < 0.1
        if t and missing == "waves":
            lost[chance[:, 0] < 0.12] = True
        previous = y
        out[:, t] = np.where(lost, np.nan, y)
    return out
