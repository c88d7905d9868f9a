"""Scores of a process whose values are known, on days that are not equally far apart."""

import numpy as np
from scipy.linalg import expm

DRIFT = np.array([[-0.14, 0.01], [-0.04, -0.18]])
SPREAD = np.array([[1.0, -0.2], [-0.2, 1.0]])
BETWEEN = np.array([[0.8, -0.3], [-0.3, 0.7]])


def drawn(seed, n, sessions, gaps=(4, 11), missing=0.0, error=0.0, start=SPREAD):
    """Scores of n persons, and the days they are of, from DRIFT, SPREAD and BETWEEN."""
    rng = np.random.default_rng(seed)
    days = np.cumsum(rng.integers(*gaps, (n, sessions)), axis=1).astype(float)
    w = np.empty((n, sessions, 2))
    w[:, 0] = rng.multivariate_normal([0, 0], start, n)
    for s in range(1, sessions):
        for gap in np.unique(days[:, s] - days[:, s - 1]):
            there = days[:, s] - days[:, s - 1] == gap
            kept = expm(DRIFT * gap)
            new = rng.multivariate_normal([0, 0], SPREAD - kept @ SPREAD @ kept.T, int(there.sum()))
            w[there, s] = w[there, s - 1] @ kept.T + new
    Y = rng.multivariate_normal([0, 0], BETWEEN, n)[:, None] + w + error * rng.normal(size=w.shape)
    return np.where(rng.random(Y.shape) < missing, np.nan, Y), days
