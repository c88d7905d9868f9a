"""The twin of riclpm_data.R: the same panels, digit for digit but for the last of a normal quantile."""

import numpy as np
from scipy.special import ndtri

MODULUS, FACTOR, BURNED = 2**31 - 1, 16807, 200
PHI = np.array([[0.30, -0.07], [-0.10, 0.40]])
ROOT = np.array([[1.0, 0.0], [-0.3, 0.9]])


def uniforms(count, seed):
    """Park and Miller's generator, by powers of its factor."""
    powers = np.array([FACTOR], dtype=np.int64)
    while len(powers) < BURNED + count:
        powers = np.r_[powers, powers * powers[-1] % MODULUS]
    return (powers[: BURNED + count] * seed % MODULUS)[BURNED:] / MODULUS


def panel(n, occasions, missing, seed):
    """A panel (n, T, 2), NaN where missing."""
    u = uniforms(n * (2 + 4 * occasions), seed).reshape(n, -1)
    intercept = ndtri(u[:, :2]) @ ROOT.T
    out = np.empty((n, occasions, 2))
    gone = np.zeros(n, dtype=bool)
    w, previous = np.zeros((n, 2)), np.zeros((n, 2))
    for t in range(occasions):
        at = 2 + 4 * t
        innovation = ndtri(u[:, at : at + 2]) @ ROOT.T
        w = w @ PHI.T + innovation if t else 1.2 * innovation
        y = (intercept + w + [5 + 0.1 * (t + 1), -0.2 * (t + 1)]) * [1.0, 3.0]
        chance = u[:, at + 2 : at + 4]
        lost = np.zeros((n, 2), dtype=bool)
        if t and missing == "dropout":
            gone |= chance[:, 0] < np.where(previous[:, 1] > 3, 0.15, 0.04)
            lost[gone] = True
        if t and missing == "waves":
            lost[chance[:, 0] < 0.2] = True
        if t and missing == "second":
            lost[:, 1] = chance[:, 1] < 0.6
        if missing == "items":
            lost = chance < 0.1
        previous = y
        out[:, t] = np.where(lost, np.nan, y)
    return out
